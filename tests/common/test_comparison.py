"""Comparison of two sets of scores, against hand calculations, slow oracles and simulations; the verb `compare`."""

import csv
import json
from statistics import NormalDist
from types import SimpleNamespace

import numpy as np
import pytest

from lens_common.cli import run_command_line
from lens_common.errors import UserError
from lens_common.scores.comparison import bootstrap_difference, delong_test, equivalence_test, score_agreement

# Three lenses and three non-lenses; with scores b, one lens ties with one non-lens at 0.6.
LABELS = np.array([1, 1, 1, 0, 0, 0], dtype=bool)
SCORES_A = np.array([0.9, 0.6, 0.4, 0.5, 0.3, 0.1])
SCORES_B = np.array([0.8, 0.2, 0.6, 0.5, 0.6, 0.1])
# Neither NaN nor a warning.
STRICT = pytest.mark.filterwarnings("error")


def phi(value):
    return NormalDist().cdf(value)


def draw_pair(random_state, n_stamps, shift=1.5):
    """Labels and two sets of scores in [0, 1] that share most of their noise."""
    labels = np.arange(n_stamps) % 2 == 0
    common = random_state.normal(size=n_stamps) + shift * labels
    scores = (1 / (1 + np.exp(-common - 0.5 * random_state.normal(size=n_stamps))) for _ in "ab")
    return (labels, *scores)


def covariance_of_components(labels, scores_a, scores_b):
    """DeLong et al. 1988, equations 4 to 6, of two AUROCs: the kernel of every pair, one pair at a time."""
    kernels = [
        np.array([[(x > y) + 0.5 * (x == y) for y in scores[~labels]] for x in scores[labels]])
        for scores in (scores_a, scores_b)
    ]
    total = 0.0
    for axis in (1, 0):
        means = [kernel.mean(axis=axis) - kernel.mean() for kernel in kernels]
        n_stamps = len(means[0])
        total += sum(x * y for x, y in zip(*means)) / (n_stamps - 1) / n_stamps
    return total


# DeLong's test


def test_the_paired_test_by_hand():
    found = delong_test(LABELS, SCORES_A, SCORES_B)
    # Non-lenses below each lens: a 3, 3, 2; b 3, 1, 2.5.  Lenses below each non-lens: a 1, 0, 0; b 1, 1.5, 0.
    assert found.auroc_a == pytest.approx(8 / 9)
    assert found.auroc_b == pytest.approx(6.5 / 9)
    assert found.difference == pytest.approx(-1.5 / 9)
    # Their differences 0, -2, 0.5 and 0, 1.5, 0 have the sample variances 1.75 and 0.75; each over 3 ** 2 * 3.
    assert found.standard_error == pytest.approx((2.5 / 27) ** 0.5)
    # z ** 2 = (1.5 / 9) ** 2 / (2.5 / 27) = 0.3.
    assert found.p_value == pytest.approx(2 * phi(-(0.3**0.5)))


def test_the_interval_by_hand():
    found = delong_test(LABELS, SCORES_A, SCORES_B, level=0.68)
    half_width = NormalDist().inv_cdf(0.84) * (2.5 / 27) ** 0.5
    assert (found.low, found.high) == pytest.approx((-1.5 / 9 - half_width, -1.5 / 9 + half_width))
    assert found.level == 0.68


def test_the_interval_ends_at_one():
    # Non-lenses below each lens: 2 and 0, then 2 and 2; the variance is 2 / 8, and 0.5 + 1.96 * 0.5 is above 1.
    labels = np.array([1, 1, 0, 0], dtype=bool)
    assert delong_test(labels, [0.9, 0.1, 0.4, 0.5], [0.9, 0.8, 0.4, 0.5]).high == 1


@pytest.mark.parametrize("seed", range(5))
def test_the_variance_is_that_of_the_structural_components_with_ties(seed):
    labels, *pair = draw_pair(np.random.RandomState(seed), 70)
    scores_a, scores_b = (np.round(scores, 1) for scores in pair)
    expected = (
        covariance_of_components(labels, scores_a, scores_a)
        + covariance_of_components(labels, scores_b, scores_b)
        - 2 * covariance_of_components(labels, scores_a, scores_b)
    )
    assert delong_test(labels, scores_a, scores_b).standard_error ** 2 == pytest.approx(expected, rel=1e-9)


def test_swapped_scores_turn_the_difference_over():
    labels, scores_a, scores_b = draw_pair(np.random.RandomState(1), 50)
    one, other = delong_test(labels, scores_a, scores_b), delong_test(labels, scores_b, scores_a)
    assert one.difference == -other.difference != 0
    assert (one.low, one.high) == (-other.high, -other.low)
    assert (one.standard_error, one.p_value) == (other.standard_error, other.p_value)


def test_swapped_classes_turn_the_difference_over():
    labels, scores_a, scores_b = draw_pair(np.random.RandomState(1), 50)
    one, other = delong_test(labels, scores_a, scores_b), delong_test(~labels, scores_a, scores_b)
    assert one.difference == pytest.approx(-other.difference)
    assert one.standard_error == pytest.approx(other.standard_error)


@STRICT
@pytest.mark.parametrize(
    ("scores_a", "scores_b"),
    [
        (SCORES_A, SCORES_A),
        (SCORES_A, SCORES_A / 3),
        (np.full(6, 0.3), np.full(6, 0.7)),
        (LABELS * 0.5, LABELS * 0.9 + 0.1),
        (~LABELS * 0.5, ~LABELS * 0.9),
    ],
    ids=["identical", "same order", "tied", "perfect", "wrong"],
)
def test_scores_of_one_order_differ_by_zero_for_certain(scores_a, scores_b):
    found = delong_test(LABELS, scores_a, scores_b)
    assert (found.difference, found.standard_error, found.low, found.high, found.p_value) == (0, 0, 0, 0, 1)


@STRICT
@pytest.mark.parametrize(("scores_b", "difference"), [(np.full(6, 0.3), -0.5), (1.0 - LABELS, -1)])
def test_a_difference_without_variance_has_no_width_and_a_p_value_of_zero(scores_b, difference):
    found = delong_test(LABELS, LABELS * 1.0, scores_b)
    assert (found.difference, found.low, found.high) == (difference, difference, difference)
    assert (found.standard_error, found.p_value) == (0, 0)


def test_equal_auroc_of_other_orders_has_a_p_value_of_one_and_a_width():
    # Either lens is below one non-lens, in turn.
    found = delong_test([1, 1, 0, 0], [0.9, 0.4, 0.5, 0.1], [0.4, 0.9, 0.5, 0.1])
    assert (found.difference, found.p_value) == (0, 1)
    assert found.low < 0 < found.high


def test_the_paired_test_rejects_equal_auroc_as_often_as_it_says():
    random_state = np.random.RandomState(5)
    n_repeats = 1000
    n_rejected = sum(delong_test(*draw_pair(random_state, 200)).p_value < 0.05 for _ in range(n_repeats))
    # 0.05 +- 3 standard deviations of a binomial share, 0.0069 each.
    assert 0.029 <= n_rejected / n_repeats <= 0.071


# Bootstrap


@STRICT
@pytest.mark.parametrize(("level", "expected"), [(0.4, (-0.5, -0.5)), (0.6, (-1, 0))])
@pytest.mark.parametrize("stamps_at_a_time", [1, 1000, 2**20])
def test_the_bootstrap_of_two_lenses_by_hand(monkeypatch, stamps_at_a_time, level, expected):
    monkeypatch.setattr("lens_common.scores.comparison.STAMPS_AT_A_TIME", stamps_at_a_time)
    # All is right with a, and with b one lens is below both non-lenses.  Of two lenses drawn, that one is none,
    # one or both with a chance of 1/4, 1/2, 1/4: the difference is 0, -0.5 or -1.
    labels = [1, 1, 0, 0]
    found = bootstrap_difference(
        labels, [0.9, 0.8, 0.3, 0.2], [0.9, 0.1, 0.3, 0.2], np.random.RandomState(0), 2000, level
    )
    assert found == expected


def test_the_bootstrap_counts_a_tie_as_half():
    # Perfect against all tied: the difference is -0.5 in each resample.
    labels, random_state = np.array([1, 1, 1, 0, 0], dtype=bool), np.random.RandomState(0)
    assert bootstrap_difference(labels, labels * 1.0, np.full(5, 0.3), random_state) == (-0.5, -0.5)


def test_the_bootstrap_draws_both_scores_of_a_stamp_together():
    labels, scores, _ = draw_pair(np.random.RandomState(2), 60)
    assert bootstrap_difference(labels, scores, scores**2, np.random.RandomState(0)) == (0, 0)


@pytest.mark.parametrize("n_stamps", [400, 3000])
def test_the_bootstrap_agrees_with_delong(n_stamps):
    labels, scores_a, scores_b = draw_pair(np.random.RandomState(3), n_stamps)
    found = delong_test(labels, scores_a, scores_b)
    low, high = bootstrap_difference(labels, scores_a, scores_b, np.random.RandomState(0))
    # The standard error of a 2.5 % quantile of 2,000 is 0.06 of the standard deviation.
    assert (low, high) == pytest.approx((found.low, found.high), abs=0.2 * found.standard_error)


def test_the_bootstrap_draws_no_more_than_it_was_asked_for():
    low, high = bootstrap_difference(*draw_pair(np.random.RandomState(4), 40), np.random.RandomState(9), 1)
    assert low == high


def test_the_bootstrap_is_the_same_for_one_seed():
    drawn = draw_pair(np.random.RandomState(4), 40)
    first, second = (bootstrap_difference(*drawn, np.random.RandomState(9), 50) for _ in range(2))
    assert first == second


# Equivalence


def test_two_one_sided_tests_by_hand():
    found = equivalence_test(0.005, 0.004, 0.02)
    # The nearer end of the margin is 0.015, or 3.75 standard errors, away; 95 % of a normal lie below 1.644854.
    assert found.p_value == pytest.approx(phi(-3.75))
    assert (found.low, found.high) == pytest.approx((0.005 - 1.644854 * 0.004, 0.005 + 1.644854 * 0.004))
    assert found.power == pytest.approx(2 * phi(5 - 1.644854) - 1, abs=1e-6)
    assert found.equivalent is True


def test_two_one_sided_tests_with_student_by_hand():
    found = equivalence_test(-0.004, 0.004, 0.02, degrees=2)
    # With 2 degrees F(t) = 1/2 + t / (2 (2 + t**2)**0.5); t = -4.
    assert found.p_value == pytest.approx(0.5 - 4 / (2 * 18**0.5))
    # 2.920, NIST/SEMATECH e-Handbook of Statistical Methods, table 1.3.6.7.2.
    assert (found.low, found.high) == pytest.approx((-0.004 - 2.920 * 0.004, -0.004 + 2.920 * 0.004), abs=4e-6)


def test_the_level_of_the_tests_is_taken():
    # 1.281552 is the normal quantile of 90 %.
    found = equivalence_test(0.0, 0.01, 0.02, alpha=0.1)
    assert found.high == pytest.approx(0.01281552)
    assert found.power == pytest.approx(2 * phi(2 - 1.281552) - 1, abs=1e-6)


@pytest.mark.parametrize("difference", [-0.03, -0.0135, -0.013, 0, 0.013, 0.0135, 0.03])
def test_equivalence_is_an_interval_within_the_margin(difference):
    found = equivalence_test(difference, 0.004, 0.02)
    # 0.02 - 1.644854 * 0.004 = 0.01342.
    assert found.equivalent is (abs(difference) < 0.01342)
    assert found.equivalent is (-0.02 < found.low and found.high < 0.02)


def test_equivalence_looks_at_neither_sign():
    one, other = equivalence_test(0.01, 0.004, 0.02, 4), equivalence_test(-0.01, 0.004, 0.02, 4)
    assert one.p_value == pytest.approx(other.p_value)
    assert (one.low, one.high, one.power) == pytest.approx((-other.high, -other.low, other.power))


# Quantiles of 95 %: normal, and 2.132 of Student with 4 degrees (NIST/SEMATECH, table 1.3.6.7.2).
@pytest.mark.parametrize(("degrees", "quantile"), [(None, 1.644854), (4, 2.132)])
@pytest.mark.parametrize("margin_in_errors", [2, 2.5, 4])
def test_the_power_is_that_of_a_simulation(degrees, quantile, margin_in_errors):
    random_state = np.random.RandomState(6)
    n_samples = 200_000
    differences = random_state.normal(size=n_samples)
    errors = 1.0 if degrees is None else np.sqrt(random_state.chisquare(degrees, n_samples) / degrees)
    share = np.mean(np.abs(differences) < margin_in_errors - quantile * errors)
    # The standard deviation of the share is at most 0.0011.
    assert equivalence_test(0, 0.01, 0.01 * margin_in_errors, degrees).power == pytest.approx(share, abs=0.004)


def test_a_margin_too_narrow_for_the_sample_has_no_power():
    assert equivalence_test(0, 0.02, 0.02).power == 0


@STRICT
@pytest.mark.parametrize(("difference", "equivalent"), [(0, True), (0.0199, True), (0.02, False), (-0.5, False)])
@pytest.mark.parametrize("degrees", [None, 4])
def test_a_difference_without_error_is_certain(difference, equivalent, degrees):
    found = equivalence_test(np.float64(difference), 0, 0.02, degrees)
    assert found.equivalent is equivalent
    assert (found.p_value, found.power) == (0 if equivalent else 1, 1)
    assert (found.low, found.high) == (difference, difference)


@STRICT
@pytest.mark.parametrize("degrees", [None, 1, 4, 1e6])
@pytest.mark.parametrize("standard_error", [1e-300, 1e-9, 1e9])
def test_extreme_standard_errors_give_numbers(degrees, standard_error):
    found = equivalence_test(np.float64(0.001), np.float64(standard_error), 0.02, degrees)
    assert np.isfinite([found.p_value, found.power, found.low, found.high]).all()
    assert json.dumps(found.__dict__, allow_nan=False)


# Agreement


def test_agreement_by_hand():
    found = score_agreement([0.1, 0.2, 0.6, 0.5], [0.1, 0.6, 0.4, 0.5])
    # Deviations from 0.35 and 0.4: products 0.075 - 0.03 + 0 + 0.015; squares sum to 0.17 and 0.14.
    assert found["pearson"] == pytest.approx(0.06 / (0.17 * 0.14) ** 0.5)
    # Ranks 1, 2, 4, 3 and 1, 4, 2, 3: 1 - 6 * (4 + 4) / (4 * 15).
    assert found["spearman"] == pytest.approx(0.2)
    assert found["largest_score_difference"] == pytest.approx(0.4)
    # A score equal to the threshold is no lens.
    assert found["n_calls_differ"] == 2


def test_the_threshold_decides_which_calls_differ():
    assert score_agreement([0.1, 0.2], [0.1, 0.25], 0.2)["n_calls_differ"] == 1


@STRICT
@pytest.mark.parametrize("other", [[0.3, 0.3, 0.3], [0.1, 0.2, 0.3]])
def test_the_correlation_of_equal_scores_is_none(other):
    found = score_agreement([0.5, 0.5, 0.5], other)
    assert (found["pearson"], found["spearman"]) == (None, None)


@STRICT
def test_tiny_scores_have_a_correlation():
    assert score_agreement([1e-200, 2e-200, 3e-200], [0.1, 0.2, 0.3])["pearson"] == pytest.approx(1)


# Mistakes


@pytest.mark.parametrize(
    ("labels", "scores_a", "scores_b", "message"),
    [
        ([1, 1], [0.1, 0.2], [0.1, 0.2], "AUROC is undefined with one class only, got 2 lenses and 0 non-lenses"),
        ([1, 0, 0], [0.1, 0.2, 0.3], [0.1, 0.2, 0.3], "undefined for one stamp in a class, got 1 lenses and 2 non"),
        ([1, 1, 0], [0.1, 0.2, 0.3], [0.1, 0.2, 0.3], "undefined for one stamp in a class, got 2 lenses and 1 non"),
        ([1, 1, 0, 0], [0.1] * 4, [0.1] * 3, "4 labels and 3 scores"),
        ([1, 1, 0, 0], [0.1] * 4, [0.1, 0.2, np.nan, 0.3], "finite, got nan"),
        ([1, 1, 0, 0], [0.1, 0.2, 1.3, 0.3], [0.1] * 4, r"\[0, 1\], got 1.3"),
    ],
)
@pytest.mark.parametrize("function", [delong_test, bootstrap_difference])
def test_bad_labels_and_scores_are_a_sentence_with_the_value(function, labels, scores_a, scores_b, message):
    more = [np.random.RandomState(0)] if function is bootstrap_difference else []
    with pytest.raises(UserError, match=message):
        function(labels, scores_a, scores_b, *more)


@pytest.mark.parametrize("level", [0, 1, 95, float("nan")])
def test_a_level_in_percent_is_a_mistake(level):
    with pytest.raises(UserError, match="level must lie between 0 and 1"):
        delong_test(LABELS, SCORES_A, SCORES_B, level)
    with pytest.raises(UserError, match="level must lie between 0 and 1"):
        bootstrap_difference(LABELS, SCORES_A, SCORES_B, np.random.RandomState(0), level=level)


def test_no_resample_is_a_mistake():
    with pytest.raises(UserError, match="n_resamples must be 1 or more, got 0"):
        bootstrap_difference(LABELS, SCORES_A, SCORES_B, np.random.RandomState(0), 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.01, 0.01, 0), "margin must lie between 0 and 1, got 0"),
        ((0.01, 0.01, 1), "margin must lie between 0 and 1, got 1"),
        ((0.01, 0.01, 2), "margin must lie between 0 and 1, got 2"),
        ((0.01, 0.01, float("nan")), "margin must lie between 0 and 1, got nan"),
        ((float("nan"), 0.01, 0.02), "difference must be finite, got nan"),
        ((0.01, -0.01, 0.02), "0 or more, got -0.01"),
        ((0.01, float("inf"), 0.02), "0 or more, got inf"),
        ((0.01, 0.01, 0.02, 0), "above 0, got 0"),
        ((0.01, 0.01, 0.02, None, 0.5), "alpha must lie between 0 and 0.5, got 0.5"),
        ((0.01, 0.01, 0.02, None, 0), "alpha must lie between 0 and 0.5, got 0"),
    ],
)
def test_numbers_out_of_range_are_a_sentence_with_the_value(arguments, message):
    with pytest.raises(UserError, match=message):
        equivalence_test(*arguments)


def test_scores_of_other_length_cannot_agree():
    with pytest.raises(UserError, match="got 2 labels and 3 scores"):
        score_agreement([0.1, 0.2], [0.1, 0.2, 0.3])


# The verb


def write_table(path, scores=None, is_lens=None, folds=None, ids=None, data_hash="5" * 64):
    """Write a score table of the six stamps, with its JSON, as `score` does."""
    ids = ids or [f"stamp{number}" for number in range(6)]
    is_lens = is_lens or ["1", "1", "1", "0", "0", "0"]
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "path", "fold", "is_lens", "score"])
        for row in zip(ids, folds or [""] * 6, is_lens, SCORES_A if scores is None else scores):
            writer.writerow([row[0], f"{row[0]}.fits.gz", *row[1:]])
    path.with_suffix(".json").write_text(json.dumps({"data": "somewhere/mocks7", "data_hash": data_hash}))
    return path


@pytest.fixture
def tables(tmp_path):
    """Two score tables of the hand case."""
    return write_table(tmp_path / "a.csv"), write_table(tmp_path / "b.csv", SCORES_B)


def compare(*arguments):
    """Exit status of the verb; it asks nothing of a backend."""
    backend = SimpleNamespace(NAME="test", add_options=lambda *_, **__: None, configure=lambda options: None)
    return run_command_line(backend, ["compare", *map(str, arguments)])


def printed(capsys):
    """Lines on stdout by their first word."""
    return dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())


def refused(capsys, *arguments):
    """The one sentence on stderr of a comparison that must be refused."""
    assert compare(*arguments) == 2
    output = capsys.readouterr()
    (line,) = output.err.strip().splitlines()
    assert output.out == ""
    return line


def test_compare_prints_the_hand_case(tables, capsys):
    assert compare(*tables) == 0
    lines = printed(capsys)
    assert (lines["n_stamps"], lines["n_lenses"], lines["n_non_lenses"]) == ("6", "3", "3")
    assert lines["auroc_a"].startswith("0.8889 [") and lines["auroc_a"].endswith("a.csv")
    assert lines["auroc_b"].startswith("0.7222 [") and lines["auroc_b"].endswith("b.csv")
    # -1/6 -+ 1.95996 * 0.30429, and a p of twice the normal beyond 0.3 ** 0.5.
    assert lines["difference"].startswith("-0.1667 [-0.7631, +0.4297]")
    assert lines["difference"].endswith("p 0.584")
    assert "not shown to be equivalent within 0.02" in lines["equivalence"]
    assert lines["power"].startswith("0.0000")
    assert lines["n_calls_differ"].startswith("3 of 6 at a threshold of 0.5")


def test_compare_prints_the_same_again(tables, capsys):
    assert compare(*tables) == 0
    first = capsys.readouterr().out
    assert compare(*tables) == 0
    assert capsys.readouterr().out == first


def test_compare_without_a_figure_asks_for_no_volume(tables, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LENS_VOLUME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert compare(*tables) == 0
    assert capsys.readouterr().err == ""


def test_compare_takes_margin_and_threshold(tables, capsys):
    assert compare(*tables, "--margin", "0.9", "--threshold", "0.7") == 0
    lines = printed(capsys)
    assert ", equivalent within 0.9" in lines["equivalence"]
    assert lines["n_calls_differ"].startswith("0 of 6 at a threshold of 0.7")


def test_identical_tables_are_equivalent(tables, capsys):
    assert compare(tables[0], tables[0]) == 0
    output = capsys.readouterr()
    lines = dict(line.split(None, 1) for line in output.out.splitlines())
    assert lines["difference"].endswith("p 1")
    assert ", equivalent within 0.02" in lines["equivalence"]
    assert output.err == ""


def test_scores_that_differ_without_variance_are_told(tables, tmp_path, capsys):
    assert compare(tables[0], write_table(tmp_path / "b.csv", SCORES_A / 2)) == 0
    assert "DeLong's variance is zero" in capsys.readouterr().err


def test_rows_are_paired_by_id(tables, tmp_path, capsys):
    order = [5, 3, 1, 0, 2, 4]
    ids = [f"stamp{number}" for number in order]
    write_table(tmp_path / "b.csv", SCORES_B[order], [str(int(LABELS[number])) for number in order], ids=ids)
    assert compare(*tables) == 0
    assert printed(capsys)["difference"].startswith("-0.1667 [-0.7631, +0.4297]")


def test_stamps_that_either_has_learned_from_are_left_out(tables, tmp_path, capsys):
    # Without the third lens and the first non-lens: a is right in 4 of 4 pairs, b in 3.
    write_table(tmp_path / "a.csv", folds=["test", "", "train", "test", "", "test"])
    write_table(tmp_path / "b.csv", SCORES_B, folds=["", "test", "test", "validation", "", "dropped"])
    assert compare(*tables) == 0
    output = capsys.readouterr()
    assert "2 stamps that either network trained or validated on are left out" in output.err
    lines = dict(line.split(None, 1) for line in output.out.splitlines())
    assert lines["n_stamps"] == "4"
    assert lines["difference"].startswith("-0.2500 ")


def test_unlabelled_stamps_are_left_out(tables, tmp_path, capsys):
    for path, scores in zip(tables, (SCORES_A, SCORES_B)):
        write_table(path, scores, ["1", "1", "", "", "0", "0"])
    assert compare(*tables) == 0
    output = capsys.readouterr()
    assert "2 stamps without a label are left out" in output.err
    assert dict(line.split(None, 1) for line in output.out.splitlines())["n_stamps"] == "4"


def test_compare_writes_a_figure_and_all_numbers(tables, tmp_path, capsys):
    out = tmp_path / "new" / "compared.png"
    assert compare(*tables, "--out", out) == 0
    assert "wrote" in capsys.readouterr().out
    assert sorted(path.name for path in out.parent.iterdir()) == ["compared.json", "compared.png"]
    assert out.read_bytes().startswith(b"\x89PNG")
    found = json.loads(out.with_suffix(".json").read_text())
    assert found["difference"]["difference"] == pytest.approx(-1.5 / 9)
    assert found["difference"]["standard_error"] == pytest.approx((2.5 / 27) ** 0.5)
    assert (found["equivalence"]["margin"], found["equivalence"]["equivalent"]) == (0.02, False)
    assert found["bootstrap"]["low"] <= -1.5 / 9 <= found["bootstrap"]["high"]
    assert found["agreement"]["n_calls_differ"] == 3
    assert (found["n_stamps"], found["n_trained_or_validated_on"], found["n_unlabelled"]) == (6, 0, 0)
    for side in "ab":
        assert (found[side]["table"], found[side]["data_hash"]) == (str(tmp_path / f"{side}.csv"), "5" * 64)
        assert found[side]["auroc_low"] < found["difference"][f"auroc_{side}"] < found[side]["auroc_high"]


def test_other_data_are_refused_with_both_hashes(tables, tmp_path, capsys):
    write_table(tmp_path / "b.csv", SCORES_B, data_hash="7" * 64)
    line = refused(capsys, *tables)
    assert "a.csv scores the data 555555555555," in line and "b.csv the data 777777777777;" in line


@pytest.mark.parametrize(
    "content",
    [
        None,
        "{",
        "[]",
        "{}",
        '{"data": 5, "data_hash": "5"}',
        '{"data": "d", "data_hash": null}',
        "\udcff",
        '{"data": "d", "data_hash": "5", "x": NaN}',
    ],
)
def test_a_missing_or_damaged_json_is_refused(tables, capsys, content):
    beside = tables[1].with_suffix(".json")
    beside.unlink()
    if content is not None:
        beside.write_bytes(content.encode(errors="surrogateescape"))
    assert f"{beside}, which says what stamps {tables[1]} scores, is missing or damaged" in refused(capsys, *tables)


def test_other_ids_are_refused(tables, tmp_path, capsys):
    write_table(tmp_path / "b.csv", SCORES_B, ids=[f"stamp{number}" for number in range(1, 7)])
    line = refused(capsys, *tables)
    assert "2 ids are in one of" in line and "stamp0 the first" in line


def test_other_labels_are_refused(tables, tmp_path, capsys):
    write_table(tmp_path / "b.csv", SCORES_B, ["1", "1", "1", "0", "1", "0"])
    assert "disagree on is_lens of 1 stamps, stamp4 the first" in refused(capsys, *tables)


@pytest.mark.parametrize("score", ["nan", "inf", "-inf", "-0.1", "1.1", "", "high"])
def test_a_bad_score_is_refused_with_file_and_id(tables, tmp_path, capsys, score):
    write_table(tmp_path / "b.csv", [*SCORES_B[:4], score, 0.1])
    line = refused(capsys, *tables)
    assert "b.csv: the score of stamp4 is" in line and repr(score) in line


def test_a_bad_label_is_refused_with_file_and_id(tables, tmp_path, capsys):
    write_table(tmp_path / "a.csv", is_lens=["1", "1", "1", "0", "yes", "0"])
    assert "a.csv: is_lens of stamp4 is 'yes'" in refused(capsys, *tables)


def test_a_row_that_ends_early_is_refused(tables, capsys):
    tables[0].write_text(tables[0].read_text() + "stamp6,stamp6.fits.gz\n")
    assert "the score of stamp6 is None" in refused(capsys, *tables)


def test_an_id_that_comes_twice_is_refused(tables, tmp_path, capsys):
    write_table(tmp_path / "a.csv", ids=["stamp0"] * 6)
    assert "a.csv holds 6 rows of 1 ids" in refused(capsys, *tables)


@pytest.mark.parametrize(
    ("content", "word"), [("", "rows"), ("id,score\n1,0.5\n", "path, fold, is_lens"), ("x" * 200_000, "field larger")]
)
def test_a_file_that_is_no_score_table_is_refused(tables, capsys, content, word):
    tables[0].write_text(content)
    line = refused(capsys, *tables)
    assert "a.csv is not a score table" in line and word in line


def test_a_missing_table_is_refused(tables, tmp_path, capsys):
    assert "none.csv: No such file" in refused(capsys, tables[0], tmp_path / "none.csv")


def test_tables_without_labels_are_refused(tables, capsys):
    for path in tables:
        write_table(path, is_lens=[""] * 6)
    assert "a.csv has no labels" in refused(capsys, *tables)


def test_tables_of_one_class_are_refused(tables, capsys):
    for path in tables:
        write_table(path, is_lens=["1"] * 6)
    assert "AUROC is undefined with one class only, got 6 lenses and 0 non-lenses" in refused(capsys, *tables)


def test_tables_of_trained_stamps_alone_are_refused(tables, capsys):
    write_table(tables[0], folds=["train", "validation"] * 3)
    assert "share no labelled stamp that neither network trained or validated on" in refused(capsys, *tables)


@pytest.mark.parametrize(("margin", "word"), [("0", "got 0.0"), ("1.5", "got 1.5"), ("nan", "got nan")])
def test_a_margin_out_of_range_is_refused(tables, capsys, margin, word):
    line = refused(capsys, *tables, "--margin", margin)
    assert "a margin must lie between 0 and 1" in line and word in line


def test_a_figure_of_another_kind_is_refused(tables, tmp_path, capsys):
    assert "--out must end in .png" in refused(capsys, *tables, "--out", tmp_path / "compared.pdf")


def test_a_figure_never_replaces_the_json_of_a_table(tables, capsys):
    before = tables[1].with_suffix(".json").read_text()
    assert "b.json, which is read" in refused(capsys, *tables, "--out", tables[1].with_suffix(".png"))
    assert tables[1].with_suffix(".json").read_text() == before
