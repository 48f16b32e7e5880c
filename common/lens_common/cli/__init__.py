"""The command line that both twins share; a twin gives it its name and its backend."""

import argparse
import contextlib
import logging
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Dict, Iterator, List, NoReturn, Optional, Sequence

from .. import __version__
from ..data.quality import THRESHOLDS, describe_filter, parse_filter
from ..errors import Interrupted, UserError
from ..files import cache_folder
from ..learning.augmentation import INTERPOLATIONS
from ..learning.presets import DEFECTS, MODELS, PRESETS
from ..learning.scaling import SCALINGS
from ..learning.training import SCHEDULES
from ..mocks.prior import POPULATIONS, PRIOR
from . import commands, maps

EXIT_USER_ERROR = 2


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, and that takes no flag for the beginning of another."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(EXIT_USER_ERROR)


def run_command_line(
    backend: ModuleType, arguments: Optional[List[str]] = None, extra_verbs: Sequence[Callable[..., None]] = ()
) -> int:
    """Parse and carry out one command.

    Parameters
    ----------
    backend : module
        A twin's ``backend``.
    arguments : list of str, optional
        Instead of ``sys.argv[1:]``.
    extra_verbs : sequence of callable
        Of one side only; see `build_parser`.

    Returns
    -------
    int
        0; 2 for the user's mistake, one sentence on stderr; 128 + signal where one stopped it.
    """
    program = f"lens-{backend.NAME}"
    options = build_parser(backend, extra_verbs).parse_args(arguments)
    stopped: List[int] = []
    try:
        with _terminated_as_interrupted(stopped), _sentences_on_stderr():
            _check_volume(program, options)
            backend.configure(options)
            options.verb(backend, options)
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except Interrupted as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 128 + error.signum
    except KeyboardInterrupt:
        cause = "SIGTERM" if stopped else "Ctrl-C"
        print(f"{program}: stopped by {cause}; the same command goes on with what is finished", file=sys.stderr)
        return 128 + (signal.SIGTERM if stopped else signal.SIGINT)
    except OSError as error:
        print(f"{program}: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return EXIT_USER_ERROR
    return 0


@contextlib.contextmanager
def _sentences_on_stderr() -> Iterator[None]:
    """Show on stderr what the libraries log: what they take, set aside, cannot know."""
    handler = logging.StreamHandler(sys.stderr)
    loggers = [logging.getLogger(name) for name in ("lens_common", "lens_legacy", "lens_modern")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


@contextlib.contextmanager
def _terminated_as_interrupted(stopped: List[int]) -> Iterator[None]:
    """End on SIGTERM as on Ctrl-C, and note it in `stopped`.

    The first process of a container ignores SIGTERM unless it has a handler.
    """
    if threading.current_thread() is not threading.main_thread():  # only there can a handler be set
        yield
        return
    process = os.getpid()

    def interrupt(signum: int, frame: Any) -> None:
        if os.getpid() != process:  # a worker that inherited this by a fork
            os._exit(128 + signum)
        stopped.append(signum)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_volume(program: str, options: argparse.Namespace) -> None:
    """In the image, see that results can be written to the volume, and warn where none is mounted.

    ``LENS_VOLUME``, which the Dockerfile sets, names the folder that should be one.
    """
    volume = os.environ.get("LENS_VOLUME")
    if not volume or (options.name in ("inspect", "compare") and not options.out):
        return
    target = Path(getattr(options, "out", None) or getattr(options, "run", None) or ".").absolute()
    if Path(volume) not in (target, *target.parents):
        return
    if not os.access(volume, os.W_OK):
        raise UserError(
            f'{volume} cannot be written by user {os.getuid()}; mount a folder there with -v "$PWD/out:{volume}", '
            'and run as its owner with --user "$(id -u)"'
        )
    if not os.path.ismount(volume):
        print(
            f"{program}: {volume} is not a mounted volume, so the results stay in the container; "
            f'-v "$PWD/out:{volume}" keeps them',
            file=sys.stderr,
        )
    if tempfile.gettempdir() == os.getcwd():  # Python's last resort, where nothing else can be written
        os.environ["TMPDIR"] = tempfile.tempdir = str(cache_folder("tmp"))


def build_parser(backend: ModuleType, extra_verbs: Sequence[Callable[..., None]] = ()) -> argparse.ArgumentParser:
    """Parser of all verbs of a twin; each sets ``verb`` to its function in `commands`.

    An extra verb is a callable that is handed ``verb(name, what, example, function)``, calls
    it for a parser, and adds its arguments to that.  The name of a common verb gives the parser of
    that, to be extended, and `function` takes the place of the common one.
    """
    program = f"lens-{backend.NAME}"
    parser = _Parser(
        prog=program,
        description="Find galaxy-galaxy strong lenses on single-band 45x45 stamps.",
        epilog=f"example: {program} train --model cnn --out runs/first && {program} evaluate runs/first",
    )
    parser.add_argument("--version", action="version", version=f"{program} {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", dest="name", required=True, parser_class=_Parser)

    def verb(
        name: str, what: str, example: str, function: Optional[Callable[..., None]] = None
    ) -> argparse.ArgumentParser:
        added = verbs.choices.get(name) or verbs.add_parser(name, help=what)
        added.description, added.epilog = f"{what[0].upper()}{what[1:]}.", f"example: {program} {name} {example}"
        added.set_defaults(verb=function or getattr(commands, name))
        return added

    made = verb("simulate", "make mocks in the 2018 layout", "--mocks 2000 --seed 7 --out mocks7")
    made.add_argument(
        "--mocks", type=int, default=2000, metavar="N", help="stamps, half of them lenses; default %(default)s"
    )
    made.add_argument(
        "--seed", type=_seed, default=1, metavar="S", help="two data sets need two seeds; default %(default)s"
    )
    made.add_argument(
        "--population",
        choices=POPULATIONS,
        default=PRIOR.name,
        help="leak-controlled: both classes draw sources and field alike, so only lensing differs; default %(default)s",
    )
    made.add_argument("--out", required=True, metavar="DIR", help="folder to make")

    shown = verb("inspect", "describe a data set", "mocks7 --out mocks7.png")
    shown.add_argument("data", metavar="DATA", help="any folder above the stamps")
    shown.add_argument(
        "--out", metavar="FILE.png", help="picture of some of the stamps, and of what the filter would drop"
    )
    _add_filter(shown, "show what it would drop; default %(default)s", "default")

    trained = verb("train", "train and evaluate a network", "--model cnn --preset study-2000 --out runs/cnn")
    _add_train(trained)
    backend.add_options(trained, training=True)

    scored = verb("score", "score every stamp of a folder", "cutouts/ --run runs/cnn --out scores.csv")
    scored.add_argument("data", metavar="DATA", help="any folder above the stamps")
    _add_network(scored)
    scored.add_argument(
        "--out", required=True, metavar="FILE", help="score table; a JSON file of the same name is written beside it"
    )
    _add_resample(scored)
    _add_filter(scored, "set flagged stamps aside, with the reason in FILE-rejected.csv")
    backend.add_options(scored, training=False)

    tested = verb("evaluate", "metrics of a trained network", 'runs/cnn --data "$LENS_PICS_MOCKS"')
    tested.add_argument("run", metavar="RUN", help="run directory of a training")
    tested.add_argument("--data", metavar="DIR", help="other labelled data than the run's own test fold")
    _add_resample(tested)
    _add_filter(tested, "add the metrics of a search that calls no flagged stamp a lens")
    _add_threshold(tested)
    backend.add_options(tested, training=False)

    mapped = verb("maps", "map what the scores of some stamps rest on", "cutouts/ --most 12 --out maps.png", maps.maps)
    mapped.add_argument("data", metavar="DATA", help="any folder above the stamps")
    _add_network(mapped)
    which = mapped.add_mutually_exclusive_group()
    which.add_argument("--ids", metavar="FILE", help="text file that names the stamps, one id a line")
    which.add_argument(
        "--most", type=positive, default=12, metavar="N", help="the N of the highest scores; default %(default)s"
    )
    _add_resample(mapped)
    mapped.add_argument("--out", required=True, metavar="FILE.png", help="the picture; FILE.npz holds all arrays")
    backend.add_options(mapped, training=False)

    compared = verb("compare", "compare two score tables of the same stamps", "resnet.csv cnn.csv --out compared.png")
    compared.add_argument("a", metavar="A.csv", help="score table of `score` or `train`, with its JSON beside it")
    compared.add_argument("b", metavar="B.csv", help="another; a difference is B minus A")
    compared.add_argument(
        "--margin",
        type=float,
        default=0.02,
        metavar="M",
        help="the largest difference in AUROC that would not matter; default %(default)s",
    )
    compared.add_argument("--out", metavar="FILE.png", help="picture of both; FILE.json, with all numbers, beside it")
    _add_threshold(compared)

    for add in extra_verbs:
        add(verb)
    return parser


def _add_train(parser: argparse.ArgumentParser) -> None:
    presets = "; ".join(f"{name}: {preset.what}" for name, preset in PRESETS.items())
    defects = "; ".join(f"{name}: {defect.what}" for name, defect in DEFECTS.items())
    parser.add_argument(
        "--model", choices=MODELS, default="resnet", help="CMU DeepLens, or the study's CNN; default %(default)s"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--data", metavar="DIR", help="labelled stamps in the 2018 layout; by default mocks are made")
    source.add_argument("--mocks", type=int, metavar="N", help="mocks to make; by default as many as the preset says")
    parser.add_argument("--mocks-seed", type=_seed, default=1, metavar="S", help="of the mocks; default %(default)s")
    parser.add_argument(
        "--preset", choices=PRESETS, default="demo", metavar="P", help=f"default %(default)s; {presets}"
    )
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
    parser.add_argument(
        "--seed", type=_seed, default=1, metavar="S", help="of folds, weights and training; default %(default)s"
    )
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
    _add_filter(parser, "learn from no flagged stamp; the test fold stays whole")
    _add_threshold(parser)


def _add_network(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", metavar="RUN", help="run directory of a training; by default a shipped network")
    parser.add_argument(
        "--model",
        choices=MODELS,
        help=f"which of the shipped networks, default {MODELS[0]}; with --run: refuse a run of the other",
    )


def _add_resample(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resample",
        action="store_true",
        help="give stamps of another size or pixel scale those that the network was trained on, about their centre, "
        "conserving flux; by default they are refused",
    )


def _add_filter(parser: argparse.ArgumentParser, what: str, default: Optional[str] = None) -> None:
    parser.add_argument(
        "--filter",
        type=_filter,
        default=default,
        metavar="F",
        help=f"bad-image filter: {what}; thresholds by comma: noise at most, fraction of nonfinite pixels at most, "
        f"detected signal at least; `default` is {describe_filter(THRESHOLDS)}",
    )


def _add_threshold(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threshold",
        type=_threshold,
        default=0.5,
        metavar="T",
        help="a score above it is called a lens; default %(default)s",
    )


def _filter(text: str) -> Dict[str, float]:
    try:
        return parse_filter(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"a seed is a whole number from 0 to {2**32 - 1}, got {text}")
    return int(text)


def positive(text: str) -> int:
    """Read an option that counts something."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"needs a whole number of 1 or more, got {text}")
    return int(text)


def _threshold(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"a threshold is a number from 0 to 1, got {text}")
