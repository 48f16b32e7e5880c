"""Replace each stamp by its azimuthal average about the centre, with noise of its own: a one-dimensional sample.

A ring of one pixel's width has one brightness, that of its mean, so a stamp holds no more than a profile does.  The
averaging takes most of the noise away; white noise brings each pixel back to the noise of the stamp.
"""

import gzip
import hashlib
import io
import os
import shutil
from pathlib import Path

import numpy as np
from astropy.io import fits

from lens_common.data.layout import CATALOGUE_NAME, DATASET_FOLDER
from lens_common.data.noise import median_and_noise
from lens_common.data.stamps import load_stamps


def azimuthal_average(stamp: np.ndarray, noise: float, random: np.random.Generator) -> np.ndarray:
    """Average a stamp over rings about its centre, and give each pixel its noise back.

    Parameters
    ----------
    stamp : float array (H, W)
        Counts; finite.  Both sides odd, so that a pixel is the centre.
    noise : float
        Standard deviation of a pixel [counts].
    random : numpy Generator
        Draws the noise.

    Returns
    -------
    float32 array (H, W)
        Ring k holds the pixels whose distance from the centre rounds to k.  The mean of n pixels keeps a noise of
        ``noise / sqrt(n)``; what is added has the variance ``noise**2 * (1 - 1 / n)``.
    """
    rows, columns = (np.arange(side) - side // 2 for side in stamp.shape)
    ring = np.rint(np.hypot(rows[:, None], columns[None])).astype(int)
    n_pixels = np.bincount(ring.ravel())
    means = np.bincount(ring.ravel(), stamp.ravel().astype(float)) / n_pixels
    added = noise * np.sqrt(1 - 1 / n_pixels)
    return (means[ring] + added[ring] * random.standard_normal(stamp.shape)).astype(np.float32)


def make_profiles(whole: Path, out: Path) -> None:
    """Write the set of profiles of a set of mocks, in the same layout and under the same names.

    Parameters
    ----------
    whole : Path
        Set of mocks of one band.
    out : Path
        Folder that appears when the set is complete; one that is there stays as it is.
    """
    if out.exists():
        return
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    data = load_stamps(whole)
    noise = median_and_noise(data.pixels)[1][:, 0]
    for stamp_id, path, stamp, sigma in zip(map(str, data.ids), data.paths, data.pixels[:, 0], noise):
        seed = int(hashlib.sha256(stamp_id.encode()).hexdigest()[:8], 16)
        flat = azimuthal_average(stamp, float(sigma), np.random.default_rng(seed))
        target = partial / Path(data.folder, path).relative_to(whole)
        target.parent.mkdir(parents=True, exist_ok=True)
        with io.BytesIO() as file:
            fits.PrimaryHDU(flat).writeto(file)
            target.write_bytes(gzip.compress(file.getvalue(), compresslevel=1, mtime=0))
    shutil.copyfile(whole / DATASET_FOLDER / CATALOGUE_NAME, partial / DATASET_FOLDER / CATALOGUE_NAME)
    os.replace(partial, out)
