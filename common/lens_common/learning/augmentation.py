"""Rotations, zooms and flips, equal to Keras' ImageDataGenerator as CMU DeepLens used it.

``rotation_range=90, zoom_range=[0.9, 1], horizontal_flip, vertical_flip,
fill_mode="wrap"``: same draws in the same order, same interpolation.

Keras takes the nearest pixel up to version 2.1.3 and interpolates linearly from 2.1.4 on.  CMU DeepLens was written
for Keras 1.  Linear interpolation averages neighbouring pixels, so white noise keeps only two thirds of its standard
deviation, and the network learns from smoother stamps than those it scores later.
"""

from typing import Tuple

import numpy as np
from scipy import ndimage

from ..errors import UserError

ROTATION_DEGREES = 90.0
ZOOM_RANGE = (0.9, 1.0)
# Order of the spline by which a pixel is read between the grid points.
INTERPOLATIONS = {"nearest": 0, "linear": 1}


def draw_transform(random_state: np.random.RandomState) -> Tuple[float, float, float, bool, bool]:
    """Draw one transform, in the order in which Keras draws.

    Returns
    -------
    rotation : float
        Degrees, within 90 either way.
    zoom_rows, zoom_columns : float
        0.9 to 1; below 1 enlarges the picture.
    flip_horizontal, flip_vertical : bool
        Reverse the columns; reverse the rows.
    """
    rotation = random_state.uniform(-ROTATION_DEGREES, ROTATION_DEGREES)
    zoom_rows, zoom_columns = random_state.uniform(*ZOOM_RANGE, 2)
    flip_horizontal = random_state.random_sample() < 0.5
    flip_vertical = random_state.random_sample() < 0.5
    return rotation, zoom_rows, zoom_columns, flip_horizontal, flip_vertical


def apply_transform(
    stamp: np.ndarray,
    rotation: float,
    zoom_rows: float,
    zoom_columns: float,
    flip_horizontal: bool,
    flip_vertical: bool,
    interpolation: str = "nearest",
) -> np.ndarray:
    """Rotate and zoom about the centre, then flip; edges wrapped.

    SciPy's ``wrap`` joins the first pixel onto the last (period H - 1), not onto the
    one behind it (``grid-wrap``); Keras uses the former.

    Parameters
    ----------
    stamp : float32 array (bands, H, W)
        Any unit.
    rotation, zoom_rows, zoom_columns, flip_horizontal, flip_vertical
        As `draw_transform` gives them.
    interpolation : {"nearest", "linear"}
        Take the nearest pixel, as Keras does up to 2.1.3, or interpolate, as from 2.1.4 on.

    Returns
    -------
    float32 array (bands, H, W)
        The input's unit.

    Raises
    ------
    UserError
        For an interpolation that is not known.
    """
    if interpolation not in INTERPOLATIONS:
        raise UserError(f"no interpolation named {interpolation!r}; choose one of {', '.join(INTERPOLATIONS)}")
    order = INTERPOLATIONS[interpolation]
    angle = np.deg2rad(rotation)
    rotate = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    zoom = np.diag([zoom_rows, zoom_columns, 1.0])
    # Keras puts the centre at H / 2 + 0.5, one pixel beyond the middle of the grid.  The same
    # products in the same order keep the last bit equal.
    to_centre, from_centre = np.eye(3), np.eye(3)
    to_centre[:2, 2] = np.array(stamp.shape[1:]) / 2 + 0.5
    from_centre[:2, 2] = -to_centre[:2, 2]
    matrix = np.dot(np.dot(to_centre, np.dot(rotate, zoom)), from_centre)
    bands = [ndimage.affine_transform(band, matrix[:2, :2], matrix[:2, 2], order=order, mode="wrap") for band in stamp]
    turned = np.stack(bands)
    if flip_horizontal:
        turned = turned[:, :, ::-1]
    if flip_vertical:
        turned = turned[:, ::-1, :]
    return turned


def augment(stamps: np.ndarray, random_state: np.random.RandomState, interpolation: str = "nearest") -> np.ndarray:
    """Give each stamp a transform of its own.

    Parameters
    ----------
    stamps : float32 array (N, bands, H, W)
        Scaled stamps.
    random_state : numpy.random.RandomState
        Advanced by four draws a stamp (five numbers).
    interpolation : {"nearest", "linear"}
        See `apply_transform`.

    Returns
    -------
    float32 array (N, bands, H, W)

    Examples
    --------
    The nearest pixel makes no value that was not there.

    >>> stamps = np.random.RandomState(0).normal(size=(1, 1, 9, 9)).astype(np.float32)
    >>> turned = augment(stamps, np.random.RandomState(1))
    >>> turned.shape, set(turned.ravel()) <= set(stamps.ravel())
    ((1, 1, 9, 9), True)
    """
    augmented = np.empty(stamps.shape, np.float32)
    for row, stamp in enumerate(stamps):
        augmented[row] = apply_transform(stamp, *draw_transform(random_state), interpolation)
    return augmented
