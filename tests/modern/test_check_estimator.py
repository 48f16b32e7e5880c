"""scikit-learn's own checks of an estimator, with their tables of numbers folded into stamps.

The network is a logistic regression: what is checked is the classifier around it.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import validate_data

from lens_common.learning.classifier import LensClassifier
from lens_common.learning.models import MODELS, Model
from lens_common.learning.training import TrainingSettings

SIDE = 5  # pixels; room for tables of 25 columns
TINY = Model("Tiny", "", {}, {"demo": TrainingSettings(60, 16, 0.5, scaling="raw")})
# Checks that a classifier of stamps cannot pass -> why.
REASONS = {
    "check_classifiers_regression_target": "labels other than 0 and 1 are refused as unknown classes",
    "check_classifier_not_supporting_multiclass": "three classes are refused in a sentence of its own",
    "check_fit2d_1sample": "one stamp is refused because the other class is missing, not because it is one",
}


class Logistic:
    """Logistic regression on all pixels, behind the twin protocol."""

    def __init__(self, model, shape, seed):
        self.weights = np.zeros(shape.n_bands * shape.side**2 + 1)

    def features(self, stamps):
        return np.column_stack([stamps.reshape(len(stamps), -1), np.ones(len(stamps))]).astype(float)

    def predict(self, stamps):
        return expit(self.features(stamps) @ self.weights)

    def train_step(self, stamps, labels, learning_rate, random_state):
        slope = (self.predict(stamps) - labels) @ self.features(stamps) / len(labels)
        self.weights = self.weights - learning_rate * slope
        return float(np.abs(slope).sum())

    def get_weights(self, training_state=False):
        return {"weights": self.weights}

    def set_weights(self, weights):
        self.weights = weights["weights"]


class FoldedClassifier(LensClassifier):
    """A classifier of tables (N, F): each row becomes a stamp, the rest of which is zero."""

    backend = SimpleNamespace(NAME="test", build_network=Logistic, mode=lambda: "faithful")

    def fit(self, X, y, **options):
        X, y = validate_data(self, X, y)
        classes, encoded = np.unique(y, return_inverse=True)
        super().fit(fold(X), encoded, **options)
        self.n_features_in_, self.classes_ = X.shape[1], classes
        return self

    def predict_proba(self, X):
        if hasattr(self, "network_"):
            X = fold(validate_data(self, X, reset=False))
        return super().predict_proba(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


def fold(table):
    """Table (N, F) as stamps (N, 1, 5, 5)."""
    stamps = np.zeros((len(table), 1, SIDE, SIDE), np.float32)
    stamps.reshape(len(table), -1)[:, : table.shape[1]] = table
    return stamps


@pytest.fixture(autouse=True)
def _tiny_model(monkeypatch):
    monkeypatch.setitem(MODELS, "tiny", TINY)


@parametrize_with_checks([FoldedClassifier("tiny")], expected_failed_checks=lambda estimator: REASONS)
def test_check(estimator, check):
    check(estimator)
