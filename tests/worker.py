"""A legacy process that does one piece of work after another, so that all of them share the graphs it compiled.

    worker.py float32|float64

Each line on stdin is a JSON list: a script below the root or a dotted module, and the arguments of its `main`.  Each
is answered by a line on stdout, ``done`` or ``failed``; what the work prints, and its traceback, goes to stderr.
"""

import importlib
import importlib.util
import json
import os
import sys
import traceback
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


def share_graphs(backend):
    """Let `build_network` hand out one network for each shape, with the weights just drawn and an unused optimiser."""
    build, networks = backend.build_network, {}

    def build_network(model, shape, seed, **options):
        drawn = build(model, shape, seed, **options)
        key = (model, shape, *options.items())
        network = networks.setdefault(key, drawn)
        if network is not drawn:
            weights = drawn.get_weights()
            state = network.get_weights(training_state=True)
            network.set_weights({**{name: np.zeros_like(values) for name, values in state.items()}, **weights})
        return network

    backend.build_network = build_network


def module_of(work):
    if not work.endswith(".py"):
        return importlib.import_module(work)
    spec = importlib.util.spec_from_file_location(Path(work).stem, ROOT / work)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    backend = importlib.import_module("lens_legacy.backend")
    backend.prepare(sys.argv[1])
    share_graphs(backend)
    for line in sys.stdin:
        work, *arguments = json.loads(line)
        try:
            failed = module_of(work).main(arguments)
        except BaseException:  # SystemExit of a parser, too
            failed = traceback.print_exc() or True
        sys.stderr.flush()
        print("failed" if failed else "done", file=answers)


if __name__ == "__main__":
    main()
