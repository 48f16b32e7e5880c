"""What a network computes from its first weight on, written down so that two networks can be compared."""

from typing import Any, Callable, Dict, Mapping, Optional

import numpy as np

from .augmentation import augment
from .protocol import Network

LEARNING_RATE = 1e-3
FEW = 4  # stamps whose layers are recorded
ABSURD = 1e6  # counts so large that every probability is 0 or 1


def record_training(
    network: Network,
    stamps: np.ndarray,
    labels: np.ndarray,
    layers_of: Callable[[Any, np.ndarray], Mapping[str, np.ndarray]],
    n_steps: int,
    trained: Optional[Mapping[str, np.ndarray]] = None,
    saturate: bool = False,
    augmenter: Callable[..., np.ndarray] = augment,
) -> Dict[str, np.ndarray]:
    """Train a network for some steps, and write down all that its twin must equal.

    Parameters
    ----------
    network : Network
        With its first weights.
    stamps, labels : float arrays (batches, N, bands, H, W) and (batches, N)
        Scaled; the batches are gone through in turn.
    layers_of : callable
        Takes the network and stamps; outputs in evaluation by the name of their layer.
    n_steps : int
        1 or more.
    trained : dict of str to array, optional
        Weights to go on with after the steps.
    saturate : bool
        Take a last step on absurd counts.
    augmenter : callable
        As `lens_common.augment`.

    Returns
    -------
    dict of str to array
        ``initial/``: canonical weights with the state of training; ``first/``: outputs of the layers with them;
        ``after1/``, ``after10/``, ``afterN/``: weights and state after so many steps; ``trained/``, ``layers/``: those
        weights and outputs in the end; ``losses`` (steps,), ``scores/`` and ``augmented/`` of the first batch;
        ``saturated/``: the loss and the weights after the step on absurd counts.
    """
    written: Dict[str, np.ndarray] = {"losses": np.zeros(n_steps)}

    def write(prefix: str, arrays: Mapping[str, np.ndarray]) -> None:
        written.update({f"{prefix}/{name}": values for name, values in arrays.items()})

    write("initial", network.get_weights(training_state=True))
    write("first", layers_of(network, stamps[0][:FEW]))
    for step in range(n_steps):
        batch = step % len(stamps)
        random_state = np.random.RandomState([1, step])
        written["losses"][step] = network.train_step(stamps[batch], labels[batch], LEARNING_RATE, random_state)
        if step + 1 in (1, 10, n_steps):
            write(f"after{step + 1}", network.get_weights(training_state=True))
    if trained is not None:
        network.set_weights(trained)
    write("trained", network.get_weights())
    write("layers", layers_of(network, stamps[0][:FEW]))
    written["scores"] = network.predict(stamps[0])
    write("augmented", {"stamps": augmenter(stamps[0].astype(np.float32), np.random.RandomState(5))})
    if saturate:
        loss = network.train_step(ABSURD * stamps[0], labels[0], LEARNING_RATE, np.random.RandomState(0))
        write("saturated", {"loss": np.array(loss), **network.get_weights()})
    return written
