"""The verb ``simulate``: make mocks."""

import argparse
from types import ModuleType

from ..mocks.prior import PRIOR
from ..mocks.writer import make_mocks
from .options import AddVerb, add_population, seed


def add_verb(verb: AddVerb) -> None:
    """Add ``simulate`` to a command line."""
    parser = verb("simulate", "make mocks in the 2018 layout", "--mocks 2000 --seed 7 --out mocks7", simulate)
    parser.add_argument(
        "--mocks", type=int, default=2000, metavar="N", help="stamps, half of them lenses; default %(default)s"
    )
    parser.add_argument(
        "--seed", type=seed, default=1, metavar="S", help="two data sets need two seeds; default %(default)s"
    )
    add_population(parser)
    parser.add_argument(
        "--pairs",
        action="store_true",
        help="non-lenses are the lenses once more, their mass taken away and nothing else changed: for the verb pairs",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make")


def simulate(backend: ModuleType, options: argparse.Namespace) -> None:
    """Make mocks in the 2018 layout."""
    priors = options.population or (PRIOR,)
    folder = make_mocks(options.out, options.mocks, seed=options.seed, prior=priors, verbose=True, pairs=options.pairs)
    again = ", and the same without lensing" if options.pairs else ""
    print(f"{options.mocks} mocks, {options.mocks // 2} of them lenses{again}: {folder}")
