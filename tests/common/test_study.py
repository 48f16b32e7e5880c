"""Presets and defects, against the published numbers of the study of 2018."""

from dataclasses import replace

import numpy as np
import pytest

from lens_common.errors import UserError
from lens_common.learning.presets import (
    DEFECTS,
    PRESETS,
    defective_data,
    defective_folds,
    defective_settings,
    overwrite_class,
    resolve_defects,
    validate_on_train,
)
from lens_common.learning.training import TrainingData, TrainingSettings, learning_rate_at

MENDED = TrainingSettings(epochs=50, batch_size=128, learning_rate=1e-4, rate_steps=3, rate_drop=0.1, scaling="sigma")


def numbered(labels, validation_labels=()):
    """Make one-pixel stamps that hold their own number; those of validation begin at 100."""
    return TrainingData(
        np.arange(len(labels), dtype=np.float32).reshape(-1, 1, 1, 1),
        np.array(labels, bool),
        100 + np.arange(len(validation_labels), dtype=np.float32).reshape(-1, 1, 1, 1),
        np.array(validation_labels, bool),
    )


# What each defect does.


def test_overwriting_gives_each_non_lens_the_pixels_of_a_lens():
    data = overwrite_class(numbered([1, 0, 1, 0, 0, 0]))
    # The lenses are stamps 0 and 2; the four others take them in turn.
    assert data.stamps.ravel().tolist() == [0, 0, 2, 2, 0, 2]


def test_overwriting_makes_both_classes_hold_the_same_pictures():
    random_state = np.random.RandomState(0)
    labels = random_state.permutation(40) < 20
    data = overwrite_class(replace(numbered(labels), stamps=random_state.normal(size=(40, 1, 3, 3))))
    pictures = [sorted(stamp.tobytes() for stamp in data.stamps[labels == label]) for label in (True, False)]
    assert pictures[0] == pictures[1]


def test_overwriting_keeps_the_lenses_and_all_labels():
    before = numbered([0, 1, 1, 0], [1, 0])
    data = overwrite_class(before)
    assert data.stamps[[1, 2]].ravel().tolist() == [1, 2]
    assert data.labels.tolist() == [False, True, True, False]
    assert data.validation_labels.tolist() == [True, False]


def test_overwriting_overwrites_validation_stamps_by_validation_lenses():
    data = overwrite_class(numbered([1, 0], [0, 1, 0]))
    assert data.validation_stamps.ravel().tolist() == [101, 101, 101]


def test_overwriting_does_not_touch_what_it_was_given():
    before = numbered([1, 0, 1, 0])
    overwrite_class(before)
    assert before.stamps.ravel().tolist() == [0, 1, 2, 3]


def test_without_a_lens_nothing_is_overwritten():
    assert overwrite_class(numbered([1, 0], [0, 0])).validation_stamps.ravel().tolist() == [100, 101]


def test_validating_on_the_training_stamps_trains_on_all_and_watches_the_same():
    data = validate_on_train(numbered([1, 0] * 4, [0, 1, 1]))
    assert data.stamps.ravel().tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 100, 101, 102]
    assert data.labels.tolist() == [True, False] * 4 + [False, True, True]
    assert data.validation_stamps.ravel().tolist() == [100, 101, 102]
    assert data.validation_labels.tolist() == [False, True, True]


def test_every_stamp_watched_is_one_trained_on():
    data = validate_on_train(numbered([1, 0] * 10, [0, 1] * 3))
    assert set(data.validation_stamps.ravel()) <= set(data.stamps.ravel())
    assert len(data.validation_labels) == 6


def test_validating_on_the_training_stamps_holds_out_no_test_fold():
    folds = np.array(["train", "test", "validation", "train", "test"])
    expected = ["train", "validation", "validation", "train", "validation"]
    assert defective_folds(folds, ["class_overwrite", "validate_on_train"]).tolist() == expected


@pytest.mark.parametrize("name", ["class_overwrite", "sign_clip", "raw_pixels", "rate_never_drops"])
def test_other_defects_leave_the_folds(name):
    folds = np.array(["train", "test", "validation"])
    assert defective_folds(folds, [name]) is folds


def test_sign_clip_chooses_the_scaling_of_that_name():
    assert defective_settings(MENDED, ["sign_clip"]) == replace(MENDED, scaling="sign-clip")


def test_raw_pixels_chooses_the_scaling_raw():
    assert defective_settings(MENDED, ["raw_pixels"]) == replace(MENDED, scaling="raw")


def test_rate_collapse_drops_the_rate_by_a_thousand():
    assert defective_settings(MENDED, ["rate_collapse"]) == replace(MENDED, rate_drop=0.001)


def test_rate_never_drops_keeps_the_rate_of_the_first_epoch():
    settings = defective_settings(MENDED, ["rate_never_drops"])
    assert {learning_rate_at(epoch, settings) for epoch in range(50)} == {1e-4}


@pytest.mark.parametrize("name", ["class_overwrite", "validate_on_train"])
def test_defects_of_the_data_leave_the_settings(name):
    assert defective_settings(MENDED, [name]) == MENDED


@pytest.mark.parametrize("name", ["sign_clip", "rate_collapse", "raw_pixels"])
def test_defects_of_the_settings_leave_the_data(name):
    data = numbered([1, 0], [1])
    assert defective_data(data, [name]) is data


def test_settings_of_several_defects_add_up():
    assert defective_settings(MENDED, ["sign_clip", "rate_collapse"]) == replace(
        MENDED, scaling="sign-clip", rate_drop=0.001
    )


def test_defects_of_the_data_are_done_one_after_the_other():
    data = defective_data(numbered([1, 0, 1, 0], [0]), ["validate_on_train"])
    assert data.stamps.ravel().tolist() == [0, 1, 2, 3, 100]
    both = defective_data(numbered([1, 0, 1, 0], [0, 1]), ["class_overwrite", "validate_on_train"])
    assert both.stamps.ravel().tolist() == [0, 0, 2, 2, 101, 101]


def test_without_defects_nothing_changes():
    data = numbered([1, 0])
    assert defective_data(data, []) is data
    assert defective_settings(MENDED, []) is MENDED


# Which defects a name stands for.


def test_the_defects_are_those_of_the_issue():
    expected = {"class_overwrite", "validate_on_train", "sign_clip", "raw_pixels", "rate_never_drops", "rate_collapse"}
    assert set(DEFECTS) == expected


@pytest.mark.parametrize(
    ("preset", "model", "expected"),
    [
        # study-2018.md, "What went wrong", column "where".
        ("study-200", "resnet", {"validate_on_train", "sign_clip", "rate_never_drops"}),
        ("study-200", "cnn", {"validate_on_train", "raw_pixels"}),
        ("study-2000", "resnet", {"class_overwrite", "validate_on_train", "sign_clip", "rate_never_drops"}),
        ("study-2000", "cnn", {"class_overwrite", "validate_on_train"}),
        ("study-20000", "resnet", {"class_overwrite", "validate_on_train", "sign_clip", "rate_never_drops"}),
        ("study-20000", "cnn", {"validate_on_train", "raw_pixels"}),
    ],
)
def test_study_stands_for_all_that_was_wrong_with_that_run(preset, model, expected):
    assert set(resolve_defects(["study"], PRESETS[preset], model)) == expected


@pytest.mark.parametrize("preset", ["demo", "deeplens"])
def test_study_needs_a_preset_of_the_study(preset):
    with pytest.raises(UserError, match="`defects` study goes with a preset of the study; choose `preset` study-200"):
        resolve_defects(["study"], PRESETS[preset], "resnet")


def test_defects_by_name_go_with_any_preset():
    assert resolve_defects(["rate_collapse"], PRESETS["demo"], "cnn") == ("rate_collapse",)


def test_defects_take_effect_in_one_order_however_they_are_named():
    expected = ("class_overwrite", "validate_on_train", "sign_clip", "rate_collapse")
    assert resolve_defects(expected[::-1], PRESETS["demo"], "resnet") == expected
    assert resolve_defects(expected, PRESETS["demo"], "resnet") == expected


def test_a_defect_named_twice_takes_effect_once():
    names = ["study", "sign_clip", "sign_clip"]
    expected = ("validate_on_train", "sign_clip", "rate_never_drops")
    assert resolve_defects(names, PRESETS["study-200"], "resnet") == expected


def test_no_names_are_no_defects():
    assert resolve_defects([], PRESETS["study-2000"], "resnet") == ()


@pytest.mark.parametrize("name", ["sign-clip", "Study", "", "purity_as_fpr"])
def test_an_unknown_defect_is_refused_with_the_known_ones(name):
    with pytest.raises(UserError, match=f"no defect named '{name}'; choose study or any of class_overwrite"):
        resolve_defects([name], PRESETS["demo"], "resnet")


def test_two_defects_that_choose_the_scaling_are_refused():
    with pytest.raises(UserError, match="raw_pixels and sign_clip each choose the scaling; keep one of them"):
        resolve_defects(["sign_clip", "raw_pixels"], PRESETS["demo"], "resnet")


def test_a_rate_that_never_drops_and_one_that_collapses_are_refused():
    with pytest.raises(UserError, match="rate_collapse and rate_never_drops each choose the rate_drop; keep one"):
        resolve_defects(["study", "rate_collapse"], PRESETS["study-2000"], "resnet")


def test_a_scaling_named_beside_that_of_the_study_is_refused():
    with pytest.raises(UserError, match="raw_pixels and sign_clip each choose the scaling"):
        resolve_defects(["study", "sign_clip"], PRESETS["study-200"], "cnn")


# The published numbers, typed from study-2018.md.


@pytest.mark.parametrize(
    ("preset", "n_stamps"), [("study-200", 200), ("study-2000", 2000), ("study-20000", 20000), ("deeplens", 20000)]
)
def test_a_preset_takes_as_many_stamps_as_were_taken(preset, n_stamps):
    assert PRESETS[preset].n_stamps == n_stamps


@pytest.mark.parametrize("preset", ["study-200", "study-2000", "study-20000"])
def test_a_preset_of_the_study_takes_no_more_stamps_than_the_study(preset):
    assert PRESETS[preset].at_most


@pytest.mark.parametrize("preset", ["study-200", "study-2000", "study-20000"])
def test_the_studys_resnet_has_its_published_settings_with_the_drop_mended(preset):
    settings = PRESETS[preset].settings["resnet"]
    assert (settings.epochs, settings.batch_size, settings.learning_rate) == (50, 128, 1e-4)
    assert (settings.rate_steps, settings.rate_drop) == (3, 0.1)
    assert settings.drop_tail
    assert settings.augmented


@pytest.mark.parametrize("preset", ["demo", "deeplens", "study-200", "study-2000", "study-20000"])
def test_augmented_stamps_take_the_nearest_pixel_as_keras_1_did(preset):
    assert PRESETS[preset].settings["resnet"].interpolation == "nearest"


@pytest.mark.parametrize(
    ("preset", "epochs", "batch_size"), [("study-200", 5, 97), ("study-2000", 30, 194), ("study-20000", 5, 97)]
)
def test_the_studys_cnn_has_its_published_settings(preset, epochs, batch_size):
    settings = PRESETS[preset].settings["cnn"]
    assert (settings.epochs, settings.batch_size) == (epochs, batch_size)
    # Keras 2's RMSprop: 0.001 throughout, and no ImageDataGenerator.
    assert (settings.learning_rate, settings.rate_steps) == (1e-3, 1)
    assert not settings.augmented


@pytest.mark.parametrize("preset", ["study-200", "study-2000", "study-20000"])
@pytest.mark.parametrize("model", ["resnet", "cnn"])
def test_the_studys_scalings_are_mended(preset, model):
    assert PRESETS[preset].settings[model].scaling not in ("raw", "sign-clip")


def test_deeplens_is_the_published_recipe():
    settings = PRESETS["deeplens"].settings["resnet"]
    assert (settings.epochs, settings.batch_size, settings.learning_rate) == (120, 128, 1e-3)
    assert (settings.rate_steps, settings.rate_drop) == (3, 0.1)  # divided by 10 every 40 epochs
    assert (settings.augmented, settings.drop_tail, settings.scaling) == (True, True, "deeplens")


def test_every_preset_has_settings_for_both_models():
    assert {name: sorted(preset.settings) for name, preset in PRESETS.items()} == {
        name: ["cnn", "resnet"] for name in ("demo", "deeplens", "study-200", "study-2000", "study-20000")
    }
