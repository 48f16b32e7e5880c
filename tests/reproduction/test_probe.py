"""The probe counts what it says: on a network that follows a script, and on the study's own."""

import json

import numpy as np
import pytest

from experiments.reproduction import probe
from lens_common.errors import UserError
from lens_common.learning.protocol import NetworkShape
from lens_common.learning.scaling import make_scaling
from lens_common.learning.training import TrainingData, TrainingSettings, train_network
from lens_modern import backend

LABELS = np.array([1, 1, 0, 0, 0], bool)
STAMPS = np.arange(5, dtype=np.float32).reshape(5, 1, 1, 1)


class Scripted:
    """A network of 7 weights that is told what each step adds to them, what it costs, and what each epoch scores.

    `get_weights` hands out the very arrays that the next step changes.
    """

    def __init__(self, moves, losses, scores):
        self.weights = {"a": np.zeros(3, np.float32), "b": np.ones((2, 2), np.float32)}
        self.moves, self.losses, self.scores, self.seen = list(moves), list(losses), list(scores), []

    def train_step(self, stamps, labels, learning_rate, random_state):
        self.seen.append((stamps.ravel().tolist(), labels.tolist(), learning_rate, random_state.uniform()))
        for name, move in self.moves.pop(0).items():
            self.weights[name] += np.float32(move)
        return self.losses.pop(0)

    def predict(self, stamps):
        return np.array(self.scores.pop(0), np.float32)

    def get_weights(self, training_state=False):
        return self.weights


def watch(moves, losses, scores, epochs, batch_size):
    network = Scripted(moves, losses, scores)
    return probe.watch_training(network, STAMPS, LABELS, TrainingSettings(epochs, batch_size, 0.5), seed=3)


def bright_stamps():
    """Three lenses and three non-lenses, each a galaxy of 100 to 150 counts at its peak on a noise of 3."""
    distance = np.hypot(*np.mgrid[-22:23, -22:23])
    peaks = np.linspace(100, 150, 6)[:, None, None]
    noise = np.random.RandomState(0).normal(0, 3, (6, 45, 45))
    return (peaks * np.exp(-distance / 5) + noise).astype(np.float32), np.arange(6) % 2 == 0


# What moved.


def test_each_step_counts_the_weights_that_changed():
    moves = [{"a": 0.25, "b": 0.5}, {}, {"a": [0, -2, 0]}, {"b": [[0, 0], [1e-9, 4]]}]
    steps, _ = watch(moves, [1.0] * 4, [[0.5] * 5] * 2, epochs=2, batch_size=3)
    # 1.5 + 1e-9 is 1.5 in float32.
    assert [row["n_weights_moved"] for row in steps] == [7, 0, 1, 1]
    assert [row["largest_move"] for row in steps] == [0.5, 0, 2, 4]
    assert [(row["epoch"], row["step"]) for row in steps] == [(1, 1), (1, 2), (2, 3), (2, 4)]


def test_the_last_bit_and_the_sign_of_a_zero_count_as_moves():
    before = {"w": np.array([1, 0, 2, 3], np.float32)}
    after = {"w": np.array([1 + 2**-23, -0.0, 2, 3], np.float32)}
    assert probe.compare_weights(before, after) == (2, 2**-23)


# What it lost.


def test_the_loss_of_an_epoch_is_the_mean_over_its_stamps():
    steps, epochs = watch([{}] * 4, [1.0, 2.0, 3.0, 8.0], [[0.5] * 5] * 2, epochs=2, batch_size=3)
    assert [row["loss"] for row in steps] == [1, 2, 3, 8]
    # Batches of 3 and 2 stamps: (3 * 1 + 2 * 2) / 5 and (3 * 3 + 2 * 8) / 5.
    assert [row["loss"] for row in epochs] == pytest.approx([1.4, 5.0])


def test_a_score_of_one_half_is_no_lens():
    _, epochs = watch([{}], [1.0], [[0.5, 0.6, 0.5, 0.6, 0.0]], epochs=1, batch_size=5)
    assert epochs[0]["accuracy"] == 3 / 5  # the lens at 0.6 and the non-lenses at 0.5 and 0.0


def test_only_scores_beyond_the_limits_of_float32_are_beyond_the_clip():
    scores = [0.0, 9e-8, 2e-7, 1 - 2**-24, 1 - 2**-23]  # 1 - 2^-23 is what 1 - 1e-7 becomes
    _, epochs = watch([{}], [1.0], [scores], epochs=1, batch_size=5)
    assert epochs[0]["share_beyond_clip"] == 3 / 5


def test_a_loss_that_is_no_number_is_named():
    with pytest.raises(UserError, match="step 2 has a loss of nan"):
        watch([{}] * 2, [1.0, float("nan")], [], epochs=1, batch_size=3)


# What it sees.


def test_the_probe_trains_on_the_very_batches_of_a_training():
    settings = TrainingSettings(3, 2, 0.5)
    trained, watched = (Scripted([{}] * 9, range(9), [[0.5] * 5] * 3) for _ in range(2))
    data = TrainingData(STAMPS, LABELS, STAMPS[:0], LABELS[:0])
    history = train_network(trained, data, settings, seed=3)
    _, epochs = probe.watch_training(watched, STAMPS, LABELS, settings, seed=3)
    assert watched.seen == trained.seen
    assert [row["loss"] for row in epochs] == [row["loss"] for row in history]


def watch_cnn(scaling):
    stamps, labels = bright_stamps()
    network = backend.build_network("cnn", NetworkShape(), 1)
    scaled = make_scaling(scaling).transform(stamps[:, None])
    return probe.watch_training(network, scaled, labels, TrainingSettings(4, 6, probe.LEARNING_RATE), seed=1)


def test_the_cnn_sticks_on_raw_counts_after_its_first_step():
    steps, epochs = watch_cnn("raw")
    assert [row["n_weights_moved"] > 0 for row in steps] == [True, False, False, False]
    # Three of six stamps are called wrong, each at the mean of -log(1e-7) and -log(2^-23).
    assert epochs[-1]["loss"] == pytest.approx((7 * np.log(10) + 23 * np.log(2)) / 4, abs=1e-5)
    assert (epochs[-1]["accuracy"], epochs[-1]["share_beyond_clip"]) == (0.5, 1.0)


def test_the_cnn_moves_in_every_step_on_counts_over_the_noise():
    steps, epochs = watch_cnn("sigma")
    assert all(row["n_weights_moved"] > 5000 for row in steps)
    assert epochs[-1]["share_beyond_clip"] == 0


# The command.


def test_the_command_writes_what_it_saw_without_a_path(write_stamps, tmp_path, capsys):
    stamps, labels = bright_stamps()
    out = tmp_path / "out.json"
    arguments = ["modern", write_stamps("data", stamps, labels), str(out), "--epochs", "2", "--batch-size", "4"]
    assert probe.main(arguments) == 0
    found = json.loads(out.read_text())
    assert [*found] == ["framework", "versions", "data", "settings", "n_weights", "steps", "epochs"]
    assert (found["framework"], found["n_weights"]) == ("modern", 6722)
    assert (found["data"]["n_stamps"], found["data"]["n_lenses"]) == (6, 3)
    assert found["settings"] == {
        "scaling": "raw",
        "epochs": 2,
        "batch_size": 4,
        "learning_rate": 0.001,
        "seed": 1,
    }
    assert (len(found["steps"]), len(found["epochs"])) == (4, 2)
    assert str(tmp_path) not in out.read_text() and "/" not in out.read_text()
    assert "of 4 steps moved a weight" in capsys.readouterr().out


def test_a_network_that_was_fitted_before_stays_frozen_from_its_first_step_on(write_stamps, tmp_path, capsys):
    stamps, labels = bright_stamps()
    folder, out = write_stamps("data", stamps, labels), tmp_path / "out.json"
    assert probe.main(["modern", folder, str(out), "--epochs", "2", "--batch-size", "6", "--before", folder]) == 0
    found = json.loads(out.read_text())
    assert [step["n_weights_moved"] for step in found["steps"]] == [0, 0]
    half = (7 * np.log(10) + 23 * np.log(2)) / 4  # three of six stamps at the mean of -log(1e-7) and -log(2^-23)
    assert [epoch["loss"] for epoch in found["epochs"]] == pytest.approx([half, half], abs=1e-5)
    assert found["before"] == found["data"]


@pytest.mark.parametrize("labels", [None, [True, True]])
def test_stamps_without_both_classes_are_refused(write_stamps, tmp_path, capsys, labels):
    folder = write_stamps("data", np.ones((2, 45, 45)), labels)
    assert probe.main(["modern", folder, str(tmp_path / "out.json")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("probe: ") and error.count("\n") == 1 and "both are needed" in error


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["nowhere", "out.json"], "nowhere is not a folder"),
        (["nowhere", "out.json", "--epochs", "0"], "epochs must be 1 or more"),
        (["nowhere", "out.json", "--seed", "-1"], "--seed must be from 0"),
    ],
)
def test_a_mistake_is_one_sentence(monkeypatch, tmp_path, capsys, options, named):
    monkeypatch.chdir(tmp_path)
    assert probe.main(["modern", *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("probe: ") and error.count("\n") == 1 and named in error


def test_an_out_that_cannot_be_written_is_named(write_stamps, tmp_path, capsys):
    stamps, labels = bright_stamps()
    out = tmp_path / "missing" / "out.json"
    assert probe.main(["modern", write_stamps("data", stamps, labels), str(out), "--epochs", "1"]) == 2
    assert str(tmp_path / "missing") in capsys.readouterr().err
