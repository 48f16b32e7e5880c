"""Intervals and the numbers of a report's figures, against hand calculations and slow oracles."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import beta, norm, t

from lens_common.scores.metrics import Confusion
from lens_modern.report.figures import (
    calibration_error,
    draw_calibration,
    draw_completeness,
    draw_histograms,
    draw_score_pairs,
)
from lens_modern.report.intervals import band_of_rocs, mean_auroc, wilson
from lens_modern.report.reading import ScoreSet
from lens_modern.report.sections import Group, rates_of, spelled_share, validation_threshold

LABELS = np.arange(30) % 3 == 0


def draw_seeds(n_seeds, spread=0.2):
    random = np.random.RandomState(3)
    return [np.clip(0.4 + 0.2 * LABELS + random.normal(0, spread, len(LABELS)), 0, 1) for _ in range(n_seeds)]


def score_set(labels, scores, **parameters):
    columns = {name: np.array(column, float) for name, column in parameters.items()}
    ids = np.arange(len(labels)).astype(str)
    return ScoreSet(ids, np.array(labels, bool), np.array(scores, float), "d" * 64, columns)


def slow_area(labels, scores):
    """Pairs of a lens and a non-lens that are ranked right, ties half; by pair (lens, non-lens)."""
    return np.array([[float(a > b) + 0.5 * (a == b) for b in scores[~labels]] for a in scores[labels]])


def slow_variance(labels, scores):
    """DeLong's variance, from the pairs, one stamp at a time."""
    pairs = slow_area(labels, scores)
    by_lens = [np.mean(row) for row in pairs]
    by_other = [np.mean(column) for column in pairs.T]
    parts = []
    for components in (by_lens, by_other):
        mean = sum(components) / len(components)
        parts.append(sum((value - mean) ** 2 for value in components) / (len(components) - 1) / len(components))
    return sum(parts)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 30), (3, 7), (50, 100), (999, 1000), (1000, 1000)])
def test_wilsons_interval_ends_where_the_score_test_rejects(successes, n):
    found = wilson(successes, n)
    assert found.share == successes / n
    np.testing.assert_allclose([found.low, found.high], score_test_ends(successes, n, 0.95), rtol=0, atol=1e-7)


def score_test_ends(successes, n, level):
    """Roots p of (share - p)^2 = z^2 p (1 - p) / n: Wilson 1927, JASA 22, 209."""
    share, z = successes / n, norm.ppf(0.5 + level / 2)
    return sorted(np.roots([1 + z**2 / n, -2 * share - z**2 / n, share**2]).real)


def test_wilsons_interval_has_the_level_asked_for():
    expected = score_test_ends(7, 20, 0.6)
    np.testing.assert_allclose([wilson(7, 20, 0.6).low, wilson(7, 20, 0.6).high], expected, rtol=0, atol=1e-12)


def test_the_band_of_a_roc_holds_the_true_curve_about_as_often_as_it_says():
    # scores of non-lenses are uniform and those of lenses the root of that, so completeness is 1 - (1 - rate)**2
    grid = np.array([0.1, 0.3, 0.5])
    true = 1 - (1 - grid) ** 2
    random = np.random.RandomState(5)
    labels = np.arange(200) % 2 == 0
    held = []
    for _ in range(60):
        scores = np.where(labels, random.uniform(size=200) ** 0.5, random.uniform(size=200))
        low, high = band_of_rocs(labels, scores, grid)
        held.append((low <= true) & (true <= high))
    # 60 repeats of 95 %: 57 +- 1.7
    assert 0.85 <= np.mean(held) < 1 and np.mean(held, axis=0).min() >= 0.8


def test_the_band_of_a_roc_never_falls_and_stays_a_share():
    low, high = band_of_rocs(LABELS, draw_seeds(1)[0], np.linspace(0, 1, 41))
    for edge in (low, high):
        assert (np.diff(edge) >= 0).all() and edge.min() >= 0 and edge.max() <= 1 and edge[-1] == 1
    assert (low <= high).all() and (low < high).any()


def test_the_band_of_scores_all_tied_is_the_diagonal():
    grid = np.linspace(0, 1, 5)
    np.testing.assert_allclose(band_of_rocs(LABELS, np.full(30, 0.5), grid), [grid, grid], rtol=0, atol=1e-12)


def test_a_band_is_that_of_resamples_of_each_class():
    # one lens above all non-lenses, one below: a resample of the two has a completeness of 0, 1/2 or 1 at no false
    # positive, with chances of 1/4, 1/2 and 1/4
    labels = np.array([True, True, False, False])
    low, high = band_of_rocs(labels, np.array([0.9, 0.1, 0.5, 0.5]), np.array([0.0, 1.0]))
    np.testing.assert_array_equal([low, high], [[0, 1], [1, 1]])


def test_the_interval_of_one_seed_is_delongs_on_the_logit():
    scores = draw_seeds(1)[0]
    area, error = slow_area(LABELS, scores).mean(), slow_variance(LABELS, scores) ** 0.5
    half = norm.ppf(0.975) * error / (area * (1 - area))
    found = mean_auroc([LABELS], scores[None])
    np.testing.assert_allclose(
        [found.value, found.low, found.high], [area, *expit(logit(area) + np.array([-half, half]))], rtol=1e-12
    )
    assert found.values == (found.value,)


@pytest.mark.parametrize("n_seeds", [2, 5])
def test_the_interval_over_seeds_adds_the_scatter_of_seeds_and_stamps(n_seeds):
    scores = draw_seeds(n_seeds)
    areas = [slow_area(LABELS, row).mean() for row in scores]
    mean = sum(areas) / n_seeds
    of_seeds = sum((area - mean) ** 2 for area in areas) / (n_seeds - 1) / n_seeds
    of_stamps = sum(slow_variance(LABELS, row) for row in scores) / n_seeds
    degrees = (of_seeds + of_stamps) ** 2 / (of_seeds**2 / (n_seeds - 1) + of_stamps**2 / len(LABELS))
    half = t.ppf(0.975, degrees) * (of_seeds + of_stamps) ** 0.5
    found = mean_auroc([LABELS] * n_seeds, scores)
    np.testing.assert_allclose(
        [found.value, found.low, found.high], [mean, max(0, mean - half), min(1, mean + half)], rtol=1e-10
    )
    np.testing.assert_allclose(found.values, areas, rtol=1e-12)


def test_seeds_that_are_all_equal_leave_the_scatter_of_the_stamps():
    scores = draw_seeds(1)[0]
    # of the stamps alone: as many degrees of freedom as there are stamps
    half = t.ppf(0.975, len(LABELS)) * slow_variance(LABELS, scores) ** 0.5
    found = mean_auroc([LABELS] * 3, [scores] * 3)
    np.testing.assert_allclose(found.high - found.value, min(half, 1 - found.value), rtol=1e-10)
    np.testing.assert_allclose(found.value - found.low, half, rtol=1e-10)


def test_seeds_that_all_separate_perfectly_are_not_certain():
    # Clopper and Pearson of 10 of 10 lenses, as of one seed
    found = mean_auroc([LABELS] * 3, [LABELS * 1.0] * 3)
    assert (found.value, found.high) == (1, 1)
    np.testing.assert_allclose(found.low, 0.025 ** (1 / 10), rtol=1e-12)


def test_scores_that_are_all_tied_are_not_certain():
    found = mean_auroc([LABELS] * 2, [np.full(30, 0.5)] * 2)
    assert found.value == 0.5
    # Clopper and Pearson of 5 of 10 lenses
    np.testing.assert_allclose([found.low, found.high], [beta.ppf(0.025, 5, 6), beta.ppf(0.975, 6, 5)], rtol=1e-12)


def test_one_lens_alone_has_an_interval_over_seeds():
    labels = np.array([True, False, False, False])
    found = mean_auroc([labels] * 2, [np.array([0.9, 0.1, 0.2, 0.3]), np.array([0.25, 0.1, 0.2, 0.3])])
    np.testing.assert_allclose(found.value, (1 + 2 / 3) / 2, rtol=1e-12)
    assert 0 <= found.low < found.value < found.high <= 1


def test_a_group_leaves_out_a_set_of_one_class():
    runs = [SimpleNamespace(sets={"mocks": score_set([1, 1, 1], [0.5, 0.6, 0.7])}) for _ in range(2)]
    assert Group("", tuple(runs)).estimate("mocks") is None


# Validation stamps in the order of their scores.
YOUDEN = [
    # completeness less false positive rate is 2/3 from 0.6 up: 2 of 3 lenses, no non-lens
    ([0.1, 0.2, 0.4, 0.6, 0.9], [0, 1, 0, 1, 1], (0.4 + 0.6) / 2),
    # ties: at 0.5 both classes are called, at 0.8 one of two lenses and nothing else: 1/2 against 1 - 1/2, the higher
    # threshold comes first
    ([0.3, 0.5, 0.5, 0.8], [0, 0, 1, 1], (0.5 + 0.8) / 2),
    # all tied: nothing is better than calling none a lens
    ([0.5, 0.5], [0, 1], (0.5 + 1) / 2),
    # upside down
    ([0.2, 0.9], [1, 0], (0.9 + 1) / 2),
]


@pytest.mark.parametrize(("scores", "labels", "expected"), YOUDEN)
def test_the_threshold_is_youdens_on_the_validation_stamps(scores, labels, expected):
    run = SimpleNamespace(sets={"validation": score_set(labels, scores)})
    assert validation_threshold(run) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("sets", [{}, {"validation": score_set([1, 1], [0.1, 0.9])}])
def test_without_validation_stamps_of_both_classes_the_threshold_is_one_half(sets):
    assert validation_threshold(SimpleNamespace(sets=sets)) == 0.5


def test_the_test_fold_does_not_move_the_threshold():
    held = score_set([0, 1], [0.2, 0.4])
    run = SimpleNamespace(sets={"validation": held, "test": score_set([0, 1], [0.8, 0.9])})
    assert validation_threshold(run) == pytest.approx(0.3)


def test_the_calibration_error_is_the_mean_over_stamps_of_their_bins_gap():
    # bins: 0.2-0.3 with 0.2, 0.28 (1 of 2 lenses: gap |0.5 - 0.24|), 0.9-1 with 0.9, 1.0 (2 of 2: |1 - 0.95|)
    labels, scores = np.array([True, False, True, True]), np.array([0.2, 0.28, 0.9, 1.0])
    assert calibration_error(labels, scores) == pytest.approx((2 * 0.26 + 2 * 0.05) / 4)


def test_the_bins_of_the_calibration_figure_are_those_of_its_error():
    # 0.3 and 0.6 lie just below the edges that np.linspace gives
    labels, scores = np.array([True, False, False, True]), np.array([0.3, 0.25, 0.6, 0.65])
    rows = draw_calibration("c", "Calibration", {"run": score_set(labels, scores)}).rows
    assert [row["n"] for row in rows] == [1, 1, 2]
    gaps = [row["n"] * abs(row["share"] - row["mean_score"]) for row in rows]
    assert sum(gaps) / 4 == pytest.approx(calibration_error(labels, scores))


def test_completeness_is_counted_in_each_bin_at_the_runs_own_threshold():
    labels = [1, 1, 1, 1, 1, 0, 1]
    radii = [0.5, 0.99, 1.0, 1.5, 2.9, 0.7, np.nan]
    one = score_set(labels, [0.9, 0.4, 0.8, 0.7, 0.2, 0.9, 0.9], einstein_radius=radii)
    other = score_set(labels, [0.9, 0.5, 0.1, 0.7, 0.7, 0.9, 0.9], einstein_radius=radii)
    figure = draw_completeness("k", "t", {"a": one, "b": other}, "einstein_radius", (0, 1, 2, 3), (0.4, 0.6))
    counted = [(row["run"], row["from"], row["share"], row["n"]) for row in figure.rows]
    assert counted == [
        ("a", 0, 0.5, 2),
        ("a", 1, 1, 2),
        ("a", 2, 0, 1),
        ("b", 0, 0.5, 2),
        ("b", 1, 0.5, 2),
        ("b", 2, 1, 1),
    ]


def test_of_many_stamps_every_second_or_third_is_drawn():
    labels = np.arange(5001) % 2 == 0
    values = score_set(labels, np.linspace(0, 1, 5001))
    figure = draw_score_pairs("k", "t", values, values, ("a", "b"))
    assert [row["id"] for row in figure.rows[:3]] == ["0", "3", "6"] and len(figure.rows) == 1667
    assert figure.note == "1,667 of the 5,001 stamps are drawn and listed."
    assert "5001 stamps" in figure.alt


def test_rates_are_shares_of_what_was_counted():
    found = rates_of(Confusion(true_positives=3, false_positives=1, true_negatives=5, false_negatives=2))
    assert found[:4] == ["3", "1", "5", "2"]
    assert [text.split()[0] for text in found[4:]] == ["0.60", "0.75", "0.25", "0.17"]


def test_rates_of_nothing_are_undefined():
    assert rates_of(Confusion(0, 0, 4, 0))[4:7] == ["undefined"] * 3
    assert rates_of(Confusion(4, 0, 0, 0))[7] == "undefined"


def test_a_share_is_spelled_with_wilsons_interval():
    # 0 of 10 is up to z**2 / (10 + z**2) with z 1.96
    assert spelled_share(0, 10) == "0.00 [0.00, 0.28]"


def test_a_histogram_shares_out_both_sets_in_the_same_bins_and_keeps_what_lies_beyond():
    # Quarters of 0 to 4; of the second set one in a thousand lies far beyond the last.
    first, second = np.repeat([0.0, 1.5, 2.5, 4.0], [10, 20, 30, 40]), np.repeat([0.5, 3.5, 99.0], [600, 399, 1])
    rows = draw_histograms("h", "t", {"a": first, "b": second}, "x", n_bins=4).rows
    assert [row["share"] for row in rows] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.6, 0.0, 0.0, 0.4])
    assert [(row["from"], row["to"]) for row in rows[4:]] == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_a_histogram_of_one_value_only_is_drawn():
    svg = draw_histograms("h", "t", {"a": np.zeros(20), "b": np.zeros(30)}, "x").svg
    assert svg.startswith("<svg") and "nan" not in svg.lower()
