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
    further_bands : tuple of float
        Flux in each further band over that in the first.
    """

    flux_counts: float
    radius_pixels: float
    index: float
    axis_ratio: float
    angle_radians: float
    centre_pixels: Tuple[float, float]
    further_bands: Tuple[float, ...] = ()


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
    psf_fwhm_further_pixels : tuple of float
        The same in each further band.
    tolerance_counts, tolerance_share : float
        A cell is divided where that moves more than so many counts, and more than this share of what it holds.
    """

    source: Sequence[SersicProfile]
    field: Sequence[SersicProfile]
    psf_fwhm_pixels: float
    lens: Optional[IsothermalLens] = None
    psf_fwhm_further_pixels: Tuple[float, ...] = ()
    tolerance_counts: float = TOLERANCE_COUNTS
    tolerance_share: float = 0.0

    @property
    def n_bands(self) -> int:
        """1, and as many more as there are further bands."""
        return 1 + len(self.psf_fwhm_further_pixels)


def render(scenes: Sequence[Scene]) -> Tuple[np.ndarray, np.ndarray]:
    """Render main objects and field galaxies in the first band, without noise.

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
        for counts, part in zip((source_counts, field_counts), render_bands(scene)):
            counts[number] = part[0]
    return source_counts, field_counts


def render_bands(scene: Scene) -> Tuple[np.ndarray, np.ndarray]:
    """Render the main object and the field galaxies of one scene in all its bands, without noise.

    Light is traced through the lens once for all bands.

    Parameters
    ----------
    scene : Scene

    Returns
    -------
    source_counts, field_counts : numpy.ndarray
        Counts, float64 (bands, 45, 45).

    Raises
    ------
    ValueError
        If a point-spread function is narrower than 2 pixels, too fine for the cells.
    """
    parts = np.zeros((2, scene.n_bands, STAMP_SIDE_PIXELS, STAMP_SIDE_PIXELS))
    widths = (scene.psf_fwhm_pixels, *scene.psf_fwhm_further_pixels)
    for width in widths:
        if not width >= PSF_FWHM_MIN_PIXELS:
            raise ValueError(f"rendering needs a psf_fwhm_pixels of {PSF_FWHM_MIN_PIXELS:g} or more, got {width}")
    seeings = [_seeing(width / GAUSSIAN_FWHM_PER_SIGMA) for width in widths]
    for counts, profiles, lens in zip(parts, (scene.source, scene.field), (scene.lens, None)):
        if profiles:
            cells = _unlensed_cells(profiles, scene) if lens is None else _lensed_cells(profiles, lens, scene)
            for band, seeing in enumerate(seeings):
                # In halves, each too small for OpenBLAS to share it out: its threads wait longer than they work.
                rows = seeing[:, :HALF] @ cells[band, :HALF] + seeing[:, HALF:] @ cells[band, HALF:]
                counts[band] = rows @ seeing.T
    return parts[0], parts[1]


def _seeing(sigma: float) -> np.ndarray:
    """Share of the light at the middle of each cell that falls on each pixel, along one axis, (45, CELLS_PER_SIDE)."""
    # Only the distance between pixel and cell counts, and it takes few values.
    first = -AXIS[-1] - 0.5 * (STAMP_SIDE_PIXELS - 1)
    distance = first + np.arange(STEPS.max() + 1) / CELLS_PER_PIXEL
    edges = (distance + [[-0.5], [0.5]]) / (math.sqrt(2.0) * sigma)
    return (0.5 * np.diff(erf(edges), axis=0)[0]).astype(np.float32)[STEPS]


def _unlensed_cells(profiles: Sequence[SersicProfile], scene: Scene) -> np.ndarray:
    """Counts in each cell of galaxies that no lens distorts, (bands, CELLS_PER_SIDE, CELLS_PER_SIDE)."""
    brightness = np.zeros((scene.n_bands, CELLS_PER_SIDE, CELLS_PER_SIDE), np.float32)
    for profile in profiles:
        reach = _reach_pixels(profile)
        columns, rows = (slice(*np.searchsorted(AXIS, (c - reach, c + reach))) for c in profile.centre_pixels)
        brightness[:, rows, columns] += _sersic([profile])(AXIS[columns], AXIS[rows, None])
    return _divided(brightness, _sersic(profiles), slice(0), scene)


def _lensed_cells(profiles: Sequence[SersicProfile], lens: IsothermalLens, scene: Scene) -> np.ndarray:
    """Counts in each cell of galaxies behind a lens, (bands, CELLS_PER_SIDE, CELLS_PER_SIDE)."""
    light, trace = _sersic(profiles), _tracer(lens)
    # Opposite points have opposite sources.
    halves = trace(AXIS, AXIS[:HALF, None])
    brightness = light(*(np.concatenate([half, -half[::-1, ::-1]]) for half in halves))
    return _divided(brightness, lambda x, y: light(*trace(x, y)), LENS_CENTRE, scene)


def _sersic(profiles: Sequence[SersicProfile]) -> Light:
    """Surface brightness of all profiles together as a function of x and y, (bands, ...), counts / pixel^2."""
    columns = np.array([_coefficients(profile) for profile in profiles], np.float32).T
    offset_u, u_x, u_y, offset_v, v_x, v_y, exponent = columns[:7, :, None, None]
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
        bands = [central[:, None, None] * u for central in columns[7:]]
        return np.stack([band.sum(axis=0) if len(band) > 1 else band[0] for band in bands])

    return light


def _coefficients(profile: SersicProfile) -> Tuple[float, ...]:
    """Of u = u_x x + u_y y - offset_u and v alike; central exp(-(u^2 + v^2)^exponent) is the profile, band by band."""
    scale, root = _b_n(profile.index) ** profile.index / profile.radius_pixels, math.sqrt(profile.axis_ratio)
    cosine, sine = math.cos(profile.angle_radians), math.sin(profile.angle_radians)
    u_x, u_y, v_x, v_y = scale * root * cosine, scale * root * sine, -scale / root * sine, scale / root * cosine
    x, y = profile.centre_pixels
    central = profile.flux_counts * _central_share(profile)
    bands = [central, *(central * ratio for ratio in profile.further_bands)]
    return (u_x * x + u_y * y, u_x, u_y, v_x * x + v_y * y, v_x, v_y, 0.5 / profile.index, *bands)


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


def trace_back(lens: IsothermalLens, x: np.ndarray, y: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Where in the source plane the light comes from that is seen at (x, y), pixels from the lens; not at (0, 0)."""
    return _tracer(lens)(x, y)


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


def _divided(brightness: np.ndarray, light: Light, always: slice, scene: Scene) -> np.ndarray:
    """Counts in each cell: the brightness at its middle, or at finer points where it bends, times the area."""
    # One number a band, or one a cell where it grows with what the cell holds.
    whole_light = brightness.reshape(len(brightness), -1).sum(axis=1)
    tolerance = np.minimum(scene.tolerance_counts, TOLERANCE_SHARE * CELL_AREA * whole_light)[:, None, None]
    if scene.tolerance_share:
        tolerance = np.maximum(tolerance, scene.tolerance_share * CELL_AREA * brightness)
    inner = brightness[:, 1:-1, 1:-1]
    bend = np.abs(brightness[:, 1:-1, 2:] + brightness[:, 1:-1, :-2] - 2.0 * inner)
    bend += np.abs(brightness[:, 2:, 1:-1] + brightness[:, :-2, 1:-1] - 2.0 * inner)
    # Taylor: the mean over a cell is its middle plus a 24th of the second differences.
    limit = 24.0 * tolerance / CELL_AREA
    divided = np.zeros(brightness.shape[1:], bool)
    divided[1:-1, 1:-1] = (bend > (limit[:, 1:-1, 1:-1] if scene.tolerance_share else limit)).any(axis=0)
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
    at_parent = np.broadcast_to(tolerance, brightness.shape).reshape(len(brightness), -1)[:, parent]
    spread = _spread if len(brightness) == 1 else _spread_blocks
    return counts + spread(_children(parent, light, at_parent))


def _children(parent: np.ndarray, light: Light, tolerance: np.ndarray) -> List[List[np.ndarray]]:
    """Divide cells until it no longer matters; for each division the blocks of points that are not divided again.

    Each holds the cells (blocks,), x and y in their sides from their middles (blocks, CHILDREN), and the counts of
    each point (bands, blocks, CHILDREN).
    """
    x = y = np.zeros(parent.size, np.float32)
    side, finest = 1.0, []
    for division in range(DIVISIONS_MAX):
        x, y = x[:, None] + side * CHILD_X, y[:, None] + side * CHILD_Y
        side /= CHILDREN_PER_SIDE
        row, column = np.divmod(parent[:, None], CELLS_PER_SIDE)
        counts = light(AXIS[column] + x / CELLS_PER_PIXEL, AXIS[row] + y / CELLS_PER_PIXEL)
        counts *= CELL_AREA * side**2
        square = counts.reshape(*counts.shape[:2], CHILDREN_PER_SIDE, CHILDREN_PER_SIDE)
        bend = sum(np.abs(np.diff(square, 2, axis)).sum(axis=(2, 3)) for axis in (2, 3))
        again = (bend > 24.0 * tolerance).any(axis=0) & (division < DIVISIONS_MAX - 1)
        finest.append([parent[~again], x[~again], y[~again], counts[:, ~again]])
        if not again.any():
            break
        parent = np.repeat(parent[again], CHILDREN)
        x, y = x[again].ravel(), y[again].ravel()
        tolerance = np.repeat(tolerance[:, again], CHILDREN, axis=1)
    return finest


def _spread(blocks: List[List[np.ndarray]]) -> np.ndarray:
    """Lay the light of points of one band on the 3 x 3 cells around each so that its moments up to the second stay."""
    parent = np.concatenate([np.repeat(cells, CHILDREN) for cells, _, _, _ in blocks])
    x, y, counts = (np.concatenate([block[part].ravel() for block in blocks]) for part in (1, 2, 3))
    weights_x, weights_y = (np.stack(_shares(u)) for u in (x, y))
    weights = weights_y[:, None] * (weights_x * counts)
    cells = np.bincount((parent + AROUND).ravel(), weights.ravel(), CELLS_PER_SIDE**2)
    return cells.astype(np.float32).reshape(1, CELLS_PER_SIDE, CELLS_PER_SIDE)


def _spread_blocks(blocks: List[List[np.ndarray]]) -> np.ndarray:
    """The same in several bands, faster: points of one cell are added up before they are laid out.

    It adds in another order, and so would change the last bits of mocks in one band.
    """
    cells, laid = [], []
    for parent, x, y, counts in blocks:
        weights_x, weights_y = (np.stack(_shares(u), axis=-1) for u in (x, y))  # (blocks, CHILDREN, 3)
        weights = (weights_y[..., :, None] * weights_x[..., None, :]).reshape(len(parent), CHILDREN, 9)
        laid.append(np.matmul(counts.transpose(1, 0, 2), weights))  # (blocks, bands, 9)
        cells.append(parent[:, None] + AROUND[:, 0])
    around, light = np.concatenate(cells).ravel(), np.concatenate(laid)
    bands = [np.bincount(around, light[:, band].ravel(), CELLS_PER_SIDE**2) for band in range(light.shape[1])]
    return np.array(bands, np.float32).reshape(-1, CELLS_PER_SIDE, CELLS_PER_SIDE)


def _shares(u: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares of a point's light that three neighbours in a row get; ``u`` in sides of a cell from the middle one."""
    return 0.5 * u * (u - 1.0), 1.0 - u * u, 0.5 * u * (u + 1.0)
