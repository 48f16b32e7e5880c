"""The losses of the two networks."""

import torch
from torch import Tensor


def weighted_sigmoid_cross_entropy(logits: Tensor, labels: Tensor, lens_weight: float = 1.0) -> Tensor:
    """Binary cross-entropy of a sigmoid, from its logits, lenses weighted.

    ``(1 - y) x + (1 + (w - 1) y) (log(1 + exp(-|x|)) + max(-x, 0))``: never overflows.

    Parameters
    ----------
    logits, labels : tensors of one shape
        Any real number; 1 for a lens, 0 for a non-lens.
    lens_weight : float
        Weight of a lens relative to a non-lens; CMU DeepLens and the study use 1.

    Returns
    -------
    tensor
        Loss per element, 0 or more.

    References
    ----------
    Lanusse et al. 2018, arXiv:1703.02642, section 3.3.
    """
    weight = 1 + (lens_weight - 1) * labels
    return (1 - labels) * logits + weight * (torch.log1p(torch.exp(-abs(logits))) + torch.relu(-logits))


def clipped_binary_cross_entropy(one_hot: Tensor, probabilities: Tensor) -> Tensor:
    """Keras' binary cross-entropy, averaged over the outputs, of clipped probabilities.

    A probability beyond [1e-7, 1 - 1e-7] is clipped, and there the gradient is exactly
    zero: a saturated network stays where it is.  Each wrong stamp then costs 16.0302 in
    float32, the mean of -log(1e-7) and of -log(2^-23), what 1 - 1e-7 leaves.

    Parameters
    ----------
    one_hot, probabilities : tensors (N, 2)
        Columns: non-lens, lens; in [0, 1].

    Returns
    -------
    tensor (N,)
        Loss per stamp, 0 or more.
    """
    # DIFFERS: clipping: torch's own binary_cross_entropy bounds the logarithm, by -100
    clipped = probabilities.clamp(1e-7, 1 - 1e-7)
    return -(one_hot * torch.log(clipped) + (1 - one_hot) * torch.log(1 - clipped)).mean(dim=1)
