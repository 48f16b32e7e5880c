"""Both twins against numbers that the programs of 2017 and 2018 gave; README.md says how those were made."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lens_common.learning.presets import PRESETS, defective_settings
from lens_common.learning.training import clipped_loss, learning_rate_at

HERE = Path(__file__).resolve().parent
STEPS, AUGMENTATION = HERE / "deeplens_ten_steps.npz", HERE / "augmentation_keras122.npz"
FACTS = json.loads((HERE / "facts.json").read_text())
# Of what the original prints with four digits.
LOSS_OF_A_WRONG_STAMP = 16.0302

both_sides = pytest.mark.parametrize("side", ["legacy", "modern"])


@pytest.fixture(scope="module")
def original():
    return {**np.load(STEPS), **{f"aug/{name}": values for name, values in np.load(AUGMENTATION).items()}}


@pytest.fixture(scope="module")
def records(legacy_workers, tmp_path_factory):
    """What each twin computes, by side."""
    folder = tmp_path_factory.mktemp("original")

    def record(job):
        side, dtype = job
        out = folder / f"{side}-{dtype}.npz"
        work = [HERE / "record.py", side, dtype, STEPS, AUGMENTATION, out]
        if side == "legacy":
            legacy_workers[dtype].do(*work)
        else:
            done = subprocess.run([sys.executable, *map(str, work)], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr[-3000:]
        return side, dict(np.load(out))

    jobs = [("legacy", "float64"), ("legacy", "float32"), ("modern", "float64"), ("modern", "float32")]
    found = {"legacy": {}, "modern": {}}
    with ThreadPoolExecutor(2) as pool:
        for side, arrays in pool.map(record, jobs):
            found[side].update(arrays)
    return found


@both_sides
def test_the_network_has_the_arrays_of_the_original(records, original, side):
    assert sorted(records[side]["names"]) == sorted(original["names"])
    assert len(original["names"]) == FACTS["network"]["arrays"]


@both_sides
@pytest.mark.parametrize("when", ["after0", "after1", "after10"])
def test_every_array_is_that_of_the_original_after_as_many_steps(records, original, side, when):
    rows = [[*records[side]["names"]].index(name) for name in original["names"]]
    apart = np.abs(records[side][when][rows] - original[when])
    assert apart.max() <= 1e-8, original["names"][apart.max(axis=1).argmax()]


@both_sides
def test_the_loss_of_each_of_the_ten_steps_is_that_of_the_original(records, original, side):
    assert np.abs(records[side]["losses"] - original["losses"]).max() <= 1e-8


@both_sides
def test_the_probabilities_before_and_after_ten_steps_are_those_of_the_original(records, original, side):
    for when in ("probabilities_after0", "probabilities_after10"):
        assert np.abs(records[side][when] - original[when]).max() <= 1e-8


@both_sides
def test_the_logits_after_ten_steps_are_those_of_the_original(records, original, side):
    # The probabilities are as small as 1e-13, where an absolute difference says little.
    ours, theirs = (
        np.log(p) - np.log1p(-p) for p in (found["probabilities_after10"] for found in (records[side], original))
    )
    assert np.abs(theirs).max() > 25
    assert np.abs(ours - theirs).max() <= 1e-8


@both_sides
def test_augmented_stamps_are_those_of_the_original_to_the_last_bit(records, original, side):
    for name in ("augmented", "augmented_4_bands"):
        assert records[side][name].tobytes() == original[f"aug/{name}"].tobytes()


@both_sides
@pytest.mark.parametrize("pixels, inputs", zip((45, 64, 101), FACTS["network"]["dense inputs at 45, 64, 101 px"]))
def test_the_dense_layer_has_the_inputs_of_the_original_whatever_the_size_of_the_stamps(records, side, pixels, inputs):
    assert records[side][f"dense_inputs{pixels}"] == inputs
    assert records[side][f"parameters{pixels}"] == FACTS["network"]["trainable parameters, 1 band, 45 px"]


def rates(settings):
    """First epoch of each learning rate, as the original's numbers are written."""
    every = [learning_rate_at(epoch, settings) for epoch in range(settings.epochs)]
    return [[epoch, rate] for epoch, rate in enumerate(every) if epoch == 0 or rate != every[epoch - 1]]


@pytest.mark.parametrize(
    "row, preset, changes",
    [
        ("python2, 50 epochs, 3 steps, 1e-4, drop 0.001", "study-2000", ["rate_collapse"]),
        ("python2, 50 epochs, 3 steps, 1e-4, drop 0.1", "study-200", []),
        ("python2, 120 epochs, 3 steps, 1e-3, drop 0.1", "deeplens", []),
        ("python3, 50 epochs, 3 steps, 1e-4, drop 0.001", "study-2000", PRESETS["study-2000"].defects["resnet"]),
        ("python3, 50 epochs, 3 steps, 1e-4, drop 0.1", "study-200", PRESETS["study-200"].defects["resnet"]),
        ("python3, 120 epochs, 3 steps, 1e-3, drop 0.1", "deeplens", []),
    ],
)
def test_the_learning_rate_of_each_epoch_is_that_of_the_original(row, preset, changes):
    found = rates(defective_settings(PRESETS[preset].settings["resnet"], changes))
    expected = FACTS["learning_rate"][row]
    assert [epoch for epoch, _ in found] == [epoch for epoch, _ in expected]
    assert [rate for _, rate in found] == pytest.approx([rate for _, rate in expected], rel=1e-12)


def test_all_six_rows_of_the_learning_rate_are_held():
    assert len([row for row in FACTS["learning_rate"] if row.startswith("python")]) == 6


@both_sides
def test_a_frozen_loss_is_the_share_of_the_other_class(records, side):
    shares = np.arange(39) / 38
    assert records[side]["frozen"] == pytest.approx(LOSS_OF_A_WRONG_STAMP * shares, abs=1e-4)


FITS = FACTS["study, CNN on its 200 images, its own code, batch 97, 5 epochs, Keras 2.3.1 on Theano"]


@pytest.mark.parametrize("fit", FITS, ids=[f"seed {fit['seed']}" for fit in FITS])
def test_the_validation_loss_of_a_frozen_network_is_the_one_that_keras_printed(fit):
    n_wrong = round((1 - fit["validation_accuracy"][-1]) * fit["validation_images"])
    labels = np.arange(fit["validation_images"]) < n_wrong
    assert clipped_loss(labels, np.zeros(len(labels))) == pytest.approx(fit["validation_loss"][-1], abs=6e-5)
    assert clipped_loss(~labels, np.ones(len(labels))) == pytest.approx(fit["validation_loss"][-1], abs=6e-5)


@pytest.mark.parametrize("fit", FITS, ids=[f"seed {fit['seed']}" for fit in FITS])
def test_the_training_loss_of_a_frozen_network_is_the_share_of_the_class_it_never_names(fit):
    assert fit["loss"][-1] == pytest.approx(LOSS_OF_A_WRONG_STAMP * (1 - fit["accuracy"][-1]), abs=2e-3)
