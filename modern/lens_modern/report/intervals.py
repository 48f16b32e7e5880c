"""Intervals of what a report shows: shares, ROCs, and means over seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import binomtest, norm, t

from lens_common.scores.metrics import auroc, auroc_interval, component_variance, spell_interval, structural_components

LEVEL = 0.95
BOOTSTRAP = 400


@dataclass(frozen=True)
class Share:
    """A share of counted stamps with its interval."""

    successes: int
    n: int
    share: float
    low: float
    high: float

    def row(self) -> dict[str, float]:
        """For a table."""
        return {"share": self.share, "low": self.low, "high": self.high, "n": self.n}


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its interval.

    Attributes
    ----------
    value, low, high : float
    values : tuple of float
        That of each seed.
    standard_error, degrees : float
        For a test: of the mean, and the degrees of freedom of Student's t; NaN and infinity where none is defined.
    """

    value: float
    low: float
    high: float
    values: tuple[float, ...] = field(default=())
    standard_error: float = math.nan
    degrees: float = math.inf

    def row(self) -> dict[str, float]:
        """For a table."""
        return {"mean": self.value, "low": self.low, "high": self.high, "n_seeds": len(self.values)}

    def __format__(self, spec: str) -> str:
        return spell_interval(self.value, self.low, self.high, spec or ".3f")


def wilson(successes: int, n: int, level: float = LEVEL) -> Share:
    """Wilson's interval of a share.

    Parameters
    ----------
    successes, n : int
        ``0 <= successes <= n``, n above 0.
    level : float
        In (0, 1).

    References
    ----------
    Wilson 1927, JASA 22, 209.
    """
    low, high = binomtest(successes, n).proportion_ci(level, method="wilson")
    return Share(successes, n, successes / n, float(low), float(high))


def band_of_rocs(labels: np.ndarray, scores: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pointwise 95 % band of the completeness at given false positive rates, by 400 resamples of each class.

    Parameters
    ----------
    labels, scores : bool and float arrays (N,)
        Both classes are needed.
    grid : float array (K,), in [0, 1]
        False positive rates.

    Returns
    -------
    low, high : float arrays (K,)
    """
    random = np.random.default_rng(1)
    # By score from the highest down, equal scores together: cumulative counts at their ends are the points of a ROC.
    _, place = np.unique(-scores, return_inverse=True)
    places = [place[labels], place[~labels]]
    curves = np.empty((BOOTSTRAP, len(grid)))
    for i in range(BOOTSTRAP):
        drawn = [random.choice(found, len(found)) for found in places]
        counts = [np.bincount(found, minlength=place.max() + 1) for found in drawn]
        completeness, false_positive_rate = (np.append(0, np.cumsum(found)) / found.sum() for found in counts)
        curves[i] = np.interp(grid, false_positive_rate, completeness)
    low, high = np.quantile(curves, (0.5 - LEVEL / 2, 0.5 + LEVEL / 2), axis=0)
    return low, high


def mean_auroc(labels: Sequence[np.ndarray], scores: Sequence[np.ndarray]) -> Estimate:
    """Mean AUROC over the seeds of one set of stamps, with the scatter of both in its interval.

    One seed: DeLong's interval, of the stamps alone.  More: normal, of the sum of the seeds' variance of the mean
    and the mean of DeLong's variances (the seeds share the stamps), by Student's t with one degree less than
    seeds where the seeds dominate.  Where that sum is zero (perfect separation by each, all scores tied) or
    undefined (one stamp in a class), from the lowest to the highest end of the intervals of the single seeds, which
    are never of zero width.

    Parameters
    ----------
    labels, scores : sequences of arrays (N,)
        One pair a seed.
    """
    values = tuple(auroc(a, b) for a, b in zip(labels, scores))
    if len(values) == 1:
        low, high = auroc_interval(labels[0], scores[0])
        return Estimate(values[0], low, high, values, (high - low) / 2 / float(norm.ppf(0.5 + LEVEL / 2)))
    several = all(1 < a.sum() < len(a) - 1 for a in labels)
    variances = [component_variance(*structural_components(a, b)) for a, b in zip(labels, scores) if several]
    of_stamps = float(np.mean(variances)) if several else math.nan
    of_seeds = float(np.var(values, ddof=1) / len(values))
    total = of_stamps + of_seeds
    if not total > 0:
        ends = [auroc_interval(a, b) for a, b in zip(labels, scores)]
        low, high = min(low for low, _ in ends), max(high for _, high in ends)
        error = (high - low) / 2 / float(norm.ppf(0.5 + LEVEL / 2))
        return Estimate(float(np.mean(values)), low, high, values, error)
    # Welch and Satterthwaite: the stamps' part is known about as well as there are stamps.
    degrees = total**2 / max(of_seeds**2 / (len(values) - 1) + of_stamps**2 / len(labels[0]), 1e-300)
    degrees, error = max(degrees, 1.0), float(np.sqrt(total))
    half = float(t.ppf(0.5 + LEVEL / 2, degrees)) * error
    mean = float(np.mean(values))
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half), values, error, degrees)
