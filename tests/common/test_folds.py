"""Folds by hash: nothing but seed and id decides."""

import numpy as np

from lens_common.data.folds import assign_folds, hash_fraction

IDS = [f"lensed_outputs/{number // 1000}/lensed_{number}" for number in range(20_000)]


def test_the_hash_of_one_id_is_that_of_sha256sum():
    # printf 'fold:7:lensed_outputs/0/lensed_7' | sha256sum begins with 754f9a23dcd858.
    assert hash_fraction(7, "lensed_outputs/0/lensed_7") == 0x754F9A23DCD858 / 2**56


def test_the_fold_of_that_id_follows_from_its_hash():
    # 0x75 / 256 is about 0.46: below 0.8.
    assert list(assign_folds(["lensed_outputs/0/lensed_7"], 7)) == ["train"]


def test_the_edges_of_the_folds_are_eight_and_nine_tenths(monkeypatch):
    positions = {"a": 0.0, "b": 0.7999, "c": 0.8001, "d": 0.8999, "e": 0.9001, "f": 0.9999}
    monkeypatch.setattr("lens_common.data.folds.hash_fraction", lambda seed, stamp_id: positions[stamp_id])
    folds = assign_folds(list("abcdef"), 0)
    assert list(folds) == ["train", "train", "validation", "validation", "test", "test"]


def test_adding_stamps_moves_no_other():
    before = assign_folds(IDS[5:3000:3], 1)
    after = dict(zip(IDS, assign_folds(IDS, 1)))
    assert [after[stamp_id] for stamp_id in IDS[5:3000:3]] == list(before)


def test_the_order_of_the_stamps_does_not_matter():
    assert list(assign_folds(IDS[::-1], 1)[::-1]) == list(assign_folds(IDS, 1))


def test_the_proportions_over_20000_stamps_are_within_five_binomial_deviations():
    folds = assign_folds(IDS, 0)
    # sqrt(20000 * 0.8 * 0.2) = 56.6 and sqrt(20000 * 0.1 * 0.9) = 42.4.
    assert abs((folds == "train").sum() - 16_000) < 5 * 56.6
    assert abs((folds == "validation").sum() - 2_000) < 5 * 42.4
    assert abs((folds == "test").sum() - 2_000) < 5 * 42.4


def test_another_seed_gives_independent_folds():
    first, second = assign_folds(IDS, 0), assign_folds(IDS, 1)
    # Independent folds agree on 0.8^2 + 0.1^2 + 0.1^2 = 0.66 of the stamps; deviation sqrt(.66 * .34 / 20000) = 0.0034.
    assert abs(np.mean(first == second) - 0.66) < 5 * 0.0034


def test_the_same_seed_gives_the_same_folds():
    assert list(assign_folds(IDS, 3)) == list(assign_folds(IDS, 3))


def test_another_purpose_draws_another_number():
    assert hash_fraction(7, "a", "order") != hash_fraction(7, "a", "fold")


def test_no_stamps_have_no_folds():
    assert assign_folds([], 0).shape == (0,)
