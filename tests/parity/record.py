"""Run one twin from its first weights over stored batches, and write down all that its other must equal.

    record.py legacy|modern resnet|cnn float32|float64 BATCHES.npz OUT.npz [--steps N] [--weights FILE.npz] [--trap T]

One body for both sides, each in its own interpreter; they meet in files only.  What is written stands in
`lens_common.learning.recording`; a trap is one of `lens_modern.exercise.mistakes`.
"""

import argparse
import importlib

import numpy as np

from lens_common.learning.protocol import NetworkShape
from lens_common.learning.recording import record_training


def layers_of_legacy(network, stamps):
    """Outputs of every named layer, evaluated by the graph itself."""
    if hasattr(network, "model"):
        from keras import backend as K

        outputs = [layer.output for layer in network.model.layers if layer.name.startswith(("conv", "max_pool"))]
        convolved, pooled = K.function([network.model.inputs[0]], outputs)([np.moveaxis(stamps, 1, 3)])
        layers = {"conv": np.moveaxis(convolved, 3, 1), "pool": np.moveaxis(pooled, 3, 1)}
        return {**layers, "prediction": network.predict(stamps)}
    import lasagne
    import theano

    named = [layer for layer in lasagne.layers.get_all_layers(network.logits)[1:] if layer.name]
    if not hasattr(network, "evaluate_layers"):  # compiled once
        outputs = lasagne.layers.get_output(named, deterministic=True)
        network.evaluate_layers = theano.function([network.stamps], outputs)
    return dict(zip([layer.name for layer in named], network.evaluate_layers(stamps)))


def layers_of_modern(network, stamps):
    """Outputs of every module whose name is a canonical one."""
    from lens_modern.exercise.recording import layers_of

    return layers_of(network, stamps)


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
        importlib.import_module("lens_modern.exercise.mistakes").plant(options.trap)
    with np.load(options.batches) as stored:
        stamps, labels = (stored[name].astype(options.dtype) for name in ("stamps", "labels"))  # (steps, N, ...)
    layers_of = globals()[f"layers_of_{options.side}"]

    network = backend.build_network(options.model, NetworkShape(stamps.shape[2], stamps.shape[3]), 1)
    trained = None
    if options.weights:
        with np.load(options.weights) as stored:
            trained = {name[8:]: stored[name] for name in stored.files if name.startswith("trained/")}
    written = record_training(
        network, stamps, labels, layers_of, options.steps, trained=trained, saturate=options.model == "cnn"
    )
    np.savez(options.out, **written)


if __name__ == "__main__":
    main()
