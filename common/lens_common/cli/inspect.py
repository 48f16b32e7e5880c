"""The verb ``inspect``: describe a data set."""

import argparse
import os
from pathlib import Path
from types import ModuleType

import numpy as np
from astropy.table import Table

from ..data.bands import spell_bands
from ..data.catalogue import read_catalogue
from ..data.domain import subtract_sky
from ..data.quality import describe_filter, explain_flags
from ..data.stamps import Stamps, load_stamps
from ..data.summary import Summary, summarise
from . import pictures
from .options import AddVerb, add_bands, add_filter, add_subtract_sky
from .outputs import add_out


def add_verb(verb: AddVerb) -> None:
    """Add ``inspect`` to a command line."""
    parser = verb("inspect", "describe a data set", "mocks7 --out mocks7.png", inspect)
    parser.add_argument("data", metavar="DATA", help="any folder above the stamps")
    parser.set_defaults(load=load_stamps)
    add_out(parser, "picture of some of the stamps, and of what the filter would drop", [".png"], needed=False)
    add_bands(parser)
    add_subtract_sky(parser)
    add_filter(parser, "show what it would drop; default %(default)s", "default")


def inspect(backend: ModuleType, options: argparse.Namespace) -> None:
    """Describe a data set: stamps by class, noise, parameters, files set aside, what the filter would drop."""
    stamps = options.load(options.data, verbose=True, bands=options.bands)
    if options.subtract_sky:
        stamps = subtract_sky(stamps)
    summary = summarise(stamps, _catalogue(stamps, options.data), options.filter)
    shape = stamps.pixels.shape
    print(f"{stamps.folder}: {len(stamps)} stamps of {spell_bands(shape[1], stamps.bands)}, {shape[2:]} pixels")
    for name, value in (
        ("pixel scale [arcsec]", stamps.pixel_scale_arcsec),
        ("zero-point [mag]", stamps.zero_point_mag),
    ):
        print(f"{name:32}{'unknown' if np.isnan(value) else f'{value:.4g}':>24}")
    _print_summary(summary)
    for rejection in stamps.rejected:
        print(f"{rejection.action}: {rejection.path}: {rejection.reason}")
    if options.out:
        _draw_stamps(options, stamps, summary)


def _catalogue(stamps: Stamps, source: str) -> Table:
    """What is known of each stamp; of those that lie in no files of their own only what the stamps say."""
    in_files = all(os.path.exists(os.path.join(source, path)) for path in stamps.paths[:1])
    return read_catalogue(source) if in_files else Table({"path": stamps.paths})


def _print_summary(summary: Summary) -> None:
    """Print a column for each class."""
    table = {"5 / 50 / 95 %": [*summary.rows_of], "stamps": [str(rows.sum()) for rows in summary.rows_of.values()]}
    for name in summary.values:
        triples = [summary.quantiles(name, kind) for kind in summary.rows_of]
        table[name] = [" / ".join(f"{value:.3g}" for value in values) or "-" for values in triples]
    for name, beyond in {**summary.flags, "any of these": summary.flagged}.items():
        table[f"filter drops: {name}"] = [str((rows & beyond).sum()) for rows in summary.rows_of.values()]
    for name, cells in table.items():
        print(f"{name:32}" + "".join(f"{cell:>24}" for cell in cells))


def _draw_stamps(options: argparse.Namespace, stamps: Stamps, summary: Summary) -> None:
    """Draw 40 stamps, spread over the data: at most 20 that the filter drops, last, and others."""
    flagged = summary.flagged
    dropped = _spread(np.flatnonzero(flagged), 20)
    rows = np.concatenate([_spread(np.flatnonzero(~flagged), 40 - len(dropped)), dropped])
    reasons = explain_flags(summary.quality, options.filter, rows)
    titles = ["\n".join([stamp_id, *filter(None, why.split(", "))]) for stamp_id, why in zip(stamps.ids[rows], reasons)]
    heading = f"{Path(stamps.folder).name}: framed, what the filter {describe_filter(options.filter)} drops"
    pictures.plot_stamps(options.out, stamps.pixels[rows], titles, heading, flagged[rows], stamps.bands)
    print(f"wrote {options.out}")


def _spread(rows: np.ndarray, most: int) -> np.ndarray:
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]
