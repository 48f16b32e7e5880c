"""What happens to stamps before a network sees them: augmentation beside a training step, and mocks."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from bench.measure import Entry, Worker, alternate, entry
from lens_common.learning.augmentation import augment
from lens_common.mocks.writer import make_mocks

BATCH, N_MOCKS, RUNS = 128, 2000, 3


def measure() -> list[Entry]:
    """Augmentation, then mocks on one core and on two."""
    random_state = np.random.RandomState(0)
    stamps = random_state.normal(0, 1, (BATCH, 1, 45, 45)).astype(np.float32)
    worker = Worker("legacy")
    worker.ask("build")
    seconds = alternate({"augment": lambda: _augment(stamps, random_state), "step": lambda: worker.ask("train")}, RUNS)
    worker.end()
    allowed = 0.05 * seconds["step"]
    made = alternate({"one core": lambda: _make(1), "two cores": lambda: _make(2)}, RUNS)
    return [
        entry(
            "augmentation",
            1e3 * seconds["augment"],
            f"ms a batch of {BATCH}",
            f"5 % of the legacy ResNet's training step of {seconds['step']:.2f} s",
            allowed / seconds["augment"],
            RUNS,
        ),
        entry(
            "mocks two cores",
            1e3 * made["two cores"] / N_MOCKS,
            "ms a stamp",
            f"one core: {1e3 * made['one core'] / N_MOCKS:.2f} ms a stamp",
            made["one core"] / made["two cores"],
            RUNS,
        ),
    ]


def _augment(stamps: np.ndarray, random_state: np.random.RandomState) -> None:
    augment(stamps, random_state)


def _make(workers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        make_mocks(Path(folder) / "mocks", N_MOCKS, seed=1, workers=workers)
