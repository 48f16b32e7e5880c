"""Rotations, zooms and flips against hand calculations and a slow loop over pixels."""

import math

import numpy as np
import pytest

from lens_common.errors import UserError
from lens_common.learning.augmentation import apply_transform, augment, draw_transform

COUNTING = np.arange(12, dtype=np.float32).reshape(1, 3, 4)


def slow_transform(band, rotation, zoom_rows, zoom_columns, period_shift=-1):
    """Rotate and zoom one pixel at a time, about (H + 1) / 2, with the edges wrapped at period H - 1.

    Return the picture, and where a coordinate fell onto the seam itself, on which rounding decides.
    """
    height, width = band.shape
    cosine, sine = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    centre_row, centre_column = (height + 1) / 2, (width + 1) / 2
    turned = np.zeros(band.shape)
    on_seam = np.zeros(band.shape, bool)
    for row in range(height):
        for column in range(width):
            down, right = row - centre_row, column - centre_column
            source_row = cosine * zoom_rows * down - sine * zoom_columns * right + centre_row
            source_column = sine * zoom_rows * down + cosine * zoom_columns * right + centre_column
            for source, length in ((source_row, height), (source_column, width)):
                on_seam[row, column] |= abs(source / (length - 1) - round(source / (length - 1))) < 1e-9
            turned[row, column] = _interpolate(band, source_row, source_column, period_shift)
    return turned, on_seam


def _interpolate(band, row, column, period_shift):
    total = 0.0
    (row, next_row, row_share) = _wrapped(row, band.shape[0], period_shift)
    (column, next_column, column_share) = _wrapped(column, band.shape[1], period_shift)
    total += band[row, column] * (1 - row_share) * (1 - column_share)
    total += band[next_row, column] * row_share * (1 - column_share)
    total += band[row, next_column] * (1 - row_share) * column_share
    total += band[next_row, next_column] * row_share * column_share
    return total


def _wrapped(position, length, period_shift):
    period = length + period_shift
    position %= period
    first = math.floor(position)
    return first, (first + 1) % length, position - first


def slow_nearest(band, rotation, zoom_rows, zoom_columns):
    """Rotate and zoom as `slow_transform` does, but take the pixel that is nearest."""
    height, width = band.shape
    cosine, sine = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    turned = np.zeros(band.shape, band.dtype)
    for row in range(height):
        for column in range(width):
            down, right = row - (height + 1) / 2, column - (width + 1) / 2
            source_row = cosine * zoom_rows * down - sine * zoom_columns * right + (height + 1) / 2
            source_column = sine * zoom_rows * down + cosine * zoom_columns * right + (width + 1) / 2
            turned[row, column] = band[
                math.floor(source_row % (height - 1) + 0.5), math.floor(source_column % (width - 1) + 0.5)
            ]
    return turned


def turn(stamp, *transform):
    """Transform with linear interpolation, which the loop of `slow_transform` does."""
    return apply_transform(stamp, *transform, interpolation="linear")


def noise_stamp(side=9, n_bands=1):
    return np.random.RandomState(5).normal(size=(n_bands, side, side)).astype(np.float32)


def test_no_rotation_zoom_or_flip_leaves_every_bit():
    stamp = noise_stamp(45, 2)
    assert np.array_equal(apply_transform(stamp, 0, 1, 1, False, False), stamp)


def test_a_horizontal_flip_reverses_the_columns():
    flipped = apply_transform(COUNTING, 0, 1, 1, True, False)
    assert flipped.tolist() == [[[3, 2, 1, 0], [7, 6, 5, 4], [11, 10, 9, 8]]]


def test_a_vertical_flip_reverses_the_rows():
    flipped = apply_transform(COUNTING, 0, 1, 1, False, True)
    assert flipped.tolist() == [[[8, 9, 10, 11], [4, 5, 6, 7], [0, 1, 2, 3]]]


def test_a_zoom_of_a_half_enlarges_about_the_off_grid_centre():
    # 5 columns: the centre is 3, column c takes 3 + (c - 3) / 2, thus 1.5, 2, 2.5, 3, 3.5.
    stamp = np.tile(np.array([0, 10, 20, 30, 40], np.float32), (5, 1))[None]
    zoomed = turn(stamp, 0, 1, 0.5, False, False)
    assert zoomed[0, 2].tolist() == [15, 20, 25, 30, 35]


def test_a_coordinate_beyond_the_edge_wraps_with_the_period_of_one_pixel_less():
    # 5 rows, centre 3, zoom 2: row r takes 3 + 2 (r - 3), thus -3, -1, 1, 3, 5.
    # With period 4 these are rows 1, 3, 1, 3, 1; with period 5 they would be 2, 4, 1, 3, 0.
    stamp = np.repeat(np.array([0, 10, 20, 30, 40], np.float32)[:, None], 5, axis=1)[None]
    zoomed = turn(stamp, 0, 2, 1, False, False)
    assert zoomed[0, :, 2].tolist() == [10, 30, 10, 30, 10]


def test_a_quarter_turn_is_about_the_off_grid_centre():
    # 9 pixels: the centre is 5, so row r, column c takes row 10 - c, column r; 9 and 10 wrap to 1 and 2.
    stamp = noise_stamp()
    turned = turn(stamp, 90, 1, 1, False, False)
    source_rows = np.array([2, 1, -1, 7, 6, 5, 4, 3, 2])  # column 2 falls onto the seam
    expected = stamp[0].T[:, source_rows]
    inner = np.s_[1:8, [0, 1, 3, 4, 5, 6, 7, 8]]  # rows 0 and 8 take columns on the seam
    assert turned[0][inner] == pytest.approx(expected[inner], abs=1e-5)


@pytest.mark.parametrize("side", [8, 9])
def test_a_quarter_turn_equals_the_slow_loop_off_the_seam(side):
    stamp = noise_stamp(side)
    expected, on_seam = slow_transform(stamp[0], 90, 1, 1)
    assert (~on_seam).sum() >= (side - 3) * (side - 3)
    assert turn(stamp, 90, 1, 1, False, False)[0][~on_seam] == pytest.approx(expected[~on_seam], abs=1e-5)


@pytest.mark.parametrize("transform", [(30, 0.95, 0.9), (-71.3, 0.93, 0.99), (12.5, 1, 1), (88, 0.9, 0.97)])
@pytest.mark.parametrize("side", [8, 9])
def test_a_rotation_with_zoom_equals_the_slow_loop(side, transform):
    stamp = noise_stamp(side)
    expected, on_seam = slow_transform(stamp[0], *transform)
    assert not on_seam.any()
    assert turn(stamp, *transform, False, False)[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("transform", [(30, 0.95, 0.9), (-71.3, 0.93, 0.99), (12.5, 1, 1), (88, 0.9, 0.97)])
@pytest.mark.parametrize("side", [8, 9])
def test_by_default_each_pixel_is_the_nearest_one(side, transform):
    stamp = noise_stamp(side)
    assert np.array_equal(apply_transform(stamp, *transform, False, False)[0], slow_nearest(stamp[0], *transform))


@pytest.mark.parametrize("interpolation, share", [("nearest", 1.0), ("linear", 0.667)])
def test_linear_interpolation_takes_white_noise_to_two_thirds_of_its_sigma(interpolation, share):
    # Averaged over offsets of 0 to 1 pixel, the squares of linear weights add up to 2/3 along each axis.
    noise = np.random.RandomState(1).normal(size=(200, 1, 45, 45)).astype(np.float32)
    augmented = augment(noise, np.random.RandomState(2), interpolation)
    assert augmented.std() == pytest.approx(share, abs=0.01)


def test_an_interpolation_that_is_not_known_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="no interpolation named 'cubic'; choose one of nearest, linear"):
        augment(noise_stamp()[None], np.random.RandomState(0), "cubic")


def test_wrapping_with_the_full_period_would_be_seen():
    # The trap: SciPy's "grid-wrap" has period H, its "wrap" H - 1.
    stamp = noise_stamp()
    expected, _ = slow_transform(stamp[0], 30, 0.95, 0.9, period_shift=0)
    assert np.abs(turn(stamp, 30, 0.95, 0.9, False, False)[0] - expected).max() > 0.5


def test_flips_come_after_the_rotation():
    stamp = noise_stamp()
    turned, _ = slow_transform(stamp[0], 30, 0.95, 0.9)
    assert turn(stamp, 30, 0.95, 0.9, True, False)[0] == pytest.approx(turned[:, ::-1], abs=1e-5)
    assert turn(stamp, 30, 0.95, 0.9, False, True)[0] == pytest.approx(turned[::-1], abs=1e-5)


def test_all_bands_of_a_stamp_turn_together():
    stamp = noise_stamp(n_bands=1)
    turned = turn(np.concatenate([stamp, 2 * stamp]), 30, 0.95, 0.9, True, True)
    assert turned[1] == pytest.approx(2 * turned[0], abs=1e-5)


def test_draws_are_made_in_the_order_of_keras():
    numbers = np.random.RandomState(3).random_sample(5)
    rotation, zoom_rows, zoom_columns, flip_horizontal, flip_vertical = draw_transform(np.random.RandomState(3))
    assert rotation == pytest.approx(-90 + 180 * numbers[0])
    assert (zoom_rows, zoom_columns) == pytest.approx((0.9 + 0.1 * numbers[1], 0.9 + 0.1 * numbers[2]))
    assert (flip_horizontal, flip_vertical) == (numbers[3] < 0.5, numbers[4] < 0.5)


def test_draws_stay_within_their_ranges_and_fill_them():
    random_state = np.random.RandomState(0)
    draws = np.array([draw_transform(random_state) for _ in range(2000)], float)
    assert draws[:, 0].min() == pytest.approx(-90, abs=1)
    assert draws[:, 0].max() == pytest.approx(90, abs=1)
    assert draws[:, 1:3].min() == pytest.approx(0.9, abs=0.001)
    assert draws[:, 1:3].max() == pytest.approx(1.0, abs=0.001)
    # Deviation of a mean of 2000 coins: 0.0112.
    assert draws[:, 3:].mean(axis=0) == pytest.approx([0.5, 0.5], abs=5 * 0.0112)


def test_each_stamp_gets_a_transform_of_its_own():
    stamps = np.concatenate([noise_stamp()[None]] * 3)
    augmented = augment(stamps, np.random.RandomState(0), interpolation="linear")
    numbers = np.random.RandomState(0).random_sample((3, 5))
    for stamp, number in zip(augmented, numbers):
        turned, _ = slow_transform(stamps[0, 0], -90 + 180 * number[0], 0.9 + 0.1 * number[1], 0.9 + 0.1 * number[2])
        turned = turned[:, ::-1] if number[3] < 0.5 else turned
        turned = turned[::-1] if number[4] < 0.5 else turned
        assert stamp[0] == pytest.approx(turned, abs=1e-5)


def test_augmenting_leaves_the_stamps_it_got():
    stamps = noise_stamp()[None]
    augment(stamps, np.random.RandomState(0))
    assert np.array_equal(stamps, noise_stamp()[None])
