"""Metrics of labels and scores: confusion, ROC, AUROC with its interval, completeness, purity.

A lens is the positive class.  Nothing here knows a model: labels and scores go in, numbers come out.
Two conventions live side by side.  At a chosen threshold a stamp is called a lens where
``score > threshold``, as CMU DeepLens and the 2018 study have it.  The thresholds of an empirical ROC
are scores that occur, and there a stamp is called a lens where ``score >= threshold``, as
scikit-learn has it.
"""

from dataclasses import dataclass
from typing import Callable, Dict, Optional, Tuple, Union

import numpy as np
from scipy.special import expit, logit
from scipy.stats import beta, norm, rankdata
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from ..errors import UserError

AUROC_LEVEL = 0.95
# The study's thresholds, from its ROC: 1,000 of them from 0 to 1.
STUDY_THRESHOLDS = 1000


@dataclass(frozen=True)
class Confusion:
    """Counts of stamps by truth and call.

    Attributes
    ----------
    true_positives, false_positives : int
        Lenses and non-lenses called a lens, ``score > threshold``.
    true_negatives, false_negatives : int
        Non-lenses and lenses not called a lens, ``score <= threshold``.
    """

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    @property
    def shares(self) -> Dict[str, Tuple[int, int]]:
        """By rate, how many stamps are counted and among how many: lenses, stamps called a lens, or non-lenses."""
        return {
            "completeness": (self.true_positives, self.true_positives + self.false_negatives),
            "purity": (self.true_positives, self.true_positives + self.false_positives),
            "contamination": (self.false_positives, self.true_positives + self.false_positives),
            "false_positive_rate": (self.false_positives, self.false_positives + self.true_negatives),
        }

    @property
    def rates(self) -> Dict[str, Optional[float]]:
        """Completeness, purity, contamination and false positive rate, in [0, 1]; None for a share of no stamps."""
        return {name: counted / among if among else None for name, (counted, among) in self.shares.items()}


def check_labelled_scores(
    labels: np.ndarray, scores: np.ndarray, need_both_classes: bool = True
) -> Tuple[np.ndarray, np.ndarray]:
    """Labels as bool and scores as float64, or a sentence on what is wrong with them.

    Parameters
    ----------
    labels : bool array (N,), or of 0 and 1
        True or 1 for a lens.
    scores : float array (N,), in [0, 1]
        The higher, the more like a lens.
    need_both_classes : bool
        Whether one class alone is an error.

    Returns
    -------
    labels : bool array (N,)
    scores : float64 array (N,)

    Raises
    ------
    UserError
        Where the two are empty, not one-dimensional or of different length; where a label is
        neither 0 nor 1; where a score is not finite or outside [0, 1]; where a needed class is
        missing.
    """
    labels = _check_labels(np.asarray(labels))
    scores = _check_scores(np.asarray(scores))
    if len(labels) != len(scores):
        raise UserError(f"got {len(labels)} labels and {len(scores)} scores; give one score for each label")
    n_lenses = int(labels.sum())
    if need_both_classes and n_lenses in (0, len(labels)):
        raise UserError(
            f"the AUROC is undefined with one class only, got {n_lenses} lenses and {len(labels) - n_lenses} "
            "non-lenses; add stamps of the missing class"
        )
    return labels, scores


def confusion(labels: np.ndarray, scores: np.ndarray, threshold: float = 0.5) -> Confusion:
    """Count stamps by truth and call; a stamp is called a lens where ``score > threshold``.

    A score equal to the threshold is not a lens.  This is the convention of CMU DeepLens and of
    the 2018 study.  One class alone is allowed.

    Parameters
    ----------
    labels : bool array (N,), or of 0 and 1
        True or 1 for a lens.
    scores : float array (N,), in [0, 1]
        The higher, the more like a lens.
    threshold : float
        In [0, 1].

    Returns
    -------
    Confusion
        The four counts; they sum to N.

    Raises
    ------
    UserError
        As `check_labelled_scores`, and for a threshold outside [0, 1].
    """
    labels, scores = check_labelled_scores(labels, scores, need_both_classes=False)
    _check_fraction("threshold", threshold)
    table = confusion_matrix(labels, scores > threshold, labels=[False, True])
    (true_negatives, false_positives), (false_negatives, true_positives) = table.tolist()
    return Confusion(true_positives, false_positives, true_negatives, false_negatives)


def roc(labels: np.ndarray, scores: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Empirical ROC, with a point at every score that occurs.

    Parameters
    ----------
    labels : bool array (N,), or of 0 and 1
        True or 1 for a lens.
    scores : float array (N,), in [0, 1]
        The higher, the more like a lens.

    Returns
    -------
    false_positive_rate, completeness : float64 array (K,), in [0, 1]
        Both rise from 0 to 1; K is one more than the number of different scores.
    thresholds : float64 array (K,)
        They fall from infinity; at each, ``score >= threshold`` is called a lens.

    Raises
    ------
    UserError
        As `check_labelled_scores`; both classes are needed.
    """
    labels, scores = check_labelled_scores(labels, scores)
    return roc_curve(labels, scores, drop_intermediate=False)


def study_roc(labels: np.ndarray, scores: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ROC as the 2018 study drew it, on 1,000 thresholds spaced evenly from 0 to 1.

    It is coarser than `roc`: scores that lie between two thresholds are not told apart, and a score
    of exactly 0 is never called a lens, so the curve need not reach (1, 1).

    Parameters
    ----------
    labels : bool array (N,), or of 0 and 1
        True or 1 for a lens.
    scores : float array (N,), in [0, 1]
        The higher, the more like a lens.

    Returns
    -------
    false_positive_rate, completeness : float64 array (1000,), in [0, 1]
        Both fall to 0 as the threshold rises.
    thresholds : float64 array (1000,), in [0, 1]
        They rise; at each, ``score > threshold`` is called a lens.

    Raises
    ------
    UserError
        As `check_labelled_scores`; both classes are needed.
    """
    labels, scores = check_labelled_scores(labels, scores)
    thresholds = np.linspace(0, 1, STUDY_THRESHOLDS)
    false_positive_rate = _fraction_above(scores[~labels], thresholds)
    completeness = _fraction_above(scores[labels], thresholds)
    return false_positive_rate, completeness, thresholds


def auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC: the chance that a lens scores above a non-lens, ties counted half.

    Parameters
    ----------
    labels : bool array (N,), or of 0 and 1
        True or 1 for a lens.
    scores : float array (N,), in [0, 1]
        The higher, the more like a lens.

    Returns
    -------
    float
        In [0, 1]; 0.5 is chance.

    Raises
    ------
    UserError
        As `check_labelled_scores`; both classes are needed.
    """
    labels, scores = check_labelled_scores(labels, scores)
    return float(roc_auc_score(labels, scores))


def auroc_interval(labels: np.ndarray, scores: np.ndarray, level: float = AUROC_LEVEL) -> Tuple[float, float]:
    """Two-sided confidence interval of the AUROC, never of zero width and never outside [0, 1].

    DeLong's variance is carried to the logit of the AUROC, where the normal interval is taken.
    The stamps are the sample: the interval says nothing of another training seed.  Close to 1 it is
    a little narrow: for 100 lenses and 100 non-lenses (binormal scores, 1,000 repeats) the interval
    of 95 % covers a true AUROC of 0.95 in 95 %, of 0.99 in 93 % and of 0.995 in 91 % of the samples.

    DeLong's variance is zero for perfect separation, either way round, and for identical scores;
    it is undefined for one stamp in a class.  There the interval is that of Clopper and Pearson for
    a share AUROC of ``min(n_lenses, n_non_lenses)`` trials (the beta quantiles, so the number
    right need not be whole).  This is conservative: the variance of an AUROC is at most
    ``AUROC (1 - AUROC) / min(n_lenses, n_non_lenses)``, which is that of so many trials.

    Parameters
    ----------
    labels : bool array (N,), or of 0 and 1
        True or 1 for a lens.
    scores : float array (N,), in [0, 1]
        The higher, the more like a lens.
    level : float
        Confidence level, in (0, 1).

    Returns
    -------
    low, high : float
        ``0 <= low <= AUROC <= high <= 1`` and ``low < high``.

    Raises
    ------
    UserError
        As `check_labelled_scores`, both classes being needed, and for a level outside (0, 1).

    References
    ----------
    DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44, 837: the structural components.
    Sun & Xu 2014, IEEE Signal Processing Letters 21, 1389: the same from midranks.
    Bamber 1975, J. Math. Psychology 12, 387: the largest variance of an AUROC.
    Clopper & Pearson 1934, Biometrika 26, 404: the exact interval of a share.
    """
    labels, scores = check_labelled_scores(labels, scores)
    if not 0 < level < 1:
        raise UserError(f"level must lie between 0 and 1, got {level}; try 0.95")
    n_trials = min(int(labels.sum()), int((~labels).sum()))
    return area_interval(*_delong(labels, scores), n_trials, level)


def area_interval(area: float, variance: float, n_trials: int, level: float = AUROC_LEVEL) -> Tuple[float, float]:
    """Interval of an AUROC from its variance, as `auroc_interval` takes it.

    Parameters
    ----------
    area : float
        In [0, 1].
    variance : float
        0 or more.
    n_trials : int
        Stamps of the smaller class, 1 or more.
    level : float
        Confidence level, in (0, 1).

    Returns
    -------
    low, high : float
    """
    if n_trials < 2 or variance == 0:
        return _clopper_pearson(area, n_trials, level)
    half_width = norm.ppf((1 + level) / 2) * np.sqrt(variance) / (area * (1 - area))
    return float(expit(logit(area) - half_width)), float(expit(logit(area) + half_width))


def structural_components(labels: np.ndarray, scores: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """DeLong's structural components, as counts of stamps of the other class, ties half.

    Counts are whole or half numbers, so equal ones have a variance of exactly zero; divided into
    shares they might not.

    Parameters
    ----------
    labels : bool array (N,)
        As `check_labelled_scores` returns them, both classes being there.
    scores : float64 array (N,)
        The higher, the more like a lens.

    Returns
    -------
    non_lenses_below : float64 array (n_lenses,)
        Of each lens, the non-lenses that score below it.  Their sum over
        ``n_lenses * n_non_lenses`` is the AUROC.
    lenses_below : float64 array (n_non_lenses,)
        Of each non-lens, the lenses that score below it.

    References
    ----------
    Sun & Xu 2014, IEEE Signal Processing Letters 21, 1389: from midranks.
    """
    ranks = rankdata(scores)
    return ranks[labels] - rankdata(scores[labels]), ranks[~labels] - rankdata(scores[~labels])


def component_variance(non_lenses_below: np.ndarray, lenses_below: np.ndarray) -> float:
    """DeLong's variance of an AUROC, or of a difference of two.

    The variance is a quadratic form of the components, so that of a paired difference, with the
    covariance in it, is the same formula for the differences of the components.

    Parameters
    ----------
    non_lenses_below : float64 array (n_lenses,)
        As of `structural_components`, or the difference of two of them; 2 lenses or more.
    lenses_below : float64 array (n_non_lenses,)
        As of `structural_components`, or the difference of two of them; 2 non-lenses or more.

    Returns
    -------
    float
        0 or more.

    References
    ----------
    DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44, 837: equations 4 to 6.
    """
    n_lenses, n_non_lenses = len(non_lenses_below), len(lenses_below)
    lens_part = np.var(non_lenses_below, ddof=1) / n_non_lenses**2 / n_lenses
    non_lens_part = np.var(lenses_below, ddof=1) / n_lenses**2 / n_non_lenses
    return float(lens_part + non_lens_part)


def completeness_at_fpr(labels: np.ndarray, scores: np.ndarray, false_positive_rate: float) -> float:
    """Highest completeness on the empirical ROC at a false positive rate no higher than asked.

    Nothing is interpolated: some threshold reaches the figure on these very stamps.  With fewer
    than ``1 / false_positive_rate`` non-lenses it is the completeness with no false positive at all.

    Parameters
    ----------
    labels : bool array (N,), or of 0 and 1
        True or 1 for a lens.
    scores : float array (N,), in [0, 1]
        The higher, the more like a lens.
    false_positive_rate : float
        The limit, in [0, 1].

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    UserError
        As `check_labelled_scores`, both classes being needed, and for a limit outside [0, 1].
    """
    _check_fraction("false_positive_rate", false_positive_rate)
    rates, completeness, _ = roc(labels, scores)
    return float(completeness[rates <= false_positive_rate].max())


@dataclass(frozen=True)
class Judged:
    """Scores to be judged: what a metric is computed from.

    Attributes
    ----------
    labels : bool array (N,)
        True for a lens; both classes are there.
    scores : float64 array (N,), in [0, 1]
    threshold : float
        In [0, 1].
    counts : Confusion
        At the threshold.
    interval : tuple of float
        Of the AUROC.
    """

    labels: np.ndarray
    scores: np.ndarray
    threshold: float
    counts: Confusion
    interval: Tuple[float, float]


@dataclass(frozen=True)
class Metric:
    """A number that scores have.

    Attributes
    ----------
    compute : callable
        From `Judged` to a float or an int, or None where it is undefined; never NaN.
    title : str
        For the column of a table; without one it is in no table.
    """

    compute: Callable[[Judged], Optional[Union[float, int]]]
    title: str = ""


# Every metric, by its name in ``metrics.json``, in the order in which it is shown.
METRICS: Dict[str, Metric] = {
    "auroc": Metric(lambda judged: auroc(judged.labels, judged.scores), "AUROC"),
    "auroc_low": Metric(lambda judged: judged.interval[0]),
    "auroc_high": Metric(lambda judged: judged.interval[1]),
    "auroc_level": Metric(lambda judged: AUROC_LEVEL),
    "accuracy": Metric(lambda judged: float(np.mean((judged.scores > judged.threshold) == judged.labels)), "accuracy"),
    "completeness": Metric(lambda judged: judged.counts.rates["completeness"], "completeness"),
    "purity": Metric(lambda judged: judged.counts.rates["purity"], "purity"),
    "contamination": Metric(lambda judged: judged.counts.rates["contamination"], "contamination"),
    "false_positive_rate": Metric(lambda judged: judged.counts.rates["false_positive_rate"], "false positive rate"),
    "tpr_at_fpr_0.01": Metric(
        lambda judged: completeness_at_fpr(judged.labels, judged.scores, 0.01), "completeness at FPR 1 %"
    ),
    "tpr_at_fpr_0.001": Metric(
        lambda judged: completeness_at_fpr(judged.labels, judged.scores, 0.001), "completeness at FPR 0.1 %"
    ),
    "threshold": Metric(lambda judged: judged.threshold, "threshold"),
    "n_stamps": Metric(lambda judged: len(judged.labels)),
    "n_lenses": Metric(lambda judged: int(judged.labels.sum()), "lenses"),
    "n_non_lenses": Metric(lambda judged: int((~judged.labels).sum()), "non-lenses"),
    "true_positives": Metric(lambda judged: judged.counts.true_positives),
    "false_positives": Metric(lambda judged: judged.counts.false_positives),
    "true_negatives": Metric(lambda judged: judged.counts.true_negatives),
    "false_negatives": Metric(lambda judged: judged.counts.false_negatives),
}


def evaluate_scores(
    labels: np.ndarray, scores: np.ndarray, threshold: float = 0.5
) -> Dict[str, Optional[Union[float, int]]]:
    """Every metric of a set of scores, ready for JSON.

    Completeness, purity, contamination, false positive rate, accuracy and the counts hold at the
    threshold, with ``score > threshold`` called a lens.  Purity is the share of lenses among the
    stamps called a lens; the false positive rate is the share of non-lenses that are called one.

    Parameters
    ----------
    labels : bool array (N,), or of 0 and 1
        True or 1 for a lens.
    scores : float array (N,), in [0, 1]
        The higher, the more like a lens.
    threshold : float
        In [0, 1].

    Returns
    -------
    dict
        Plain floats and ints, never NaN, by the names of `METRICS`.  ``purity`` and ``contamination`` are None where
        no stamp is called a lens.  ``tpr_at_fpr_0.01`` is `completeness_at_fpr` at 1 %.

    Raises
    ------
    UserError
        As `check_labelled_scores`, both classes being needed, and for a threshold outside [0, 1].

    Examples
    --------
    Three of the four pairs of a lens and a non-lens are in order, and one lens of two is called one.

    >>> found = evaluate_scores([1, 1, 0, 0], [0.9, 0.4, 0.5, 0.1])
    >>> found["auroc"], found["completeness"], found["purity"]
    (0.75, 0.5, 1.0)
    """
    labels, scores = check_labelled_scores(labels, scores)
    counts = confusion(labels, scores, threshold)
    judged = Judged(labels, scores, float(threshold), counts, auroc_interval(labels, scores, AUROC_LEVEL))
    return {name: metric.compute(judged) for name, metric in METRICS.items()}


def spell_interval(value: Optional[float], low: float, high: float, spec: str = ".3f") -> str:
    """Write a number with its interval, as ``0.950 [0.941, 0.957]``.

    Parameters
    ----------
    value : float or None
        None: the interval alone.
    low, high : float
        Ends of the interval.
    spec : str
        Format of each number; ``"+.3f"`` for differences.
    """
    return ("" if value is None else f"{value:{spec}} ") + f"[{low:{spec}}, {high:{spec}}]"


def _delong(labels: np.ndarray, scores: np.ndarray) -> Tuple[float, float]:
    """AUROC and DeLong's variance of it; NaN for one stamp in a class."""
    non_lenses_below, lenses_below = structural_components(labels, scores)
    area = non_lenses_below.sum() / (len(non_lenses_below) * len(lenses_below))
    if min(len(non_lenses_below), len(lenses_below)) < 2:
        return float(area), float("nan")
    return float(area), component_variance(non_lenses_below, lenses_below)


def _clopper_pearson(share: float, n_trials: int, level: float) -> Tuple[float, float]:
    """Exact interval of a share of trials that were right; the ends 0 and 1 where none or all were."""
    tail = (1 - level) / 2
    n_right = share * n_trials
    low = beta.ppf(tail, n_right, n_trials - n_right + 1) if share > 0 else 0.0
    high = beta.ppf(1 - tail, n_right + 1, n_trials - n_right) if share < 1 else 1.0
    return float(low), float(high)


def _fraction_above(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Share of scores strictly above each threshold."""
    n_above = len(scores) - np.searchsorted(np.sort(scores), thresholds, side="right")
    return n_above / len(scores)


def _check_labels(labels: np.ndarray) -> np.ndarray:
    if labels.ndim != 1 or labels.size == 0:
        raise UserError(f"labels need shape (N,) with N of 1 or more, got {labels.shape}; give one a stamp")
    if labels.dtype.kind not in "biuf":
        raise UserError(f"labels must be boolean or 0 and 1, got type {labels.dtype}; give 1 for a lens")
    wrong = ~np.isin(labels, (0, 1))
    if wrong.any():
        raise UserError(
            f"labels must be boolean or 0 and 1, got {labels[wrong][0]} ({wrong.sum()} of {labels.size} "
            "are wrong); leave out stamps of unknown class"
        )
    return labels.astype(bool)


def _check_scores(scores: np.ndarray) -> np.ndarray:
    if scores.ndim != 1 or scores.size == 0:
        raise UserError(f"scores need shape (N,) with N of 1 or more, got {scores.shape}; give one a stamp")
    if scores.dtype.kind not in "biuf":
        raise UserError(f"scores must be numbers, got type {scores.dtype}; give one in [0, 1] a stamp")
    # Widening keeps ties, and half precision would blur the ranks.
    scores = scores.astype(np.float64)
    wrong = ~np.isfinite(scores)
    if wrong.any():
        raise UserError(
            f"scores must be finite, got {scores[wrong][0]} ({wrong.sum()} of {scores.size} are wrong); "
            "look for a diverged training or a bad stamp"
        )
    wrong = (scores < 0) | (scores > 1)
    if wrong.any():
        raise UserError(
            f"scores must lie in [0, 1], got {scores[wrong][0]} ({wrong.sum()} of {scores.size} are wrong); "
            "pass logits through a sigmoid first"
        )
    return scores


def _check_fraction(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise UserError(f"{name} must lie in [0, 1], got {value}; try 0.5")
