"""The loader on the study's own images; the expected figures are those published with them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lens_common.data.catalogue import read_catalogue
from lens_common.data.noise import median_and_noise
from lens_common.data.stamps import load_stamps
from lens_common.mocks.simulator import simulate_stamp


def test_every_pics_mock_is_a_stamp_of_45_pixels_with_a_label(pics_mocks):
    data = load_stamps(pics_mocks)
    assert data.pixels.shape[1:] == (1, 45, 45)
    assert data.rejected == []
    assert set(data.labels) == {0, 1}


def test_the_names_of_the_pics_mocks_hold_lenses_of_150_to_350_km_s(pics_mocks):
    catalogue = read_catalogue(pics_mocks)
    assert 150 <= catalogue["velocity_dispersion"].min() <= catalogue["velocity_dispersion"].max() <= 350
    assert 0.5 <= catalogue["axis_ratio"].min() <= catalogue["axis_ratio"].max() <= 1


def test_only_lenses_among_the_pics_mocks_are_magnified(pics_mocks):
    catalogue = read_catalogue(pics_mocks)
    assert np.all(catalogue["magnification"][catalogue["is_lens"] == 0] < 1.1)
    assert np.median(catalogue["magnification"][catalogue["is_lens"] == 1]) > 2


def test_the_pics_mocks_have_the_sky_noise_of_one_lsst_exposure(pics_mocks):
    # LensPop's LSST: g sky 21.7, gain 4.5, read noise 10 predict 3.55 counts; objects add a little
    noise = median_and_noise(load_stamps(pics_mocks).pixels)[1]
    assert 3.4 < np.median(noise) < 4.0


@pytest.fixture(scope="module")
def both(pics_mocks):
    """PICS mocks and as many again of ours four times over, by class: (N, 1, 45, 45) each."""
    data = load_stamps(pics_mocks)
    ours = [np.stack([simulate_stamp(seed, bool(label)).stamp for seed in range(200)])[:, None] for label in (0, 1)]
    return [(data.pixels[data.labels == label], ours[label]) for label in (0, 1)]


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("quantile, tolerance", [(0.25, 0.12), (0.5, 0.12), (0.75, 0.25)])
def test_our_mocks_are_as_noisy_as_the_pics_mocks(both, label, quantile, tolerance):
    # Quantiles of 50 scatter by about 0.04, the upper quarter's by 0.08.
    theirs, ours = (np.quantile(median_and_noise(stamps)[1], quantile) for stamps in both[label])
    assert ours == pytest.approx(theirs, abs=tolerance)


@pytest.mark.parametrize("quantile, tolerance", [(0.25, 130), (0.5, 130), (0.75, 200)])
def test_our_non_lenses_sum_to_what_theirs_do(both, quantile, tolerance):
    # The sum of 2,025 pixels of noise 3.7 scatters by 167 counts, a quantile of 50 such sums by about 40.
    theirs, ours = (np.quantile(stamps.sum(axis=(1, 2, 3)), quantile) for stamps in both[0])
    assert ours == pytest.approx(theirs, abs=tolerance)


@pytest.mark.parametrize("label", [0, 1])
def test_our_mocks_are_as_bright_as_the_pics_mocks(both, label):
    # The median of 50 of a brightness that scatters by a factor of 1.6 is known to 8 %.
    theirs, ours = (np.median(stamps.max(axis=(1, 2, 3))) for stamps in both[label])
    assert ours == pytest.approx(theirs, rel=0.25)


@pytest.mark.parametrize(
    "setting, outcome",
    [({"LENS_PICS_MOCKS": ""}, "1 skipped"), ({}, "1 error")],
    ids=["set to nothing", "unset"],
)
def test_in_ci_the_pics_mocks_may_be_missing_only_where_that_is_said(setting, outcome):
    environment = {
        name: value for name, value in os.environ.items() if name not in ("LENS_PICS_MOCKS", "LENS_TEST_COUNTS")
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", __file__, "-k", "a_stamp_of_45_pixels"],
        cwd=str(Path(__file__).parents[2]),
        env={**environment, **setting, "CI": "true"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert outcome in done.stdout.splitlines()[-1], done.stdout
