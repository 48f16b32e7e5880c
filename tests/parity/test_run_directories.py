"""Run directories: what one interpreter writes, the other scores, evaluates and continues."""

import json
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

from lens_common.files import read_csv
from lens_common.mocks.multiband_prior import LSST_GRI
from lens_common.mocks.writer import make_mocks
from lens_common.runs import load_weights

from .conftest import PYTHON, ROOT
from .test_parity import NULL_GRADIENT, relative_error

SIDES = ("legacy", "modern")
SESSION = ROOT / "tests/parity/session.py"
both_sides = pytest.mark.parametrize("side", SIDES)
# Of all scalings arcsinh has other last bits in another NumPy.
OPTIONS = ("--batch-size", "16", "--scaling", "arcsinh")
TRAIN = {
    "cnn": ("train", "--model", "cnn", "--epochs", "3", *OPTIONS),
    # With the nearest pixel a ResNet of six steps still scores every stamp 1, which would compare nothing.
    "resnet": ("train", "--model", "resnet", "--epochs", "2", "--interpolation", "linear", *OPTIONS),
}
# Measured: 2e-5 and 1e-3; rounding grows from step to step.
MOST = {"cnn": 1e-4, "resnet": 1e-2}
# After six steps a ResNet's logits are in the hundreds, and so is the rounding of its scores; 1.2e-5 was measured.
BARELY_TRAINED = 1e-4


def other(side):
    return SIDES[1 - SIDES.index(side)]


@pytest.fixture(scope="session")
def carry_out(legacy_workers):
    """Carry out commands of one side, all of which must succeed; legacy ones share the graphs of a worker."""

    def carry_out(side, *commands):
        work = [SESSION, side, json.dumps([[str(part) for part in command] for command in commands])]
        if side == "legacy":
            legacy_workers["float32"].do(*work)
        else:
            done = subprocess.run([str(part) for part in (PYTHON[side], *work)], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr[-3000:]

    return carry_out


def interrupt(side, *command):
    """Stop a training by Ctrl-C after its first epoch; return its run directory."""
    run = command[-1]
    process = subprocess.Popen(
        [*map(str, (PYTHON[side], "-m", f"lens_{side}.cli", *command))], stderr=subprocess.PIPE, text=True
    )
    while not (run / "checkpoint.npz").exists() and process.poll() is None:  # written after the first epoch
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    errors = process.communicate()[1]
    assert process.returncode == 130, errors[-3000:]
    assert not (run / "weights.npz").exists()
    return run


def training_state(run, out):
    """Take network and optimiser out of a checkpoint."""
    with np.load(run / "checkpoint.npz") as stored:
        np.savez(out, **{name: stored[name] for name in stored.files if name != "__header__"})
    return out


def read_config(run, name="config"):
    return json.loads((run / f"{name}.json").read_text())


def check_bits(given, returned):
    given, returned = load_weights(given), load_weights(returned)
    assert any(name.startswith(("adam.m.", "rmsprop.v.")) and values.any() for name, values in given.items())
    assert set(given) == set(returned)
    for name, values in given.items():
        assert (returned[name].dtype, returned[name].shape) == (values.dtype, values.shape), name
        assert returned[name].tobytes() == values.tobytes(), name


def check_scores(table, expected, most=1e-5):
    """Demand the same stamps, folds and labels in one order, and scores as near as `most`."""
    tables = [read_csv(path) for path in (table, expected)]
    about, scores = zip(
        *(([(r["id"], r["fold"], r["is_lens"]) for r in rows], [float(r["score"]) for r in rows]) for rows in tables)
    )
    assert about[0] == about[1] and {"train", "validation", "test"} == {fold for _, fold, _ in about[0]}
    np.testing.assert_allclose(*scores, rtol=0, atol=most)
    assert np.ptp(scores[0]) > 1e-3


def check_continued(run, begun, undisturbed, model):
    """A run that another side began has ended as the undisturbed one; it says who ended it."""
    config, history = read_config(run), read_csv(run / "history.csv")
    assert config["framework"] == other(begun["framework"])
    kept = set(begun) - {"framework"}
    assert {key: config[key] for key in kept} == {key: begun[key] for key in kept}
    packages = read_config(run, "environment")["framework"]
    assert ("torch" in packages) == (config["framework"] == "modern")
    assert [row["epoch"] for row in history] == [row["epoch"] for row in read_csv(undisturbed / "history.csv")]
    weights, expected = (load_weights(folder / "weights.npz") for folder in (run, undisturbed))
    assert set(weights) == set(expected)
    for name in weights:
        if not NULL_GRADIENT.search(name):
            assert relative_error(weights[name], expected[name]) <= MOST[model], name


@pytest.fixture(scope="session")
def mocks(tmp_path_factory):
    """Mocks as files: what either interpreter makes itself differs in the last bits."""
    return make_mocks(tmp_path_factory.mktemp("mocks") / "mocks", 120, seed=5)


@pytest.fixture(scope="session")
def cnns(mocks, carry_out, tmp_path_factory):
    """Folder by side: ``run``, trained; ``begun``, stopped after an epoch and ended by the other; tables of scores."""
    folders = {side: tmp_path_factory.mktemp(side) for side in SIDES}
    for side, folder in folders.items():
        train = (*TRAIN["cnn"], "--data", mocks, "--out")
        interrupt(side, *train, folder / "begun")
        shutil.copytree(folder / "begun", folder / "stopped")
        state = training_state(folder / "stopped", folder / "state.npz")
        score = ("score", mocks, "--run", folder / "run", "--out", folder / "own.csv")
        carry_out(side, (*train, folder / "run"), score)
        shutil.copytree(folder / "run", folder / "copy")
        carry_out(
            other(side),
            ("round-trip", "cnn", state, folder / "there.npz"),
            (*train, folder / "begun"),
            (*score[:-1], folder / "others.csv"),
            ("evaluate", folder / "copy"),
        )
        carry_out(side, ("round-trip", "cnn", folder / "there.npz", folder / "back.npz"))
    return folders


@pytest.fixture(scope="session")
def resnets(carry_out, tmp_path_factory):
    """The same with the ResNet, begun in modern and ended in legacy, in one process for the graph's sake."""
    folder = tmp_path_factory.mktemp("resnet")
    few = make_mocks(folder / "mocks", 64, seed=5)
    train = (*TRAIN["resnet"], "--data", few, "--out")
    score = ("score", few, "--run", folder / "run", "--out", folder / "own.csv")
    carry_out("modern", (*train, folder / "run"), score)
    interrupt("modern", *train, folder / "begun")
    shutil.copytree(folder / "begun", folder / "stopped")
    state = training_state(folder / "stopped", folder / "state.npz")
    shutil.copytree(folder / "run", folder / "copy")
    carry_out(
        "legacy",
        ("round-trip", "resnet", state, folder / "there.npz"),
        (*train, folder / "begun"),
        (*score[:-1], folder / "others.csv"),
        ("evaluate", folder / "copy"),
        ("score", few, "--run", folder / "begun", "--out", folder / "ended.csv"),
    )
    carry_out(
        "modern",
        ("round-trip", "resnet", folder / "there.npz", folder / "back.npz"),
        ("score", few, "--run", folder / "begun", "--out", folder / "read.csv"),
    )
    return folder


def check_metrics(run, evaluated):
    """The metrics that the other side wrote are the run's own."""
    own, others = read_config(run, "metrics"), read_config(evaluated, "metrics")
    assert own.keys() == others.keys() and own["auroc"] is not None
    for key, value in own.items():
        assert others[key] == (pytest.approx(value, abs=1e-5) if isinstance(value, float) else value), key


@both_sides
def test_the_other_side_gives_the_scores_of_a_cnn(cnns, side):
    check_scores(cnns[side] / "others.csv", cnns[side] / "own.csv")


@both_sides
def test_the_other_side_gives_the_metrics_of_a_cnn(cnns, side):
    check_metrics(cnns[side] / "run", cnns[side] / "copy")


@both_sides
def test_weights_and_optimiser_of_a_cnn_come_back_to_the_last_bit(cnns, side):
    check_bits(cnns[side] / "state.npz", cnns[side] / "there.npz")
    check_bits(cnns[side] / "state.npz", cnns[side] / "back.npz")


@both_sides
@pytest.mark.parametrize("undisturbed", SIDES)
def test_the_other_side_continues_a_cnn_to_the_same_weights(cnns, side, undisturbed):
    begun = read_config(cnns[side] / "stopped")
    check_continued(cnns[side] / "begun", begun, cnns[undisturbed] / "run", "cnn")


@both_sides
def test_the_other_side_keeps_the_history_of_a_cnn(cnns, side):
    with np.load(cnns[side] / "stopped" / "checkpoint.npz") as stored:
        before = json.loads(str(stored["__header__"]))["history"]
    after = read_csv(cnns[side] / "begun" / "history.csv")
    written = [{key: str(value) for key, value in row.items()} for row in before]
    assert 1 <= len(written) < 3 and [{key: row[key] for key in written[0]} for row in after][: len(written)] == written


def test_legacy_gives_the_scores_of_a_modern_resnet(resnets):
    check_scores(resnets / "others.csv", resnets / "own.csv", BARELY_TRAINED)


def test_legacy_gives_the_metrics_of_a_modern_resnet(resnets):
    check_metrics(resnets / "run", resnets / "copy")


def test_modern_gives_the_scores_of_a_resnet_that_legacy_ended(resnets):
    check_scores(resnets / "read.csv", resnets / "ended.csv", BARELY_TRAINED)


def test_weights_and_optimiser_of_a_resnet_come_back_to_the_last_bit(resnets):
    check_bits(resnets / "state.npz", resnets / "there.npz")
    check_bits(resnets / "state.npz", resnets / "back.npz")


def test_legacy_continues_a_modern_resnet_to_the_same_weights(resnets):
    check_continued(resnets / "begun", read_config(resnets / "stopped"), resnets / "run", "resnet")


def test_both_sides_score_three_bands_alike_with_the_network_that_ships(carry_out, tmp_path):
    stamps = make_mocks(tmp_path / "mocks", 12, seed=6, prior=LSST_GRI)
    tables = {side: tmp_path / f"{side}.csv" for side in SIDES}
    for side, table in tables.items():
        carry_out(side, ("score", stamps, "--model", "resnet-gri", "--out", table))
    legacy, modern = ([(row["id"], float(row["score"])) for row in read_csv(table)] for table in tables.values())
    assert [name for name, _ in legacy] == [name for name, _ in modern]
    np.testing.assert_allclose(*([score for _, score in rows] for rows in (legacy, modern)), rtol=0, atol=1e-5)
