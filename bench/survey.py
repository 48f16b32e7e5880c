"""`lens-modern score`: the network by itself, the way from files, two workers, the memory of a million cutouts."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable

os.environ["OMP_NUM_THREADS"] = "1"

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from astropy.io import fits

from bench.measure import Entry, alternate, entry
from lens_common.mocks.simulator import simulate_stamp
from lens_common.runs import SHIPPED
from lens_modern import backend, load_shipped
from lens_modern.survey.cluster import work_off
from lens_modern.survey.engine import Job, open_worker, score_shard
from lens_modern.survey.networks import BATCH, CompiledNetwork, write_network
from lens_modern.survey.plan import Plan
from lens_modern.survey.readers import READERS, Cutout, Reader

RUNS, N_STAMPS, GEMM = 5, 1024, 2048
MFLOP = 231.7  # of a stamp's forward pass, by the shapes of the layers
SHARDS_OF_TWO_WORKERS = 24
MANY = (10_000, 1_000_000)


def measure() -> list[Entry]:
    """Network, sources, workers, memory."""
    folder = Path(tempfile.mkdtemp(prefix="lens-bench-"))
    backend.prepare(device="cpu")
    stamps = np.stack([simulate_stamp(seed, seed % 2 == 0).stamp for seed in range(N_STAMPS)])[:, None]
    return [
        *of_network(folder, stamps),
        *of_sources(folder, stamps),
        *of_workers(folder, stamps),
        *of_memory(folder, stamps),
    ]


def cpu(work: Callable[[], object]) -> float:
    """Seconds of the processor that a call takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def of_network(folder: Path, stamps: np.ndarray) -> list[Entry]:
    """The network by itself, exact and in bfloat16, against torch and a matrix product."""
    estimator: Any = load_shipped("resnet")
    write_network(folder / "network.xml", estimator, "bench" + str(os.getpid()))
    scaled = estimator.scaling_.transform(stamps)
    exact, reduced = (CompiledNetwork(folder / "network.xml", kind) for kind in ("float32", "bfloat16"))

    def eager(network: Any = estimator.network_) -> np.ndarray:
        return np.concatenate([network.predict(scaled[k : k + BATCH]) for k in range(0, N_STAMPS, BATCH)])

    contiguous = copy.deepcopy(estimator.network_)  # kernels as torch makes them; ours lie in channels_last order
    for parameter in contiguous.graph.parameters():
        parameter.data = parameter.data.contiguous()
    moved = {
        name: np.abs(network.predict(scaled) - eager()).max() for name, network in (("exact", exact), ("bf16", reduced))
    }
    matrix = torch.ones(GEMM, GEMM)
    seconds = alternate(
        {
            "torch": lambda: cpu(lambda: eager(contiguous)),
            "ours": lambda: cpu(eager),
            "exact": lambda: cpu(lambda: exact.predict(scaled)),
            "bf16": lambda: cpu(lambda: reduced.predict(scaled)),
            "gemm": lambda: cpu(lambda: matrix @ matrix),
        },
        RUNS,
    )
    rate = {name: N_STAMPS / value for name, value in seconds.items()}
    peak = 2 * GEMM**3 / seconds["gemm"] / 1e6 / MFLOP  # stamps/s of a processor that does nothing but multiply
    note = f", torch {torch.__version__}, one thread"
    moves = {key: f"a score moves by {value:.1e} at most" for key, value in moved.items()}
    product = f"what a float32 product of {GEMM} x {GEMM} matrices would allow: {peak:.0f}"
    against = f"torch eager, kernels in channels_last: {rate['ours']:.0f}"
    rows = [
        ("score-exact", "exact", rate["torch"], f"torch eager: {rate['torch']:.0f}; {moves['exact']}"),
        ("score-exact vs channels_last", "exact", rate["ours"], against),
        ("score-bfloat16", "bf16", rate["torch"], f"torch eager: {rate['torch']:.0f}; {moves['bf16']}"),
        ("score-exact vs GEMM", "exact", peak, product),
    ]
    return [
        entry(name, rate[key], "stamps/CPU-s", baseline, rate[key] / other, RUNS, note)
        for name, key, other, baseline in rows
    ]


def job_for(folder: Path, model: str = "resnet") -> Job:
    """What a worker of the verb `score` is told, with a network of its own."""
    parts = folder / f"parts-{model}"
    parts.mkdir(exist_ok=True)
    if not (parts / "network.xml").exists():
        estimator = load_shipped(model)
        write_network(parts / "network.xml", estimator, f"bench{os.getpid()}{model}")
    run, network = str(SHIPPED / model), str(parts / "network.xml")
    return Job(str(parts), run, network, "float32", "cpu", (1, 45, 45), None, None, False, ())


def of_sources(folder: Path, stamps: np.ndarray) -> list[Entry]:
    """Seconds of the processor from file to part, against arrays in memory that take the same way."""
    (folder / "fits").mkdir()
    for number, stamp in enumerate(stamps):
        fits.writeto(folder / "fits" / f"{number}.fits.gz", stamp[0])
    lists = pa.FixedSizeListArray.from_arrays(pa.array(stamps.ravel()), 45 * 45)
    pq.write_table(pa.table({"stamps": lists}), folder / "stamps.parquet")
    with h5py.File(folder / "stamps.h5", "w") as file:
        file["stamps"] = stamps
    cutouts = [
        Cutout(str(k), str(k), None, partial(lambda stamp: (stamp, b""), stamp)) for k, stamp in enumerate(stamps)
    ]
    READERS["memory"] = Reader(READERS["hdf5"].plan, lambda path, rows: iter(cutouts))
    job = job_for(folder)
    open_worker(job)
    shards = {
        name: next(Plan(folder / "plan", [str(folder / source)], N_STAMPS).shards([0]))
        for name, source in (("FITS, gzipped", "fits"), ("Parquet", "stamps.parquet"), ("HDF5", "stamps.h5"))
    }
    shards["memory"] = shards["HDF5"]._replace(kind="memory")
    work = {name: (lambda shard=shard: cpu(lambda: score_shard(job, shard))) for name, shard in shards.items()}
    rate = {name: N_STAMPS / value for name, value in alternate(work, RUNS).items()}
    memory = rate.pop("memory")
    return [
        entry(f"score from {name}", value, "stamps/CPU-s", f"from memory: {memory:.0f}", value / memory, RUNS)
        for name, value in rate.items()
    ]


class Clock:
    """Counts as a progress bar does, and notes when."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, int]] = []

    def update(self, n_cutouts: int) -> None:
        """Note the time."""
        self.seen.append((time.monotonic(), n_cutouts))

    def rate(self) -> float:
        """Stamps/s from the first report on: the start of the processes is not counted."""
        return sum(n for _, n in self.seen[1:]) / (self.seen[-1][0] - self.seen[0][0])


def of_workers(folder: Path, stamps: np.ndarray) -> list[Entry]:
    """Rate of two processes against one."""
    job = job_for(folder)
    shard = next(Plan(folder / "plan", [str(folder / "stamps.h5")], N_STAMPS).shards([0]))
    rates = {}
    for n_workers in (1, 2):
        clock = Clock()
        work_off(job, (shard._replace(number=k) for k in range(SHARDS_OF_TWO_WORKERS)), n_workers, None, clock)
        rates[n_workers] = clock.rate()
        print(f"  {n_workers} workers: {rates[n_workers]:.0f} stamps/s", file=sys.stderr, flush=True)
    against = f"one: {rates[1]:.0f}"
    return [entry("score with two workers", rates[2], "stamps/s", against, rates[2] / rates[1], 1)]


def of_memory(folder: Path, stamps: np.ndarray) -> list[Entry]:
    """Peak memory of a scoring of very many cutouts: a virtual HDF5 file that repeats 1,024, and the CNN."""
    with h5py.File(folder / "stamps.h5", "a") as file:
        source = h5py.VirtualSource(file["stamps"])
        for n_cutouts in MANY:
            layout = h5py.VirtualLayout((n_cutouts, 1, 45, 45), np.float32)
            for first in range(0, n_cutouts, N_STAMPS):
                rows = min(N_STAMPS, n_cutouts - first)
                layout[first : first + rows] = source[:rows]
            with h5py.File(folder / f"{n_cutouts}.h5", "w") as repeated:
                repeated.create_virtual_dataset("stamps", layout)
    peaks = []
    for n_cutouts in MANY:
        # Not getrusage, which counts what the process was before it became this one.
        code = "import sys; from lens_modern.cli import main; main(sys.argv[1:]); "
        code += "print(next(line for line in open('/proc/self/status') if 'VmHWM' in line).split()[1])"
        out = folder / f"{n_cutouts}.parquet"
        data = ["score", str(folder / f"{n_cutouts}.h5"), "--model", "cnn", "--workers", "1", "--out", str(out)]
        done = subprocess.run([sys.executable, "-c", code, *data], stdout=subprocess.PIPE, text=True, check=True)
        peaks.append(int(done.stdout.splitlines()[-1]) / 1024)
        seconds = json.loads(out.with_suffix(".json").read_text())["cpu_seconds"]
        print(f"  {n_cutouts}: {peaks[-1]:.0f} MiB, {seconds:.0f} s", file=sys.stderr, flush=True)
    against = f"{MANY[0]} cutouts: {peaks[0]:.0f} MiB"
    return [
        entry(f"score, memory of {MANY[1]:,} cutouts", peaks[1], "MiB", against, peaks[0] / peaks[1], 1),
    ]
