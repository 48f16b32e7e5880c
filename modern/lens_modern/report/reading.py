"""Run directories as a report sees them: read, checked against themselves, and never written.

A run may lie as `train` left it, or as the reproduction keeps it: the same small files, its score tables put
together in ``scores.csv.gz`` (set, id, is_lens, score) and ``scores.json``.
"""

import csv
import gzip
import hashlib
import io
import json
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lens_common.data.catalogue import read_catalogue
from lens_common.errors import UserError
from lens_common.files import read_csv, short_names
from lens_common.runs import FIRST_METRICS, load_weights, model_hash, read_config, read_environment
from lens_common.scores.metrics import auroc, auroc_interval, evaluate_scores
from lens_common.scores.tables import Table, read_provenance, read_scores

# Sets of a run's own data, by fold; further tables scores-NAME.csv are sets named NAME.
OWN_SETS = ("validation", "test")
PARAMETERS = ("einstein_radius", "snr")
# Between the libraries of two interpreters the last digits of an interval may differ.
METRIC_TOLERANCE = 1e-6
# The network scored its validation stamps twice, in batches of other sizes.
HISTORY_TOLERANCE = 2e-3


@dataclass(frozen=True, eq=False)
class ScoreSet:
    """Scores of labelled stamps that the network did not learn from.

    Attributes
    ----------
    ids : str array (N,)
    labels : bool array (N,)
        True for a lens.
    scores : float64 array (N,), in [0, 1]
    data_hash : str
        Of all stamps of the score table.
    parameters : dict of str to float array (N,)
        ``einstein_radius`` [arcsec] and ``snr``, where the catalogue of the data is at hand.
    """

    ids: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    data_hash: str
    parameters: Mapping[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def area(self) -> tuple[float, float, float]:
        """AUROC with the ends of its interval; both classes are needed."""
        return auroc(self.labels, self.scores), *auroc_interval(self.labels, self.scores)


@dataclass(frozen=True, eq=False)
class StoredRun:
    """A finished training, with all that a report says of it.

    Attributes
    ----------
    name : str
        Of its folder, or more of the path where two have one name.
    path : Path
    config, environment, metrics : dict
        As stored.
    history : list of dict
        One row an epoch, numbers or ``None``.
    sets : dict of str to ScoreSet
        ``validation`` and ``test``, and those of further score tables.
    """

    name: str
    path: Path
    config: dict[str, Any]
    environment: dict[str, Any]
    metrics: dict[str, Any]
    history: list[dict[str, float | None]]
    sets: dict[str, ScoreSet]

    @property
    def framework(self) -> str:
        """``legacy`` or ``modern``."""
        return str(self.config["framework"])

    @property
    def seconds(self) -> float:
        """Of all epochs."""
        return sum(row["seconds"] or 0.0 for row in self.history)

    @property
    def stamps_per_second(self) -> float:
        """Stamps trained on, over the seconds of all epochs; `seconds` must be above 0."""
        data, settings = self.config["data"], self.config["settings"]
        # A run that does not say so trained on all stamps that it did not hold back; with this defect on those too.
        held = () if "validate_on_train" in self.config["defects"] else OWN_SETS
        n_held = sum(len(self.sets[name].ids) for name in held if name in self.sets)
        n_trained = data.get("n_trained", data["n_stamps"] - n_held)
        batch = settings["batch_size"] if settings.get("drop_tail") else 1
        return n_trained // batch * batch * len(self.history) / self.seconds

    @cached_property
    def computed_metrics(self) -> dict[str, Any]:
        """Every metric of the fold that judges the run, from its scores, those included that are newer than the run.

        Raises
        ------
        UserError
            If the scores are missing or cannot be evaluated.
        """
        fold = str(self.metrics.get("fold") or "test")
        if fold not in self.sets:
            raise UserError(f"{self.path} holds no scores of its {fold} fold; run the same train command to write them")
        judged = self.sets[fold]
        try:
            return evaluate_scores(judged.labels, judged.scores, float(self.metrics.get("threshold", 0.5)))
        except (TypeError, ValueError) as error:
            raise UserError(f"{self.path}: the {fold} fold cannot be evaluated: {error}") from error

    @cached_property
    def recipe(self) -> str:
        """All that settles a training but its framework and its seed, as a key."""
        return json.dumps([_recipe(self.config), self.config["data"]["hash"]], sort_keys=True)


def _recipe(config: Mapping[str, Any]) -> dict[str, Any]:
    return {**{key: config.get(key) for key in ("mode", "model", "defects", "filter")}, **config["settings"]}


def read_runs(paths: Iterable[Path], parameters: Mapping[str, Table] | None = None) -> tuple[list[StoredRun], dict]:
    """Read and check many runs; a bad one is set aside with its reason.

    Parameters
    ----------
    paths : iterable of Path
        Run directories.
    parameters : dict of str to table, optional
        For each set, rows by id with `PARAMETERS`; by default the catalogue of the data is asked.

    Returns
    -------
    runs : list of StoredRun
        In the order given.
    left_out : dict of str to str
        Path of a run to the sentence that says why.

    Raises
    ------
    UserError
        If no run is left.
    """
    paths = [Path(path) for path in paths]
    names = short_names(paths)
    runs, left_out = [], {}
    models: dict[tuple[str, ...], StoredRun] = {}
    _catalogue_of.cache_clear()  # stamps may have come or gone since
    for path, name in zip(paths, names):
        try:
            run = read_run(path, name, parameters)
            check_run(run)
            model = str(run.metrics.get("model_hash") or path)
            same = models.setdefault((run.framework, run.recipe, model), run)
            if same is not run:
                raise UserError(f"{path} holds the same model as {same.path}, which counts once; name one of them")
            runs.append(run)
        except UserError as error:
            left_out[str(path)] = str(error)
        except OSError as error:
            left_out[str(path)] = f"{error.filename or path}: {error.strerror or error}; mend it or leave the run out"
    if not runs:
        first = next(iter(left_out.values()), "name the run directories of finished trainings")
        raise UserError(f"no run to report of: {first}")
    return runs, left_out


def read_run(path: Path, name: str = "", parameters: Mapping[str, Table] | None = None) -> StoredRun:
    """Read one run.

    Raises
    ------
    UserError
        If it is not a run, its training has not ended, or its scores are missing or none.
    """
    config = read_config(path)
    if "scaling" not in config:
        raise UserError(f"the training in {path} has not ended; run the same train command to end it")
    _check_config(config, path)
    metrics = _read_json(path / "metrics.json", "evaluate the run again")
    history = [{key: _number(value) for key, value in row.items()} for row in _read_rows(path / "history.csv")]
    sets = _stored_sets(path) if (path / "scores.csv.gz").exists() else _own_sets(path)
    known = {key: _with_parameters(values, (parameters or {}).get(key)) for key, values in sets.items()}
    return StoredRun(name or path.name, path, config, read_environment(path), metrics, history, known)


def _check_config(config: Mapping[str, Any], path: Path) -> None:
    """Refuse settings that lack what a report says of a run."""
    needed = {"framework": str, "model": str, "seed": int, "settings": dict, "defects": list, "data": dict}
    wrong = [key for key, kind in needed.items() if not isinstance(config.get(key), kind)]
    wrong += ["mode"] if not isinstance(config.get("mode", ""), str) else []
    if not wrong:
        of_data = {"folder": str, "hash": str, "n_stamps": int}
        wrong = [f"data.{key}" for key, kind in of_data.items() if not isinstance(config["data"].get(key), kind)]
        wrong += ["defects"] if not all(isinstance(name, str) for name in config["defects"]) else []
    if wrong:
        raise UserError(f"{path / 'config.json'} lacks a good {wrong[0]}; take it from a copy of the run")


def _read_json(path: Path, fix: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
        if not isinstance(found, dict):
            raise ValueError("it holds no object")
        return found
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is missing or damaged ({error}); {fix}") from error


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        rows = read_csv(path)
    except (OSError, csv.Error) as error:
        raise UserError(f"{path} is missing or damaged ({error}); take it from a copy of the run") from error
    if not rows or "loss" not in rows[0] or "seconds" not in rows[0] or any(None in row for row in rows):
        raise UserError(f"{path} is not the history of a training; take it from a copy of the run")
    return rows


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _own_sets(path: Path) -> dict[str, ScoreSet]:
    """Sets of a run as `train` and `score` leave it."""
    if not (path / "scores.csv").exists():
        raise UserError(f"{path} holds no scores.csv; run the same train command to write it")
    found = {}
    weights = load_weights(path / "weights.npz") if (path / "weights.npz").exists() else None
    expected = model_hash(weights, read_config(path)["scaling"]) if weights else None
    for table_path in [path / "scores.csv", *sorted(path.glob("scores-*.csv"))]:
        if table_path.stem.endswith("-rejected"):
            continue
        table, about = read_scores(table_path), read_provenance(table_path)
        _check_digest(table_path.read_bytes(), about, table_path)
        if about.get("n_stamps", len(table)) != len(table):
            raise UserError(
                f"{table_path} holds {len(table)} stamps, its JSON says {about['n_stamps']}; score the stamps again"
            )
        if expected and about.get("model_hash") != expected:
            raise UserError(
                f"{table_path} was scored by the model {str(about.get('model_hash'))[:12]}, "
                f"the weights beside it are {expected[:12]}; score the stamps again"
            )
        known = {key: row for key, row in table.items() if row["is_lens"]}
        if table_path.stem == "scores":
            for fold in OWN_SETS:
                rows = {key: row for key, row in known.items() if row["fold"] == fold}
                if rows:
                    found[fold] = _score_set(rows, about["data_hash"])
        else:
            rows = {key: row for key, row in known.items() if row["fold"] not in ("train", "validation")}
            if rows:
                parameters = _catalogue_of(Path(about["data"]))
                found[table_path.stem.removeprefix("scores-")] = _with_parameters(
                    _score_set(rows, about["data_hash"]), parameters
                )
    if "test" in found:
        folder = Path(read_config(path)["data"]["folder"])
        found["test"] = _with_parameters(found["test"], _catalogue_of(folder))
    return found


def _stored_sets(path: Path) -> dict[str, ScoreSet]:
    """Sets of a run as the reproduction keeps it."""
    about = _read_json(path / "scores.json", "take it from a copy of the run")
    tables: dict[str, Table] = {}
    try:
        content = gzip.decompress((path / "scores.csv.gz").read_bytes())
        _check_digest(content, about, path / "scores.csv.gz")
        with io.StringIO(content.decode(), newline="") as file:
            for row in csv.DictReader(file):
                value = float(row["score"])
                if not 0 <= value <= 1 or row["is_lens"] not in ("0", "1"):
                    raise ValueError(f"the row of {row['id']} holds {row['score']!r} and {row['is_lens']!r}")
                tables.setdefault(row["set"], {})[row["id"]] = row
        return {name: _score_set(rows, str(about["sets"][name]["data_hash"])) for name, rows in tables.items()}
    except UserError:
        raise
    except (OSError, EOFError, KeyError, TypeError, ValueError, zlib.error, csv.Error) as error:
        raise UserError(f"{path / 'scores.csv.gz'} is damaged: {error}; take it from a copy of the run") from error


def _check_digest(content: bytes, about: Mapping[str, Any], path: Path) -> None:
    """Refuse a table that is not the one that its JSON was written beside."""
    if about.get("sha256", found := hashlib.sha256(content).hexdigest()) != found:
        raise UserError(
            f"{path} is not the table that {path.name.split('.')[0]}.json was written for: its SHA-256 is "
            f"{found[:12]}, not {str(about['sha256'])[:12]}; score the stamps again"
        )


def _score_set(rows: Table, data_hash: str) -> ScoreSet:
    return ScoreSet(
        np.array([*rows]),
        np.array([row["is_lens"] == "1" for row in rows.values()]),
        np.array([float(row["score"]) for row in rows.values()]),
        data_hash,
    )


@lru_cache(maxsize=8)  # runs of one study share their stamps
def _catalogue_of(folder: Path) -> Table:
    """Rows by id of the catalogue of a data set; none where it is not at hand."""
    try:
        catalogue = read_catalogue(folder)
        names = [name for name in PARAMETERS if name in catalogue.colnames]
        columns = [np.ma.filled(catalogue[name].astype(float), np.nan) for name in names]
    except (UserError, OSError, TypeError, ValueError):
        return {}
    return {
        str(stamp_id): {name: str(value) for name, value in zip(names, values)}
        for stamp_id, *values in zip(catalogue["id"], *columns)
    }


def _with_parameters(values: ScoreSet, table: Table | None) -> ScoreSet:
    if not table:
        return values
    rows = [table.get(stamp_id, {}) for stamp_id in values.ids]
    found = {name: np.array([_number(row.get(name)) or np.nan for row in rows]) for name in PARAMETERS}
    found = {name: column for name, column in found.items() if np.isfinite(column).any()}
    return ScoreSet(values.ids, values.labels, values.scores, values.data_hash, found)


def check_run(run: StoredRun) -> None:
    """Check that the files of a run tell one story.

    Raises
    ------
    UserError
        If the model that was measured is not the one that scored, the metrics stored are not those of the scores
        stored, or the last epoch saw other validation scores.
    """
    scored = _read_json(run.path / "scores.json", "keep it beside the scores")
    if run.metrics.get("model_hash") != scored.get("model_hash"):
        raise UserError(
            f"{run.path}: metrics.json is of the model {str(run.metrics.get('model_hash'))[:12]}, "
            f"the scores are of {str(scored.get('model_hash'))[:12]}; evaluate the run again"
        )
    if scored.get("model") != run.config["model"]:
        raise UserError(f"{run.path}: a {scored.get('model')} scored, the run is a {run.config['model']}")
    for key, value in run.computed_metrics.items():
        stored = run.metrics.get(key)
        if (key in run.metrics or key in FIRST_METRICS) and not _alike(stored, value):
            raise UserError(
                f"{run.path}: metrics.json says {key} {stored}, its scores say {value}; evaluate the run again"
            )
    _check_history(run)


def _alike(stored: Any, value: float | None) -> bool:
    if value is None or not isinstance(stored, (int, float)):
        return stored is value
    return abs(stored - value) <= METRIC_TOLERANCE


def _check_history(run: StoredRun) -> None:
    """The AUROC that the last epoch saw on the validation stamps is that of the validation scores."""
    last = run.history[-1].get("validation_auroc")
    held = run.sets.get("validation")
    # With these the network is not the last epoch's, or other pixels were watched.
    watched_others = "class_overwrite" in run.config["defects"]
    if last is None or held is None or run.config["settings"].get("patience") or watched_others:
        return
    if held.labels.all() or not held.labels.any():
        return
    found = auroc(held.labels, held.scores)
    if not math.isclose(found, last, abs_tol=HISTORY_TOLERANCE):
        raise UserError(
            f"{run.path}: history.csv ends with a validation AUROC of {last:.4f}, its scores have {found:.4f}; "
            "they are of two trainings"
        )


def check_same_data(first: StoredRun, second: StoredRun, name: str) -> None:
    """Refuse to compare two runs on sets of other stamps or labels.

    Raises
    ------
    UserError
        Naming what differs.
    """
    sets = [run.sets[name] for run in (first, second)]
    if sets[0].data_hash != sets[1].data_hash or not np.array_equal(sets[0].ids, sets[1].ids):
        raise UserError(
            f"{first.name} scored {len(sets[0].ids)} stamps of the data {sets[0].data_hash[:12]} as {name}, "
            f"{second.name} {len(sets[1].ids)} of {sets[1].data_hash[:12]}; score the same folder with both"
        )
    if not np.array_equal(sets[0].labels, sets[1].labels):
        raise UserError(f"{first.name} and {second.name} disagree on the labels of {name}; score it again with both")
