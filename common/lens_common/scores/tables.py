"""Score tables: CSV with id, path, fold, is_lens and score of each stamp, and JSON beside it with their origin.

A table in memory is a dict of rows by id, each row a dict of strings, as the file has them.
"""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from ..data.stamps import Stamps
from ..errors import UserError
from ..files import read_csv, write_csv, write_json
from ..runs import check_replaced

SCORE_COLUMNS = ("id", "path", "fold", "is_lens", "score")
Table = Dict[str, Dict[str, str]]


def write_scores(path: Path, data: Stamps, folds: np.ndarray, scores: np.ndarray, provenance: Dict[str, Any]) -> None:
    """Write the score table, and beside it where it comes from.

    Parameters
    ----------
    path : Path
        Ends in ``.csv``; the JSON takes its place.
    data : Stamps
        The stamps.
    folds : str array (N,)
        Of the run that scored them; empty for stamps that it does not know.
    scores : float array (N,), in [0, 1]
        Written so that they are read back to the last bit.
    provenance : dict
        For the JSON, beside folder and hash of the data, what was resampled, and the SHA-256 of the table.
    """
    labels = ["" if label < 0 else int(label) for label in data.labels]
    rows = zip(data.ids, data.paths, folds, labels, (repr(float(value)) for value in scores))
    write_csv(path, [dict(zip(SCORE_COLUMNS, row)) for row in rows], SCORE_COLUMNS)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    about = {"data": data.folder, "data_hash": data.data_hash, "n_stamps": len(scores), "sha256": digest, **provenance}
    write_json(path.with_suffix(".json"), {**about, **data.changes})


def read_scores(path: Path) -> Table:
    """Read a score table.

    Raises
    ------
    UserError
        If the file is not a score table, an id occurs twice, a score is not a number in [0, 1] or a label neither 0, 1
        nor empty.
    """
    try:
        rows = read_csv(path)
    except csv.Error as error:
        raise UserError(f"{path} is not a score table: {error}; name a CSV that `score` or `train` wrote") from error
    missing = [name for name in SCORE_COLUMNS if rows and name not in rows[0]]
    if missing or not rows:
        raise UserError(f"{path} is not a score table: it lacks {', '.join(missing) or 'rows'}; score the stamps again")
    table = {row["id"]: row for row in rows}
    if len(table) < len(rows):
        raise UserError(f"{path} holds {len(rows)} rows of {len(table)} ids; leave one row for each stamp")
    for stamp_id, row in table.items():
        try:
            value = float(row["score"])
        except (TypeError, ValueError):
            value = np.nan
        if not 0 <= value <= 1:
            raise UserError(f"{path}: the score of {stamp_id} is {row['score']!r}, not from 0 to 1; score it again")
        if row["is_lens"] not in ("", "0", "1"):
            raise UserError(f"{path}: is_lens of {stamp_id} is {row['is_lens']!r}; write 1, 0 or nothing")
    return table


def read_provenance(path: Path) -> Dict[str, Any]:
    """Read where a score table comes from, from the JSON beside it.

    Raises
    ------
    UserError
        If that is missing or damaged.
    """
    beside = path.with_suffix(".json")
    try:
        about = json.loads(beside.read_text())
        if not (isinstance(about["data_hash"], str) and isinstance(about["data"], str)):
            raise TypeError
        json.dumps(about, allow_nan=False)  # it is written again, beside the figure
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{beside}, which says what stamps {path} scores, is missing or damaged; "
            "keep the two files together, or score the stamps again"
        ) from error
    check_replaced(about.get("model_hash"), path)
    return about


def check_same_stamps(paths: Sequence[Path], tables: Sequence[Table], about: Sequence[Dict[str, Any]]) -> None:
    """Refuse two tables of other data, other ids or other labels.

    Raises
    ------
    UserError
        Naming the first that differs.
    """
    hashes = [row["data_hash"] for row in about]
    if hashes[0] != hashes[1]:
        raise UserError(
            f"{paths[0]} scores the data {hashes[0][:12]}, {paths[1]} the data {hashes[1][:12]}; "
            "score the same folder with both networks"
        )
    other = sorted(set(tables[0]) ^ set(tables[1]))
    if other:
        raise UserError(
            f"{len(other)} ids are in one of {paths[0]} and {paths[1]} only, {other[0]} the first; "
            "score the same stamps with both networks, with the same --filter"
        )
    relabelled = [key for key, row in tables[0].items() if row["is_lens"] != tables[1][key]["is_lens"]]
    if relabelled:
        raise UserError(
            f"{paths[0]} and {paths[1]} disagree on is_lens of {len(relabelled)} stamps, {relabelled[0]} the "
            "first; score the same folder with both networks"
        )


def comparable(paths: Sequence[Path], tables: Sequence[Table]) -> Tuple[List[str], Dict[str, int]]:
    """Choose the labelled stamps that neither of two networks has learned from.

    Returns
    -------
    ids : list of str
        One or more.
    left_out : dict
        ``n_trained_or_validated_on`` and ``n_unlabelled``: how many others there are.

    Raises
    ------
    UserError
        If none is left.
    """
    if not any(row["is_lens"] for row in tables[0].values()):
        raise UserError(
            f"{paths[0]} has no labels; score stamps of which lenses lie below lensed_outputs/, others below "
            "unlensed_outputs/"
        )
    learned = {key for table in tables for key, row in table.items() if row["fold"] in ("train", "validation")}
    unlabelled = {key for key, row in tables[0].items() if not row["is_lens"]} - learned
    ids = [key for key in tables[0] if key not in learned and key not in unlabelled]
    if not ids:
        raise UserError(
            f"{paths[0]} and {paths[1]} share no labelled stamp that neither network trained or validated on; "
            "score other data"
        )
    return ids, {"n_trained_or_validated_on": len(learned), "n_unlabelled": len(unlabelled)}
