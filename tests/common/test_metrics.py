"""Metrics against hand calculations and slow oracles."""

import json
import subprocess
import sys
from statistics import NormalDist

import numpy as np
import pytest

from lens_common.errors import UserError
from lens_common.scores.metrics import (
    Confusion,
    auroc,
    auroc_interval,
    completeness_at_fpr,
    confusion,
    evaluate_scores,
    roc,
    spell_interval,
    study_roc,
)

# Four lenses and five non-lenses; one lens ties with one non-lens at 0.6.
LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0], dtype=bool)
SCORES = np.array([0.9, 0.8, 0.6, 0.2, 0.7, 0.6, 0.3, 0.1, 0.05])

KEYS = [
    "auroc",
    "auroc_low",
    "auroc_high",
    "auroc_level",
    "accuracy",
    "completeness",
    "purity",
    "contamination",
    "false_positive_rate",
    "tpr_at_fpr_0.01",
    "tpr_at_fpr_0.001",
    "threshold",
    "n_stamps",
    "n_lenses",
    "n_non_lenses",
    "true_positives",
    "false_positives",
    "true_negatives",
    "false_negatives",
]


def draw_scores(random_state, n_lenses, n_non_lenses, area):
    """Binormal scores in [0, 1] whose true AUROC is `area`; ties only by chance."""
    shift = np.sqrt(2) * NormalDist().inv_cdf(area)
    labels = np.repeat([True, False], [n_lenses, n_non_lenses])
    values = random_state.normal(size=labels.size) + shift * labels
    return labels, 1 / (1 + np.exp(-values))


def draw_tied_scores(random_state, n_stamps):
    """Both classes, with scores of one digit, so that ties are many."""
    labels = np.arange(n_stamps) % 3 == 0
    return labels, np.round(random_state.uniform(size=n_stamps) * (0.6 + 0.4 * labels), 1)


def mann_whitney(labels, scores):
    """AUROC by counting each pair of a lens and a non-lens."""
    wins = 0.0
    for lens in scores[labels]:
        for non_lens in scores[~labels]:
            wins += 1.0 if lens > non_lens else 0.5 if lens == non_lens else 0.0
    return wins / (labels.sum() * (~labels).sum())


def structural_component_variance(labels, scores):
    """DeLong et al. 1988, equations 4 to 6: the kernel of every pair, then sample variances of its means."""
    lenses, non_lenses = scores[labels], scores[~labels]
    kernel = np.array([[(x > y) + 0.5 * (x == y) for y in non_lenses] for x in lenses])
    area = kernel.mean()
    by_lens = sum((row.mean() - area) ** 2 for row in kernel) / (len(lenses) - 1)
    by_non_lens = sum((column.mean() - area) ** 2 for column in kernel.T) / (len(non_lenses) - 1)
    return by_lens / len(lenses) + by_non_lens / len(non_lenses)


def variance_of_interval(labels, scores, level):
    """Variance that the width of the interval stands for, undoing the logit."""
    low, high = auroc_interval(labels, scores, level)
    width = np.log(high / (1 - high)) - np.log(low / (1 - low))
    area = mann_whitney(labels, scores)
    return (width / (2 * NormalDist().inv_cdf((1 + level) / 2)) * area * (1 - area)) ** 2


# Confusion


def test_confusion_counts_by_hand():
    counts = confusion(LABELS, SCORES, 0.5)
    assert (counts.true_positives, counts.false_positives) == (3, 2)
    assert (counts.true_negatives, counts.false_negatives) == (3, 1)


def test_a_score_equal_to_the_threshold_is_not_a_lens():
    counts = confusion([1, 0], [0.5, 0.5], 0.5)
    assert (counts.true_positives, counts.false_positives) == (0, 0)


def test_confusion_takes_one_class_alone():
    counts = confusion([1, 1, 1], [0.9, 0.8, 0.1])
    assert (counts.true_positives, counts.false_negatives, counts.true_negatives) == (2, 1, 0)


def test_rates_are_shares_of_the_lenses_the_called_and_the_others_by_hand():
    counts = Confusion(true_positives=3, false_positives=1, true_negatives=5, false_negatives=2)
    assert counts.shares == {
        "completeness": (3, 5),
        "purity": (3, 4),
        "contamination": (1, 4),
        "false_positive_rate": (1, 6),
    }
    assert counts.rates == {
        "completeness": 0.6,
        "purity": 0.75,
        "contamination": 0.25,
        "false_positive_rate": pytest.approx(1 / 6),
    }


def test_a_rate_of_nothing_is_none():
    assert [*Confusion(0, 0, 4, 0).rates.values()] == [None, None, None, 0]
    assert [*Confusion(4, 0, 0, 0).rates.values()] == [1, 1, 0, None]


# ROC


def test_the_roc_has_a_point_at_each_score_by_hand():
    false_positive_rate, completeness, _ = roc(LABELS, SCORES)
    assert false_positive_rate == pytest.approx([0, 0, 0, 0.2, 0.4, 0.6, 0.6, 0.8, 1])
    assert completeness == pytest.approx([0, 0.25, 0.5, 0.5, 0.75, 0.75, 1, 1, 1])


def test_the_roc_calls_a_score_equal_to_its_threshold_a_lens():
    _, completeness, thresholds = roc([1, 0], [0.5, 0.2])
    assert completeness[thresholds == 0.5] == 1


def test_the_study_roc_has_a_thousand_even_thresholds():
    thresholds = study_roc(LABELS, SCORES)[2]
    assert thresholds == pytest.approx([k / 999 for k in range(1000)])


def test_the_study_roc_calls_a_score_of_a_half_a_lens_at_five_hundred_thresholds():
    # 499/999 < 0.5 < 500/999.
    assert study_roc([1, 0], [0.5, 0.0])[1].sum() == 500


def test_the_study_roc_never_calls_a_score_of_zero_a_lens():
    assert study_roc([1, 0], [0.5, 0.0])[0].max() == 0


def test_the_study_roc_equals_a_loop_over_its_thresholds():
    labels, scores = draw_tied_scores(np.random.RandomState(3), 60)
    loop = [np.mean([score > t for score in scores[~labels]]) for t in np.linspace(0, 1, 1000)]
    assert study_roc(labels, scores)[0] == pytest.approx(loop)


# AUROC


def test_auroc_by_hand():
    # Of 20 pairs: 5 + 5 + 3.5 (one tie) + 2 are won.
    assert auroc(LABELS, SCORES) == pytest.approx(15.5 / 20)


@pytest.mark.parametrize("seed", range(5))
def test_auroc_is_the_mann_whitney_count_with_ties(seed):
    labels, scores = draw_tied_scores(np.random.RandomState(seed), 80)
    assert auroc(labels, scores) == pytest.approx(mann_whitney(labels, scores), abs=1e-12)


def test_auroc_of_identical_scores_is_a_half():
    assert auroc([1, 0, 1, 0, 0], [0.3] * 5) == 0.5


def test_auroc_is_the_same_for_float32_scores_and_integer_labels():
    assert auroc(LABELS.astype(np.int16), SCORES.astype(np.float32)) == pytest.approx(15.5 / 20)


# Interval


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("level", [0.68, 0.95])
def test_the_interval_has_the_variance_of_the_structural_components(seed, level):
    labels, scores = draw_tied_scores(np.random.RandomState(seed), 70)
    expected = structural_component_variance(labels, scores)
    assert variance_of_interval(labels, scores, level) == pytest.approx(expected, rel=1e-9)


def test_the_interval_is_centred_on_the_logit_of_the_auroc():
    low, high = auroc_interval(LABELS, SCORES)
    middle = (np.log(low / (1 - low)) + np.log(high / (1 - high))) / 2
    assert middle == pytest.approx(np.log(15.5 / 4.5))


def test_the_interval_agrees_with_a_bootstrap():
    random_state = np.random.RandomState(11)
    labels, scores = draw_scores(random_state, 100, 100, 0.85)
    areas = []
    for _ in range(1000):
        lenses = random_state.choice(scores[labels], 100)
        non_lenses = random_state.choice(scores[~labels], 100)
        pairs = lenses[:, np.newaxis] - non_lenses
        areas.append(np.mean(pairs > 0) + 0.5 * np.mean(pairs == 0))
    assert auroc_interval(labels, scores) == pytest.approx(np.percentile(areas, [2.5, 97.5]), abs=0.015)


def test_the_interval_covers_the_true_auroc_as_often_as_it_says():
    random_state = np.random.RandomState(7)
    n_repeats = 500
    n_covered = 0
    for _ in range(n_repeats):
        low, high = auroc_interval(*draw_scores(random_state, 100, 100, 0.9))
        n_covered += low <= 0.9 <= high
    assert 0.92 <= n_covered / n_repeats <= 0.98


@pytest.mark.parametrize("n_non_lenses", [10, 500])
def test_perfect_separation_is_bounded_as_ten_trials_all_right(n_non_lenses):
    labels = np.repeat([True, False], [10, n_non_lenses])
    # All right with a chance of 2.5 % where p ** 10 = 0.025.
    assert auroc_interval(labels, labels * 0.5) == (pytest.approx(0.025**0.1), 1.0)


def test_perfectly_wrong_scores_are_bounded_as_ten_trials_all_wrong():
    labels = np.repeat([True, False], [10, 30])
    assert auroc_interval(labels, ~labels * 0.5) == (0.0, pytest.approx(1 - 0.025**0.1))


def test_identical_scores_are_bounded_as_trials_half_of_them_right():
    # One of two right: 1 - (1 - p) ** 2 = 0.025 at the lower end.
    low = 1 - 0.975**0.5
    assert auroc_interval([1, 1, 0, 0], [0.3] * 4) == pytest.approx((low, 1 - low))


def test_one_lens_alone_gets_the_bound_of_one_trial():
    assert auroc_interval([1, 0, 0], [0.9, 0.1, 0.2]) == (pytest.approx(0.025), 1.0)


@pytest.mark.parametrize("seed", range(20))
def test_the_interval_holds_the_auroc_and_has_width_for_tiny_samples(seed):
    random_state = np.random.RandomState(seed)
    for n_stamps in range(2, 12):
        labels, scores = draw_tied_scores(random_state, n_stamps)
        low, high = auroc_interval(labels, scores)
        area = mann_whitney(labels, scores)
        assert 0 <= low <= area + 1e-12
        assert area - 1e-12 <= high <= 1
        assert low < high


@pytest.mark.parametrize(
    ("numbers", "spelled"),
    [
        ((0.95, 0.9412, 0.9567), "0.950 [0.941, 0.957]"),
        ((0.25, 0.2, 0.3, ".2f"), "0.25 [0.20, 0.30]"),
        ((0.0012, -0.0003, 0.0027, "+.4f"), "+0.0012 [-0.0003, +0.0027]"),
        ((None, -0.01, 0.02, "+.2f"), "[-0.01, +0.02]"),
    ],
)
def test_an_interval_is_spelled_after_its_number(numbers, spelled):
    assert spell_interval(*numbers) == spelled


# Completeness at a false positive rate


@pytest.mark.parametrize(("limit", "expected"), [(0, 0.5), (0.2, 0.5), (0.39, 0.5), (0.4, 0.75), (0.6, 1), (1, 1)])
def test_completeness_at_fpr_by_hand(limit, expected):
    assert completeness_at_fpr(LABELS, SCORES, limit) == expected


def test_completeness_at_fpr_counts_one_false_positive_in_a_hundred_as_one_percent():
    labels = np.repeat([True, False], [2, 100])
    scores = np.concatenate([[0.9, 0.5], [0.7], np.full(99, 0.1)])
    assert completeness_at_fpr(labels, scores, 0.01) == 1


def test_completeness_at_fpr_does_not_interpolate_across_a_tie():
    assert completeness_at_fpr([1, 1, 0, 0], [0.5] * 4, 0.9) == 0


# All of them


def test_evaluation_has_these_keys_in_this_order():
    assert list(evaluate_scores(LABELS, SCORES)) == KEYS


def test_evaluation_is_json_without_nan():
    evaluation = evaluate_scores(LABELS, SCORES.astype(np.float32), np.float32(0.5))
    assert json.loads(json.dumps(evaluation, allow_nan=False)) == evaluation


def test_evaluation_by_hand():
    evaluation = evaluate_scores(LABELS, SCORES, 0.5)
    expected = {
        "accuracy": 6 / 9,
        "completeness": 3 / 4,
        "purity": 3 / 5,
        "contamination": 2 / 5,
        "false_positive_rate": 2 / 5,
        "tpr_at_fpr_0.01": 0.5,
        "tpr_at_fpr_0.001": 0.5,
        "n_stamps": 9,
        "n_lenses": 4,
        "n_non_lenses": 5,
    }
    assert {key: evaluation[key] for key in expected} == pytest.approx(expected)


def test_purity_and_contamination_are_none_where_nothing_is_called_a_lens():
    evaluation = evaluate_scores([1, 0], [0.4, 0.3])
    assert (evaluation["purity"], evaluation["contamination"]) == (None, None)


def test_the_purity_of_the_study_means_a_false_positive_rate_of_56_percent():
    # 1,000 + 1,000 stamps: completeness 0.607 is 607 lenses found, purity 0.519 is 607 of 1,170 called.
    labels = np.repeat([True, False], 1000)
    scores = np.concatenate([np.repeat([0.9, 0.1], [607, 393]), np.repeat([0.9, 0.1], [563, 437])])
    evaluation = evaluate_scores(labels, scores)
    assert evaluation["completeness"] == pytest.approx(0.607, abs=5e-4)
    assert evaluation["purity"] == pytest.approx(0.519, abs=5e-4)
    assert evaluation["false_positive_rate"] == pytest.approx(0.56, abs=5e-3)


# Mistakes


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([], [], r"shape \(N,\).*got \(0,\)"),
        ([1, 0], [0.1], "2 labels and 1 scores"),
        ([1, 1], [0.1, 0.2], "2 lenses and 0 non-lenses"),
        ([0, 0], [0.1, 0.2], "0 lenses and 2 non-lenses"),
        ([1, -1], [0.1, 0.2], "got -1"),
        ([1, np.nan], [0.1, 0.2], "got nan"),
        (["lens", "other"], [0.1, 0.2], "boolean or 0 and 1"),
        ([[1, 0]], [0.1, 0.2], r"got \(1, 2\)"),
        ([1, 0], [[0.1], [0.2]], r"got \(2, 1\)"),
        ([1, 0], [0.1, np.nan], "finite, got nan"),
        ([1, 0], [0.1, np.inf], "finite, got inf"),
        ([1, 0], [0.1, -0.2], r"\[0, 1\], got -0.2"),
        ([1, 0], [0.1, 3.5], r"\[0, 1\], got 3.5"),
        ([1, 0], ["a", "b"], "must be numbers"),
    ],
)
@pytest.mark.parametrize("function", [roc, study_roc, auroc, auroc_interval, evaluate_scores])
def test_bad_labels_and_scores_are_a_sentence_with_the_value(function, labels, scores, message):
    with pytest.raises(UserError, match=message):
        function(labels, scores)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_outside_zero_to_one_is_a_mistake(threshold):
    with pytest.raises(UserError, match="threshold must lie in"):
        confusion(LABELS, SCORES, threshold)


def test_a_false_positive_rate_in_percent_is_a_mistake():
    with pytest.raises(UserError, match="false_positive_rate must lie in.*got 10"):
        completeness_at_fpr(LABELS, SCORES, 10)


def test_a_level_in_percent_is_a_mistake():
    with pytest.raises(UserError, match="level must lie between 0 and 1, got 95"):
        auroc_interval(LABELS, SCORES, 95)


def test_metrics_import_no_plots():
    code = (
        "import sys, lens_common.scores.metrics\n"
        "print([name for name in sys.modules if 'matplotlib' in name or 'drawing' in name])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert done.stdout.decode().strip() == "[]"
