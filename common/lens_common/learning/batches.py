"""What is drawn for each step of training: the order of the stamps, their transforms, the dropped features.

Every draw comes from a generator made of the run's seed, the epoch and the step, so
that a run can go on from any step without a stored state, and twins draw the same.
``RandomState`` is used because NumPy promises never to change its streams.
"""

from typing import Iterator, Tuple

import numpy as np

from .augmentation import augment

SHUFFLE_STREAM, STEP_STREAM = 0, 1


def draw_batches(
    n_stamps: int, batch_size: int, seed: int, epoch: int, drop_tail: bool, first_step: int = 0
) -> Iterator[Tuple[int, np.ndarray, np.random.RandomState]]:
    """Shuffle the stamps of one epoch and cut them into batches.

    Parameters
    ----------
    n_stamps, batch_size : int
        1 or more.
    seed, epoch : int
        0 or more; together they fix the order.
    drop_tail : bool
        Leave out the last, smaller batch, as CMU DeepLens does: floor(N / batch) steps.
    first_step : int
        Steps before this one are passed over.

    Yields
    ------
    step : int
        Position in the epoch.
    rows : int array (batch,)
        Rows of the stamps.
    random_state : numpy.random.RandomState
        For everything else that the step draws.
    """
    order = np.random.RandomState([seed, epoch, SHUFFLE_STREAM]).permutation(n_stamps)
    for step in range(first_step, count_steps(n_stamps, batch_size, drop_tail)):
        rows = order[step * batch_size : (step + 1) * batch_size]
        yield step, rows, np.random.RandomState([seed, epoch, STEP_STREAM, step])


def count_steps(n_stamps: int, batch_size: int, drop_tail: bool) -> int:
    """Batches in an epoch."""
    return n_stamps // batch_size if drop_tail else -(-n_stamps // batch_size)


def make_batch(
    stamps: np.ndarray, random_state: np.random.RandomState, augmented: bool, interpolation: str = "nearest"
) -> np.ndarray:
    """Augment the stamps of a batch, float32 (N, bands, H, W), or only copy them."""
    if augmented:
        return augment(stamps, random_state, interpolation)
    return np.array(stamps, dtype=np.float32, order="C")


def dropout_mask(random_state: np.random.RandomState, shape: Tuple[int, ...], rate: float) -> np.ndarray:
    """Draw an inverted-dropout mask.

    Parameters
    ----------
    random_state : numpy.random.RandomState
        Source of the draws.
    shape : tuple of int
        Shape of the features, channels first.
    rate : float
        Fraction dropped, in [0, 1).

    Returns
    -------
    float32 array
        0 where dropped, ``1 / (1 - rate)`` elsewhere, so that the mean stays.

    References
    ----------
    Srivastava et al. 2014, JMLR 15, section 10.
    """
    kept = random_state.uniform(size=shape) >= rate
    return (kept / (1 - rate)).astype(np.float32)
