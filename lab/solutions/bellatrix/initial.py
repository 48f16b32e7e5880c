"""The weights that a network begins with, drawn by NumPy so that twins begin alike."""

from typing import Dict, Mapping, Tuple

import numpy as np


def draw_cnn_weights(weights: Mapping[str, np.ndarray], seed: int) -> Dict[str, np.ndarray]:
    """Draw the CNN's initial weights as Keras does by default."""
    random_state = np.random.RandomState(seed)
    return {
        name: glorot_uniform(random_state, values.shape) if values.ndim > 1 else np.zeros(values.shape)
        for name, values in weights.items()
    }


def draw_resnet_weights(weights: Mapping[str, np.ndarray], seed: int) -> Dict[str, np.ndarray]:
    """Draw the ResNet's initial weights as CMU DeepLens lets Lasagne do it, number by number."""
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
    """Draw weights by Glorot's rule."""
    sigma = gain * np.sqrt(2 / (sum(shape[:2]) * np.prod(shape[2:])))
    return random_state.uniform(-np.sqrt(3) * sigma, np.sqrt(3) * sigma, shape)


def he_normal(random_state: np.random.RandomState, shape: Tuple[int, ...]) -> np.ndarray:
    """Draw a kernel (outputs, inputs, H, W) by He's rule."""
    return random_state.normal(0, np.sqrt(2) * np.sqrt(1 / np.prod(shape[1:])), shape)
