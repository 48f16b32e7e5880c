"""Each scaling on tiny arrays, by hand."""

import json
from dataclasses import fields
from statistics import NormalDist

import numpy as np
import pytest

from lens_common.data.noise import SIGMA_PER_MAD, median_and_noise, sky_of
from lens_common.errors import UserError
from lens_common.learning.scaling import SCALINGS, DeepLens, make_scaling, scaling_from_dict, scaling_to_dict

# Median 5; absolute deviations 0 1 1 2 2 3 3 4 4, median 2: noise 2.965204437.
ONE_TO_NINE = np.arange(1, 10, dtype=np.float32).reshape(1, 1, 3, 3)
NOISE = 2.965204437
CONSTANT = np.full((1, 1, 3, 3), 7, np.float32)
NAMES = ["raw", "sigma", "sky-sigma", "arcsinh", "sky-arcsinh", "sign-clip", "deeplens"]


def pixels(*values):
    return np.array(values, np.float32).reshape(1, 1, 1, -1)


def test_the_scalings_are_those_of_the_issue():
    assert list(SCALINGS) == NAMES


def test_a_deviation_becomes_a_sigma_by_the_quartile_of_the_normal_distribution():
    assert SIGMA_PER_MAD == pytest.approx(1 / NormalDist().inv_cdf(0.75), rel=1e-14)


def test_median_and_noise_of_one_to_nine():
    median, noise = median_and_noise(ONE_TO_NINE)
    assert median.tolist() == [[5]]
    assert noise[0, 0] == pytest.approx(NOISE, rel=1e-6)


def test_each_band_of_each_stamp_has_its_own_median_and_noise():
    stamps = np.stack([np.concatenate([ONE_TO_NINE[0], 10 * ONE_TO_NINE[0]]), np.concatenate([CONSTANT[0]] * 2)])
    median, noise = median_and_noise(stamps)
    assert median.tolist() == [[5, 50], [7, 7]]
    assert noise == pytest.approx(np.array([[NOISE, 10 * NOISE], [0, 0]]), rel=1e-6)


def test_a_few_bright_pixels_do_not_move_the_noise():
    stamp = ONE_TO_NINE.copy()
    stamp[0, 0, 2, 2] = 1e6  # the deviation of 9 was the largest already
    assert median_and_noise(stamp)[1][0, 0] == pytest.approx(NOISE, rel=1e-6)


def test_raw_leaves_counts_as_they_are():
    assert np.array_equal(make_scaling("raw").fit(ONE_TO_NINE).transform(ONE_TO_NINE), ONE_TO_NINE)


def test_sigma_divides_by_the_noise_and_keeps_the_median():
    scaled = make_scaling("sigma").fit(ONE_TO_NINE).transform(ONE_TO_NINE)
    assert scaled[0, 0, 0, 0] == pytest.approx(1 / NOISE, rel=1e-6)
    assert np.median(scaled) == pytest.approx(5 / NOISE, rel=1e-6)


def test_sigma_clips_at_minus_10_and_20():
    stamp = ONE_TO_NINE.copy()
    # The median stays 5 and the noise 2.97: -29.6 is -10 sigma, 59.3 is 20 sigma.
    stamp[0, 0, 0, 0], stamp[0, 0, 2, 2] = -30, 60
    scaled = make_scaling("sigma").transform(stamp)
    assert (scaled[0, 0, 0, 0], scaled[0, 0, 2, 2]) == (-10, 20)


def test_sigma_does_not_clip_just_within_its_limits():
    stamp = ONE_TO_NINE.copy()
    stamp[0, 0, 0, 0], stamp[0, 0, 2, 2] = -29, 59
    scaled = make_scaling("sigma").transform(stamp)
    assert scaled[0, 0, 0, 0] == pytest.approx(-29 / NOISE, rel=1e-6)
    assert scaled[0, 0, 2, 2] == pytest.approx(59 / NOISE, rel=1e-6)


def clipped_median(pixels):
    """Median of pixels after five rounds of leaving out what lies beyond three sigma of it."""
    for _ in range(5):
        pixels = pixels[np.abs(pixels - np.median(pixels)) <= 3 * np.std(pixels)]
    return np.median(pixels)


def stamps_with_sources(seed=0):
    """Two bands of noise about levels of their own, with a source that covers a ninth of each."""
    stamps = np.random.RandomState(seed).normal(2, 3, (5, 2, 45, 45))
    stamps[:, 1] = 4 * stamps[:, 1] - 30
    stamps[:, :, 15:30, 10:25] += 40
    return stamps.astype(np.float32)


def test_the_sky_is_the_median_without_what_lies_beyond_three_sigma():
    stamps = stamps_with_sources()
    expected = [[clipped_median(band.astype(float).ravel()) for band in stamp] for stamp in stamps]
    assert sky_of(stamps) == pytest.approx(np.array(expected), rel=1e-12)
    # The source lifts the plain median; the sky is nearer to the levels that were drawn.
    assert (np.abs(sky_of(stamps)[:, 0] - 2) < np.median(stamps[:, 0], axis=(1, 2)) - 2).all()


@pytest.mark.parametrize("counts", [1, -10, 1000])
def test_sky_sigma_sees_no_constant_and_sigma_does(counts):
    stamps = stamps_with_sources()
    scaled = make_scaling("sky-sigma").transform(stamps + np.float32(counts))
    # A float32 of 1,000 has steps of 6e-5.
    assert scaled == pytest.approx(make_scaling("sky-sigma").transform(stamps), abs=5e-4)
    assert np.abs(make_scaling("sigma").transform(stamps + np.float32(counts)) - scaled).max() > 0.1


def test_sky_sigma_is_sigma_once_the_sky_is_off():
    stamps = stamps_with_sources()
    without = (stamps - sky_of(stamps)[:, :, None, None]).astype(np.float32)
    assert make_scaling("sky-sigma").transform(stamps) == pytest.approx(
        make_scaling("sigma").transform(without), abs=1e-5
    )


def test_arcsinh_compresses_counts_over_noise():
    scaled = make_scaling("arcsinh").transform(ONE_TO_NINE)
    # asinh(9 / 2.965204437) = ln(3.035204 + sqrt(3.035204^2 + 1)) = ln(6.230897).
    assert scaled[0, 0, 2, 2] == pytest.approx(np.log(6.230897), rel=1e-6)


def test_sign_clip_leaves_the_sign_of_each_pixel_times_100():
    scaled = make_scaling("sign-clip").transform(pixels(-5, -1e-3, 0, 1e-3, 5, 99, 101))
    assert scaled.tolist() == pixels(-100, -100, 0, 100, 100, 100, 100).tolist()


def test_sign_clip_masks_pixels_equal_to_100():
    scaled = make_scaling("sign-clip").transform(pixels(100, np.nextafter(np.float32(100), np.float32(0)), -100))
    assert scaled.tolist() == pixels(0, 100, -100).tolist()


def test_sign_clip_scales_what_lies_within_its_limits():
    scaled = make_scaling("sign-clip").transform(pixels(5e-10, -2.5e-10))
    assert scaled == pytest.approx(pixels(50, -25), rel=1e-6)


def test_deeplens_takes_off_the_training_mean_and_divides_by_the_training_noise():
    scaling = make_scaling("deeplens").fit(ONE_TO_NINE)
    assert scaling.transform(ONE_TO_NINE)[0, 0, 2, 2] == pytest.approx(4 / NOISE, rel=1e-6)


def test_deeplens_transforms_other_stamps_with_the_numbers_of_the_training_stamps():
    scaling = make_scaling("deeplens").fit(ONE_TO_NINE)
    # With numbers of its own the last pixel would be 4 / 2.97 again.
    assert scaling.transform(10 * ONE_TO_NINE)[0, 0, 2, 2] == pytest.approx((90 - 5) / NOISE, rel=1e-6)


def test_deeplens_takes_the_median_of_the_noise_over_stamps():
    stamps = np.concatenate([ONE_TO_NINE, 2 * ONE_TO_NINE, 30 * ONE_TO_NINE])
    scaling = make_scaling("deeplens").fit(stamps)
    assert scaling.noise == pytest.approx((2 * NOISE,), rel=1e-6)
    assert scaling.mean == pytest.approx((5 * (1 + 2 + 30) / 3,), rel=1e-6)


def test_deeplens_has_one_mean_and_noise_a_band():
    stamps = np.concatenate([ONE_TO_NINE, 10 * ONE_TO_NINE], axis=1)
    scaling = make_scaling("deeplens").fit(stamps)
    assert scaling.mean == pytest.approx((5, 50), rel=1e-6)
    assert scaling.noise == pytest.approx((NOISE, 10 * NOISE), rel=1e-6)
    assert scaling.transform(stamps)[0, :, 2, 2] == pytest.approx([4 / NOISE, 4 / NOISE], rel=1e-6)


def test_deeplens_clips_at_250_sigma():
    scaling = make_scaling("deeplens").fit(ONE_TO_NINE)
    # 5 + 250 * 2.9652 = 746.3
    scaled = scaling.transform(pixels(746, 747, -737, -736))
    assert scaled[0, 0, 0, 1:3].tolist() == [250, -250]
    assert scaled[0, 0, 0, 0] == pytest.approx(741 / NOISE, rel=1e-6)
    assert scaled[0, 0, 0, 3] == pytest.approx(-741 / NOISE, rel=1e-6)


def test_deeplens_keeps_the_mean_of_many_large_counts_exact():
    # Summed in float32, 16,777,216 and 1 make 16,777,216.
    stamps = np.ones((2**12, 1, 4, 4), np.float32)
    stamps[0] = 2.0**24
    mean = (2.0**28 + 16 * (2**12 - 1)) / 2**16
    assert make_scaling("deeplens").fit(stamps).mean == (mean,)


def test_deeplens_refuses_to_transform_before_it_is_fitted():
    with pytest.raises(ValueError, match="fit"):
        make_scaling("deeplens").transform(ONE_TO_NINE)


@pytest.mark.parametrize("name", ["raw", "sigma", "sky-sigma", "arcsinh", "sign-clip"])
def test_the_other_scalings_learn_nothing_from_the_training_stamps(name):
    scaling = make_scaling(name)
    assert scaling.fit(ONE_TO_NINE) == scaling


@pytest.mark.parametrize(
    ("name", "expected"),
    [("raw", 7), ("sigma", 7), ("sky-sigma", 0), ("arcsinh", 2.644120761058629), ("sign-clip", 100), ("deeplens", 0)],
)
def test_a_constant_stamp_stays_finite(name, expected):
    # Without noise nothing is divided: asinh(7) = 2.64412.
    scaled = make_scaling(name).fit(CONSTANT).transform(CONSTANT)
    assert scaled == pytest.approx(np.full((1, 1, 3, 3), expected), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_every_scaling_gives_float32_of_the_shape_it_got(name):
    stamps = np.random.RandomState(0).normal(size=(3, 2, 4, 4)).astype(np.float32)
    scaled = make_scaling(name).fit(stamps).transform(stamps)
    assert (scaled.dtype, scaled.shape) == (np.float32, (3, 2, 4, 4))


@pytest.mark.parametrize("name", NAMES)
def test_every_scaling_takes_no_stamps_at_all(name):
    assert make_scaling(name).fit(ONE_TO_NINE).transform(ONE_TO_NINE[:0]).shape == (0, 1, 3, 3)


@pytest.mark.parametrize("name", NAMES)
def test_no_scaling_writes_into_the_stamps_it_got(name):
    stamps = ONE_TO_NINE.copy()
    stamps.setflags(write=False)
    make_scaling(name).fit(stamps).transform(stamps)
    assert np.array_equal(stamps, ONE_TO_NINE)


@pytest.mark.parametrize("name", NAMES)
def test_a_scaling_survives_the_way_through_json(name):
    scaling = make_scaling(name).fit(np.concatenate([ONE_TO_NINE, 3.3 * ONE_TO_NINE], axis=1))
    assert scaling_from_dict(json.loads(json.dumps(scaling_to_dict(scaling)))) == scaling


@pytest.mark.parametrize("name", NAMES)
def test_the_stored_form_holds_the_name_and_every_number(name):
    stored = scaling_to_dict(make_scaling(name))
    assert stored["name"] == name
    assert set(stored) == {"name", *(number.name for number in fields(SCALINGS[name]))}


def test_stored_numbers_win_over_the_defaults_of_today():
    stamp = ONE_TO_NINE.copy()
    stamp[0, 0, 2, 2] = 60
    restored = scaling_from_dict({"name": "sigma", "low": -1.0, "high": 4.0})
    assert restored.transform(stamp)[0, 0, 2, 2] == 4


def test_a_stored_deeplens_scales_with_its_stored_numbers():
    restored = scaling_from_dict({"name": "deeplens", "mean": [1.0], "noise": [2.0], "limit": 3.0})
    assert restored == DeepLens(mean=(1.0,), noise=(2.0,), limit=3.0)
    assert restored.transform(pixels(5, 100)).tolist() == pixels(2, 3).tolist()


def test_an_unknown_scaling_is_refused_with_the_known_ones():
    with pytest.raises(
        UserError,
        match="no scaling named 'log'; choose one of raw, sigma, sky-sigma, arcsinh, sky-arcsinh, sign-clip, deeplens",
    ):
        make_scaling("log")
