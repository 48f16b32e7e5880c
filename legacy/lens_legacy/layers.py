"""Layers that the networks need and Lasagne 0.1 lacks, with the semantics of Lasagne 0.2."""

from typing import Any, List, Tuple

import theano.tensor as T
from lasagne.init import Constant
from lasagne.layers import Conv2DLayer, Layer, NonlinearityLayer
from lasagne.nonlinearities import identity


def elu(x: Any) -> Any:
    """Exponential linear unit: ``x`` above zero, ``exp(x) - 1`` below.

    References
    ----------
    Clevert, Unterthiner & Hochreiter 2015, arXiv:1511.07289, equation 15, alpha = 1.
    """
    return T.switch(x > 0, x, T.expm1(x))


class SameConv2DLayer(Conv2DLayer):
    """Convolution whose output has the input's size (divided by the stride, rounded up).

    Lasagne 0.1 convolves "full" and crops, which costs 400 MB more for the ResNet;
    Theano's ``half`` border gives the same numbers for odd filters.
    """

    def __init__(self, incoming: Any, num_filters: int, filter_size: int, **kwargs: Any) -> None:
        if filter_size % 2 == 0:
            raise ValueError(f"filter_size must be odd for a convolution of the same size, got {filter_size}")
        super().__init__(incoming, num_filters, filter_size, pad=filter_size // 2, **kwargs)

    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        """Convolve (kernels flipped, as Lasagne does), add the bias if any, apply the non-linearity."""
        output = T.nnet.conv2d(
            input,
            self.W,
            input_shape=self.input_shape,
            filter_shape=self.get_W_shape(),
            border_mode="half",
            subsample=self.stride,
        )
        if self.b is not None:
            output = output + self.b.dimshuffle("x", 0, "x", "x")
        return self.nonlinearity(output)


class BatchNormLayer(Layer):
    """Batch normalisation over all axes but the second, with Lasagne 0.2's statistics.

    In training, ``(x - mean) * gamma * inv_std + beta`` with the batch's own mean and
    ``inv_std = 1 / sqrt(variance + epsilon)``; the running averages of mean and of
    inv_std (not of the variance) follow with weight `alpha`.  Deterministic, the
    running averages take the batch's place.

    Attributes
    ----------
    statistics_updates : list of (shared variable, expression)
        Updates of the running averages, known once the training output was built.

    References
    ----------
    Ioffe & Szegedy 2015, arXiv:1502.03167, algorithms 1 and 2.
    """

    # DIFFERS: batch norm: Lasagne has epsilon 1e-4 and averages 1 / sigma
    def __init__(self, incoming: Any, alpha: float = 0.1, epsilon: float = 1e-4, **kwargs: Any) -> None:
        super().__init__(incoming, **kwargs)
        self.alpha, self.epsilon = alpha, epsilon
        self.axes = (0, *range(2, len(self.input_shape)))
        shape = (self.input_shape[1],)
        self.beta = self.add_param(Constant(0), shape, "beta", regularizable=False)
        self.gamma = self.add_param(Constant(1), shape, "gamma")
        self.mean = self.add_param(Constant(0), shape, "mean", trainable=False, regularizable=False)
        self.inv_std = self.add_param(Constant(1), shape, "inv_std", trainable=False, regularizable=False)
        self.statistics_updates: List[Tuple[Any, Any]] = []

    def get_output_for(self, input: Any, deterministic: bool = False, **kwargs: Any) -> Any:
        """Normalise `input`; without `deterministic`, by its own statistics."""
        mean, inv_std = self.mean, self.inv_std
        if not deterministic:
            mean = input.mean(self.axes)
            inv_std = T.inv(T.sqrt(input.var(self.axes) + self.epsilon))
            self.statistics_updates = [
                (self.mean, (1 - self.alpha) * self.mean + self.alpha * mean),
                (self.inv_std, (1 - self.alpha) * self.inv_std + self.alpha * inv_std),
            ]
        pattern = ["x", 0] + ["x"] * (len(self.input_shape) - 2)
        mean, inv_std, gamma, beta = (v.dimshuffle(pattern) for v in (mean, inv_std, self.gamma, self.beta))
        return (input - mean) * (gamma * inv_std) + beta


def batch_norm(layer: Any, name: str) -> Any:
    """Put batch normalisation between a layer and its non-linearity; the layer's bias goes.

    Parameters
    ----------
    layer : lasagne.layers.Layer
        A layer with attributes ``nonlinearity`` and ``b``; both are taken off it.
    name : str
        Name of the normalisation's parameters.

    Returns
    -------
    lasagne.layers.Layer
        The non-linearity behind the normalisation.
    """
    nonlinearity, layer.nonlinearity = layer.nonlinearity, identity
    if layer.b is not None:
        del layer.params[layer.b]
        layer.b = None
    return NonlinearityLayer(BatchNormLayer(layer, name=name), nonlinearity)
