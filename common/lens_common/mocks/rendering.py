"""The light of a stamp before noise: Sersic galaxies, a lens before some of them, and the seeing.

Light is evaluated at the middle of square cells, and cells across which it bends are divided until it no longer
matters.  The Gaussian seeing and the integral over the pixels are then exact, for they part into x and y:
``A @ cells @ A.T``, with error functions in A.  Lengths are in pixels from the centre of the middle pixel, where
the lens sits; arrays are (row, column) = (y, x); angles run from the x axis towards the y axis.

References
----------
Kormann, Schneider & Bartelmann 1994, A&A 284, 285, equation 27 (the deflection).
Capaccioli 1989, in World of Galaxies, p. 208 (b_n); Graham & Driver 2005, PASA 22, 118, equation 2 (total flux).
"""

import math
from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np
from scipy.special import erf

from ..data.layout import STAMP_SIDE_PIXELS

Light = Callable[[np.ndarray, np.ndarray], np.ndarray]

# An even number: no cell then sits on the centre of the lens, where the deflection has no direction.
CELLS_PER_PIXEL = 2
# Light beyond the edge that the seeing scatters in.
MARGIN_PIXELS = 4
# A cell is divided where that moves more than so many counts, or than this share of all light. 0.05 counts are 0.016
# of the darkest sky's sigma before the seeing spreads them.
TOLERANCE_COUNTS = 0.05
TOLERANCE_SHARE = 3e-4
CHILDREN_PER_SIDE = 5
DIVISIONS_MAX = 4
# As many cells on either side of the centre of a lens are always divided: there the source turns too fast.
LENS_CENTRE_CELLS = 4
# A galaxy that no lens distorts is left out where a pixel has less than this share of its flux and a thousandth of
# its peak.
SHARE_PER_PIXEL_MIN = 5e-6
# With less the cells do not resolve the seeing.
PSF_FWHM_MIN_PIXELS = 2.0

GAUSSIAN_FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
CELLS_PER_SIDE = (STAMP_SIDE_PIXELS + 2 * MARGIN_PIXELS) * CELLS_PER_PIXEL
HALF = CELLS_PER_SIDE // 2
CELL_AREA = 1.0 / CELLS_PER_PIXEL**2
# Middles of the cells along either axis, (CELLS_PER_SIDE,), pixels.
AXIS = ((np.arange(CELLS_PER_SIDE) + 0.5 - 0.5 * CELLS_PER_SIDE) / CELLS_PER_PIXEL).astype(np.float32)
# Steps between a pixel and a cell, (45, CELLS_PER_SIDE).
STEPS = np.arange(STAMP_SIDE_PIXELS)[:, None] * CELLS_PER_PIXEL + np.arange(CELLS_PER_SIDE)[::-1]
# Middles of the children of a cell, (CHILDREN,), in its sides from its middle.
CHILDREN = CHILDREN_PER_SIDE**2
CHILD_Y, CHILD_X = (
    ((index + 0.5) / CHILDREN_PER_SIDE - 0.5).astype(np.float32)
    for index in np.divmod(np.arange(CHILDREN), CHILDREN_PER_SIDE)
)
LENS_CENTRE = slice(HALF - LENS_CENTRE_CELLS, HALF + LENS_CENTRE_CELLS)
# From a cell to the 3 x 3 around it, in a flattened grid.
AROUND = (np.arange(-1, 2)[:, None] * CELLS_PER_SIDE + np.arange(-1, 2)).reshape(9, 1)


@dataclass(frozen=True)
class SersicProfile:
    """One elliptical Sersic galaxy.

    Attributes
    ----------
    flux_counts : float
        Total flux out to infinity.
    radius_pixels : float
        Half-light radius, the geometric mean of both axes.
    index : float
        Sersic index.
    axis_ratio : float
        Minor over major, in (0, 1].
    angle_radians : float
        From the x axis to the major axis.
    centre_pixels : tuple of float
        (x, y) from the middle of the stamp.
    """

    flux_counts: float
    radius_pixels: float
    index: float
    axis_ratio: float
    angle_radians: float
    centre_pixels: Tuple[float, float]


@dataclass(frozen=True)
class IsothermalLens:
    """A singular isothermal ellipsoid in the middle of the stamp, with external shear.

    Attributes
    ----------
    einstein_radius_pixels : float
        Geometric mean of the axes of the critical curve, without shear.
    axis_ratio : float
        Minor over major of the surface density, in (0, 1].
    angle_radians : float
        From the x axis to the major axis.
    shear, shear_angle_radians : float
        Images are stretched along the angle.
    """

    einstein_radius_pixels: float
    axis_ratio: float
    angle_radians: float
    shear: float
    shear_angle_radians: float


@dataclass(frozen=True)
class Scene:
    """All that a stamp shows but background and noise.

    Attributes
    ----------
    source, field : sequence of SersicProfile
        Only the source is lensed.
    psf_fwhm_pixels : float
        Full width at half maximum of the Gaussian point-spread function, 2 or more.
    lens : IsothermalLens or None
        ``None`` leaves the source as it is.
    """

    source: Sequence[SersicProfile]
    field: Sequence[SersicProfile]
    psf_fwhm_pixels: float
    lens: Optional[IsothermalLens] = None


def render(scenes: Sequence[Scene]) -> Tuple[np.ndarray, np.ndarray]:
    """Render main objects and field galaxies without noise.

    Parameters
    ----------
    scenes : sequence of Scene
        N of them; none changes a bit of another.

    Returns
    -------
    source_counts, field_counts : numpy.ndarray
        Counts, float64 (N, 45, 45).

    Raises
    ------
    ValueError
        If a point-spread function is narrower than 2 pixels, too fine for the cells.
    """
    source_counts = np.zeros((len(scenes), STAMP_SIDE_PIXELS, STAMP_SIDE_PIXELS))
    field_counts = np.zeros_like(source_counts)
    for number, scene in enumerate(scenes):
        if not scene.psf_fwhm_pixels >= PSF_FWHM_MIN_PIXELS:
            raise ValueError(
                f"rendering needs a psf_fwhm_pixels of {PSF_FWHM_MIN_PIXELS:g} or more, got {scene.psf_fwhm_pixels}"
            )
        seeing = _seeing(scene.psf_fwhm_pixels / GAUSSIAN_FWHM_PER_SIGMA)
        for counts, profiles, lens in ((source_counts, scene.source, scene.lens), (field_counts, scene.field, None)):
            if profiles:
                cells = _unlensed_cells(profiles) if lens is None else _lensed_cells(profiles, lens)
                # In halves, each too small for OpenBLAS to share it out: its threads wait longer than they work.
                rows = seeing[:, :HALF] @ cells[:HALF] + seeing[:, HALF:] @ cells[HALF:]
                counts[number] = rows @ seeing.T
    return source_counts, field_counts


def _seeing(sigma: float) -> np.ndarray:
    """Share of the light at the middle of each cell that falls on each pixel, along one axis, (45, CELLS_PER_SIDE)."""
    # Only the distance between pixel and cell counts, and it takes few values.
    first = -AXIS[-1] - 0.5 * (STAMP_SIDE_PIXELS - 1)
    distance = first + np.arange(STEPS.max() + 1) / CELLS_PER_PIXEL
    edges = (distance + [[-0.5], [0.5]]) / (math.sqrt(2.0) * sigma)
    return (0.5 * np.diff(erf(edges), axis=0)[0]).astype(np.float32)[STEPS]


def _unlensed_cells(profiles: Sequence[SersicProfile]) -> np.ndarray:
    """Counts in each cell of galaxies that no lens distorts, (CELLS_PER_SIDE, CELLS_PER_SIDE)."""
    brightness = np.zeros((CELLS_PER_SIDE, CELLS_PER_SIDE), np.float32)
    for profile in profiles:
        reach = _reach_pixels(profile)
        columns, rows = (slice(*np.searchsorted(AXIS, (c - reach, c + reach))) for c in profile.centre_pixels)
        brightness[rows, columns] += _sersic([profile])(AXIS[columns], AXIS[rows, None])
    return _divided(brightness, _sersic(profiles), slice(0))


def _lensed_cells(profiles: Sequence[SersicProfile], lens: IsothermalLens) -> np.ndarray:
    """Counts in each cell of galaxies behind a lens, (CELLS_PER_SIDE, CELLS_PER_SIDE)."""
    light, trace = _sersic(profiles), _tracer(lens)
    # Opposite points have opposite sources.
    halves = trace(AXIS, AXIS[:HALF, None])
    brightness = light(*(np.concatenate([half, -half[::-1, ::-1]]) for half in halves))
    return _divided(brightness, lambda x, y: light(*trace(x, y)), LENS_CENTRE)


def _sersic(profiles: Sequence[SersicProfile]) -> Light:
    """Surface brightness of all profiles together as a function of x and y, counts / pixel^2."""
    columns = np.array([_coefficients(profile) for profile in profiles], np.float32).T
    offset_u, u_x, u_y, offset_v, v_x, v_y, exponent, central = columns[:, :, None, None]
    exponential = all(profile.index == 1.0 for profile in profiles)

    def light(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        u, v = (u_x * x - offset_u) + u_y * y, (v_x * x - offset_v) + v_y * y
        u *= u
        v *= v
        u += v
        # In float32 numpy has fast square roots, logarithms and exponentials, but no fast powers.
        if exponential:
            np.sqrt(u, out=u)
        else:
            u += np.float32(1e-12)
            np.log(u, out=u)
            u *= exponent
            np.exp(u, out=u)
        np.negative(u, out=u)
        np.exp(u, out=u)
        u *= central
        return u.sum(axis=0) if len(u) > 1 else u[0]

    return light


def _coefficients(profile: SersicProfile) -> Tuple[float, ...]:
    """Of u = u_x x + u_y y - offset_u and v alike; central exp(-(u^2 + v^2)^exponent) is the profile."""
    scale, root = _b_n(profile.index) ** profile.index / profile.radius_pixels, math.sqrt(profile.axis_ratio)
    cosine, sine = math.cos(profile.angle_radians), math.sin(profile.angle_radians)
    u_x, u_y, v_x, v_y = scale * root * cosine, scale * root * sine, -scale / root * sine, scale / root * cosine
    x, y = profile.centre_pixels
    central = profile.flux_counts * _central_share(profile)
    return u_x * x + u_y * y, u_x, u_y, v_x * x + v_y * y, v_x, v_y, 0.5 / profile.index, central


def _b_n(index: float) -> float:
    return 1.9992 * index - 0.3271


def _central_share(profile: SersicProfile) -> float:
    """Surface brightness in the very centre of a profile of flux 1, 1 / pixel^2."""
    power = 2.0 * profile.index
    area = math.pi * power * profile.radius_pixels**2 * math.gamma(power)
    return _b_n(profile.index) ** power / area


def _reach_pixels(profile: SersicProfile) -> float:
    """Distance along the major axis at which a profile may be left out."""
    depth = math.log(max(_central_share(profile) / SHARE_PER_PIXEL_MIN, 1e3))
    return profile.radius_pixels * (depth / _b_n(profile.index)) ** profile.index / math.sqrt(profile.axis_ratio)


def _tracer(lens: IsothermalLens) -> Callable[[np.ndarray, np.ndarray], Tuple[np.ndarray, np.ndarray]]:
    """From where in the source plane light reaches (x, y)."""
    # A round lens is the limit; its formula would divide 0 by 0.
    axis_ratio = float(min(lens.axis_ratio, 0.9999))
    flattening = math.sqrt(1.0 - axis_ratio**2)
    scale = float(lens.einstein_radius_pixels * math.sqrt(axis_ratio) / flattening)
    cosine, sine = math.cos(lens.angle_radians), math.sin(lens.angle_radians)
    shear_1 = float(lens.shear * math.cos(2.0 * lens.shear_angle_radians))
    shear_2 = float(lens.shear * math.sin(2.0 * lens.shear_angle_radians))

    def trace(x: np.ndarray, y: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        along, across = cosine * x + sine * y, cosine * y - sine * x
        inverse = flattening / np.sqrt((axis_ratio * along) ** 2 + across**2)
        along *= inverse
        across *= inverse
        along = np.arctan(along)
        # The inverse hyperbolic tangent, by what numpy does fast.
        across = np.log((1.0 + across) / (1.0 - across))
        along *= scale
        across *= 0.5 * scale
        source_x = (1.0 - shear_1) * x - shear_2 * y - cosine * along + sine * across
        source_y = (1.0 + shear_1) * y - shear_2 * x - sine * along - cosine * across
        return source_x, source_y

    return trace


def _divided(brightness: np.ndarray, light: Light, always: slice) -> np.ndarray:
    """Counts in each cell: the brightness at its middle, or at finer points where it bends, times the area."""
    tolerance = min(TOLERANCE_COUNTS, TOLERANCE_SHARE * CELL_AREA * float(brightness.sum()))
    inner = brightness[1:-1, 1:-1]
    bend = np.abs(brightness[1:-1, 2:] + brightness[1:-1, :-2] - 2.0 * inner)
    bend += np.abs(brightness[2:, 1:-1] + brightness[:-2, 1:-1] - 2.0 * inner)
    # Taylor: the mean over a cell is its middle plus a 24th of the second differences.
    divided = np.zeros(brightness.shape, bool)
    divided[1:-1, 1:-1] = bend > 24.0 * tolerance / CELL_AREA
    # Beside a cusp the differences may cancel: what lies between divided cells is divided, too.
    between = (divided[1:-1, 2:] & divided[1:-1, :-2]) | (divided[2:, 1:-1] & divided[:-2, 1:-1])
    divided[1:-1, 1:-1] |= between
    divided[always, always] = True
    parent = np.flatnonzero(divided)
    if not parent.size:
        return brightness * CELL_AREA

    # Where points of one density end they leave a 24th of the slope over (Euler and Maclaurin): cells on both
    # sides of that border make it up.
    whole = (~divided).astype(np.float32)
    around = whole[1:-1, 2:] + whole[1:-1, :-2] + whole[2:, 1:-1] + whole[:-2, 1:-1]
    weight = whole.copy()
    weight[1:-1, 1:-1] += (1.0 - 1.0 / CHILDREN) / 24.0 * (around - 4.0 * whole[1:-1, 1:-1])
    counts = brightness * weight * CELL_AREA
    return counts + _spread(*_children(parent, light, tolerance))


def _children(parent: np.ndarray, light: Light, tolerance: float) -> List[np.ndarray]:
    """Divide cells until it no longer matters: cell, x and y in its sides from its middle, counts of each point."""
    x = y = np.zeros(parent.size, np.float32)
    side, finest = 1.0, []
    for division in range(DIVISIONS_MAX):
        x, y = x[:, None] + side * CHILD_X, y[:, None] + side * CHILD_Y
        side /= CHILDREN_PER_SIDE
        row, column = np.divmod(parent[:, None], CELLS_PER_SIDE)
        counts = light(AXIS[column] + x / CELLS_PER_PIXEL, AXIS[row] + y / CELLS_PER_PIXEL)
        counts *= CELL_AREA * side**2
        square = counts.reshape(-1, CHILDREN_PER_SIDE, CHILDREN_PER_SIDE)
        bend = sum(np.abs(np.diff(square, 2, axis)).sum(axis=(1, 2)) for axis in (1, 2))
        again = (bend > 24.0 * tolerance) & (division < DIVISIONS_MAX - 1)
        cells = np.repeat(parent, CHILDREN).reshape(counts.shape), x, y, counts
        finest.append([part[~again].ravel() for part in cells])
        if not again.any():
            break
        parent, x, y, _ = (part[again].ravel() for part in cells)
    return [np.concatenate(parts) for parts in zip(*finest)]


def _spread(parent: np.ndarray, x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Lay the light of points on the 3 x 3 cells around each so that its moments up to the second stay."""
    weights_x, weights_y = (np.stack([0.5 * u * (u - 1.0), 1.0 - u * u, 0.5 * u * (u + 1.0)]) for u in (x, y))
    weights = weights_y[:, None] * (weights_x * counts)
    cells = np.bincount((parent + AROUND).ravel(), weights.ravel(), CELLS_PER_SIDE**2)
    return cells.astype(np.float32).reshape(CELLS_PER_SIDE, CELLS_PER_SIDE)
