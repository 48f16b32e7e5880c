"""Summary features of stamps: plain numbers that an astronomer would measure by hand."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter, label, maximum_filter

from lens_common.data.quality import PSF_SIGMA_PIXELS, detected_signal, smoothing_factor
from lens_common.errors import UserError

SMALLEST_SIDE = 41  # pixels; leaves sky beyond `INSIDE_PIXELS`
INSIDE_PIXELS = 15.0
RINGS = ((0.0, 3.0), (3.0, 6.0), (6.0, 10.0), (10.0, 15.0), (15.0, np.inf))  # pixels from the centre
CHUNK = 500
SMOOTHING_FACTOR = smoothing_factor()
OBJECT_SIGMA, EDGE_SIGMA = 5.0, 3.0  # of the smoothed stamp: what an object's peak reaches, and where it ends


@dataclass(frozen=True)
class Feature:
    """What is measured, in which unit, and a sentence about it."""

    name: str
    unit: str
    sentence: str


FEATURES = (
    Feature("median", "counts", "Median of the pixels, clipped at 3 sigma until none is left to clip."),
    Feature("noise", "counts", "Standard deviation of the pixels that the clipping leaves."),
    Feature("sum", "counts", "Sum of all pixels."),
    Feature("total flux", "counts", "Sum of all pixels, the median taken off each."),
    Feature("brightest pixel", "noise", "Brightest pixel less the median."),
    Feature("deepest pixel", "noise", "Median less the most negative pixel."),
    Feature("bright pixels", "pixels", "Pixels more than 3 sigma above the median."),
    Feature("dark pixels", "pixels", "Pixels more than 3 sigma below the median."),
    Feature("skewness", "", "Third standardised moment of all pixels."),
    Feature("detected signal", "sigma", "Brightest thing as wide as the seeing; as the bad-image filter measures it."),
    Feature("deepest hole", "sigma", "Most negative thing as wide as the seeing."),
    *(
        Feature(
            f"ring {low:g}-{high:g}" if np.isfinite(high) else f"ring beyond {low:g}",
            "counts/pixel",
            f"Mean less the median, {low:g} to {high:g} pixels from the centre."
            if np.isfinite(high)
            else f"Mean less the median, more than {low:g} pixels from the centre.",
        )
        for low, high in RINGS
    ),
    Feature("objects inside", "", "Objects above 5 sigma, smoothed by the seeing, within 15 pixels of the centre."),
    Feature("objects outside", "", "The same, farther out."),
    Feature("peaks", "", "Local maxima above 5 sigma of the smoothed stamp; blends have several an object."),
    Feature("area", "pixels", "Pixels of all objects, out to 3 sigma of the smoothed stamp."),
    Feature("main distance", "pixels", "Centre of the stamp to the peak of its brightest object."),
    Feature("main flux", "counts", "Flux within 6 pixels of that peak, less the median."),
    Feature("main concentration", "", "Flux within 2.5 pixels of the peak over that within 6, at most 2."),
    Feature("main size", "pixels", "Root mean square radius of the object's light out to 3 sigma."),
    Feature("main axis ratio", "", "Minor over major axis of the second moments of the same pixels."),
    Feature(
        "main asymmetry",
        "",
        "Half of |object - itself turned by 180 degrees|, within 6 pixels, over its flux; at most 2.",
    ),
    Feature("second object", "sigma", "Peak of the second brightest object of the smoothed stamp."),
    *(
        Feature(f"correlation at {lag}", "", f"Correlation of background pixels {lag} apart, along rows and columns.")
        for lag in (1, 2, 3, 4)
    ),
    Feature("unevenness", "noise", "Highest less lowest mean of the background in the four quarters of the stamp."),
)
NAMES = tuple(feature.name for feature in FEATURES)


def measure_features(stamps: np.ndarray, progress: Callable[[int], object] = lambda n_done: None) -> np.ndarray:
    """Measure the features of stamps.

    Parameters
    ----------
    stamps : float array (N, 1, H, W)
        Counts, finite; sides of 41 pixels or more.
    progress : callable
        Told after each stamp that another 1 is done.

    Returns
    -------
    float64 array (N, K)
        The columns are `FEATURES`.  What describes a stamp's brightest object is 0 where no object
        reaches 5 sigma.

    Raises
    ------
    UserError
        For stamps of several bands, or too small ones.
    """
    if stamps.ndim != 4 or stamps.shape[1] != 1 or min(stamps.shape[2:]) < SMALLEST_SIDE:
        raise UserError(
            f"features need stamps of one band with sides of {SMALLEST_SIDE} pixels or more, "
            f"got (bands, H, W) = {tuple(stamps.shape[1:])}; choose one of several bands with `bands`"
        )
    rows = []
    for first in range(0, len(stamps), CHUNK):
        chunk = np.asarray(stamps[first : first + CHUNK], np.float64)
        for stamp, signal in zip(chunk, detected_signal(chunk)):
            rows.append(_measure(stamp[0], float(signal)))
            progress(1)
    return np.array(rows).reshape(-1, len(FEATURES))


def _measure(stamp: np.ndarray, signal: float) -> list[float]:  # (H, W), counts
    median, noise = clipped_median_and_noise(stamp)
    noise = max(noise, 1e-12)
    counts = stamp - median
    distance = _distance(stamp.shape, ((stamp.shape[0] - 1) / 2, (stamp.shape[1] - 1) / 2))
    smooth = gaussian_filter(counts, PSF_SIGMA_PIXELS, mode="constant") / (noise * SMOOTHING_FACTOR)
    objects, peaks = find_objects(smooth)
    heights = [float(smooth[peak]) for peak in peaks]
    far = [distance[peak] > INSIDE_PIXELS for peak in peaks]
    maxima = (smooth == maximum_filter(smooth, size=3)) & (smooth > OBJECT_SIGMA)
    sky = ~binary_dilation(smooth > EDGE_SIGMA, iterations=2)
    rings = [counts[(distance >= low) & (distance < high)].mean() for low, high in RINGS]
    main = [0.0] * 6
    if peaks:
        main = [distance[peaks[0]], *_describe(counts, objects == objects[peaks[0]], peaks[0])]
    return [
        median,
        noise,
        stamp.sum(),
        counts.sum(),
        counts.max() / noise,
        -counts.min() / noise,
        (counts > 3 * noise).sum(),
        (counts < -3 * noise).sum(),
        ((stamp - stamp.mean()) ** 3).mean() / max(stamp.std(), 1e-12) ** 3,
        signal,
        -smooth.min(),
        *rings,
        len(far) - sum(far),
        sum(far),
        maxima.sum(),
        (objects > 0).sum(),
        *main,
        heights[1] if len(heights) > 1 else 0.0,
        *(_correlation(counts, sky, lag) for lag in (1, 2, 3, 4)),
        _unevenness(counts, sky) / noise,
    ]


def clipped_median_and_noise(stamp: np.ndarray) -> tuple[float, float]:
    """Median and standard deviation of a stamp, pixels beyond 3 sigma of the median left out until none is.

    Parameters
    ----------
    stamp : float array (H, W)

    Returns
    -------
    median, noise : float
        The stamp's unit.  Of Gaussian noise the standard deviation comes out 1.5 % low.
    """
    pixels = stamp.ravel()
    while True:
        median, noise = np.median(pixels), pixels.std()
        kept = pixels[np.abs(pixels - median) <= 3 * noise]
        if len(kept) == len(pixels):
            return float(median), float(noise)
        pixels = kept


def find_objects(smooth: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Connected pixels above 3 sigma that hold one above 5.

    Parameters
    ----------
    smooth : float array (H, W)
        A stamp smoothed by the seeing, in sigma of its noise.

    Returns
    -------
    objects : int array (H, W)
        0 outside of all objects, elsewhere a number for each.
    peaks : list of (row, column)
        Brightest pixel of each object, the brightest object first.
    """
    objects, n_found = label(smooth > EDGE_SIGMA, structure=np.ones((3, 3)))
    peaks = []
    for k in range(1, n_found + 1):
        row, column = np.unravel_index(np.where(objects == k, smooth, -np.inf).argmax(), smooth.shape)
        if smooth[row, column] > OBJECT_SIGMA:
            peaks.append((int(row), int(column)))
        else:
            objects[objects == k] = 0
    return objects, sorted(peaks, key=lambda peak: -smooth[peak])


def _describe(counts: np.ndarray, inside: np.ndarray, peak: tuple[int, int]) -> list[float]:
    """Flux, concentration, size, axis ratio and asymmetry of the object whose pixels `inside` holds."""
    distance = _distance(counts.shape, peak)
    flux = counts[distance <= 6].sum()
    rows, columns = np.nonzero(inside)
    light = np.maximum(counts[inside], 0)
    light = light / light.sum()
    deviations = np.stack([rows - light @ rows, columns - light @ columns])
    moments = (deviations * light) @ deviations.T  # (2, 2), pixels^2
    low, high = np.maximum(np.linalg.eigvalsh(moments), 0)
    turned = _turned(counts, peak)
    asymmetry = 0.5 * np.abs(counts - turned)[(distance <= 6) & np.isfinite(turned)].sum()
    return [
        flux,
        _ratio(counts[distance <= 2.5].sum(), flux),
        np.sqrt(low + high),
        np.sqrt(low / high) if high > 0 else 1.0,
        _ratio(asymmetry, flux),
    ]


def _ratio(part: float, flux: float) -> float:
    """A share of an object's flux, kept within 0 to 2: a hole beside a faint object can take its flux away."""
    return float(np.clip(part / flux, 0, 2)) if flux > 0 else 2.0


def _turned(counts: np.ndarray, centre: tuple[int, int]) -> np.ndarray:
    """The stamp turned by 180 degrees about a pixel; NaN where that lies outside."""
    height, width = counts.shape
    turned = np.pad(counts, ((height, height), (width, width)), constant_values=np.nan)[::-1, ::-1]
    top, left = 2 * (height - centre[0]) - 1, 2 * (width - centre[1]) - 1
    return turned[top : top + height, left : left + width]


def _correlation(counts: np.ndarray, sky: np.ndarray, lag: int) -> float:
    """Correlation of sky pixels that lie `lag` apart in a row or in a column."""
    if not sky.any():
        return 0.0
    values = np.where(sky, counts - counts[sky].mean(), np.nan)
    products = np.concatenate([(values[lag:] * values[:-lag]).ravel(), (values[:, lag:] * values[:, :-lag]).ravel()])
    products = products[np.isfinite(products)]
    return float(products.mean() / max(np.nanvar(values), 1e-12)) if len(products) else 0.0


def _unevenness(counts: np.ndarray, sky: np.ndarray) -> float:
    """Range of the means of sky pixels in the four quarters of a stamp."""
    height, width = counts.shape[0] // 2, counts.shape[1] // 2
    quarters = [
        (rows, columns) for rows in (np.s_[:height], np.s_[height:]) for columns in (np.s_[:width], np.s_[width:])
    ]
    means = [counts[quarter][sky[quarter]].mean() for quarter in quarters if sky[quarter].any()]
    return float(max(means) - min(means)) if means else 0.0


def _distance(shape: tuple[int, ...], centre: tuple[float, float]) -> np.ndarray:
    rows, columns = np.indices(shape)
    return np.hypot(rows - centre[0], columns - centre[1])
