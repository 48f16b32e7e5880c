"""The study's CNN."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from lens_common.learning.batches import dropout_mask
from .initial import draw_cnn_weights
from lens_common.learning.protocol import (
    NetworkShape,
    check_lens_weight,
    check_side,
    check_weights,
    holds_training_state,
)

from .faithful import RMSprop, max_pool
from .losses import clipped_binary_cross_entropy

FILTERS = 32
DROPOUT_RATE = 0.1


class CNN:
    """The study's CNN with its loss and its RMSprop, behind the twin protocol."""

    def __init__(self, shape: NetworkShape, seed: int, lens_weight: float = 1.0) -> None:
        check_lens_weight(lens_weight)
        self.autocast: torch.dtype | None = None
        check_side(shape, least=6)  # 2 pixels go at the border, and 4 are pooled into one
        self.pooled = (FILTERS, (shape.side - 2) // 4, (shape.side - 2) // 4)  # channels, H, W
        self.conv = nn.Conv2d(shape.n_bands, FILTERS, 3)
        self.dense = nn.Linear(int(np.prod(self.pooled)), 2)
        self.graph = nn.ModuleDict({"conv": self.conv, "dense": self.dense})
        self.optimizer = RMSprop(dict(self.graph.named_parameters()))
        self.set_weights(draw_cnn_weights(self.get_weights(), seed))

    def train_step(
        self, stamps: np.ndarray, labels: np.ndarray, learning_rate: float, random_state: np.random.RandomState
    ) -> float:
        """Take one step of RMSprop on a batch."""
        mask = dropout_mask(random_state, (len(stamps), *self.pooled), DROPOUT_RATE)
        one_hot = np.stack([1 - labels, labels], axis=1)  # (N, 2): non-lens, lens
        self.graph.zero_grad()
        loss = self._loss(_floats(one_hot), self._logits(_floats(stamps), _floats(mask))).mean()
        loss.backward()
        self.optimizer.step(learning_rate)
        return loss.item()

    @torch.inference_mode()
    def predict(self, stamps: np.ndarray) -> np.ndarray:
        """Probability that each stamp holds a lens, (N,) in [0, 1]."""
        return self.probability(_floats(stamps)).numpy(force=True)

    def probability(self, stamps: Tensor) -> Tensor:
        """Probability (N,) of a lens from scaled stamps (N, bands, H, W), in one graph, for `predict` and `export`."""
        return torch.softmax(self._logits(stamps), dim=1)[:, 1]

    def get_weights(self, training_state: bool = False) -> dict[str, np.ndarray]:
        """Canonical weights by name."""
        return {name: value.numpy(force=True).copy() for name, value in self._variables(training_state).items()}

    @torch.no_grad()
    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Set the weights, and the state of training where `weights` holds it."""
        training_state = holds_training_state(weights)
        check_weights(self.get_weights(training_state), weights)
        variables = self._variables(training_state)
        for name, variable in variables.items():
            variable.copy_(torch.as_tensor(weights[name]))

    def _logits(self, stamps: Tensor, mask: Tensor | float = 1.0) -> Tensor:
        with torch.autocast(stamps.device.type, self.autocast, enabled=self.autocast is not None):
            features = self._pool(torch.relu(self.conv(stamps)))  # (N, 32, H, W)
            return self.dense((features * mask).flatten(1)).to(stamps.dtype)

    def _pool(self, maps: Tensor) -> Tensor:
        return max_pool(maps, 4)

    def _loss(self, one_hot: Tensor, logits: Tensor) -> Tensor:
        return clipped_binary_cross_entropy(one_hot, torch.softmax(logits, dim=1))

    def _variables(self, training_state: bool) -> dict[str, Tensor]:
        variables = dict(self.graph.state_dict())
        if training_state:
            variables.update(self.optimizer.state())
        return variables


def _floats(values: np.ndarray) -> Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.get_default_dtype())
