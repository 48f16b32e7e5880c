"""A run written as ONNX gives, to whoever has onnxruntime alone, the scores of the run."""

import json
from dataclasses import asdict, dataclass

import numpy as np
import onnxruntime
import pytest

from lens_common.learning.protocol import NetworkShape
from lens_common.learning.scaling import SCALINGS, Raw, make_scaling, scaling_to_dict
from lens_common.learning.training import TrainingSettings
from lens_common.runs import model_hash
from lens_modern import LensClassifier, backend, export
from lens_modern.cli import main

LABELS = np.arange(16) % 2 == 0
SETTINGS = TrainingSettings(epochs=1, batch_size=16, learning_rate=1e-4)


def draw_counts(n_bands, side):
    """Sixteen stamps of sky with a source in every other one; one without noise, one with the pixel of no data."""
    random = np.random.RandomState(2)
    stamps = random.normal(1, 3, (16, n_bands, side, side)).astype(np.float32)
    stamps *= np.arange(1, n_bands + 1, dtype=np.float32)[:, None, None]  # a noise of its own in each band
    stamps[::2, :, 10:20, 12:22] += random.uniform(20, 200, (8, n_bands, 1, 1)).astype(np.float32)
    stamps[2, :, 20:22, 20:22] = 2000
    stamps[3] = 7
    stamps[4, :, 5, 5] = 100
    return stamps


def trained(model, scaling, n_bands=1, side=45):
    """An estimator whose network is as sane as after a training: batch norm has seen stamps, no score saturates."""
    counts = draw_counts(n_bands, side)
    estimator = LensClassifier(model)
    estimator.shape_ = NetworkShape(n_bands, side)
    estimator.scaling_ = make_scaling(scaling).fit(counts)
    estimator.network_ = backend.build_network(model, estimator.shape_, 1)
    for layer in estimator.network_.graph.modules():
        layer.alpha = 1.0  # the averages of batch norm are those of the last batch, not for the most part those of none
    for step in range(2):
        scaled = estimator.scaling_.transform(counts)
        estimator.network_.train_step(scaled, LABELS.astype(np.float32), 1e-4, np.random.RandomState(step))
    weights = estimator.network_.get_weights()
    while abs(estimator.network_.predict(scaled) - 0.5).max() > 0.45:
        weights["dense.weight"] /= 3
        estimator.network_.set_weights(weights)
    return estimator


def write_run(run, estimator):
    run.mkdir()
    about = {"format": 1, "model": estimator.model, "seed": 1, "settings": asdict(SETTINGS)}
    about.update(scaling=scaling_to_dict(estimator.scaling_), shape=asdict(estimator.shape_))
    (run / "config.json").write_text(json.dumps(about))
    np.savez(run / "weights.npz", **estimator.network_.get_weights())
    return run


def score_in_onnxruntime(path, counts):
    return onnxruntime.InferenceSession(path).run(["probability"], {"stamps": counts})[0]


def check_scores(estimator, folder):
    """Export, and compare the scores of 16 stamps, of 7 and of 1."""
    run = write_run(folder / "run", estimator)
    assert main(["export", str(run), "--out", str(folder / "out" / "run.onnx")]) == 0
    counts = draw_counts(estimator.shape_.n_bands, estimator.shape_.side)
    expected = estimator.predict_proba(counts)[:, 1]
    assert np.ptp(expected) > 0.01  # scores that are all alike would agree whatever the file does
    for n_stamps in (16, 7, 1):
        scores = score_in_onnxruntime(folder / "out" / "run.onnx", counts[:n_stamps])
        assert scores.dtype == np.float32 and scores.shape == (n_stamps,)
        np.testing.assert_allclose(scores, expected[:n_stamps], rtol=0, atol=1e-5)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_cnn_gives_the_same_scores_in_onnxruntime(scaling, tmp_path):
    check_scores(trained("cnn", scaling), tmp_path)


@pytest.mark.parametrize(("scaling", "n_bands"), [("sigma", 1), ("arcsinh", 3)])
def test_a_resnet_gives_the_same_scores_in_onnxruntime(scaling, n_bands, tmp_path):
    check_scores(trained("resnet", scaling, n_bands), tmp_path)


@pytest.mark.parametrize("scaling", ["sigma", "deeplens"])
def test_three_bands_are_scaled_each_by_itself(scaling, tmp_path):
    check_scores(trained("cnn", scaling, n_bands=3), tmp_path)


def test_stamps_of_an_even_number_of_pixels_have_numpys_median(tmp_path):
    # of few pixels the middle two differ more than of many
    check_scores(trained("cnn", "arcsinh", side=24), tmp_path)


@pytest.fixture(scope="module")
def cnn():
    return trained("cnn", "sigma")


@pytest.fixture
def run(cnn, tmp_path):
    return write_run(tmp_path / "run", cnn)


def test_the_file_says_what_it_is(run, cnn, tmp_path):
    assert main(["export", str(run), "--out", str(tmp_path / "cnn.onnx")]) == 0
    about = onnxruntime.InferenceSession(tmp_path / "cnn.onnx").get_modelmeta()
    assert about.custom_metadata_map == {
        "model": "cnn",
        "model_hash": model_hash(cnn.network_.get_weights(), scaling_to_dict(cnn.scaling_)),
        "scaling": '{"name": "sigma", "low": -10.0, "high": 20.0}',
        "input_unit": "counts",
        "bands": "[]",
    }
    assert "counts" in about.description
    assert str(export.__file__).encode() not in (tmp_path / "cnn.onnx").read_bytes()


def test_the_measured_difference_is_printed(run, tmp_path, capsys):
    assert main(["export", str(run), "--out", str(tmp_path / "cnn.onnx")]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert 0 < float(line.split("differ by ")[1].split()[0]) <= 1e-5


def refusal(capsys, run, out):
    """The one line on stderr of an export that must fail and leave no file."""
    before = sorted(out.parent.glob("*"))
    assert main(["export", str(run), "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert sorted(out.parent.glob("*")) == before
    return line


def test_an_out_of_another_ending_is_refused(run, tmp_path, capsys):
    assert "--out must end in .onnx, got" in refusal(capsys, run, tmp_path / "cnn.pt")


def test_a_damaged_run_is_refused(run, tmp_path, capsys):
    (run / "weights.npz").write_bytes((run / "weights.npz").read_bytes()[:1000])
    assert "cannot read the weights" in refusal(capsys, run, tmp_path / "cnn.onnx")


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    assert "is not a run directory" in refusal(capsys, tmp_path, tmp_path / "cnn.onnx")


def test_a_file_that_scores_otherwise_is_not_left_behind(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(export.SCALED, type(make_scaling("sigma")), lambda scaling, stamps: stamps)
    (tmp_path / "cnn.onnx").write_text("of before: model_hash")
    assert "onnxruntime and torch differ by" in refusal(capsys, run, tmp_path / "cnn.onnx")
    assert (tmp_path / "cnn.onnx").read_text() == "of before: model_hash"


def test_a_scaling_without_a_form_in_torch_is_refused(run, tmp_path, capsys, monkeypatch):
    @dataclass(frozen=True)
    class Squared(Raw):
        pass

    monkeypatch.setitem(SCALINGS, "squared", Squared)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "scaling": {"name": "squared"}}))
    assert "the scaling squared cannot be written as ONNX" in refusal(capsys, run, tmp_path / "cnn.onnx")


def test_a_missing_package_is_refused_by_name(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(export, "PACKAGES", ("onnx", "onnxruntime", "no_such_package"))
    assert "No module named 'no_such_package'; pip install" in refusal(capsys, run, tmp_path / "cnn.onnx")
