"""Run a few lines in the legacy interpreter and print what they print; where there is none, print the recording.

`LENS_LAB_RECORD=1 python -m lab.execute` makes the recordings anew.
"""

import hashlib
import json
import os
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECORDED = HERE / "recorded.json"
PYTHON = HERE.parent / ".venv-legacy/bin/python"
BEGIN = "from lens_legacy import backend\nbackend.prepare('float64')\n"


def legacy(code: str) -> None:
    """Print what the lines print on Theano, after `lens_legacy.backend.prepare("float64")`.

    Parameters
    ----------
    code : str
        Lines of Python 3.8.

    Raises
    ------
    RuntimeError
        If they fail, or there is neither an interpreter nor a recording of these lines.
    """
    key = hashlib.sha256(code.encode()).hexdigest()[:16]
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    if not PYTHON.exists() or os.environ.get("LENS_LAB_RECORDED"):
        if key not in recorded:
            raise RuntimeError("these lines were changed and there is no Python 3.8 here: run `make setup` first")
        print(recorded[key], end="")
        print("(recorded: there is no Python 3.8 here)")
        return
    done = subprocess.run([str(PYTHON), "-c", BEGIN + code], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    if os.environ.get("LENS_LAB_RECORD"):
        RECORDED.write_text(json.dumps({**recorded, key: done.stdout}, indent=1) + "\n")
    print(done.stdout, end="")
