"""The study's CNN: one convolution, one max-pooling, one dense layer."""

from typing import Any, Dict

import keras
import numpy as np
from keras import backend as K
from keras.layers import Conv2D, Dense, Flatten, Input, MaxPooling2D, Multiply

from lens_common.learning.batches import dropout_mask
from lens_common.learning.initial import draw_cnn_weights
from lens_common.learning.protocol import (
    NetworkShape,
    check_lens_weight,
    check_side,
    check_weights,
    holds_training_state,
)

from .losses import clipped_binary_cross_entropy

FILTERS = 32
DROPOUT_RATE = 0.1


class CNN:
    """The study's CNN with its loss and its RMSprop, behind the twin protocol.

    The dropout mask comes in as a second input, drawn outside of the graph, so that
    twins drop the same features for one seed and a stopped run can be continued.

    Parameters
    ----------
    shape : NetworkShape
        Bands and side of the stamps.
    seed : int
        Seed of the initial weights.
    lens_weight : float
        1: its loss knows no other.
    """

    def __init__(self, shape: NetworkShape, seed: int, lens_weight: float = 1.0) -> None:
        check_lens_weight(lens_weight)
        check_side(shape, least=6)  # 2 pixels go at the border, and 4 are pooled into one
        self.pooled = (FILTERS, (shape.side - 2) // 4, (shape.side - 2) // 4)  # channels, H, W
        # DIFFERS: channels: Keras keeps them last
        stamps = Input((shape.side, shape.side, shape.n_bands))
        mask = Input((int(np.prod(self.pooled)),))
        conv = Conv2D(FILTERS, (3, 3), activation="relu", kernel_initializer="zeros", name="conv")
        dense = Dense(2, activation="softmax", kernel_initializer="zeros", name="dense")
        # DIFFERS: pooling: Theano gives the gradient to every pixel that ties for the maximum
        features = Flatten()(MaxPooling2D((4, 4))(conv(stamps)))  # (N, H * W * 32)
        self.model = keras.Model([stamps, mask], dense(Multiply()([features, mask])))
        # DIFFERS: RMSprop: Keras has rho 0.9 and epsilon 1e-7
        self.model.compile(keras.optimizers.RMSprop(), clipped_binary_cross_entropy)
        self.scorer = keras.Model(stamps, dense(features))
        self.set_weights(draw_cnn_weights(self.get_weights(), seed))

    def train_step(
        self, stamps: np.ndarray, labels: np.ndarray, learning_rate: float, random_state: np.random.RandomState
    ) -> float:
        """Take one step of RMSprop on a batch; return the mean loss before it."""
        mask = dropout_mask(random_state, (len(stamps), *self.pooled), DROPOUT_RATE)
        mask = _channels_last(mask).reshape(len(stamps), -1)
        one_hot = np.stack([1 - labels, labels], axis=1)  # (N, 2): non-lens, lens
        K.set_value(self.model.optimizer.lr, learning_rate)
        return float(self.model.train_on_batch([_channels_last(stamps), mask], one_hot))

    def predict(self, stamps: np.ndarray) -> np.ndarray:
        """Probability that each stamp holds a lens, (N,) in [0, 1]."""
        return self.scorer.predict_on_batch(_channels_last(stamps))[:, 1]

    def get_weights(self, training_state: bool = False) -> Dict[str, np.ndarray]:
        """Canonical weights by name; with `training_state`, RMSprop's averages and step count too."""
        variables = self._variables(training_state)
        return {name: self._to_canonical(name, K.get_value(variable)) for name, variable in variables.items()}

    def set_weights(self, weights: Dict[str, np.ndarray]) -> None:
        """Set the weights, and the state of training where `weights` holds it."""
        training_state = holds_training_state(weights)
        check_weights(self.get_weights(training_state), weights)
        variables = self._variables(training_state)
        for name, variable in variables.items():
            K.set_value(variable, self._from_canonical(name, weights[name]))

    def _variables(self, training_state: bool) -> Dict[str, Any]:
        names = ("conv.weight", "conv.bias", "dense.weight", "dense.bias")
        variables = dict(zip(names, self.model.weights))
        if training_state:
            self.model._make_train_function()  # the averages exist from here on
            step, *averages = self.model.optimizer.weights
            variables.update({f"rmsprop.v.{name}": average for name, average in zip(names, averages)})
            variables["rmsprop.t"] = step
        return variables

    def _to_canonical(self, name: str, values: np.ndarray) -> np.ndarray:
        if name.endswith("conv.weight"):  # (H, W, bands, filters), flipped as Lasagne's
            return values[::-1, ::-1].transpose(3, 2, 0, 1).copy(order="C")
        if name.endswith("dense.weight"):  # (H * W * 32, 2)
            _, height, width = self.pooled
            return values.reshape(height, width, FILTERS, 2).transpose(3, 2, 0, 1).reshape(2, -1).copy(order="C")
        return values

    def _from_canonical(self, name: str, values: np.ndarray) -> np.ndarray:
        if name.endswith("conv.weight"):
            return values.transpose(2, 3, 1, 0)[::-1, ::-1].copy(order="C")
        if name.endswith("dense.weight"):
            return values.reshape(2, *self.pooled).transpose(2, 3, 1, 0).reshape(-1, 2).copy(order="C")
        return values


def _channels_last(stamps: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(stamps.transpose(0, 2, 3, 1))
