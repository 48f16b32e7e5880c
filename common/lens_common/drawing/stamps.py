"""Stamps and maps of them: each function draws on axes, returns them, and writes nothing."""

import textwrap
from typing import Any, Optional, Sequence, Tuple

import matplotlib
import numpy as np
from astropy.visualization import make_lupton_rgb
from matplotlib.colors import AsinhNorm, to_rgb
from matplotlib.patches import Rectangle

from ..data.bands import LETTERS
from ..data.noise import median_and_noise
from ..errors import UserError
from .style import VERMILLION, literal, new_axes

MOST_STAMPS = 40
STAMP_COLUMNS = 8
STAMP_INCHES = 1.05
TITLE_LETTERS = 17
# Stamps are shown from -2 to 50 times their noise, linear below about 3 and logarithmic above.
STRETCH_LOWEST, STRETCH_KNEE, STRETCH_HIGHEST = -2, 3, 50
# Of pictures in colour, in units of the noise; Lupton et al. 2004, PASP 116, 133.
COLOUR_STRETCH, COLOUR_Q = 5, 8


def draw_stamps(
    stamps: np.ndarray,
    axes: Any = None,
    titles: Optional[Sequence[str]] = None,
    framed: Optional[np.ndarray] = None,
    bands: Sequence[str] = (),
) -> np.ndarray:
    """Draw stamps at one size and one stretch, each on axes of its own.

    Each stamp is shown less its median and in units of its own noise (the median absolute deviation of its pixels,
    scaled to a normal sigma), with an arcsinh stretch.  So a source of equal significance looks equal in any stamp.
    Non-finite pixels are vermillion.  The first row of the array is drawn at the bottom, as FITS viewers do.

    Parameters
    ----------
    stamps : float32 array (N, bands, height, width) or (N, height, width)
        1 to 40 stamps in any unit.  Those of several bands are drawn in colour, see `colour_picture`.
    axes : array or sequence of matplotlib Axes, optional
        N or more; those left over are hidden.  By default a new figure, see `style.new_axes`.
    titles : sequence of str, optional
        One a stamp; long ones are wrapped.
    framed : bool array (N,), optional
        Stamps to draw in a vermillion frame.
    bands : sequence of str, optional
        Names of the bands, by which colours are chosen.

    Returns
    -------
    object array of matplotlib Axes, one-dimensional

    Raises
    ------
    UserError
        For stamps of another shape, more than 40 or none, and for another number of titles or too few axes.
    """
    pixels = check_stamps(stamps, titles)
    axes = _axes_for(len(pixels), axes)
    norm = AsinhNorm(STRETCH_KNEE, vmin=STRETCH_LOWEST, vmax=STRETCH_HIGHEST)
    colours = matplotlib.colormaps["gray"].with_extremes(bad=VERMILLION)
    for ax, stamp in zip(axes, pixels):
        if len(stamp) > 1:
            ax.imshow(colour_picture(stamp, bands), origin="lower", interpolation="nearest")
        else:
            ax.imshow(_in_noise_units(stamp[0]), cmap=colours, norm=norm, origin="lower", interpolation="nearest")
    for ax, title in zip(axes, titles or []):
        ax.set_title(literal(wrap_title(title)), fontsize=7, fontweight="normal", pad=2)
    for ax, is_framed in zip(axes, [] if framed is None else framed):
        if is_framed:
            ax.add_patch(Rectangle((0, 0), 1, 1, transform=ax.transAxes, fill=False, edgecolor=VERMILLION, linewidth=4))
    return axes


def colour_picture(stamp: np.ndarray, bands: Sequence[str] = ()) -> np.ndarray:
    """Picture in colour of a stamp of several bands, after Lupton et al. 2004.

    Each band is shown less its median; all are divided by one number, the median of their noises, so that colours
    are those of the fluxes.  Non-finite pixels are vermillion.

    Parameters
    ----------
    stamp : float array (bands, height, width)
        Two bands or more, in any unit that they share.
    bands : sequence of str, optional
        Their names; see `colour_channels`.

    Returns
    -------
    uint8 array (height, width, 3)
        Red, green, blue.
    """
    stamp = np.asarray(stamp, np.float64)
    is_bad = ~np.isfinite(stamp)
    finite = np.where(is_bad, 0.0, stamp)
    median, noise = (values[0].astype(np.float64) for values in median_and_noise(finite[None]))
    shown = (finite - median[:, None, None]) / (np.median(noise) or finite.std() or 1.0)
    channels = [shown[list(rows)].mean(axis=0) for rows in colour_channels(len(stamp), bands)]
    with np.errstate(divide="ignore", invalid="ignore"):  # where the sum of the channels is 0
        picture = make_lupton_rgb(*channels, stretch=COLOUR_STRETCH, Q=COLOUR_Q)
    picture[is_bad.any(axis=0)] = np.multiply(to_rgb(VERMILLION), 255).astype(np.uint8)
    return picture


def colour_channels(n_bands: int, bands: Sequence[str] = ()) -> Tuple[Tuple[int, ...], ...]:
    """Numbers of the bands that are drawn in red, green and blue; the mean of several.

    Of g, r and i these are i, r and g.  Else the reddest, the middle one and the bluest are taken: by the order of
    ``ugrizy`` where all names are of these, or as they lie in the file.  Of two bands green is the mean.
    """
    if {"g", "r", "i"} <= set(bands):
        return tuple((list(bands).index(name),) for name in "irg")
    order = list(range(n_bands))
    if len(bands) == n_bands and set(bands) <= set(LETTERS):
        order.sort(key=lambda row: LETTERS.index(bands[row]))
    return (order[-1],), tuple(order) if n_bands == 2 else (order[n_bands // 2],), (order[0],)


def describe_colours(n_bands: int, bands: Sequence[str] = ()) -> str:
    """What `colour_picture` draws in which colour: ``i red, r green, g blue``."""
    words = [bands[row] if bands else f"band {row}" for row in range(n_bands)]
    parts = zip(colour_channels(n_bands, bands), ("red", "green", "blue"))
    return ", ".join(f"{' and '.join(words[row] for row in rows)} {colour}" for rows, colour in parts)


def draw_maps(maps: np.ndarray, axes: Any = None) -> np.ndarray:
    """Draw occlusion maps, each on axes of its own.

    All maps have one scale, symmetric about 0: green where hiding a place lowers the score, purple where it raises it.

    Parameters
    ----------
    maps : float32 array (N, height, width)
        1 to 40 maps, in [-1, 1].
    axes : array or sequence of matplotlib Axes, optional
        N or more; those left over are hidden.  By default a new figure, see `style.new_axes`.

    Returns
    -------
    object array of matplotlib Axes, one-dimensional

    Raises
    ------
    UserError
        For maps of another shape, more than 40 or none, and for too few axes.
    """
    values = check_stamps(maps)[:, 0]
    limit = float(np.abs(values).max()) or 1.0
    axes = _axes_for(len(values), axes)
    for ax, one in zip(axes, values):
        ax.imshow(one, cmap="PRGn", vmin=-limit, vmax=limit, origin="lower", interpolation="nearest")
    return axes


def check_stamps(stamps: np.ndarray, titles: Optional[Sequence[str]] = None, most: int = MOST_STAMPS) -> np.ndarray:
    """The stamps as float64 (N, bands, height, width), or a sentence on what is wrong with them."""
    stamps = np.asarray(stamps, dtype=np.float64)
    if stamps.ndim not in (3, 4) or 0 in stamps.shape:
        raise UserError(
            f"stamps need shape (N, bands, height, width) or (N, height, width), got {stamps.shape}; "
            "reshape them, and give 1 or more"
        )
    if len(stamps) > most:
        raise UserError(f"a contact sheet holds {most} stamps, got {len(stamps)}; choose some of them")
    if titles is not None and len(titles) != len(stamps):
        raise UserError(f"got {len(titles)} titles for {len(stamps)} stamps; give one title a stamp")
    return stamps if stamps.ndim == 4 else stamps[:, None]


def sheet_shape(n_stamps: int, most_columns: int = STAMP_COLUMNS) -> Tuple[int, int]:
    """Rows and columns of a contact sheet."""
    n_columns = min(n_stamps, most_columns)
    return -(-n_stamps // n_columns), n_columns


def wrap_title(title: str, letters: int = TITLE_LETTERS) -> str:
    """Title with each of its lines wrapped."""
    return "\n".join(textwrap.fill(line, letters) for line in title.splitlines())


def _axes_for(n_stamps: int, axes: Any) -> np.ndarray:
    """Axes of pictures in a flat array, without ticks; new ones where there are none."""
    if axes is None:
        n_rows, n_columns = sheet_shape(n_stamps)
        axes = new_axes(n_columns * STAMP_INCHES, n_rows * 1.3 * STAMP_INCHES, n_rows, n_columns)
    axes = np.ravel(axes)
    if len(axes) < n_stamps:
        raise UserError(f"got {len(axes)} axes for {n_stamps} stamps; give axes for each")
    for ax in axes:
        ax.set_axis_off()
    return axes


def _in_noise_units(stamp: np.ndarray) -> np.ndarray:
    """Stamp (height, width) less its median, over its noise; non-finite pixels are masked."""
    finite = stamp[np.isfinite(stamp)]
    if finite.size == 0:
        return np.ma.masked_all(stamp.shape)
    median, noise = (values.item() for values in median_and_noise(finite.reshape(1, 1, 1, -1)))
    # More than half of the pixels are equal in a noise-free stamp; then take all, then none.
    return (np.ma.masked_invalid(stamp) - median) / (noise or np.std(finite) or 1.0)
