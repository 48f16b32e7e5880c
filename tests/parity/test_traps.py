"""Every known mistake, planted in the modern twin, is seen by the parity tests: one that none sees is a hole."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from lens_modern.exercise.comparison import MOST, NULL_GRADIENT, ORDER, first_difference, part
from lens_modern.exercise.mistakes import MISTAKES

from .conftest import RECORD


@pytest.fixture(scope="module")
def trapped(pairs, folder, batches, tmp_path_factory):
    """Records of the modern side by trap."""
    place, jobs = tmp_path_factory.mktemp("trapped"), []
    for trap, mistake in MISTAKES.items():
        steps = {"resnet": "1", "cnn": "10"}[mistake.network]
        out = place / f"{trap}.npz"
        jobs.append(["modern", mistake.network, "float64", batches, out, "--steps", steps, "--trap", trap])
        if mistake.network == "cnn":  # a ResNet with a trap may have other weights, which would not fit
            jobs[-1] += ["--weights", folder / "cnn-float32.npz"]
    told = json.dumps([[str(part) for part in job] for job in jobs])
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # no threads, which a fork would lose
    command = [sys.executable, str(RECORD.with_name("trapped.py")), told]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return {trap: dict(np.load(place / f"{trap}.npz")) for trap in MISTAKES}


@pytest.mark.parametrize("trap", MISTAKES)
def test_the_trap_is_seen(pairs, trapped, trap):
    model, comparison = MISTAKES[trap].network, MISTAKES[trap].seen_by
    legacy, modern = pairs[model, "float64"][0], trapped[trap]
    # A short record has less to compare.
    compared = [name for name in ORDER if part(modern, name)]
    seen = [name for name in compared if first_difference(legacy, modern, name, MOST[name], NULL_GRADIENT)]
    assert seen and seen[0] == comparison, f"seen by {seen}"
