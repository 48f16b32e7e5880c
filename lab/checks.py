"""Checks of notebook 3: each runs what the reader wrote beside what the project computes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lens_common.learning.initial import he_normal
from lens_modern.faithful import Adam, BatchNormLayer, max_pool
from lens_modern.losses import weighted_sigmoid_cross_entropy


def to_canonical(function: Callable[..., Any]) -> bool:
    """Kernels (outputs, inputs, H, W): mirrored in both axes."""
    kernels = np.arange(36.0).reshape(2, 2, 3, 3)
    return np.array_equal(function(kernels), kernels[:, :, ::-1, ::-1])


def draw_kernel(function: Callable[..., Any]) -> bool:
    """Draws by He's rule, the same numbers."""
    drawn = function(np.random.RandomState(3), (4, 5, 3, 3))
    return np.allclose(drawn, he_normal(np.random.RandomState(3), (4, 5, 3, 3)), rtol=1e-12)


def running_averages(function: Callable[..., Any]) -> bool:
    """Mean and inverse standard deviation after one batch, as Lasagne's norm keeps them."""
    random = np.random.RandomState(0)
    maps = torch.tensor(random.normal(3, 2, (6, 4, 5, 5)))
    norm = BatchNormLayer(4).double()
    norm.train()(maps)
    mean, inv_std = function(torch.zeros(4).double(), torch.ones(4).double(), maps)
    return bool(torch.allclose(mean, norm.mean) and torch.allclose(inv_std, norm.inv_std))


def loss(function: Callable[..., Any]) -> bool:
    """The cross-entropy of a sigmoid, from its logits, that never overflows."""
    logits, labels = torch.tensor([-800.0, -1.0, 0.5, 800.0]), torch.tensor([1.0, 0.0, 1.0, 1.0])
    return bool(torch.allclose(function(logits, labels), weighted_sigmoid_cross_entropy(logits, labels)))


def adam_step(function: Callable[..., Any]) -> bool:
    """Three steps of Lasagne's Adam, with gradients so small that epsilon shows."""
    parameter = torch.ones(3, dtype=torch.float64)
    adam = Adam({"w": parameter})
    w, m, v = (torch.full((3,), value, dtype=torch.float64) for value in (1.0, 0.0, 0.0))
    for t in (1, 2, 3):
        gradient = torch.tensor([1e-8, 1e-3, 1.0], dtype=torch.float64) * t
        parameter.grad = gradient.clone()
        adam.step(0.1)
        w, m, v = function(w, m, v, gradient, t, 0.1)
    return bool(torch.allclose(w, parameter, rtol=1e-10))


def pool_gradient(function: Callable[..., Any]) -> bool:
    """The gradient of a maximum of 2x2, in which three of four pixels tie, as Theano has it."""
    window = torch.tensor([[3.0, 1.0], [3.0, 3.0]])
    maps = window[None, None].clone().requires_grad_()
    max_pool(maps, 2).backward(torch.full((1, 1, 1, 1), 5.0))
    assert maps.grad is not None
    return bool(torch.equal(torch.as_tensor(function(window, 5.0)), maps.grad[0, 0]))


CHECKS = {
    check.__name__: check for check in (to_canonical, draw_kernel, running_averages, loss, adam_step, pool_gradient)
}


def check(function: Callable[..., Any]) -> str:
    """Check what the reader wrote.

    Parameters
    ----------
    function : callable
        Named as one of `CHECKS`.

    Returns
    -------
    str
        right, not yet right, not written yet, or what stops it.
    """
    name = function.__name__
    try:
        right = CHECKS[name](function)
    except NotImplementedError:
        return f"{name}: not written yet"
    except Exception as error:
        return f"{name}: stops with {type(error).__name__}: {error}"
    return f"{name}: {'right' if right else 'not yet right'}"
