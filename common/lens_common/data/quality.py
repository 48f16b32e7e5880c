"""The bad-image filter: which stamps are too noisy, too damaged or too empty to be asked about."""

from typing import Dict, Iterable, List, Mapping

import numpy as np
from scipy.ndimage import gaussian_filter

from ..errors import UserError
from ..mocks.prior import PRIOR
from .decoding import SET_ASIDE, Rejection
from .layout import ZERO_POINT_MAG
from .noise import median_and_noise
from .stamps import Stamps

# Names, default thresholds and units of what a filter can ask for.  Noise: the 95 % quantile of the
# PICS mocks is 4.6 counts.  Signal: of 20,000 stamps of pure noise 3 reach 5.
THRESHOLDS = {"noise": 6.0, "nonfinite": 0.001, "signal": 5.0}
AT_LEAST = ("signal",)  # the others are upper limits
PSF_SIGMA_PIXELS = PRIOR.psf_fwhm_mean_pixels / 2.3548
CHUNK = 1000


def parse_filter(text: str) -> Dict[str, float]:
    """Read a filter as it stands on the command line.

    Parameters
    ----------
    text : str
        ``default``, or thresholds by comma, as ``noise=6,signal=5``; a quantity that is not
        named is not looked at.

    Returns
    -------
    dict
        Threshold by name: ``noise`` at most [counts at zero-point 30], ``nonfinite`` at most [fraction of
        the pixels], ``signal`` at least [standard deviations].

    Raises
    ------
    UserError
        For another name, or a threshold that is not a number of 0 or more.
    """
    if text == "default":
        return dict(THRESHOLDS)
    thresholds = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            thresholds[name] = float(value)
        except ValueError:
            thresholds[name] = np.nan
        if name not in THRESHOLDS or not thresholds[name] >= 0:
            raise UserError(
                f"a filter is default or thresholds such as {describe_filter(THRESHOLDS)}, got {part!r} in {text!r}"
            )
    return thresholds


def describe_filter(thresholds: Mapping[str, float]) -> str:
    """Write a filter as `parse_filter` reads it."""
    return ",".join(f"{name}={value:g}" for name, value in thresholds.items())


def detected_signal(stamps: np.ndarray) -> np.ndarray:
    """Significance of the brightest thing in each stamp that is as wide as the point-spread function.

    Each band, less its median, is smoothed by a Gaussian of the seeing's width (a matched
    filter for a point source on white noise) and divided by the noise that the smoothing
    leaves; the maximum over pixels and bands counts.  Pure noise of 45x45 pixels gives
    3.0, 3.8 in one stamp of twenty, and 4.7 in one of a thousand.

    Parameters
    ----------
    stamps : float array (N, bands, H, W)
        Finite; any unit.

    Returns
    -------
    float32 array (N,)
        Standard deviations; 0 for a stamp without noise, such as one of zeros.

    References
    ----------
    Bertin & Arnouts 1996, A&AS 117, 393, section 5.1 (detection on the convolved image).
    """
    median, noise = median_and_noise(stamps)
    width = (0, 0, PSF_SIGMA_PIXELS, PSF_SIGMA_PIXELS)
    smooth = gaussian_filter(stamps - median[:, :, None, None], width, mode="constant")
    smooth_noise = noise * smoothing_factor()
    peak = smooth.reshape(*noise.shape, -1).max(axis=2) if len(stamps) else np.zeros(noise.shape)
    return np.divide(peak, smooth_noise, out=np.zeros_like(peak), where=smooth_noise > 0).max(axis=1).astype(np.float32)


def smoothing_factor() -> float:
    """Standard deviation of white noise of unit standard deviation, once it is smoothed by the seeing."""
    point = np.zeros((31, 31))
    point[15, 15] = 1
    return float(np.sqrt((gaussian_filter(point, PSF_SIGMA_PIXELS, mode="constant") ** 2).sum()))


def measure_quality(data: Stamps) -> Dict[str, np.ndarray]:
    """Measure what a filter can ask for.

    Parameters
    ----------
    data : Stamps
        As loaded: non-finite pixels are repaired, and counted in ``rejected``.

    Returns
    -------
    dict of float32 arrays (N,)
        ``noise``: of the noisiest band, in counts at zero-point 30 where the stamps state theirs, else in their own
        unit; ``nonfinite``: fraction of the
        pixels; ``signal``: see `detected_signal`.
    """
    repaired = {row.path: row.n_nonfinite for row in data.rejected}
    chunks = [np.asarray(data.pixels[first : first + CHUNK]) for first in range(0, len(data.ids), CHUNK)]
    n_nonfinite = np.array([repaired.get(path, 0) for path in data.paths], np.float32)
    known = np.isfinite(data.zero_point_mag)
    counts = np.float32(10 ** (0.4 * (ZERO_POINT_MAG - data.zero_point_mag)) if known else 1)  # of one of the unit
    return {
        "noise": counts * np.concatenate([median_and_noise(stamps)[1].max(axis=1) for stamps in chunks]),
        "nonfinite": n_nonfinite / np.float32(np.prod(data.pixels.shape[1:])),
        "signal": np.concatenate([detected_signal(stamps) for stamps in chunks]),
    }


def flag_stamps(quality: Mapping[str, np.ndarray], thresholds: Mapping[str, float]) -> Dict[str, np.ndarray]:
    """Compare what was measured with a filter.

    Returns
    -------
    dict of bool arrays (N,)
        By the filter's names: true where the stamp is beyond that threshold.
    """
    return {
        name: quality[name] < limit if name in AT_LEAST else quality[name] > limit for name, limit in thresholds.items()
    }


def explain_flags(quality: Mapping[str, np.ndarray], thresholds: Mapping[str, float], rows: Iterable[int]) -> List[str]:
    """Say of each stamp in `rows` which thresholds it is beyond; empty for a good one."""
    flags = flag_stamps(quality, thresholds)
    return [
        ", ".join(
            f"{name} {quality[name][row]:.3g} {'<' if name in AT_LEAST else '>'} {limit:g}"
            for name, limit in thresholds.items()
            if flags[name][row]
        )
        for row in rows
    ]


def apply_filter(data: Stamps, thresholds: Mapping[str, float]) -> List[Rejection]:
    """Find the stamps that a filter drops.

    Returns
    -------
    list of Rejection
        One a flagged stamp, in the order of the data, with every threshold that it is beyond.
    """
    quality = measure_quality(data)
    reasons = explain_flags(quality, thresholds, range(len(data.ids)))
    n_nonfinite = np.rint(quality["nonfinite"] * np.prod(data.pixels.shape[1:])).astype(int)
    columns = zip(data.ids, data.paths, n_nonfinite, reasons)
    return [
        Rejection(str(stamp_id), str(path), SET_ASIDE, int(count), f"filter: {reason}")
        for stamp_id, path, count, reason in columns
        if reason
    ]
