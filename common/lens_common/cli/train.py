"""The verb ``train``: train a network and evaluate it on its own test fold."""

import argparse
from dataclasses import fields
from pathlib import Path
from types import ModuleType

from ..data.stamps import load_stamps
from ..errors import UserError
from ..learning.augmentation import INTERPOLATIONS
from ..learning.classifier import LensClassifier
from ..learning.models import MODELS
from ..learning.presets import DEFECTS, PRESETS
from ..learning.protocol import check_lens_weight
from ..learning.scaling import SCALINGS
from ..learning.training import SCHEDULES, TrainingSettings
from ..mocks.prior import PRIOR
from ..trials import check_batch, check_new, default_mocks, train_run
from . import pictures
from .evaluate import show
from .options import AddVerb, add_bands, add_filter, add_population, add_threshold, seed
from .signals import collected_signals


def add_verb(verb: AddVerb) -> None:
    """Add ``train`` to a command line."""
    parser = verb("train", "train and evaluate a network", "--model cnn --preset study-2000 --out runs/cnn", train)
    models = "; ".join(f"{name}: {model.what}" for name, model in MODELS.items())
    parser.add_argument("--model", choices=MODELS, default="resnet", help=f"{models}; default %(default)s")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--data", metavar="DIR", help="labelled stamps in the 2018 layout; by default mocks are made")
    source.add_argument("--mocks", type=int, metavar="N", help="mocks to make; by default as many as the preset says")
    add_bands(parser)
    parser.add_argument("--mocks-seed", type=seed, default=1, metavar="S", help="of the mocks; default %(default)s")
    add_population(parser)
    presets = "; ".join(f"{name}: {preset.what}" for name, preset in PRESETS.items())
    parser.add_argument(
        "--preset", choices=PRESETS, default="demo", metavar="P", help=f"default %(default)s; {presets}"
    )
    _add_settings(parser)
    parser.add_argument(
        "--seed", type=seed, default=1, metavar="S", help="of folds, weights and training; default %(default)s"
    )
    defects = "; ".join(f"{name}: {defect.what}" for name, defect in DEFECTS.items())
    parser.add_argument(
        "--defects",
        type=lambda text: [name for name in text.split(",") if name],
        default=[],
        metavar="D",
        help=f"what was wrong in 2018, by comma; study: all that was wrong with the preset's run; {defects}",
    )
    parser.add_argument(
        "--out", metavar="RUN", help="run directory; by default below runs/; the same command continues it"
    )
    add_filter(parser, "learn from no flagged stamp; the test fold stays whole")
    add_threshold(parser)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """Add what replaces a training setting of the preset."""
    parser.add_argument("--epochs", type=int, metavar="E", help="instead of the preset's")
    parser.add_argument("--batch-size", type=int, metavar="B", help="instead of the preset's")
    parser.add_argument("--learning-rate", type=float, metavar="R", help="instead of the preset's")
    parser.add_argument("--schedule", choices=SCHEDULES, help="of the learning rate, instead of the preset's steps")
    parser.add_argument(
        "--patience",
        type=int,
        metavar="E",
        help="end after so many epochs without a lower validation loss, keep the best",
    )
    parser.add_argument("--scaling", choices=SCALINGS, help="instead of the preset's")
    parser.add_argument(
        "--interpolation",
        choices=INTERPOLATIONS,
        help="of augmented stamps: nearest, every preset's, as Keras did up to 2.1.3; linear, as from 2.1.4 on",
    )
    parser.add_argument(
        "--lens-weight", type=float, metavar="W", help="weight of a lens in the ResNet's loss; default 1"
    )


def train(backend: ModuleType, options: argparse.Namespace) -> None:
    """Train a network, evaluate it on its own test fold, and leave a run directory."""
    given = {field.name: getattr(options, field.name, None) for field in fields(TrainingSettings)}
    classifier = LensClassifier.of(backend)(
        options.model, preset=options.preset, defects=options.defects, seed=options.seed, verbose=True, **given
    )
    settings, preset = classifier.training_settings(), PRESETS[options.preset]
    if options.interpolation and not settings.augmented:
        raise UserError(f"the training of the {options.model} augments no stamp; leave out --interpolation")
    if options.model == "cnn":
        check_lens_weight(settings.lens_weight)
    if options.data and options.population:
        raise UserError("--population is of mocks that are made; leave it out with --data")
    run = Path(options.out or f"runs/{options.model}-{options.preset}-seed{options.seed}")
    check_new(run, classifier, options.filter)
    folder = options.data
    if not folder:
        n_mocks = preset.n_stamps if options.mocks is None else options.mocks
        check_batch(settings, n_mocks)
        folder = default_mocks(n_mocks, options.mocks_seed, options.population or (PRIOR,))
    stamps = load_stamps(folder, verbose=True, bands=options.bands)
    evaluation = train_run(
        classifier, stamps, run, options.filter, options.threshold, collected_signals, at_most=bool(options.data)
    )
    pictures.plot_history(run / "history.png", classifier.history_, f"{options.model}, {options.preset}")
    show(run, evaluation, options)
