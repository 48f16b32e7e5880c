"""The estimator keeps scikit-learn's conventions, whatever network it drives."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError

from lens_common.errors import UserError
from lens_common.learning.classifier import LensClassifier
from lens_common.learning.protocol import NetworkShape
from lens_common.learning.scaling import Sigma
from lens_common.learning.training import TrainingSettings

SETTINGS = TrainingSettings(epochs=30, batch_size=10, learning_rate=0.02, scaling="sigma")


def make_stamps(n_stamps=40, n_bands=1, seed=0):
    """Make stamps of which every other one, a lens, has a bright centre."""
    random_state = np.random.RandomState(seed)
    stamps = random_state.normal(100, 10, (n_stamps, n_bands, 5, 5)).astype(np.float32)
    labels = np.arange(n_stamps) % 2 == 0
    stamps[labels, :, 2, 2] += 200
    return stamps, labels


X, Y = make_stamps()


@pytest.fixture
def new_estimator(build_tiny_network):
    """Return a builder of an estimator with the tiny network."""

    def build(**parameters):
        return LensClassifier(build_tiny_network, **{"model": "tiny", "settings": SETTINGS, "seed": 3, **parameters})

    return build


@pytest.fixture
def fitted(new_estimator):
    return new_estimator().fit(X, Y)


def test_a_weight_of_the_lenses_is_handed_to_the_network_and_only_where_it_is_not_1():
    built = []

    def build(*given, **weighted):
        built.append(weighted)
        return Fixed(*given)

    for weight in (1.0, 2.5):
        LensClassifier(build, "tiny", replace(SETTINGS, epochs=1, lens_weight=weight), 3).fit(X, Y)
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
    settings = replace(SETTINGS, epochs=1, scaling="raw")
    return LensClassifier(Fixed, **{"model": "tiny", "settings": settings, "seed": 3, **parameters})


def test_it_is_a_classifier_to_scikit_learn(new_estimator):
    assert is_classifier(new_estimator())


def test_its_parameters_are_those_of_its_constructor(new_estimator, build_tiny_network):
    assert new_estimator(checkpoint="c.npz").get_params() == {
        "build_network": build_tiny_network,
        "model": "tiny",
        "settings": SETTINGS,
        "seed": 3,
        "checkpoint": "c.npz",
    }


def test_its_parameters_can_be_set(new_estimator):
    assert new_estimator().set_params(seed=8).seed == 8


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
    estimator = new_estimator(settings=replace(SETTINGS, scaling="deeplens"))
    constant = np.full((40, 1, 5, 5), 7, np.float32)
    estimator.fit(constant, Y, validation=(constant + 1000, Y))
    assert estimator.scaling_.mean == (7.0,)


def test_validation_stamps_are_scaled_and_watched_in_each_epoch(new_estimator):
    seen = []

    def monitor(labels, scores):
        seen.append((labels.tolist(), len(scores)))
        return {}

    estimator = new_estimator(settings=replace(SETTINGS, epochs=2)).fit(
        X, Y, validation=(X[:6], Y[:6]), monitor=monitor
    )
    assert seen == 2 * [([True, False] * 3, 6)]
    assert "validation_accuracy" in estimator.history_[0]


@pytest.mark.parametrize("scaling", ["raw", "sigma", "arcsinh", "sign-clip", "deeplens"])
def test_no_validation_stamps_are_needed(new_estimator, scaling):
    estimator = new_estimator(settings=replace(SETTINGS, epochs=1, scaling=scaling)).fit(X, Y)
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
        new_estimator(settings=replace(SETTINGS, scaling="log")).fit(X, Y)
