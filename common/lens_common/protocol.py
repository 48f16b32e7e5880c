"""The twin protocol: the four methods by which the common code drives a network of any framework."""

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Protocol

import numpy as np

from .errors import UserError


@dataclass(frozen=True)
class NetworkShape:
    """Shape of the stamps that a network takes.

    Attributes
    ----------
    n_bands : int
        1 or more.
    side : int
        Height and width in pixels.
    """

    n_bands: int = 1
    side: int = 45


class Network(Protocol):
    """A network with its loss and its optimiser."""

    def train_step(
        self, stamps: np.ndarray, labels: np.ndarray, learning_rate: float, random_state: np.random.RandomState
    ) -> float:
        """Take one optimiser step on a batch.

        Parameters
        ----------
        stamps : float array (N, bands, side, side)
            Scaled and augmented.
        labels : float array (N,)
            1 lens, 0 non-lens.
        learning_rate : float
            Step size.
        random_state : numpy.random.RandomState
            Source of every random number that the step needs (dropout).

        Returns
        -------
        float
            Mean loss of the batch before the step.
        """
        ...

    def predict(self, stamps: np.ndarray) -> np.ndarray:
        """Score stamps (N, bands, side, side): probabilities (N,) in [0, 1]."""
        ...

    def get_weights(self, training_state: bool = False) -> Dict[str, np.ndarray]:
        """Canonical weights by name: kernels OIHW in cross-correlation order, dense weights (outputs, inputs).

        With `training_state`, also all that the optimiser carries from step to step.
        """
        ...

    def set_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take over what `get_weights` gave, of this framework or of its twin."""
        ...


def check_side(shape: NetworkShape, least: int) -> None:
    """Refuse stamps that are too small for a network.

    Raises
    ------
    UserError
        Naming both sides.
    """
    if shape.side < least:
        raise UserError(f"this network needs stamps of {least} pixels a side or more, got {shape.side}")


def check_names(expected: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> None:
    """Refuse a set of weights with a name missing or a name too many.

    Raises
    ------
    UserError
        Naming up to three of the names.
    """
    missing, unused = sorted(set(expected) - set(weights)), sorted(set(weights) - set(expected))
    for names, word in ((missing, "lack"), (unused, "hold the unknown")):
        if names:
            raise UserError(
                f"the weights {word} {', '.join(names[:3])}{' ...' if names[3:] else ''}; "
                "they belong to another model, number of bands or version"
            )
