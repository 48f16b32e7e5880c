"""A network in a process of its own, measured on request.

    worker.py legacy|modern [give-back]

Reads requests from stdin, answers each with a line of JSON: ``build`` (seconds until the first training step and
the first scores are there), ``train`` and ``predict`` (seconds for one batch of 128), ``describe``.
`give-back` leaves the C library as it is, which gives freed memory back.
"""

import importlib
import json
import os
import sys
import time

import numpy as np

from lens_common.protocol import NetworkShape

BATCH = 128


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints is no answer
    backend = importlib.import_module(f"lens_{sys.argv[1]}.backend")
    if "give-back" in sys.argv:
        backend._keep_freed_memory = lambda: None
    random_state = np.random.RandomState(0)
    stamps = random_state.normal(0, 1, (BATCH, 1, 45, 45)).astype(np.float32)
    labels = (random_state.uniform(size=BATCH) > 0.5).astype(np.float32)
    network = None
    for line in sys.stdin:
        request = line.strip()
        start = time.perf_counter()
        if request == "build":
            network = backend.build_network("resnet", NetworkShape(1, 45), 1)
        if request in ("build", "train"):
            network.train_step(stamps, labels, 1e-4, random_state)
        if request in ("build", "predict"):
            network.predict(stamps)
        seconds = time.perf_counter() - start
        print(json.dumps(backend.describe() if request == "describe" else seconds), file=answers, flush=True)


main()
