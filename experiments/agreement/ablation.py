"""What each ingredient of idiomatic PyTorch costs or gains: one exchanged at a time, then all.

    .venv-modern/bin/python experiments/agreement/ablation.py

Trains the modern networks on 1,000 mocks and scores 1,000 others, and the PICS mocks where LENS_PICS_MOCKS names
them; writes results/ablation.csv, one row a network and ingredient, and goes on with those that are not there yet.
Twenty minutes on two cores.
"""

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
from agreement import ROOT, cache_folder, make_data

from lens_common.data.stamps import load_stamps
from lens_common.files import read_csv, write_csv
from lens_common.learning.presets import PRESETS
from lens_common.learning.protocol import NetworkShape
from lens_common.learning.scaling import make_scaling
from lens_common.learning.training import TrainingData, predict_in_batches, train_network
from lens_common.mocks.writer import make_mocks
from lens_common.scores.metrics import auroc
from lens_modern import backend, idiomatic

SEEDS = {"resnet": (1, 2), "cnn": (1, 2, 3)}
N_MOCKS, MOCKS_SEED, N_VALIDATION = 1200, 33, 200
# What is exchanged -> networks' ingredients, training settings (None: those of the mode), bfloat16.
ROWS = {
    "nothing: faithful": ((), {}, False),
    "initialisation": (("initialisation",), {}, False),
    "batch norm": (("batch_norm",), {}, False),
    "pooling": (("pooling",), {}, False),
    "loss": (("loss",), {}, False),
    "AdamW": (("adamw",), {}, False),
    "one cycle to 1e-3": ((), {"schedule": "one-cycle"}, False),
    "one cycle to 3e-3": ((), {"schedule": "one-cycle", "learning_rate": 3e-3}, False),
    "early stopping": ((), {"patience": 10}, False),
    "bfloat16": ((), {}, True),
    "all: idiomatic": (tuple(idiomatic.INGREDIENTS), None, True),
}
NOT_OF = {"resnet": {"pooling", "loss", "early stopping"}, "cnn": {"batch norm"}}


def load(folder):
    """Stamps over their noise, and labels, in an order without meaning."""
    data = load_stamps(folder)
    rows = np.random.RandomState(0).permutation(len(data.ids))
    stamps = np.asarray(data.pixels)[rows]
    return make_scaling("sigma").fit(stamps).transform(stamps), (data.labels == 1)[rows]


def measure(job):
    """Train one row of one network from each seed; mean AUROCs, their spread, seconds an epoch."""
    model, name, path = job
    ingredients, changed, bfloat16 = ROWS[name]
    os.environ["OMP_NUM_THREADS"] = "1"  # two rows at a time
    backend.prepare()
    kind = {"resnet": idiomatic.IdiomaticResNet, "cnn": idiomatic.IdiomaticCNN}[model]
    changed = backend.MODES["idiomatic"][model] if changed is None else changed
    settings = replace(PRESETS["demo"].settings[model], **changed)
    with np.load(path) as stored:
        arrays = dict(stored)
    data = TrainingData(*(arrays[key] for key in ("stamps", "labels", "validation_stamps", "validation_labels")))
    found = {"test": [], "pics": [], "seconds": [], "epochs": []}
    for seed in SEEDS[model]:
        network = kind(NetworkShape(), seed, ingredients)
        if bfloat16:
            network._logits = idiomatic.in_bfloat16(network._logits, "cpu")
        start = time.process_time()
        history = train_network(network, data, settings, seed)
        found["seconds"].append((time.process_time() - start) / len(history))
        found["epochs"].append(len(history))
        for key in ("test", "pics"):
            if f"{key}_stamps" in arrays:
                scores = predict_in_batches(network, arrays[f"{key}_stamps"])
                found[key].append(auroc(arrays[f"{key}_labels"], scores))
    row = {"network": model, "exchanged": name, "seeds": len(SEEDS[model])}
    for key, label in (("test", "auroc_mocks"), ("pics", "auroc_pics")):
        row[label] = f"{np.mean(found[key]):.4f}" if found[key] else ""
        row[f"{label}_low"] = f"{min(found[key]):.4f}" if found[key] else ""
        row[f"{label}_high"] = f"{max(found[key]):.4f}" if found[key] else ""
    return {
        **row,
        "cpu_seconds_an_epoch": f"{np.mean(found['seconds']):.1f}",
        "epochs": f"{np.mean(found['epochs']):.0f}",
    }


def main():
    """Measure what is missing and write the table."""
    path = cache_folder("agreement") / "ablation.npz"
    with np.load(make_data()) as stored:
        arrays = {key: stored[key] for key in ("test_stamps", "test_labels")}
    stamps, labels = load(make_mocks(cache_folder("agreement") / f"{N_MOCKS}-{MOCKS_SEED}", N_MOCKS, MOCKS_SEED))
    arrays.update(stamps=stamps[N_VALIDATION:], labels=labels[N_VALIDATION:])
    arrays.update(validation_stamps=stamps[:N_VALIDATION], validation_labels=labels[:N_VALIDATION])
    if os.environ.get("LENS_PICS_MOCKS"):
        arrays["pics_stamps"], arrays["pics_labels"] = load(os.environ["LENS_PICS_MOCKS"])
    np.savez(path, **arrays)
    stored = ROOT / "results/ablation.csv"
    rows = {(row["network"], row["exchanged"]): row for row in (read_csv(stored) if stored.exists() else ())}
    jobs = [(model, name, path) for model in SEEDS for name in ROWS if name not in NOT_OF[model]]
    order = [job[:2] for job in jobs]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for row in pool.map(measure, [job for job in jobs if job[:2] not in rows]):
            rows[row["network"], row["exchanged"]] = row
            print("ablation:", *row.values(), file=sys.stderr, flush=True)
            write_csv(stored, [rows[key] for key in order if key in rows])


if __name__ == "__main__":
    main()
