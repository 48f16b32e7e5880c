"""Preprocessing: named objects that turn counts into what a network sees.

A scaling is fitted on the training fold only, stored with the run, and applied
everywhere.  Each maps float32 (N, bands, H, W) to the same shape and dtype.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Dict, Tuple, Type

import numpy as np

from ..data.noise import median_and_noise, sky_of
from ..errors import UserError


@dataclass(frozen=True)
class Scaling:
    """What turns counts into what a network sees; a kind of its own replaces `transform`, and `fit` where it learns."""

    def fit(self, stamps: np.ndarray) -> "Scaling":
        """Nothing to learn."""
        return self

    def transform(self, stamps: np.ndarray) -> np.ndarray:
        """Return the stamps as float32."""
        return np.asarray(stamps, np.float32)


class Raw(Scaling):
    """Counts as they are."""


@dataclass(frozen=True)
class Sigma(Scaling):
    """Counts over the stamp's own noise, median kept, clipped.

    Attributes
    ----------
    low, high : float
        Clip limits in units of the noise.
    """

    low: float = -10.0
    high: float = 20.0

    def transform(self, stamps: np.ndarray) -> np.ndarray:
        """Divide each band by its noise and clip; a band without noise is only clipped."""
        return np.clip(_over_noise(stamps), self.low, self.high)


@dataclass(frozen=True)
class SkySigma(Sigma):
    """Counts less the stamp's own sky, over its own noise, clipped: a constant added to all pixels changes nothing."""

    def transform(self, stamps: np.ndarray) -> np.ndarray:
        """Subtract the sky of each band, divide by its noise and clip."""
        return super().transform(stamps - sky_of(stamps)[:, :, None, None])


@dataclass(frozen=True)
class Arcsinh(Scaling):
    """Inverse hyperbolic sine of the counts over the stamp's own noise, median kept."""

    def transform(self, stamps: np.ndarray) -> np.ndarray:
        """Divide each band by its noise, then compress."""
        return np.arcsinh(_over_noise(stamps))


@dataclass(frozen=True)
class SkyArcsinh(Arcsinh):
    """Inverse hyperbolic sine of the counts less the stamp's own sky, over its own noise: for bright galaxies."""

    def transform(self, stamps: np.ndarray) -> np.ndarray:
        """Subtract the sky of each band, divide by its noise, then compress."""
        return super().transform(stamps - sky_of(stamps)[:, :, None, None])


@dataclass(frozen=True)
class SignClip(Scaling):
    """The study's, from the code of CMU DeepLens: clip(x, -1e-9, 1e-9) / 1e-9 * 100; pixels equal to 100 become 0.

    The limits are meant for images whose pixels are about 1e-9 in their units: of counts only the sign is left.

    Attributes
    ----------
    limit : float
        Counts.
    scale : float
        Value of a clipped pixel.
    masked : float
        Value that marks a pixel without data.
    """

    limit: float = 1e-9
    scale: float = 100.0
    masked: float = 100.0

    def transform(self, stamps: np.ndarray) -> np.ndarray:
        """Clip to the sign image."""
        clipped = np.clip(stamps, -self.limit, self.limit) / self.limit * self.scale
        return np.where(stamps == self.masked, 0, clipped).astype(np.float32)


@dataclass(frozen=True)
class DeepLens(Scaling):
    """What CMU DeepLens did in the Bologna challenge: less the training mean, over the training noise, clipped at 250.

    Mean and noise are one number a band, from the training fold.

    Attributes
    ----------
    mean, noise : tuple of float
        One a band, counts; empty before `fit`.
    limit : float
        Clip limit in units of the noise.

    References
    ----------
    Metcalf et al. 2019, arXiv:1802.03609, section on CMU-DeepLens.
    """

    mean: Tuple[float, ...] = ()
    noise: Tuple[float, ...] = ()
    limit: float = 250.0

    def fit(self, stamps: np.ndarray) -> "DeepLens":
        """Take mean and median noise of each band over the training stamps."""
        mean = stamps.mean(axis=(0, 2, 3), dtype=np.float64)
        noise = np.median(median_and_noise(stamps)[1], axis=0)
        noise = np.where(noise > 0, noise, 1)
        return replace(self, mean=tuple(map(float, mean)), noise=tuple(map(float, noise)))

    def transform(self, stamps: np.ndarray) -> np.ndarray:
        """Centre, scale and clip with the training fold's numbers."""
        if not self.mean:
            raise ValueError("deeplens needs the mean and noise of the training stamps; call fit() first")
        mean, noise = (np.array(v, np.float32)[:, None, None] for v in (self.mean, self.noise))
        return np.clip((stamps - mean) / noise, -self.limit, self.limit).astype(np.float32)


SCALINGS: Dict[str, Type[Scaling]] = {
    "raw": Raw,
    "sigma": Sigma,
    "sky-sigma": SkySigma,
    "arcsinh": Arcsinh,
    "sky-arcsinh": SkyArcsinh,
    "sign-clip": SignClip,
    "deeplens": DeepLens,
}


def make_scaling(name: str) -> Scaling:
    """Unfitted scaling of that name.

    Raises
    ------
    UserError
        If there is none.

    Examples
    --------
    Counts over the noise of the stamp, the clip limits of the study left only their signs.

    >>> counts = np.array([[[[-3.0, 0.0, 3.0, 60.0]]]])
    >>> make_scaling("sign-clip").transform(counts).tolist()
    [[[[-100.0, 0.0, 100.0, 100.0]]]]
    """
    if name not in SCALINGS:
        raise UserError(f"no scaling named {name!r}; choose one of {', '.join(SCALINGS)}")
    return SCALINGS[name]()


def scaling_to_dict(scaling: Scaling) -> Dict[str, Any]:
    """JSON-ready form: the name and every number."""
    name = next(key for key, kind in SCALINGS.items() if kind is type(scaling))
    return {"name": name, **asdict(scaling)}


def scaling_from_dict(stored: Dict[str, Any]) -> Scaling:
    """Inverse of `scaling_to_dict`; lists become tuples again."""
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in stored.items() if key != "name"}
    return replace(make_scaling(stored["name"]), **values)


def _over_noise(stamps: np.ndarray) -> np.ndarray:
    noise = median_and_noise(stamps)[1]
    return (stamps / np.where(noise > 0, noise, 1)[:, :, None, None]).astype(np.float32)
