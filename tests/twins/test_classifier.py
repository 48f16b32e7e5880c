"""Each twin's classifier, with its real network: pickled, cloned, saved, loaded, and read by the verbs."""

import copy
import pickle
import sys
from importlib import import_module

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from lens_common import load_stamps, make_mocks
from lens_common.errors import UserError
from lens_common.files import read_csv

SIDE = "legacy" if sys.version_info < (3, 9) else "modern"
twin, main = import_module(f"lens_{SIDE}"), import_module(f"lens_{SIDE}.cli").main
RANDOM = np.random.RandomState(0)
LABELS = np.arange(40) % 2
PIXELS = RANDOM.normal(0, 3, (40, 1, 12, 12)).astype(np.float32) + 20 * LABELS[:, None, None, None]


@pytest.fixture(scope="module")
def finder():
    return twin.LensClassifier("cnn", epochs=2, batch_size=10).fit(PIXELS, LABELS)


@pytest.mark.parametrize("copied", [lambda it: pickle.loads(pickle.dumps(it)), copy.deepcopy], ids=["pickle", "copy"])
def test_a_copy_scores_as_the_original(finder, copied):
    again = copied(finder)
    assert type(again) is twin.LensClassifier
    assert np.array_equal(again.predict_proba(PIXELS), finder.predict_proba(PIXELS))


def test_a_saved_classifier_scores_as_before_and_learns_the_same_again(finder, tmp_path):
    again = twin.LensClassifier.load(finder.save(tmp_path / "run"))
    assert np.array_equal(again.predict_proba(PIXELS), finder.predict_proba(PIXELS))
    assert again.model_hash_ == finder.model_hash_
    assert clone(again).fit(PIXELS, LABELS).model_hash_ == finder.model_hash_


def test_scikit_learn_cross_validates_it():
    scores = cross_val_score(twin.LensClassifier("cnn", epochs=1, batch_size=10), PIXELS, LABELS, cv=2)
    assert scores.shape == (2,) and (scores >= 0).all()


def test_the_verbs_take_a_saved_run(tmp_path, capsys):
    mocks = make_mocks(tmp_path / "mocks", 12)

    stamps = load_stamps(mocks)
    finder = twin.LensClassifier("cnn", epochs=1, batch_size=4).fit(stamps.pixels, stamps.labels, ids=stamps.ids)
    run, out = finder.save(tmp_path / "run"), tmp_path / "scores.csv"
    assert main(["score", str(mocks), "--run", str(run), "--out", str(out)]) == 0
    rows = {row["id"]: row for row in read_csv(out)}
    expected = finder.predict_proba(stamps.pixels)[:, 1]
    np.testing.assert_allclose([float(rows[str(name)]["score"]) for name in stamps.ids], expected, atol=1e-6)
    assert {row["fold"] for row in rows.values()} == {"train"}
    assert main(["evaluate", str(run)]) == 2
    assert "does not say what it was trained on; name labelled stamps with --data" in capsys.readouterr().err


def test_a_network_that_does_not_ship_is_refused_by_name():
    with pytest.raises(UserError, match="no network named 'vit' ships with the package; choose one of resnet, cnn"):
        twin.load_shipped("vit")


def test_a_model_that_is_not_known_is_refused_by_name():
    with pytest.raises(UserError, match="no model named 'vit'; choose one of resnet, cnn"):
        twin.LensClassifier("vit").fit(PIXELS, LABELS)
