"""The estimator keeps scikit-learn's conventions, whatever network it drives."""

import pickle
import sys
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from lens_common.data.decoding import pixel_digest
from lens_common.errors import UserError
from lens_common.learning.classifier import LensClassifier
from lens_common.learning.models import MODELS, Model
from lens_common.learning.protocol import NetworkShape
from lens_common.learning.scaling import Sigma
from lens_common.learning.training import TrainingSettings
from lens_common.runs import read_stamps

SETTINGS = TrainingSettings(epochs=30, batch_size=10, learning_rate=0.02, scaling="sigma")
TINY = Model("Tiny", "logistic regression", {"test": "not imported"}, {"demo": SETTINGS})


def make_stamps(n_stamps=40, n_bands=1, seed=0):
    """Make stamps of which every other one, a lens, has a bright centre."""
    random_state = np.random.RandomState(seed)
    stamps = random_state.normal(100, 10, (n_stamps, n_bands, 5, 5)).astype(np.float32)
    labels = np.arange(n_stamps) % 2 == 0
    stamps[labels, :, 2, 2] += 200
    return stamps, labels


X, Y = make_stamps()


def backend_of(build_network):
    """A twin's backend without a framework."""
    return SimpleNamespace(
        NAME="test", build_network=build_network, mode=lambda: "faithful", describe=lambda: {"python": "3"}
    )


class TinyClassifier(LensClassifier):
    """A twin's classifier, on the tiny network."""

    backend = backend_of(lambda *given: TINY_NETWORK[0](*given))


TINY_NETWORK = []


@pytest.fixture(autouse=True)
def _tiny_model(monkeypatch, build_tiny_network):
    monkeypatch.setitem(MODELS, "tiny", TINY)
    monkeypatch.setattr(sys.modules[__name__], "TINY_NETWORK", [build_tiny_network])


@pytest.fixture
def new_estimator():
    """Return a builder of an estimator with the tiny network."""
    return lambda **parameters: TinyClassifier("tiny", **{"seed": 3, **parameters})


@pytest.fixture
def fitted(new_estimator):
    return new_estimator().fit(X, Y)


def test_a_weight_of_the_lenses_is_handed_to_the_network_and_only_where_it_is_not_1():
    built = []

    def build(*given, **weighted):
        built.append(weighted)
        return Fixed(*given)

    for weight in (1.0, 2.5):
        LensClassifier.of(backend_of(build))("tiny", epochs=1, lens_weight=weight, seed=3).fit(X, Y)
    assert built == [{}, {"lens_weight": 2.5}]


class Fixed:
    """A network that scores every stamp by its first pixel and learns nothing."""

    def __init__(self, model, shape, seed):
        self.built_with = (model, shape, seed)

    def train_step(self, stamps, labels, learning_rate, random_state):
        return 0.0

    def predict(self, stamps):
        return stamps[:, 0, 0, 0]

    def get_weights(self, training_state=False):
        return {}

    def set_weights(self, weights):
        pass


def fixed_estimator(**parameters):
    return LensClassifier.of(backend_of(Fixed))("tiny", epochs=1, scaling="raw", seed=3, **parameters)


def test_it_is_a_classifier_to_scikit_learn(new_estimator):
    assert is_classifier(new_estimator())


def test_its_parameters_are_those_of_its_constructor(new_estimator):
    parameters = new_estimator(checkpoint="c.npz", epochs=4).get_params()
    given = {key: value for key, value in parameters.items() if value not in (None, (), False)}
    assert given == {"model": "tiny", "preset": "demo", "seed": 3, "checkpoint": "c.npz", "epochs": 4}
    assert set(parameters) >= {field.name for field in fields(TrainingSettings)}


def test_its_parameters_can_be_set(new_estimator):
    assert new_estimator().set_params(seed=8, epochs=3).training_settings() == replace(SETTINGS, epochs=3)


def test_a_clone_has_the_parameters_and_nothing_learned(fitted):
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "network_")


def test_a_clone_trains_to_the_same_scores(fitted):
    assert np.array_equal(clone(fitted).fit(X, Y).predict_proba(X), fitted.predict_proba(X))


def test_fitting_again_begins_anew(fitted):
    before = fitted.predict_proba(X)
    assert np.array_equal(fitted.fit(X, Y).predict_proba(X), before)


def test_another_seed_gives_other_scores(fitted, new_estimator):
    assert not np.array_equal(new_estimator(seed=4).fit(X, Y).predict_proba(X), fitted.predict_proba(X))


def test_fit_returns_the_estimator(new_estimator):
    estimator = new_estimator()
    assert estimator.fit(X, Y) is estimator


def test_the_classes_are_non_lens_and_lens_in_this_order(fitted):
    assert fitted.classes_.tolist() == [False, True]


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_an_estimator_that_is_not_fitted_says_so(new_estimator, method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(new_estimator(), method)(X)


def test_the_probabilities_of_both_classes_sum_to_one(fitted):
    probabilities = fitted.predict_proba(X)
    assert probabilities.shape == (40, 2)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(40), rel=1e-12)
    assert probabilities.min() >= 0


def test_the_second_column_is_the_networks_score():
    estimator = fixed_estimator().fit(X, Y)
    stamps = np.zeros((2, 1, 5, 5), np.float32)
    stamps[:, 0, 0, 0] = 0.25, 0.75
    assert estimator.predict_proba(stamps).tolist() == [[0.75, 0.25], [0.25, 0.75]]


def test_a_lens_is_predicted_above_a_half_and_not_at_it():
    estimator = fixed_estimator().fit(X, Y)
    stamps = np.zeros((3, 1, 5, 5), np.float32)
    stamps[:, 0, 0, 0] = 0.25, 0.5, 0.75
    assert estimator.predict(stamps).tolist() == [False, False, True]


def test_lenses_with_a_bright_centre_are_learned(fitted):
    unseen, labels = make_stamps(seed=1)
    assert fitted.score(unseen, labels) > 0.95


def test_labels_of_zero_and_one_are_labels(fitted, new_estimator):
    assert np.array_equal(new_estimator().fit(X, Y.astype(int)).predict_proba(X), fitted.predict_proba(X))


def test_the_network_is_built_for_the_stamps_it_gets():
    estimator = fixed_estimator().fit(*make_stamps(n_bands=3))
    assert estimator.network_.built_with == ("tiny", NetworkShape(n_bands=3, side=5), 3)


def test_the_scaling_is_fitted_on_the_training_stamps_alone(new_estimator):
    estimator = new_estimator(scaling="deeplens")
    constant = np.full((40, 1, 5, 5), 7, np.float32)
    estimator.fit(constant, Y, validation=(constant + 1000, Y))
    assert estimator.scaling_.mean == (7.0,)


def test_validation_stamps_are_scaled_and_watched_in_each_epoch(new_estimator):
    seen = []

    def monitor(labels, scores):
        seen.append((labels.tolist(), len(scores)))
        return {}

    estimator = new_estimator(epochs=2).fit(X, Y, validation=(X[:6], Y[:6]), monitor=monitor)
    assert seen == 2 * [([True, False] * 3, 6)]
    assert "validation_accuracy" in estimator.history_[0]


@pytest.mark.parametrize("scaling", ["raw", "sigma", "arcsinh", "sign-clip", "deeplens"])
def test_no_validation_stamps_are_needed(new_estimator, scaling):
    estimator = new_estimator(epochs=1, scaling=scaling).fit(X, Y)
    assert [row["epoch"] for row in estimator.history_] == [1]


def test_a_fit_leaves_its_checkpoint_where_it_was_told(new_estimator, tmp_path):
    new_estimator(checkpoint=tmp_path / "c.npz").fit(X, Y)
    assert (tmp_path / "c.npz").exists()


def test_a_fit_goes_on_though_another_numpy_scales_to_other_last_bits(new_estimator, tmp_path, monkeypatch):
    first = new_estimator(checkpoint=tmp_path / "c.npz").fit(X, Y)
    transform = Sigma.transform
    monkeypatch.setattr(Sigma, "transform", lambda self, stamps: np.nextafter(transform(self, stamps), np.float32(9)))
    assert new_estimator(checkpoint=tmp_path / "c.npz").fit(X, Y).history_ == first.history_


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((5, 5), r"stamps need shape \(N, bands, side, side\), got \(5, 5\); cut them square"),
        ((40, 5, 5), r"stamps need shape \(N, bands, H, W\), got \(40, 5, 5\); add a band axis"),
        ((40, 1, 5, 4), r"stamps need shape \(N, bands, side, side\), got \(40, 1, 5, 4\); cut them square"),
    ],
)
def test_stamps_of_a_wrong_shape_are_refused_with_both_shapes(new_estimator, shape, sentence):
    with pytest.raises(UserError, match=sentence):
        new_estimator().fit(np.zeros(shape, np.float32), Y)


@pytest.mark.parametrize("labels", [Y[:39], Y[:, None]])
def test_labels_of_another_shape_are_refused_with_both_shapes(new_estimator, labels):
    shape = str(labels.shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(UserError, match=rf"labels need shape \(40,\), one a stamp; got {shape}"):
        new_estimator().fit(X, labels)


@pytest.mark.parametrize("shape", [(2, 3, 5, 5), (2, 1, 6, 6)])
def test_scoring_stamps_of_another_shape_is_refused_with_both_values(fitted, shape):
    sentence = (
        r"the network takes stamps of 1 band\(s\) and 5 pixels a side; "
        f"these have {shape[1]} and {shape[2]}; cut or resample them"
    )
    with pytest.raises(UserError, match=sentence):
        fitted.predict_proba(np.zeros(shape, np.float32))


def test_one_class_alone_is_refused(new_estimator):
    with pytest.raises(UserError, match="training needs both classes, got 40 stamps, all lenses"):
        new_estimator().fit(X, np.ones(40, bool))


def test_an_unknown_scaling_is_refused(new_estimator):
    with pytest.raises(UserError, match="no scaling named 'log'"):
        new_estimator(scaling="log").fit(X, Y)


def test_pickling_keeps_what_was_learned(fitted):
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert again.history_ == fitted.history_


def test_labels_come_back_as_they_were_given(new_estimator):
    assert new_estimator().fit(X, Y.astype(int)).predict(X).dtype.kind == "i"
    assert new_estimator().fit(X, Y).predict(X).dtype == bool


def test_it_works_in_a_grid_search_of_cross_validations(new_estimator):
    search = GridSearchCV(new_estimator(), {"epochs": [1, 30]}, cv=2, scoring="roc_auc").fit(X, Y)
    assert search.best_params_ == {"epochs": 30}
    assert search.best_score_ > 0.9


def test_it_works_at_the_end_of_a_pipeline(fitted, new_estimator):
    pipeline = Pipeline([("brighter", FunctionTransformer(lambda stamps: 2 * stamps)), ("finder", new_estimator())])
    scores = pipeline.fit(X, Y).predict_proba(X)  # sigma takes a factor off again
    assert scores == pytest.approx(fitted.predict_proba(X), abs=1e-6)


def test_a_preset_gives_its_settings_and_what_is_given_replaces_them():
    finder = LensClassifier.of(backend_of(None)).from_preset("study-2000", "cnn", defects=["raw_pixels"], epochs=4)
    settings = finder.training_settings()
    assert (settings.batch_size, settings.scaling, settings.epochs) == (194, "raw", 4)
    with pytest.raises(UserError, match="no preset named 'study-7' for the cnn; choose one of demo"):
        LensClassifier.of(backend_of(None)).from_preset("study-7", "cnn")


def test_a_library_call_prints_nothing_and_progress_shows_where_it_is_asked_for(new_estimator, capfd):
    new_estimator().fit(X, Y, validation=(X, Y)).predict_proba(X)
    assert capfd.readouterr() == ("", "")
    new_estimator(verbose=True, epochs=2).fit(X, Y)
    assert "epoch 2/2  loss" in capfd.readouterr().err


def test_a_saved_classifier_is_loaded_with_its_scores_settings_and_history(fitted, tmp_path):
    assert fitted.save(tmp_path / "run") == tmp_path / "run"
    again = TinyClassifier.load(tmp_path / "run")
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert (again.training_settings(), again.model_hash_) == (SETTINGS, fitted.model_hash_)
    assert [row["loss"] for row in again.history_] == [row["loss"] for row in fitted.history_]
    assert clone(again).fit(X, Y).model_hash_ == fitted.model_hash_


def test_a_saved_run_knows_the_stamps_that_it_was_given_ids_of(new_estimator, tmp_path):
    run = new_estimator().fit(X, Y, ids=[f"stamp{row}" for row in range(40)]).save(tmp_path / "run")
    rows = read_stamps(run)
    assert [row["id"] for row in rows] == [f"stamp{row}" for row in range(40)]
    assert {row["fold"] for row in rows} == {"train"}
    assert rows[0]["digest"] == pixel_digest(X[0])


def test_saving_writes_again_what_it_wrote_and_no_other_files(fitted, tmp_path):
    run = fitted.save(tmp_path / "run")
    fitted.save(run)
    (run / "metrics.json").write_text("{}")
    with pytest.raises(UserError, match="holds other files, metrics.json among them; choose an empty or a new folder"):
        fitted.save(run)


def test_a_classifier_that_has_not_learned_is_not_saved(new_estimator, tmp_path):
    with pytest.raises(NotFittedError):
        new_estimator().save(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_loaded_and_saved_again_loses_nothing(new_estimator, tmp_path):
    first = new_estimator().fit(X, Y, ids=[f"stamp{row}" for row in range(40)]).save(tmp_path / "first")
    second = TinyClassifier.load(first).save(tmp_path / "second")
    for name in ("config.json", "stamps.csv", "history.csv"):
        written = [(run / name).read_text() for run in (first, second)]
        assert written[0].replace(".0,", ",") == written[1].replace(".0,", ",")  # an epoch is read as a float


@pytest.mark.parametrize(
    ("validation", "sentence"),
    [
        ((X, np.where(Y, 1, -1)), "labels must be 1 for a lens and 0 for a non-lens"),
        ((X, Y[:39]), r"labels need shape \(40,\)"),
        ((np.zeros((40, 1, 6, 6), np.float32), Y), r"validation stamps need the shape of the others, \(1, 5, 5\)"),
        ((np.full_like(X, np.nan), Y), "stamps must be finite"),
    ],
)
def test_validation_stamps_are_checked_as_the_others_are(new_estimator, validation, sentence):
    with pytest.raises(UserError, match=sentence):
        new_estimator().fit(X, Y, validation=validation)
