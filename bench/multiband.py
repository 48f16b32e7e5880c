"""Mocks in three bands: milliseconds a whole stamp, noise included, against lenstronomy's rendering alone."""

from __future__ import annotations

import time
from typing import Callable

import numpy as np

from bench.measure import Entry, alternate, entry
from experiments.runner import module_of_tests
from lens_common.mocks import multiband
from lens_common.mocks.multiband_prior import LSST_GRI, LSST_GRI_CONTROLLED, MultibandPrior

N_STAMPS, POINTS, RUNS = 60, 3, 5  # of each class; points a side of lenstronomy, which is off in the cores with so few
oracle = module_of_tests("common", "lenstronomy_oracle")
of_band = oracle.of_band


def measure() -> list[Entry]:
    """Time each class of each population, and lenstronomy's three images of the same lenses."""
    scenes = []
    for seed in range(N_STAMPS):
        random = np.random.RandomState([seed, 1])
        scenes.append(multiband._draw_controlled(random, multiband._draw_lens(random, LSST_GRI), LSST_GRI))

    def theirs() -> None:
        for scene in scenes:
            for band in range(scene.n_bands):
                oracle.lenstronomy_counts(of_band(scene, band), POINTS, 0)

    seconds = alternate(
        {
            "lens": _busy(lambda: _simulate(True, LSST_GRI)),
            "survey": _busy(lambda: _simulate(False, LSST_GRI)),
            "controlled": _busy(lambda: _simulate(False, LSST_GRI_CONTROLLED)),
            "lenstronomy": _busy(theirs),
        },
        RUNS,
    )
    milliseconds = {name: 1e3 * value / N_STAMPS for name, value in seconds.items()}
    kinds = {"lens": "lens", "survey": "non-lens, lsst-gri", "controlled": "non-lens, lsst-gri-controlled"}
    against = f"lenstronomy, {POINTS} x {POINTS} points, lenses: {milliseconds['lenstronomy']:.1f} ms"
    return [
        entry(
            f"three bands, {what}",
            milliseconds[name],
            "ms a stamp, 1 core",
            against,
            milliseconds["lenstronomy"] / milliseconds[name],
            RUNS,
            f", numpy {np.__version__}",
        )
        for name, what in kinds.items()
    ]


def _simulate(is_lens: bool, prior: MultibandPrior) -> None:
    for seed in range(N_STAMPS):
        multiband.simulate_multiband_stamp(seed, is_lens, prior)


def _busy(work: Callable[[], None]) -> Callable[[], float]:
    """Processor seconds of some work, which others on the machine lengthen less than those of the clock."""

    def timed() -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return timed
