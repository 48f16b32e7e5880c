"""Measure the networks that come with the package; every figure of the model card comes from here.

    python -m experiments shipped.measure OUT.json
    python -m experiments shipped.measure OUT.json --shipped FOLDER     of others than those of today: FOLDER/resnet ...

Sets: the frozen mocks, the frozen leak-controlled mocks, and the PICS mocks, which LENS_PICS_MOCKS names.
"""

import tempfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from experiments.runner import Job, carry_out, out_file, run
from experiments.shipped.frozen import POPULATIONS, test_sets
from experiments.shipped.oddities import oddities
from lens_common.data.catalogue import read_catalogue
from lens_common.data.noise import median_and_noise
from lens_common.data.quality import THRESHOLDS, flag_stamps, measure_quality
from lens_common.data.stamps import Stamps
from lens_common.files import read_csv, write_json
from lens_common.learning.models import MODELS
from lens_common.progress import progress_bar
from lens_common.runs import SHIPPED, describe_environment, read_config
from lens_common.scores.metrics import evaluate_scores, roc
from lens_modern import LensClassifier, backend
from lens_modern.report.figures import Figure, calibration_error, draw_completeness, standalone
from lens_modern.report.intervals import wilson

EDGES = {"einstein_radius": (0.0, 0.5, 1.0, 1.4, 2.0, 3.5), "snr": (0.0, 5.0, 10.0, 20.0, 40.0, 1000.0)}
# Of arXiv:1703.02642, abstract: 90 % of the lenses beyond both limits at a false positive rate of 1 %.
EASY = {"einstein_radius": 1.4, "snr": 20.0}
FALSE_POSITIVE_RATE = 0.01
# What is done to every fifth mock: counts that are added to all pixels, and noise that is added until it is so many
# times the stamp's own.
SKY_LEVELS, NOISE_LEVELS = (0, 1, -1, 10, -10, 1000, -1000), (1.5, 2.0, 4.0)


def measure(shipped: Path) -> tuple[dict[str, Any], Figure]:
    """Every figure of the networks of a folder, ready for JSON, and a drawing of some."""
    backend.prepare(device="cpu")
    sets = test_sets()
    drawn = sets["mocks"]
    odd = oddities(drawn.pixels[drawn.labels == 1][:1000])
    scores = {model: _scores(shipped / model, sets) for model in MODELS}
    figures = {
        "environment": describe_environment(backend.describe()),
        "sets": {
            name: {"n_stamps": len(data.ids), "n_lenses": int((data.labels == 1).sum()), "hash": data.data_hash}
            for name, data in sets.items()
        },
        "oddities": {name: {"flagged": _share(_flagged(stamps))} for name, stamps in odd.items()},
        "networks": {model: _measure_network(shipped / model, sets, scores[model], odd) for model in MODELS},
    }
    return figures, _draw(sets, scores)


def _scores(run: Path, sets: dict[str, Stamps]) -> dict[str, np.ndarray]:
    """Scores of each set, (N,)."""
    estimator = LensClassifier.load(run)
    scores = {}
    with progress_bar(run.name, sum(len(data.ids) for data in sets.values()), "stamp") as bar:
        for name, data in sets.items():
            scores[name] = estimator.predict_proba(data.pixels)[:, 1]
            bar.update(len(data.ids))
    return scores


def _measure_network(
    run: Path, sets: dict[str, Stamps], scores: dict[str, np.ndarray], odd: dict[str, np.ndarray]
) -> dict[str, Any]:
    estimator, config = LensClassifier.load(run), read_config(run)
    figures = {
        "model_hash": estimator.model_hash_,
        "settings": config["settings"],
        "data": config["data"],
        "sets": {name: _measure_set(data, scores[name]) for name, data in sets.items()},
        "oddities": {},
        "twins": _twins(run, sets["pics"].folder, scores["pics"]),
        "changed": _measure_changed(estimator, sets),
    }
    for name, stamps in odd.items():
        values = estimator.predict_proba(stamps)[:, 1]
        figures["oddities"][name] = {"median": float(np.median(values)), "called": _share(values > 0.5)}
    return figures


def _measure_changed(estimator: LensClassifier, sets: dict[str, Stamps]) -> list[dict[str, Any]]:
    """What another sky level and more noise do to the scores of the frozen sets."""
    rows = []
    for name in POPULATIONS:
        data = sets[name][np.arange(0, len(sets[name]), 5)]
        noise = median_and_noise(data.pixels)[1][:, :, None, None]
        normal = np.random.RandomState(0).standard_normal(data.pixels.shape)
        changes = {f"{counts:+,} counts" if counts else "as they are": counts for counts in SKY_LEVELS}
        changes |= {f"noise x {times:g}": noise * normal * np.sqrt(times**2 - 1) for times in NOISE_LEVELS}
        for what, added in changes.items():
            scores = estimator.predict_proba((data.pixels + added).astype(np.float32))[:, 1]
            metrics = evaluate_scores(data.labels == 1, scores)
            rows.append({"set": name, "what": what} | {key: metrics[key] for key in ("auroc", "completeness")})
    return rows


def _measure_set(data: Stamps, scores: np.ndarray) -> dict[str, Any]:
    labels = data.labels == 1
    figures: dict[str, Any] = {
        **evaluate_scores(labels, scores),
        "calibration_error": calibration_error(labels, scores),
    }
    catalogue = read_catalogue(data.folder)
    if "snr" not in catalogue.colnames:
        return figures
    strict = _strict_threshold(labels, scores)
    parameters = {key: np.asarray(catalogue[key], float) for key in EDGES}
    for key, edges in EDGES.items():
        figures[f"by_{key}"] = [
            {
                "from": low,
                "to": high,
                "at_half": _share(scores[inside] > 0.5),
                "strict": _share(scores[inside] >= strict),
            }
            for low, high in zip(edges, edges[1:])
            if (inside := labels & (parameters[key] >= low) & (parameters[key] < high)).any()
        ]
    return {**figures, "strict_threshold": strict, "easy": easy_share(data, scores)}


def easy_share(data: Stamps, scores: np.ndarray) -> dict[str, Any]:
    """Share of the wide and bright lenses of a set that are found at the false positive rate allowed."""
    labels, catalogue = data.labels == 1, read_catalogue(data.folder)
    easy = labels & np.all([np.asarray(catalogue[key], float) > limit for key, limit in EASY.items()], axis=0)
    return _share(scores[easy] >= _strict_threshold(labels, scores))


def _strict_threshold(labels: np.ndarray, scores: np.ndarray) -> float:
    """Lowest score that may be called a lens at the false positive rate allowed."""
    rates, _, thresholds = roc(labels, scores)
    return float(thresholds[rates <= FALSE_POSITIVE_RATE][-1])


def _draw(sets: dict[str, Stamps], scores: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Completeness against the Einstein radius at the false positive rate allowed."""
    curves, thresholds = {}, []
    for name in ("mocks", "leak-controlled"):
        data = sets[name]
        labels, catalogue = data.labels == 1, read_catalogue(data.folder)
        parameters = {"einstein_radius": np.asarray(catalogue["einstein_radius"], float)}
        for model in MODELS:
            curves[f"{model}, {name}"] = SimpleNamespace(
                labels=labels, scores=scores[model][name], parameters=parameters
            )
            thresholds.append(float(np.nextafter(_strict_threshold(labels, scores[model][name]), -1)))
    title = f"Completeness at a false positive rate of {FALSE_POSITIVE_RATE:.0%}"
    return draw_completeness("completeness", title, curves, "einstein_radius", EDGES["einstein_radius"], thresholds)


def _share(chosen: np.ndarray) -> dict[str, Any]:
    return wilson(int(np.sum(chosen)), len(chosen)).row()


def _flagged(stamps: np.ndarray) -> np.ndarray:
    names = np.arange(len(stamps)).astype(str)
    data = Stamps("", names, names, np.full(len(stamps), -1, np.int8), stamps, names, [])
    return np.any([*flag_stamps(measure_quality(data), THRESHOLDS).values()], axis=0)


def _twins(run_folder: Path, folder: str, scores: np.ndarray) -> dict[str, Any]:
    """The same weights in the legacy interpreter: largest difference of a score."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "scores.csv"
        run(Job("lens-legacy score", "legacy", "lens_legacy.cli", ["score", folder, "--run", run_folder, "--out", out]))
        theirs = np.array([float(row["score"]) for row in read_csv(out)])
    return {"n_stamps": len(scores), "largest_difference": float(np.abs(theirs - scores).max())}


def work(out: Path, shipped: Path) -> Path:
    """Measure, and write down and draw it."""
    figures, drawing = measure(shipped)
    write_json(out, figures)
    if shipped == SHIPPED:
        out.with_name("completeness.svg").write_text(standalone(drawing))
    return out


OPTIONS: dict[str, dict[str, Any]] = {"out": {"type": out_file}, "--shipped": {"type": Path, "default": SHIPPED}}
main = partial(carry_out, "measure", __doc__, OPTIONS, work)
