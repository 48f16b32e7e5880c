"""Train one twin once a seed on stored mocks, and write down how each run scores the test stamps.

    python -m experiments agreement.runs legacy|modern MODEL DATA.npz OUT.npz SEED [SEED ...]
        [--trap T | --nudge | --rate-factor F]

One body for both sides, each in its own interpreter; they meet in files only.  A graph is compiled once: each
seed's run begins from weights of its own and an optimiser that has seen nothing.  What is asked for after the seeds
makes the runs differ on purpose: a mistake of lens_modern/exercise, the last bits of the initial weights, the
learning rate.
"""

from __future__ import annotations

import importlib
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.runner import SIDES, backend_of, carry_out
from lens_common.files import write_arrays
from lens_common.learning.protocol import NetworkShape
from lens_common.learning.training import TrainingData, TrainingSettings, predict_in_batches, train_network


def train(
    side: str, model: str, data: str, out: str, seeds: list[int], trap: str | None, nudge: bool, rate_factor: float
) -> str:
    """Train one twin once a seed."""
    plan = json.loads(Path(__file__).with_name("plan.json").read_text())[model]["settings"]
    settings = TrainingSettings(**{**plan, "learning_rate": plan["learning_rate"] * rate_factor})
    backend = backend_of(side)
    backend.prepare()
    if trap:
        importlib.import_module("lens_modern.exercise.mistakes").plant(trap)
    with np.load(data) as stored:
        stamps, labels, test_stamps = (stored[name] for name in ("stamps", "labels", "test_stamps"))
    shape = NetworkShape(stamps.shape[1], stamps.shape[2])

    network, at_rest, written = None, {}, {"versions": np.array(json.dumps(backend.describe()))}
    for seed in seeds:
        drawn = backend.build_network(model, shape, seed)
        if network is None:
            network = drawn
            at_rest = network.get_weights(training_state=True)
        first = drawn.get_weights()
        if nudge:
            random_state = np.random.RandomState(seed)
            first = {name: v * (1 + 1e-7 * random_state.normal(size=v.shape)) for name, v in first.items()}
        network.set_weights({**at_rest, **first})
        history = train_network(network, TrainingData(stamps, labels, stamps[:0], labels[:0]), settings, seed)
        written[f"loss{seed}"] = np.array([row["loss"] for row in history])
        written[f"seconds{seed}"] = np.array(sum(row["seconds"] for row in history))
        written[f"scores{seed}"] = predict_in_batches(network, test_stamps)
        print(f"{side} {model} seed {seed} is done", file=sys.stderr, flush=True)
    write_arrays(out, written)
    return out


OPTIONS: dict[str, dict[str, Any]] = {
    "side": {"choices": SIDES},
    "model": {"choices": ["resnet", "cnn"]},
    "data": {},
    "out": {},
    "seeds": {"type": int, "nargs": "+"},
    "--trap": {},
    "--nudge": {"action": "store_true"},
    "--rate-factor": {"type": float, "default": 1.0},
}
main = partial(carry_out, "runs", __doc__, OPTIONS, train)
