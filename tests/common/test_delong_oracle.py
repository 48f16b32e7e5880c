"""DeLong's variance against the implementation of the package pauc."""

from statistics import NormalDist

import numpy as np
import pauc
import pytest

from lens_common.metrics import auroc, auroc_interval


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
