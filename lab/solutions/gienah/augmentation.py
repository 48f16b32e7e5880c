"""Rotations, zooms and flips, equal to Keras' ImageDataGenerator as CMU DeepLens used it."""

from typing import Tuple

import numpy as np
from scipy import ndimage

from lens_common.errors import UserError

ROTATION_DEGREES = 90.0
ZOOM_RANGE = (0.9, 1.0)
INTERPOLATIONS = {"nearest": 0, "linear": 1}


def draw_transform(random_state: np.random.RandomState) -> Tuple[float, float, float, bool, bool]:
    """Draw one transform, in the order in which Keras draws."""
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
    """Rotate and zoom about the centre, then flip."""
    if interpolation not in INTERPOLATIONS:
        raise UserError(f"no interpolation named {interpolation!r}; choose one of {', '.join(INTERPOLATIONS)}")
    order = INTERPOLATIONS[interpolation]
    angle = np.deg2rad(rotation)
    rotate = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    zoom = np.diag([zoom_rows, zoom_columns, 1.0])
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
    """Give each stamp a transform of its own."""
    augmented = np.empty(stamps.shape, np.float32)
    for row, stamp in enumerate(stamps):
        augmented[row] = apply_transform(stamp, *draw_transform(random_state), interpolation)
    return augmented
