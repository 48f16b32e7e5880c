"""Measure what two choices change that 2018 made and its log does not tell: how Keras interpolates, who wins a tie.

    effects.py OUT.csv [--jobs N]

`interpolation`: the ResNet with the settings of `--preset demo` on 2,000 mocks, in more and more epochs, its augmented
stamps read by the nearest pixel or linearly.  `ties`: the CNN with the settings of `--preset study-2000`, on raw and on
scaled counts, the gradient of its max-pooling given to every pixel that ties for the maximum, as Theano does, or to the
first one, as TensorFlow and torch do.  Both are tested on 2,000 other mocks.  One row a training; what is in OUT.csv
is not measured again.  Hours on two cores, minutes on a GPU.
"""

import argparse
import itertools
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from lens_common.data.stamps import load_stamps
from lens_common.errors import UserError
from lens_common.files import cache_folder, read_csv, write_csv
from lens_common.learning.presets import PRESETS
from lens_common.learning.protocol import NetworkShape
from lens_common.learning.scaling import make_scaling
from lens_common.learning.training import TrainingData, predict_in_batches, train_network
from lens_common.mocks.prior import PRIOR, prior_hash
from lens_common.mocks.writer import SIMULATOR_VERSION, make_mocks
from lens_common.scores.metrics import evaluate_scores
from lens_modern import backend, idiomatic, resnet

SEEDS = (1, 2, 3)
EPOCHS = (50, 6, 3)  # the longest first, so that the last to end is a short one
TRAINING, TEST = (2000, 1), (2000, 2018)  # number and seed of the mocks
KEYS = ("measured", "setting", "epochs", "seed")


def jobs():
    """Every training: what is measured, the setting, epochs, seed."""
    interpolation = itertools.product(["interpolation"], ["nearest", "linear"], EPOCHS, SEEDS)
    settings = [f"{scaling}, {tie}" for scaling in ("raw", "sigma") for tie in ("every tie", "first tie")]
    ties = itertools.product(["ties"], settings, [PRESETS["study-2000"].settings["cnn"].epochs], SEEDS)
    return sorted([*interpolation, *ties], key=lambda job: -job[2])


def load(n_mocks, seed):
    """Counts and labels of mocks that are made once."""
    folder = cache_folder("mocks") / f"{n_mocks}-seed{seed}-{prior_hash(PRIOR)}-v{SIMULATOR_VERSION}"
    data = load_stamps(make_mocks(folder, n_mocks, seed))
    rows = np.random.RandomState(seed).permutation(len(data.ids))
    return np.asarray(data.pixels)[rows], (data.labels == 1)[rows]


def measure(job):
    """Train once and test: one row."""
    measured, setting, epochs, seed = job
    os.environ["OMP_NUM_THREADS"] = "1"
    backend.prepare()
    if measured == "interpolation":
        settings = replace(PRESETS["demo"].settings["resnet"], interpolation=setting)
        network = resnet.ResNet(NetworkShape(), seed)
    else:
        scaling, tie = setting.split(", ")
        settings = replace(PRESETS["study-2000"].settings["cnn"], scaling=scaling)
        network = idiomatic.IdiomaticCNN(NetworkShape(), seed, ("pooling",) if tie == "first tie" else ())
    settings = replace(settings, epochs=epochs)
    scale = make_scaling(settings.scaling).transform
    stamps, labels = load(*TRAINING)
    history = train_network(network, TrainingData(scale(stamps), labels, scale(stamps[:0]), labels[:0]), settings, seed)
    stamps, labels = load(*TEST)
    found = evaluate_scores(labels, predict_in_batches(network, scale(stamps)))
    figures = {key: found[key] for key in ("auroc", "completeness", "false_positive_rate")}
    return {
        **dict(zip(KEYS, job)),
        **{key: "" if value is None else f"{value:.4f}" for key, value in figures.items()},
        "last_losses": " ".join(f"{row['loss']:.4f}" for row in history[-3:]),
        "device": backend.describe()["device"],
    }


def main(arguments=None):
    """Measure what is not in the table yet; 0, or 2 for a mistake."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", help="CSV file")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="trainings at a time; default %(default)s")
    options = parser.parse_args(arguments)
    out = Path(options.out)
    try:
        rows = {tuple(row[key] for key in KEYS): row for row in (read_csv(out) if out.exists() else ())}
        order = [tuple(map(str, job)) for job in jobs()]
        load(*TRAINING), load(*TEST)
        with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
            left = [pool.submit(measure, job) for job, name in zip(jobs(), order) if name not in rows]
            for done in as_completed(left):
                row = done.result()
                rows[tuple(str(row[key]) for key in KEYS)] = row
                print("effects:", *row.values(), file=sys.stderr, flush=True)
                write_csv(out, [rows[name] for name in order if name in rows])
    except (UserError, OSError, KeyError) as error:
        print(f"effects: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
