"""The twin protocol: the four methods by which the common code drives a network of any framework."""

from dataclasses import dataclass
from typing import Dict, Mapping, Protocol

import numpy as np

from ..errors import UserError

# What the names of an optimiser's state begin with.
OPTIMISERS = ("adam.", "adamw.", "rmsprop.")


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


def check_lens_weight(lens_weight: float) -> None:
    """Refuse a weight of the lenses in a loss that has none.

    Raises
    ------
    UserError
        Naming the weight.
    """
    if lens_weight != 1:
        raise UserError(
            f"the CNN's loss weighs both classes alike, got a lens_weight of {lens_weight}; leave it at 1, "
            "or choose the resnet"
        )


def holds_training_state(weights: Mapping[str, np.ndarray]) -> bool:
    """Whether weights come with all that an optimiser carries from step to step."""
    return any(name.startswith(OPTIMISERS) for name in weights)


def check_probabilities(scores: np.ndarray) -> np.ndarray:
    """Refuse scores (N,) that are not in [0, 1]; those of any network with finite weights and stamps are.

    Raises
    ------
    UserError
        With how many there are.
    """
    wrong = scores[~((scores >= 0) & (scores <= 1))]  # NaN is neither
    if len(wrong):
        raise UserError(
            f"{len(wrong)} of {len(scores)} scores are not in [0, 1] but {wrong[0]}: the training diverged, or weights "
            "or pixels are too large for float32; train again with a lower learning rate, or scale the stamps"
        )
    return scores


def check_weights(expected: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray]) -> None:
    """Refuse weights that are not those of a network.

    Parameters
    ----------
    expected : dict of str to array
        What the network's own `get_weights` gives, in the order of the graph.
    weights : dict of str to array
        To be set: the same names and shapes, any precision.

    Raises
    ------
    UserError
        Naming the first weight that is missing, unknown, of another shape, or not finite.
    """
    missing = [f"lack {name}" for name in expected if name not in weights]
    unknown = [f"hold {name}, which it has not" for name in weights if name not in expected]
    if missing or unknown:
        found = " and ".join(names[0] for names in (missing, unknown) if names)
        raise UserError(f"the weights are not of this network: they {found}; they belong to another model or version")
    first = next(iter(expected))  # the kernels (filters, bands, H, W) that see the stamps
    for name, own in expected.items():
        given, needed = np.shape(weights[name]), own.shape
        if given != needed:
            cause = "the weights are for another model, or stamps of another side"
            if name == first and len(given) == 4:
                cause = f"the weights are for {given[1]} band{'s' if given[1] > 1 else ''}"
            raise UserError(f"{name} has shape {given}, this network needs {needed}: {cause}")
        if weights[name].dtype.kind not in "fiu":
            raise UserError(f"{name} holds {weights[name].dtype}, no numbers; take the weights from a copy")
        # An optimiser may go on beside an infinite average: a huge gradient squared.
        if not name.startswith(OPTIMISERS) and not np.isfinite(weights[name]).all():
            what = "NaN" if np.isnan(weights[name]).any() else "infinity"
            raise UserError(
                f"the weights hold {what} in {name}: the training diverged; train again with a lower learning rate"
            )
