"""The simulator of one stamp, against hand calculation and independent oracles."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.ndimage import gaussian_filter
from scipy.stats import ks_2samp

from lens_common.mocks import simulator
from lens_common.mocks.prior import LEAK_CONTROLLED, PRIOR, FieldPopulation
from lens_common.mocks.rendering import IsothermalLens, Scene, SersicProfile, render
from lens_common.mocks.simulator import draw_scene, einstein_radius_arcsec, noise_variance, simulate_stamp

SIDE = 45
PIXEL_ARCSEC = 0.18
GAUSSIAN_FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
NO_FIELD = FieldPopulation(number_at_100_counts=0.0, slope=1.0, flux_min_counts=50.0)
# A source too faint to see and no field galaxies.
EMPTY_SKY = dataclasses.replace(PRIOR, source_flux_range_counts=(1e-9, 1e-9), lens_field=NO_FIELD)


def pixel_coordinates(points_per_side=1):
    """x and y of the centres of (sub)pixels in pixels from the middle of the stamp."""
    n_points = SIDE * points_per_side
    axis = (np.arange(n_points) + 0.5) / points_per_side - 0.5 * SIDE
    return np.meshgrid(axis, axis)


def second_moments(counts):
    """Variances along x and y, and their covariance, in pixels^2."""
    x, y = pixel_coordinates()
    weights = counts / counts.sum()
    mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
    return (
        (weights * (x - mean_x) ** 2).sum(),
        (weights * (y - mean_y) ** 2).sum(),
        (weights * (x - mean_x) * (y - mean_y)).sum(),
    )


def rendered_alone(flux=1000.0, radius=2.0, index=1.0, axis_ratio=1.0, angle=0.0, centre=(0.0, 0.0), fwhm=3.4):
    profile = SersicProfile(flux, radius, index, axis_ratio, angle, centre)
    return render([Scene([profile], [], fwhm)])[0][0]


# Rendering


@pytest.mark.parametrize("index, radius", [(0.5, 3.0), (1.0, 2.0), (1.5, 1.5)])
def test_a_small_central_galaxy_keeps_its_flux(index, radius):
    assert rendered_alone(500.0, radius, index, 0.6, 0.5).sum() == pytest.approx(500.0, rel=0.02)


def test_an_exponential_disc_holds_half_its_light_in_its_radius():
    # 177 pixel centres lie within 7.5 pixels, of pi 7.5^2 = 176.7: the aperture is a fair disc.
    counts = rendered_alone(1000.0, 7.5, 1.0, fwhm=2.0)
    x, y = pixel_coordinates()
    assert counts[np.hypot(x, y) < 7.5].sum() == pytest.approx(500.0, rel=0.02)


def test_a_galaxy_lies_at_column_x_and_row_y():
    counts = rendered_alone(centre=(5.0, -8.0))
    assert np.unravel_index(counts.argmax(), counts.shape) == (22 - 8, 22 + 5)


def test_an_elongated_galaxy_points_where_its_angle_says():
    variance_x, variance_y, covariance = second_moments(rendered_alone(angle=math.radians(30.0), axis_ratio=0.4))
    assert 0.5 * math.degrees(math.atan2(2.0 * covariance, variance_x - variance_y)) == pytest.approx(30.0, abs=0.5)


@pytest.mark.parametrize("narrow, wide", [(2.6, 3.4), (3.4, 5.0)])
def test_the_point_spread_function_has_the_width_asked_for(narrow, wide):
    # Variances add under convolution, so the galaxy's own drops out of the difference.
    variances = [second_moments(rendered_alone(index=0.5, fwhm=fwhm))[0] for fwhm in (narrow, wide)]
    expected = (wide**2 - narrow**2) / GAUSSIAN_FWHM_PER_SIGMA**2
    assert variances[1] - variances[0] == pytest.approx(expected, rel=0.01)


# The lens


def test_the_einstein_radius_follows_from_dispersion_and_redshifts():
    def inverse_expansion(z):
        return 1.0 / math.sqrt(0.3 * (1.0 + z) ** 3 + 0.7)

    # The angular diameter distances of a flat universe, in units of c / H0.
    to_source = quad(inverse_expansion, 0.0, 1.5)[0] / 2.5
    lens_to_source = quad(inverse_expansion, 0.4, 1.5)[0] / 2.5
    expected = 4.0 * math.pi * (230.0 / 299792.458) ** 2 * lens_to_source / to_source * 206264.806
    assert einstein_radius_arcsec(230.0, 0.4, 1.5, 0.3) == pytest.approx(expected, rel=1e-6)


def test_a_source_before_the_lens_has_no_einstein_radius():
    assert einstein_radius_arcsec(230.0, 0.5, 0.4, 0.3) == 0.0


def kormann_rays(x, y, radius, axis_ratio, angle):
    """Source plane of points (x, y) behind a singular isothermal ellipsoid, by Kormann et al. 1994."""
    cosine, sine = math.cos(angle), math.sin(angle)
    along, across = cosine * x + sine * y, -sine * x + cosine * y
    flattening = math.sqrt(1.0 - axis_ratio**2)
    psi = np.sqrt(axis_ratio**2 * along**2 + across**2)
    scale = radius * math.sqrt(axis_ratio) / flattening
    beta_along = along - scale * np.arctan(flattening * along / psi)
    beta_across = across - scale * np.arctanh(flattening * across / psi)
    return cosine * beta_along - sine * beta_across, sine * beta_along + cosine * beta_across


def brute_force_exponential(radius_arcsec, axis_ratio, angle, flux, source_radius, centre, fwhm):
    """Lensed round exponential disc on 8 x 8 points a pixel; lengths in pixels but the Einstein radius."""
    x, y = pixel_coordinates(8)
    beta_x, beta_y = kormann_rays(x, y, radius_arcsec / PIXEL_ARCSEC, axis_ratio, angle)
    scale_length = source_radius / 1.67835  # half of an exponential disc's light lies in 1.67835 scale lengths
    distance = np.hypot(beta_x - centre[0], beta_y - centre[1])
    light = flux / (2.0 * math.pi * scale_length**2) * np.exp(-distance / scale_length)
    counts = light.reshape(SIDE, 8, SIDE, 8).mean(axis=(1, 3))
    return gaussian_filter(counts, fwhm / GAUSSIAN_FWHM_PER_SIGMA, truncate=5.0)


# Sources inside and outside the caustic; position angles that no symmetry hides.
LENSES = [(1.2, 0.6, 20.0, (0.6, 0.3)), (0.8, 0.8, 130.0, (-3.0, 2.0)), (1.6, 0.95, 75.0, (1.0, -2.0))]


def lensed_pair(radius_arcsec, axis_ratio, position_angle_deg, centre):
    """Our rendering of a lensed disc of 100 counts, and the oracle's."""
    angle = math.radians(90.0 - position_angle_deg)
    lens = IsothermalLens(radius_arcsec / PIXEL_ARCSEC, axis_ratio, angle, 0.0, 0.0)
    profile = SersicProfile(100.0, 1.5, 1.0, 1.0, 0.0, centre)
    ours = render([Scene([profile], [], 3.4, lens)])[0][0]
    return ours, brute_force_exponential(radius_arcsec, axis_ratio, angle, 100.0, 1.5, centre, 3.4)


@pytest.mark.parametrize("lens", LENSES)
def test_the_magnification_agrees_with_brute_force_ray_shooting(lens):
    ours, oracle = lensed_pair(*lens)
    assert ours.sum() == pytest.approx(oracle.sum(), rel=0.02)


@pytest.mark.parametrize("lens", LENSES)
def test_the_image_agrees_with_brute_force_ray_shooting(lens):
    ours, oracle = lensed_pair(*lens)
    assert np.abs(ours - oracle).max() < 0.03 * oracle.max()


def test_shear_stretches_the_image_of_a_galaxy_along_its_angle():
    lens = IsothermalLens(1e-6, 0.9, 0.0, 0.1, math.radians(60.0))
    profile = SersicProfile(100.0, 3.0, 1.0, 1.0, 0.0, (0.0, 0.0))
    variance_x, variance_y, covariance = second_moments(render([Scene([profile], [], 2.6, lens)])[0][0])
    assert 0.5 * math.degrees(math.atan2(2.0 * covariance, variance_x - variance_y)) == pytest.approx(60.0, abs=1.0)


def test_a_drawn_lens_has_the_einstein_radius_and_the_angles_of_its_draw():
    scene, draw = draw_scene(np.random.RandomState(5), True)
    radius_arcsec = einstein_radius_arcsec(draw.velocity_dispersion_km_s, draw.z_lens, draw.z_source, 0.3)
    assert scene.lens.einstein_radius_pixels == pytest.approx(radius_arcsec / PIXEL_ARCSEC)
    # The PICS mocks are transposed: their angles run from the y axis towards the x axis.
    assert math.degrees(scene.lens.angle_radians) == pytest.approx(90.0 - draw.position_angle_deg)
    assert math.degrees(scene.lens.shear_angle_radians) == pytest.approx(draw.shear_angle_deg)
    assert (scene.lens.axis_ratio, scene.lens.shear) == (draw.axis_ratio, draw.shear)


def test_a_drawn_non_lens_has_no_lens():
    assert draw_scene(np.random.RandomState(5), False)[0].lens is None


# One stamp


@pytest.mark.parametrize("is_lens", [True, False])
def test_the_same_seed_gives_the_same_stamp(is_lens):
    assert simulate_stamp(3, is_lens).stamp.tobytes() == simulate_stamp(3, is_lens).stamp.tobytes()


def test_another_seed_gives_another_stamp():
    assert not np.array_equal(simulate_stamp(3, True).stamp, simulate_stamp(4, True).stamp)


def test_the_two_classes_of_one_seed_share_no_noise():
    noise = dataclasses.replace(EMPTY_SKY, nonlens_field=NO_FIELD, patch_rms_max_counts=0.0, cutout_fraction=0.0)
    lens, nonlens = (simulate_stamp(3, is_lens, noise).stamp.ravel() for is_lens in (True, False))
    # 2,025 independent pixels correlate by chance to 0.022 rms.
    assert abs(np.corrcoef(lens, nonlens)[0, 1]) < 0.1


def test_stamps_are_float32_45_by_45_and_finite():
    stamps = [simulate_stamp(seed, seed % 2 == 0).stamp for seed in range(20)]
    assert {(stamp.dtype.name, stamp.shape) for stamp in stamps} == {("float32", (45, 45))}
    assert all(np.isfinite(stamp).all() for stamp in stamps)


def test_a_non_lens_carries_lens_parameters_but_magnifies_nothing():
    mock = simulate_stamp(3, False)
    assert (mock.truth.magnification, mock.einstein_radius_arcsec) == (1.0, 0.0)
    assert 150.0 <= mock.truth.velocity_dispersion <= 350.0 and 0.5 <= mock.truth.axis_ratio <= 1.0


def test_the_written_magnification_is_flux_with_lensing_over_flux_without():
    # No noise, no field, and every source of 1000 counts: the stamp's sum tells.
    bare = dataclasses.replace(
        PRIOR,
        source_flux_range_counts=(1000.0, 1000.0),
        companion_fraction=0.0,
        lens_field=NO_FIELD,
        sky_sigma_quantiles_counts=(1e-6,) * len(PRIOR.sky_sigma_probabilities),
        gain=1e12,
    )
    mock = simulate_stamp(8, True, bare)
    assert mock.truth.magnification == pytest.approx(mock.stamp.sum() / 1000.0, rel=1e-4)


def test_the_snr_sums_the_signal_over_the_noise_in_quadrature():
    # Noise far below the signal, so that the stamp is the signal.
    quiet = dataclasses.replace(
        PRIOR,
        lens_field=NO_FIELD,
        sky_sigma_quantiles_counts=(1e-3,) * len(PRIOR.sky_sigma_probabilities),
        gain=1e12,
    )
    mock = simulate_stamp(8, True, quiet)
    assert mock.snr == pytest.approx(math.sqrt(np.sum(mock.stamp.astype(float) ** 2)) / 1e-3, rel=1e-3)


def test_noise_variance_adds_photon_noise_to_the_sky():
    variance = noise_variance(np.array([-20.0, 0.0, 54.0]), 3.0, 5.4)
    np.testing.assert_allclose(variance, [9.0, 9.0, 19.0])


@pytest.mark.parametrize("level, variance", [(-30.0, 9.0), (0.0, 9.0), (54.0, 19.0)])
def test_pixels_scatter_with_sky_and_photon_noise(level, variance):
    sky = (3.0,) * len(PRIOR.sky_sigma_probabilities)
    flat = dataclasses.replace(EMPTY_SKY, background_counts=level, sky_sigma_quantiles_counts=sky)
    pixels = np.stack([simulate_stamp(seed, True, flat).stamp for seed in range(20)])
    # The variance of 40,500 pixels scatters by 0.7 %.
    assert pixels.var() == pytest.approx(variance, rel=0.03)


def test_the_level_of_the_stamp_is_the_background_asked_for():
    flat = dataclasses.replace(EMPTY_SKY, background_counts=2.0)
    pixels = np.stack([simulate_stamp(seed, True, flat).stamp for seed in range(20)])
    assert pixels.mean() == pytest.approx(2.0, abs=0.1)


def test_the_correlated_patches_have_the_rms_asked_for():
    patchy = dataclasses.replace(PRIOR, patch_rms_median_counts=2.0, patch_rms_scatter_ln=0.0)
    random = np.random.RandomState(1)
    patches = np.stack([simulator._draw_background(random, False, patchy) for _ in range(100)])
    # 100 stamps hold about 100 * 45^2 / (4 pi 2.6^2) = 2,400 independent patches: the rms scatters by 1.5 %.
    assert patches.std() == pytest.approx(2.0, rel=0.06)


def test_field_galaxies_are_as_many_as_their_counts_say():
    random = np.random.RandomState(1)
    population = FieldPopulation(number_at_100_counts=2.0, slope=1.0, flux_min_counts=50.0)
    fluxes = [p.flux_counts for _ in range(500) for p in simulator._draw_field(random, population, PRIOR)]
    # Two a stamp above 100 counts: 1,000 +- 32 in 500 stamps.
    assert sum(flux > 100.0 for flux in fluxes) == pytest.approx(1000, abs=130)


def without_noise(prior, **changes):
    """The same sky in a telescope that adds nothing."""
    sky = (1e-6,) * len(prior.sky_sigma_probabilities)
    return dataclasses.replace(prior, sky_sigma_quantiles_counts=sky, gain=1e12, **changes)


def test_everything_in_a_non_lens_but_the_noise_adds_up_to_its_total():
    totals = (1200.0,) * len(PRIOR.cutout_total_probabilities)
    cut_out = without_noise(PRIOR, cutout_total_quantiles_counts=totals)
    sums = [simulate_stamp(seed, False, cut_out).stamp.sum(dtype=float) for seed in range(20)]
    assert sums == pytest.approx(20 * [1200.0], rel=1e-5)


def test_the_level_takes_its_share_of_the_total():
    # Nothing but a point of light and the level, which is the median of the stamp.
    totals = (2025.0,) * len(PRIOR.cutout_total_probabilities)
    lone = dict(
        radius_range_pixels=(0.3, 0.3), nonlens_field=NO_FIELD, patch_rms_max_counts=0.0, companion_fraction=0.0
    )
    lone.update(clumpy_fraction=0.0, sersic_index_range=(0.5, 0.5), cutout_level_share_sigma=0.3)
    sky = without_noise(PRIOR, cutout_total_quantiles_counts=totals, **lone)
    levels = [np.median(simulate_stamp(seed, False, sky).stamp) for seed in range(200)]
    # 200 draws from a normal distribution: the mean scatters by 0.02, the standard deviation by 0.015.
    assert np.mean(levels) == pytest.approx(0.0, abs=0.07)
    assert np.std(levels) == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("is_lens, changes", [(True, {}), (False, {"cutout_fraction": 0.0})])
def test_what_is_no_cut_out_keeps_its_flux(is_lens, changes):
    bare = dict(source_flux_range_counts=(1000.0, 1000.0), companion_fraction=0.0, lens_field=NO_FIELD)
    bare.update(nonlens_field=NO_FIELD, patch_rms_max_counts=0.0, radius_range_pixels=(1.0, 1.0))
    mock = simulate_stamp(8, is_lens, without_noise(PRIOR, **bare, **changes))
    assert mock.stamp.sum() / mock.truth.magnification == pytest.approx(1000.0, rel=0.02)


def test_in_a_leak_controlled_set_the_classes_are_alike_but_for_the_lens():
    weightless = without_noise(LEAK_CONTROLLED, velocity_dispersion_km_s=(1e-3, 1e-3), shear_sigma=0.0)
    stamps = [np.stack([simulate_stamp(seed, is_lens, weightless).stamp for seed in range(150)]) for is_lens in (1, 0)]
    for measure in (np.sum, np.median, np.max):
        assert ks_2samp(*(measure(part, axis=(1, 2)) for part in stamps)).pvalue > 0.01


def test_simulating_leaves_the_global_generator_alone():
    np.random.seed(7)  # noqa: NPY002
    expected = np.random.RandomState(7).uniform()
    simulate_stamp(3, True)
    assert np.random.uniform() == expected  # noqa: NPY002
