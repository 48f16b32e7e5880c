"""The rendering of mocks against lenstronomy: seconds and errors in one run, at equal accuracy and at 3 x 3 points."""

from __future__ import annotations

import sys
import time
from typing import Any, Callable, Iterable, Sequence

import numpy as np

from bench.measure import Entry, alternate, entry
from experiments.runner import module_of_tests
from lens_common.mocks.prior import PRIOR
from lens_common.mocks.rendering import render
from lens_common.mocks.simulator import draw_scene

N_SCENES, REFERENCE_POINTS, RUNS = 50, 16, 5  # scenes of each class; points a side
# lenstronomy needs a larger frame to be right at the edges; it is timed without.
MARGIN_PIXELS = 6
# With the seeing on whole pixels lenstronomy stays off by 0.7 sigma with any number of points.
POINTS = (3, 5, 7, 9, 11, 13)
lenstronomy_counts = module_of_tests("common", "lenstronomy_oracle").lenstronomy_counts


def measure() -> list[Entry]:
    """Errors first, then seconds at equal accuracy."""
    scenes = [draw_scene(np.random.RandomState([s, c]), bool(c))[0] for c in (0, 1) for s in range(N_SCENES)]
    is_lens = np.arange(len(scenes)) >= N_SCENES
    reference = [lenstronomy_counts(scene, REFERENCE_POINTS, MARGIN_PIXELS) for scene in scenes]
    ours = np.stack(render(scenes), axis=1)
    worst = _worst_pixels(ours, reference)
    for name, chosen in (("lenses", is_lens), ("non-lenses", ~is_lens)):
        flux = [abs(a.sum() / b.sum() - 1.0) for a, b, keep in zip(ours, reference, chosen) if keep]
        _say(
            f"{name}: worst pixel {np.median(worst[chosen]):.3f} sigma in the median, {worst[chosen].max():.3f} at most"
        )
        _say(f"{name}: flux off by {100 * np.median(flux):.2f} % in the median, {100 * max(flux):.2f} % at most")

    errors = {}
    for points in POINTS:
        theirs = [lenstronomy_counts(scene, points, MARGIN_PIXELS) for scene in scenes]
        errors[points] = _worst_pixels(theirs, reference).max()
        _say(f"lenstronomy, {points} x {points} points: {errors[points]:.3f} sigma at most")
        if errors[points] <= worst.max():
            break

    seconds = alternate(
        {
            "ours": lambda: _busy_seconds(lambda scene: render([scene]), scenes),
            "equal": lambda: _busy_seconds(lambda scene: lenstronomy_counts(scene, points, 0), scenes),
            "3 x 3": lambda: _busy_seconds(lambda scene: lenstronomy_counts(scene, 3, 0), scenes),
        },
        RUNS,
    )
    milliseconds = {name: 1e3 * value / len(scenes) for name, value in seconds.items()}
    return [
        entry(
            f"rendering, {what}",
            milliseconds["ours"],
            "ms a stamp, 1 core",
            f"lenstronomy, {side} x {side} points: {milliseconds[name]:.1f} ms; "
            f"worst pixel {worst.max():.3f} sigma against {errors[side]:.3f}",
            milliseconds[name] / milliseconds["ours"],
            RUNS,
            f", numpy {np.__version__}",
        )
        for what, name, side in (("equal accuracy", "equal", points), ("3 x 3 points", "3 x 3", 3))
    ]


def _busy_seconds(function: Callable[[Any], object], scenes: Sequence[Any]) -> float:
    """Of the processor, which the work of others lengthens less than that of the clock; all of it is on one core."""
    start = time.process_time()
    for scene in scenes:
        function(scene)
    return time.process_time() - start


def _worst_pixels(counts: Iterable[np.ndarray], reference: Sequence[np.ndarray]) -> np.ndarray:
    """Of each stamp, in units of the darkest sky's sigma."""
    sigma = PRIOR.sky_sigma_quantiles_counts[0]
    return np.array([np.abs((a - b).sum(axis=0)).max() / sigma for a, b in zip(counts, reference)])


def _say(sentence: str) -> None:
    print(f"  {sentence}", file=sys.stderr, flush=True)
