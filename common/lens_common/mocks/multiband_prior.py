"""The priors of mocks in several bands: every number that `multiband` draws from, with its unit and source.

Stamps show LSST's g, r and i in nJy, 0.2 arcsec a pixel, after ten years or in a single visit.  Lens galaxies follow
scaling relations of early types, sources and field galaxies the counts and redshifts of the LSST Science Book.
A number without a source beside it is assumed.

References
----------
SMTN-002: Jones, R. L., Calculating LSST limiting magnitudes and SNR, smtn-002.lsst.io.
SRD: LSST Science Requirements Document, LPM-17, table 24 (visits).
Science Book: LSST Science Collaboration 2009, arXiv:0912.0201, section 3.7.2.
Bernardi et al. 2003, AJ 125, 1849: luminosity of early-type galaxies, and its correlation with velocity dispersion.
Hyde & Bernardi 2009, MNRAS 394, 1978: their size by velocity dispersion.
Collett 2015, ApJ 811, 20: how LensPop draws lenses and sources.
Shibuya, Ouchi & Harikane 2015, ApJS 219, 15: sizes of galaxies by luminosity.
Coleman, Wu & Weedman 1980, ApJS 43, 393: spectra of galaxies.
"""

from dataclasses import dataclass, replace
from typing import Dict, Tuple

NJY_ZERO_POINT_MAG = 31.4  # AB magnitude of 1 nJy


@dataclass(frozen=True)
class Band:
    """One band of a survey.

    Attributes
    ----------
    name : str
    zero_point_mag : float
        AB magnitude that gives one electron a second.
    depth_mag : float
        AB magnitude of a point source at five sigma in one visit.
    psf_fwhm_arcsec : float
    visits : int
    """

    name: str
    zero_point_mag: float
    depth_mag: float
    psf_fwhm_arcsec: float
    visits: int


# Zero-points and depths of SMTN-002, widths of its effective seeing, visits of the SRD.
TEN_YEARS = (
    Band("g", 28.38, 24.82, 0.87, 80),
    Band("r", 28.16, 24.36, 0.83, 184),
    Band("i", 27.85, 23.93, 0.80, 184),
)

# Colours by redshift of the spectra of Coleman, Wu & Weedman as GalSim 2.8.5 holds them (CWW_*_ext.sed), through its
# LSST throughputs at airmass 1.2 (LSST_*.dat): AB magnitudes g - r and r - i.
TEMPLATE_REDSHIFTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.25, 3.5)
TEMPLATES: Dict[str, Tuple[Tuple[float, ...], Tuple[float, ...]]] = {
    "E": (
        (0.73, 1.39, 1.63, 1.73, 2.27, 1.67, 0.85, 0.73, 0.75, 0.55, 0.35, 0.21, 0.12, 0.14, 0.21),
        (0.35, 0.52, 0.96, 1.40, 1.08, 1.54, 1.94, 1.40, 0.58, 0.50, 0.67, 0.62, 0.46, 0.30, 0.19),
    ),
    "Sbc": (
        (0.46, 0.82, 1.27, 1.10, 0.72, 0.53, 0.46, 0.42, 0.36, 0.25, 0.18, 0.11, 0.16, 0.30, 0.49),
        (0.34, 0.33, 0.52, 0.93, 1.02, 0.77, 0.51, 0.41, 0.36, 0.33, 0.32, 0.32, 0.23, 0.12, 0.01),
    ),
    "Scd": (
        (0.35, 0.71, 0.99, 0.74, 0.49, 0.27, 0.17, 0.19, 0.21, 0.17, 0.15, 0.10, 0.15, 0.30, 0.48),
        (0.21, 0.24, 0.45, 0.76, 0.71, 0.50, 0.38, 0.22, 0.12, 0.11, 0.15, 0.21, 0.17, 0.10, 0.01),
    ),
    "Im": (
        (0.17, 0.47, 0.69, 0.43, 0.17, 0.12, 0.13, 0.19, 0.24, 0.25, 0.26, 0.21, 0.18, 0.27, 0.41),
        (0.22, 0.09, 0.31, 0.49, 0.52, 0.21, 0.12, 0.08, 0.08, 0.10, 0.15, 0.20, 0.23, 0.20, 0.16),
    ),
}
# Apparent i of the spectrum E less its absolute r and the distance modulus, at the first five redshifts above.
EARLY_TYPE_I_CORRECTION_MAG = (-0.35, -0.18, 0.11, 0.61, 1.50)
# Colours of stars along their locus, by g - i: Covey et al. 2007, AJ 134, 2398, table 3, rounded.
STAR_G_I = (0.3, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
STAR_G_R = (0.25, 0.38, 0.73, 1.08, 1.32, 1.39, 1.44)


@dataclass(frozen=True)
class MultibandPrior:
    """All that a population of mocks in several bands draws from.

    ``uniform`` bounds are (low, high).  Radii are half-light radii, axis ratios minor over major.
    """

    name: str
    controlled: bool  # both classes hold lens, source and field; a non-lens has a single image of its source

    # The instrument.
    bands: Tuple[Band, ...] = TEN_YEARS
    pixel_scale_arcsec: float = 0.2
    exposure_s: float = 30.0
    # Effective over true pixels of a Gaussian: n_eff = 2.266 (FWHM / pixel)^2 (SMTN-002).
    effective_pixels: float = 2.266
    psf_scatter_ln: float = 0.05  # of a stamp, all its bands alike
    psf_fwhm_min_pixels: float = 2.5
    sky_sigma_scatter_ln: float = 0.05  # of a stamp, all its bands alike

    # The lens and its galaxy, whose light has the shape of its mass.
    velocity_dispersion_km_s: Tuple[float, float] = (180.0, 340.0)  # uniform
    # Drawn again outside of it: less than half the seeing is not resolved (Collett 2015), and the single image of a
    # source behind a wider lens would lie beyond the stamp.
    einstein_radius_arcsec: Tuple[float, float] = (0.5, 2.2)
    lens_axis_ratio: Tuple[float, float] = (0.5, 1.0)  # uniform
    z_lens: Tuple[float, float] = (0.2, 0.8)  # uniform
    omega_matter: float = 0.3  # flat
    hubble_km_s_mpc: float = 70.0
    shear_sigma: float = 0.03  # of |shear|, a folded normal
    shear_max: float = 0.1
    # M_r = -21.15, log10 sigma = 2.20 in the mean, with standard deviations of 0.841 and 0.111, and sigma ~ L^0.25
    # (Bernardi et al. 2003): the correlation is 0.1 * 0.841 / 0.111 = 0.76, so M_r at a given sigma has the slope
    # -0.76 * 0.841 / 0.111 and the scatter 0.841 * sqrt(1 - 0.76^2).
    magnitude_by_log_dispersion: Tuple[float, float, float] = (-21.15, 2.20, -5.76)  # mean, its log10 sigma, slope
    magnitude_scatter: float = 0.55
    evolution_mag: float = 0.85  # brighter by so much times z (Bernardi et al. 2003)
    # log10 radius/kpc = a + b log10 sigma + c (log10 sigma)^2, and its scatter (Hyde & Bernardi 2009, Collett 2015).
    radius_by_log_dispersion: Tuple[float, float, float] = (2.46, -2.79, 0.84)
    radius_scatter_dex: float = 0.11
    lens_sersic_index: float = 4.0

    # Source and field galaxies: 10^(slope i) of them brighter than i, with the redshifts of their magnitude,
    # z^2 exp(-z / z0), z0 = a i + b (Science Book, equations 3.7 and 3.8).
    galaxies_at_25: float = 46.0  # an arcmin^2, brighter than i = 25
    counts_slope: float = 0.31
    redshift_scale: Tuple[float, float] = (0.0417, -0.744)
    z_max: float = 3.5
    source_i_mag: Tuple[float, float] = (21.0, 25.0)
    source_behind_lens: float = 0.2  # least z_source - z_lens
    field_i_mag: Tuple[float, float] = (20.0, 27.0)
    # Radius [kpc] 4.2 (L / L_0)^0.27 ((1 + z) / 1.6)^-1.2 with L_0 at M = -20.5, and a scatter of 0.6 in ln: there the
    # size and its evolution are LensPop's (after Mosleh et al. 2012 and Huang et al. 2013), the slope and the scatter
    # those of Shibuya et al. 2015; LensPop's own slope makes bright sources of 10 kpc.  M is i less the distance
    # modulus, plus 2.5 log10(1 + z) for a flat spectrum.
    galaxy_radius_kpc: float = 4.2
    galaxy_radius_at_mag: float = -20.5
    galaxy_radius_slope: float = 0.27
    galaxy_radius_evolution: float = -1.2
    galaxy_radius_scatter_ln: float = 0.6
    radius_range_arcsec: Tuple[float, float] = (0.06, 1.5)
    sersic_index_median: float = 1.2
    sersic_index_scatter_ln: float = 0.4
    sersic_index_range: Tuple[float, float] = (0.5, 4.0)
    galaxy_axis_ratio: Tuple[float, float] = (0.3, 1.0)  # uniform
    # Shares of spectra in the field; a source lies anywhere between Scd and Im.
    field_shares: Tuple[Tuple[str, float], ...] = (("E", 0.1), ("Sbc", 0.2), ("Scd", 0.35), ("Im", 0.35))
    colour_scatter_mag: float = 0.1  # of g - r and of r - i
    # A lensed source lies uniformly in a disc that is imaged at least twice whatever the axis ratio allowed above:
    # the cut of an isothermal lens reaches no nearer than 0.85 Einstein radii.
    source_offset_max_radii: float = 0.8
    # The single image of a controlled non-lens: so far from the farthest point that has several images, at most.
    single_image_range_arcsec: float = 1.5
    edge_arcsec: float = 4.2  # an image lies no farther from the middle along either axis

    # Non-lenses as a survey meets them, by their shares.
    kinds: Tuple[Tuple[str, float], ...] = (
        ("elliptical", 0.25),
        ("elliptical with companions", 0.20),
        ("spiral", 0.20),
        ("ring", 0.08),
        ("merger", 0.10),
        ("star", 0.10),
        ("field alone", 0.07),
    )
    companions: Tuple[int, int] = (1, 3)  # equally likely
    companion_distance_arcsec: Tuple[float, float] = (0.8, 3.5)  # uniform
    companion_i_mag: Tuple[float, float] = (20.0, 25.0)  # by the counts
    z_object: Tuple[float, float] = (0.1, 0.8)  # of spirals, rings and mergers; uniform
    object_i_mag: Tuple[float, float] = (17.5, 22.0)  # uniform
    object_radius_arcsec: Tuple[float, float] = (0.5, 1.6)  # uniform
    bulge_share: Tuple[float, float] = (0.1, 0.6)  # of the flux in i; uniform
    arm_share: Tuple[float, float] = (0.2, 0.6)  # of what the bulge leaves; uniform
    arms_winding_turns: Tuple[float, float] = (0.5, 1.0)  # uniform
    ring_radius_arcsec: Tuple[float, float] = (0.8, 2.4)  # uniform
    knots: int = 14  # of both arms together, of a ring, of a tail
    merger_distance_arcsec: Tuple[float, float] = (0.6, 3.0)  # uniform
    star_i_mag: Tuple[float, float] = (16.0, 23.0)  # uniform


LSST_GRI = MultibandPrior("lsst-gri", controlled=False)
LSST_GRI_CONTROLLED = replace(LSST_GRI, name="lsst-gri-controlled", controlled=True)
SINGLE_VISIT = tuple(replace(band, visits=1) for band in TEN_YEARS)
LSST_GRI_VISIT, LSST_GRI_CONTROLLED_VISIT = (
    # The seeing of one visit scatters more than that of a stack.
    replace(prior, name=f"{prior.name}-visit", bands=SINGLE_VISIT, psf_scatter_ln=0.15)
    for prior in (LSST_GRI, LSST_GRI_CONTROLLED)
)
MULTIBAND_POPULATIONS = {
    prior.name: prior for prior in (LSST_GRI, LSST_GRI_CONTROLLED, LSST_GRI_VISIT, LSST_GRI_CONTROLLED_VISIT)
}
