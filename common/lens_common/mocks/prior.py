"""The prior of the mocks: every number that the simulator draws from, with its unit and source.

The numbers describe LSST single-epoch g-band stamps as the PICS mocks of the 2018 study show them
(0.18 arcsec a pixel, counts at zero-point 30 for one exposure).  They are fitted on 100 of the 200 public PICS mocks,
50 of each class, on top of a pilot study's fit to all 200: a test on those 200 is not blind to them.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Dict, Sequence, Tuple, Union

from ..errors import UserError
from .multiband_prior import MULTIBAND_POPULATIONS, MultibandPrior


@dataclass(frozen=True)
class SourcePopulation:
    """The main object of a stamp: the lensed source, or the object that takes its place in a non-lens.

    Flux is lognormal.  The effective radius is lognormal too, about
    ``radius_median_pixels * (flux / 100 counts) ** Prior.radius_flux_exponent``.
    """

    flux_median_counts: float
    flux_scatter_ln: float
    radius_median_pixels: float  # at 100 counts
    radius_scatter_ln: float


@dataclass(frozen=True)
class FieldPopulation:
    """Field galaxies of a stamp, not lensed.

    A stamp holds ``number_at_100_counts * (flux / 100 counts) ** -slope`` of them above a flux.
    """

    number_at_100_counts: float  # expected in one stamp above 100 counts
    slope: float
    flux_min_counts: float


@dataclass(frozen=True)
class Prior:
    """All that the simulator draws from; the fields stand in the order of the drawing.

    ``uniform`` bounds are (low, high).  Radii are half-light radii, axis ratios minor over major.
    Unless another source stands beside a number, it was fitted to the public PICS mocks.
    """

    name: str = "lsst-2017"

    # The lens: uniform ranges and redshifts read off the file names of the public PICS mocks.
    velocity_dispersion_km_s: Tuple[float, float] = (150.0, 350.0)  # uniform
    lens_axis_ratio: Tuple[float, float] = (0.5, 1.0)  # uniform
    lens_position_angle_deg: Tuple[float, float] = (0.0, 360.0)  # uniform
    z_lens_quantiles: Tuple[float, ...] = (0.213, 0.217, 0.349, 0.408, 0.516, 0.633, 0.667)
    z_lens_probabilities: Tuple[float, ...] = (0.0, 0.05, 0.25, 0.50, 0.75, 0.95, 1.0)
    z_source: Tuple[float, float] = (1.1, 2.1)  # uniform; rings that can be fitted say 1.2 to 1.7
    omega_matter: float = 0.3  # flat; the Hubble constant cancels in every angle
    shear_sigma: float = 0.03  # of |shear|, a folded normal
    shear_max: float = 0.1

    # The instrument.
    psf_fwhm_mean_pixels: float = 3.4
    psf_fwhm_sigma_pixels: float = 0.3
    psf_fwhm_range_pixels: Tuple[float, float] = (2.6, 5.0)

    # The main object.
    lens_source: SourcePopulation = SourcePopulation(77.0, 0.80, 1.60, 0.45)
    nonlens_source: SourcePopulation = SourcePopulation(385.0, 0.60, 1.30, 0.50)
    source_flux_range_counts: Tuple[float, float] = (3.0, 6000.0)
    source_offset_max_pixels: float = 5.8  # uniform in the disc
    sersic_index_median: float = 1.2
    sersic_index_scatter_ln: float = 0.4
    sersic_index_range: Tuple[float, float] = (0.5, 4.0)
    source_axis_ratio: Tuple[float, float] = (0.45, 1.0)  # uniform
    radius_flux_exponent: float = 0.15
    radius_range_pixels: Tuple[float, float] = (0.3, 8.0)

    # Clumps: star-forming knots that share the main object's flux, and a companion beside it.
    clumpy_fraction: float = 0.5
    clump_number_max: int = 3  # 1 to this, equally likely
    clump_flux_share: Tuple[float, float] = (0.1, 0.5)  # of the main object, all clumps together; uniform
    clump_distance_max_radii: float = 1.6  # uniform in the disc
    clump_radius_radii: Tuple[float, float] = (0.1, 0.35)  # uniform, in radii of the main object
    companion_fraction: float = 0.12
    companion_distance_pixels: Tuple[float, float] = (2.0, 6.0)  # uniform
    companion_flux_share: Tuple[float, float] = (
        0.1,
        0.5,
    )  # on top of the main object; uniform; assumed

    # Field galaxies: exponential discs.
    lens_field: FieldPopulation = FieldPopulation(0.7, 0.9, 20.0)
    nonlens_field: FieldPopulation = FieldPopulation(2.2, 1.1, 50.0)
    field_radius_median_pixels: float = 1.6  # at 100 counts
    field_radius_scatter_ln: float = 0.4
    field_radius_flux_exponent: float = 0.2

    # Background and noise.
    # The clipped medians of the PICS mocks (lenses 0.24 counts, non-lenses 0.39 in 100 of them) are the wings of
    # galaxies: with no level added, mocks have 0.25 and 0.38.
    background_counts: float = 0.0
    patch_rms_median_counts: float = 0.22  # correlated patches, seen in non-lenses only
    patch_rms_scatter_ln: float = 0.95
    patch_rms_max_counts: float = 8.0
    patch_sigma_pixels: float = 2.3
    # Sky noise of a stamp.  The objects raise what `lens_common.data.noise`
    # measures by 0.1 counts in lenses and 0.25 in
    # non-lenses.  LensPop's LSST predicts 3.55; the tail holds 3.5 % above 5 and 2.5 % above 9.
    sky_sigma_quantiles_counts: Tuple[float, ...] = (3.15, 3.33, 3.47, 3.54, 3.66, 4.4, 5.0, 9.0, 15.0)
    sky_sigma_probabilities: Tuple[float, ...] = (0.0, 0.05, 0.25, 0.50, 0.75, 0.95, 0.965, 0.975, 1.0)
    # Photons a count.  LensPop sets 4.5; the noise of bright objects in the PICS mocks asks for 5.4.
    gain: float = 5.4  # variance of a pixel = sky sigma^2 + max(flux, 0) / gain

    # Non-lenses are cut-outs brought to a total.  The sums of 43 of 50 PICS mocks scatter about 1,200 counts hardly
    # more than the noise of a sum, 165 counts, and the brighter the objects, the darker the sky between them.
    # Everything but the noise adds up to the total; the fluxes above then say only how objects share it.
    cutout_fraction: float = 1.0  # of the non-lenses; 0 leaves their fluxes as drawn
    cutout_total_quantiles_counts: Tuple[float, ...] = (1050.0, 1195.0, 1340.0, 1900.0, 2700.0, 3900.0)
    cutout_total_probabilities: Tuple[float, ...] = (0.0, 0.50, 0.84, 0.88, 0.95, 1.0)
    cutout_level_share_sigma: float = 0.18  # of the total, as a level below all pixels; normal about 0


PRIOR = Prior()

# Both classes draw source and field from one population, neither holds patches or is brought to a total: only lensing
# tells them apart.
LEAK_CONTROLLED = replace(
    PRIOR,
    name="leak-controlled",
    nonlens_source=PRIOR.lens_source,
    nonlens_field=PRIOR.lens_field,
    patch_rms_max_counts=0.0,
    cutout_fraction=0.0,
)
AnyPrior = Union[Prior, MultibandPrior]
POPULATIONS: Dict[str, AnyPrior] = {PRIOR.name: PRIOR, LEAK_CONTROLLED.name: LEAK_CONTROLLED, **MULTIBAND_POPULATIONS}


def find_priors(names: Sequence[str]) -> Tuple[AnyPrior, ...]:
    """Priors of populations by name.

    Raises
    ------
    UserError
        If there is none of a name, no name, or two of unlike bands.
    """
    unknown = [name for name in names if name not in POPULATIONS]
    if unknown or not names:
        raise UserError(f"no population named {(unknown or [''])[0]!r}; choose among {', '.join(POPULATIONS)}")
    priors = tuple(POPULATIONS[name] for name in names)
    if len({bands_of(prior) for prior in priors}) > 1:
        raise UserError(f"the populations {', '.join(names)} have unlike bands and can't be mixed in one set")
    return priors


def bands_of(prior: AnyPrior) -> Tuple[str, ...]:
    """Names of the bands of a population's stamps; none for the one band of `Prior`, whose files name none."""
    return tuple(band.name for band in prior.bands) if isinstance(prior, MultibandPrior) else ()


def priors_to_json(priors: Sequence[AnyPrior]) -> Any:
    """Ready for JSON: the one prior, or a list."""
    return asdict(priors[0]) if len(priors) == 1 else [asdict(prior) for prior in priors]


def prior_hash(*priors: AnyPrior) -> str:
    """Fingerprint of a prior, or of some whose mocks are mixed, for the records of a set of mocks.

    Parameters
    ----------
    *priors : Prior or MultibandPrior
        One or more.

    Returns
    -------
    str
        The first 12 hexadecimal digits of the SHA-256 of the prior, or the list of them, as JSON with sorted keys.
    """
    text = json.dumps(priors_to_json(priors), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
