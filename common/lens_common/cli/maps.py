"""The verb ``maps``: what the scores of some stamps rest on, as a picture and as arrays."""

import argparse
from pathlib import Path
from types import ModuleType
from typing import List

import numpy as np

from ..data.stamps import Stamps, load_stamps
from ..errors import UserError
from ..files import write_arrays
from ..progress import progress_bar
from ..scores.occlusion import occlusion_maps
from . import pictures
from .commands import chosen_run, fit_to_run, restore_run

MOST_DRAWN = pictures.MOST_PAIRS


def maps(backend: ModuleType, options: argparse.Namespace) -> None:
    """Score stamps and map them by occlusion; write FILE.png, and FILE.npz with every number.

    The arrays are ids (n,), scores float64 (n,) in [0, 1], stamps float32 (n, bands, H, W) in counts, and maps
    float32 (n, H, W) in [-1, 1]; see `lens_common.scores.occlusion`.
    """
    out = Path(options.out)
    if out.suffix != ".png":
        raise UserError(f"--out must end in .png, got {out}")
    data = fit_to_run(load_stamps(options.data, verbose=True), chosen_run(options), options.resample)
    wanted = pick_stamps(data, read_ids(Path(options.ids))) if options.ids else None
    estimator, _ = restore_run(backend, chosen_run(options), options.model)

    def score(stamps: np.ndarray) -> np.ndarray:
        return estimator.predict_proba(stamps)[:, 1]

    chosen = data if wanted is None else wanted
    scores = score(chosen.pixels)
    if wanted is None:
        rows = np.argsort(-scores, kind="stable")[: options.most]
        chosen, scores = data[rows], scores[rows]
    found = np.empty((len(scores), *chosen.pixels.shape[2:]), np.float32)
    with progress_bar("occlusion maps", len(scores), "stamp") as bar:
        for row in range(len(scores)):
            found[row] = occlusion_maps(score, chosen.pixels[row : row + 1])[0]
            bar.update()
    out.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(
        out.with_suffix(".npz"),
        {"ids": chosen.ids, "scores": scores, "stamps": np.array(chosen.pixels), "maps": found},
    )
    drawn = slice(MOST_DRAWN)
    titles = [f"{stamp_id}\nscore {value:.3f}" for stamp_id, value in zip(chosen.ids[drawn], scores[drawn])]
    pictures.plot_maps(
        out, chosen.pixels[drawn], found[drawn], titles, f"{Path(data.folder).name}: what the scores rest on"
    )
    print(f"{len(scores)} stamps mapped: wrote {out} and {out.with_suffix('.npz').name}")


def read_ids(path: Path) -> List[str]:
    """Read one id a line; empty lines do not count.

    Raises
    ------
    UserError
        If the file cannot be read, or names none.
    """
    try:
        ids = path.read_text().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the ids in {path}: {error}; write one id a line") from error
    ids = [line.strip() for line in ids if line.strip()]
    if not ids:
        raise UserError(f"{path} names no stamp; write one id a line, such as lensed_outputs/0/lensed_0")
    return ids


def pick_stamps(data: Stamps, ids: List[str]) -> Stamps:
    """Keep the stamps of these ids, in their order.

    Raises
    ------
    UserError
        Naming the first that the data set lacks.
    """
    row_of = {stamp_id: row for row, stamp_id in enumerate(data.ids)}
    unknown = [stamp_id for stamp_id in ids if stamp_id not in row_of]
    if unknown:
        raise UserError(
            f"{len(unknown)} of {len(ids)} ids are not in {data.folder}, {unknown[0]!r} the first; "
            f"write them as {data.ids[0]}, or name the data set they are from"
        )
    return data[np.array([row_of[stamp_id] for stamp_id in ids])]
