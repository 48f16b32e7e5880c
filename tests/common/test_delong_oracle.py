"""DeLong's variance, and his paired test, against the implementation of the package pauc."""

from statistics import NormalDist

import numpy as np
import pauc
import pytest

from lens_common.scores.comparison import delong_test
from lens_common.scores.metrics import auroc, auroc_interval


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_has_the_variance_that_pauc_finds(seed):
    random_state = np.random.RandomState(seed)
    labels = np.arange(300) % 4 == 0
    scores = np.round(random_state.uniform(size=300) * (0.5 + 0.5 * labels), 2)
    low, high = auroc_interval(labels, scores, 0.95)
    width = np.log(high / (1 - high)) - np.log(low / (1 - low))
    area = auroc(labels, scores)
    variance = (width / (2 * NormalDist().inv_cdf(0.975)) * area * (1 - area)) ** 2
    assert variance == pytest.approx(pauc.var(pauc.ROC(labels, scores, direction="<")), rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_the_paired_test_finds_the_difference_variance_and_p_value_of_pauc(seed):
    random_state = np.random.RandomState(seed)
    labels = np.arange(300) % 4 == 0
    common = random_state.uniform(size=300) * (0.5 + 0.5 * labels)
    scores_a, scores_b = (np.round((common + random_state.uniform(size=300)) / 2, 2) for _ in "ab")
    roc_a, roc_b = (pauc.ROC(labels, scores, direction="<") for scores in (scores_a, scores_b))
    found, expected = delong_test(labels, scores_a, scores_b), pauc.compare(roc_b, roc_a, method="delong", paired=True)
    variance = pauc.var(roc_a) + pauc.var(roc_b) - 2 * pauc.cov(roc_a, roc_b)
    assert found.difference == pytest.approx(expected.estimate, rel=1e-9)
    assert found.standard_error**2 == pytest.approx(variance, rel=1e-9)
    assert found.p_value == pytest.approx(expected.p_value, rel=1e-9)
