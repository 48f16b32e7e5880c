"""Weights that float32 cannot hold end in a sentence, never in a score."""

import sys
from importlib import import_module

import numpy as np
import pytest

from lens_common import make_mocks
from lens_common.files import write_arrays
from lens_common.runs import load_weights

SIDE = "legacy" if sys.version_info < (3, 9) else "modern"
twin, main = import_module(f"lens_{SIDE}"), import_module(f"lens_{SIDE}.cli").main


@pytest.mark.parametrize("size", [1e300, 3e38])
def test_a_score_that_is_no_probability_is_refused(tmp_path, capsys, size):
    random_state = np.random.RandomState(0)
    labels = np.arange(8) % 2
    finder = twin.LensClassifier("cnn", epochs=1, batch_size=4)
    run = finder.fit(random_state.normal(0, 3, (8, 1, 45, 45)).astype(np.float32), labels).save(tmp_path / "run")
    weights = load_weights(run / "weights.npz")
    write_arrays(run / "weights.npz", {name: size * np.sign(values.astype(float)) for name, values in weights.items()})
    mocks = make_mocks(tmp_path / "mocks", 6)
    out = tmp_path / "scores.csv"
    assert main(["score", str(mocks), "--run", str(run), "--out", str(out)]) == 2
    sentence = capsys.readouterr().err
    assert "Traceback" not in sentence and ("not in [0, 1]" in sentence or "infinity" in sentence)
    assert not out.exists()
