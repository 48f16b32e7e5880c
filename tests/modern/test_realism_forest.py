"""The forest: chance on one population, and it finds what was planted."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from lens_modern.realism import forest
from lens_modern.realism.forest import areas_of, n_fits, tell_apart


@pytest.fixture(autouse=True)
def small_forests(monkeypatch):
    """Few trees; the differences that are planted are large."""
    monkeypatch.setattr(forest, "N_TREES", 20)
    monkeypatch.setattr(forest, "INNER_TREES", 2)


def draw(n_stamps, seed, n_features=6):
    """Features that are independent unit Gaussians."""
    return np.random.default_rng(seed).normal(size=(n_stamps, n_features))


@pytest.mark.parametrize("n_reference, n_mocks", [(60, 60), (60, 300)])
def test_two_samples_of_one_population_cannot_be_told_apart(n_reference, n_mocks):
    verdict = tell_apart(draw(n_reference, 1), draw(n_mocks, 2), seeds=(1, 2))
    assert verdict.low < 0.5 < verdict.high


def test_a_shifted_feature_is_found_and_ranked_first():
    mocks = draw(200, 2)
    mocks[:, 3] += 1.5
    verdict = tell_apart(draw(60, 1), mocks, seeds=(1,))
    # Two unit Gaussians 1.5 apart: AUROC Phi(1.5 / sqrt(2)) = 0.856.
    assert 0.75 < verdict.auroc < 0.92 and verdict.low > 0.5
    assert np.argmax(verdict.importances) == np.argmax(verdict.areas) == 3
    assert verdict.areas[3] == pytest.approx(0.856, abs=0.06)


def test_a_feature_that_is_smaller_in_the_mocks_has_an_area_below_one_half():
    mocks = draw(100, 2)
    mocks[:, 1] -= 1.5
    assert tell_apart(draw(50, 1), mocks, seeds=(1,)).areas[1] == pytest.approx(1 - 0.856, abs=0.08)


def test_a_difference_in_a_correlation_alone_is_found():
    mocks = draw(400, 2, 2)
    mocks[:, 1] = np.sign(mocks[:, 0]) * np.abs(mocks[:, 1])
    verdict = tell_apart(draw(100, 1, 2), mocks, seeds=(1,))
    assert verdict.low > 0.6
    assert verdict.areas == pytest.approx([0.5, 0.5], abs=0.1)


def test_the_area_of_a_column_is_that_of_scikit_learn_ties_and_all():
    values = np.round(draw(50, 3, 3), 1)
    is_mock = np.arange(50) % 3 == 0
    expected = [roc_auc_score(is_mock, column) for column in values.T]
    np.testing.assert_allclose(areas_of(is_mock, values), expected, rtol=1e-12)


def test_a_feature_without_any_spread_says_nothing():
    reference, mocks = draw(40, 1), draw(40, 2)
    reference[:, 0] = mocks[:, 0] = 7.0
    verdict = tell_apart(reference, mocks, seeds=(1,))
    assert (verdict.areas[0], verdict.importances[0]) == (0.5, 0.0)


def test_the_same_seeds_give_the_same_verdict():
    first, second = (tell_apart(draw(30, 1), draw(90, 2), seeds=(4,)) for _ in range(2))
    assert first.scores.tobytes() == second.scores.tobytes()
    assert first.importances.tobytes() == second.importances.tobytes()


def test_a_rare_reference_weighs_as_much_as_many_mocks():
    verdict = tell_apart(draw(25, 1), draw(450, 2), seeds=(1,))
    # Without weights a stamp would score 450 / 475 = 0.95 on average.
    assert verdict.scores.mean() < 0.8


def test_no_more_than_twenty_times_the_smaller_set_takes_part():
    verdict = tell_apart(draw(12, 1), draw(300, 2), seeds=(1,))
    assert (verdict.n_reference, verdict.n_mocks, len(verdict.scores)) == (12, 240, 252)


def test_no_stamp_is_scored_by_a_forest_that_has_seen_it(monkeypatch):
    # Each row carries its number; a memory of the training rows stands in for the forest.
    class Memory:
        def __init__(self, *arguments, **settings):
            pass

        def fit(self, features, is_mock):
            self.seen = set(features[:, 0])
            return self

        def predict_proba(self, features):
            seen = np.array([number in self.seen for number in features[:, 0]], float)
            return np.stack([1 - seen, seen], axis=1)

    monkeypatch.setattr(forest, "RandomForestClassifier", Memory)
    monkeypatch.setattr(forest, "_losses", lambda *arguments: np.zeros(1))
    rows = np.arange(80.0)[:, None]
    assert not tell_apart(rows[:40], rows[40:], seeds=(1, 2)).scores.any()


def test_every_fold_is_reported_as_progress():
    told = []
    tell_apart(draw(20, 1), draw(20, 2), seeds=(1, 2), progress=told.append)
    assert sum(told) == n_fits((1, 2)) == 10
