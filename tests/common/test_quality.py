"""The bad-image filter: what is measured, what is flagged, how it is written."""

import numpy as np
import pytest
from scipy.signal import convolve2d
from scipy.stats import norm

from lens_common.data.quality import (
    THRESHOLDS,
    apply_filter,
    describe_filter,
    detected_signal,
    explain_flags,
    flag_stamps,
    measure_quality,
    parse_filter,
)
from lens_common.data.stamps import Stamps, load_stamps
from lens_common.errors import UserError

SIDE = 45


def noise(n_stamps=1, sigma=3.5, level=10.0, n_bands=1, seed=0):
    return np.random.RandomState(seed).normal(level, sigma, (n_stamps, n_bands, SIDE, SIDE)).astype(np.float32)


def gaussian(sigma, row=22, column=22):
    """Gaussian of unit sum, sampled at the centres of the pixels."""
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)


def test_a_point_source_is_detected_at_the_optimal_signal_to_noise_ratio():
    # For a known profile p on white noise the matched filter's S/N is flux * sqrt(sum p^2) / sigma.
    sigma_pixels, flux, sigma = 3.4 / 2.3548, 1000.0, 3.5
    stamps = noise(200, sigma) + np.float32(flux) * gaussian(sigma_pixels).astype(np.float32)
    expected = flux * np.sqrt((gaussian(sigma_pixels) ** 2).sum()) / sigma
    assert np.median(detected_signal(stamps)) == pytest.approx(expected, rel=0.03)  # the source adds to the noise


def test_the_signal_equals_a_convolution_written_out():
    stamp = noise() + 300 * gaussian(2.0, 12, 30).astype(np.float32)
    offsets = np.arange(-6, 7)
    profile = np.exp(-(offsets**2) / (2 * (3.4 / 2.3548) ** 2))
    kernel = np.outer(profile, profile) / profile.sum() ** 2
    plane = stamp[0, 0].astype(float)
    centred = plane - np.median(plane)
    robust_noise = np.median(np.abs(centred)) / norm.ppf(0.75)
    expected = convolve2d(centred, kernel, mode="same").max() / (robust_noise * np.sqrt((kernel**2).sum()))
    assert detected_signal(stamp)[0] == pytest.approx(expected, rel=1e-4)


def test_pure_noise_seldom_reaches_the_default_threshold():
    signal = detected_signal(noise(1000, seed=3))
    assert 2.5 < np.median(signal) < 3.5
    assert np.mean(signal >= THRESHOLDS["signal"]) <= 0.005


def test_the_signal_has_no_unit():
    stamps = noise(5) + 300 * gaussian(2.0).astype(np.float32)
    np.testing.assert_allclose(detected_signal(1000 * stamps), detected_signal(stamps), rtol=1e-4)


def test_a_stamp_of_zeros_has_no_signal():
    assert detected_signal(np.zeros((2, 1, SIDE, SIDE), np.float32)).tolist() == [0, 0]


def test_no_stamps_have_no_signals():
    assert detected_signal(np.zeros((0, 1, SIDE, SIDE), np.float32)).shape == (0,)


def test_the_band_with_the_best_detection_counts():
    stamps = noise(3, n_bands=3)
    stamps[:, 2] += 500 * gaussian(2.0).astype(np.float32)
    np.testing.assert_array_equal(detected_signal(stamps), detected_signal(stamps[:, 2:]))


def test_an_upper_limit_flags_what_is_above_and_signal_what_is_below():
    quality = {"noise": np.array([5.9, 6.0, 6.1]), "signal": np.array([5.1, 5.0, 4.9])}
    flags = flag_stamps(quality, {"noise": 6.0, "signal": 5.0})
    assert flags["noise"].tolist() == [False, False, True]
    assert flags["signal"].tolist() == [False, False, True]


def test_a_flag_says_the_value_and_the_threshold():
    quality = {"noise": np.array([3.0, 7.25]), "signal": np.array([9.0, 2.5])}
    assert explain_flags(quality, {"noise": 6.0, "signal": 5.0}, [0, 1]) == ["", "noise 7.25 > 6, signal 2.5 < 5"]


@pytest.fixture
def folder(tmp_path, write_stamp):
    """Three stamps: good, noisy, and one with three pixels of NaN."""
    source = 2000 * gaussian(2.0)
    damaged = noise(seed=2)[0, 0] + source
    damaged[0, :3] = np.nan
    write_stamp(tmp_path / "good.fits", (noise(seed=1)[0, 0] + source).astype(np.float32))
    write_stamp(tmp_path / "noisy.fits", (noise(sigma=9.0)[0, 0] + 5 * source).astype(np.float32))
    write_stamp(tmp_path / "damaged.fits", damaged.astype(np.float32))
    return tmp_path


def test_pixels_that_were_repaired_count_as_not_finite(folder):
    data = load_stamps(folder)
    fraction = dict(zip(data.ids, measure_quality(data)["nonfinite"]))
    assert fraction == {"good": 0, "noisy": 0, "damaged": pytest.approx(3 / 2025)}


def test_the_default_filter_drops_the_noisy_and_the_damaged_stamp(folder):
    dropped = {row.id: row for row in apply_filter(load_stamps(folder), parse_filter("default"))}
    assert set(dropped) == {"noisy", "damaged"}
    assert dropped["damaged"].n_nonfinite == 3
    assert dropped["damaged"].reason == "filter: nonfinite 0.00148 > 0.001"


def test_a_filter_looks_only_at_what_it_names(folder):
    dropped = apply_filter(load_stamps(folder), parse_filter("noise=6"))
    assert [row.id for row in dropped] == ["noisy"]


def test_a_filter_is_written_as_it_is_read():
    assert parse_filter(describe_filter(THRESHOLDS)) == parse_filter("default") == THRESHOLDS


@pytest.mark.parametrize("text", ["", "noise", "noise=", "noise=x", "noise=-1", "noise=nan", "sigma=3", "noise=6,,"])
def test_a_filter_that_cannot_be_read_is_refused(text):
    with pytest.raises(UserError, match="a filter is default or thresholds"):
        parse_filter(text)


def test_the_noise_is_in_counts_at_zero_point_30_whatever_the_unit():
    stamps = np.random.RandomState(0).normal(0, 4, (3, 1, 45, 45)).astype(np.float32)
    ids = np.array(["a", "b", "c"])
    # 1 count at zero-point 30 is 10^(0.4 * 1.4) = 3.631 nJy.
    units = {30.0: 1.0, 31.4: 3.631, np.nan: 1.0}
    noises = [
        measure_quality(
            Stamps("", ids, ids, np.full(3, -1, np.int8), stamps * np.float32(factor), ids, [], zero_point_mag=mag)
        )["noise"]
        for mag, factor in units.items()
    ]
    np.testing.assert_allclose(noises[1], noises[0], rtol=1e-3)
    np.testing.assert_array_equal(noises[2], noises[0])
