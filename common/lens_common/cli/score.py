"""The verb ``score``: score every stamp of a folder."""

import argparse
from pathlib import Path
from types import ModuleType

from ..data.stamps import load_stamps
from ..learning.classifier import LensClassifier
from ..runs import check_model
from ..trials import fit_to_run, score_run, without_flagged
from .options import AddVerb, add_bands, add_changes, add_filter, add_network, chosen_run
from .outputs import add_out


def add_verb(verb: AddVerb) -> None:
    """Add ``score`` to a command line."""
    parser = verb("score", "score every stamp of a folder", "cutouts/ --run runs/cnn --out scores.csv", score)
    parser.add_argument("data", metavar="DATA", help="any folder above the stamps")
    add_network(parser)
    beside = (".json", "-rejected.csv")
    add_out(parser, "score table; a JSON file of the same name is written beside it", [".csv"], beside)
    add_bands(parser)
    add_changes(parser)
    add_filter(parser, "set flagged stamps aside, with the reason in FILE-rejected.csv")


def score(backend: ModuleType, options: argparse.Namespace) -> None:
    """Score every stamp of a folder with a trained network, or with one that ships with the package."""
    out, run = Path(options.out), chosen_run(options)
    out.parent.mkdir(parents=True, exist_ok=True)
    check_model(run, options.model)
    stamps = load_stamps(options.data, verbose=True, bands=options.bands)
    stamps = fit_to_run(stamps, run, options.resample, options.subtract_sky)
    if options.filter:
        stamps = without_flagged(stamps, options.filter)
    classifier = LensClassifier.of(backend).load(run).set_params(verbose=True)
    scores = score_run(classifier, run, stamps, out)
    print(f"{len(scores)} stamps scored, {int((scores > 0.5).sum())} above 0.5: {out}")
