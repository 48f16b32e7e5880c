"""Mocks in several bands, against lenstronomy, astropy's cosmology and published numbers."""

import dataclasses
import gzip
import math

import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM
from astropy.io import fits
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver
from lenstronomy.SimulationAPI.ObservationConfig.LSST import LSST

from lens_common.errors import UserError
from lens_common.mocks import multiband
from lens_common.mocks.multiband_prior import (
    LSST_GRI,
    LSST_GRI_CONTROLLED,
    LSST_GRI_VISIT,
    MULTIBAND_POPULATIONS,
    TEMPLATES,
)
from lens_common.mocks.prior import PRIOR, find_priors
from lens_common.mocks.rendering import render_bands
from lens_common.mocks.simulator import simulate_stamp
from lens_common.mocks.writer import make_mocks

from .lenstronomy_oracle import lens_arguments, lenstronomy_counts, of_band

# No noise, no field, and a lens galaxy of no light: only the source is left.
SOURCE_ALONE = {
    "bands": tuple(dataclasses.replace(b, depth_mag=60.0, zero_point_mag=60.0) for b in LSST_GRI.bands),
    "field_i_mag": (20.0, 20.0),
    "magnitude_by_log_dispersion": (30.0, 2.2, 0.0),
}


def drawn(seed, is_lens, prior=LSST_GRI):
    """The scene of a lens, or of the lens that a controlled non-lens would have been."""
    random = np.random.RandomState([seed, int(is_lens)])
    return multiband._draw_controlled(random, multiband._draw_lens(random, prior), prior)


def n_images(seed, is_lens, prior):
    """Images of the source's middle that lenstronomy finds, the one in the singular centre left out."""
    scene = drawn(seed, is_lens, prior)
    if not is_lens:
        random = np.random.RandomState([seed, 0])
        scene = multiband._draw_controlled(random, multiband._draw_lens(random, prior), prior)
        scene = multiband._with_one_image(random, scene, prior)
    solver = LensEquationSolver(LensModel(["SIE", "SHEAR"]))
    x, y = solver.image_position_from_source(
        *scene.source[0].centre_pixels,
        lens_arguments(scene.lens),
        min_distance=0.2,
        search_window=80,
        precision_limit=1e-6,
        num_iter_max=100,
    )
    return int((np.hypot(x, y) > 0.05).sum())


# The rendering


@pytest.mark.parametrize("seed, number", [(0, 0), (1, 1), (3, 2)])
def test_a_band_of_a_lens_is_what_lenstronomy_renders(seed, number):
    scene, band = drawn(seed, True), LSST_GRI.bands[number]
    rendered = sum(render_bands(scene))[number]
    # With ten points a side it misses some thousandths of the cusp in the middle.
    expected = lenstronomy_counts(of_band(scene, number), 10).sum(axis=0)
    allowed = 0.1 * multiband.sky_sigma_njy(band, LSST_GRI) + 3e-3 * expected
    assert (np.abs(rendered - expected) < allowed).all()
    assert rendered.sum() == pytest.approx(expected.sum(), rel=2e-3)


def test_one_band_of_several_is_what_it_would_be_alone():
    scene = drawn(3, True)
    together = sum(render_bands(scene))
    for band in range(3):
        alone = sum(render_bands(of_band(scene, band)))[0]
        # Cells are divided where one of the bands asks for it.
        assert together[band] == pytest.approx(alone, abs=0.1, rel=4e-3)


# The lens equation


@pytest.mark.parametrize("seed", range(8))
def test_the_source_of_a_lens_has_several_images(seed):
    assert n_images(seed, True, LSST_GRI) >= 2


@pytest.mark.parametrize("seed", range(8))
def test_the_source_of_a_controlled_non_lens_has_one_image(seed):
    assert n_images(seed, False, LSST_GRI_CONTROLLED) == 1


def test_a_round_lens_makes_several_images_within_its_einstein_radius():
    lens = dataclasses.replace(drawn(1, True).lens, axis_ratio=1.0, shear=0.0, einstein_radius_pixels=5.0)
    assert multiband.multiple_image_radius_pixels(lens) == pytest.approx(5.0, rel=2e-3)


# Light


@pytest.mark.parametrize("seed", range(5))
def test_a_controlled_non_lens_has_as_much_source_light_as_the_images_of_the_lens(seed):
    prior = dataclasses.replace(LSST_GRI_CONTROLLED, **SOURCE_ALONE)
    images = render_bands(drawn(seed, False, prior))[0][0].sum()
    assert simulate_stamp(seed, False, prior).stamp[0].sum() == pytest.approx(images, rel=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_a_lens_without_its_mass_keeps_its_light_in_every_band(seed):
    prior = dataclasses.replace(LSST_GRI, **SOURCE_ALONE)
    lens, without = (simulate_stamp(seed, True, prior, lensing=lensing) for lensing in (True, False))
    assert (lens.is_lens, without.is_lens, without.einstein_radius_arcsec) == (True, False, 0.0)
    # What the seeing spreads beyond the stamp is another part of either.
    assert without.stamp.sum(axis=(1, 2)) == pytest.approx(lens.stamp.sum(axis=(1, 2)), rel=0.03)
    assert np.abs(lens.stamp - without.stamp).max() > 0.1 * lens.stamp.max()


def test_a_lens_and_its_counterfactual_share_galaxy_field_and_noise():
    lens, without = (simulate_stamp(5, True, LSST_GRI, lensing=lensing).stamp for lensing in (True, False))
    corners = np.ones((45, 45), bool)
    corners[4:-4, 4:-4] = False
    assert np.abs((lens - without)[:, corners]).max() < 0.2 * multiband.sky_sigma_njy(LSST_GRI.bands[0], LSST_GRI)


def test_lenses_of_both_populations_are_the_same_stamps():
    first, second = (simulate_stamp(11, True, prior).stamp for prior in (LSST_GRI, LSST_GRI_CONTROLLED))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", MULTIBAND_POPULATIONS)
def test_a_seed_gives_the_same_three_bands_again(name):
    for is_lens in (True, False):
        first, second = (simulate_stamp(2, is_lens, MULTIBAND_POPULATIONS[name]) for _ in range(2))
        assert first.stamp.shape == (3, 45, 45) and first.stamp.dtype == np.float32
        assert np.isfinite(first.stamp).all() and first.is_lens == is_lens
        np.testing.assert_array_equal(first.stamp, second.stamp)


@pytest.mark.parametrize("kind", [name for name, _ in LSST_GRI.kinds])
def test_every_kind_of_non_lens_can_be_drawn(kind):
    mock = simulate_stamp(4, False, dataclasses.replace(LSST_GRI, kinds=((kind, 1.0),)))
    assert np.isfinite(mock.stamp).all() and (mock.snr > 0) == (kind != "field alone")


def test_a_star_is_as_wide_as_the_seeing():
    scene = multiband._draw_object(np.random.RandomState(1), dataclasses.replace(LSST_GRI, kinds=(("star", 1.0),)))
    for counts, width in zip(render_bands(scene)[0], (scene.psf_fwhm_pixels, *scene.psf_fwhm_further_pixels)):
        x = np.arange(45) - 22.0
        along = counts.sum(axis=0) / counts.sum()
        sigma = math.sqrt((along * x**2).sum() - (along * x).sum() ** 2)
        # The pixel adds 1/12 to the variance, the star itself 0.07.
        assert sigma == pytest.approx(math.sqrt((width / 2.3548) ** 2 + 1 / 12 + 0.07), rel=0.01)


# Numbers


def test_a_point_source_at_the_depth_has_five_sigma_in_its_effective_pixels():
    band = LSST_GRI_VISIT.bands[1]
    # SMTN-002: m5 = 24.36 in r, 639.7 nJy, in 2.266 (0.83 / 0.2)^2 = 39.03 pixels.
    assert multiband.sky_sigma_njy(band, LSST_GRI_VISIT) == pytest.approx(653.1 / 5 / math.sqrt(39.03), rel=0.003)


@pytest.mark.parametrize("band", LSST_GRI_VISIT.bands, ids=lambda band: band.name)
def test_the_sky_is_about_as_noisy_as_lenstronomys_lsst(band):
    # Two exposures of 15 s; its zero-points and sky are older ones.
    camera, seen = LSST(band=band.name).camera, LSST(band=band.name).obs
    sky = 15.0 * 10 ** (0.4 * (seen["magnitude_zero_point"] - seen["sky_brightness"])) * camera["pixel_scale"] ** 2
    electrons = math.sqrt(2.0 * (sky + camera["read_noise"] ** 2))
    per_njy = 30.0 * 10 ** (0.4 * (seen["magnitude_zero_point"] - 31.4))
    assert multiband.sky_sigma_njy(band, LSST_GRI_VISIT) == pytest.approx(electrons / per_njy, rel=0.25)


def test_ten_years_are_as_much_deeper_as_the_visits_are_many():
    ten, one = (multiband.sky_sigma_njy(prior.bands[0], prior) for prior in (LSST_GRI, LSST_GRI_VISIT))
    assert one / ten == pytest.approx(math.sqrt(80))


@pytest.mark.parametrize("redshift", [0.2, 0.8, 3.0])
def test_distances_are_astropys(redshift):
    cosmology = FlatLambdaCDM(70.0, 0.3, Tcmb0=0.0)
    assert multiband._distance_modulus(redshift, LSST_GRI) == pytest.approx(cosmology.distmod(redshift).value, abs=1e-3)
    assert multiband._kpc_per_arcsec(redshift, LSST_GRI) == pytest.approx(
        cosmology.kpc_proper_per_arcmin(redshift).value / 60.0, rel=1e-3
    )


def test_a_galaxy_of_the_mean_dispersion_has_the_mean_luminosity():
    # 10^2.20 km/s; the radius is 10^(2.46 - 2.79 * 2.2 + 0.84 * 2.2^2) = 10^0.3876 kpc.
    magnitude, radius_kpc = multiband.early_type_magnitude_and_radius(10**2.2, LSST_GRI)
    assert magnitude == pytest.approx(-21.15) and radius_kpc == pytest.approx(10**0.3876, rel=1e-6)


def test_a_nearby_elliptical_has_published_colours():
    # Fukugita, Shimasaku & Ichikawa 1995, PASP 107, 945: E at z = 0 in g', r', i' of the SDSS, close to LSST's.
    assert TEMPLATES["E"][0][0] == pytest.approx(0.77, abs=0.1)
    assert TEMPLATES["E"][1][0] == pytest.approx(0.39, abs=0.1)


def test_the_field_holds_as_many_galaxies_as_the_science_book_counts():
    # 46 * (10^(0.31 * 2) - 10^(0.31 * -5)) an arcmin^2, on 9 x 9 arcsec: 4.28.
    random = np.random.RandomState(1)
    counted = [len(multiband._draw_field(random, LSST_GRI)) for _ in range(400)]
    assert np.mean(counted) == pytest.approx(4.28, abs=3 * math.sqrt(4.28 / 400))


def test_redshifts_have_the_median_of_the_science_book():
    # z^2 exp(-z / z0) has its median at 2.67 z0; z0 is 0.0417 * 25 - 0.744 = 0.2985.
    random = np.random.RandomState(1)
    drawn_redshifts = [multiband._draw_redshift(random, 25.0, 0.0, LSST_GRI) for _ in range(2000)]
    assert np.median(drawn_redshifts) == pytest.approx(2.67 * 0.2985, rel=0.05)


# Files


def test_files_say_their_bands_scale_and_zero_point(tmp_path):
    folder = make_mocks(tmp_path / "mocks", 2, prior=LSST_GRI, workers=1)
    (path, _) = sorted(folder.rglob("*.fits.gz"))
    with gzip.open(path) as file, fits.open(file) as units:
        header = units[0].header
        assert [header[f"BAND{number}"] for number in (1, 2, 3)] == ["g", "r", "i"]
        assert (header["PIXSCALE"], header["MAGZERO"], header["BUNIT"]) == (0.2, 31.4, "nJy")
        assert units[0].data.shape == (3, 45, 45)


def test_populations_of_unlike_bands_are_not_mixed(tmp_path):
    with pytest.raises(UserError, match="lsst-2017, lsst-gri have unlike bands"):
        find_priors(["lsst-2017", "lsst-gri"])
    with pytest.raises(UserError, match="populations of unlike bands can't be mixed: lsst-2017, lsst-gri"):
        make_mocks(tmp_path / "mocks", 4, prior=(PRIOR, LSST_GRI))
