"""Choose the mocks that the page shows, and have both twins map them: `panels.npz`.

    python -m experiments reproduction.gallery STUDY

For each pair of twins: the stamps on which they differ most, the most confident mistakes of the two, and lenses that
both find.  Each twin maps them in its own interpreter; only mocks are shown, at most 50.
"""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from experiments.runner import SIDES, Job, carry_out, run
from lens_common.files import write_arrays
from lens_common.scores.tables import Table, read_provenance, read_scores

SET = "mocks"
PAIRS = ("resnet-2000-mended", "resnet-2000-short-mended", "cnn-2000-mended")
MOST_PAIRS = 2
# Kind -> how many of each pair; what they are stands in `choose`.
KINDS = {"the twins differ most": 5, "non-lenses called lenses": 4, "lenses missed": 4, "lenses found": 5}


def choose(first: Table, second: Table) -> dict[str, list[str]]:
    """Ids by kind, each stamp once.

    Parameters
    ----------
    first, second : score tables of the same labelled stamps

    Returns
    -------
    dict of str to list of str
    """
    ids = np.array([*first])
    a, b = (np.array([float(table[stamp_id]["score"]) for stamp_id in ids]) for table in (first, second))
    lenses = np.array([first[stamp_id]["is_lens"] == "1" for stamp_id in ids])
    mean = (a + b) / 2
    orders = {
        "the twins differ most": np.argsort(-np.abs(a - b), kind="stable"),
        "non-lenses called lenses": np.argsort(-np.where(lenses, -1, mean), kind="stable"),
        "lenses missed": np.argsort(np.where(lenses, mean, 2), kind="stable"),
        # Spread over all that are found, not the easiest alone.
        "lenses found": _spread(np.flatnonzero(lenses & (mean > 0.5)), mean),
    }
    chosen: dict[str, list[str]] = {}
    for kind, n_stamps in KINDS.items():
        taken = sum(chosen.values(), [])
        chosen[kind] = [stamp_id for stamp_id in map(str, ids[orders[kind]]) if stamp_id not in taken][:n_stamps]
    return chosen


def _spread(rows: np.ndarray, mean: np.ndarray) -> np.ndarray:
    if len(rows) == 0:
        return rows
    ordered = rows[np.argsort(-mean[rows], kind="stable")]
    return ordered[np.unique(np.linspace(0, len(ordered) - 1, 3 * KINDS["lenses found"]).astype(int))][::3]


def make_gallery(study: Path) -> str:
    """Write ``panels.npz`` below the study; say how many stamps it holds: none where no pair of twins is finished."""
    pairs = [pair for pair in PAIRS if all(_table(study, pair, side).exists() for side in SIDES)][:MOST_PAIRS]
    columns: dict[str, list] = {}
    for pair in pairs:
        tables = [read_scores(_table(study, pair, side)) for side in SIDES]
        chosen = choose(*tables)
        ids = [stamp_id for kind in chosen for stamp_id in chosen[kind]]
        with ThreadPoolExecutor(len(SIDES)) as threads:
            mapped = dict(zip(SIDES, threads.map(partial(_mapped, study, pair, ids), SIDES)))
        new: dict[str, list] = {
            "pair": [pair] * len(ids),
            "kind": [kind for kind in chosen for _ in chosen[kind]],
            "id": ids,
            "is_lens": [tables[0][stamp_id]["is_lens"] == "1" for stamp_id in ids],
            "stamp": list(mapped["legacy"]["stamps"][:, 0].astype(np.float16)),
            **{f"score_{side}": [*mapped[side]["scores"]] for side in SIDES},
            **{f"map_{side}": list(mapped[side]["maps"].astype(np.float16)) for side in SIDES},
        }
        for key, values in new.items():
            columns.setdefault(key, []).extend(values)
    if not columns:
        return "no pair of twins yet"
    write_arrays(study / "panels.npz", columns)
    return f"{len(columns['id'])} stamps in {study}/panels.npz"


def _table(study: Path, pair: str, side: str) -> Path:
    return study / f"{pair}-{side}-seed1" / f"scores-{SET}.csv"


def _mapped(study: Path, pair: str, ids: list[str], side: str) -> dict[str, np.ndarray]:
    """Scores and maps of one twin, made in its interpreter."""
    table = _table(study, pair, side)
    with tempfile.TemporaryDirectory() as folder:
        names, out = Path(folder) / "ids.txt", Path(folder) / "maps.png"
        names.write_text("\n".join(ids) + "\n")
        arguments = ["maps", read_provenance(table)["data"], "--run", table.parent, "--ids", names, "--out", out]
        run(Job(f"the maps of {table.parent}", side, f"lens_{side}.cli", arguments))
        with np.load(out.with_suffix(".npz"), allow_pickle=False) as stored:
            return dict(stored)


main = partial(carry_out, "gallery", __doc__, {"study": {"type": Path}}, make_gallery)
