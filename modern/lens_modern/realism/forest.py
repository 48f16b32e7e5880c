"""A random forest that tells reference from mock, asked only about stamps that it has not seen.

An AUROC of 0.5 says that the features cannot tell them apart.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold

from lens_common.scores.metrics import auroc, auroc_interval

OUTER_FOLDS, INNER_FOLDS = 5, 3
N_TREES = 200
INNER_TREES = 40
GRID = tuple(product((2, 10), (0.2, 0.5)))  # smallest leaf in stamps, share of the features tried at a split
LARGEST_RATIO = 20  # of the two sets, and
MOST_STAMPS = 2000  # of each: more hardly sharpen the answer and cost time


@dataclass(frozen=True, eq=False)
class Verdict:
    """How well two sets of stamps can be told apart.

    Attributes
    ----------
    auroc, low, high : float
        Of the out-of-fold scores, the mock as the positive class, with its 95 % interval.
    scores : float array (N,), in [0, 1]
        Of the reference, then of the mocks: mean over the repeats of the score by a forest that had not seen the stamp.
    importances : float array (K,)
        Loss of AUROC when a feature is shuffled in the held-out fold, mean over folds and repeats.
    areas : float array (K,)
        AUROC of each feature alone: above 0.5 where it is larger in the mocks.
    n_reference, n_mocks : int
        Stamps that took part.
    """

    auroc: float
    low: float
    high: float
    scores: np.ndarray
    importances: np.ndarray
    areas: np.ndarray
    n_reference: int
    n_mocks: int


def n_fits(seeds: Sequence[int]) -> int:
    """How often `tell_apart` reports progress."""
    return len(seeds) * OUTER_FOLDS


def tell_apart(
    reference: np.ndarray,
    mocks: np.ndarray,
    seeds: Sequence[int] = (1, 2, 3),
    progress: Callable[[int], object] = lambda n_done: None,
) -> Verdict:
    """Tell mocks from the reference by their features, under nested cross-validation.

    Outer: five stratified folds, each scored by a forest grown on the other four; repeated with other folds for each
    seed.  Inner: of those four parts three folds choose leaf size and number of tried features by their AUROC.  Both
    sets weigh the same, however many stamps each has; of the larger at most 20 times the smaller takes part, and of
    either at most 2,000, chosen at random.

    Parameters
    ----------
    reference, mocks : float arrays (N, K), (M, K)
        Features; at least 10 rows each.
    seeds : sequence of int
        One a repeat.  The same seeds give the same verdict.
    progress : callable
        Told after each of `n_fits` folds that another 1 is done.

    Returns
    -------
    Verdict

    References
    ----------
    Varma & Simon 2006, BMC Bioinformatics 7, 91 (nested cross-validation).
    """
    random = np.random.default_rng(seeds[0])
    most = min(MOST_STAMPS, LARGEST_RATIO * min(len(reference), len(mocks)))
    parts = [part if len(part) <= most else part[random.permutation(len(part))[:most]] for part in (reference, mocks)]
    features = np.concatenate(parts)
    is_mock = np.repeat([False, True], [len(part) for part in parts])
    scores = np.zeros(len(features))
    losses = []
    for seed in seeds:
        folds = StratifiedKFold(OUTER_FOLDS, shuffle=True, random_state=seed)
        for train, held in folds.split(features, is_mock):
            leaf, share = _choose(features[train], is_mock[train], seed)
            forest = _grow(features[train], is_mock[train], N_TREES, leaf, share, seed)
            found = forest.predict_proba(features[held])[:, 1]
            scores[held] += found / len(seeds)
            whole = float(areas_of(is_mock[held], found[:, None])[0])
            losses.append(_losses(forest, features[held], is_mock[held], whole, random))
            progress(1)
    interval = auroc_interval(is_mock, scores)
    areas = areas_of(is_mock, features)
    return Verdict(auroc(is_mock, scores), *interval, scores, np.mean(losses, axis=0), areas, *map(len, parts))


def _grow(
    features: np.ndarray, is_mock: np.ndarray, n_trees: int, leaf: int, share: float, seed: int
) -> RandomForestClassifier:
    forest = RandomForestClassifier(
        n_trees,
        min_samples_leaf=leaf,
        max_features=share,
        class_weight="balanced",
        random_state=seed,
        n_jobs=1,
    )
    return forest.fit(features, is_mock)


def _choose(features: np.ndarray, is_mock: np.ndarray, seed: int) -> tuple[int, float]:
    """The grid's point with the highest AUROC over inner folds; of equals the first."""
    folds = list(StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=seed).split(features, is_mock))
    areas = []
    for leaf, share in GRID:
        found = np.empty(len(features))
        for train, held in folds:
            forest = _grow(features[train], is_mock[train], INNER_TREES, leaf, share, seed)
            found[held] = forest.predict_proba(features[held])[:, 1]
        areas.append(float(areas_of(is_mock, found[:, None])[0]))
    return GRID[int(np.argmax(areas))]


def _losses(
    forest: RandomForestClassifier, features: np.ndarray, is_mock: np.ndarray, whole: float, random: np.random.Generator
) -> np.ndarray:
    """AUROC lost when each feature in turn is shuffled among the held-out stamps, (K,)."""
    n_stamps, n_features = features.shape
    shuffled = np.tile(features, (n_features, 1, 1))
    for k in range(n_features):
        shuffled[k, :, k] = random.permutation(features[:, k])
    scores = forest.predict_proba(shuffled.reshape(-1, n_features))[:, 1]
    return whole - areas_of(is_mock, scores.reshape(n_features, n_stamps).T)


def areas_of(is_mock: np.ndarray, values: np.ndarray) -> np.ndarray:
    """AUROC of each column, whatever its range: the share of pairs in which the mock is higher, ties counted half.

    Parameters
    ----------
    is_mock : bool array (N,)
    values : float array (N, K)

    Returns
    -------
    float array (K,)
    """
    n_mocks = is_mock.sum()
    ranks = rankdata(values, axis=0)[is_mock].sum(axis=0)
    return (ranks - n_mocks * (n_mocks + 1) / 2) / (n_mocks * (len(is_mock) - n_mocks))
