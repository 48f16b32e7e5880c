"""Whatever ``score`` reads, as stamps in memory: for the verbs that look at some of them."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lens_common.cli import inspect, maps
from lens_common.data.bands import Choice, names_of_most, parse_bands
from lens_common.data.decoding import pixels_of_most
from lens_common.data.stamps import Stamps, load_stamps
from lens_common.errors import UserError

from .engine import as_dataset, examine_shard
from .plan import SHARD, Plan
from .readers import expand_source


def add_verbs(verb: Callable[..., Any]) -> None:
    """Let ``inspect`` and ``maps`` of the command line take what ``score`` takes."""
    for name, what, example, function in (
        ("inspect", "describe a data set", "cutouts.h5 --out cutouts.png", inspect.inspect),
        ("maps", "map what the scores of some stamps rest on", "cutouts.h5 --most 12 --out maps.png", maps.maps),
    ):
        verb(name, what, example, function).set_defaults(load=load_cutouts)


def load_cutouts(source: str, verbose: bool = False, bands: Choice = None) -> Stamps:
    """Load a folder of FITS files, or any other source of `lens_modern.survey.readers`.

    Parameters
    ----------
    source : str
        Folder or file.
    verbose : bool
        Show a bar while a folder is read.
    bands : str or sequence of str or int, optional
        As of `lens_common.load_stamps`.

    Returns
    -------
    Stamps
        Of the shape and pixel scale that most of them have; the others are its `rejected`.

    Raises
    ------
    UserError
        If nothing in it can be read as a stamp.
    """
    if os.path.isdir(source) and expand_source(source) == [source]:
        return load_stamps(source, verbose=verbose, bands=bands)
    with tempfile.TemporaryDirectory() as place:
        plan = Plan(Path(place) / "shards.jsonl", [source], SHARD, choice=parse_bands(bands))
        sample = look(plan, source)
        known = None if np.isnan(sample.pixel_scale_arcsec) else sample.pixel_scale_arcsec
        shards = plan.shards(range(len(plan)))
        asked = sample.pixels.shape[1:], known, sample.choice, sample.bands
        found = [one for shard in shards for one in examine_shard(shard, *asked)]
    return as_dataset(source, found, sample.pixel_scale_arcsec, sample.zero_point_mag, *asked[2:])


def look(plan: Plan, name: str) -> Stamps:
    """Some stamps of a plan, with the shape, bands, pixel scale and zero-point that most of them have."""
    found = plan.sample()
    rejection = found[0][1].rejection
    shapes = [outcome.stamp.shape for _, outcome in found if outcome.stamp is not None]
    if not shapes and rejection:
        raise UserError(
            f"none of the {sum(plan.lengths)} cutouts of {name} gives a stamp; "
            f"the first, {rejection.path}: {rejection.reason}"
        )
    shape = max(shapes, key=shapes.count)
    found = [one for one in found if one[1].stamp is not None and one[1].stamp.shape == shape]
    bands = names_of_most([outcome.bands for _, outcome in found])
    found = [one for one in found if one[1].bands in ((), bands)]
    scale, zero_point = pixels_of_most([(cutout.path, outcome) for cutout, outcome in found])
    return as_dataset(name, found, scale, zero_point, plan.choice, bands)
