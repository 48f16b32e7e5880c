"""Train, validation and test folds by a hash of seed and id.

A stamp's fold depends on nothing but its own id and the seed: adding or removing a
file never moves another.
"""

import hashlib
from typing import Iterable

import numpy as np

FOLDS = ("train", "validation", "test")
FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def hash_fraction(seed: int, stamp_id: str, purpose: str = "fold") -> float:
    """Number in [0, 1), uniform over ids, that seed, id and purpose alone decide."""
    digest = hashlib.sha256(f"{purpose}:{seed}:{stamp_id}".encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def assign_folds(ids: Iterable[str], seed: int) -> np.ndarray:
    """Assign each stamp to a fold.

    Parameters
    ----------
    ids : sequence of str (N,)
        Stamp ids.
    seed : int
        Of the run.

    Returns
    -------
    str array (N,)
        Values of `FOLDS`, on average in the proportions of `FRACTIONS`.

    Examples
    --------
    >>> assign_folds(["lensed_outputs/0/lensed_0", "lensed_outputs/0/lensed_1"], seed=1).tolist()
    ['test', 'train']
    """
    edges = np.cumsum([FRACTIONS[fold] for fold in FOLDS])[:-1]
    positions = np.array([hash_fraction(seed, stamp_id) for stamp_id in ids])
    return np.array(FOLDS)[np.searchsorted(edges, positions, side="right")]
