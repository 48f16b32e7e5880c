"""What each ingredient of idiomatic PyTorch costs or gains: one exchanged at a time, then all.

    python -m experiments agreement.ablation

Trains the modern networks as `ablation.toml` says on 1,000 mocks and scores 1,000 others, and the PICS mocks where
LENS_PICS_MOCKS names them; writes results/ablation.csv, one row a network and ingredient, and goes on with those that
are not there yet.  Twenty minutes on two cores.
"""

import os
import time
import tomllib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.agreement.agreement import make_data
from experiments.runner import ROOT, carry_out, fill_table, pics_mocks, scaled, shuffled
from lens_common.learning.models import MODELS, network_class
from lens_common.learning.presets import PRESETS
from lens_common.learning.protocol import NetworkShape
from lens_common.learning.training import TrainingData, predict_in_batches, train_network
from lens_common.scores.metrics import auroc
from lens_common.trials import default_mocks
from lens_modern import backend

PLAN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
ROWS = {row["exchanged"]: row for row in PLAN["rows"]}


def load() -> tuple[TrainingData, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """What is trained on, and the scaled stamps and labels of each test set."""
    mocks = PLAN["mocks"]
    stamps, labels = scaled(shuffled(default_mocks(mocks["n_stamps"], mocks["seed"]), 0), "sigma")
    held, learned = slice(mocks["n_validation"]), slice(mocks["n_validation"], None)
    with np.load(make_data()) as stored:
        tested = {"mocks": (stored["test_stamps"], stored["test_labels"])}
    if os.environ.get("LENS_PICS_MOCKS"):
        tested["pics"] = scaled(shuffled(pics_mocks(), 0), "sigma")
    return TrainingData(stamps[learned], labels[learned], stamps[held], labels[held]), tested


def measure(job: dict[str, str]) -> dict[str, Any]:
    """Train one network with one row exchanged from each seed; mean AUROCs, their spread, seconds an epoch."""
    row, model = ROWS[job["exchanged"]], job["network"]
    backend.prepare()
    kind = network_class(model, "idiomatic")
    changes = MODELS[model].idiomatic if row.get("mode") else row.get("settings", {})
    settings = replace(PRESETS["demo"].settings[model], **changes)
    data, tested = load()
    areas: dict[str, list[float]] = {"mocks": [], "pics": []}
    seconds, epochs = [], []
    for seed in PLAN["seeds"][model]:
        network = kind(NetworkShape(), seed, row.get("ingredients", ()))
        if row.get("bfloat16"):
            network.autocast = torch.bfloat16
        start = time.process_time()
        history = train_network(network, data, settings, seed)
        seconds.append((time.process_time() - start) / len(history))
        epochs.append(len(history))
        for name, (stamps, labels) in tested.items():
            areas[name].append(auroc(labels, predict_in_batches(network, stamps)))
    summaries = (("", np.mean), ("_low", np.min), ("_high", np.max))
    return {
        "seeds": len(epochs),
        **{
            f"auroc_{name}{suffix}": f"{summary(values):.4f}" if values else ""
            for name, values in areas.items()
            for suffix, summary in summaries
        },
        "cpu_seconds_an_epoch": f"{np.mean(seconds):.1f}",
        "epochs": f"{np.mean(epochs):.0f}",
    }


def work() -> str:
    """Measure what is missing."""
    load()  # the mocks are made once, before the trainings begin
    jobs = [
        {"network": model, "exchanged": name}
        for model in PLAN["seeds"]
        for name, row in ROWS.items()
        if model not in row.get("not_of", ())
    ]
    return fill_table(ROOT / "results/ablation.csv", jobs, measure)


main = partial(carry_out, "ablation", __doc__, {}, work)
