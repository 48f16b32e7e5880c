"""The weights that a network begins with, drawn by NumPy so that twins begin alike."""

from typing import Dict, Mapping, Tuple

import numpy as np


def draw_cnn_weights(weights: Mapping[str, np.ndarray], seed: int) -> Dict[str, np.ndarray]:
    """Draw the CNN's initial weights as Keras does by default: Glorot's uniform, biases zero.

    Parameters
    ----------
    weights : dict of str to array
        What the network's own `get_weights` gives: names and shapes, in the order of drawing.
    seed : int
        Seed of the drawing.

    Returns
    -------
    dict of str to float64 array
        Canonical weights of the same names and shapes.
    """
    random_state = np.random.RandomState(seed)
    return {
        name: glorot_uniform(random_state, values.shape) if values.ndim > 1 else np.zeros(values.shape)
        for name, values in weights.items()
    }


def draw_resnet_weights(weights: Mapping[str, np.ndarray], seed: int) -> Dict[str, np.ndarray]:
    """Draw the ResNet's initial weights as CMU DeepLens lets Lasagne do it, number by number.

    Kernels by He's rule, the stem and the dense layer by Glorot's, biases zero.  Lasagne draws kernels
    that are yet to be flipped, and dense weights as (inputs, outputs); both are turned canonical here.

    Parameters
    ----------
    weights : dict of str to array
        What the network's own `get_weights` gives: names and shapes, in the order of drawing.
    seed : int
        Seed of the drawing.

    Returns
    -------
    dict of str to array
        Canonical weights of the same names and shapes; those of the batch norms are the ones given.
    """
    random_state = np.random.RandomState(seed)
    drawn = dict(weights)
    for name, values in weights.items():
        if name == "stem.conv.weight":
            drawn[name] = glorot_uniform(random_state, values.shape, gain=np.sqrt(2))[:, :, ::-1, ::-1]
        elif name == "dense.weight":
            drawn[name] = glorot_uniform(random_state, values.shape[::-1]).T
        elif name.endswith(".weight"):
            drawn[name] = he_normal(random_state, values.shape)[:, :, ::-1, ::-1]
        elif name.endswith(".bias"):
            drawn[name] = np.zeros(values.shape)
    return drawn


def glorot_uniform(random_state: np.random.RandomState, shape: Tuple[int, ...], gain: float = 1.0) -> np.ndarray:
    """Draw weights by Glorot's rule: uniform, sigma = gain sqrt(2 / (fan_in + fan_out)).

    Parameters
    ----------
    random_state : numpy.random.RandomState
        Gives the same numbers on every version of NumPy.
    shape : tuple of int
        Of a kernel (outputs, inputs, H, W) or of dense weights, in either order.
    gain : float
        Factor of sigma: sqrt(2) before a rectifier.

    Returns
    -------
    float64 array
        Of that shape.

    References
    ----------
    Glorot & Bengio 2010, AISTATS, equation 16.
    """
    sigma = gain * np.sqrt(2 / (sum(shape[:2]) * np.prod(shape[2:])))
    return random_state.uniform(-np.sqrt(3) * sigma, np.sqrt(3) * sigma, shape)


def he_normal(random_state: np.random.RandomState, shape: Tuple[int, ...]) -> np.ndarray:
    """Draw a kernel (outputs, inputs, H, W) by He's rule: normal, sigma = sqrt(2 / fan_in), not truncated.

    References
    ----------
    He et al. 2015, arXiv:1502.01852, equation 10.
    """
    return random_state.normal(0, np.sqrt(2) * np.sqrt(1 / np.prod(shape[1:])), shape)
