"""The loader on the study's own images; the expected figures are those published with them."""

import numpy as np

from lens_common.catalogue import read_catalogue
from lens_common.noise import median_and_noise
from lens_common.stamps import load_dataset


def test_every_pics_mock_is_a_stamp_of_45_pixels_with_a_label(pics_mocks):
    data = load_dataset(pics_mocks, progress=False)
    assert data.stamps.shape[1:] == (1, 45, 45)
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
    noise = median_and_noise(load_dataset(pics_mocks, progress=False).stamps)[1]
    assert 3.4 < np.median(noise) < 4.0
