"""The verbs of the command line: what each reads, computes and writes."""

import argparse
import resource
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np

from .. import __version__
from ..data.catalogue import read_catalogue
from ..data.domain import describe_stamps, match_stamps, read_domain, unit_warnings
from ..data.folds import assign_folds, hash_fraction
from ..data.layout import NAMED_PARAMETERS
from ..data.noise import median_and_noise
from ..data.quality import apply_filter, describe_filter, explain_flags, flag_stamps, measure_quality
from ..data.stamps import Stamps, load_stamps
from ..errors import UserError
from ..files import cache_folder, exclusive, write_arrays
from ..learning.classifier import LensClassifier
from ..learning.presets import MODELS, PRESETS, defective_data, defective_folds, defective_settings, resolve_defects
from ..learning.protocol import NetworkShape, check_lens_weight
from ..learning.scaling import scaling_from_dict, scaling_to_dict
from ..learning.training import TrainingData, TrainingSettings
from ..mocks.prior import POPULATIONS, PRIOR, prior_hash
from ..mocks.writer import SIMULATOR_VERSION, make_mocks
from ..runs import (
    RUN_FORMAT,
    SHIPPED,
    check_pooling,
    describe_environment,
    load_weights,
    model_hash,
    read_config,
    read_csv,
    read_environment,
    read_settings,
    write_csv,
    write_json,
    write_rejected,
)
from ..scores.comparison import bootstrap_difference, delong_test, equivalence_test, score_agreement
from ..scores.metrics import auroc_interval, evaluate_scores, spell_interval
from ..scores.tables import check_same_stamps, comparable, read_provenance, read_scores, write_scores
from . import pictures

# Of a comparison, which says the same each time.
BOOTSTRAP = {"seed": 1, "n_resamples": 2000}
ALPHA = 0.05


def simulate(backend: ModuleType, options: argparse.Namespace) -> None:
    """Make mocks in the 2018 layout."""
    folder = make_mocks(
        options.out, options.mocks, seed=options.seed, prior=POPULATIONS[options.population], verbose=True
    )
    print(f"{options.mocks} mocks, {options.mocks // 2} of them lenses: {folder}")


def inspect(backend: ModuleType, options: argparse.Namespace) -> None:
    """Describe a data set: stamps by class, noise, parameters, files set aside, what the filter would drop."""
    if options.out and not options.out.endswith(".png"):
        raise UserError(f"--out must end in .png, got {options.out}")
    data = load_stamps(options.data, verbose=True)
    catalogue = read_catalogue(options.data)
    classes = [("lenses", 1), ("non-lenses", 0), ("unlabelled", -1)]
    present = [(name, data.labels == label, catalogue["is_lens"] == label) for name, label in classes]
    present = [column for column in present if column[1].any()]
    median, noise = (values[:, 0] for values in median_and_noise(data.pixels))
    peak = data.pixels[:, 0].reshape(len(noise), -1).max(axis=1)
    brightest = (peak - median) / np.where(noise > 0, noise, np.nan)
    quality = measure_quality(data)
    flags = flag_stamps(quality, options.filter)
    flagged = np.any([*flags.values()], axis=0)
    print(f"{data.folder}: {len(data.ids)} stamps of {data.pixels.shape[1]} band(s), {data.pixels.shape[2:]} pixels")
    for name, value in (("pixel scale [arcsec]", data.pixel_scale_arcsec), ("zero-point [mag]", data.zero_point_mag)):
        print(f"{name:32}{'unknown' if np.isnan(value) else f'{value:.4g}':>24}")
    print(f"{'5 / 50 / 95 %':32}" + "".join(f"{name:>24}" for name, _, _ in present))
    print(f"{'stamps':32}" + "".join(f"{rows.sum():>24}" for _, rows, _ in present))
    for name, values in (
        ("noise [counts]", noise),
        ("median [counts]", median),
        ("brightest pixel / noise", brightest),
        ("detected signal / noise", quality["signal"]),
    ):
        print(f"{name:32}" + "".join(f"{_quantiles(values[rows]):>24}" for _, rows, _ in present))
    for key in [key for key in catalogue.colnames if key in NAMED_PARAMETERS or key == "einstein_radius"]:
        unit = f" [{catalogue[key].unit}]" if catalogue[key].unit else ""
        cells = [_quantiles(np.ma.filled(catalogue[key][rows].astype(float), np.nan)) for _, _, rows in present]
        print(f"{key + unit:32}" + "".join(f"{cell:>24}" for cell in cells))
    for name, beyond in [*flags.items(), ("any of these", flagged)]:
        print(f"{'filter drops: ' + name:32}" + "".join(f"{(rows & beyond).sum():>24}" for _, rows, _ in present))
    for rejection in data.rejected:
        print(f"{rejection.action}: {rejection.path}: {rejection.reason}")
    if options.out:
        _draw_stamps(options, data, flagged, quality)


def _draw_stamps(
    options: argparse.Namespace, data: Stamps, flagged: np.ndarray, quality: Dict[str, np.ndarray]
) -> None:
    """Draw 40 stamps, spread over the data: at most 20 that the filter drops, last, and others."""
    dropped = _spread(np.flatnonzero(flagged), 20)
    rows = np.concatenate([_spread(np.flatnonzero(~flagged), 40 - len(dropped)), dropped])
    reasons = explain_flags(quality, options.filter, rows)
    titles = ["\n".join([stamp_id, *filter(None, why.split(", "))]) for stamp_id, why in zip(data.ids[rows], reasons)]
    heading = f"{Path(data.folder).name}: framed, what the filter {describe_filter(options.filter)} drops"
    pictures.plot_stamps(options.out, data.pixels[rows], titles, heading, flagged[rows])
    print(f"wrote {options.out}")


def _spread(rows: np.ndarray, most: int) -> np.ndarray:
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]


def train(backend: ModuleType, options: argparse.Namespace) -> None:
    """Train a network, evaluate it on its own test fold, and leave a run directory."""
    preset = PRESETS[options.preset]
    defects = resolve_defects(options.defects, preset, options.model)
    mode = getattr(options, "mode", "faithful")
    settings = defective_settings(_settings(options, backend.MODES[mode].get(options.model, {})), defects)
    run = Path(options.out or f"runs/{options.model}-{options.preset}-seed{options.seed}")
    plan = {"model": options.model, "seed": options.seed, "settings": asdict(settings), "defects": list(defects)}
    plan.update(filter=options.filter, mode=mode)
    _check_run(run, plan)
    if not options.data:
        _check_batch(settings, preset.n_stamps if options.mocks is None else options.mocks)
    data = _labelled(load_stamps(options.data or _default_mocks(options, preset.n_stamps), verbose=True))
    if options.data and preset.at_most:
        data = _balanced(data, preset.n_stamps)
    _check_batch(settings, len(data.ids))
    folds = defective_folds(assign_folds(data.ids, options.seed), defects)
    if options.filter:
        data, folds = _drop_flagged(data, folds, options.filter)
    _check_folds(data, folds)
    run.mkdir(parents=True, exist_ok=True)
    with exclusive(run / ".lock", wait=False):
        _train(backend, options, run, data, folds, plan)


def _train(
    backend: ModuleType, options: argparse.Namespace, run: Path, data: Stamps, folds: np.ndarray, plan: Dict[str, Any]
) -> None:
    """Train, or go on with, what `plan` says, and write the run directory."""
    settings = TrainingSettings(**plan["settings"])
    config = {
        "format": RUN_FORMAT,
        "version": __version__,
        "framework": backend.NAME,
        **plan,
        "preset": options.preset,
        "data": {
            "folder": str(Path(data.folder).resolve()),
            "hash": data.data_hash,
            "n_stamps": len(data.ids),
            **describe_stamps(data, np.flatnonzero(folds == "train")),
        },
        "shape": asdict(NetworkShape(data.pixels.shape[1], data.pixels.shape[2])),
    }
    _begin_run(run, config, data, folds, backend)
    estimator = LensClassifier(backend.build_network, options.model, settings, options.seed, run / "checkpoint.npz")
    learning = defective_data(_training_data(data, folds, options.seed), plan["defects"])
    _say(
        f"training {options.model} on {len(learning.labels)} stamps of {data.folder}, epochs: {settings.epochs}; "
        "the graph is compiled first, which can take minutes"
    )
    estimator.fit(learning.stamps, learning.labels, (learning.validation_stamps, learning.validation_labels), _watched)
    weights = estimator.network_.get_weights()
    write_arrays(run / "weights.npz", weights)
    write_json(run / "config.json", {**config, "scaling": scaling_to_dict(estimator.scaling_)})
    write_csv(run / "history.csv", estimator.history_)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    write_json(run / "environment.json", {**read_environment(run), "peak_memory_bytes": peak})
    pictures.plot_history(run / "history.png", estimator.history_, f"{options.model}, {options.preset}")
    rows = np.flatnonzero(np.isin(folds, ("validation", "test")))
    held = data[rows]
    scores = estimator.predict_proba(held.pixels)[:, 1]
    write_scores(run / "scores.csv", held, folds[rows], scores, provenance(run, weights, backend))
    fold = _own_fold(folds)
    judged = folds[rows] == fold
    _evaluate(run, held[judged], scores[judged], weights, options, fold)


def score(backend: ModuleType, options: argparse.Namespace) -> None:
    """Score every stamp of a folder with a trained network, or with one that comes with the package."""
    out = Path(options.out)
    if out.suffix != ".csv":
        raise UserError(f"--out must end in .csv, got {out}")
    out.parent.mkdir(parents=True, exist_ok=True)
    run = chosen_run(options)
    data = fit_to_run(load_stamps(options.data, verbose=True), run, options.resample)
    if options.filter:
        data = _without_flagged(data, options.filter)
    estimator, weights = restore_run(backend, run, options.model)
    scores = estimator.predict_proba(data.pixels)[:, 1]
    write_scores(out, data, _known_folds(run, data), scores, provenance(run, weights, backend))
    write_rejected(out.with_name(f"{out.stem}-rejected.csv"), data.rejected)
    print(f"{len(scores)} stamps scored, {int((scores > 0.5).sum())} above 0.5: {out}")


def evaluate(backend: ModuleType, options: argparse.Namespace) -> None:
    """Metrics of a run: of its own test fold, or of other data."""
    config = read_config(options.run)
    data = _labelled(load_stamps(options.data or config["data"]["folder"], verbose=True))
    folds = _known_folds(options.run, data)
    if options.data:
        rows = ~np.isin(folds, ("train", "validation"))
        if not rows.all():
            _say(f"{(~rows).sum()} stamps that the run trained or validated on are left out")
        fold = ""
    else:
        fold = _own_fold(folds)
        rows = folds == fold
    if not rows.any():
        raise UserError(
            f"{data.folder} holds no stamp for {options.run} to be evaluated on: it learned from all of them, "
            "or they were changed; name other labelled stamps with --data"
        )
    data = data[rows]
    if options.data:
        data = fit_to_run(data, options.run, options.resample)
    estimator, weights = restore_run(backend, options.run)
    scores = estimator.predict_proba(data.pixels)[:, 1]
    _evaluate(Path(options.run), data, scores, weights, options, fold)


def compare(backend: ModuleType, options: argparse.Namespace) -> None:
    """Compare two score tables of the same stamps: difference in AUROC, equivalence, agreement."""
    paths = (Path(options.a), Path(options.b))
    _check_comparison_out(options.out, paths)
    tables = [read_scores(path) for path in paths]
    about = [read_provenance(path) for path in paths]
    check_same_stamps(paths, tables, about)
    ids, left_out = comparable(paths, tables)
    reasons = ("that either network trained or validated on", "without a label")
    for n_stamps, reason in zip(left_out.values(), reasons):
        if n_stamps:
            _say(f"{n_stamps} stamps {reason} are left out")
    labels = np.array([tables[0][stamp_id]["is_lens"] == "1" for stamp_id in ids])
    scores = [np.array([float(table[stamp_id]["score"]) for stamp_id in ids]) for table in tables]
    found = {**_compare_scores(labels, scores, options), **left_out}
    for side, path, source in zip("ab", paths, about):
        found[side] = {"table": str(path), **source, **found[side]}
    _print_comparison(found)
    if options.out:
        _draw_comparison(Path(options.out), paths, labels, scores, found, options.threshold)


def _draw_comparison(
    out: Path,
    paths: Sequence[Path],
    labels: np.ndarray,
    scores: Sequence[np.ndarray],
    found: Dict[str, Any],
    threshold: float,
) -> None:
    """Write the figure of a comparison, and its numbers beside it."""
    # The name of a file says little where both have the same one.
    parts = 1 if paths[0].name != paths[1].name else 2
    names = [f"{side}: {'/'.join(path.parts[-parts:])}" for side, path in zip("AB", paths)]
    difference = found["difference"]
    title = (
        f"{len(labels)} stamps of {Path(found['a']['data']).name}: difference in AUROC "
        f"{spell_interval(difference['difference'], difference['low'], difference['high'], '+.3f')}"
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    pictures.plot_comparison(out, labels, dict(zip(names, scores)), title, threshold)
    write_json(out.with_suffix(".json"), found)
    print(f"wrote {out} and {out.with_suffix('.json').name}")


def _check_comparison_out(out: Optional[str], paths: Sequence[Path]) -> None:
    if not out:
        return
    if not out.endswith(".png"):
        raise UserError(f"--out must end in .png, got {out}")
    for path in paths:
        if Path(out).with_suffix(".json").resolve() == path.with_suffix(".json").resolve():
            raise UserError(f"--out {out} would replace the JSON of {path}; choose another name")


def _compare_scores(labels: np.ndarray, scores: Sequence[np.ndarray], options: argparse.Namespace) -> Dict[str, Any]:
    """All numbers of a comparison, ready for JSON."""
    scores_a, scores_b = scores
    difference = delong_test(labels, scores_a, scores_b)
    equivalence = equivalence_test(difference.difference, difference.standard_error, options.margin, alpha=ALPHA)
    if difference.standard_error == 0 and not np.array_equal(scores_a, scores_b):
        _say("the scores differ and DeLong's variance is zero: its interval and the verdict hold of these stamps only")
    random_state = np.random.RandomState(BOOTSTRAP["seed"])
    bootstrap = bootstrap_difference(
        labels, scores_a, scores_b, random_state, BOOTSTRAP["n_resamples"], difference.level
    )
    intervals = [auroc_interval(labels, values, difference.level) for values in scores]
    return {
        "n_stamps": len(labels),
        "n_lenses": int(labels.sum()),
        "n_non_lenses": int((~labels).sum()),
        "a": dict(zip(("auroc_low", "auroc_high"), intervals[0])),
        "b": dict(zip(("auroc_low", "auroc_high"), intervals[1])),
        "difference": asdict(difference),
        "bootstrap": {"low": bootstrap[0], "high": bootstrap[1], **BOOTSTRAP},
        "equivalence": {**asdict(equivalence), "alpha": ALPHA},
        "agreement": {**score_agreement(scores_a, scores_b, options.threshold), "threshold": options.threshold},
    }


def _print_comparison(found: Dict[str, Any]) -> None:
    """Print a comparison, a line for each number and its interval."""
    difference, equivalence, agreement = found["difference"], found["equivalence"], found["agreement"]
    level, margin = f"{difference['level']:.0%}", f"{equivalence['margin']:g}"
    lines = {key: str(found[key]) for key in ("n_stamps", "n_lenses", "n_non_lenses")}
    for side in "ab":
        ends = found[side]["auroc_low"], found[side]["auroc_high"]
        interval = spell_interval(difference[f"auroc_{side}"], *ends, spec=".4f")
        lines[f"auroc_{side}"] = f"{interval}  {found[side]['table']}"
    lines["difference"] = (
        f"{spell_interval(difference['difference'], difference['low'], difference['high'], '+.4f')}  "
        f"b minus a, {level} by DeLong, p {difference['p_value']:.3g}"
    )
    lines["bootstrap"] = (
        f"{'':7} {spell_interval(None, found['bootstrap']['low'], found['bootstrap']['high'], '+.4f')}  "
        f"{level} of {found['bootstrap']['n_resamples']} resamples"
    )
    lines["equivalence"] = (
        f"{'':7} {spell_interval(None, equivalence['low'], equivalence['high'], '+.4f')}  "
        f"{1 - 2 * equivalence['alpha']:.0%}, "
        f"{'equivalent' if equivalence['equivalent'] else 'not shown to be equivalent'} within {margin}, "
        f"p {equivalence['p_value']:.3g}"
    )
    lines["power"] = f"{equivalence['power']:.4f}  chance to show it if the AUROCs are equal"
    for key in ("pearson", "spearman"):
        lines[key] = "undefined" if agreement[key] is None else f"{agreement[key]:.4f}"
    lines["largest_score_difference"] = f"{agreement['largest_score_difference']:.3g}"
    lines["n_calls_differ"] = (
        f"{agreement['n_calls_differ']} of {found['n_stamps']} at a threshold of {agreement['threshold']:g}"
    )
    for key, text in lines.items():
        print(f"{key:24} {text}")


def fit_to_run(data: Stamps, run: str, resample: bool = False) -> Stamps:
    """Refuse stamps of another size or scale than the run's, or resample them; say so, and where units look wrong.

    Parameters
    ----------
    data : Stamps
    run : str
        Run directory.
    resample : bool
        See `lens_common.data.domain.match_stamps`.
    """
    domain = read_domain(run)
    data = match_stamps(data, domain, resample)
    if data.resampled:
        _say(f"{len(data.ids)} stamps of {data.resampled}")
    for sentence in unit_warnings(data, domain):
        _say(sentence)
    return data


def _labelled(data: Stamps) -> Stamps:
    known = data.labels >= 0
    if not known.any():
        raise UserError(
            f"{data.folder} has no labels; put lenses below lensed_outputs/, others below unlensed_outputs/"
        )
    if not known.all():
        _say(f"{(~known).sum()} stamps outside of lensed_outputs/ and unlensed_outputs/ have no label: left out")
    return data[known]


def _drop_flagged(data: Stamps, folds: np.ndarray, thresholds: Dict[str, float]) -> Tuple[Stamps, np.ndarray]:
    """Take flagged stamps out of the training and validation folds, and note them as rejected."""
    fold_of = dict(zip(data.paths, folds))
    dropped = [row for row in apply_filter(data, thresholds) if fold_of[row.path] != "test"]
    _say(f"the filter {describe_filter(thresholds)} drops {len(dropped)} stamps of the training and validation folds")
    folds = np.where(np.isin(data.paths, [row.path for row in dropped]), "dropped", folds)
    return replace(data, rejected=[*data.rejected, *dropped]), folds


def _without_flagged(data: Stamps, thresholds: Dict[str, float]) -> Stamps:
    """Set flagged stamps aside."""
    dropped = apply_filter(data, thresholds)
    _say(f"the filter {describe_filter(thresholds)} sets {len(dropped)} of {len(data.ids)} stamps aside")
    if len(dropped) == len(data.ids):
        raise UserError(
            f"the filter leaves no stamp of {data.folder}; loosen it, it is in counts as the 2018 mocks are"
        )
    kept = data[~np.isin(data.paths, [row.path for row in dropped])]
    return replace(kept, rejected=[*data.rejected, *dropped])


def _balanced(data: Stamps, n_stamps: int) -> Stamps:
    """Take half of `n_stamps` from each class, by the hash of their ids."""
    if len(data.ids) <= n_stamps:
        return data
    order = np.array([hash_fraction(0, stamp_id, "subset") for stamp_id in data.ids]).argsort()
    rows = np.concatenate([order[data.labels[order] == label][: n_stamps // 2] for label in (0, 1)])
    _say(f"{len(rows)} of the {len(data.ids)} stamps are taken, as the preset says")
    return data[np.sort(rows)]


def _settings(options: argparse.Namespace, of_mode: Dict[str, Any]) -> TrainingSettings:
    """Settings of the preset, with what the mode replaces and then what was given."""
    settings = replace(PRESETS[options.preset].settings[options.model], **of_mode)
    names = ("epochs", "batch_size", "learning_rate", "schedule", "patience", "scaling", "interpolation", "lens_weight")
    given = {key: getattr(options, key) for key in names}
    if given["interpolation"] and not settings.augmented:
        raise UserError(f"the training of the {options.model} augments no stamp; leave out --interpolation")
    if options.model == "cnn" and given["lens_weight"] is not None:
        check_lens_weight(given["lens_weight"])
    return replace(settings, **{key: value for key, value in given.items() if value is not None})


def _default_mocks(options: argparse.Namespace, n_stamps: int) -> str:
    """Mocks for this training, made once and kept by number, seed, prior and simulator version."""
    n_stamps = n_stamps if options.mocks is None else options.mocks
    name = f"{n_stamps}-seed{options.mocks_seed}-{prior_hash(PRIOR)}-v{SIMULATOR_VERSION}"
    folder = cache_folder("mocks") / name
    _say(f"{n_stamps} mocks of seed {options.mocks_seed}, made once and kept in {folder}")
    with exclusive(folder.with_suffix(".lock"), wait=True):
        return str(make_mocks(folder, n_stamps, seed=options.mocks_seed, verbose=True))


def _check_batch(settings: TrainingSettings, n_stamps: int) -> None:
    if settings.batch_size > n_stamps:
        raise UserError(
            f"a batch of {settings.batch_size} is larger than the {n_stamps} stamps there are; "
            "lower --batch-size or add stamps"
        )


def _own_fold(folds: np.ndarray) -> str:
    """Name the fold that judges a run: its test fold or, where a defect kept none, the validation stamps."""
    if "test" in folds or "validation" not in folds:
        return "test"
    _say("no test fold was kept: the metrics are of validation stamps that were trained on, as in 2018")
    return "validation"


def _check_folds(data: Stamps, folds: np.ndarray) -> None:
    """Refuse data of which the training fold or the one that judges lacks a class, before hours are spent on them."""
    for fold in ("train", "test" if "test" in folds else "validation"):
        for label, kind in ((1, "lens"), (0, "non-lens")):
            if not np.any((folds == fold) & (data.labels == label)):
                raise UserError(
                    f"the {fold} fold of the {len(data.ids)} stamps holds no {kind}: training and test "
                    "need both classes; add stamps, or try another --seed"
                )


def _training_data(data: Stamps, folds: np.ndarray, seed: int) -> TrainingData:
    """Stamps and labels of the training and validation folds, in an order without meaning."""
    order = np.array([hash_fraction(seed, stamp_id, "order") for stamp_id in data.ids]).argsort()
    rows = {fold: order[folds[order] == fold] for fold in ("train", "validation")}
    arrays = [array[rows[fold]] for fold in rows for array in (np.asarray(data.pixels), data.labels == 1)]
    return TrainingData(*arrays)


def _watched(labels: np.ndarray, scores: np.ndarray) -> Dict[str, Optional[float]]:
    """Numbers that the history keeps of the validation stamps."""
    if labels.all() or not labels.any():
        return {}
    metrics = evaluate_scores(labels, scores)
    return {key: metrics[key] for key in ("auroc", "completeness", "purity", "false_positive_rate")}


def _check_run(run: Path, plan: Dict[str, Any]) -> None:
    """Let a run go on or begin; refuse one of other settings."""
    if not (run / "config.json").exists():
        if run.is_dir() and any(run.iterdir()):
            raise UserError(f"{run} holds other files; choose an empty or a new folder for --out")
        return
    config = {"mode": "faithful", **read_config(run)}
    config["settings"] = asdict(read_settings(config))
    changed = [key for key in plan if config.get(key) != plan[key]]
    if changed == ["settings"]:
        there, here = config["settings"], plan["settings"]
        changed = [f"{key} ({there[key]}, not {here[key]})" for key in here if there[key] != here[key]]
    if changed:
        raise UserError(f"{run} holds a run with other {', '.join(changed)}; choose another --out")


def _begin_run(run: Path, config: Dict[str, Any], data: Stamps, folds: np.ndarray, backend: ModuleType) -> None:
    if (run / "config.json").exists() and read_config(run)["data"]["hash"] != config["data"]["hash"]:
        raise UserError(f"{run} holds a run on other data; choose another --out")
    columns = zip(data.ids, data.paths, folds, data.labels, data.digests)
    write_csv(
        run / "stamps.csv",
        [dict(zip(("id", "path", "fold", "is_lens", "digest"), row)) for row in columns],
    )
    write_rejected(run / "rejected.csv", data.rejected)
    environment = describe_environment(backend.describe())
    write_json(run / "environment.json", {**environment, "data_hash": data.data_hash})
    write_json(run / "config.json", config)


def chosen_run(options: argparse.Namespace) -> str:
    """Run directory that was named, or else that of the network that comes with the package."""
    return options.run or str(SHIPPED / (options.model or MODELS[0]))


def restore_run(
    backend: ModuleType, run: str, model: Optional[str] = None
) -> Tuple[LensClassifier, Dict[str, np.ndarray]]:
    """Rebuild the trained estimator of a run directory.

    Parameters
    ----------
    backend : module
        A twin's; which one wrote the run does not matter.
    run : str
        Run directory.
    model : {"resnet", "cnn"}, optional
        Refuse a run of the other.

    Returns
    -------
    estimator : LensClassifier
        Ready to score.
    weights : dict of str to array
        As stored.

    Raises
    ------
    UserError
        If the folder is not a run, its training has not ended, or the weights do not fit.
    """
    config = read_config(run)
    if model and model != config["model"]:
        raise UserError(f"{run} holds a {config['model']}, not a {model}; leave out --model or name another run")
    if "scaling" not in config:
        raise UserError(f"the training in {run} has not ended; run the same train command to end it")
    weights = load_weights(Path(run) / "weights.npz")
    check_pooling(run, config, weights)
    shape = NetworkShape(**config["shape"])
    network = backend.build_network(config["model"], shape, config["seed"])
    try:
        network.set_weights(weights)
    except UserError as error:
        raise UserError(f"{Path(run) / 'weights.npz'}: {error}") from error
    estimator = LensClassifier(backend.build_network, config["model"], read_settings(config))
    estimator.network_, estimator.shape_ = network, shape
    estimator.scaling_ = scaling_from_dict(config["scaling"])
    return estimator, weights


def read_folds(run: str) -> Dict[Tuple[str, str], str]:
    """Fold of each stamp that a run knows, by id and digest."""
    return {(row["id"], row["digest"]): row["fold"] for row in read_csv(Path(run) / "stamps.csv")}


def _known_folds(run: str, data: Stamps) -> np.ndarray:
    """Fold of each stamp that the run knows by id and pixels; empty for others."""
    known = read_folds(run)
    return np.array([known.get(key, "") for key in zip(data.ids, data.digests)])


def provenance(run: Any, weights: Dict[str, np.ndarray], backend: ModuleType) -> Dict[str, Any]:
    """Say which network gives scores: run, model, hash of weights and scaling, versions; ready for JSON."""
    config = read_config(run)
    return {
        "run": f"shipped {config['model']}" if Path(run).parent == SHIPPED else str(run),
        "model": config["model"],
        "model_hash": model_hash(weights, config["scaling"]),
        "versions": {"lens-common": __version__, **backend.describe()},
    }


def _evaluate(
    run: Path,
    data: Stamps,
    scores: np.ndarray,
    weights: Dict[str, np.ndarray],
    options: argparse.Namespace,
    fold: str = "",
) -> None:
    """Write metrics and plots of one of the run's folds, or of other data, into the run, and print the metrics."""
    suffix = "" if fold else f"-{data.data_hash[:12]}"
    labels = data.labels == 1
    config = read_config(run)
    threshold = options.threshold
    metrics = {
        **evaluate_scores(labels, scores, threshold),
        **(_filtered_metrics(data, labels, scores, options) if options.filter else {}),
        "data": data.folder,
        "data_hash": data.data_hash,
        "model_hash": model_hash(weights, config["scaling"]),
        "fold": fold,
        **({"resampled": data.resampled} if data.resampled else {}),
    }
    write_json(run / f"metrics{suffix}.json", metrics)
    where = Path(data.folder).absolute().name if suffix else f"its {fold} fold"
    title = f"{config['model']} on {where}, {len(labels)} stamps"
    pictures.plot_roc(run / f"roc{suffix}.png", labels, scores, title, threshold)
    pictures.plot_scores(run / f"scores{suffix}.png", labels, scores, title, threshold)
    for key, value in metrics.items():
        print(f"{key:24} {'undefined' if value is None else f'{value:.4f}' if isinstance(value, float) else value}")
    print(f"wrote metrics{suffix}.json, roc{suffix}.png and scores{suffix}.png in {run}")


def _filtered_metrics(
    data: Stamps, labels: np.ndarray, scores: np.ndarray, options: argparse.Namespace
) -> Dict[str, Any]:
    """Metrics of a search that calls no flagged stamp a lens: a flagged lens is missed."""
    flagged = np.any([*flag_stamps(measure_quality(data), options.filter).values()], axis=0)
    metrics = evaluate_scores(labels, np.where(flagged, 0.0, scores), options.threshold)
    return {
        "filter": describe_filter(options.filter),
        "n_flagged_lenses": int((flagged & labels).sum()),
        "n_flagged_non_lenses": int((flagged & ~labels).sum()),
        **{f"filtered_{key}": metrics[key] for key in ("auroc", "completeness", "purity", "false_positive_rate")},
    }


def _quantiles(values: np.ndarray) -> str:
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return "-"
    return " / ".join(f"{value:.3g}" for value in np.quantile(values, (0.05, 0.5, 0.95)))


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)
