"""Clusters of others: workers that would score otherwise, workers without the package, a scheduler that dies."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from lens_common.files import read_csv
from lens_modern.cli import main

N_STAMPS = 600
# What a worker loads first, and what is said of it.
PRELOADS = {
    "import sys\nsys.modules['lens_modern'] = sys.modules['lens_modern.survey'] = None\n": "lacks a package",
    "import lens_modern.survey.cluster as c\nc.identity = lambda run: {**IDENTITY, 'version': '0.0.9'}\n": (
        "has another version, 0.0.9"
    ),
    "import lens_modern.survey.cluster as c\nc.identity = lambda run: {**IDENTITY, 'weights': '123'}\n": (
        "has another weights, 123"
    ),
    "import lens_common, pathlib, shutil, tempfile\n"
    "folder = tempfile.mkdtemp()\n"
    "shutil.copytree(pathlib.Path(lens_common.__file__).parent, folder + '/altered', "
    "ignore=shutil.ignore_patterns('shipped'))\n"
    "(pathlib.Path(folder) / 'altered' / 'errors.py').open('a').write('# altered\\n')\n"
    "lens_common.__file__ = folder + '/altered/__init__.py'\n": "has another code",
}


SLOW = """
import time
import lens_modern.survey.cluster as c
quick = c.__dict__.setdefault("quick", c.score_shard)  # a preload may be loaded twice
c.score_shard = lambda *given: (time.sleep(0.3), quick(*given))[1]
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("cluster") / "stamps.h5"
    with h5py.File(path, "w") as file:
        file["images"] = np.random.default_rng(0).normal(0, 3.6, (N_STAMPS, 45, 45)).astype(np.float32)
    return path


@pytest.fixture
def cluster(tmp_path):
    """Start a scheduler and a worker; `start(preload)` gives the scheduler's address and its process."""
    with contextlib.ExitStack() as stack:

        def start(preload=""):
            about = tmp_path / "scheduler.json"
            begin = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"]
            scheduler = stack.enter_context(_process([*begin, "--scheduler-file", str(about)]))
            while not about.exists() or not about.read_text().endswith("}"):
                time.sleep(0.05)
            (tmp_path / "preload.py").write_text(preload)
            worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(about)]
            worker += ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--preload", str(tmp_path / "preload.py")]
            stack.enter_context(_process(worker))
            return json.loads(about.read_text())["address"], scheduler

        yield start


@contextlib.contextmanager
def _process(command):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("preload", PRELOADS, ids=PRELOADS.values())
def test_a_worker_that_would_score_otherwise_is_refused(preload, data, cluster, tmp_path, capsys):
    from lens_common.runs import SHIPPED
    from lens_modern.survey.cluster import identity

    address, _ = cluster(f"IDENTITY = {identity(str(SHIPPED / 'cnn'))}\n{preload}")
    out = tmp_path / "s.csv"
    assert main(["score", str(data), "--model", "cnn", "--out", str(out), "--dask", address]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert PRELOADS[preload] in line and "tcp://" in line and not out.exists()


@pytest.mark.thorough
def test_a_scheduler_that_dies_is_one_sentence_and_the_work_goes_on_without(data, cluster, tmp_path, capsys):
    address, scheduler = cluster(SLOW)
    out, parts = tmp_path / "s.csv", tmp_path / "s.csv.parts"
    command = ["score", str(data), "--model", "cnn", "--out", str(out), "--shard-size", "20"]
    with open(tmp_path / "said", "w") as said:
        running = subprocess.Popen([sys.executable, "-m", "lens_modern", *command, "--dask", address], stderr=said)
    while running.poll() is None and not (parts.exists() and list(parts.glob("*.parquet"))):
        time.sleep(0.02)
    os.kill(scheduler.pid, signal.SIGKILL)
    assert running.wait(timeout=120) == 2
    lines = [line for line in (tmp_path / "said").read_text().splitlines() if line.startswith("lens-modern: ")]
    assert lines == [f"lens-modern: the scheduler at {address} is gone; the same command goes on with what is finished"]
    assert "Traceback" not in (tmp_path / "said").read_text()
    kept = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.parquet")}
    assert kept
    assert main(command) == 0 and "going on: " in capsys.readouterr().err
    assert len(read_csv(out)) == N_STAMPS
