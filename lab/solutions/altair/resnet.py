"""CMU DeepLens."""

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from .initial import draw_resnet_weights
from lens_common.learning.protocol import NetworkShape, check_side, check_weights, holds_training_state

from .faithful import Adam, BatchNormLayer
from .losses import weighted_sigmoid_cross_entropy

STAGES = ((16, 32, False), (32, 64, True), (64, 128, True), (128, 256, True), (256, 512, True))


class ResidualUnit(nn.Module):
    """Three convolutions (1x1, 3x3, 1x1) beside a shortcut, then their sum."""

    def __init__(self, incoming: int, inner: int, outer: int, halve: bool = False, activated: bool = False) -> None:
        super().__init__()
        stride = 2 if halve else 1
        self.norm0 = None if activated else BatchNormLayer(incoming)
        self.conv1 = nn.Conv2d(incoming, inner, 1, stride, bias=False)
        self.norm1 = BatchNormLayer(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.norm2 = BatchNormLayer(inner)
        self.conv3 = nn.Conv2d(inner, outer, 1)
        self.shortcut = nn.Conv2d(incoming, outer, 1, stride) if halve or incoming != outer else None

    def forward(self, net: Tensor) -> Tensor:
        """Take (N, incoming, H, W) to (N, outer, H, W), or to half of H and W, rounded up."""
        entry = net if self.norm0 is None else elu(self.norm0(net))
        path = elu(self.norm1(self.conv1(entry)))
        path = elu(self.norm2(self.conv2(path)))
        path = self.conv3(path)
        return path + (net if self.shortcut is None else self.shortcut(entry))


def build_graph(shape: NetworkShape) -> nn.Sequential:
    """Assemble the network up to its logits."""
    graph, incoming, side = nn.Sequential(), 32, shape.side
    stem = dict(conv=nn.Conv2d(shape.n_bands, 32, 7, padding=3, bias=False), norm=BatchNormLayer(32), elu=nn.ELU())
    graph.add_module("stem", nn.Sequential(OrderedDict(stem)))  # (N, 32, 45, 45)
    for stage, (inner, outer, halve) in enumerate(STAGES, start=1):
        units = dict(
            unit1=ResidualUnit(incoming, inner, outer, halve=halve, activated=stage == 1),
            unit2=ResidualUnit(outer, inner, outer),
            unit3=ResidualUnit(outer, inner, outer),
        )
        graph.add_module(f"stage{stage}", nn.Sequential(OrderedDict(units)))
        incoming, side = outer, -(-side // 2) if halve else side
    graph.add_module("pool", nn.AvgPool2d(side, stride=1))  # (N, 512, 1, 1)
    graph.add_module("flatten", nn.Flatten())
    graph.add_module("dense", nn.Linear(outer, 1))
    return graph


class ResNet:
    """CMU DeepLens with its loss and its Adam, behind the twin protocol."""

    def __init__(self, shape: NetworkShape, seed: int, lens_weight: float = 1.0) -> None:
        self.lens_weight = lens_weight
        self.autocast: torch.dtype | None = None
        check_side(shape, least=33)  # the side is halved four times, and 3 pixels must be left
        self.graph = build_graph(shape)
        for parameter in self.graph.parameters():
            if parameter.ndim == 4:  # the order in which torch's convolutions are fastest
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self.optimizer = Adam(dict(self.graph.named_parameters()))
        self.set_weights(draw_resnet_weights(self.get_weights(), seed))

    def train_step(
        self, stamps: np.ndarray, labels: np.ndarray, learning_rate: float, random_state: np.random.RandomState
    ) -> float:
        """Take one step of Adam on a batch."""
        self.graph.train().zero_grad()
        logits = self._logits(_floats(stamps))
        losses = weighted_sigmoid_cross_entropy(logits, _floats(labels)[:, None], self.lens_weight)
        loss = losses.mean()
        loss.backward()
        self.optimizer.step(learning_rate)
        return loss.item()

    @torch.inference_mode()
    def predict(self, stamps: np.ndarray) -> np.ndarray:
        """Probability that each stamp holds a lens, (N,) in [0, 1]."""
        self.graph.eval()
        return self.probability(_floats(stamps)).numpy(force=True)

    def probability(self, stamps: Tensor) -> Tensor:
        """Probability (N,) of a lens from scaled stamps (N, bands, H, W), in one graph, for `predict` and `export`."""
        return torch.sigmoid(self._logits(stamps))[:, 0]

    def get_weights(self, training_state: bool = False) -> dict[str, np.ndarray]:
        """Canonical weights by name."""
        return {name: _to_canonical(value) for name, value in self._variables(training_state).items()}

    @torch.no_grad()
    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Set the weights, and the state of training where `weights` holds it."""
        training_state = holds_training_state(weights)
        check_weights(self.get_weights(training_state), weights)
        variables = self._variables(training_state)
        for name, variable in variables.items():
            variable.copy_(_floats(weights[name]))

    def _logits(self, stamps: Tensor) -> Tensor:
        with torch.autocast(stamps.device.type, self.autocast, enabled=self.autocast is not None):
            return self.graph(stamps).to(stamps.dtype)

    def _variables(self, training_state: bool) -> dict[str, Tensor]:
        variables = dict(self.graph.state_dict())
        if training_state:
            variables.update(self.optimizer.state())
        return variables


def _floats(values: np.ndarray) -> Tensor:
    return torch.tensor(np.array(values, order="C"), dtype=torch.get_default_dtype())


def _to_canonical(value: Tensor) -> np.ndarray:
    return np.array(value.numpy(force=True), order="C")
