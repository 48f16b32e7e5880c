"""The radial regression: its features against rings counted by hand, and what it finds where something is planted."""

import json

import numpy as np
import pytest

from experiments.reproduction import radial
from lens_common.errors import UserError
from lens_common.scores.metrics import auroc, auroc_interval
from lens_common.scores.tables import read_scores


def features_of(stamp):
    """Features of one stamp (45, 45), by name, asinh taken back."""
    return dict(zip(radial.FEATURES, np.sinh(radial.radial_features(np.asarray(stamp, np.float32)[None, None])[0])))


def dark(**pixels):
    """Stamp of zeros, so of no noise, which counts as a noise of 1, with some pixels at (x, y) from the centre."""
    stamp = np.zeros((45, 45))
    for value, places in pixels.items():
        for x, y in places:
            stamp[22 + y, 22 + x] = float(value[1:])
    return stamp


def speckled(noise_step=1.0):
    """As many pixels at -step as at 0 and at +step: median 0, median absolute deviation 1 step, sum 0."""
    pixels = np.repeat([-noise_step, 0, noise_step], 675)
    return np.random.RandomState(0).permutation(pixels).reshape(45, 45)


def classes(n_stamps, core_counts):
    """Noise in all stamps, and in the core of each lens so many counts more."""
    random_state = np.random.RandomState(1)
    labels = np.arange(n_stamps) % 2 == 0
    stamps = random_state.normal(0, 1, (n_stamps, 1, 45, 45)).astype(np.float32)
    stamps[labels, :, 21:24, 21:24] += core_counts
    return stamps, labels


# Features.


def test_a_bright_centre_is_in_the_first_ring_of_21_pixels():
    # x^2 + y^2 < 2.75^2: 1 at the centre, 4 at 1, 4 at sqrt 2, 4 at 2, 8 at sqrt 5.
    found = features_of(dark(v10=[(0, 0)]))
    expected = {"mean_ring1": 10 / 21, "scatter_ring1": 10 * np.sqrt(20) / 21, "brightest_ring1": 10}
    expected.update(total=10, n_bright_within_15px=1)
    assert {name: value for name, value in found.items() if value} == pytest.approx(expected)


def test_rings_begin_at_their_inner_radius_and_the_last_holds_22():
    found = features_of(dark(v2=[(2, 2), (11, 0), (0, -22)]))  # at sqrt 8, 11 = 4 * 2.75, and 22 = 8 * 2.75
    assert [found[f"brightest_ring{ring}"] for ring in range(1, 9)] == pytest.approx([0, 2, 0, 0, 2, 0, 0, 2])


def test_corners_are_in_the_total_and_the_counts_only():
    found = features_of(dark(v8=[(22, 22), (-22, 22)]))
    assert {name: value for name, value in found.items() if value} == pytest.approx(
        {"total": 16, "n_bright_beyond_15px": 2}
    )


def test_pixels_count_as_bright_above_5_sigma_and_15_pixels_are_still_within():
    found = features_of(dark(v6=[(9, 12), (0, 15), (16, 0)], v5=[(1, 1), (20, 0)]))
    assert found["n_bright_within_15px"] == pytest.approx(2)
    assert found["n_bright_beyond_15px"] == pytest.approx(1)


def test_counts_are_in_units_of_the_noise_and_the_sky_stays():
    found = features_of(speckled() + 20)
    noise = 1.4826022185056018  # of a median absolute deviation of 1
    assert found["total"] == pytest.approx(20 * 2025 / noise)
    assert found["brightest_ring4"] == pytest.approx(21 / noise)
    assert found["n_bright_within_15px"] == found["n_bright_beyond_15px"] == 0  # 20 counts above 0, none above the sky


def test_features_do_not_change_with_the_unit():
    stamps = np.stack([speckled(1.0) + 3, 64 * (speckled(1.0) + 3)]).astype(np.float32)[:, None]
    one, other = radial.radial_features(stamps)
    assert np.array_equal(one, other)


def test_features_do_not_change_when_a_stamp_is_turned():
    stamp = np.random.RandomState(2).normal(0, 1, (45, 45)).astype(np.float32)
    one, other = radial.radial_features(np.stack([stamp, np.rot90(stamp)])[:, None])
    assert other == pytest.approx(one, abs=1e-12)


def test_stamps_of_another_shape_are_refused():
    with pytest.raises(UserError, match=r"got \(2, 1, 44, 44\)"):
        radial.radial_features(np.zeros((2, 1, 44, 44)))


# What it finds.


def test_a_planted_difference_is_found_by_features_and_by_scores():
    stamps, labels = classes(200, core_counts=3)
    learned = radial.Labelled(radial.radial_features(stamps), labels)
    scores, _, _ = radial.cross_validate(learned)
    assert auroc(labels, scores) > 0.99
    coefficients = dict(zip(radial.FEATURES, radial.fit_regression(learned)[-1].coef_[0]))
    assert max(coefficients, key=coefficients.get).endswith("ring1")


def test_equal_classes_give_chance_though_the_regression_could_learn_them_by_heart():
    stamps, labels = classes(100, core_counts=0)
    learned = radial.Labelled(radial.radial_features(stamps), labels)
    scores, _, _ = radial.cross_validate(learned)
    low, high = auroc_interval(labels, scores)
    assert low < 0.5 < high
    assert auroc(labels, radial.fit_regression(learned).predict_proba(learned.features)[:, 1]) > 0.75


def test_each_fifth_holds_a_fifth_of_each_class():
    stamps, labels = classes(50, core_counts=0)
    _, parts, models = radial.cross_validate(radial.Labelled(radial.radial_features(stamps), labels))
    assert len(models) == 5
    assert [[int((parts[labels == kind] == part).sum()) for part in range(1, 6)] for kind in (0, 1)] == [[5] * 5] * 2


# The command.


@pytest.fixture
def folders(write_stamps):
    """40 stamps to learn from; a set of 10 new ones, 6 of these 40, and one under the name of another."""
    stamps, labels = classes(51, core_counts=3)
    train = write_stamps("train", stamps[:40, 0], labels[:40])
    known = [*range(0, 6)]
    mixed = np.concatenate([stamps[known, 0], stamps[40:51, 0]])  # stamps 6 to 16 are new, named as others in train
    return train, write_stamps("mixed", mixed, np.concatenate([labels[known], labels[40:51]]))


def test_stamps_that_were_trained_on_are_left_out_and_others_of_their_name_are_not(folders, tmp_path, capsys):
    train, mixed = folders
    assert radial.main([train, str(tmp_path / "out"), f"mixed={mixed}"]) == 0
    table = read_scores(tmp_path / "out" / "scores-mixed.csv")
    assert sorted(int(row["path"].split("stamp")[1][:-5]) for row in table.values()) == [*range(6, 17)]
    assert {row["fold"] for row in table.values()} == {""}
    said = capsys.readouterr()
    assert "mixed: 6 of 17 stamps were trained on" in said.err and "mixed: AUROC 1.000" in said.out


def test_tables_say_where_they_come_from_and_are_the_same_the_second_time(folders, tmp_path):
    train, mixed = folders
    for name in ("one", "two"):
        assert radial.main([train, str(tmp_path / name), f"mixed={mixed}", "--cross-validate", "mixed"]) == 0
    for file in ("scores-mixed.csv", "scores-mixed-cv.csv", "coefficients.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    about, of_parts = (
        json.loads((tmp_path / "one" / f"scores-{name}.json").read_text()) for name in ("mixed", "mixed-cv")
    )
    assert (about["run"], about["model"], about["n_stamps"]) == ("one", "radial logistic regression", 11)
    assert len(about["model_hash"]) == 64 and about["model_hash"] != of_parts["model_hash"]
    lines = (tmp_path / "one" / "coefficients.csv").read_text().splitlines()
    assert lines[0] == "feature,per_standard_deviation"
    assert [line.split(",")[0] for line in lines[1:]] == [*radial.FEATURES]


def test_cross_validation_scores_every_labelled_stamp_of_its_set_once(folders, tmp_path):
    train, mixed = folders
    assert radial.main([train, str(tmp_path / "out"), f"mixed={mixed}", "--cross-validate", "mixed"]) == 0
    table = read_scores(tmp_path / "out" / "scores-mixed-cv.csv")
    assert len(table) == 17
    assert {row["fold"] for row in table.values()} == {"cv1", "cv2", "cv3", "cv4", "cv5"}


def test_stamps_without_labels_are_scored_all_the_same(folders, write_stamps, tmp_path, capsys):
    unknown = write_stamps("unknown", classes(3, core_counts=0)[0][:, 0])
    assert radial.main([folders[0], str(tmp_path / "out"), f"unknown={unknown}"]) == 0
    assert {row["is_lens"] for row in read_scores(tmp_path / "out" / "scores-unknown.csv").values()} == {""}
    assert "no AUROC" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sets", "named"),
    [
        (["nowhere"], "a set is NAME=DATA"),
        (["a/b=nowhere"], "a set is NAME=DATA"),
        (["a-cv=nowhere"], "not ending in -cv"),
        (["a=nowhere", "a=elsewhere"], "two sets are named a"),
        (["a=nowhere", "--cross-validate", "b"], "no set is named b"),
        (["a=nowhere"], "nowhere is not a folder"),
    ],
)
def test_a_mistake_is_one_sentence(folders, monkeypatch, tmp_path, capsys, sets, named):
    monkeypatch.chdir(tmp_path)
    assert radial.main([folders[0], "out", *sets]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("radial: ")]
    assert len(error) == 1 and named in error[0]


def test_one_class_alone_teaches_nothing(write_stamps, tmp_path, capsys):
    train = write_stamps("train", np.ones((3, 45, 45)), [True] * 3)
    assert radial.main([train, str(tmp_path / "out"), f"a={train}"]) == 2
    assert "holds 3 lenses and 0 non-lenses" in capsys.readouterr().err
