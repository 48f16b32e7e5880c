"""Measure what two choices change that 2018 made and its log does not tell: how Keras interpolates, who wins a tie.

    python -m experiments reproduction.effects OUT.csv [--jobs N]

The trainings are those of `effects.toml`, one row each; what is in OUT.csv is not measured again.  Hours on two cores,
minutes on a GPU.
"""

import tomllib
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from experiments.runner import carry_out, fill_table, out_file, scaled, shuffled
from lens_common.learning.presets import PRESETS
from lens_common.learning.protocol import NetworkShape
from lens_common.learning.training import TrainingData, predict_in_batches, train_network
from lens_common.scores.metrics import evaluate_scores
from lens_common.trials import default_mocks
from lens_modern import backend, idiomatic

PLAN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
MOCKS = ("mocks", "test_mocks")
TRAININGS = {table["measured"]: table for table in PLAN["trainings"]}


def jobs() -> list[dict[str, Any]]:
    """Every training, by the first columns of its row."""
    rows = [
        {"measured": name, "setting": setting, "epochs": epochs, "seed": seed}
        for name, table in TRAININGS.items()
        for setting, epochs, seed in product(table["settings"], table["epochs"], table["seeds"])
    ]
    return sorted(rows, key=lambda row: -row["epochs"])


def measure(job: dict[str, Any]) -> dict[str, str]:
    """Train once and test."""
    backend.prepare()
    table = TRAININGS[job["measured"]]
    changes = dict(table["settings"][job["setting"]])
    ingredients = tuple(changes.pop("ingredients", ()))
    settings = replace(PRESETS[table["preset"]].settings[table["model"]], epochs=job["epochs"], **changes)
    kind: Any = {"resnet": idiomatic.IdiomaticResNet, "cnn": idiomatic.IdiomaticCNN}[table["model"]]
    network = kind(NetworkShape(), job["seed"], ingredients)
    (stamps, labels), (test_stamps, test_labels) = (
        scaled(shuffled(default_mocks(**PLAN[name]), PLAN[name]["seed"]), settings.scaling) for name in MOCKS
    )
    data = TrainingData(stamps, labels, stamps[:0], labels[:0])
    history = train_network(network, data, settings, job["seed"])
    metrics = evaluate_scores(test_labels, predict_in_batches(network, test_stamps))
    figures = {key: metrics[key] for key in ("auroc", "completeness", "false_positive_rate")}
    return {
        **{key: "" if value is None else f"{value:.4f}" for key, value in figures.items()},
        "last_losses": " ".join(f"{row['loss']:.4f}" for row in history[-3:]),
        "device": backend.describe()["device"],
    }


def work(out: Path, jobs_at_a_time: int) -> str:
    """Make the mocks, then measure what the table lacks."""
    for name in MOCKS:
        default_mocks(**PLAN[name])
    return fill_table(out, jobs(), measure, jobs_at_a_time)


OPTIONS: dict[str, dict[str, Any]] = {
    "out": {"type": out_file, "help": "CSV file"},
    "--jobs": {"type": int, "default": 2, "dest": "jobs_at_a_time", "metavar": "N", "help": "trainings at a time"},
}
main = partial(carry_out, "effects", __doc__, OPTIONS, work)
