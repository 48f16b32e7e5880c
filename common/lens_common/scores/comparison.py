"""Comparison of two sets of scores of the same stamps: paired difference in AUROC, equivalence, agreement.

A difference is b minus a throughout.  The stamps are the sample: nothing here speaks of another
training seed, unless it is given the standard error over seeds.
"""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Tuple, Union

import numpy as np
from scipy.stats import chi2, norm, rankdata, t

from ..errors import UserError
from .metrics import (
    AUROC_LEVEL,
    auroc_interval,
    check_labelled_scores,
    component_variance,
    confusion,
    structural_components,
)
from .tables import check_same_stamps, comparable, read_provenance, read_scores

LOG = logging.getLogger(__name__)
# Of a comparison, which says the same each time.
BOOTSTRAP = {"seed": 1, "n_resamples": 2000}
ALPHA = 0.05

# One resample of so many stamps is drawn at a time, or more of fewer: some tens of MB.
STAMPS_AT_A_TIME = 2**20
# The power is a mean over so many quantiles of the estimated standard error; its error is below 1e-4.
POWER_QUANTILES = 10_000


@dataclass(frozen=True)
class AurocDifference:
    """Paired difference of two AUROCs on the same stamps.

    Attributes
    ----------
    auroc_a, auroc_b : float
        In [0, 1].
    difference : float
        ``auroc_b - auroc_a``, in [-1, 1].
    standard_error : float
        Of the difference, 0 or more.
    low, high : float
        Confidence interval of the difference, in [-1, 1].
    p_value : float
        Two-sided, of no difference, in [0, 1].
    level : float
        Confidence level of the interval, in (0, 1).
    """

    auroc_a: float
    auroc_b: float
    difference: float
    standard_error: float
    low: float
    high: float
    p_value: float
    level: float


@dataclass(frozen=True)
class Equivalence:
    """Outcome of two one-sided tests.

    Attributes
    ----------
    margin : float
        The true difference is asked to lie in (-margin, margin).
    p_value : float
        The larger of the two one-sided ones, in [0, 1].
    equivalent : bool
        Whether ``p_value < alpha``.
    power : float
        Chance of ``equivalent`` where the true difference is zero, in [0, 1].
    low, high : float
        Interval of the level ``1 - 2 alpha``; it lies within the margin when equivalent.
    """

    margin: float
    p_value: float
    equivalent: bool
    power: float
    low: float
    high: float


@dataclass(frozen=True)
class SeedEquivalence(Equivalence):
    """Outcome of `equivalence_over_seeds`.

    Attributes
    ----------
    difference : float
        Mean over the seeds of ``auroc_b - auroc_a``, in [-1, 1].
    standard_error : float
        Of that mean, over seeds and stamps, 0 or more.
    n_seeds : int
        1 or more.
    """

    difference: float
    standard_error: float
    n_seeds: int


def delong_test(
    labels: np.ndarray, scores_a: np.ndarray, scores_b: np.ndarray, level: float = AUROC_LEVEL
) -> AurocDifference:
    """Difference in AUROC of two sets of scores of the same stamps, by DeLong's paired test.

    The interval is normal, cut to [-1, 1].  The variance is zero where every stamp of a class
    changes its place among the other class by the same amount: for identical scores, for another
    scale of the same order, where both sets separate the classes perfectly.  Then the
    interval is the difference alone, and the p value is its limit for a vanishing variance: 1 for no
    difference, 0 for any other (perfect separation against scores all tied, say).  This holds of the stamps
    at hand; a few stamps that do not differ say little about others, and so it is for an interval
    much narrower than one stamp's share of its class.

    Parameters
    ----------
    labels : bool array (N,), or of 0 and 1
        True or 1 for a lens.
    scores_a, scores_b : float array (N,), in [0, 1]
        Of the same stamps in the same order; the higher, the more like a lens.
    level : float
        Confidence level, in (0, 1).

    Returns
    -------
    AurocDifference
        Never NaN.

    Raises
    ------
    UserError
        As `metrics.check_labelled_scores`, both classes being needed; for one stamp in a class, where the
        variance is undefined; for a level outside (0, 1).

    References
    ----------
    DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44, 837: the covariance of two AUROCs.
    Sun & Xu 2014, IEEE Signal Processing Letters 21, 1389: the same from midranks.
    """
    labels, scores_a, scores_b = _check_pair(labels, scores_a, scores_b)
    _check_level(level)
    components_a, components_b = structural_components(labels, scores_a), structural_components(labels, scores_b)
    n_pairs = len(components_a[0]) * len(components_a[1])
    # Sums of whole and half numbers: no difference is a difference of exactly zero.
    wins_a, wins_b = float(components_a[0].sum()), float(components_b[0].sum())
    difference = (wins_b - wins_a) / n_pairs
    error = component_variance(components_b[0] - components_a[0], components_b[1] - components_a[1]) ** 0.5
    half_width = float(norm.ppf((1 + level) / 2)) * error
    if error > 0:
        p_value = 2 * float(norm.sf(abs(difference) / error))
    else:
        p_value = float(difference == 0)
    low, high = max(difference - half_width, -1.0), min(difference + half_width, 1.0)
    return AurocDifference(wins_a / n_pairs, wins_b / n_pairs, difference, error, low, high, p_value, level)


def bootstrap_difference(
    labels: np.ndarray,
    scores_a: np.ndarray,
    scores_b: np.ndarray,
    random_state: np.random.RandomState,
    n_resamples: int = 2000,
    level: float = AUROC_LEVEL,
) -> Tuple[float, float]:
    """Percentile interval of the difference in AUROC over resampled stamps.

    Lenses and non-lenses are drawn with replacement, as many of each as there are, and each stamp
    brings both of its scores along.

    Parameters
    ----------
    labels : bool array (N,), or of 0 and 1
        True or 1 for a lens.
    scores_a, scores_b : float array (N,), in [0, 1]
        Of the same stamps in the same order; the higher, the more like a lens.
    random_state : numpy.random.RandomState
        Drawn from.
    n_resamples : int
        1 or more.
    level : float
        Confidence level, in (0, 1).

    Returns
    -------
    low, high : float
        Of ``AUROC of b - AUROC of a``, in [-1, 1].

    Raises
    ------
    UserError
        As `delong_test`, and for fewer than 1 resample.
    """
    labels, scores_a, scores_b = _check_pair(labels, scores_a, scores_b)
    _check_level(level)
    if n_resamples < 1:
        raise UserError(f"n_resamples must be 1 or more, got {n_resamples}; try 2000")
    n_lenses, n_non_lenses = int(labels.sum()), int((~labels).sum())
    at_a_time = max(1, STAMPS_AT_A_TIME // len(labels))
    differences = []
    for first in range(0, n_resamples, at_a_time):
        n_now = min(at_a_time, n_resamples - first)
        lens_counts = _resample_counts(random_state, n_lenses, n_now)
        non_lens_counts = _resample_counts(random_state, n_non_lenses, n_now)
        wins_a, wins_b = (
            _resampled_wins(scores[labels], scores[~labels], lens_counts, non_lens_counts)
            for scores in (scores_a, scores_b)
        )
        differences.append((wins_b - wins_a) / (n_lenses * n_non_lenses))
    low, high = np.percentile(np.concatenate(differences), [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def equivalence_test(
    difference: float,
    standard_error: float,
    margin: float,
    degrees: Optional[float] = None,
    alpha: float = 0.05,
) -> Equivalence:
    """Two one-sided tests that the true difference lies within a margin about zero.

    With s the standard error, q the quantile at ``1 - alpha`` and F the distribution function of the
    standard normal, or of Student's t with `degrees`, the p value is the larger of
    ``1 - F((difference + margin) / s)`` and ``F((difference - margin) / s)``.  No proof of equivalence is
    no proof of a difference: the power says what was to be expected of equal AUROCs.

    The power at a true difference of zero, `standard_error` taken as the true one, is
    ``2 Phi(margin / s - q) - 1``, or 0 where that is negative, Phi being the normal distribution function.  With
    `degrees`, the standard error of another sample is ``s u``, with u**2 distributed as chi-squared over
    its degrees, and the power is the mean over u of ``max(0, 2 Phi(margin / s - q u) - 1)``.

    A standard error of zero makes the difference certain: the p value is 0 within the margin and 1
    outside of it or on it, and the power is 1.

    Parameters
    ----------
    difference : float
        As estimated.
    standard_error : float
        Of the difference, 0 or more.
    margin : float
        In (0, 1); the largest difference that would not matter.
    degrees : float, optional
        Degrees of freedom of the standard error, above 0; by default it is taken as known.
    alpha : float
        Level of each test, in (0, 0.5).

    Returns
    -------
    Equivalence
        Never NaN.

    Raises
    ------
    UserError
        For a number outside its range, or not finite.

    References
    ----------
    Schuirmann 1987, J. Pharmacokinetics and Biopharmaceutics 15, 657: the two one-sided tests.
    Phillips 1990, J. Pharmacokinetics and Biopharmaceutics 18, 137: their power with Student's t.
    """
    _check_equivalence(difference, standard_error, margin, degrees, alpha)
    difference, standard_error = float(difference), float(standard_error)
    if standard_error == 0:
        equivalent = abs(difference) < margin
        return Equivalence(margin, float(not equivalent), equivalent, 1.0, difference, difference)
    distribution = norm if degrees is None else t(degrees)
    above = distribution.sf((difference + margin) / standard_error)
    below = distribution.cdf((difference - margin) / standard_error)
    p_value = float(max(above, below))
    quantile = float(distribution.ppf(1 - alpha))
    half_width = quantile * standard_error
    return Equivalence(
        margin,
        p_value,
        p_value < alpha,
        _power_at_zero(margin / standard_error, quantile, degrees),
        difference - half_width,
        difference + half_width,
    )


def equivalence_over_seeds(
    labels: np.ndarray, scores_a: np.ndarray, scores_b: np.ndarray, margin: float, alpha: float = 0.05
) -> "SeedEquivalence":
    """Two one-sided tests of the mean difference in AUROC between two ways to train, from several seeds each.

    Both the seeds and the stamps are samples.  The squared standard error is the variance of the
    differences over the number of seeds, plus DeLong's variance of the mean difference: its components
    are averaged over the seeds.  The first holds some of the second, so the sum is a little too large.
    Student's t has one degree of freedom less than there are seeds; with one seed only the stamps count.

    Parameters
    ----------
    labels : bool array (N,), or of 0 and 1
        True or 1 for a lens.
    scores_a, scores_b : float array (seeds, N), in [0, 1]
        Row by row of the same seed, column by column of the same stamp.
    margin, alpha : float
        As of `equivalence_test`.

    Returns
    -------
    SeedEquivalence
        Never NaN.

    Raises
    ------
    UserError
        As `delong_test` and `equivalence_test`, and for other numbers of seeds.
    """
    if len(scores_a) != len(scores_b) or len(scores_a) == 0:
        raise UserError(
            f"got scores of {len(scores_a)} and of {len(scores_b)} seeds; give the same seeds on both sides"
        )
    pairs = [_check_pair(labels, a, b) for a, b in zip(scores_a, scores_b)]
    components = [[structural_components(checked, scores) for scores in (a, b)] for checked, a, b in pairs]
    # Of each seed, how far every stamp moved among the other class: (n_lenses,) and (n_non_lenses,).
    moved = [(b[0] - a[0], b[1] - a[1]) for a, b in components]
    differences = np.array([lenses.sum() / (len(lenses) * len(others)) for lenses, others in moved])
    variance = component_variance(*(np.mean(parts, axis=0) for parts in zip(*moved)))
    n_seeds = len(differences)
    if n_seeds > 1:
        variance += float(np.var(differences, ddof=1)) / n_seeds
    difference, degrees = float(differences.mean()), n_seeds - 1 if n_seeds > 1 else None
    found = equivalence_test(difference, variance**0.5, margin, degrees, alpha)
    return SeedEquivalence(**asdict(found), difference=difference, standard_error=variance**0.5, n_seeds=n_seeds)


def score_agreement(
    scores_a: np.ndarray, scores_b: np.ndarray, threshold: float = 0.5
) -> Dict[str, Optional[Union[float, int]]]:
    """How alike two sets of scores of the same stamps are, whatever the labels.

    Parameters
    ----------
    scores_a, scores_b : float array (N,), in [0, 1]
        Of the same stamps in the same order.
    threshold : float
        In [0, 1]; a stamp is called a lens where ``score > threshold``.

    Returns
    -------
    dict
        Plain floats and ints, ready for JSON.  ``pearson`` and ``spearman``, the latter of midranks,
        are None where all scores of one set are equal.  ``largest_score_difference`` is absolute;
        ``n_calls_differ`` counts stamps that one set calls a lens and the other does not.

    Raises
    ------
    UserError
        For scores as `metrics.check_labelled_scores` refuses, and for a threshold outside [0, 1].
    """
    no_labels = np.zeros(len(scores_a), dtype=bool)
    _, scores_a = check_labelled_scores(no_labels, scores_a, need_both_classes=False)
    _, scores_b = check_labelled_scores(no_labels, scores_b, need_both_classes=False)
    # The calls of b play the labels.
    calls = confusion(scores_b > threshold, scores_a, threshold)
    return {
        "pearson": _correlation(scores_a, scores_b),
        "spearman": _correlation(rankdata(scores_a), rankdata(scores_b)),
        "largest_score_difference": float(np.abs(scores_b - scores_a).max()),
        "n_calls_differ": calls.false_positives + calls.false_negatives,
    }


def compare_tables(
    path_a: Path, path_b: Path, margin: float = 0.02, threshold: float = 0.5
) -> Tuple[Dict[str, Any], np.ndarray, Tuple[np.ndarray, np.ndarray]]:
    """Compare two score tables: difference in AUROC, equivalence, agreement.

    Parameters
    ----------
    path_a, path_b : Path
        CSV files that `score` or `train` wrote, of the same stamps, their JSON beside them.
    margin : float
        The largest difference in AUROC that would not matter, in (0, 1).
    threshold : float
        In [0, 1]; a score above it is called a lens.

    Returns
    -------
    comparison : dict
        Every number, ready for JSON.
    labels : bool array (N,)
        Of the stamps that were compared: labelled, and neither trained nor validated on.
    scores : pair of float arrays (N,)

    Raises
    ------
    UserError
        If the tables are of other stamps, or share none that can be compared.
    """
    paths = (path_a, path_b)
    tables = [read_scores(path) for path in paths]
    about = [read_provenance(path) for path in paths]
    check_same_stamps(paths, tables, about)
    ids, left_out = comparable(paths, tables)
    reasons = ("that either network trained or validated on", "without a label")
    for n_stamps, reason in zip(left_out.values(), reasons):
        if n_stamps:
            LOG.info(f"{n_stamps} stamps {reason} are left out")
    labels = np.array([tables[0][stamp_id]["is_lens"] == "1" for stamp_id in ids])
    scores_a, scores_b = (np.array([float(table[stamp_id]["score"]) for stamp_id in ids]) for table in tables)
    comparison = {**compare_scores(labels, scores_a, scores_b, margin, threshold), **left_out}
    for side, path, source in zip("ab", paths, about):
        comparison[side] = {"table": str(path), **source, **comparison[side]}
    return comparison, labels, (scores_a, scores_b)


def compare_scores(
    labels: np.ndarray, scores_a: np.ndarray, scores_b: np.ndarray, margin: float = 0.02, threshold: float = 0.5
) -> Dict[str, Any]:
    """Compare two sets of scores of the same stamps: every number of a comparison, ready for JSON.

    Parameters
    ----------
    labels : bool array (N,)
        True for a lens; two stamps of each class or more.
    scores_a, scores_b : float array (N,), in [0, 1]
        Of the same stamps in the same order.
    margin, threshold : float
        As of `compare_tables`.

    Raises
    ------
    UserError
        As `delong_test` and `equivalence_test`.
    """
    difference = delong_test(labels, scores_a, scores_b)
    equivalence = equivalence_test(difference.difference, difference.standard_error, margin, alpha=ALPHA)
    if difference.standard_error == 0 and not np.array_equal(scores_a, scores_b):
        LOG.warning(
            "the scores differ and DeLong's variance is zero: its interval and the verdict hold of these stamps only"
        )
    random_state = np.random.RandomState(BOOTSTRAP["seed"])
    low, high = bootstrap_difference(
        labels, scores_a, scores_b, random_state, BOOTSTRAP["n_resamples"], difference.level
    )
    intervals = [auroc_interval(labels, scores, difference.level) for scores in (scores_a, scores_b)]
    return {
        "n_stamps": len(labels),
        "n_lenses": int(labels.sum()),
        "n_non_lenses": int((~labels).sum()),
        "a": dict(zip(("auroc_low", "auroc_high"), intervals[0])),
        "b": dict(zip(("auroc_low", "auroc_high"), intervals[1])),
        "difference": asdict(difference),
        "bootstrap": {"low": low, "high": high, **BOOTSTRAP},
        "equivalence": {**asdict(equivalence), "alpha": ALPHA},
        "agreement": {**score_agreement(scores_a, scores_b, threshold), "threshold": threshold},
    }


def _resample_counts(random_state: np.random.RandomState, n_stamps: int, n_resamples: int) -> np.ndarray:
    """How often each stamp occurs in each resample: int array (n_resamples, n_stamps)."""
    drawn = random_state.randint(n_stamps, size=(n_resamples, n_stamps))
    drawn += n_stamps * np.arange(n_resamples)[:, np.newaxis]
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)


def _resampled_wins(
    lens_scores: np.ndarray, non_lens_scores: np.ndarray, lens_counts: np.ndarray, non_lens_counts: np.ndarray
) -> np.ndarray:
    """Pairs of a lens and a non-lens in which the lens scores higher, ties half: float array (n_resamples,)."""
    order = np.argsort(non_lens_scores)
    below = np.zeros((len(non_lens_counts), len(order) + 1))
    np.cumsum(non_lens_counts[:, order], axis=1, out=below[:, 1:])
    ordered = non_lens_scores[order]
    n_below = np.searchsorted(ordered, lens_scores, side="left")
    n_not_above = np.searchsorted(ordered, lens_scores, side="right")
    return np.einsum("ij,ij->i", lens_counts, below[:, n_below] + below[:, n_not_above]) / 2


def _power_at_zero(margin_in_errors: float, quantile: float, degrees: Optional[float]) -> float:
    """Power of the two one-sided tests where the true difference is zero; see `equivalence_test`."""
    if degrees is None:
        spread: Union[float, np.ndarray] = 1.0
    else:
        spread = np.sqrt(chi2.ppf((np.arange(POWER_QUANTILES) + 0.5) / POWER_QUANTILES, degrees) / degrees)
    return float(np.mean(np.maximum(0, 2 * norm.cdf(margin_in_errors - quantile * spread) - 1)))


def _correlation(first: np.ndarray, second: np.ndarray) -> Optional[float]:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    # Tiny scores would have a variance of zero in float64.
    first, second = (values - values.mean() for values in (first, second))
    first, second = (values / np.abs(values).max() for values in (first, second))
    return float(np.corrcoef(first, second)[0, 1])


def _check_pair(
    labels: np.ndarray, scores_a: np.ndarray, scores_b: np.ndarray
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Checked labels and both scores, with two stamps in each class or more."""
    checked, scores_a = check_labelled_scores(labels, scores_a)
    _, scores_b = check_labelled_scores(labels, scores_b)
    n_lenses = int(checked.sum())
    if min(n_lenses, len(checked) - n_lenses) < 2:
        raise UserError(
            f"the variance of an AUROC is undefined for one stamp in a class, got {n_lenses} lenses and "
            f"{len(checked) - n_lenses} non-lenses; add stamps"
        )
    return checked, scores_a, scores_b


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise UserError(f"level must lie between 0 and 1, got {level}; try 0.95")


def _check_equivalence(
    difference: float, standard_error: float, margin: float, degrees: Optional[float], alpha: float
) -> None:
    if not np.isfinite(difference):
        raise UserError(f"the difference must be finite, got {difference}; look for a NaN among the scores")
    if not (np.isfinite(standard_error) and standard_error >= 0):
        raise UserError(f"the standard error must be finite and 0 or more, got {standard_error}")
    if not 0 < margin < 1:
        raise UserError(f"a margin must lie between 0 and 1, got {margin}; try 0.02")
    if degrees is not None and not (np.isfinite(degrees) and degrees > 0):
        raise UserError(f"degrees of freedom must be finite and above 0, got {degrees}; none means a normal test")
    if not 0 < alpha < 0.5:
        raise UserError(f"alpha must lie between 0 and 0.5, got {alpha}; try 0.05")
