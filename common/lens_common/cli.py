"""The command line that both twins share; a twin gives it its name and its backend."""

import argparse
import contextlib
import sys
from types import ModuleType
from typing import List, NoReturn, Optional

from . import __version__, commands
from .errors import Interrupted, UserError
from .scaling import SCALINGS
from .study import DEFECTS, MODELS, PRESETS

EXIT_USER_ERROR = 2


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(EXIT_USER_ERROR)


def run_command_line(backend: ModuleType, arguments: Optional[List[str]] = None) -> int:
    """Parse and carry out one command.

    Parameters
    ----------
    backend : module
        A twin's ``backend``.
    arguments : list of str, optional
        Instead of ``sys.argv[1:]``.

    Returns
    -------
    int
        0; 2 for the user's mistake, one sentence on stderr; 128 + signal where one stopped it.
    """
    program = f"lens-{backend.NAME}"
    options = build_parser(program).parse_args(arguments)
    try:
        options.verb(backend, options)
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except Interrupted as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 128 + error.signum
    except KeyboardInterrupt:
        print(f"{program}: stopped by Ctrl-C; the same command goes on with what is finished", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"{program}: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return EXIT_USER_ERROR
    return 0


def build_parser(program: str) -> argparse.ArgumentParser:
    """Parser of all verbs; each sets ``verb`` to its function in `commands`."""
    parser = _Parser(
        prog=program,
        description="Find galaxy-galaxy strong lenses on single-band 45x45 stamps.",
        epilog=f"example: {program} train --model cnn --out runs/first && {program} evaluate runs/first",
    )
    parser.add_argument("--version", action="version", version=f"{program} {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", dest="name", required=True, parser_class=_Parser)

    def verb(name: str, what: str, example: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(
            name,
            help=what,
            description=f"{what[0].upper()}{what[1:]}.",
            epilog=f"example: {program} {name} {example}",
        )
        added.set_defaults(verb=getattr(commands, name))
        return added

    made = verb("simulate", "make mocks in the 2018 layout", "--mocks 2000 --seed 7 --out mocks7")
    made.add_argument(
        "--mocks", type=int, default=2000, metavar="N", help="stamps, half of them lenses; default %(default)s"
    )
    made.add_argument(
        "--seed", type=_seed, default=1, metavar="S", help="two data sets need two seeds; default %(default)s"
    )
    made.add_argument("--out", required=True, metavar="DIR", help="folder to make")

    shown = verb("inspect", "describe a data set", "mocks7 --out mocks7.png")
    shown.add_argument("data", metavar="DATA", help="any folder above the stamps")
    shown.add_argument("--out", metavar="FILE.png", help="picture of some of the stamps")

    _add_train(verb("train", "train and evaluate a network", "--model cnn --preset study-2000 --out runs/cnn"))

    scored = verb("score", "score every stamp of a folder", "cutouts/ --run runs/cnn --out scores.csv")
    scored.add_argument("data", metavar="DATA", help="any folder above the stamps")
    scored.add_argument("--run", metavar="RUN", help="run directory of a training")
    scored.add_argument("--model", choices=MODELS, help="refuse a run of the other model")
    scored.add_argument("--out", required=True, metavar="FILE.csv", help="score table; FILE.json is written beside it")

    tested = verb("evaluate", "metrics of a trained network", 'runs/cnn --data "$LENS_PICS_MOCKS"')
    tested.add_argument("run", metavar="RUN", help="run directory of a training")
    tested.add_argument("--data", metavar="DIR", help="other labelled data than the run's own test fold")
    _add_threshold(tested)
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
    parser.add_argument("--scaling", choices=SCALINGS, help="instead of the preset's")
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
    _add_threshold(parser)


def _add_threshold(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threshold",
        type=_threshold,
        default=0.5,
        metavar="T",
        help="a score above it is called a lens; default %(default)s",
    )


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"a seed is a whole number from 0 to {2**32 - 1}, got {text}")
    return int(text)


def _threshold(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"a threshold is a number from 0 to 1, got {text}")
