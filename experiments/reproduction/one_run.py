"""Carry out some command lines of one twin in one process: a run is trained, then scores its test sets.

one_run.py legacy|modern '[["train", "--model", "cnn", ...], ["score", ...]]'
"""

import importlib
import json
import sys

from lens_common.cli import run_command_line

if __name__ == "__main__":
    backend = importlib.import_module(f"lens_{sys.argv[1]}.backend")
    for arguments in json.loads(sys.argv[2]):
        status = run_command_line(backend, arguments)
        if status:
            raise SystemExit(status)
