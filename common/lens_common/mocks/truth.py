"""What is known of a mock: the record of one stamp, the lens that was drawn, and its Einstein radius."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Tuple

import numpy as np

from ..data.layout import LensParameters

SPEED_OF_LIGHT_KM_S = 299792.458
ARCSEC_PER_RADIAN = math.degrees(1.0) * 3600.0


@dataclass(frozen=True, eq=False)
class Mock:
    """One simulated stamp and what is known of it.

    Attributes
    ----------
    stamp : numpy.ndarray
        float32 (45, 45), counts, noise included; (bands, 45, 45) of a population with several bands.
    is_lens : bool
    truth : LensParameters
        What the file name says.  A non-lens carries the parameters of a lens that is not there, as in the
        PICS mocks, and magnification 1.
    einstein_radius_arcsec : float
        0 for a non-lens.
    snr : float
        Total signal-to-noise ratio sqrt(sum(signal^2 / variance)) of the noise-free main object alone
        (lensed source, or the non-lens's object), without field galaxies and background; in the first band.
    z_source : float
    source_flux_counts : float
        Of the main object with clumps and companion, without lensing.
    source_radius_arcsec, source_offset_arcsec : float
        Half-light radius of the galaxy in the main object, and its distance from the middle of the stamp, without
        lensing.
    seed : int
        With the class and the prior it makes this stamp again.
    """

    stamp: np.ndarray
    is_lens: bool
    truth: LensParameters
    einstein_radius_arcsec: float
    snr: float
    z_source: float
    source_flux_counts: float
    source_radius_arcsec: float
    source_offset_arcsec: float
    seed: int


@dataclass(frozen=True)
class LensDraw:
    """A lens and the redshift of its source, as drawn; angles in degrees, dispersion in km/s."""

    velocity_dispersion_km_s: float
    axis_ratio: float
    position_angle_deg: float
    z_lens: float
    z_source: float
    shear: float
    shear_angle_deg: float


def einstein_radius_arcsec(
    velocity_dispersion_km_s: float, z_lens: float, z_source: float, omega_matter: float
) -> float:
    """Einstein radius of an isothermal lens in a flat universe, in arcsec.

    ``4 pi (sigma_v / c)^2 D_ls / D_s``; for flat space the ratio of angular diameter distances is one of
    comoving distances, and the Hubble constant cancels.

    Parameters
    ----------
    velocity_dispersion_km_s : float
    z_lens, z_source : float
        Redshifts; a source before the lens gives 0.
    omega_matter : float
        Matter density of a flat LambdaCDM universe.

    References
    ----------
    Kormann, Schneider & Bartelmann 1994, A&A 284, 285; Hogg 1999 (arXiv:astro-ph/9905116), equation 15.
    """
    if z_source <= z_lens:
        return 0.0
    distance_to_lens, distance_to_source = (comoving_distance(z, omega_matter) for z in (z_lens, z_source))
    distance_ratio = 1.0 - distance_to_lens / distance_to_source
    deflection_radians = 4.0 * math.pi * (velocity_dispersion_km_s / SPEED_OF_LIGHT_KM_S) ** 2
    return deflection_radians * distance_ratio * ARCSEC_PER_RADIAN


def comoving_distance(redshift: float, omega_matter: float) -> float:
    """Line-of-sight comoving distance in Hubble lengths, by 24 Gauss-Legendre points."""
    nodes, weights = _gauss_legendre(24)
    z = 0.5 * redshift * (nodes + 1.0)
    expansion = np.sqrt(omega_matter * (1.0 + z) ** 3 + 1.0 - omega_matter)
    return float(0.5 * redshift * np.sum(weights / expansion))


@lru_cache(maxsize=None)
def _gauss_legendre(n_points: int) -> Tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(n_points)
