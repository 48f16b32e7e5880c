"""Carry out command lines of one side in one process.

    session.py legacy|modern '[["train", ...], ["round-trip", MODEL, WEIGHTS.npz, OUT.npz], ...]'

One command is not of the command line: it sets weights, and writes what the network holds then.
"""

import importlib
import json
import sys

import numpy as np

from lens_common.learning.protocol import NetworkShape


def main(arguments):
    backend, cli = (importlib.import_module(f"lens_{arguments[0]}.{name}") for name in ("backend", "cli"))
    for command in json.loads(arguments[1]):
        if command[0] != "round-trip":
            assert cli.main(command) == 0, command
            continue
        network = backend.build_network(command[1], NetworkShape(), 1)
        with np.load(command[2]) as given:
            network.set_weights(dict(given))
        np.savez(command[3], **network.get_weights(training_state=True))


if __name__ == "__main__":
    main(sys.argv[1:])
