"""The features of hand-made stamps, against what a calculation by hand says."""

import math

import numpy as np
import pytest

from lens_common.errors import UserError
from lens_modern.realism.features import FEATURES, NAMES, clipped_median_and_noise, measure_features

SIDE = 45
ROW, COLUMN = np.indices((SIDE, SIDE)) - 22.0
PSF_SIGMA = 3.4 / 2.3548  # pixels; the seeing that the detection assumes


def gaussian(flux, sigma, centre=(0.0, 0.0), axis_ratio=1.0):
    """A Gaussian galaxy; `centre` is (row, column) from the middle, `sigma` that of the columns."""
    row, column = ROW - centre[0], COLUMN - centre[1]
    light = np.exp(-0.5 * ((row / axis_ratio) ** 2 + column**2) / sigma**2)
    return flux * light / (2 * math.pi * sigma**2 * axis_ratio)


def white(seed=1, sigma=1.0):
    return np.random.default_rng(seed).normal(0, sigma, (SIDE, SIDE))


def measured(stamp):
    """Features of one stamp by name."""
    return dict(zip(NAMES, measure_features(np.asarray(stamp)[None, None])[0]))


def test_every_feature_has_a_name_of_its_own_and_a_sentence():
    assert len(set(NAMES)) == len(FEATURES) >= 20
    assert all(feature.sentence.endswith(".") for feature in FEATURES)


def test_noise_about_a_level_has_that_median_and_that_noise():
    found = measured(white(sigma=3.0) + 2.0)
    # Cutting a Gaussian at 3 sigma leaves 0.9866 of its standard deviation.
    assert found["median"] == pytest.approx(2.0, abs=0.2)
    assert found["noise"] == pytest.approx(3.0 * 0.9866, rel=0.04)


def test_the_clipping_goes_on_until_nothing_is_left_to_clip():
    # The 100s hide the 10s at first: they raise the standard deviation to 22.
    stamp = np.concatenate([np.tile([-1.0, 1.0], 450), np.full(50, 100.0), np.full(50, 10.0)]).reshape(25, 40)
    assert clipped_median_and_noise(stamp) == (0.0, 1.0)


def test_pure_noise_holds_no_object():
    found = measured(white())
    assert [found[name] for name in ("objects inside", "objects outside", "peaks", "area", "main flux")] == [0] * 5


def test_flux_above_the_median_is_summed_and_so_is_all_of_it():
    stamp = np.where(np.hypot(ROW, COLUMN) < 5, 11.0, 1.0)
    n_bright = (np.hypot(ROW, COLUMN) < 5).sum()
    assert measured(stamp)["total flux"] == pytest.approx(10.0 * n_bright)
    assert measured(stamp)["sum"] == pytest.approx(10.0 * n_bright + SIDE**2)


@pytest.mark.parametrize(
    "name, low, high",
    [("ring 0-3", 0, 3), ("ring 3-6", 3, 6), ("ring 6-10", 6, 10), ("ring 10-15", 10, 15), ("ring beyond 15", 15, 99)],
)
def test_light_in_one_ring_is_found_in_that_ring_alone(name, low, high):
    distance = np.hypot(ROW, COLUMN)
    # The pixels beyond 15 are most of the stamp, and so its median.
    level = -2.0 if low == 15 else 2.0
    found = measured(np.where((distance >= low) & (distance < high), level, 0.0))
    rings = {key: value for key, value in found.items() if key.startswith("ring")}
    if low == 15:
        assert rings.pop(name) == 0.0
        assert all(value == pytest.approx(2.0) for value in rings.values())
    else:
        assert rings.pop(name) == pytest.approx(2.0)
        assert all(value == 0.0 for value in rings.values())


def test_the_brightest_and_the_deepest_pixel_are_in_units_of_the_noise():
    stamp = white()
    stamp[10, 10], stamp[30, 30] = 9.0, -7.0
    found = measured(stamp)
    assert found["brightest pixel"] == pytest.approx(9.0, rel=0.05)
    assert found["deepest pixel"] == pytest.approx(7.0, rel=0.05)


def test_pixels_beyond_three_sigma_are_counted_on_both_sides():
    stamp = np.clip(white(), -2.5, 2.5)
    stamp[3, :6], stamp[40, :4] = 5.0, -5.0
    assert (measured(stamp)["bright pixels"], measured(stamp)["dark pixels"]) == (6, 4)


def test_the_skewness_of_two_values_is_that_of_the_bernoulli_distribution():
    stamp = np.zeros((SIDE, SIDE))
    stamp.flat[:81] = 1.0
    share = 81 / SIDE**2
    assert measured(stamp)["skewness"] == pytest.approx((1 - 2 * share) / math.sqrt(share * (1 - share)))


def test_a_galaxy_and_a_farther_one_are_counted_by_their_distance():
    found = measured(white() + gaussian(300, 2, (3, 4)) + gaussian(200, 2, (-18, 4)))
    assert (found["objects inside"], found["objects outside"], found["peaks"]) == (1, 1, 2)


def test_a_blend_is_one_object_with_two_peaks():
    found = measured(0.1 * white() + gaussian(300, 1.5, (0, -4)) + gaussian(300, 1.5, (0, 4)))
    assert (found["objects inside"], found["peaks"]) == (1, 2)


def test_what_describes_the_main_object_is_that_of_the_brightest():
    found = measured(white() + gaussian(2000, 2, (0, 12)) + gaussian(500, 2, (0, -8)))
    assert found["main distance"] == 12
    # Within 6 pixels of a Gaussian of sigma 2 lies 1 - exp(-36 / 8) of its light, within 2.5 pixels 1 - exp(-6.25 / 8).
    assert found["main flux"] == pytest.approx(2000 * (1 - math.exp(-4.5)), rel=0.02)
    concentration = (1 - math.exp(-0.78125)) / (1 - math.exp(-4.5))
    assert found["main concentration"] == pytest.approx(concentration, rel=0.06)  # a disc of 21 whole pixels


def test_the_second_object_is_as_significant_as_a_matched_filter_makes_it():
    light = gaussian(300, 2, (0, 12)) + gaussian(200, 2, (0, -8))
    found = np.mean([measured(white(seed) + light)["second object"] for seed in range(10)])
    # Smoothed, a Gaussian's peak is flux / (2 pi (s^2 + p^2)), and white noise has 1 / (2 sqrt(pi) p).
    expected = 200 / (2 * math.pi * (4 + PSF_SIGMA**2)) * 2 * math.sqrt(math.pi) * PSF_SIGMA
    # The galaxies' outskirts, too faint to be clipped, raise the noise by some 4 %.
    assert found == pytest.approx(expected, rel=0.08)


def test_the_area_reaches_out_to_three_sigma_of_the_smoothed_stamp():
    found = measured(white() + gaussian(3000, 2))
    variance = 4 + PSF_SIGMA**2
    peak = 3000 / (2 * math.pi * variance) * 2 * math.sqrt(math.pi) * PSF_SIGMA
    assert found["area"] == pytest.approx(2 * math.pi * variance * math.log(peak / 3), rel=0.1)


def test_the_main_object_has_its_size_and_axis_ratio():
    round_one, long_one = (measured(0.01 * white() + gaussian(3000, 3, axis_ratio=q)) for q in (1.0, 0.5))
    assert round_one["main size"] == pytest.approx(3 * math.sqrt(2), rel=0.03)
    assert round_one["main axis ratio"] == pytest.approx(1.0, abs=0.02)
    assert long_one["main axis ratio"] == pytest.approx(0.5, abs=0.03)


def test_light_on_one_side_of_the_peak_makes_an_object_asymmetric():
    # A knot has no counterpart on the other side: |difference| holds it twice, half of that once.
    galaxy, knot = gaussian(2000, 1.5), gaussian(300, 0.7, (0, 4))
    assert measured(0.01 * white() + galaxy)["main asymmetry"] == pytest.approx(0.0, abs=0.02)
    assert measured(0.01 * white() + galaxy + knot)["main asymmetry"] == pytest.approx(300 / 2300, rel=0.05)


@pytest.mark.parametrize("lag, expected", [(1, 0.1), (2, 0.0), (3, 0.0), (4, 0.0)])
def test_noise_that_neighbours_share_is_correlated_at_one_pixel_only(lag, expected):
    values = []
    for seed in range(20):
        shared = np.random.default_rng(seed).normal(0, 1, (SIDE + 1, SIDE + 1))
        four = shared[1:, 1:] + shared[:-1, 1:] + shared[1:, :-1] + shared[:-1, :-1]
        values.append(measured(white(100 + seed) + 0.25 * four)[f"correlation at {lag}"])
    # The variance is 1 + 4 / 16; neighbours share two of four, 2 / 16.  Bright blobs are no background: a little less.
    assert np.mean(values) == pytest.approx(expected, abs=0.025)


def test_a_stamp_brighter_on_one_side_is_uneven_by_that_much():
    found = measured(white() + np.where(COLUMN > 0, 0.8, 0.0))
    assert found["unevenness"] == pytest.approx(0.8 / math.sqrt(1 + 0.4**2), abs=0.15)


def test_a_hole_is_as_significant_as_a_galaxy_of_that_flux():
    expected = 200 / (2 * math.pi * (4 + PSF_SIGMA**2)) * 2 * math.sqrt(math.pi) * PSF_SIGMA
    assert measured(white() - gaussian(200, 2, (5, 5)))["deepest hole"] == pytest.approx(expected, abs=2.0)


def test_a_turned_or_mirrored_stamp_has_the_same_features():
    stamp = white(sigma=3.0) + gaussian(800, 2, (4, -3), 0.6) + gaussian(300, 1.5, (-17, 9))
    for other in (np.rot90(stamp), stamp[::-1], stamp.T):
        np.testing.assert_allclose(list(measured(other).values()), list(measured(stamp).values()), rtol=1e-4, atol=0.02)


@pytest.mark.parametrize("stamp", [np.zeros((SIDE, SIDE)), np.full((SIDE, SIDE), -5.0), np.full((SIDE, SIDE), 1e6)])
def test_a_stamp_without_noise_has_finite_features(stamp):
    assert np.isfinite(list(measured(stamp).values())).all()


@pytest.mark.parametrize("shape", [(2, 3, 45, 45), (2, 1, 40, 45), (2, 45, 45)])
def test_stamps_of_another_kind_are_refused_with_their_shape(shape):
    with pytest.raises(UserError, match="one band with sides of 41 pixels or more"):
        measure_features(np.zeros(shape))


def test_the_progress_is_told_of_every_stamp():
    told = []
    measure_features(np.stack([white(seed) for seed in range(3)])[:, None], told.append)
    assert sum(told) == 3
