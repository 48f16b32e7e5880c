"""Sky and noise of a stamp, estimated from its own pixels."""

from typing import Tuple

import numpy as np
from astropy.stats import sigma_clipped_stats

# Standard deviation of a Gaussian over its median absolute deviation: 1 / Phi^-1(3/4).
SIGMA_PER_MAD = 1.4826022185056018


def median_and_noise(stamps: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Median and robust standard deviation of each band of each stamp.

    The noise is the median absolute deviation times 1.4826: right for a stamp whose
    pixels are mostly sky, a few per cent high where objects cover a tenth of it.

    Parameters
    ----------
    stamps : float array (N, bands, H, W)
        Finite; any unit.

    Returns
    -------
    median, noise : float32 arrays (N, bands)
        The input's unit; the noise is 0 where more than half of the pixels are equal.
    """
    pixels = stamps.reshape(*stamps.shape[:2], stamps.shape[2] * stamps.shape[3])  # -1 fails where N is 0
    median = np.median(pixels, axis=2)
    noise = SIGMA_PER_MAD * np.median(np.abs(pixels - median[:, :, None]), axis=2)
    return median.astype(np.float32), noise.astype(np.float32)


def sky_of(stamps: np.ndarray) -> np.ndarray:
    """Sky of each band of each stamp: the median of its pixels, those beyond three sigma left out again and again.

    Parameters
    ----------
    stamps : float array (N, bands, H, W)
        Finite; any unit.

    Returns
    -------
    float64 array (N, bands)
        The input's unit.

    References
    ----------
    `astropy.stats.sigma_clipped_stats`, with its own three sigma and five rounds.
    """
    pixels = np.asarray(stamps, np.float64).reshape(*stamps.shape[:2], stamps.shape[2] * stamps.shape[3])
    if not len(pixels):
        return np.zeros(pixels.shape[:2])
    return np.asarray(sigma_clipped_stats(pixels, axis=2)[1], np.float64)
