"""What the parity tests share: records of both twins, each written by its own interpreter."""

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lens_common.data.stamps import load_stamps
from lens_common.files import cache_folder
from lens_common.learning.scaling import make_scaling
from lens_common.mocks.writer import make_mocks

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "tests/parity/record.py"
PYTHON = {"legacy": ROOT / ".venv-legacy/bin/python", "modern": Path(sys.executable)}
N_BATCHES, BATCH = 10, 16
# More steps in float32, where rounding grows from step to step.
STEPS = {"float32": 50, "float64": 10}


@pytest.fixture(scope="session")
def folder():
    """Where records are kept: under the state of every source that they depend on."""
    sources = [*ROOT.glob("common/lens_common/**/*.py"), *ROOT.glob("legacy/lens_legacy/*.py"), RECORD, Path(__file__)]
    state = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()[:16]
    return cache_folder(f"parity/{state}")


@pytest.fixture(scope="session")
def batches(folder):
    """Ten batches of sixteen mocks, over their noise; in the first of each a patch of pixels ties in the pooling."""
    path = folder / "batches.npz"
    if not path.exists():
        data = load_stamps(make_mocks(folder / "mocks", N_BATCHES * BATCH, seed=11))
        order = np.random.RandomState(0).permutation(len(data.ids))
        stamps = make_scaling("sigma").fit(data.pixels).transform(data.pixels)[order]
        stamps[::BATCH, :, 8:20, 8:20] = 3
        labels = (data.labels[order] == 1).astype(np.float32)
        np.savez(path, stamps=stamps.reshape(N_BATCHES, BATCH, 1, 45, 45), labels=labels.reshape(N_BATCHES, BATCH))
    return path


def record(side, model, dtype, batches, out, *options, worker=None):
    """Let one side write its record, in a process of its own or in a worker; return it."""
    if not out.exists():
        temporary = out.with_suffix(".partial.npz")
        work = [RECORD, side, model, dtype, batches, temporary, *options]
        if worker:
            worker.do(*work)
        else:
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # two records are written at a time
            command = [str(part) for part in (PYTHON[side], *work)]
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            assert done.returncode == 0, done.stderr[-3000:]
        temporary.rename(out)
    with np.load(out) as stored:
        return {name: stored[name] for name in stored.files}


@pytest.fixture(scope="session")
def pairs(folder, batches, legacy_workers, tmp_path_factory):
    """Records of both sides by model and precision; the modern one's trained weights are the legacy one's."""
    fresh = tmp_path_factory.mktemp("records")

    def both(model):
        records = {}
        trained = folder / f"{model}-float32.npz"  # ten steps in float64 leave a ResNet saturated
        for dtype, steps in STEPS.items():
            out, options = folder / f"{model}-{dtype}.npz", ["--steps", str(steps)]
            given = [] if out == trained else ["--weights", trained]
            legacy = record("legacy", model, dtype, batches, out, *options, *given, worker=legacy_workers[dtype])
            modern = record("modern", model, dtype, batches, fresh / out.name, *options, "--weights", trained)
            records[model, dtype] = legacy, modern
        return records

    with ThreadPoolExecutor(2) as pool:
        resnet, cnn = pool.map(both, ("resnet", "cnn"))
    return {**resnet, **cnn}
