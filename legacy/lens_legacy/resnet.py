"""CMU DeepLens: a pre-activated residual network of 46 convolutional layers."""

from typing import Any, Dict, List

import lasagne
import numpy as np
import theano
import theano.tensor as T
from lasagne.init import GlorotUniform, HeNormal
from lasagne.layers import DenseLayer, ElemwiseSumLayer, InputLayer, NonlinearityLayer, Pool2DLayer
from lasagne.nonlinearities import identity, sigmoid

from lens_common.learning.protocol import NetworkShape, check_side, check_weights, holds_training_state
from lens_common.memory import no_garbage_collection

from .layers import BatchNormLayer, SameConv2DLayer, batch_norm, elu
from .losses import weighted_sigmoid_cross_entropy

# Three units a stage: inner filters, outer filters, halve the side at the first unit.
STAGES = ((16, 32, False), (32, 64, True), (64, 128, True), (128, 256, True), (256, 512, True))


def residual_unit(net: Any, name: str, inner: int, outer: int, halve: bool = False, activated: bool = False) -> Any:
    """Three convolutions (1x1, 3x3, 1x1) beside a shortcut, then their sum.

    The shortcut is the raw input where the shape stays, else a 1x1 convolution of the
    activated input.

    Parameters
    ----------
    net : lasagne.layers.Layer
        (N, channels, H, W).
    name : str
        Prefix of the names of the unit's weights.
    inner, outer : int
        Filters of the first two convolutions, and of the third.
    halve : bool
        Stride 2 in the first convolution and the shortcut.
    activated : bool
        The input has been normalised and activated already.

    Returns
    -------
    lasagne.layers.Layer
        (N, outer, H, W), or half of H and W, rounded up.

    References
    ----------
    He et al. 2016, arXiv:1603.05027, figure 1(b); Lanusse et al. 2018, arXiv:1703.02642, figure 3.
    """
    stride = 2 if halve else 1
    entry = net if activated else NonlinearityLayer(BatchNormLayer(net, name=f"{name}.norm0"), elu)

    def convolution(incoming: Any, part: str, filters: int, size: int, **kwargs: Any) -> Any:
        # DIFFERS: initialisation: Lasagne's is named layer by layer
        return SameConv2DLayer(incoming, filters, size, W=HeNormal("relu"), name=f"{name}.{part}", **kwargs)

    path = batch_norm(convolution(entry, "conv1", inner, 1, stride=stride, nonlinearity=elu), f"{name}.norm1")
    path = batch_norm(convolution(path, "conv2", inner, 3, nonlinearity=elu), f"{name}.norm2")
    path = convolution(path, "conv3", outer, 1, nonlinearity=identity)
    if halve or net.output_shape[1] != outer:
        net = convolution(entry, "shortcut", outer, 1, stride=stride, nonlinearity=identity)
    return ElemwiseSumLayer([path, net], name=name)


def build_graph(shape: NetworkShape) -> Any:
    """Assemble the network up to its logits.

    Returns
    -------
    lasagne.layers.Layer
        (N, 1) logits; for 45x45 stamps the side runs 45, 23, 12, 6, 3, and the last map is pooled whole.
    """
    net = InputLayer((None, shape.n_bands, shape.side, shape.side), name="stamps")
    stem = SameConv2DLayer(net, 32, 7, W=GlorotUniform("relu"), nonlinearity=elu, name="stem.conv")
    net = batch_norm(stem, "stem.norm")  # (N, 32, 45, 45)
    for stage, (inner, outer, halve) in enumerate(STAGES, start=1):
        first = f"stage{stage}.unit1"
        net = residual_unit(net, first, inner, outer, halve=halve, activated=stage == 1)
        net = residual_unit(net, f"stage{stage}.unit2", inner, outer)
        net = residual_unit(net, f"stage{stage}.unit3", inner, outer)
    net = Pool2DLayer(net, pool_size=net.output_shape[2:], stride=1, mode="average_inc_pad")  # (N, 512, 1, 1)
    return DenseLayer(net, 1, W=GlorotUniform(), nonlinearity=identity, name="dense")


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
        lasagne.random.set_rng(np.random.RandomState(seed))
        self.logits = build_graph(shape)
        self.stamps = lasagne.layers.get_all_layers(self.logits)[0].input_var
        self._train: Any = None
        self._predict: Any = None
        self._adam: Dict[str, Any] = {}

    def train_step(
        self, stamps: np.ndarray, labels: np.ndarray, learning_rate: float, random_state: np.random.RandomState
    ) -> float:
        """Take one step of Adam on a batch; return the mean loss before it."""
        if self._train is None:
            self._compile_training()
        return float(self._train(_floats(stamps), _floats(labels)[:, None], _floats(learning_rate)))

    def predict(self, stamps: np.ndarray) -> np.ndarray:
        """Probability that each stamp holds a lens, (N,) in [0, 1]."""
        if self._predict is None:
            probability = sigmoid(lasagne.layers.get_output(self.logits, deterministic=True))
            self._predict = theano.function([self.stamps], probability)
        return self._predict(_floats(stamps))[:, 0]

    def get_weights(self, training_state: bool = False) -> Dict[str, np.ndarray]:
        """Canonical weights by name; with `training_state`, Adam's moments and step count too."""
        weights = {_canonical_name(p): _to_canonical(p.name, p.get_value()) for p in self._parameters()}
        if training_state:
            if self._train is None:
                self._compile_training()
            weights.update({name: _to_canonical(name, p.get_value()) for name, p in self._adam.items()})
        return weights

    def set_weights(self, weights: Dict[str, np.ndarray]) -> None:
        """Set the weights, and the state of training where `weights` holds it."""
        training_state = holds_training_state(weights)
        check_weights(self.get_weights(training_state), weights)
        variables = {_canonical_name(p): p for p in self._parameters()}
        if training_state:
            variables.update(self._adam)
        for name, variable in variables.items():
            variable.set_value(_floats(_to_canonical(variable.name or name, weights[name])))

    def _parameters(self, **tags: bool) -> List[Any]:
        return lasagne.layers.get_all_params(self.logits, **tags)

    @no_garbage_collection()  # a quarter of the time before the first step
    def _compile_training(self) -> None:
        labels, learning_rate = T.matrix("labels"), T.scalar("learning_rate")
        logits = lasagne.layers.get_output(self.logits)
        loss = weighted_sigmoid_cross_entropy(logits, labels, self.lens_weight).mean()
        parameters = self._parameters(trainable=True)
        # DIFFERS: Adam: Lasagne adds epsilon outside of the bias correction
        updates = lasagne.updates.adam(loss, parameters, learning_rate=learning_rate)
        # Lasagne lists first moment, second moment and parameter in turn, and the step count last.
        state = list(updates)
        for position, parameter in enumerate(parameters):
            name = _canonical_name(parameter)
            self._adam[f"adam.m.{name}"] = state[3 * position]
            self._adam[f"adam.v.{name}"] = state[3 * position + 1]
        self._adam["adam.t"] = state[-1]
        for layer in lasagne.layers.get_all_layers(self.logits):
            updates.update(getattr(layer, "statistics_updates", []))
        self._train = theano.function([self.stamps, labels, learning_rate], loss, updates=updates)


def _floats(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=theano.config.floatX)


def _canonical_name(parameter: Any) -> str:
    layer, kind = parameter.name.rsplit(".", 1)
    return f"{layer}.{ {'W': 'weight', 'b': 'bias'}.get(kind, kind) }"


def _to_canonical(name: str, values: np.ndarray) -> np.ndarray:
    """Lasagne's order to canonical order and back: the step is its own inverse."""
    if values.ndim == 4:  # DIFFERS: kernels: Lasagne convolves, so its kernels are flipped
        return values[:, :, ::-1, ::-1].copy(order="C")
    if values.ndim == 2:  # DIFFERS: dense weights: Lasagne's are (inputs, outputs)
        return values.T.copy(order="C")
    return values
