"""Whole trainings, scorings and evaluations: what the verbs do, as functions that return what they found."""

import logging
import resource
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from ._version import __version__
from .data.domain import describe_stamps, match_bands, match_stamps, scale_warnings, subtract_sky, unit_warnings
from .data.folds import assign_folds, hash_fraction
from .data.quality import apply_filter, describe_filter, flag_stamps, measure_quality
from .data.stamps import Stamps
from .errors import UserError
from .files import cache_folder, exclusive, write_arrays, write_csv, write_json
from .learning.classifier import LensClassifier
from .learning.presets import PRESETS, defective_folds
from .learning.protocol import NetworkShape
from .learning.scaling import scaling_to_dict
from .learning.training import Catching, TrainingSettings, not_catching
from .mocks.prior import PRIOR, Prior, prior_hash
from .mocks.writer import SIMULATOR_VERSION, make_mocks
from .runs import (
    RUN_FORMAT,
    STAMP_COLUMNS,
    describe_environment,
    is_shipped,
    read_config,
    read_domain,
    read_environment,
    read_stamps,
    write_rejected,
)
from .scores.metrics import evaluate_scores
from .scores.tables import write_scores

LOG = logging.getLogger(__name__)
Filter = Optional[Mapping[str, float]]


@dataclass(frozen=True)
class Evaluation:
    """Scores of labelled stamps, and what they are worth.

    Attributes
    ----------
    stamps : Stamps
        That were scored.
    labels : bool array (N,)
    scores : float64 array (N,), in [0, 1]
    fold : str
        Of the run, which the stamps are; empty for other data.
    metrics : dict
        As stored in ``metrics.json``.
    """

    stamps: Stamps
    labels: np.ndarray
    scores: np.ndarray
    fold: str
    metrics: Dict[str, Any]

    @property
    def suffix(self) -> str:
        """What tells the files of other data from those of the run's own."""
        return "" if self.fold else f"-{self.stamps.data_hash[:12]}"


def default_mocks(n_stamps: int, seed: int, priors: Sequence[Prior] = (PRIOR,)) -> Path:
    """Mocks to train on, made once and kept by number, seed, priors and simulator version."""
    folder = cache_folder("mocks") / f"{n_stamps}-seed{seed}-{prior_hash(*priors)}-v{SIMULATOR_VERSION}"
    LOG.info(f"{n_stamps} mocks of seed {seed}, made once and kept in {folder}")
    with exclusive(folder.with_suffix(".lock"), wait=True):
        return make_mocks(folder, n_stamps, seed=seed, prior=priors, verbose=True)


def check_new(run: Path, classifier: LensClassifier, thresholds: Filter = None) -> None:
    """Let a run continue or begin; refuse one of other settings.

    Raises
    ------
    UserError
        If the folder holds a run of other settings, or other files.
    """
    if not (run / "config.json").exists():
        # A lock, or a file that was being written when a training was killed, is nobody's.
        if run.is_dir() and not all(path.name.startswith(".") for path in run.iterdir()):
            raise UserError(f"{run} holds other files; choose an empty or a new folder for `out`")
        return
    config, plan = read_config(run), _plan(classifier, thresholds)
    changed = [key for key in plan if config.get(key) != plan[key]]
    if changed == ["settings"]:
        there, here = config["settings"], plan["settings"]
        changed = [f"{key} ({there[key]}, not {here[key]})" for key in here if there[key] != here[key]]
    if changed:
        raise UserError(f"{run} holds a run with other {', '.join(changed)}; choose another `out`")


def check_batch(settings: TrainingSettings, n_stamps: int) -> None:
    """Refuse a batch that a data set cannot fill, before hours are spent on it.

    Raises
    ------
    UserError
        Naming both numbers.
    """
    if settings.batch_size > n_stamps:
        raise UserError(
            f"a batch of {settings.batch_size} is larger than the {n_stamps} stamps there are; "
            "lower `batch_size` or add stamps"
        )


def train_run(
    classifier: LensClassifier,
    stamps: Stamps,
    run: Union[str, Path],
    thresholds: Filter = None,
    threshold: float = 0.5,
    catching: Catching = not_catching,
    at_most: bool = True,
) -> Evaluation:
    """Train on the folds of a data set, score what was held back, and leave a run directory.

    Parameters
    ----------
    classifier : LensClassifier
        Of either twin, with its settings; a checkpoint in the run is added to it.
    stamps : Stamps
        Labelled ones count.
    run : str or Path
        Run directory; one that was begun with the same settings and data is continued.
    thresholds : dict, optional
        Of the bad-image filter: learn from no flagged stamp.
    threshold : float
        In [0, 1]; a score above it is called a lens.
    catching : callable, optional
        See `lens_common.learning.training.train_network`.
    at_most : bool
        Take no more stamps than the preset says, where it does.

    Returns
    -------
    Evaluation
        Of the test fold, or of the validation stamps where a defect left none.

    Raises
    ------
    UserError
        If the data lack a class or labels, or the folder holds another run.
    """
    run = Path(run)
    check_new(run, classifier, thresholds)
    stamps = labelled(stamps)
    preset = PRESETS[classifier.preset]
    if at_most and preset.at_most:
        stamps = balanced(stamps, preset.n_stamps)
    check_batch(classifier.training_settings(), len(stamps))
    folds = defective_folds(assign_folds(stamps.ids, classifier.seed), classifier.resolved_defects())
    if thresholds:
        stamps, folds = _drop_flagged(stamps, folds, thresholds)
    _check_folds(stamps, folds)
    run.mkdir(parents=True, exist_ok=True)
    with exclusive(run / ".lock", wait=False):
        config = _begin(run, classifier, stamps, folds, thresholds)
        LOG.info(
            f"training {classifier.model} on {_learned(classifier, folds).sum()} stamps of {stamps.folder}, "
            f"epochs: {config['settings']['epochs']}; the graph is compiled first, which can take minutes"
        )
        _fit(classifier, stamps, folds, run / "checkpoint.npz", catching)
        _keep(run, classifier, config)
        held = np.isin(folds, ("validation", "test"))
        scored, folds = stamps[held], folds[held]
        scores = classifier.predict_proba(scored.pixels)[:, 1]
        write_scores(run / "scores.csv", scored, folds, scores, provenance(run, classifier))
        fold = own_fold(folds)
        judged = folds == fold
        return _judge(run, classifier, scored[judged], scores[judged], fold, thresholds, threshold)


def _plan(classifier: LensClassifier, thresholds: Filter) -> Dict[str, Any]:
    """What makes a training another one, as ``config.json`` has it."""
    return {
        "model": classifier.model,
        "seed": classifier.seed,
        "settings": asdict(classifier.training_settings()),
        "defects": list(classifier.resolved_defects()),
        "filter": dict(thresholds) if thresholds else None,
        "mode": classifier.backend.mode(),
    }


def _begin(
    run: Path, classifier: LensClassifier, stamps: Stamps, folds: np.ndarray, thresholds: Filter
) -> Dict[str, Any]:
    """Write what is known of a run before it is trained; return its config."""
    backend = classifier.backend
    data = {
        "folder": str(Path(stamps.folder).resolve()),
        "hash": stamps.data_hash,
        "n_stamps": len(stamps),
        "n_trained": _n_trained(classifier, folds),
        **describe_stamps(stamps, np.flatnonzero(folds == "train")),
        "chosen_bands": list(stamps.choice),
    }
    config = {
        "format": RUN_FORMAT,
        "version": __version__,
        "framework": backend.NAME,
        **_plan(classifier, thresholds),
        "preset": classifier.preset,
        "data": data,
        "shape": asdict(NetworkShape(stamps.pixels.shape[1], stamps.pixels.shape[2])),
        "bands": list(stamps.bands),
    }
    if (run / "config.json").exists() and read_config(run)["data"]["hash"] != data["hash"]:
        raise UserError(f"{run} holds a run on other data; choose another `out`")
    write_json(run / "config.json", config)  # first: by it a run that was killed is known again
    columns = zip(stamps.ids, stamps.paths, folds, stamps.labels, stamps.digests)
    write_csv(run / "stamps.csv", [dict(zip(STAMP_COLUMNS, row)) for row in columns], STAMP_COLUMNS)
    write_rejected(run / "rejected.csv", stamps.rejected)
    write_json(run / "environment.json", {**describe_environment(backend.describe()), "data_hash": data["hash"]})
    return config


def _learned(classifier: LensClassifier, folds: np.ndarray) -> np.ndarray:
    """Whether each stamp is learned from, bool (N,)."""
    return np.isin(folds, ("train", "validation") if "validate_on_train" in classifier.resolved_defects() else "train")


def _n_trained(classifier: LensClassifier, folds: np.ndarray) -> int:
    """Stamps that an epoch trains on."""
    settings, n_stamps = classifier.training_settings(), int(_learned(classifier, folds).sum())
    return n_stamps // settings.batch_size * settings.batch_size if settings.drop_tail else n_stamps


def _fit(classifier: LensClassifier, stamps: Stamps, folds: np.ndarray, checkpoint: Path, catching: Catching) -> None:
    """Train on the training fold, in an order without meaning, watched on the validation fold."""
    order = np.array([hash_fraction(classifier.seed, stamp_id, "order") for stamp_id in stamps.ids]).argsort()
    pixels, lenses = np.asarray(stamps.pixels), stamps.labels == 1
    train, validation = (order[folds[order] == fold] for fold in ("train", "validation"))
    classifier.set_params(checkpoint=checkpoint)
    classifier.fit(pixels[train], lenses[train], (pixels[validation], lenses[validation]), _watched, catching=catching)


def _watched(labels: np.ndarray, scores: np.ndarray) -> Dict[str, Optional[float]]:
    """Numbers that the history keeps of the validation stamps."""
    if labels.all() or not labels.any():
        return {}
    metrics = evaluate_scores(labels, scores)
    return {key: metrics[key] for key in ("auroc", "completeness", "purity", "false_positive_rate")}


def _keep(run: Path, classifier: LensClassifier, config: Mapping[str, Any]) -> None:
    """Write what a training learned."""
    write_arrays(run / "weights.npz", classifier.network_.get_weights())
    write_json(run / "config.json", {**config, "scaling": scaling_to_dict(classifier.scaling_)})
    write_csv(run / "history.csv", classifier.history_)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    write_json(run / "environment.json", {**read_environment(run), "peak_memory_bytes": peak})


def choose_unseen(
    run: Union[str, Path], stamps: Stamps, own: bool = True, resample: bool = False, without_sky: bool = False
) -> Tuple[Stamps, str]:
    """Choose the labelled stamps by which a run may be judged.

    Parameters
    ----------
    run : str or Path
        Run directory.
    stamps : Stamps
        The run's own data, or others.
    own : bool
        Whether they are its own: its test fold is taken then, else all that it did not learn from.
    resample, without_sky : bool
        See `fit_to_run`.

    Returns
    -------
    stamps : Stamps
    fold : str
        Which one of the run they are; empty for other data.

    Raises
    ------
    UserError
        If no labelled stamp is left, or they are not of the run's bands, size and scale.
    """
    stamps = labelled(stamps)
    if not own:  # a stamp that the run knows is known again by its bands alone
        stamps = match_bands(stamps, read_domain(run))
    folds = known_folds(run, stamps)
    fold = own_fold(folds) if own else ""
    rows = folds == fold if own else ~np.isin(folds, ("train", "validation"))
    if not rows.any():
        raise UserError(
            f"{stamps.folder} holds no stamp for {run} to be evaluated on: it learned from all of them, "
            "or they were changed; name other labelled stamps with `data`"
        )
    if not own and not rows.all():
        LOG.info(f"{(~rows).sum()} stamps that the run trained or validated on are left out")
    return (stamps[rows] if own else fit_to_run(stamps[rows], run, resample, without_sky)), fold


def evaluate_run(
    classifier: LensClassifier,
    run: Union[str, Path],
    stamps: Stamps,
    fold: str = "",
    thresholds: Filter = None,
    threshold: float = 0.5,
) -> Evaluation:
    """Score labelled stamps, and write their metrics into the run.

    Parameters
    ----------
    classifier : LensClassifier
        Loaded from the run.
    run : str or Path
        Run directory.
    stamps : Stamps
        Of the run's size and scale, all labelled; see `choose_unseen`.
    fold : str
        Which one of the run they are; empty for other data.
    thresholds : dict, optional
        Of the bad-image filter: add the metrics of a search that calls no flagged stamp a lens.
    threshold : float
        In [0, 1]; a score above it is called a lens.

    Returns
    -------
    Evaluation
    """
    scores = classifier.predict_proba(stamps.pixels)[:, 1]
    return _judge(Path(run), classifier, stamps, scores, fold, thresholds, threshold)


def _judge(
    run: Path,
    classifier: LensClassifier,
    stamps: Stamps,
    scores: np.ndarray,
    fold: str,
    thresholds: Filter,
    threshold: float,
) -> Evaluation:
    """Write the metrics of one of the run's folds, or of other data, into the run."""
    labels = stamps.labels == 1
    metrics = {
        **evaluate_scores(labels, scores, threshold),
        **(_filtered_metrics(stamps, labels, scores, thresholds, threshold) if thresholds else {}),
        "data": stamps.folder,
        "data_hash": stamps.data_hash,
        "model_hash": classifier.model_hash_,
        "fold": fold,
        **stamps.changes,
    }
    evaluation = Evaluation(stamps, labels, scores, fold, metrics)
    write_json(run / f"metrics{evaluation.suffix}.json", metrics)
    return evaluation


def _filtered_metrics(
    stamps: Stamps, labels: np.ndarray, scores: np.ndarray, thresholds: Mapping[str, float], threshold: float
) -> Dict[str, Any]:
    """Metrics of a search that calls no flagged stamp a lens: a flagged lens is missed."""
    flagged = np.any([*flag_stamps(measure_quality(stamps), thresholds).values()], axis=0)
    metrics = evaluate_scores(labels, np.where(flagged, 0.0, scores), threshold)
    return {
        "filter": describe_filter(thresholds),
        "n_flagged_lenses": int((flagged & labels).sum()),
        "n_flagged_non_lenses": int((flagged & ~labels).sum()),
        **{f"filtered_{key}": metrics[key] for key in ("auroc", "completeness", "purity", "false_positive_rate")},
    }


def score_run(classifier: LensClassifier, run: Union[str, Path], stamps: Stamps, out: Path) -> np.ndarray:
    """Score stamps and write the score table, its JSON and what was set aside.

    Parameters
    ----------
    classifier : LensClassifier
        Loaded from the run.
    run : str or Path
        Run directory.
    stamps : Stamps
        Of the run's size and scale, with labels or without; see `fit_to_run`.
    out : Path
        CSV file.

    Returns
    -------
    float64 array (N,), in [0, 1]
    """
    scores = classifier.predict_proba(stamps.pixels)[:, 1]
    write_scores(out, stamps, known_folds(run, stamps), scores, provenance(run, classifier))
    write_rejected(out.with_name(f"{out.stem}-rejected.csv"), stamps.rejected)
    return scores


def provenance(run: Union[str, Path], classifier: LensClassifier, engine: str = "") -> Dict[str, Any]:
    """Say which network gives scores: run, model, hash of weights and scaling, engine, versions; ready for JSON."""
    return {
        "run": f"shipped {classifier.model}" if is_shipped(run) else str(run),
        "model": classifier.model,
        "model_hash": classifier.model_hash_,
        "engine": engine or classifier.backend.ENGINE,
        "versions": {"lens-common": __version__, **classifier.backend.describe()},
    }


def fit_to_run(stamps: Stamps, run: Union[str, Path], resample: bool = False, without_sky: bool = False) -> Stamps:
    """Refuse stamps of another size or scale than the run's, or resample them; log that, and what looks wrong.

    Parameters
    ----------
    stamps : Stamps
    run : str or Path
        Run directory.
    resample : bool
        See `lens_common.data.domain.match_stamps`.
    without_sky : bool
        Subtract the sky of each stamp first, see `lens_common.data.domain.subtract_sky`.

    Raises
    ------
    UserError
        See `lens_common.data.domain.match_stamps` and `unit_warnings`.
    """
    domain = read_domain(run)
    notes = scale_warnings(stamps, domain)
    stamps = match_stamps(subtract_sky(stamps, domain.residual_sky) if without_sky else stamps, domain, resample)
    if stamps.resampled:
        LOG.info(f"{len(stamps)} stamps of {stamps.resampled}")
    for sentence in [*notes, *unit_warnings(stamps, domain)]:
        LOG.warning(sentence)
    return stamps


def labelled(stamps: Stamps) -> Stamps:
    """Keep the stamps whose class is known.

    Raises
    ------
    UserError
        If there is none.
    """
    known = stamps.labels >= 0
    if not known.any():
        raise UserError(
            f"{stamps.folder} has no labels; put lenses below lensed_outputs/, others below unlensed_outputs/"
        )
    if not known.all():
        LOG.info(f"{(~known).sum()} stamps outside of lensed_outputs/ and unlensed_outputs/ have no label: left out")
    return stamps[known]


def balanced(stamps: Stamps, n_stamps: int) -> Stamps:
    """Take half of `n_stamps` from each class, by the hash of their ids; all where there are no more."""
    if len(stamps) <= n_stamps:
        return stamps
    order = np.array([hash_fraction(0, stamp_id, "subset") for stamp_id in stamps.ids]).argsort()
    rows = np.concatenate([order[stamps.labels[order] == label][: n_stamps // 2] for label in (0, 1)])
    LOG.info(f"{len(rows)} of the {len(stamps)} stamps are taken, as the preset says")
    return stamps[np.sort(rows)]


def without_flagged(stamps: Stamps, thresholds: Mapping[str, float]) -> Stamps:
    """Set flagged stamps aside.

    Raises
    ------
    UserError
        If none is left.
    """
    dropped = apply_filter(stamps, thresholds)
    LOG.info(f"the filter {describe_filter(thresholds)} sets {len(dropped)} of {len(stamps)} stamps aside")
    if len(dropped) == len(stamps):
        raise UserError(
            f"the filter leaves no stamp of {stamps.folder}; loosen it, it is in counts as the 2018 mocks are"
        )
    good = stamps[~np.isin(stamps.paths, [row.path for row in dropped])]
    return replace(good, rejected=[*stamps.rejected, *dropped])


def _drop_flagged(stamps: Stamps, folds: np.ndarray, thresholds: Mapping[str, float]) -> Tuple[Stamps, np.ndarray]:
    """Take flagged stamps out of the training and validation folds, and note them as rejected."""
    fold_of = dict(zip(stamps.paths, folds))
    dropped = [row for row in apply_filter(stamps, thresholds) if fold_of[row.path] != "test"]
    LOG.info(
        f"the filter {describe_filter(thresholds)} drops {len(dropped)} stamps of the training and validation folds"
    )
    folds = np.where(np.isin(stamps.paths, [row.path for row in dropped]), "dropped", folds)
    return replace(stamps, rejected=[*stamps.rejected, *dropped]), folds


def own_fold(folds: np.ndarray) -> str:
    """Name the fold that judges a run: its test fold or, where a defect left none, the validation stamps."""
    if "test" in folds or "validation" not in folds:
        return "test"
    LOG.info("no test fold was kept: the metrics are of validation stamps that were trained on, as in 2018")
    return "validation"


def known_folds(run: Union[str, Path], stamps: Stamps) -> np.ndarray:
    """Fold of each stamp that the run knows by id and pixels, str (N,); empty for others."""
    known = {(row["id"], row["digest"]): row["fold"] for row in read_stamps(run)}
    return np.array([known.get(key, "") for key in zip(stamps.ids, stamps.digests)])


def _check_folds(stamps: Stamps, folds: np.ndarray) -> None:
    """Refuse data of which the training fold or the one that judges lacks a class, before hours are spent on them."""
    for fold in ("train", "test" if "test" in folds else "validation"):
        for label, kind in ((1, "lens"), (0, "non-lens")):
            if not np.any((folds == fold) & (stamps.labels == label)):
                raise UserError(
                    f"the {fold} fold of the {len(stamps)} stamps holds no {kind}: training and test "
                    "need both classes; add stamps, or try another `seed`"
                )
