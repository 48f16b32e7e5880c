"""The simulator of one stamp in several bands: a galaxy that lenses another, or what a survey takes for one.

Magnitudes are AB, fluxes nJy.  Lengths of a profile are in pixels, those of the prior in arcsec.  A stamp is an array
(band, row, column); the lens sits on the centre of the middle pixel.
"""

import math
from dataclasses import replace
from typing import Callable, Dict, List, Optional, Tuple

import numpy as np

from ..data.layout import LensParameters
from .multiband_prior import (
    EARLY_TYPE_I_CORRECTION_MAG,
    NJY_ZERO_POINT_MAG,
    STAR_G_I,
    STAR_G_R,
    TEMPLATE_REDSHIFTS,
    TEMPLATES,
    Band,
    MultibandPrior,
)
from .rendering import IsothermalLens, Scene, SersicProfile, render_bands, trace_back
from .truth import ARCSEC_PER_RADIAN, SPEED_OF_LIGHT_KM_S, LensDraw, Mock, comoving_distance, einstein_radius_arcsec

# A fifteenth of the sky's sigma in the deepest band, and a five-hundredth of what a cell holds.
TOLERANCE_NJY, TOLERANCE_SHARE = 0.1, 2e-3
STAR_RADIUS_PIXELS = 0.3  # a point for a seeing of 2.5 pixels and more, but wide enough for the cells
SPIRAL_TEMPLATES = (2.0, 3.0)  # between Scd and Im, see `_colours`
ORDER = tuple(TEMPLATES)

Point = Tuple[float, float]


def simulate_multiband_stamp(seed: int, is_lens: bool, prior: MultibandPrior, lensing: bool = True) -> Mock:
    """Simulate one stamp in the bands of its prior.

    Parameters
    ----------
    seed : int
        0 to 2**32 - 1.  The same seed, class, prior and library versions give the same bytes.
    is_lens : bool
        A lens with its source, or an object without several images of one source.
    prior : MultibandPrior
    lensing : bool
        False takes the mass of a lens away and multiplies the flux of its source by the magnification; the light of
        the lens galaxy, the field and the draws of noise stay.

    Returns
    -------
    Mock
        Its stamp is float32 (bands, 45, 45), nJy.  Einstein radius, redshift and magnification are those of a lens
        that is not there where it is a non-lens; the radius is 0 and the magnification 1 then.
    """
    random = np.random.RandomState([seed, int(is_lens)])
    lens = _draw_lens(random, prior)
    scene = _draw_controlled(random, lens, prior) if is_lens or prior.controlled else _draw_object(random, prior)
    if prior.controlled and not is_lens:
        images = replace(scene, field=(), psf_fwhm_further_pixels=())
        images_njy = float(render_bands(images)[0].sum())
        scene = _with_one_image(random, scene, prior)
    source_counts, field_counts = render_bands(scene)
    scale = 1.0
    if prior.controlled and not is_lens:
        scale = images_njy / float(source_counts[0].sum())  # as much light as the several images had
        source_counts *= scale
    source_flux = sum(profile.flux_counts for profile in scene.source)
    magnification = float(source_counts[0].sum()) / source_flux if is_lens else 1.0
    if is_lens and not lensing:
        source = [replace(p, flux_counts=magnification * p.flux_counts) for p in scene.source]
        source_counts = render_bands(replace(scene, source=source, field=(), lens=None))[0]
    counts = source_counts + field_counts
    variance = _variance(random, counts, prior)
    stamp = counts + np.sqrt(variance) * random.standard_normal(counts.shape)
    is_lens = is_lens and lensing
    radius_arcsec = scene.lens.einstein_radius_pixels * prior.pixel_scale_arcsec if scene.lens and is_lens else 0.0
    galaxy = scene.source[0] if scene.source else SersicProfile(0.0, 0.0, 1.0, 1.0, 0.0, (0.0, 0.0))
    return Mock(
        stamp=stamp.astype(np.float32),
        is_lens=is_lens,
        truth=LensParameters(
            lens.velocity_dispersion_km_s, lens.axis_ratio, lens.position_angle_deg, lens.z_lens, magnification
        ),
        einstein_radius_arcsec=radius_arcsec,
        snr=float(np.sqrt(np.sum(source_counts[0] ** 2 / variance[0]))),
        z_source=lens.z_source,
        source_flux_counts=scale * source_flux,
        source_radius_arcsec=galaxy.radius_pixels * prior.pixel_scale_arcsec,
        source_offset_arcsec=math.hypot(*galaxy.centre_pixels) * prior.pixel_scale_arcsec,
        seed=int(seed),
    )


def sky_sigma_njy(band: Band, prior: MultibandPrior) -> float:
    """Standard deviation of the sky in one pixel of all visits together.

    A point source at the depth has five sigma in its effective pixels.

    References
    ----------
    SMTN-002, smtn-002.lsst.io.
    """
    n_effective = prior.effective_pixels * (band.psf_fwhm_arcsec / prior.pixel_scale_arcsec) ** 2
    return flux_njy(band.depth_mag) / 5.0 / math.sqrt(n_effective * band.visits)


def electrons_per_njy(band: Band, prior: MultibandPrior) -> float:
    """Electrons that 1 nJy gives in all visits together."""
    return flux_njy(NJY_ZERO_POINT_MAG) / flux_njy(band.zero_point_mag) * prior.exposure_s * band.visits


def flux_njy(magnitude: float) -> float:
    """Flux of an AB magnitude."""
    return float(10.0 ** (-0.4 * (magnitude - NJY_ZERO_POINT_MAG)))


def early_type_magnitude_and_radius(velocity_dispersion_km_s: float, prior: MultibandPrior) -> Tuple[float, float]:
    """Mean absolute r magnitude, at redshift 0, and half-light radius [kpc] of an early-type galaxy.

    References
    ----------
    Bernardi et al. 2003, AJ 125, 1849 (magnitude); Hyde & Bernardi 2009, MNRAS 394, 1978 (radius).
    """
    log_dispersion = math.log10(velocity_dispersion_km_s)
    mean, at, slope = prior.magnitude_by_log_dispersion
    a, b, c = prior.radius_by_log_dispersion
    return mean + slope * (log_dispersion - at), float(10.0 ** (a + b * log_dispersion + c * log_dispersion**2))


def _variance(random: np.random.RandomState, counts: np.ndarray, prior: MultibandPrior) -> np.ndarray:
    """Variance of each pixel, nJy^2, (bands, H, W): the sky's, and the photon noise of the objects."""
    scatter = math.exp(prior.sky_sigma_scatter_ln * random.standard_normal())
    sigma, gain = (
        np.array([of(band, prior) for band in prior.bands])[:, None, None] for of in (sky_sigma_njy, electrons_per_njy)
    )
    return (scatter * sigma) ** 2 + np.maximum(counts, 0.0) / gain


def _draw_lens(random: np.random.RandomState, prior: MultibandPrior) -> LensDraw:
    """Draw lenses until one is as wide as the prior wants; the redshift of its source is that of its magnitude."""
    while True:
        z_lens = random.uniform(*prior.z_lens)
        lens = LensDraw(
            velocity_dispersion_km_s=random.uniform(*prior.velocity_dispersion_km_s),
            axis_ratio=random.uniform(*prior.lens_axis_ratio),
            position_angle_deg=random.uniform(0.0, 360.0),
            z_lens=z_lens,
            z_source=_draw_redshift(random, prior.source_i_mag[1], z_lens + prior.source_behind_lens, prior),
            shear=min(abs(prior.shear_sigma * random.standard_normal()), prior.shear_max),
            shear_angle_deg=random.uniform(0.0, 180.0),
        )
        narrow, wide = prior.einstein_radius_arcsec
        if narrow <= _einstein_radius(lens, prior) <= wide:
            return lens


def _einstein_radius(lens: LensDraw, prior: MultibandPrior) -> float:
    return einstein_radius_arcsec(lens.velocity_dispersion_km_s, lens.z_lens, lens.z_source, prior.omega_matter)


def _draw_controlled(random: np.random.RandomState, lens: LensDraw, prior: MultibandPrior) -> Scene:
    """Lens galaxy, lensed source and field."""
    radius = _einstein_radius(lens, prior) / prior.pixel_scale_arcsec
    # The angle in the names is 90 degrees less that of the array, as in `simulator`.
    angle = math.radians(90.0 - lens.position_angle_deg)
    mass = IsothermalLens(radius, lens.axis_ratio, angle, lens.shear, math.radians(lens.shear_angle_deg))
    galaxy = _draw_early_type(random, lens.velocity_dispersion_km_s, lens.z_lens, prior)
    galaxy = replace(galaxy, axis_ratio=lens.axis_ratio, angle_radians=angle)
    distance = prior.source_offset_max_radii * radius * math.sqrt(random.uniform())
    direction = random.uniform(0.0, 2.0 * math.pi)
    centre = (distance * math.cos(direction), distance * math.sin(direction))
    magnitude = _draw_magnitude(random, prior.source_i_mag, prior)
    source = _draw_galaxy(random, magnitude, lens.z_source, random.uniform(*SPIRAL_TEMPLATES), centre, prior)
    return _scene(random, [source], [galaxy, *_draw_field(random, prior)], prior, mass)


def _with_one_image(random: np.random.RandomState, scene: Scene, prior: MultibandPrior) -> Scene:
    """The scene with its source where it has one image, within the stamp and as near to the lens as that goes."""
    assert scene.lens is not None  # for mypy
    bound = 1.05 * multiple_image_radius_pixels(scene.lens)
    edge = prior.edge_arcsec / prior.pixel_scale_arcsec
    distances = np.linspace(0.0, edge * math.sqrt(2.0), 200)
    for _ in range(100):
        direction = random.uniform(0.0, 2.0 * math.pi)
        x, y = distances * math.cos(direction), distances * math.sin(direction)
        source_x, source_y = trace_back(scene.lens, x[1:], y[1:])
        inside = np.maximum(np.abs(x), np.abs(y))[1:] <= edge
        alone = (np.hypot(source_x, source_y) > bound) & inside
        if alone.any():
            nearest = int(np.argmax(alone))
            reach = distances[1:][alone][-1] - distances[1:][nearest]
            within = min(float(reach), prior.single_image_range_arcsec / prior.pixel_scale_arcsec)
            distance = float(distances[1:][nearest]) + within * random.uniform()
            image = np.array([distance * math.cos(direction)]), np.array([distance * math.sin(direction)])
            source_x, source_y = trace_back(scene.lens, *image)
            centre = float(source_x[0]), float(source_y[0])
            return replace(scene, source=[replace(p, centre_pixels=centre) for p in scene.source])
    raise RuntimeError("no place for a single image within the stamp; the prior's lenses are too wide")


def multiple_image_radius_pixels(lens: IsothermalLens) -> float:
    """Distance from the lens beyond which no source has several images.

    The farthest point of the cut and of the tangential caustic.  With A = M - (k / r) t t' the Jacobian of an
    isothermal lens, M that of the shear alone, t the tangential direction, the critical curve is at
    r = k t' adj(M) t / det M, k = b sqrt(q) / sqrt(q^2 cos^2 + sin^2) about the major axis.

    References
    ----------
    Kormann, Schneider & Bartelmann 1994, A&A 284, 285, sections 3 and 4.
    """
    angle = np.linspace(0.0, 2.0 * math.pi, 180, endpoint=False)
    cosine, sine = np.cos(angle), np.sin(angle)
    along, q = angle - lens.angle_radians, lens.axis_ratio
    strength = lens.einstein_radius_pixels * math.sqrt(q) / np.sqrt((q * np.cos(along)) ** 2 + np.sin(along) ** 2)
    shear_1, shear_2 = (lens.shear * f(2.0 * lens.shear_angle_radians) for f in (math.cos, math.sin))
    # adj(M) of M = [[1 - s1, -s2], [-s2, 1 + s1]], between the tangential directions (-sine, cosine).
    tangential = (1.0 + shear_1) * sine**2 - 2.0 * shear_2 * sine * cosine + (1.0 - shear_1) * cosine**2
    radius = strength * tangential / (1.0 - lens.shear**2)
    farthest = 0.0
    for distance in (np.full_like(angle, 1e-3), radius):  # the cut is what lies just beside the lens
        source = trace_back(lens, distance * cosine, distance * sine)
        farthest = max(farthest, float(np.hypot(*source).max()))
    return farthest


def _draw_object(random: np.random.RandomState, prior: MultibandPrior) -> Scene:
    """Draw a non-lens; its kind is drawn by the shares of the prior."""
    names, shares = zip(*prior.kinds)
    kind = names[int(random.choice(len(names), p=np.array(shares) / sum(shares)))]
    objects = KINDS[kind](random, prior)
    return _scene(random, objects, _draw_field(random, prior), prior, None)


def _elliptical(random: np.random.RandomState, prior: MultibandPrior) -> List[SersicProfile]:
    z_object = random.uniform(*prior.z_lens)
    return [_draw_early_type(random, random.uniform(*prior.velocity_dispersion_km_s), z_object, prior)]


def _with_companions(random: np.random.RandomState, prior: MultibandPrior) -> List[SersicProfile]:
    """An elliptical galaxy with neighbours, some as red as it is."""
    dispersion, z_object = random.uniform(*prior.velocity_dispersion_km_s), random.uniform(*prior.z_lens)
    profiles = [_draw_early_type(random, dispersion, z_object, prior)]
    for _ in range(random.randint(prior.companions[0], prior.companions[1] + 1)):
        centre = _place(random, random.uniform(*prior.companion_distance_arcsec) / prior.pixel_scale_arcsec)
        magnitude = _draw_magnitude(random, prior.companion_i_mag, prior)
        is_red = random.uniform() < 0.5
        redshift = z_object if is_red else _draw_redshift(random, magnitude, 0.0, prior)
        template = 0.0 if is_red else random.uniform(*SPIRAL_TEMPLATES)
        profiles.append(_draw_galaxy(random, magnitude, redshift, template, centre, prior))
    return profiles


def _spiral(random: np.random.RandomState, prior: MultibandPrior) -> List[SersicProfile]:
    """A red bulge, a disc, and two arms of blue knots on logarithmic spirals."""
    redshift, flux, radius, q, angle = _draw_body(random, prior)
    bulge_flux = flux * random.uniform(*prior.bulge_share)
    arm_flux = (flux - bulge_flux) * random.uniform(*prior.arm_share)
    bulge = _profile(random, bulge_flux, 0.25 * radius, 4.0, max(q, 0.6), angle, (0.0, 0.0), redshift, 0.0, prior)
    disc_flux = flux - bulge_flux - arm_flux
    disc = _profile(random, disc_flux, radius, 1.0, q, angle, (0.0, 0.0), redshift, 1.0, prior)
    turns, start, handed = (
        random.uniform(*prior.arms_winding_turns),
        random.uniform(0.0, 2 * math.pi),
        random.choice([-1, 1]),
    )
    along = np.linspace(0.1, 1.0, prior.knots // 2)
    places = [
        (radius * (0.4 + 1.5 * part), start + handed * 2.0 * math.pi * turns * part + arm * math.pi)
        for arm in (0, 1)
        for part in along
    ]
    return [bulge, disc, *_knots(random, arm_flux, places, q, angle, redshift, 0.35 * radius, prior)]


def _ring(random: np.random.RandomState, prior: MultibandPrior) -> List[SersicProfile]:
    """A red body within a ring of knots."""
    redshift, flux, radius, q, angle = _draw_body(random, prior)
    bulge_flux = flux * random.uniform(*prior.bulge_share)
    bulge = _profile(random, bulge_flux, 0.5 * radius, 2.0, max(q, 0.6), angle, (0.0, 0.0), redshift, 0.0, prior)
    ring_radius = random.uniform(*prior.ring_radius_arcsec) / prior.pixel_scale_arcsec
    places = [
        (ring_radius, 2.0 * math.pi * (part + 0.3 * random.uniform()) / prior.knots) for part in range(prior.knots)
    ]
    return [bulge, *_knots(random, flux - bulge_flux, places, max(q, 0.5), angle, redshift, 0.25 * ring_radius, prior)]


def _merger(random: np.random.RandomState, prior: MultibandPrior) -> List[SersicProfile]:
    """Two galaxies at one redshift, and a tail that leads away from the second."""
    redshift, flux, radius, q, angle = _draw_body(random, prior)
    share, tail_flux = random.uniform(0.3, 0.7), flux * random.uniform(0.05, 0.3)
    second = _place(random, random.uniform(*prior.merger_distance_arcsec) / prior.pixel_scale_arcsec)
    bodies = [
        _profile(
            random,
            part * (flux - tail_flux),
            radius * math.sqrt(part),
            2.0,
            axis_ratio,
            turned,
            centre,
            redshift,
            random.uniform(0.0, 2.0),
            prior,
        )
        for part, axis_ratio, turned, centre in (
            (share, q, angle, (0.0, 0.0)),
            (1.0 - share, random.uniform(*prior.galaxy_axis_ratio), random.uniform(0.0, math.pi), second),
        )
    ]
    distance, direction = math.hypot(*second), math.atan2(second[1], second[0])
    bend = random.uniform(-2.0, 2.0)
    places = [
        (distance + radius * 2.0 * part, direction + bend * part) for part in np.linspace(0.1, 1.0, prior.knots // 2)
    ]
    return [*bodies, *_knots(random, tail_flux, places, 1.0, 0.0, redshift, 0.4 * radius, prior)]


def _star(random: np.random.RandomState, prior: MultibandPrior) -> List[SersicProfile]:
    """A star of the locus; its place within the middle pixel is any."""
    magnitude, g_i = random.uniform(*prior.star_i_mag), random.uniform(STAR_G_I[0], STAR_G_I[-1])
    g_r = float(np.interp(g_i, STAR_G_I, STAR_G_R))
    flux, further = _in_bands(flux_njy(magnitude), g_r, g_i - g_r)
    centre = (random.uniform(-0.5, 0.5), random.uniform(-0.5, 0.5))
    return [SersicProfile(flux, STAR_RADIUS_PIXELS, 0.5, 1.0, 0.0, centre, further)]


def _nothing(random: np.random.RandomState, prior: MultibandPrior) -> List[SersicProfile]:
    return []


KINDS: Dict[str, Callable[[np.random.RandomState, MultibandPrior], List[SersicProfile]]] = {
    "elliptical": _elliptical,
    "elliptical with companions": _with_companions,
    "spiral": _spiral,
    "ring": _ring,
    "merger": _merger,
    "star": _star,
    "field alone": _nothing,
}


def _draw_body(random: np.random.RandomState, prior: MultibandPrior) -> Tuple[float, float, float, float, float]:
    """Redshift, flux in i [nJy], radius [pixels], axis ratio and angle of a bright galaxy."""
    return (
        random.uniform(*prior.z_object),
        flux_njy(random.uniform(*prior.object_i_mag)),
        random.uniform(*prior.object_radius_arcsec) / prior.pixel_scale_arcsec,
        random.uniform(*prior.galaxy_axis_ratio),
        random.uniform(0.0, math.pi),
    )


def _knots(
    random: np.random.RandomState,
    flux: float,
    places: List[Tuple[float, float]],
    axis_ratio: float,
    angle: float,
    redshift: float,
    radius: float,
    prior: MultibandPrior,
) -> List[SersicProfile]:
    """Round blue knots at (distance, direction) in the plane of a disc, inclined by its axis ratio and turned."""
    shares = random.uniform(0.3, 1.0, len(places))
    cosine, sine = math.cos(angle), math.sin(angle)
    knots = []
    for share, (distance, direction) in zip(shares / shares.sum(), places):
        x, y = distance * math.cos(direction), axis_ratio * distance * math.sin(direction)
        centre = (cosine * x - sine * y, sine * x + cosine * y)
        knots.append(_profile(random, flux * share, radius, 1.0, 1.0, 0.0, centre, redshift, 2.5, prior))
    return knots


def _scene(
    random: np.random.RandomState,
    source: List[SersicProfile],
    field: List[SersicProfile],
    prior: MultibandPrior,
    lens: Optional[IsothermalLens],
) -> Scene:
    scatter = math.exp(prior.psf_scatter_ln * random.standard_normal())
    widths = [
        max(scatter * band.psf_fwhm_arcsec / prior.pixel_scale_arcsec, prior.psf_fwhm_min_pixels)
        for band in prior.bands
    ]
    return Scene(source, field, widths[0], lens, tuple(widths[1:]), TOLERANCE_NJY, TOLERANCE_SHARE)


def _draw_early_type(
    random: np.random.RandomState, dispersion: float, redshift: float, prior: MultibandPrior
) -> SersicProfile:
    """An early-type galaxy in the middle of the stamp."""
    magnitude, radius_kpc = early_type_magnitude_and_radius(dispersion, prior)
    magnitude += prior.magnitude_scatter * random.standard_normal()
    radius_kpc *= 10.0 ** (prior.radius_scatter_dex * random.standard_normal())
    correction = np.interp(
        redshift, TEMPLATE_REDSHIFTS[: len(EARLY_TYPE_I_CORRECTION_MAG)], EARLY_TYPE_I_CORRECTION_MAG
    )
    i_mag = magnitude + _distance_modulus(redshift, prior) + float(correction) - prior.evolution_mag * redshift
    radius = radius_kpc / _kpc_per_arcsec(redshift, prior) / prior.pixel_scale_arcsec
    axis_ratio, angle = random.uniform(*prior.lens_axis_ratio), random.uniform(0.0, math.pi)
    index = prior.lens_sersic_index
    return _profile(random, flux_njy(i_mag), radius, index, axis_ratio, angle, (0.0, 0.0), redshift, 0.0, prior)


def _draw_field(random: np.random.RandomState, prior: MultibandPrior) -> List[SersicProfile]:
    """Draw galaxies that lie anywhere in the stamp, as many and as bright as the sky has."""
    side = 45 * prior.pixel_scale_arcsec
    bright, faint = (10.0 ** (prior.counts_slope * (limit - 25.0)) for limit in prior.field_i_mag)
    expected = prior.galaxies_at_25 * (faint - bright) * (side / 60.0) ** 2
    names, shares = zip(*prior.field_shares)
    galaxies = []
    for _ in range(random.poisson(expected)):
        magnitude = _draw_magnitude(random, prior.field_i_mag, prior)
        redshift = _draw_redshift(random, magnitude, 0.0, prior)
        template = ORDER.index(names[int(random.choice(len(names), p=shares))])
        centre = (random.uniform(-22.5, 22.5), random.uniform(-22.5, 22.5))
        galaxies.append(_draw_galaxy(random, magnitude, redshift, float(template), centre, prior))
    return galaxies


def _draw_galaxy(
    random: np.random.RandomState, i_mag: float, redshift: float, template: float, centre: Point, prior: MultibandPrior
) -> SersicProfile:
    """A galaxy of the counts: its size follows from its luminosity."""
    absolute = i_mag - _distance_modulus(redshift, prior) + 2.5 * math.log10(1.0 + redshift)
    luminosity = 10.0 ** (-0.4 * (absolute - prior.galaxy_radius_at_mag))
    radius_kpc = prior.galaxy_radius_kpc * luminosity**prior.galaxy_radius_slope
    radius_kpc *= ((1.0 + redshift) / 1.6) ** prior.galaxy_radius_evolution
    radius_kpc *= math.exp(prior.galaxy_radius_scatter_ln * random.standard_normal())
    radius_arcsec = float(np.clip(radius_kpc / _kpc_per_arcsec(redshift, prior), *prior.radius_range_arcsec))
    index = prior.sersic_index_median * math.exp(prior.sersic_index_scatter_ln * random.standard_normal())
    index = float(np.clip(index, *prior.sersic_index_range))
    axis_ratio, angle = random.uniform(*prior.galaxy_axis_ratio), random.uniform(0.0, math.pi)
    radius = radius_arcsec / prior.pixel_scale_arcsec
    return _profile(random, flux_njy(i_mag), radius, index, axis_ratio, angle, centre, redshift, template, prior)


def _profile(
    random: np.random.RandomState,
    flux_i: float,
    radius: float,
    index: float,
    axis_ratio: float,
    angle: float,
    centre: Point,
    redshift: float,
    template: float,
    prior: MultibandPrior,
) -> SersicProfile:
    """A Sersic profile of a flux in i, in the colours of a spectrum."""
    g_r, r_i = (colour + prior.colour_scatter_mag * random.standard_normal() for colour in _colours(redshift, template))
    flux, further = _in_bands(flux_i, g_r, r_i)
    return SersicProfile(flux, max(radius, 0.3), index, axis_ratio, angle, centre, further)


def _in_bands(flux_i: float, g_r: float, r_i: float) -> Tuple[float, Tuple[float, float]]:
    """Flux in g, and those in r and i over it."""
    return flux_i * 10.0 ** (-0.4 * (g_r + r_i)), (10.0 ** (0.4 * g_r), 10.0 ** (0.4 * (g_r + r_i)))


def _colours(redshift: float, template: float) -> Tuple[float, float]:
    """Colours g - r and r - i at a redshift, between two spectra: 0 is E, 1 Sbc, 2 Scd, 3 Im."""
    low = min(int(template), len(ORDER) - 2)
    share = template - low
    g_r, r_i = (
        (1.0 - share) * float(np.interp(redshift, TEMPLATE_REDSHIFTS, TEMPLATES[ORDER[low]][colour]))
        + share * float(np.interp(redshift, TEMPLATE_REDSHIFTS, TEMPLATES[ORDER[low + 1]][colour]))
        for colour in (0, 1)
    )
    return g_r, r_i


def _draw_magnitude(random: np.random.RandomState, limits: Tuple[float, float], prior: MultibandPrior) -> float:
    """An i magnitude between two limits, from counts that grow as 10^(slope i)."""
    bright, faint = (10.0 ** (prior.counts_slope * limit) for limit in limits)
    return math.log10(bright + (faint - bright) * random.uniform()) / prior.counts_slope


def _draw_redshift(random: np.random.RandomState, i_mag: float, least: float, prior: MultibandPrior) -> float:
    """A redshift from z^2 exp(-z / z0) between a least one and the largest of the prior."""
    slope, constant = prior.redshift_scale
    grid = np.linspace(max(least, 0.02), prior.z_max, 200)
    density = grid**2 * np.exp(-grid / (slope * i_mag + constant))
    cumulative = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    return float(np.interp(random.uniform(), cumulative / cumulative[-1], grid))


def _place(random: np.random.RandomState, distance: float) -> Point:
    direction = random.uniform(0.0, 2.0 * math.pi)
    return distance * math.cos(direction), distance * math.sin(direction)


def _distance_mpc(redshift: float, prior: MultibandPrior) -> float:
    """Comoving distance."""
    return comoving_distance(redshift, prior.omega_matter) * SPEED_OF_LIGHT_KM_S / prior.hubble_km_s_mpc


def _distance_modulus(redshift: float, prior: MultibandPrior) -> float:
    return 5.0 * math.log10(_distance_mpc(redshift, prior) * (1.0 + redshift)) + 25.0


def _kpc_per_arcsec(redshift: float, prior: MultibandPrior) -> float:
    return _distance_mpc(redshift, prior) / (1.0 + redshift) * 1000.0 / ARCSEC_PER_RADIAN
