"""The verb ``maps``: what the scores of some stamps rest on, as a picture and as arrays."""

import argparse
from pathlib import Path
from types import ModuleType
from typing import List

import numpy as np

from ..data.stamps import load_stamps
from ..errors import UserError
from ..files import write_arrays
from ..learning.classifier import LensClassifier
from ..runs import check_model
from ..scores.occlusion import map_stamps, pick_stamps
from ..trials import fit_to_run
from . import pictures
from .options import AddVerb, add_bands, add_changes, add_network, chosen_run, positive
from .outputs import add_out

MOST_DRAWN = pictures.MOST_PAIRS


def add_verb(verb: AddVerb) -> None:
    """Add ``maps`` to a command line."""
    parser = verb("maps", "map what the scores of some stamps rest on", "cutouts/ --most 12 --out maps.png", maps)
    parser.add_argument("data", metavar="DATA", help="any folder above the stamps")
    parser.set_defaults(load=load_stamps)
    add_network(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--ids", metavar="FILE", help="text file that names the stamps, one id a line")
    which.add_argument(
        "--most", type=positive, default=12, metavar="N", help="the N of the highest scores; default %(default)s"
    )
    add_bands(parser)
    add_changes(parser)
    add_out(parser, "the picture; FILE.npz holds all arrays", [".png"], [".npz"])


def maps(backend: ModuleType, options: argparse.Namespace) -> None:
    """Score stamps and map them by occlusion; write FILE.png, and FILE.npz with every number.

    The arrays are ids (n,), scores float64 (n,) in [0, 1], stamps float32 (n, bands, H, W) in counts, and maps
    float32 (n, H, W) in [-1, 1]; see `lens_common.scores.occlusion`.
    """
    out, run = Path(options.out), chosen_run(options)
    check_model(run, options.model)
    stamps = options.load(options.data, verbose=True, bands=options.bands)
    stamps = fit_to_run(stamps, run, options.resample, options.subtract_sky)
    ids = read_ids(Path(options.ids)) if options.ids else None
    if ids:
        pick_stamps(stamps, ids)  # before the network is built, which takes a while
    classifier = LensClassifier.of(backend).load(run)

    def score(pixels: np.ndarray) -> np.ndarray:
        return classifier.predict_proba(pixels)[:, 1]

    chosen, scores, occlusions = map_stamps(score, stamps, ids, options.most, verbose=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    titles = [f"{stamp_id}\nscore {value:.3f}" for stamp_id, value in zip(chosen.ids, scores)][:MOST_DRAWN]
    heading = f"{Path(stamps.folder).name}: what the scores rest on"
    pictures.plot_maps(out, chosen.pixels[:MOST_DRAWN], occlusions[:MOST_DRAWN], titles, heading, chosen.bands)
    arrays = {"ids": chosen.ids, "scores": scores, "stamps": np.array(chosen.pixels), "maps": occlusions}
    write_arrays(out.with_suffix(".npz"), arrays)
    print(f"{len(scores)} stamps mapped: wrote {out} and {out.with_suffix('.npz').name}")


def read_ids(path: Path) -> List[str]:
    """Read one id a line; empty lines do not count.

    Raises
    ------
    UserError
        If the file cannot be read, or names none.
    """
    try:
        lines = path.read_text().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the ids in {path}: {error}; write one id a line") from error
    ids = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise UserError(f"{path} names no stamp; write one id a line, such as lensed_outputs/0/lensed_0")
    return ids
