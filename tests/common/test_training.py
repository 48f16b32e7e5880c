"""The training loop, killed in every way we could think of, with logistic regression for a network."""

import json
import os
import resource
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest

from lens_common import files as folders
from lens_common.cli.signals import collected_signals
from lens_common.errors import Interrupted, UserError
from lens_common.learning.protocol import NetworkShape
from lens_common.learning.training import (
    Checkpoint,
    Progress,
    TrainingData,
    TrainingSettings,
    learning_rate_at,
    predict_in_batches,
    train_network,
)

SIDE = 4
# 22 stamps in batches of 6: 4 steps an epoch, 12 in all.
SETTINGS = TrainingSettings(
    epochs=3, batch_size=6, learning_rate=0.1, rate_steps=3, rate_drop=0.5, augmented=True, scaling="raw"
)
N_STEPS = 12
SEED = 5


def make_data(n_stamps=22, n_validation=5, seed=0):
    random_state = np.random.RandomState(seed)
    stamps = random_state.normal(size=(n_stamps + n_validation, 1, SIDE, SIDE)).astype(np.float32)
    labels = random_state.permutation(n_stamps + n_validation) % 2 == 0
    stamps[labels] += 0.5
    return TrainingData(stamps[:n_stamps], labels[:n_stamps], stamps[n_stamps:], labels[n_stamps:])


DATA = make_data()


@pytest.fixture
def new_network(build_tiny_network):
    """Return a builder of the same untrained network."""
    return lambda: build_tiny_network("tiny", NetworkShape(1, SIDE), SEED)


def new_checkpoint(path, settings=SETTINGS, seed=SEED, data=DATA, seconds_between=60.0):
    return Checkpoint(path, settings, seed, data, seconds_between)


def train(network, path=None, **options):
    checkpoint = new_checkpoint(path, **options) if path else None
    return train_network(network, DATA, SETTINGS, SEED, checkpoint, catching=collected_signals)


@pytest.fixture
def undisturbed(new_network):
    """Return state and history of a training that nothing stopped."""
    network = new_network()
    history = train(network)
    return network.get_weights(training_state=True), history


def assert_same_training(network, history, undisturbed):
    state, expected_history = undisturbed
    found = network.get_weights(training_state=True)
    assert sorted(found) == sorted(state)
    for name in state:
        assert found[name].tobytes() == state[name].tobytes(), name
    assert without_seconds(history) == without_seconds(expected_history)


def without_seconds(history):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history]


def send(signum, at_step):
    """Return a hook that sends a signal to this process from within one step."""
    return lambda step: os.kill(os.getpid(), signum) if step == at_step else None


# The schedule.


def rates(**settings):
    settings = TrainingSettings(batch_size=1, learning_rate=1.0, **settings)
    return [learning_rate_at(epoch, settings) for epoch in range(settings.epochs)]


def test_120_epochs_in_3_steps_are_41_40_and_39_long():
    assert rates(epochs=120, rate_steps=3, rate_drop=0.5) == 41 * [1.0] + 40 * [0.5] + 39 * [0.25]


def test_50_epochs_in_3_steps_drop_after_epoch_indices_16_32_and_48():
    # floor(50 / 3) = 16: 17 epochs, 16, 16, and one more at a rate that the recipe did not mean.
    assert rates(epochs=50, rate_steps=3, rate_drop=0.5) == 17 * [1.0] + 16 * [0.5] + 16 * [0.25] + [0.125]


def test_one_step_keeps_one_rate():
    assert rates(epochs=30, rate_steps=1) == 30 * [1.0]


def test_more_steps_than_epochs_drop_after_each_epoch_but_the_first():
    assert rates(epochs=4, rate_steps=10, rate_drop=0.5) == [1.0, 1.0, 0.5, 0.25]


def test_rate_collapse_trains_two_thirds_of_the_epochs_at_1e_7_and_below():
    settings = TrainingSettings(epochs=50, batch_size=128, learning_rate=1e-4, rate_steps=3, rate_drop=0.001)
    assert learning_rate_at(16, settings) == 1e-4
    assert learning_rate_at(17, settings) == pytest.approx(1e-7)


def test_the_network_gets_the_rate_of_its_epoch(new_network):
    network = new_network()
    history = train(network)
    # 3 epochs in 3 steps: a drop after epoch index 1, and one after index 2 that nobody sees.
    assert network.rates == 8 * [0.1] + 4 * [0.05]
    assert [row["learning_rate"] for row in history] == [0.1, 0.1, 0.05]


# Settings that cannot be.


@pytest.mark.parametrize("name", ["epochs", "batch_size", "rate_steps"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_setting_below_one_is_refused(name, value):
    with pytest.raises(UserError, match=f"{name} must be 1 or more, got {value}"):
        replace(SETTINGS, **{name: value})


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_lens_weight_that_is_not_above_zero_and_finite_is_refused(weight):
    with pytest.raises(UserError, match="lens_weight must be above 0 and finite, got"):
        replace(SETTINGS, lens_weight=weight)


def test_an_interpolation_that_is_not_known_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="no interpolation named 'cubic'; choose one of nearest, linear"):
        replace(SETTINGS, interpolation="cubic")


@pytest.mark.parametrize("rate", [0.0, -0.1, float("nan")])
def test_a_learning_rate_that_is_not_above_zero_is_refused(rate):
    with pytest.raises(UserError, match="learning_rate must be above 0, got"):
        replace(SETTINGS, learning_rate=rate)


def test_a_batch_that_cannot_be_filled_is_refused_with_both_numbers(new_network):
    with pytest.raises(UserError, match="no batch of 23 can be filled from 22 training stamps; lower `batch_size`"):
        train_network(new_network(), DATA, replace(SETTINGS, batch_size=23, drop_tail=True), SEED)


def test_a_batch_larger_than_the_data_takes_all_of_them_where_the_tail_is_kept(new_network):
    network = new_network()
    (row,) = train_network(network, DATA, replace(SETTINGS, epochs=1, batch_size=23), SEED)
    same = new_network()
    (expected,) = train_network(same, DATA, replace(SETTINGS, epochs=1, batch_size=22), SEED)
    assert network.steps == 1
    assert row["loss"] == expected["loss"]


def test_a_batch_as_large_as_the_data_is_trained(new_network):
    network = new_network()
    train_network(network, DATA, replace(SETTINGS, batch_size=22), SEED)
    assert network.steps == 3


@pytest.mark.parametrize(("label", "kind"), [(True, "lenses"), (False, "non-lenses")])
def test_one_class_alone_is_refused(new_network, label, kind):
    data = replace(DATA, labels=np.full(22, label))
    with pytest.raises(UserError, match=f"training needs both classes, got 22 stamps, all {kind}; add the other class"):
        train_network(new_network(), data, SETTINGS, SEED)


# The loop.


class Told:
    """A network that reports the losses it is told to and scores as it is told to."""

    def __init__(self, losses=(), scores=()):
        self.losses, self.scores, self.batches = iter(losses), np.array(scores), []

    def train_step(self, stamps, labels, learning_rate, random_state):
        self.batches.append((stamps, labels))
        return next(self.losses)

    def predict(self, stamps):
        return self.scores


def train_told(network, n_stamps, validation_labels=(), monitor=None, **settings):
    stamps = np.arange(n_stamps, dtype=np.float32).reshape(-1, 1, 1, 1)
    held = np.array(validation_labels, bool)
    data = TrainingData(stamps, np.arange(n_stamps) % 2 == 0, np.zeros((len(held), 1, 1, 1), np.float32), held)
    settings = TrainingSettings(**{"epochs": 1, "batch_size": 4, "learning_rate": 1.0, **settings})
    return train_network(network, data, settings, 0, None, monitor)


def test_the_loss_in_the_history_is_the_mean_over_stamps():
    # Batches of 4, 4 and 2: (4 * 1 + 4 * 2 + 2 * 6) / 10.
    (row,) = train_told(Told([1, 2, 6]), 10)
    assert row["loss"] == pytest.approx(2.4)


def test_the_loss_without_the_tail_is_the_mean_over_the_stamps_seen():
    (row,) = train_told(Told([1, 2]), 10, drop_tail=True)
    assert row["loss"] == pytest.approx(1.5)


def test_the_loss_of_an_epoch_does_not_hold_that_of_the_one_before():
    history = train_told(Told([1, 2, 6, 10, 10, 10]), 10, epochs=2)
    assert [row["loss"] for row in history] == pytest.approx([2.4, 10])


def test_each_stamp_is_trained_with_its_own_label():
    network = Told([0] * 3)
    train_told(network, 10)
    pairs = [(int(stamp), label) for stamps, labels in network.batches for stamp, label in zip(stamps.ravel(), labels)]
    assert sorted(pairs) == [(number, float(number % 2 == 0)) for number in range(10)]


def test_labels_reach_the_network_as_float32():
    network = Told([0] * 3)
    train_told(network, 10)
    assert {labels.dtype for _, labels in network.batches} == {np.dtype(np.float32)}


def test_validation_accuracy_counts_scores_above_a_half():
    # Lens at 0.5 is not found; non-lens at 0.4 is right; lens at 0.9 is right; non-lens at 0.6 is not.
    (row,) = train_told(Told([0] * 3, [0.5, 0.4, 0.9, 0.6]), 10, [True, False, True, False])
    assert row["validation_accuracy"] == 0.5


def test_the_monitor_gets_labels_and_scores_and_its_numbers_are_kept():
    def monitor(labels, scores):
        return {"lens_score": float(scores[labels].mean())}

    (row,) = train_told(Told([0] * 3, [0.5, 0.4, 0.9, 0.6]), 10, [True, False, True, False], monitor)
    assert row["validation_lens_score"] == pytest.approx(0.7)


def test_without_validation_stamps_the_history_has_no_validation_column():
    (row,) = train_told(Told([1, 2, 6]), 10)
    assert sorted(row) == ["epoch", "learning_rate", "loss", "seconds"]


def test_training_does_not_write_into_the_data(new_network):
    data = make_data()
    for array in (data.stamps, data.labels, data.validation_stamps, data.validation_labels):
        array.setflags(write=False)
    train_network(new_network(), data, SETTINGS, SEED)


def test_a_training_learns(new_network):
    settings = replace(SETTINGS, epochs=40, augmented=False, rate_steps=1)
    history = train_network(new_network(), DATA, settings, SEED)
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]


def test_another_seed_trains_to_other_weights(new_network, undisturbed):
    network = new_network()
    train_network(network, DATA, SETTINGS, SEED + 1)
    assert not np.array_equal(network.get_weights()["dense.weight"], undisturbed[0]["dense.weight"])


def test_scoring_in_batches_gives_each_stamp_its_score(new_network):
    stamps = np.random.RandomState(0).normal(size=(300, 1, SIDE, SIDE)).astype(np.float32)  # 128 + 128 + 44
    network = new_network()
    assert predict_in_batches(network, stamps) == pytest.approx(network.predict(stamps), rel=1e-12)


def test_scoring_no_stamps_gives_no_scores(new_network):
    assert predict_in_batches(new_network(), np.zeros((0, 1, SIDE, SIDE), np.float32)).shape == (0,)


# Stopped and continued.


def test_a_training_with_checkpoints_is_the_one_without(new_network, tmp_path, undisturbed):
    network = new_network()
    history = train(network, tmp_path / "c.npz", seconds_between=0.0)
    assert_same_training(network, history, undisturbed)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("step", [0, 2, 3, 4, 7, 10])  # 3 and 7 are the last steps of their epochs
def test_a_stopped_training_continues_to_the_same_weights(new_network, tmp_path, undisturbed, step, signum):
    first = new_network()
    first.before_step = send(signum, step)
    with pytest.raises(Interrupted) as stopped:
        train(first, tmp_path / "c.npz")
    assert stopped.value.signum == signum
    assert first.steps == step + 1  # the step under way was ended
    second = new_network()
    history = train(second, tmp_path / "c.npz")
    assert first.steps + second.steps == N_STEPS  # none was taken twice
    assert_same_training(second, history, undisturbed)


def test_a_training_stopped_at_every_step_comes_to_the_same_weights(new_network, tmp_path, undisturbed):
    for _ in range(N_STEPS - 1):
        network = new_network()
        network.before_step = send(signal.SIGTERM, 0)
        with pytest.raises(Interrupted):
            train(network, tmp_path / "c.npz")
    network = new_network()
    history = train(network, tmp_path / "c.npz")
    assert network.steps == 1
    assert_same_training(network, history, undisturbed)


def test_a_signal_in_the_very_last_step_ends_a_whole_training(new_network, tmp_path, undisturbed):
    network = new_network()
    network.before_step = send(signal.SIGTERM, N_STEPS - 1)
    history = train(network, tmp_path / "c.npz")
    assert_same_training(network, history, undisturbed)


def test_ctrl_c_says_where_the_work_is_kept(new_network, tmp_path):
    network = new_network()
    network.before_step = send(signal.SIGINT, 1)
    with pytest.raises(Interrupted, match="stopped by SIGINT; the same command continues from the checkpoint"):
        train(network, tmp_path / "c.npz")


def test_a_second_ctrl_c_acts_at_once(new_network, tmp_path):
    network = new_network()

    def press_twice(step):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    network.before_step = press_twice
    # What a shell starts in the background ignores SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(network, tmp_path / "c.npz")
    finally:
        signal.signal(signal.SIGINT, before)
    assert network.steps == 0


@pytest.mark.parametrize("stopped", [False, True])
def test_the_signals_are_handled_as_before_once_the_training_ended(new_network, stopped):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    network = new_network()
    if stopped:
        network.before_step = send(signal.SIGTERM, 1)
        with pytest.raises(Interrupted):
            train(network)
    else:
        train(network)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_training_runs_in_a_thread_too(new_network, undisturbed):
    network, histories = new_network(), []
    thread = threading.Thread(target=lambda: histories.append(train(network)))
    thread.start()
    thread.join()
    assert_same_training(network, histories[0], undisturbed)


@pytest.mark.parametrize("step", [1, 4, 7, 11])
@pytest.mark.parametrize("seconds_between", [0.0, 60.0])
def test_a_training_killed_by_kill_9_continues_to_the_same_weights(
    new_network, tmp_path, undisturbed, run_in_child, step, seconds_between
):
    first = new_network()
    first.before_step = send(signal.SIGKILL, step)
    _, status = run_in_child(lambda: train(first, tmp_path / "c.npz", seconds_between=seconds_between))
    assert os.WTERMSIG(status) == signal.SIGKILL
    second = new_network()
    history = train(second, tmp_path / "c.npz")
    # Saved at each step, or at the end of each epoch of four.
    assert second.steps == N_STEPS - (step if seconds_between == 0 else step // 4 * 4)
    assert_same_training(second, history, undisturbed)


def test_a_training_killed_while_it_saves_continues_from_the_checkpoint_before(
    new_network, tmp_path, undisturbed, run_in_child, monkeypatch
):
    saves = []

    def die_at_the_second(source, target):
        saves.append(target)
        if len(saves) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        os.rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(folders.os, "replace", die_at_the_second)
        _, status = run_in_child(lambda: train(new_network(), tmp_path / "c.npz"))
    assert os.WTERMSIG(status) == signal.SIGKILL
    second = new_network()
    history = train(second, tmp_path / "c.npz")
    assert second.steps == 8
    assert_same_training(second, history, undisturbed)


def test_a_finished_training_is_not_trained_again(new_network, tmp_path, undisturbed):
    train(new_network(), tmp_path / "c.npz")
    network = new_network()
    history = train(network, tmp_path / "c.npz")
    assert network.steps == 0
    assert_same_training(network, history, undisturbed)


def test_the_seconds_of_an_epoch_add_up_over_a_stop(new_network, tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr("lens_common.learning.training.time.monotonic", lambda: float(next(clock)))
    first = new_network()
    first.before_step = send(signal.SIGTERM, 1)
    with pytest.raises(Interrupted):
        train(first, tmp_path / "c.npz", seconds_between=1e9)
    with np.load(tmp_path / "c.npz") as stored:
        before = json.loads(str(stored["__header__"]))["seconds"]
    history = train(new_network(), tmp_path / "c.npz", seconds_between=1e9)
    assert before > 0
    assert history[0]["seconds"] > before


# The checkpoint file.


@pytest.fixture
def kept(new_network, tmp_path):
    """Path of the checkpoint of a training stopped in its sixth step."""
    network = new_network()
    network.before_step = send(signal.SIGTERM, 5)
    with pytest.raises(Interrupted):
        train(network, tmp_path / "c.npz")
    return tmp_path / "c.npz"


def changed_pixel():
    stamps = DATA.stamps.copy()
    stamps[3, 0, 1, 1] += 1e-3
    return replace(DATA, stamps=stamps)


def changed_label():
    labels = DATA.labels.copy()
    labels[3] = ~labels[3]
    return replace(DATA, labels=labels)


@pytest.mark.parametrize(
    "change, what",
    [
        ({"settings": replace(SETTINGS, learning_rate=0.2)}, "another learning_rate: 0.1, not 0.2"),
        ({"settings": replace(SETTINGS, epochs=4)}, "another epochs: 3, not 4"),
        ({"settings": replace(SETTINGS, scaling="sigma")}, "another scaling: raw, not sigma"),
        ({"settings": replace(SETTINGS, interpolation="linear")}, "another interpolation: nearest, not linear"),
        ({"settings": replace(SETTINGS, lens_weight=2.0)}, "another lens_weight: 1.0, not 2.0"),
        ({"seed": SEED + 1}, "another seed or other data"),
        ({"data": changed_pixel()}, "another seed or other data"),
        ({"data": changed_label()}, "another seed or other data"),
    ],
    ids=["rate", "epochs", "scaling", "interpolation", "lens weight", "seed", "pixel", "label"],
)
def test_a_checkpoint_of_another_training_is_refused(new_network, kept, change, what):
    with pytest.raises(UserError, match=rf"c\.npz belongs to a training with {what}; choose another folder"):
        new_checkpoint(kept, **change).load(new_network())


def test_a_checkpoint_of_an_older_version_is_refused_by_the_settings_that_are_new(new_network, kept):
    with np.load(kept) as stored:
        arrays = {name: stored[name] for name in stored.files}
    header = json.loads(str(arrays["__header__"]))
    del header["settings"]
    header["fingerprint"] = "0" * 64
    np.savez(kept, **{**arrays, "__header__": np.array(json.dumps(header))})
    with pytest.raises(UserError, match="of an older version, which had no interpolation and no lens_weight"):
        new_checkpoint(kept).load(new_network())


def test_a_checkpoint_of_another_network_is_refused(build_tiny_network, kept, monkeypatch):
    network = build_tiny_network("tiny", NetworkShape(1, SIDE), SEED)
    network.state = {f"conv.{name}": value for name, value in network.state.items()}
    monkeypatch.setattr(network, "get_weights", lambda training_state=False: network.state)
    with pytest.raises(UserError, match="they belong to another model"):
        new_checkpoint(kept).load(network)


def test_no_checkpoint_is_no_progress(new_network, tmp_path):
    assert new_checkpoint(tmp_path / "c.npz").load(new_network()) is None


@pytest.mark.parametrize("length", [1, 2, 10, 100, 500, -500, -100, -22, -1])
def test_a_truncated_checkpoint_is_refused_with_the_remedy(new_network, kept, length):
    kept.write_bytes(kept.read_bytes()[:length])
    with pytest.raises(UserError, match=r"c\.npz is not a checkpoint of ours \(.+\); remove it to start anew"):
        new_checkpoint(kept).load(new_network())


def test_an_empty_checkpoint_is_refused_with_the_remedy(new_network, kept):
    kept.write_bytes(b"")
    with pytest.raises(UserError, match="remove it to start anew"):
        new_checkpoint(kept).load(new_network())


def test_text_in_place_of_a_checkpoint_is_refused_with_the_remedy(new_network, kept):
    kept.write_text("lorem ipsum\n")
    with pytest.raises(UserError, match="remove it to start anew"):
        new_checkpoint(kept).load(new_network())


def test_arrays_without_our_header_are_refused_with_the_remedy(new_network, kept):
    np.savez(str(kept), weights=np.zeros(3))
    with pytest.raises(UserError, match="remove it to start anew"):
        new_checkpoint(kept).load(new_network())


def test_a_changed_pixel_of_the_weights_is_noticed(new_network, kept):
    content = bytearray(kept.read_bytes())
    with np.load(kept) as stored:
        weights = stored["dense.weight"].tobytes()
    content[bytes(content).index(weights) + 3] ^= 1
    kept.write_bytes(content)
    with pytest.raises(UserError, match="remove it to start anew"):
        new_checkpoint(kept).load(new_network())


def test_whatever_byte_of_a_checkpoint_is_wrong_there_is_no_traceback(new_network, kept):
    whole, bad = kept.read_bytes(), []
    for position in range(0, len(whole), 7):
        content = bytearray(whole)
        content[position] ^= 0xFF
        kept.write_bytes(content)
        try:
            new_checkpoint(kept).load(new_network())
        except UserError:
            pass
        except Exception as error:  # the test is about every other kind
            bad.append((position, repr(error)))
    assert bad == []


@pytest.mark.parametrize("header", [{}, [1], {"epoch": 0}], ids=["empty", "list", "without fingerprint"])
def test_a_header_that_is_not_ours_is_refused_with_the_remedy(new_network, kept, header):
    np.savez(str(kept), __header__=np.array(json.dumps(header)))
    with pytest.raises(UserError):
        new_checkpoint(kept).load(new_network())


def test_a_header_of_a_newer_version_is_refused_with_a_sentence(new_network, kept):
    with np.load(kept) as stored:
        arrays = dict(stored)
    arrays["__header__"] = np.array(json.dumps({**json.loads(str(arrays["__header__"])), "from_the_future": 1}))
    np.savez(str(kept), **arrays)
    with pytest.raises(UserError):
        new_checkpoint(kept).load(new_network())


def test_a_refused_checkpoint_leaves_the_network_as_it_was(new_network, kept):
    network = new_network()
    before = network.get_weights()["dense.weight"].copy()
    with pytest.raises(UserError):
        new_checkpoint(kept, seed=SEED + 1).load(network)
    assert np.array_equal(network.get_weights()["dense.weight"], before)


def test_progress_comes_back_as_it_was_saved(new_network, tmp_path):
    progress = Progress(epoch=2, step=3, loss_sum=0.1 + 0.2, seconds=1 / 3, history=[{"epoch": 1, "loss": 1e-17}])
    new_checkpoint(tmp_path / "c.npz").save(new_network(), progress)
    assert new_checkpoint(tmp_path / "c.npz").load(new_network()) == progress


def test_a_checkpoint_is_due_once_its_time_has_passed(tmp_path, monkeypatch, new_network):
    now = [100.0]
    monkeypatch.setattr("lens_common.learning.training.time.monotonic", lambda: now[0])
    checkpoint = new_checkpoint(tmp_path / "c.npz", seconds_between=60.0)
    now[0] = 159.0
    assert not checkpoint.due()
    now[0] = 160.0
    assert checkpoint.due()
    checkpoint.save(new_network(), Progress())
    assert not checkpoint.due()


def limit_file_size(n_bytes):
    """Let every write beyond this size fail half-way, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


@pytest.mark.parametrize("n_bytes", [0, 700, 1500])
def test_a_full_disk_ends_the_training_and_the_last_good_checkpoint_survives(
    new_network, tmp_path, undisturbed, run_in_child, n_bytes
):
    first = new_network()
    first.before_step = lambda step: limit_file_size(n_bytes) if step == 6 else None

    def attempt():
        try:
            return train(first, tmp_path / "c.npz")
        except UserError as error:
            return str(error)

    sentence, _ = run_in_child(attempt)
    assert sentence == (
        f"cannot write {tmp_path}/c.npz: File too large; the checkpoint before it is kept, "
        "and the same command continues from there once there is room"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["c.npz"]
    second = new_network()
    history = train(second, tmp_path / "c.npz")
    assert second.steps == 8  # the first epoch was kept
    assert_same_training(second, history, undisturbed)


def test_a_folder_that_is_gone_is_told(new_network, tmp_path):
    with pytest.raises(UserError, match="cannot write .*: No such file or directory"):
        train(new_network(), tmp_path / "gone/c.npz")


ONE_CYCLE = TrainingSettings(epochs=5, batch_size=6, learning_rate=1.0, schedule="one-cycle")


@pytest.mark.parametrize(
    "epoch, step, expected",
    [(0, 0, 1 / 25), (1, 0, (1 + 1 / 25) / 2), (2, 0, 1.0), (4, 1, 4e-6)],  # 10 steps: the top is the third
    ids=["first", "half way up", "top", "last"],
)
def test_one_cycle_rises_for_three_tenths_of_the_steps_and_falls_for_the_rest(epoch, step, expected):
    steps = {0: 0, 1: 1, 2: 2, 4: 9}[epoch]
    assert learning_rate_at(steps // 2, ONE_CYCLE, steps % 2, 2) == pytest.approx(expected, rel=1e-9)


class Scripted:
    """A network whose validation loss follows a list; its only weight counts epochs."""

    def __init__(self, of_truth):
        self.of_truth, self.epochs = of_truth, 0

    def train_step(self, stamps, labels, learning_rate, random_state):
        return 0.0

    def predict(self, stamps):
        self.epochs += 1
        score = self.of_truth[self.epochs - 1]
        return np.where(DATA.validation_labels, score, 1 - score)

    def get_weights(self, training_state=False):
        return {"epochs": np.array(self.epochs)}

    def set_weights(self, weights):
        self.epochs = int(weights["epochs"])


# The loss is lowest after the third epoch.
OF_TRUTH = [0.5, 0.6, 0.8, 0.7, 0.75, 0.9]
PATIENT = TrainingSettings(epochs=6, batch_size=22, learning_rate=1.0, patience=2)


def test_patience_ends_a_training_and_takes_the_best_weights():
    network = Scripted(OF_TRUTH)
    history = train_network(network, DATA, PATIENT, SEED)
    assert len(history) == 5 and network.epochs == 3


def test_the_validation_loss_is_the_mean_cross_entropy():
    history = train_network(Scripted(OF_TRUTH), DATA, PATIENT, SEED)
    assert [row["validation_loss"] for row in history] == pytest.approx([-np.log(p) for p in OF_TRUTH[:5]], rel=1e-6)


def test_without_patience_every_epoch_is_trained_and_the_last_weights_count():
    network = Scripted(OF_TRUTH)
    assert len(train_network(network, DATA, replace(PATIENT, patience=0), SEED)) == 6 and network.epochs == 6


@pytest.mark.parametrize("stop_after", [1, 3, 4, 5])
def test_a_patient_training_that_was_stopped_ends_as_it_would_have(tmp_path, stop_after):
    class Stopped(Exception):
        pass

    class Stopping(Checkpoint):
        def save(self, network, progress):
            super().save(network, progress)
            if progress.epoch == stop_after:
                raise Stopped

    with pytest.raises(Stopped):
        train_network(Scripted(OF_TRUTH), DATA, PATIENT, SEED, Stopping(tmp_path / "c.npz", PATIENT, SEED, DATA))
    network = Scripted(OF_TRUTH)
    history = train_network(network, DATA, PATIENT, SEED, Checkpoint(tmp_path / "c.npz", PATIENT, SEED, DATA))
    assert len(history) == 5 and network.epochs == 3


def test_patience_without_validation_stamps_is_refused():
    bare = replace(DATA, validation_stamps=DATA.stamps[:0], validation_labels=DATA.labels[:0])
    with pytest.raises(UserError, match="patience needs validation stamps"):
        train_network(Scripted(OF_TRUTH), bare, PATIENT, SEED)


@pytest.mark.parametrize("field, value", [("schedule", "spiral"), ("patience", -1)])
def test_an_unknown_schedule_or_a_negative_patience_is_refused(field, value):
    with pytest.raises(UserError, match=field):
        replace(PATIENT, **{field: value})
