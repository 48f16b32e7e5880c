"""Stamps with the scores that two runs gave them: found, missed, mistaken, and where the two differ most."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lens_common.data.noise import median_and_noise
from lens_common.data.stamps import Stamps, load_stamps
from lens_common.drawing.stamps import colour_picture, describe_colours
from lens_common.errors import UserError
from lens_common.runs import read_stamps

from .page import Panel, Panels, picture
from .reading import ScoreSet, StoredRun

EACH = 3  # stamps of a kind
BRIGHTEST = 10  # times the noise: white


def stamps_with_scores(first: StoredRun, second: StoredRun, labels: Sequence[str], key: str) -> Panels | None:
    """Some stamps of the test fold of two runs; ``None`` where the stamps are not at hand or not shared.

    Parameters
    ----------
    first, second : StoredRun
        Of the same test fold.
    labels : pair of str
        What the two are called.
    key : str
        Of the gallery on its page.
    """
    sets = [run.sets["test"] for run in (first, second) if "test" in run.sets]
    if len(sets) < 2 or not np.array_equal(sets[0].ids, sets[1].ids):
        return None
    chosen = choose_rows(sets[0], sets[1])
    stamps = _stamps_of(first, [str(sets[0].ids[row]) for row, _ in chosen])
    if stamps is None:
        return None
    n_bands = stamps.pixels.shape[1]
    pixels, colours = (_stretched(stamps), "grey") if n_bands == 1 else (_in_colour(stamps), "rgb")
    panels: dict[str, list[tuple[str, str, str]]] = {}
    for (row, kind), stamp in zip(chosen, pixels):
        stamp_id, truth = str(sets[0].ids[row]), "lens" if sets[0].labels[row] else "non-lens"
        scores = ", ".join(f"{label} {values.scores[row]:.3f}" for label, values in zip(labels, sets))
        words = f"{stamp_id.rsplit('/', 1)[-1]}, {truth}: {scores}"
        panels.setdefault(kind, []).append((words, f"{truth} {stamp_id}", picture(stamp, colours)))
    note = f"Each stamp less its median, over its noise, white at {BRIGHTEST} times the noise; below it both scores."
    if n_bands > 1:
        note = f"Each stamp in colour, {describe_colours(n_bands, stamps.bands)}; below it both scores."
    return Panels(key, "Stamps with their scores", [Panel(*panel) for panel in panels.items()], note)


def choose_rows(first: ScoreSet, second: ScoreSet) -> list[tuple[int, str]]:
    """Rows of the stamps to be shown, each once, and why."""
    mean, apart = (first.scores + second.scores) / 2, np.abs(first.scores - second.scores)
    kinds = {
        "Lenses, highest scores": np.where(first.labels, -mean, np.inf),
        "Lenses, lowest scores": np.where(first.labels, mean, np.inf),
        "Non-lenses, highest scores": np.where(first.labels, np.inf, -mean),
        "Scores furthest apart": -apart,
    }
    chosen: dict[int, str] = {}
    for kind, order in kinds.items():
        rows = [int(row) for row in np.argsort(order, kind="stable") if np.isfinite(order[row]) and row not in chosen]
        chosen.update(dict.fromkeys(rows[:EACH], kind))
    return [*chosen.items()]


def _stamps_of(run: StoredRun, ids: Sequence[str]) -> Stamps | None:
    """Stamps of a run's data, if they are at hand and still those that it scored."""
    digests = {row["id"]: row["digest"] for row in read_stamps(run.path)}
    folder = Path(run.config["data"]["folder"])
    try:
        stamps = load_stamps(folder, bands=run.config["data"].get("chosen_bands")) if folder.is_dir() else None
    except UserError:
        stamps = None
    if stamps is None:
        return None
    row_of = {str(stamp_id): row for row, stamp_id in enumerate(stamps.ids)}
    rows = [row_of.get(stamp_id, -1) for stamp_id in ids]
    if any(row < 0 or stamps.digests[row] != digests.get(stamp_id) for row, stamp_id in zip(rows, ids)):
        return None
    return stamps[rows]


def _in_colour(stamps: Stamps) -> np.ndarray:
    """Stamps of several bands in colour, (N, H, W, 3) in [0, 1]."""
    return np.stack([colour_picture(stamp, stamps.bands) for stamp in stamps.pixels]) / 255


def _stretched(stamps: Stamps) -> np.ndarray:
    """Stamps of one band in [0, 1], (N, H, W)."""
    pixels = stamps.pixels
    median, noise = (values[:, 0, None, None] for values in median_and_noise(pixels))
    stretched = np.arcsinh((pixels[:, 0] - median) / np.where(noise > 0, noise, 1)) / np.arcsinh(BRIGHTEST)
    return 0.15 + 0.85 * stretched
