"""Watch the study's CNN train on raw counts, step by step: what it loses, and which of its weights move.

    python -m experiments reproduction.probe legacy|modern DATA OUT.json [--scaling raw|sigma] [--epochs 5]
        [--batch-size 97] [--seed 1] [--before DATA]

As in 2018 every labelled stamp of DATA is trained on and nothing is held out, so that equal classes stay equal and a
network that gives every stamp one class has a loss of half of 16.0302.  With --before the same network is fitted to
other stamps first, as in a notebook whose cells are run again.  One body for both sides, each in its own interpreter.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.runner import SIDES, backend_of, carry_out, labelled, scaled
from lens_common.data.stamps import Stamps, load_stamps
from lens_common.errors import UserError
from lens_common.files import write_json
from lens_common.learning.batches import draw_batches, make_batch
from lens_common.learning.protocol import Network, NetworkShape
from lens_common.learning.training import TrainingData, TrainingSettings, predict_in_batches, train_network

LEARNING_RATE = 1e-3  # of Keras' RMSprop where none is given, as in 2018
# Keras clips a probability to these, as float32 has them; beyond them the gradient of the loss is exactly zero.
LOW, HIGH = np.float32(1e-7), np.float32(1 - 1e-7)


def read_labelled(folder: str) -> Stamps:
    """Labelled stamps of a folder in the 2018 layout.

    Raises
    ------
    UserError
        If the folder is missing, or holds no square stamps of both classes.
    """
    data = labelled(load_stamps(folder))
    if data.pixels.shape[2] != data.pixels.shape[3]:
        raise UserError(f"stamps need shape (N, bands, side, side), got {data.pixels.shape}; cut them square")
    return data


def compare_weights(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> tuple[int, float]:
    """Count the weights that changed in any bit, and find the largest change.

    Parameters
    ----------
    before, after : dict of str to float array
        Of one network: the same names, shapes and types.

    Returns
    -------
    n_weights_moved : int
        A zero that changed its sign counts.
    largest_move : float
        0 or more; absolute.
    """
    n_moved, largest = 0, 0.0
    for name, old in before.items():
        old, new = np.ascontiguousarray(old), np.ascontiguousarray(after[name])
        bits = f"u{old.itemsize}"
        n_moved += int((old.view(bits) != new.view(bits)).sum())
        largest = max(largest, float(abs(new.astype(float) - old).max()))
    return n_moved, largest


def watch_training(
    network: Network, stamps: np.ndarray, labels: np.ndarray, settings: TrainingSettings, seed: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Train as `lens_common.learning.training.train_network` does, and look at every step.

    Parameters
    ----------
    network : Network
        With its initial weights.
    stamps : float32 array (N, bands, side, side)
        Scaled.
    labels : bool array (N,)
        True for a lens.
    settings : TrainingSettings
        Epochs, size of a batch and the rate, which stays.
    seed : int
        Fixes the order of the stamps and the dropped features.

    Returns
    -------
    steps : list of dict
        epoch and step (from 1; steps are counted through), loss (of the batch, before the step), n_weights_moved,
        largest_move.
    epochs : list of dict
        epoch, loss (mean over the stamps, each before its step), and, after the epoch and without dropout: accuracy
        (score above 0.5), share_beyond_clip (of stamps, with a probability below 1e-7 or above 1 - 1e-7, in float32).

    Raises
    ------
    UserError
        If a loss or a weight is not finite.
    """
    truth = labels.astype(np.float32)
    weights = _copy_weights(network)
    steps: list[dict[str, Any]] = []
    epochs: list[dict[str, Any]] = []
    for epoch in range(settings.epochs):
        loss_sum = 0.0
        for _, rows, random_state in draw_batches(len(truth), settings.batch_size, seed, epoch, settings.drop_tail):
            batch = make_batch(stamps[rows], random_state, settings.augmented)
            loss = network.train_step(batch, truth[rows], settings.learning_rate, random_state)
            loss_sum += loss * len(rows)
            before, weights = weights, _copy_weights(network)
            n_moved, largest = compare_weights(before, weights)
            if not np.isfinite([loss, largest]).all():
                raise UserError(
                    f"step {len(steps) + 1} has a loss of {loss} and moves a weight by {largest}; scale DATA"
                )
            row = {"epoch": epoch + 1, "step": len(steps) + 1, "loss": loss}
            steps.append({**row, "n_weights_moved": n_moved, "largest_move": largest})
        scores = predict_in_batches(network, stamps).astype(np.float32)
        epochs.append(
            {
                "epoch": epoch + 1,
                "loss": loss_sum / len(truth),
                "accuracy": float(((scores > 0.5) == labels).mean()),
                "share_beyond_clip": float(((scores < LOW) | (scores > HIGH)).mean()),
            }
        )
    return steps, epochs


def _copy_weights(network: Network) -> dict[str, np.ndarray]:
    return {name: np.array(values) for name, values in network.get_weights().items()}


def _describe_data(data: Stamps) -> dict[str, Any]:
    return {"hash": data.data_hash, "n_stamps": len(data.labels), "n_lenses": int(data.labels.sum())}


def describe_training(steps: list[dict[str, Any]], epochs: list[dict[str, Any]]) -> str:
    """Say in one line how many steps moved a weight, and how the training went."""
    moving = [row["step"] for row in steps if row["n_weights_moved"]]
    moved = f"{len(moving)} of {len(steps)} steps moved a weight" + (f", step {moving[-1]} the last" if moving else "")
    losses = " ".join(f"{row['loss']:.4f}" for row in epochs)
    accuracy, share = epochs[-1]["accuracy"], epochs[-1]["share_beyond_clip"]
    return f"{moved}; losses {losses}; at the end accuracy {accuracy:.4f}, {share:.1%} of the stamps beyond the clip"


def probe(
    side: str, data: str, out: str, scaling: str, epochs: int, batch_size: int, seed: int, before: str | None
) -> str:
    """Train one network and write down what it does; return it in one line."""
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed must be from 0 to {2**32 - 1}, got {seed}")
    settings = TrainingSettings(epochs, batch_size, LEARNING_RATE, scaling=scaling)
    watched = read_labelled(data)
    backend = backend_of(side)
    versions = backend.describe()
    network = backend.build_network("cnn", NetworkShape(*watched.pixels.shape[1:3]), seed)
    earlier = read_labelled(before) if before else None
    if earlier:
        stamps, labels = scaled(earlier, scaling)
        train_network(network, TrainingData(stamps, labels, stamps[:0], labels[:0]), settings, seed)
    steps, rows = watch_training(network, *scaled(watched, scaling), settings, seed)
    content = {
        "framework": side,
        # Linker flags name folders of this machine.
        "versions": {key: value for key, value in versions.items() if os.sep not in str(value)},
        "data": _describe_data(watched),
        **({"before": _describe_data(earlier)} if earlier else {}),
        "settings": {
            **{key: getattr(settings, key) for key in ("scaling", "epochs", "batch_size", "learning_rate")},
            "seed": seed,
        },
        "n_weights": sum(values.size for values in network.get_weights().values()),
        "steps": steps,
        "epochs": rows,
    }
    write_json(Path(out), content)
    return describe_training(steps, rows)


OPTIONS: dict[str, dict[str, Any]] = {
    "side": {"choices": SIDES},
    "data": {"help": "folder with lensed_outputs/ and unlensed_outputs/"},
    "out": {"help": "JSON file"},
    "--scaling": {"choices": ["raw", "sigma"], "default": "raw"},
    "--epochs": {"type": int, "default": 5},
    "--batch-size": {"type": int, "default": 97},
    "--seed": {"type": int, "default": 1},
    "--before": {"metavar": "DATA", "help": "stamps that the network is fitted to first, unwatched"},
}
main = partial(carry_out, "probe", __doc__, OPTIONS, probe)
