"""The losses of the two networks."""

from typing import Any

import keras.backend as K
import theano.tensor as T


def weighted_sigmoid_cross_entropy(logits: Any, labels: Any, lens_weight: float = 1.0) -> Any:
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
    return (1 - labels) * logits + weight * (T.log1p(T.exp(-abs(logits))) + T.maximum(-logits, 0))


def clipped_binary_cross_entropy(one_hot: Any, probabilities: Any) -> Any:
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
    # DIFFERS: clipping: Keras clips the probability, by 1e-7
    return K.mean(K.binary_crossentropy(one_hot, probabilities), axis=-1)
