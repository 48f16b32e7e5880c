"""The verb ``evaluate``: metrics of a trained network."""

import argparse
from pathlib import Path
from types import ModuleType

from ..data.stamps import load_stamps
from ..errors import UserError
from ..learning.classifier import LensClassifier
from ..runs import read_config
from ..trials import Evaluation, choose_unseen, evaluate_run
from . import pictures
from .options import AddVerb, add_bands, add_changes, add_filter, add_threshold


def add_verb(verb: AddVerb) -> None:
    """Add ``evaluate`` to a command line."""
    parser = verb("evaluate", "metrics of a trained network", 'runs/cnn --data "$LENS_PICS_MOCKS"', evaluate)
    parser.add_argument("run", metavar="RUN", help="run directory of a training")
    parser.add_argument("--data", metavar="DIR", help="other labelled data than the run's own test fold")
    add_bands(parser)
    add_changes(parser)
    add_filter(parser, "add the metrics of a search that calls no flagged stamp a lens")
    add_threshold(parser)


def evaluate(backend: ModuleType, options: argparse.Namespace) -> None:
    """Metrics of a run: of its own test fold, or of other data."""
    data = read_config(options.run)["data"]
    folder = options.data or data["folder"]
    if not folder:
        raise UserError(f"{options.run} does not say what it was trained on; name labelled stamps with --data")
    bands = options.bands or ([] if options.data else data.get("chosen_bands", []))
    stamps = load_stamps(folder, verbose=True, bands=bands)
    stamps, fold = choose_unseen(options.run, stamps, not options.data, options.resample, options.subtract_sky)
    classifier = LensClassifier.of(backend).load(options.run).set_params(verbose=True)
    evaluation = evaluate_run(classifier, options.run, stamps, fold, options.filter, options.threshold)
    show(Path(options.run), evaluation, options)


def show(run: Path, evaluation: Evaluation, options: argparse.Namespace) -> None:
    """Print metrics, and draw ROC and scores into the run."""
    suffix, labels, scores = evaluation.suffix, evaluation.labels, evaluation.scores
    where = Path(evaluation.stamps.folder).absolute().name if suffix else f"its {evaluation.fold} fold"
    title = f"{read_config(run)['model']} on {where}, {len(labels)} stamps"
    pictures.plot_roc(run / f"roc{suffix}.png", labels, scores, title, options.threshold)
    pictures.plot_scores(run / f"scores{suffix}.png", labels, scores, title, options.threshold)
    for key, value in evaluation.metrics.items():
        print(f"{key:24} {'undefined' if value is None else f'{value:.4f}' if isinstance(value, float) else value}")
    print(f"wrote metrics{suffix}.json, roc{suffix}.png and scores{suffix}.png in {run}")
