"""Weights that do not belong to a run: `score` refuses them in one sentence."""

import json
import sys
from dataclasses import asdict
from importlib import import_module

import numpy as np
import pytest
from astropy.io import fits

from lens_common.errors import UserError
from lens_common.learning.protocol import NetworkShape
from lens_common.learning.training import TrainingSettings

SIDE = "legacy" if sys.version_info < (3, 9) else "modern"
backend, main = import_module(f"lens_{SIDE}.backend"), import_module(f"lens_{SIDE}.cli").main


@pytest.fixture(scope="module")
def weights():
    """Weights of both models as first drawn, by model and number of bands."""
    shapes = [("cnn", 1), ("cnn", 3), ("resnet", 1), ("resnet", 3)]
    return {key: backend.build_network(key[0], NetworkShape(key[1]), 1).get_weights() for key in shapes}


@pytest.fixture
def score(tmp_path, capsys):
    """Write a run directory of some model and weights, score a stamp; exit status and lines on stderr."""
    stamp = np.random.RandomState(0).normal(0, 3.5, (45, 45)).astype(np.float32)
    fits.writeto(tmp_path / "data.fits", stamp, fits.Header([("PIXSCALE", 0.18)]))

    def score(model, weights, length=None):
        run = tmp_path / "run"
        run.mkdir()
        settings = asdict(TrainingSettings(epochs=1, batch_size=2, learning_rate=1.0))
        config = {"format": 1, "model": model, "seed": 1, "settings": settings, "scaling": {"name": "raw"}}
        (run / "config.json").write_text(json.dumps({**config, "shape": {"n_bands": 1, "side": 45}}))
        (run / "stamps.csv").write_text("id,path,fold,is_lens,digest\n")
        np.savez(run / "weights.npz", **weights)
        content = (run / "weights.npz").read_bytes()
        (run / "weights.npz").write_bytes(content[:length])
        status = main(["score", str(tmp_path), "--run", str(run), "--out", str(tmp_path / "out" / "s.csv")])
        return status, capsys.readouterr().err.splitlines()

    return score


# Theano compiles a ResNet for minutes; tests/legacy does that once.
@pytest.mark.parametrize("model", ["cnn", "resnet"] if SIDE == "modern" else ["cnn"])
def test_a_run_with_weights_of_its_own_is_scored(model, weights, score):
    assert score(model, weights[model, 1]) == (0, [])


@pytest.mark.parametrize(
    ("model", "other", "words"),
    [
        ("cnn", "resnet", "they lack conv.weight and hold stem.conv.weight, which it has not"),
        ("resnet", "cnn", "they lack stem.conv.weight and hold conv.weight, which it has not"),
    ],
)
def test_weights_of_the_other_model_are_refused(model, other, words, weights, score):
    status, (line,) = score(model, weights[other, 1])
    assert status == 2 and words in line


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("cnn", "conv.weight has shape (32, 3, 3, 3), this network needs (32, 1, 3, 3): the weights are for 3 bands"),
        ("resnet", "stem.conv.weight has shape (32, 3, 7, 7), this network needs (32, 1, 7, 7)"),
    ],
)
def test_weights_for_other_bands_are_refused(model, words, weights, score):
    status, (line,) = score(model, weights[model, 3])
    assert status == 2 and words in line


def test_a_resnet_that_pooled_windows_of_its_last_map_is_refused_by_its_pooling(weights, score):
    # 64 pixels end in a map of 4x4: 2x2 windows of 3x3 and 512 filters gave 2,048 inputs.
    older = {**weights["resnet", 1], "dense.weight": np.zeros((1, 2048), np.float32)}
    status, (line,) = score("resnet", older)
    assert status == 2 and "whose pooling took windows of 3x3 of the last map: 2048 values for 512 filters" in line


def test_the_cnn_refuses_a_weight_of_lenses_which_its_loss_has_not():
    with pytest.raises(UserError, match="the CNN's loss weighs both classes alike, got a lens_weight of 2.0"):
        backend.build_network("cnn", NetworkShape(1), 1, lens_weight=2.0)


@pytest.mark.parametrize(
    ("model", "name"), [("cnn", "dense.weight"), ("resnet", "stage3.unit2.norm1.inv_std"), ("resnet", "dense.bias")]
)
def test_weights_that_diverged_are_refused(model, name, weights, score):
    bad = weights[model, 1][name].copy()
    bad.flat[-1] = np.nan
    status, (line,) = score(model, {**weights[model, 1], name: bad})
    assert status == 2 and f"hold NaN in {name}: the training diverged" in line


@pytest.mark.parametrize("length", [0, 1, 100, 10_000, -100, -1])
def test_a_truncated_file_of_weights_is_refused_by_name(length, weights, score):
    status, (line,) = score("cnn", weights["cnn", 1], length)
    assert status == 2 and "cannot read the weights" in line and "weights.npz" in line
