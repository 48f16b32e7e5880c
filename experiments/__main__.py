"""Carry out one of the experiments, in the interpreter that runs this.

    python -m experiments reproduction.study quick
    python -m experiments shipped.card results/models docs/model-card.md
    python -m experiments agreement.agreement --seeds 4

The name is that of a file of this folder; `--help` behind it says what it takes.
"""

import importlib
import sys

if len(sys.argv) < 2:
    raise SystemExit(__doc__)
raise SystemExit(importlib.import_module(f"experiments.{sys.argv[1]}").main(sys.argv[2:]))
