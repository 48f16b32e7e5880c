"""Options that several verbs share, and the parser that they are added to."""

import argparse
import contextlib
import sys
from typing import Any, Callable, NoReturn, Optional

from ..data.bands import parse_bands
from ..data.quality import THRESHOLDS, describe_filter, parse_filter
from ..errors import UserError
from ..mocks.prior import POPULATIONS, PRIOR, find_priors
from ..runs import shipped_names, shipped_run

EXIT_USER_ERROR = 2
# Makes the parser of a verb, or finds it to be extended: (name, what it does, example, function).
AddVerb = Callable[..., argparse.ArgumentParser]


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, and that takes no flag for the beginning of another."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Print the message as one sentence, and end with 2."""
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(EXIT_USER_ERROR)


def add_network(parser: argparse.ArgumentParser) -> None:
    """Add --run and --model: which network scores."""
    names = shipped_names()
    parser.add_argument("--run", metavar="RUN", help="run directory of a training; by default a shipped network")
    parser.add_argument(
        "--model",
        choices=names,
        help=f"which of the shipped networks, default {names[0]}; with --run: refuse a run of the other",
    )


def chosen_run(options: argparse.Namespace) -> str:
    """Run directory that was named, or else that of a network that ships with the package."""
    return options.run or str(shipped_run(options.model or shipped_names()[0]))


def add_changes(parser: argparse.ArgumentParser) -> None:
    """Add --resample and --subtract-sky: what may be done to stamps before they are scored."""
    add_subtract_sky(parser)
    parser.add_argument(
        "--resample",
        action="store_true",
        help="give stamps of another size or pixel scale those that the network was trained on, about their centre, "
        "conserving flux; by default they are refused",
    )


def add_subtract_sky(parser: argparse.ArgumentParser) -> None:
    """Add --subtract-sky."""
    parser.add_argument(
        "--subtract-sky",
        action="store_true",
        help="subtract from each stamp its sky, the median of its pixels clipped at three sigma: for images whose sky "
        "is still in them; a sky level unlike that of the training is warned of, a high one refused",
    )


def add_bands(parser: argparse.ArgumentParser) -> None:
    """Add --bands, which is --band, too."""
    parser.add_argument(
        "--band",
        "--bands",
        dest="bands",
        type=_argument(parse_bands),
        default=(),
        metavar="B",
        help="which bands to take, in this order, of stamps that have several: names such as gri or g,r,i, which the "
        "headers must state, or numbers from 0 such as 0,2; by default all, or those that the network knows by name",
    )


def add_filter(parser: argparse.ArgumentParser, what: str, default: Optional[str] = None) -> None:
    """Add --filter, with what it does here."""
    parser.add_argument(
        "--filter",
        type=_argument(parse_filter),
        default=default,
        metavar="F",
        help=f"bad-image filter: {what}; thresholds by comma: noise at most, fraction of nonfinite pixels at most, "
        f"detected signal at least; `default` is {describe_filter(THRESHOLDS)}",
    )


def add_population(parser: argparse.ArgumentParser) -> None:
    """Add --population, of the mocks to be made."""
    parser.add_argument(
        "--population",
        type=_argument(lambda text: find_priors(text.split(","))),
        metavar="P",
        help=f"of the mocks: {' or '.join(POPULATIONS)}, where both classes draw sources and field alike, so that only "
        f"lensing differs; several by comma take turns; default {PRIOR.name}",
    )


def add_margin(parser: argparse.ArgumentParser) -> None:
    """Add --margin."""
    parser.add_argument(
        "--margin",
        type=float,
        default=0.02,
        metavar="M",
        help="the largest difference in AUROC that would not matter; default %(default)s",
    )


def add_threshold(parser: argparse.ArgumentParser) -> None:
    """Add --threshold."""
    parser.add_argument(
        "--threshold",
        type=_threshold,
        default=0.5,
        metavar="T",
        help="a score above it is called a lens; default %(default)s",
    )


def seed(text: str) -> int:
    """Read a seed, as NumPy takes it."""
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"a seed is a whole number from 0 to {2**32 - 1}, got {text}")
    return int(text)


def positive(text: str) -> int:
    """Read an option that counts something."""
    if not text.isdecimal() or not 1 <= int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"needs a whole number of 1 or more, below 2**31, got {text}")
    return int(text)


def _argument(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Function of the library that reads a text, for a parser: its error is one of the command line."""

    def take(text: str) -> Any:
        try:
            return read(text)
        except UserError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return take


def _threshold(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"a threshold is a number from 0 to 1, got {text}")
