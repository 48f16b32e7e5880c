"""CMU DeepLens: a pre-activated residual network of 46 convolutional layers."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from lens_common.learning.protocol import NetworkShape, check_side, check_weights, holds_training_state

from .faithful import Adam, BatchNormLayer, glorot_uniform, he_normal
from .losses import weighted_sigmoid_cross_entropy

# Three units a stage: inner filters, outer filters, halve the side at the first unit.
STAGES = ((16, 32, False), (32, 64, True), (64, 128, True), (128, 256, True), (256, 512, True))


def residual_unit(
    incoming: int,
    inner: int,
    outer: int,
    random_state: np.random.RandomState,
    halve: bool = False,
    activated: bool = False,
) -> nn.Module:
    """Three convolutions (1x1, 3x3, 1x1) beside a shortcut, then their sum.

    The shortcut is the raw input where the shape stays, else a 1x1 convolution of the
    activated input.

    Parameters
    ----------
    incoming : int
        Channels of the input, (N, incoming, H, W).
    inner, outer : int
        Filters of the first two convolutions, and of the third.
    random_state : numpy.random.RandomState
        Draws the kernels, in the order of the convolutions.
    halve : bool
        Stride 2 in the first convolution and the shortcut.
    activated : bool
        The input has been normalised and activated already.

    Returns
    -------
    torch.nn.Module
        To (N, outer, H, W), or half of H and W, rounded up.

    References
    ----------
    He et al. 2016, arXiv:1603.05027, figure 1(b); Lanusse et al. 2018, arXiv:1703.02642, figure 3.
    """
    stride = 2 if halve else 1
    unit = _ResidualUnit()
    if not activated:
        unit.norm0 = BatchNormLayer(incoming)

    def convolution(incoming: int, filters: int, size: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
        return _same_convolution(he_normal(random_state, (filters, incoming, size, size)), stride, bias)

    unit.conv1, unit.norm1 = convolution(incoming, inner, 1, stride=stride, bias=False), BatchNormLayer(inner)
    unit.conv2, unit.norm2 = convolution(inner, inner, 3, bias=False), BatchNormLayer(inner)
    unit.conv3 = convolution(inner, outer, 1)
    if halve or incoming != outer:
        unit.shortcut = convolution(incoming, outer, 1, stride=stride)
    return unit


class _ResidualUnit(nn.Module):
    """The way through a residual unit; `residual_unit` says which layers it has."""

    conv1: nn.Conv2d
    conv2: nn.Conv2d
    conv3: nn.Conv2d
    norm1: BatchNormLayer
    norm2: BatchNormLayer

    def __init__(self) -> None:
        super().__init__()
        self.norm0: BatchNormLayer | None = None
        self.shortcut: nn.Conv2d | None = None

    def forward(self, net: Tensor) -> Tensor:
        entry = elu(self.norm0(net)) if self.norm0 is not None else net
        path = elu(self.norm1(self.conv1(entry)))
        path = elu(self.norm2(self.conv2(path)))
        path = self.conv3(path)
        if self.shortcut is not None:
            net = self.shortcut(entry)
        return path + net


def build_graph(shape: NetworkShape, random_state: np.random.RandomState) -> nn.Module:
    """Assemble the network up to its logits.

    Returns
    -------
    torch.nn.Module
        To (N, 1) logits; for 45x45 stamps the side runs 45, 23, 12, 6, 3, and the last map is pooled whole.
    """
    graph, incoming, side = nn.Sequential(), 32, shape.side
    stem = _same_convolution(glorot_uniform(random_state, (32, shape.n_bands, 7, 7), np.sqrt(2)), bias=False)
    graph.stem = nn.Sequential()
    graph.stem.conv, graph.stem.norm, graph.stem.elu = stem, BatchNormLayer(32), nn.ELU()  # (N, 32, 45, 45)
    for stage, (inner, outer, halve) in enumerate(STAGES, start=1):
        units = nn.Sequential()
        units.unit1 = residual_unit(incoming, inner, outer, random_state, halve=halve, activated=stage == 1)
        units.unit2 = residual_unit(outer, inner, outer, random_state)
        units.unit3 = residual_unit(outer, inner, outer, random_state)
        graph.add_module(f"stage{stage}", units)
        incoming, side = outer, -(-side // 2) if halve else side
    graph.pool = nn.AvgPool2d(side, stride=1)  # (N, 512, 1, 1)
    graph.flatten = nn.Flatten()
    graph.dense = nn.Linear(outer, 1)
    # DIFFERS: dense weights: torch's are (outputs, inputs)
    _fill(graph.dense, glorot_uniform(random_state, graph.dense.weight.shape[::-1]).T)
    return graph


class ResNet:
    """CMU DeepLens with its loss and its Adam, behind the twin protocol.

    Parameters
    ----------
    shape : NetworkShape
        Bands and side of the stamps.
    seed : int
        Seed of the initial weights.
    lens_weight : float
        Weight of a lens relative to a non-lens in the loss.

    References
    ----------
    Lanusse et al. 2018, arXiv:1703.02642; github.com/McWilliamsCenter/CMUDeepLens.
    """

    def __init__(self, shape: NetworkShape, seed: int, lens_weight: float = 1.0) -> None:
        self.lens_weight = lens_weight
        check_side(shape, least=33)  # the side is halved four times, and 3 pixels must be left
        self.graph = build_graph(shape, np.random.RandomState(seed))
        for parameter in self.graph.parameters():
            if parameter.ndim == 4:  # the order in which torch's convolutions are fastest
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self.optimizer = Adam(dict(self.graph.named_parameters()))

    def train_step(
        self, stamps: np.ndarray, labels: np.ndarray, learning_rate: float, random_state: np.random.RandomState
    ) -> float:
        """Take one step of Adam on a batch; return the mean loss before it."""
        self.graph.train().zero_grad()
        losses = weighted_sigmoid_cross_entropy(self._logits(stamps), _floats(labels)[:, None], self.lens_weight)
        loss = losses.mean()
        loss.backward()
        self.optimizer.step(learning_rate)
        return loss.item()

    @torch.inference_mode()
    def predict(self, stamps: np.ndarray) -> np.ndarray:
        """Probability that each stamp holds a lens, (N,) in [0, 1]."""
        self.graph.eval()
        return torch.sigmoid(self._logits(stamps))[:, 0].numpy(force=True)

    def get_weights(self, training_state: bool = False) -> dict[str, np.ndarray]:
        """Canonical weights by name; with `training_state`, Adam's moments and step count too."""
        return {name: _to_canonical(value) for name, value in self._variables(training_state).items()}

    @torch.no_grad()
    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Set the weights, and the state of training where `weights` holds it."""
        training_state = holds_training_state(weights)
        check_weights(self.get_weights(training_state), weights)
        variables = self._variables(training_state)
        for name, variable in variables.items():
            variable.copy_(_floats(weights[name]))

    def _logits(self, stamps: np.ndarray) -> Tensor:
        return self.graph(_floats(stamps))

    def _variables(self, training_state: bool) -> dict[str, Tensor]:
        variables = dict(self.graph.state_dict())
        if training_state:
            variables.update(self.optimizer.state())
        return variables


def _same_convolution(kernels: np.ndarray, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """Convolution whose output has the input's size (divided by the stride, rounded up)."""
    filters, incoming, size, _ = kernels.shape
    layer = nn.Conv2d(incoming, filters, size, stride, padding=size // 2, bias=bias)
    # DIFFERS: kernels: torch correlates, so what Lasagne draws is flipped
    _fill(layer, kernels[:, :, ::-1, ::-1])
    return layer


@torch.no_grad()
def _fill(layer: nn.Conv2d | nn.Linear, weight: np.ndarray) -> None:
    """Give a layer its drawn weight, and a bias of zero."""
    layer.weight.copy_(_floats(weight))
    if layer.bias is not None:
        layer.bias.zero_()


def _floats(values: np.ndarray) -> Tensor:
    return torch.tensor(np.array(values, order="C"), dtype=torch.get_default_dtype())


def _to_canonical(value: Tensor) -> np.ndarray:
    return np.array(value.numpy(force=True), order="C")
