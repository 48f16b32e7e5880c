"""Choose the mocks that the page shows, and have both twins map them: `panels.npz`.

    gallery.py STUDY

For each pair of twins: the stamps on which they differ most, the most confident mistakes of the two, and lenses that
both find.  Each twin maps them in its own interpreter; only mocks are shown, at most 50.
"""

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from lens_common.errors import UserError
from lens_common.files import write_arrays
from lens_common.scores.tables import Table, read_provenance, read_scores

ROOT = Path(__file__).resolve().parents[2]
SET = "mocks"
PAIRS = ("resnet-2000-mended", "resnet-2000-short-mended", "cnn-2000-mended")
MOST_PAIRS = 2
SIDES = ("legacy", "modern")
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
    taken: set[str] = set()
    for kind, n_stamps in KINDS.items():
        free = [str(stamp_id) for stamp_id in ids[orders[kind]] if stamp_id not in taken]
        chosen[kind] = free[:n_stamps]
        taken |= set(chosen[kind])
    return chosen


def _spread(rows: np.ndarray, mean: np.ndarray) -> np.ndarray:
    if len(rows) == 0:
        return rows
    ordered = rows[np.argsort(-mean[rows], kind="stable")]
    return ordered[np.unique(np.linspace(0, len(ordered) - 1, 3 * KINDS["lenses found"]).astype(int))][::3]


def make_gallery(study: Path) -> int:
    """Write ``panels.npz`` below the study; return the number of stamps, 0 where no pair of twins is finished."""
    pairs = [pair for pair in PAIRS if all(_table(study, pair, side).exists() for side in SIDES)][:MOST_PAIRS]
    columns: dict[str, list] = {key: [] for key in ("pair", "kind", "id", "is_lens", "stamp")}
    columns.update({f"{what}_{side}": [] for what in ("score", "map") for side in SIDES})
    for pair in pairs:
        tables = [read_scores(_table(study, pair, side)) for side in SIDES]
        chosen = choose(*tables)
        ids = [stamp_id for kind in chosen for stamp_id in chosen[kind]]
        columns["pair"] += [pair] * len(ids)
        columns["kind"] += [kind for kind in chosen for _ in chosen[kind]]
        columns["id"] += ids
        columns["is_lens"] += [tables[0][stamp_id]["is_lens"] == "1" for stamp_id in ids]
        with ThreadPoolExecutor(len(SIDES)) as threads:
            mapped = [*threads.map(partial(_mapped, study, pair, ids), SIDES)]
        for side, found in zip(SIDES, mapped):
            columns[f"score_{side}"] += [*found["scores"]]
            columns[f"map_{side}"] += [*found["maps"]]
        columns["stamp"] += [*mapped[0]["stamps"][:, 0]]
    if columns["id"]:
        small = {"stamp", "map_legacy", "map_modern"}
        write_arrays(
            study / "panels.npz",
            {key: np.array(values, np.float16 if key in small else None) for key, values in columns.items()},
        )
    return len(columns["id"])


def _table(study: Path, pair: str, side: str) -> Path:
    return study / f"{pair}-{side}-seed1" / f"scores-{SET}.csv"


def _mapped(study: Path, pair: str, ids: list[str], side: str) -> dict[str, np.ndarray]:
    """Scores and maps of one twin, made in its interpreter."""
    table = _table(study, pair, side)
    with tempfile.TemporaryDirectory() as folder:
        names, out = Path(folder) / "ids.txt", Path(folder) / "maps.png"
        names.write_text("\n".join(ids) + "\n")
        command = [ROOT / f".venv-{side}" / "bin" / f"lens-{side}", "maps", read_provenance(table)["data"]]
        command += ["--run", table.parent, "--ids", names, "--out", out]
        if subprocess.run(list(map(str, command))).returncode:
            raise UserError(f"no maps of {table.parent}; the lines above say why")
        with np.load(out.with_suffix(".npz"), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}


def main(arguments: list[str] | None = None) -> int:
    """Make the gallery; 0, or 2 for a mistake."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("study")
    options = parser.parse_args(arguments)
    try:
        n_stamps = make_gallery(Path(options.study))
    except UserError as error:
        print(f"gallery: {error}", file=sys.stderr)
        return 2
    print(f"gallery: {n_stamps} stamps in {options.study}/panels.npz" if n_stamps else "gallery: no pair of twins yet")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
