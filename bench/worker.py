"""A network in a process of its own, measured on request.

    python -m bench.worker legacy|modern [give-back] [contiguous] [compile] [idiomatic]

Reads requests from stdin, answers each with a line of JSON: ``build`` (seconds until the first training step and
the first scores are there), ``train`` and ``predict`` (seconds for one batch of 128), ``gemm`` (seconds for a product
of two matrices of 2,048, float32, by the BLAS of that side), ``describe``.
`give-back` leaves the C library as it is, which gives freed memory back.  The others are of the modern side: kernels as
torch makes them, without channels_last; the graph through torch.compile; idiomatic mode, in bfloat16.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import Any, Callable

import numpy as np

from experiments.runner import backend_of
from lens_common.learning.protocol import NetworkShape

BATCH, GEMM = 128, 2048


def main() -> None:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints is no answer
    backend = backend_of(sys.argv[1])
    if "give-back" in sys.argv:
        backend.keep_freed_memory = lambda: None
    random_state = np.random.RandomState(0)
    if "idiomatic" in sys.argv:
        backend.prepare(mode="idiomatic", bfloat16=True)
    stamps = random_state.normal(0, 1, (BATCH, 1, 45, 45)).astype(np.float32)
    labels = (random_state.uniform(size=BATCH) > 0.5).astype(np.float32)
    network: Any = None
    for line in sys.stdin:
        request = line.strip()
        if request == "gemm":
            multiply = multiplication(sys.argv[1])
            multiply()
        start = time.perf_counter()
        if request == "gemm":
            multiply()
        if request == "build":
            network = changed(backend.build_network("resnet", NetworkShape(1, 45), 1))
        if request in ("build", "train"):
            network.train_step(stamps, labels, 1e-4, random_state)
        if request in ("build", "predict"):
            network.predict(stamps)
        seconds = time.perf_counter() - start
        print(json.dumps(backend.describe() if request == "describe" else seconds), file=answers, flush=True)


def changed(network: Any) -> Any:
    """The network as the options want it."""
    if "contiguous" in sys.argv:
        for parameter in network.graph.parameters():
            parameter.data = parameter.data.contiguous()
    if "compile" in sys.argv:
        network.graph = importlib.import_module("torch").compile(network.graph)
    return network


def multiplication(side: str) -> Callable[[], Any]:
    """A product of two matrices, N x N."""
    library: Any = np if side == "legacy" else importlib.import_module("torch")
    first, second = library.ones((2, GEMM, GEMM), dtype=library.float32)
    return lambda: first @ second


if __name__ == "__main__":
    main()
