"""Stamps that are no lens and no galaxy, or more than the mocks hold, to ask networks and filter about."""

from collections.abc import Callable

import numpy as np

from lens_common.mocks.prior import PRIOR
from lens_common.mocks.rendering import Scene, SersicProfile, render
from lens_common.mocks.simulator import noise_variance

SIDE = 45
SKY_SIGMA = 3.6  # counts, the median of the prior
SATURATION = 3000.0  # counts


def oddities(lenses: np.ndarray, n_stamps: int = 200, seed: int = 0) -> dict[str, np.ndarray]:
    """Draw every kind of odd stamp.

    Parameters
    ----------
    lenses : float32 array (N, 1, 45, 45)
        Mocks of lenses in counts, N at least `n_stamps`, to put lens light on.
    n_stamps : int
        Of each kind.
    seed : int

    Returns
    -------
    dict of str to float32 array (n_stamps, 1, 45, 45)
        Counts, by what they show.
    """
    random = np.random.RandomState(seed)

    def noisy(light: Callable[[], np.ndarray]) -> np.ndarray:
        return np.stack([_observed(light(), random) for _ in range(n_stamps)])[:, None]

    found = {
        "noise alone": noisy(lambda: np.zeros((SIDE, SIDE))),
        "a faint star, 100 counts": noisy(lambda: _star(random, 100)),
        "a star, 2,000 counts": noisy(lambda: _star(random, 2000)),
        "a saturated star": np.minimum(noisy(lambda: _bled(_star(random, 3e5))), np.float32(SATURATION)),
        "a cosmic ray on noise": noisy(lambda: np.zeros((SIDE, SIDE))) + ray_tracks(random, n_stamps),
        "a cosmic ray on a lens": lenses[:n_stamps] + ray_tracks(random, n_stamps),
        "all zero": np.zeros((n_stamps, 1, SIDE, SIDE)),
        "half of a lens's stamp zero": lenses[:n_stamps] * (np.arange(SIDE) >= SIDE // 2)[:, None],
        "an elliptical galaxy, 300 counts": noisy(lambda: _elliptical(random, 300)),
        "an elliptical galaxy, 3,000 counts": noisy(lambda: _elliptical(random, 3000)),
    }
    for flux in (100, 300, 1000):
        light = np.stack([_elliptical(random, flux) for _ in range(n_stamps)])
        photons = np.sqrt(light / PRIOR.gain) * random.standard_normal(light.shape)
        found[f"a lens whose galaxy shines, {flux:,} counts"] = lenses[:n_stamps] + (light + photons)[:, None]
    return {name: stamps.astype(np.float32) for name, stamps in found.items()}


def _observed(light: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    noise = np.sqrt(noise_variance(light, SKY_SIGMA, PRIOR.gain))
    return light + noise * random.standard_normal(light.shape)


def _profile(random: np.random.RandomState, flux: float, radius: float, index: float, spread: float) -> np.ndarray:
    centre = (random.uniform(-spread, spread), random.uniform(-spread, spread))
    profile = SersicProfile(flux, radius, index, random.uniform(0.6, 1), random.uniform(0, np.pi), centre)
    return render([Scene([profile], [], PRIOR.psf_fwhm_mean_pixels)])[0][0]


def _star(random: np.random.RandomState, flux: float) -> np.ndarray:
    return _profile(random, flux, 0.1, 1.0, 3.0)  # far below a pixel: a point


def _elliptical(random: np.random.RandomState, flux: float) -> np.ndarray:
    return _profile(random, flux, 4.0, 4.0, 0.5)


def _bled(light: np.ndarray) -> np.ndarray:
    """Charge of the saturated pixels along their columns."""
    columns = (light > SATURATION).any(axis=0)
    return np.where(columns, light.max(), light)


def ray_tracks(random: np.random.RandomState, n_stamps: int) -> np.ndarray:
    """Straight tracks one pixel wide, 3 to 20 pixels long, 50 to 1,000 counts a pixel, (n_stamps, 1, 45, 45)."""
    light = np.zeros((n_stamps, 1, SIDE, SIDE))
    for stamp in light[:, 0]:
        start, angle = random.uniform(10, SIDE - 10, 2), random.uniform(0, 2 * np.pi)
        steps = np.arange(random.uniform(3, 20))
        rows, columns = (start[:, None] + np.outer([np.sin(angle), np.cos(angle)], steps)).round().astype(int)
        inside = (rows >= 0) & (rows < SIDE) & (columns >= 0) & (columns < SIDE)
        stamp[rows[inside], columns[inside]] = random.uniform(50, 1000)
    return light
