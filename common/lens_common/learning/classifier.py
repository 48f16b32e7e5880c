"""The estimator: scaling, network and training loop behind scikit-learn's conventions."""

from pathlib import Path
from typing import Any, Callable, Optional, Tuple

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from ..errors import UserError
from .protocol import Network, NetworkShape
from .scaling import make_scaling
from .training import (
    Checkpoint,
    Monitor,
    TrainingData,
    TrainingSettings,
    predict_in_batches,
    train_network,
)

NetworkBuilder = Callable[..., Network]


class LensClassifier(ClassifierMixin, BaseEstimator):
    """Lens or non-lens, from counts, by a network of either framework.

    Parameters
    ----------
    build_network : callable
        A twin's ``backend.build_network``: (model, shape, seed) to a network; ``lens_weight`` is handed on where it
        is not 1.
    model : {"resnet", "cnn"}
        Which network.
    settings : TrainingSettings
        How it is trained, and its scaling.
    seed : int
        Of the initial weights and of everything drawn in training.
    checkpoint : str or Path, optional
        File from which a stopped `fit` goes on.

    Attributes
    ----------
    classes_ : bool array (2,)
        ``[False, True]``: non-lens, lens.
    network_ : Network
        Trained.
    scaling_ : Scaling
        Fitted on the training stamps.
    shape_ : NetworkShape
        Bands and side of the stamps it takes.
    history_ : list of dict
        One row an epoch.
    """

    def __init__(
        self,
        build_network: NetworkBuilder,
        model: str,
        settings: TrainingSettings,
        seed: int = 0,
        checkpoint: Optional[Path] = None,
    ) -> None:
        self.build_network = build_network
        self.model = model
        self.settings = settings
        self.seed = seed
        self.checkpoint = checkpoint

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        validation: Optional[Tuple[np.ndarray, np.ndarray]] = None,
        monitor: Optional[Monitor] = None,
    ) -> "LensClassifier":
        """Fit the scaling on the training stamps, then train.

        Parameters
        ----------
        X : float array (N, bands, H, W)
            Counts.
        y : bool array (N,)
            Lens or not.
        validation : (X, y), optional
            Stamps that are scored after each epoch.
        monitor : callable, optional
            Labels and scores of the validation stamps to named numbers for the history.

        Raises
        ------
        UserError
            For stamps that are not square or not four-axed, labels of another length,
            one class only, or no batch that can be filled.
        """
        shape = self._check_shape(X)
        y = np.asarray(y)
        if y.shape != (len(X),):
            raise UserError(f"labels need shape ({len(X)},), one a stamp; got {y.shape}")
        if not np.isin(y, (0, 1)).all():
            raise UserError("labels must be 1 for a lens and 0 for a non-lens; leave out stamps of unknown class")
        self.classes_ = np.array([False, True])
        self.scaling_ = make_scaling(self.settings.scaling).fit(X)
        held_X, held_y = validation if validation is not None else (X[:0], y[:0])
        data = TrainingData(
            self.scaling_.transform(X), y.astype(bool), self.scaling_.transform(held_X), np.asarray(held_y, bool)
        )
        weighted = {} if self.settings.lens_weight == 1 else {"lens_weight": self.settings.lens_weight}
        network = self.build_network(self.model, shape, self.seed, **weighted)
        counts = TrainingData(X, y.astype(bool), X[:0], y[:0])
        checkpoint = Checkpoint(self.checkpoint, self.settings, self.seed, counts) if self.checkpoint else None
        self.history_ = train_network(network, data, self.settings, self.seed, checkpoint, monitor)
        self.network_, self.shape_ = network, shape
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Probabilities (N, 2) of non-lens and lens, each in [0, 1], of stamps in counts."""
        check_is_fitted(self, "network_")
        shape = self._check_shape(X)
        if shape != self.shape_:
            raise UserError(
                f"the network takes stamps of {self.shape_.n_bands} band(s) and {self.shape_.side} pixels a side; "
                f"these have {shape.n_bands} and {shape.side}; cut or resample them"
            )
        scores = predict_in_batches(self.network_, self.scaling_.transform(X), progress=len(X) > 2000)
        return np.stack([1 - scores, scores], axis=1)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Label (N,): lens where the probability is above 0.5."""
        return self.predict_proba(X)[:, 1] > 0.5

    @staticmethod
    def _check_shape(X: Any) -> NetworkShape:
        shape = np.shape(X)
        if len(shape) == 3:
            raise UserError(f"stamps need shape (N, bands, H, W), got {shape}; add a band axis")
        if len(shape) != 4 or shape[2] != shape[3]:
            raise UserError(f"stamps need shape (N, bands, side, side), got {shape}; cut them square")
        return NetworkShape(n_bands=shape[1], side=shape[2])
