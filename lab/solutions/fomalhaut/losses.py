"""The losses of the two networks."""

import torch
from torch import Tensor


def weighted_sigmoid_cross_entropy(logits: Tensor, labels: Tensor, lens_weight: float = 1.0) -> Tensor:
    """Binary cross-entropy of a sigmoid, from its logits, lenses weighted."""
    weight = 1 + (lens_weight - 1) * labels
    return (1 - labels) * logits + weight * (torch.log1p(torch.exp(-abs(logits))) + torch.relu(-logits))


def clipped_binary_cross_entropy(one_hot: Tensor, probabilities: Tensor) -> Tensor:
    """Keras' binary cross-entropy, averaged over the outputs, of clipped probabilities."""
    clipped = probabilities.clamp(1e-7, 1 - 1e-7)
    return -(one_hot * torch.log(clipped) + (1 - one_hot) * torch.log(1 - clipped)).mean(dim=1)
