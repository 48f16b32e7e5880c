"""What a network was trained on, and whether other stamps are like it: size, scale, units and sky."""

import logging
import math
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from scipy.interpolate import CubicSpline

from ..errors import UserError
from .bands import choose_for_network, is_numbers
from .decoding import pixel_digest
from .headers import SCALE_KEYS, TOLERANCE, differs
from .noise import median_and_noise, sky_of
from .stamps import Stamps

LOG = logging.getLogger(__name__)
NOISE_QUANTILES = (0.01, 0.5, 0.99)
FAR = 2.0  # times beyond the noise of the training
# Times the largest sky level of the training: beyond it scores are those of the sky.
TOO_FAR = 10.0
# Scalings whose result a common factor of all pixels does not change, or hardly.
WITHOUT_UNIT = ("sigma", "arcsinh", "sign-clip", "sky-sigma", "sky-arcsinh")
# Scalings whose result a constant added to all pixels does not change.
WITHOUT_SKY = ("sky-sigma", "sky-arcsinh")
# Stamps that are looked at to know the noise of a data set, or resampled at once.
CHUNK = 1000


@dataclass(frozen=True)
class Domain:
    """What a run says of the stamps that its network was trained on.

    Attributes
    ----------
    n_bands, side : int
        Shape of a stamp; pixels.
    pixel_scale_arcsec, zero_point_mag : float
        NaN where unknown.
    noise : tuple of float
        1, 50 and 99 % quantile of the stamps' noise, in their unit.
    sky : tuple of float
        The same quantiles of their sky level, see `sky_levels`.
    residual_sky : float
        What a sky estimate finds in them in the median, in units of the noise: faint sources raise it.
    scaling : str
        Name of it; empty where the training has not ended.
    bands : tuple of str
        Names of the bands; empty where unknown.
    """

    n_bands: int
    side: int
    pixel_scale_arcsec: float
    zero_point_mag: float
    noise: Tuple[float, ...]
    sky: Tuple[float, ...]
    residual_sky: float
    scaling: str
    bands: Tuple[str, ...] = ()


def describe_stamps(data: Stamps, rows: np.ndarray) -> Dict[str, Any]:
    """Say of a training's data what `read_domain` asks for.

    Parameters
    ----------
    data : Stamps
    rows : int array
        Of the stamps that are learned from.

    Returns
    -------
    dict
        ``pixel_scale_arcsec`` and ``zero_point_mag``, ``None`` where unknown, ``noise`` and ``sky``; ready for JSON.
    """
    known = {key: getattr(data, key) for key in ("pixel_scale_arcsec", "zero_point_mag")}
    scale = {key: None if math.isnan(value) else value for key, value in known.items()}
    return {**scale, **describe_pixels(data.pixels, rows)}


def describe_pixels(pixels: np.ndarray, rows: Optional[np.ndarray] = None) -> Dict[str, Any]:
    """Noise and sky level of some stamps, or all, (N, bands, H, W) in counts: `NOISE_QUANTILES`, ready for JSON."""
    sample = _spread(pixels, np.arange(len(pixels)) if rows is None else rows)
    levels = sky_levels(sample)
    levels = levels[np.isfinite(levels)] if np.isfinite(levels).any() else np.zeros(1)
    return {
        "noise": np.quantile(_noise(sample), NOISE_QUANTILES).tolist(),
        # Rounded, since two versions of NumPy and astropy part in the last bits of a run that both work on.
        "sky": np.quantile(levels, NOISE_QUANTILES).round(5).tolist(),
        "residual_sky": round(float(np.median(sky_of(sample) / np.maximum(median_and_noise(sample)[1], 1e-30))), 5),
    }


def sky_levels(pixels: np.ndarray) -> np.ndarray:
    """Sky level of each stamp, in units of its own noise.

    Parameters
    ----------
    pixels : float array (N, bands, H, W)
        Finite.

    Returns
    -------
    float32 array (N,)
        Median over noise, of the band where that is furthest from 0; NaN for a stamp without noise.
    """
    median, noise = median_and_noise(pixels)
    levels = median / np.where(noise > 0, noise, np.nan)  # (N, bands)
    furthest = np.argmax(np.nan_to_num(np.abs(levels), nan=-1), axis=1)
    return levels[np.arange(len(levels)), furthest]


def subtract_sky(data: Stamps, residual: float = 0.0) -> Stamps:
    """Subtract from each band of each stamp its sky: the median of its pixels, clipped at three sigma.

    Ids, digests and data hash stay those of the stamps as they were read.

    Parameters
    ----------
    data : Stamps
        Any unit.
    residual : float
        What is left, in units of the noise.  The estimate holds some of the light of faint sources; a network
        that has learned from stamps with a true sky of zero is given as much as was found in those.

    Returns
    -------
    Stamps
        Its `sky_subtracted` is true.
    """
    pixels = np.empty(data.pixels.shape, np.float32)
    for first in range(0, len(data), CHUNK):
        part = np.asarray(data.pixels[first : first + CHUNK], np.float64)
        sky = sky_of(part) - residual * median_and_noise(part)[1]
        pixels[first : first + CHUNK] = part - sky[:, :, None, None]
    return replace(data, pixels=pixels, sky_subtracted=True)


def match_stamps(data: Stamps, domain: Domain, resample: bool) -> Stamps:
    """See that stamps have the size and pixel scale that a network was trained on, or give them these.

    Where the scales differ stamps are resampled, see `resample_stamps`; where they agree within
    1 %, or one is unknown, the middle is cut out.  Ids, digests and data hash stay those of
    the stamps as they were read.

    Parameters
    ----------
    data : Stamps
    domain : Domain
        Of the network.
    resample : bool
        Whether other stamps are resampled or cut; they are refused otherwise.

    Returns
    -------
    Stamps
        The same where nothing had to be done; else its `resampled` says what was.

    Raises
    ------
    UserError
        For other bands, see `match_bands`, another size or scale without `resample`, or stamps that
        cover less of the sky than the network looks at.
    """
    data = match_bands(data, domain)
    height, width = data.pixels.shape[2:]
    side, wanted_arcsec, found_arcsec = domain.side, domain.pixel_scale_arcsec, data.pixel_scale_arcsec
    is_scaled = differs(found_arcsec, wanted_arcsec)
    if (height, width) == (side, side) and not is_scaled:
        return data
    found, wanted = _geometry(height, width, found_arcsec), _geometry(side, side, wanted_arcsec)
    if not resample:
        raise UserError(
            f"the stamps of {data.folder} are {found}, those that the network was trained on {wanted}; "
            "cut and resample them, or let `resample` of score and evaluate do it"
        )
    step = wanted_arcsec / found_arcsec if is_scaled else 1.0
    width_needed = side * step  # old pixels
    if min(height, width) < width_needed * (1 - TOLERANCE / 10):
        pixel, unit = (1.0, "pixels") if math.isnan(found_arcsec * wanted_arcsec) else (found_arcsec, "arcsec")
        raise UserError(
            f"the stamps of {data.folder} are {min(height, width) * pixel:.3g} {unit} wide, the network looks at "
            f"{width_needed * pixel:.3g}; cut larger ones"
        )
    if is_scaled:
        stamps = resample_stamps(data.pixels, side, step)
    else:
        top, left = (height - side) // 2, (width - side) // 2
        stamps = data.pixels[:, :, top : top + side, left : left + side]
    done = f"{found} {'resampled' if is_scaled else 'cut'} to {wanted}"
    return replace(data, pixels=stamps, resampled=done, pixel_scale_arcsec=wanted_arcsec if is_scaled else found_arcsec)


def match_bands(data: Stamps, domain: Domain) -> Stamps:
    """See that stamps have the bands that a network was trained on, or take these out of more by name.

    Names count where both are known, unless the bands of the stamps were chosen by number.

    Parameters
    ----------
    data : Stamps
    domain : Domain
        Of the network.

    Returns
    -------
    Stamps
        The same, or with the network's bands alone; their digests are of these, and the log says so.

    Raises
    ------
    UserError
        For another number of bands, other names or another order, naming both.
    """
    names = () if is_numbers(data.choice) else data.bands
    taken = choose_for_network(names, data.pixels.shape[1], domain.bands, domain.n_bands, data.folder)
    if taken is None:
        return data
    LOG.info(took_bands(data.folder, taken, names))
    pixels = np.ascontiguousarray(data.pixels[:, [names.index(name) for name in taken]])
    digests = np.array([pixel_digest(stamp) for stamp in pixels])
    return replace(data, pixels=pixels, digests=digests, bands=taken, choice=taken)


def took_bands(folder: str, taken: Sequence[str], names: Sequence[str]) -> str:
    """Sentence for the user where a network takes some of the bands of a source."""
    return f"of the bands {', '.join(names)} of {folder} the network takes those it was trained on: {', '.join(taken)}"


def resample_stamps(stamps: np.ndarray, side: int, step: float) -> np.ndarray:
    """Resample stamps about their centre to other pixels, conserving flux.

    Along each axis the counts up to each pixel's edge are summed, a cubic spline is laid through
    the sums, and a new pixel gets the difference between its edges.  So counts a pixel scale with
    its area, and noise becomes correlated between neighbours.

    Parameters
    ----------
    stamps : float array (N, bands, H, W)
        Counts.
    side : int
        Of the new stamps.
    step : float
        Side of a new pixel over that of an old one; ``side * step`` is at most H and W.

    Returns
    -------
    float32 array (N, bands, side, side)
        Counts.
    """
    rows, columns = (_weights(length, side, step) for length in stamps.shape[2:])
    resampled = np.empty((*stamps.shape[:2], side, side), np.float32)
    for first in range(0, len(stamps), CHUNK):
        resampled[first : first + CHUNK] = rows @ stamps[first : first + CHUNK] @ columns.T
    return resampled


def _weights(length: int, side: int, step: float) -> np.ndarray:
    """Share (side, length) that each old pixel of a row has in each new one."""
    sums = np.vstack([np.zeros(length), np.cumsum(np.eye(length), axis=0)])
    edges = length / 2 + step * (np.arange(side + 1) - side / 2)
    return np.diff(CubicSpline(np.arange(length + 1), sums)(np.clip(edges, 0, length)), axis=0)


def scale_warnings(data: Stamps, domain: Domain) -> List[str]:
    """Sentence for the user where nothing says how large the pixels of stamps are, and the network's scale is known."""
    if not math.isnan(data.pixel_scale_arcsec) or math.isnan(domain.pixel_scale_arcsec):
        return []
    return [
        f"the pixel scale of {data.folder} is unknown, and taken to be the network's, {domain.pixel_scale_arcsec:g} "
        f"arcsec: no header has a CD matrix or CDELT with RA and DEC, or one of {', '.join(SCALE_KEYS)}"
    ]


def unit_warnings(data: Stamps, domain: Domain) -> List[str]:
    """Sentences for the user where stamps seem to be in another unit than those of the training.

    Parameters
    ----------
    data : Stamps
        Of the network's size and pixel scale.
    domain : Domain
        Of the network.

    Returns
    -------
    list of str
        One where the headers state another zero-point, by more than 1 % in flux; one where the
        median noise lies a factor of 2 or more beyond the 1 to 99 % of the training stamps; one where
        the median sky level lies beyond those.

    Raises
    ------
    UserError
        For a sky level more than `TOO_FAR` times as high, or as low, as any in the training, where scores follow it.
    """
    zero_point = domain.zero_point_mag
    unit = "its unit" if math.isnan(zero_point) else f"counts at zero-point {zero_point:g} in one exposure"
    if domain.scaling in WITHOUT_UNIT:
        matters = f"its scaling, {domain.scaling}, is insensitive to a constant factor"
    else:
        matters = f"its scaling, {domain.scaling}, is sensitive to a constant factor"
    sentences = []
    factor = 10 ** (0.4 * (zero_point - data.zero_point_mag))
    if differs(factor, 1):
        sentences.append(
            f"the headers of {data.folder} say zero-point {data.zero_point_mag:g}, the network was trained at "
            f"{zero_point:g}: multiply the stamps by {factor:.4g}; {matters}"
        )
    sample = _spread(data.pixels, np.arange(len(data.pixels)))
    noise = float(np.median(_noise(sample)))
    low, high = domain.noise[0], domain.noise[-1]
    if not low / FAR <= noise <= high * FAR:
        sentences.append(
            f"the stamps of {data.folder} have a noise of {noise:.3g} in the median, those that the network was "
            f"trained on {low:.3g} to {high:.3g}: scale them to {unit}; {matters}"
        )
    levels = sky_levels(sample)
    levels = levels[np.isfinite(levels)]
    if len(levels):
        sentences += _sky_warning(data.folder, float(np.median(levels)), sample[0, 0].size * len(levels), domain)
    return sentences


def _sky_warning(folder: str, level: float, n_pixels: int, domain: Domain) -> List[str]:
    """Sentence on a sky level beyond those of the training, by more than the error of a median of so many pixels."""
    low, high = domain.sky[0], domain.sky[-1]
    error = 4 * 1.2533 / math.sqrt(n_pixels)  # of a median: sqrt(pi / 2) of a mean's
    if low - error <= level <= high + error:
        return []
    sentence = (
        f"the sky level of {folder} is {level:+.2f} times the noise of a stamp in the median, that of the stamps that "
        f"the network was trained on {low:+.2f} to {high:+.2f}"
    )
    if domain.scaling in WITHOUT_SKY:
        return [f"{sentence}; its scaling, {domain.scaling}, subtracts the sky, so scores hold, but look at the images"]
    sentence += ", and scores follow the sky: subtract it with `subtract_sky`"
    if abs(level) > TOO_FAR * max(abs(low), abs(high)) + error:
        raise UserError(sentence)
    return [sentence]


def _spread(stamps: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Some of the rows, spread over all."""
    return stamps[rows[np.linspace(0, len(rows) - 1, min(CHUNK, len(rows))).astype(int)]]


def _noise(stamps: np.ndarray) -> np.ndarray:
    """Noise of the noisiest band of each stamp."""
    return median_and_noise(stamps)[1].max(axis=1)


def _geometry(height: int, width: int, scale_arcsec: float) -> str:
    scale = "unknown scale" if math.isnan(scale_arcsec) else f"{scale_arcsec:.3g} arcsec"
    return f"{height} x {width} pixels of {scale}"
