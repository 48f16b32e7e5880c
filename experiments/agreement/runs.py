"""Train one twin once a seed on stored mocks, and write down how each run scores the test stamps.

    runs.py legacy|modern PLAN.json MODEL DATA.npz OUT.npz SEED [SEED ...] [--trap T | --nudge | --rate-factor F]

One body for both sides, each in its own interpreter; they meet in files only.  A graph is compiled once: each
seed's run begins from weights of its own and an optimiser that has seen nothing.  What is asked for after the seeds
makes the runs differ on purpose: a trap of tests/parity/traps.py, the last bits of the initial weights, the
learning rate.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path

import numpy as np

from lens_common.learning.protocol import NetworkShape
from lens_common.learning.training import TrainingData, TrainingSettings, predict_in_batches, train_network


def main(arguments=None):
    """Train one twin once a seed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=["legacy", "modern"])
    parser.add_argument("plan")
    parser.add_argument("model", choices=["resnet", "cnn"])
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--trap")
    parser.add_argument("--nudge", action="store_true")
    parser.add_argument("--rate-factor", type=float, default=1.0)
    options = parser.parse_args(arguments)

    settings = json.loads(Path(options.plan).read_text())[options.model]["settings"]
    settings["learning_rate"] *= options.rate_factor
    settings = TrainingSettings(**settings)
    backend = importlib.import_module(f"lens_{options.side}.backend")
    backend.prepare()
    if options.trap:
        sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "parity"))
        importlib.import_module("traps").TRAPS[options.trap]()
    with np.load(options.data) as stored:
        stamps, labels, test_stamps = (stored[name] for name in ("stamps", "labels", "test_stamps"))
    data = TrainingData(stamps, labels, stamps[:0], labels[:0])
    shape = NetworkShape(stamps.shape[1], stamps.shape[2])

    network, at_rest, written = None, {}, {"versions": np.array(json.dumps(backend.describe()))}
    for seed in options.seeds:
        drawn = backend.build_network(options.model, shape, seed)
        if network is None:
            network = drawn
            at_rest = network.get_weights(training_state=True)
        first = drawn.get_weights()
        if options.nudge:
            random_state = np.random.RandomState(seed)
            first = {name: v * (1 + 1e-7 * random_state.normal(size=v.shape)) for name, v in first.items()}
        network.set_weights({**at_rest, **first})
        history = train_network(network, data, settings, seed)
        written[f"loss{seed}"] = np.array([row["loss"] for row in history])
        written[f"seconds{seed}"] = np.array(sum(row["seconds"] for row in history))
        written[f"scores{seed}"] = predict_in_batches(network, test_stamps)
        print(f"{options.side} {options.model} seed {seed} is done", file=sys.stderr, flush=True)
    np.savez(options.out, **written)


if __name__ == "__main__":
    main()
