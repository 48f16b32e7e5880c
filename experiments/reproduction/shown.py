"""Stamps that the pages and README show, and how many of the PICS mocks hold a pixel that is not finite.

    python -m experiments reproduction.shown PICS_MOCKS OUT.npz PIXELS.json

Writes mocks of ours, made for it: no pixel of the PICS mocks is kept, only the count.
"""

from functools import partial
from pathlib import Path

import numpy as np
from astropy.io import fits

from experiments.runner import carry_out
from lens_common.data.catalogue import read_catalogue
from lens_common.data.layout import STAMP_NAME
from lens_common.data.stamps import load_stamps
from lens_common.files import write_arrays, write_json
from lens_common.trials import default_mocks

N_MOCKS, SEED, N_SHOWN = 200, 18, 3


def brightest(is_lens: int) -> np.ndarray:
    """Stamps (N_SHOWN, H, W) of one class in counts: the lenses of wide rings, the non-lenses of the centre."""
    folder = default_mocks(N_MOCKS, SEED)
    data, entries = load_stamps(folder), {row["id"]: row for row in read_catalogue(folder)}
    rows = np.flatnonzero(data.labels == is_lens)
    wide = [i for i in rows if not is_lens or entries[data.ids[i]]["einstein_radius"] > 1.1]
    wide.sort(key=lambda i: -entries[data.ids[i]]["snr"])
    return np.asarray(data.pixels)[wide[:N_SHOWN], 0]


def count_pixels(folder: Path) -> dict[str, int]:
    """Files of a folder, and how many hold a pixel that is not finite, before anything repairs them."""
    paths = [path for path in sorted(folder.rglob("*")) if STAMP_NAME.search(path.name)]
    finite = [bool(np.isfinite(fits.getdata(path)).all()) for path in paths]
    return {"n_stamps": len(paths), "n_not_finite": finite.count(False)}


def work(pics: Path, out: Path, pixels: Path) -> str:
    """Write both."""
    write_arrays(out, {"lenses": brightest(1).astype(np.float16), "others": brightest(0).astype(np.float16)})
    write_json(pixels, count_pixels(pics))
    return f"wrote {out} and {pixels}"


OPTIONS = {name: {"type": Path} for name in ("pics", "out", "pixels")}
main = partial(carry_out, "shown", __doc__, OPTIONS, work)
