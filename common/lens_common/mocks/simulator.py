"""The simulator of one stamp: a galaxy-galaxy strong lens, or an object that no lens distorts.

`simulate_stamp` draws the sky from a `Prior` with one seed, renders it, and adds noise.
A stamp is an array (row, column) = (y, x); angles run from the x axis towards the y axis, and the lens
sits on the centre of the middle pixel.

References
----------
Kormann, Schneider & Bartelmann 1994, A&A 284, 285 (the lens).
Collett 2015, ApJ 811, 20 (LensPop, the survey's noise).
"""

import math
from dataclasses import replace
from typing import List, Tuple, Union

import numpy as np
from scipy.ndimage import gaussian_filter

from ..data.layout import PIXEL_SCALE_ARCSEC, STAMP_SIDE_PIXELS, LensParameters
from .multiband import simulate_multiband_stamp
from .multiband_prior import MultibandPrior
from .prior import PRIOR, FieldPopulation, Prior, SourcePopulation
from .rendering import IsothermalLens, Scene, SersicProfile, render
from .truth import LensDraw, Mock, einstein_radius_arcsec

# Raise it when the same seed and prior give another stamp.
SIMULATOR_VERSION = 2


def simulate_stamp(seed: int, is_lens: bool, prior: Union[Prior, MultibandPrior] = PRIOR, lensing: bool = True) -> Mock:
    """Simulate one stamp.

    Parameters
    ----------
    seed : int
        0 to 2**32 - 1.  The same seed, class, prior and library versions give the same bytes.
    is_lens : bool
        A lens with its source, or an object that no lens distorts.
    prior : Prior or MultibandPrior
    lensing : bool
        False takes the mass of a lens away and multiplies the flux of its source by the magnification: the same
        source, field, seeing and draws of noise, as bright as before, but for the bending of light.

    Returns
    -------
    Mock
        A non-lens, where the mass was taken away.

    Notes
    -----
    The magnification is the flux of the lensed source in the stamp over its analytic flux without a lens.
    The noise is drawn last, from the same generator, so that it never moves what is physical.
    """
    if isinstance(prior, MultibandPrior):
        return simulate_multiband_stamp(seed, is_lens, prior, lensing)
    # A list seeds both classes apart; numpy has frozen the streams of RandomState.
    random = np.random.RandomState([seed, int(is_lens)])
    scene, lens = draw_scene(random, is_lens, prior)
    background = _draw_background(random, is_lens, prior)
    sky_sigma = np.interp(random.uniform(), prior.sky_sigma_probabilities, prior.sky_sigma_quantiles_counts)

    source_counts, field_counts = (layer[0] for layer in render([scene]))
    if scene.lens and not lensing:
        scene = _without_lens(scene, float(source_counts.sum()))
        source_counts = render([scene])[0][0]
    factor, level = _draw_cutout(random, is_lens, prior, float(source_counts.sum() + field_counts.sum()))
    source_counts, field_counts = factor * source_counts, factor * field_counts
    source_flux = sum(profile.flux_counts for profile in scene.source)
    magnification = float(source_counts.sum()) / source_flux if scene.lens else 1.0
    radius_arcsec = scene.lens.einstein_radius_pixels * PIXEL_SCALE_ARCSEC if scene.lens else 0.0

    counts = source_counts + field_counts + background + level
    variance = noise_variance(counts, sky_sigma, prior.gain)
    stamp = counts + np.sqrt(variance) * random.standard_normal(counts.shape)
    truth = LensParameters(
        lens.velocity_dispersion_km_s, lens.axis_ratio, lens.position_angle_deg, lens.z_lens, magnification
    )
    snr = float(np.sqrt(np.sum(source_counts**2 / variance)))
    galaxy = scene.source[0]
    return Mock(
        stamp=stamp.astype(np.float32),
        is_lens=scene.lens is not None,
        truth=truth,
        einstein_radius_arcsec=radius_arcsec,
        snr=snr,
        z_source=lens.z_source,
        source_flux_counts=factor * source_flux,
        source_radius_arcsec=galaxy.radius_pixels * PIXEL_SCALE_ARCSEC,
        source_offset_arcsec=math.hypot(*galaxy.centre_pixels) * PIXEL_SCALE_ARCSEC,
        seed=int(seed),
    )


def _without_lens(scene: Scene, lensed_counts: float) -> Scene:
    """The scene with its source as bright as behind the lens, and no lens."""
    magnification = lensed_counts / sum(profile.flux_counts for profile in scene.source)
    source = [replace(profile, flux_counts=magnification * profile.flux_counts) for profile in scene.source]
    return replace(scene, source=source, lens=None)


def noise_variance(counts: np.ndarray, sky_sigma: float, gain: float) -> np.ndarray:
    """Variance of each pixel in counts^2: the sky's, and the photon noise of the objects."""
    return sky_sigma**2 + np.maximum(counts, 0.0) / gain


def draw_scene(random: np.random.RandomState, is_lens: bool, prior: Prior = PRIOR) -> Tuple[Scene, LensDraw]:
    """Draw what a stamp shows, and the lens, which a non-lens does not show.

    Parameters
    ----------
    random : numpy.random.RandomState
        It moves on.
    is_lens : bool
    prior : Prior

    Returns
    -------
    Scene
    LensDraw
    """
    lens = _draw_lens(random, prior)
    psf_fwhm_pixels = float(
        np.clip(
            random.normal(prior.psf_fwhm_mean_pixels, prior.psf_fwhm_sigma_pixels),
            *prior.psf_fwhm_range_pixels,
        )
    )
    source = _draw_source(random, prior.lens_source if is_lens else prior.nonlens_source, prior)
    field = _draw_field(random, prior.lens_field if is_lens else prior.nonlens_field, prior)
    return Scene(source, field, psf_fwhm_pixels, _isothermal_lens(lens, prior) if is_lens else None), lens


def _isothermal_lens(lens: LensDraw, prior: Prior) -> IsothermalLens:
    radius_arcsec = einstein_radius_arcsec(
        lens.velocity_dispersion_km_s, lens.z_lens, lens.z_source, prior.omega_matter
    )
    return IsothermalLens(
        einstein_radius_pixels=radius_arcsec / PIXEL_SCALE_ARCSEC,
        axis_ratio=lens.axis_ratio,
        # The angle in the names of the PICS mocks is 90 degrees less that of the array: theirs are transposed.
        angle_radians=math.radians(90.0 - lens.position_angle_deg),
        shear=lens.shear,
        shear_angle_radians=math.radians(lens.shear_angle_deg),
    )


def _draw_lens(random: np.random.RandomState, prior: Prior) -> LensDraw:
    return LensDraw(
        velocity_dispersion_km_s=random.uniform(*prior.velocity_dispersion_km_s),
        axis_ratio=random.uniform(*prior.lens_axis_ratio),
        position_angle_deg=random.uniform(*prior.lens_position_angle_deg),
        z_lens=float(np.interp(random.uniform(), prior.z_lens_probabilities, prior.z_lens_quantiles)),
        z_source=random.uniform(*prior.z_source),
        shear=min(abs(prior.shear_sigma * random.standard_normal()), prior.shear_max),
        shear_angle_deg=random.uniform(0.0, 180.0),
    )


def _draw_source(random: np.random.RandomState, population: SourcePopulation, prior: Prior) -> List[SersicProfile]:
    """Draw the main object: a galaxy, in half of the stamps with clumps, in some with a companion."""
    flux = _lognormal(random, population.flux_median_counts, population.flux_scatter_ln)
    flux = float(np.clip(flux, *prior.source_flux_range_counts))
    index = _lognormal(random, prior.sersic_index_median, prior.sersic_index_scatter_ln)
    index = float(np.clip(index, *prior.sersic_index_range))
    radius = _lognormal(random, population.radius_median_pixels, population.radius_scatter_ln)
    radius = float(np.clip(radius * (flux / 100.0) ** prior.radius_flux_exponent, *prior.radius_range_pixels))
    axis_ratio, angle = random.uniform(*prior.source_axis_ratio), random.uniform(0.0, math.pi)
    centre = _point_in_disc(random, prior.source_offset_max_pixels)

    clumps: List[SersicProfile] = []
    if random.uniform() < prior.clumpy_fraction:
        clump_flux = flux * random.uniform(*prior.clump_flux_share)
        flux -= clump_flux
        clumps = _draw_clumps(random, clump_flux, radius, centre, prior)
    profiles = [SersicProfile(flux, radius, index, axis_ratio, angle, centre), *clumps]
    if random.uniform() < prior.companion_fraction:
        distance, direction = (
            random.uniform(*prior.companion_distance_pixels),
            random.uniform(0.0, 2.0 * math.pi),
        )
        beside = (centre[0] + distance * math.cos(direction), centre[1] + distance * math.sin(direction))
        companion_flux = flux * random.uniform(*prior.companion_flux_share)
        profiles.append(SersicProfile(companion_flux, radius, index, axis_ratio, angle, beside))
    return profiles


def _draw_clumps(
    random: np.random.RandomState, flux: float, radius: float, centre: Tuple[float, float], prior: Prior
) -> List[SersicProfile]:
    """Round exponential knots that share ``flux`` equally, scattered about ``centre``; lengths in pixels."""
    n_clumps = random.randint(1, prior.clump_number_max + 1)
    clumps = []
    for _ in range(n_clumps):
        offset = _point_in_disc(random, prior.clump_distance_max_radii * radius)
        clump_radius = max(radius * random.uniform(*prior.clump_radius_radii), prior.radius_range_pixels[0])
        position = (centre[0] + offset[0], centre[1] + offset[1])
        clumps.append(SersicProfile(flux / n_clumps, clump_radius, 1.0, 1.0, 0.0, position))
    return clumps


def _draw_field(random: np.random.RandomState, population: FieldPopulation, prior: Prior) -> List[SersicProfile]:
    """Draw exponential galaxies that lie anywhere in the stamp, brighter ones more rarely."""
    expected = population.number_at_100_counts * (population.flux_min_counts / 100.0) ** -population.slope
    half_side = 0.5 * STAMP_SIDE_PIXELS
    galaxies = []
    for _ in range(random.poisson(expected)):
        # 1 - uniform lies in (0, 1]: a power law inverted.
        flux = population.flux_min_counts * (1.0 - random.uniform()) ** (-1.0 / population.slope)
        flux = min(flux, prior.source_flux_range_counts[1])
        radius = _lognormal(random, prior.field_radius_median_pixels, prior.field_radius_scatter_ln)
        radius = float(np.clip(radius * (flux / 100.0) ** prior.field_radius_flux_exponent, *prior.radius_range_pixels))
        axis_ratio, angle = random.uniform(*prior.source_axis_ratio), random.uniform(0.0, math.pi)
        centre = (random.uniform(-half_side, half_side), random.uniform(-half_side, half_side))
        galaxies.append(SersicProfile(flux, radius, 1.0, axis_ratio, angle, centre))
    return galaxies


def _draw_background(random: np.random.RandomState, is_lens: bool, prior: Prior) -> Union[float, np.ndarray]:
    """Background in counts: a level, and in non-lenses correlated patches, (45, 45)."""
    if is_lens:
        return prior.background_counts
    rms = min(
        _lognormal(random, prior.patch_rms_median_counts, prior.patch_rms_scatter_ln),
        prior.patch_rms_max_counts,
    )
    margin = int(math.ceil(3.0 * prior.patch_sigma_pixels))
    side = STAMP_SIDE_PIXELS + 2 * margin
    smooth = gaussian_filter(random.standard_normal((side, side)), prior.patch_sigma_pixels)
    # A Gaussian filter of width s takes unit white noise to rms 1 / (2 sqrt(pi) s).
    unit_rms = smooth[margin:-margin, margin:-margin] * 2.0 * math.sqrt(math.pi) * prior.patch_sigma_pixels
    return prior.background_counts + rms * (unit_rms - unit_rms.mean())


def _draw_cutout(
    random: np.random.RandomState, is_lens: bool, prior: Prior, objects_counts: float
) -> Tuple[float, float]:
    """Factor for the light of all objects, and level in counts a pixel, that bring a non-lens to its total."""
    if is_lens or random.uniform() >= prior.cutout_fraction:
        return 1.0, 0.0
    total = np.interp(random.uniform(), prior.cutout_total_probabilities, prior.cutout_total_quantiles_counts)
    share = np.clip(prior.cutout_level_share_sigma * random.standard_normal(), -0.9, 0.9)
    return float((1.0 - share) * total / objects_counts), float(share * total / STAMP_SIDE_PIXELS**2)


def _lognormal(random: np.random.RandomState, median: float, scatter_ln: float) -> float:
    return median * math.exp(scatter_ln * random.standard_normal())


def _point_in_disc(random: np.random.RandomState, disc_radius: float) -> Tuple[float, float]:
    distance, direction = disc_radius * math.sqrt(random.uniform()), random.uniform(0.0, 2.0 * math.pi)
    return distance * math.cos(direction), distance * math.sin(direction)
