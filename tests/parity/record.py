"""Run one twin from its first weights over stored batches, and write down all that its other must equal.

    record.py legacy|modern resnet|cnn float32|float64 BATCHES.npz OUT.npz [--steps N] [--weights FILE.npz] [--trap T]

One body for both sides, each in its own interpreter; they meet in files only.  What is written, by prefix:

    initial/   canonical weights as first drawn, with the state of training
    first/     output of every layer with these weights, in evaluation
    after1/, after10/, afterN/   weights and state after so many steps
    trained/   weights of --weights, or else after the last step
    layers/    output of every layer with the trained weights, in evaluation
    scores, losses, augmented
    saturated/   the loss and the weights of the CNN after a step on counts a million times too large
"""

import argparse
import importlib
import sys
from pathlib import Path

import numpy as np

from lens_common.learning.augmentation import augment
from lens_common.learning.protocol import NetworkShape

LEARNING_RATE = 1e-3


def layers_of_legacy(network, stamps):
    """Outputs of every named layer, evaluated by the graph itself."""
    if hasattr(network, "model"):
        from keras import backend as K

        outputs = [layer.output for layer in network.model.layers if layer.name.startswith(("conv", "max_pool"))]
        convolved, pooled = K.function([network.model.inputs[0]], outputs)([np.moveaxis(stamps, 1, 3)])
        return {"conv": np.moveaxis(convolved, 3, 1), "pool": np.moveaxis(pooled, 3, 1)}
    import lasagne
    import theano

    named = [layer for layer in lasagne.layers.get_all_layers(network.logits)[1:] if layer.name]
    if not hasattr(network, "evaluate_layers"):  # compiled once
        outputs = lasagne.layers.get_output(named, deterministic=True)
        network.evaluate_layers = theano.function([network.stamps], outputs)
    return dict(zip([layer.name for layer in named], network.evaluate_layers(stamps)))


def layers_of_modern(network, stamps):
    """Outputs of every module whose name is a canonical one, caught on the way."""
    import torch

    stamps = torch.tensor(stamps, dtype=torch.get_default_dtype())
    if hasattr(network, "conv"):
        from lens_modern.faithful import max_pool

        convolved = torch.relu(network.conv(stamps)).detach()
        return {"conv": convolved.numpy(), "pool": max_pool(convolved, 4).numpy()}
    caught = {}
    handles = [
        module.register_forward_hook(lambda module, given, output, name=name: caught.update({name: output.numpy()}))
        for name, module in network.graph.named_modules()
    ]
    with torch.inference_mode():
        network.graph.eval()(stamps)
    for handle in handles:
        handle.remove()
    return caught


def main(arguments=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=["legacy", "modern"])
    parser.add_argument("model", choices=["resnet", "cnn"])
    parser.add_argument("dtype", choices=["float32", "float64"])
    parser.add_argument("batches")
    parser.add_argument("out")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--weights")
    parser.add_argument("--trap")
    options = parser.parse_args(arguments)

    backend = importlib.import_module(f"lens_{options.side}.backend")
    backend.prepare(options.dtype)
    if options.trap:
        sys.path.insert(0, str(Path(__file__).parent))
        importlib.import_module("traps").TRAPS[options.trap]()
    with np.load(options.batches) as stored:
        stamps, labels = (stored[name].astype(options.dtype) for name in ("stamps", "labels"))  # (steps, N, ...)
    layers_of = globals()[f"layers_of_{options.side}"]

    network = backend.build_network(options.model, NetworkShape(stamps.shape[2], stamps.shape[3]), 1)
    written = {"losses": np.zeros(options.steps)}

    def write(prefix, arrays):
        written.update({f"{prefix}/{name}": values for name, values in arrays.items()})

    write("initial", network.get_weights(training_state=True))
    write("first", layers_of(network, stamps[0][:4]))
    for step in range(options.steps):
        batch = step % len(stamps)
        random_state = np.random.RandomState([1, step])
        written["losses"][step] = network.train_step(stamps[batch], labels[batch], LEARNING_RATE, random_state)
        if step + 1 in (1, 10, options.steps):
            write(f"after{step + 1}", network.get_weights(training_state=True))
    if options.weights:
        with np.load(options.weights) as stored:
            trained = {name[8:]: stored[name] for name in stored.files if name.startswith("trained/")}
        network.set_weights(trained)
    write("trained", network.get_weights())
    write("layers", layers_of(network, stamps[0][:4]))
    written["scores"] = network.predict(stamps[0])
    written["augmented"] = augment(stamps[0].astype(np.float32), np.random.RandomState(5))
    if options.model == "cnn":
        loss = network.train_step(1e6 * stamps[0], labels[0], LEARNING_RATE, np.random.RandomState(0))
        write("saturated", {"loss": np.array(loss), **network.get_weights()})
    np.savez(options.out, **written)


if __name__ == "__main__":
    main()
