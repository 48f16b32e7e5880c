"""The same two networks as a PyTorch user would write them today, ingredient by ingredient.

The graphs are those of `resnet` and `cnn`; what is exchanged is what Lasagne and Keras did in their own way.  The
canonical weights stay canonical, so either framework scores with them.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lens_common.learning.protocol import NetworkShape, check_weights, holds_training_state

from .cnn import CNN
from .faithful import Adam, BatchNormLayer
from .resnet import ResNet

# What is exchanged -> for what.
INGREDIENTS = {
    "initialisation": "torch's default: uniform, sigma = 1 / sqrt(3 fan_in), biases too",
    "batch_norm": "torch's batch norm: epsilon 1e-5, running average of the unbiased variance",
    "pooling": "torch's max-pooling: the first of tied pixels gets the gradient",
    "loss": "torch's cross-entropy of the logits, nothing clipped",
    "adamw": "AdamW with a weight decay of 0.01 on kernels and dense weights",
}
NORM_EPSILON = 1e-5


class BatchNorm(nn.Module):
    """torch's own batch norm over (N, channels, H, W), under canonical names."""

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(channels))
        self.gamma = nn.Parameter(torch.ones(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, input: Tensor) -> Tensor:
        """Normalise; in training, by the batch's own statistics."""
        return functional.batch_norm(
            input, self.mean, self.variance, self.gamma, self.beta, self.training, eps=NORM_EPSILON
        )


class AdamW:
    """torch's AdamW behind the interface of `faithful.Adam`.

    Parameters
    ----------
    parameters : mapping of str to tensor
        To be stepped, by canonical name; each has its gradient.

    References
    ----------
    Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2.
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        decayed = [parameter for parameter in parameters.values() if parameter.ndim > 1]
        others = [parameter for parameter in parameters.values() if parameter.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups)
        for parameter in parameters.values():  # else torch makes them in the first step, too late to be set
            moments = {key: torch.zeros_like(parameter) for key in ("exp_avg", "exp_avg_sq")}
            self.optimizer.state[parameter] = {"step": torch.zeros((), device="cpu"), **moments}
        self.parameters = dict(parameters)

    def step(self, learning_rate: float) -> None:
        """Move every parameter against its gradient."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()

    def state(self) -> dict[str, Tensor]:
        """All that is carried from step to step, by canonical name."""
        state = {name: self.optimizer.state[parameter] for name, parameter in self.parameters.items()}
        keys = {"m": "exp_avg", "v": "exp_avg_sq", "t": "step"}
        return {f"adamw.{key}.{name}": state[name][long] for name in state for key, long in keys.items()}


class IdiomaticResNet(ResNet):
    """CMU DeepLens with torch's own initialisation, batch norm and AdamW.

    Parameters
    ----------
    shape : NetworkShape
        Bands and side of the stamps.
    seed : int
        Seed of the initial weights.
    ingredients : collection of str
        Which of `INGREDIENTS` to exchange; pooling and loss are torch's already.
    lens_weight : float
        Weight of a lens relative to a non-lens in the loss.
    """

    def __init__(
        self,
        shape: NetworkShape,
        seed: int,
        ingredients: Collection[str] = tuple(INGREDIENTS),
        lens_weight: float = 1.0,
    ) -> None:
        super().__init__(shape, seed, lens_weight)
        if "initialisation" in ingredients:
            _initialise(self.graph, seed)
        if "batch_norm" in ingredients:
            _exchange_norms(self.graph)
        optimizer: Any = AdamW if "adamw" in ingredients else Adam
        self.optimizer = optimizer(dict(self.graph.named_parameters()))

    def get_weights(self, training_state: bool = False) -> dict[str, np.ndarray]:
        """Canonical weights by name; with `training_state`, also the running variances as they are."""
        weights = {}
        for name, values in super().get_weights(training_state).items():
            if name.endswith(".variance"):
                weights[f"{name.removesuffix('variance')}inv_std"] = 1 / np.sqrt(values + NORM_EPSILON)
            if training_state or not name.endswith(".variance"):
                weights[name] = values
        return weights

    @torch.no_grad()
    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Set the weights, and the state of training where `weights` holds it."""
        training_state = holds_training_state(weights)
        check_weights(self.get_weights(training_state), weights)
        for name, variable in self._variables(training_state).items():
            values = weights.get(name)
            if values is None:  # a running variance, from 1 / sigma
                values = np.maximum(weights[f"{name.removesuffix('variance')}inv_std"] ** -2.0 - NORM_EPSILON, 0)
            variable.copy_(torch.as_tensor(np.array(values, order="C")))


class IdiomaticCNN(CNN):
    """The study's CNN with torch's own initialisation, max-pooling, loss and AdamW.

    Parameters
    ----------
    shape : NetworkShape
        Bands and side of the stamps.
    seed : int
        Seed of the initial weights.
    ingredients : collection of str
        Which of `INGREDIENTS` to exchange; there is no batch norm.
    lens_weight : float
        1: its loss knows no other.
    """

    def __init__(
        self,
        shape: NetworkShape,
        seed: int,
        ingredients: Collection[str] = tuple(INGREDIENTS),
        lens_weight: float = 1.0,
    ) -> None:
        super().__init__(shape, seed, lens_weight)
        self.ingredients = ingredients
        if "initialisation" in ingredients:
            _initialise(self.graph, seed)
        if "adamw" in ingredients:
            self.optimizer: Any = AdamW(dict(self.graph.named_parameters()))

    def _pool(self, maps: Tensor) -> Tensor:
        return functional.max_pool2d(maps, 4) if "pooling" in self.ingredients else super()._pool(maps)

    def _loss(self, one_hot: Tensor, logits: Tensor) -> Tensor:
        if "loss" in self.ingredients:
            return functional.cross_entropy(logits, one_hot, reduction="none")
        return super()._loss(one_hot, logits)


def _initialise(graph: nn.Module, seed: int) -> None:
    """Draw torch's own initial weights, without a trace in its global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for module in graph.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.reset_parameters()


def _exchange_norms(graph: nn.Module) -> None:
    """Put torch's batch norm in the place of Lasagne's."""
    for module in [*graph.modules()]:
        for name, child in [*module.named_children()]:
            if isinstance(child, BatchNormLayer):
                setattr(module, name, BatchNorm(len(child.beta)))
