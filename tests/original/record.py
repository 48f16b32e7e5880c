"""Let one twin compute what the original computed, and write it down; each side runs in its own interpreter.

    record.py legacy|modern float64|float32 ORIGINAL.npz AUGMENTATION.npz OUT.npz

In float64, the ResNet's ten steps: losses (10,), before each; after0, after1, after10 (arrays, 10), of each array its
mean, its root mean square and its first eight values; names; probabilities_after0 and probabilities_after10 (16,) of
the first batch; augmented and augmented_4_bands; and for stamps of 45, 64 and 101 pixels the trainable parameters and
the inputs of the dense layer.  In float32, frozen (39,): the CNN's loss where 0, 1, ... 38 of 38 stamps are given the
other class, each with a probability of 1.
"""

import argparse
import importlib

import numpy as np

from lens_common import augment
from lens_common.learning.protocol import NetworkShape

SIDES = (45, 64, 101)
N_STAMPS = 38


def summary(weights):
    """Mean, root mean square and first eight values of each array, repeated where it has fewer."""
    flat = [np.ravel(values) for values in weights.values()]
    return np.array([[values.mean(), np.sqrt((values**2).mean()), *np.resize(values, 8)] for values in flat])


def ten_steps(backend, path):
    with np.load(path) as stored:
        stamps, labels = (stored[name].astype(np.float64) for name in ("stamps", "labels"))  # (steps, N, ...)
        seed, learning_rate = int(stored["seed"]), float(stored["learning_rate"])
    network = backend.build_network("resnet", NetworkShape(stamps.shape[2], stamps.shape[3]), seed)
    first = network.get_weights()
    found = {"names": np.array([*first]), "losses": np.zeros(len(stamps)), "after0": summary(first)}
    found["probabilities_after0"] = network.predict(stamps[0])
    for step, (batch, truth) in enumerate(zip(stamps, labels)):
        found["losses"][step] = network.train_step(batch, truth, learning_rate, np.random.RandomState(0))
        if step + 1 in (1, 10):
            found[f"after{step + 1}"] = summary(network.get_weights())
    found["probabilities_after10"] = network.predict(stamps[0])
    return found


def augmentation(path):
    with np.load(path) as stored:
        return {
            "augmented": augment(stored["stamps"], np.random.RandomState(int(stored["seed"]))),
            "augmented_4_bands": augment(stored["stamps_4_bands"], np.random.RandomState(int(stored["seed_4_bands"]))),
        }


def sizes(backend):
    found = {}
    for side in SIDES:
        weights = backend.build_network("resnet", NetworkShape(1, side), 0).get_weights()
        statistics = (".mean", ".inv_std")  # of batch norm: averaged, not trained
        trained = [values.size for name, values in weights.items() if not name.endswith(statistics)]
        found[f"parameters{side}"] = np.array(sum(trained))
        found[f"dense_inputs{side}"] = np.array(weights["dense.weight"].shape[1])
    return found


def frozen_losses(side):
    """Loss of the CNN that gives all 38 stamps one class, by how many of them it is wrong about."""
    losses = importlib.import_module(f"lens_{side}.losses")
    found = []
    for n_wrong in range(N_STAMPS + 1):
        one_hot = np.eye(2, dtype=np.float32)[(np.arange(N_STAMPS) < n_wrong).astype(int)]
        probabilities = np.tile(np.array([1, 0], np.float32), (N_STAMPS, 1))
        if side == "legacy":
            from keras import backend as K

            loss = K.eval(losses.clipped_binary_cross_entropy(*map(K.variable, (one_hot, probabilities))))
        else:
            import torch

            loss = losses.clipped_binary_cross_entropy(*map(torch.tensor, (one_hot, probabilities))).numpy()
        found.append(loss.mean(dtype=np.float64))
    return {"frozen": np.array(found)}


def main(arguments=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=["legacy", "modern"])
    parser.add_argument("dtype", choices=["float64", "float32"])
    parser.add_argument("original")
    parser.add_argument("augmentation")
    parser.add_argument("out")
    options = parser.parse_args(arguments)

    backend = importlib.import_module(f"lens_{options.side}.backend")
    backend.prepare(options.dtype)
    if options.dtype == "float32":
        found = frozen_losses(options.side)
    else:
        found = {**ten_steps(backend, options.original), **augmentation(options.augmentation), **sizes(backend)}
    np.savez(options.out, **found)


if __name__ == "__main__":
    main()
