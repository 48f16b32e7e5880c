"""Run the benchmarks, all or those named, and keep their entries in ``bench/results.json``.

    .venv-legacy/bin/python bench/run.py [loading resnet ...]

Each runs in a process of its own; entries of the same names are replaced when it has ended well.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
BENCHMARKS = ("loading", "preparing", "rendering", "compiling", "resnet", "twins", "survey")
SIDES = {**dict.fromkeys(BENCHMARKS, "legacy"), "survey": "modern"}


def main(names):
    unknown = [name for name in names if name not in SIDES]
    if unknown:
        print(f"bench: no benchmark named {unknown[0]}; choose from {', '.join(SIDES)}", file=sys.stderr)
        return 2
    for name in names or SIDES:
        print(f"bench: {name}", file=sys.stderr, flush=True)
        start = time.monotonic()
        python = HERE.parent / f".venv-{SIDES[name]}/bin/python"
        done = subprocess.run([python, HERE / f"{name}.py"], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"bench: {name} failed; {RESULTS.name} keeps what it had of it", file=sys.stderr)
            return 1
        keep(json.loads(done.stdout.splitlines()[-1]))
        print(f"bench: {name} took {time.monotonic() - start:.0f} s", file=sys.stderr)
    show(json.loads(RESULTS.read_text()))
    return 0


def keep(entries):
    """Put new entries in the place of those of the same names, the others after them."""
    known = {row["name"]: row for row in json.loads(RESULTS.read_text())} if RESULTS.exists() else {}
    known.update({row["name"]: row for row in entries})
    temporary = RESULTS.with_suffix(".tmp")
    temporary.write_text(json.dumps([*known.values()], indent=1) + "\n")
    os.replace(temporary, RESULTS)


def show(entries):
    for row in entries:
        print(f"{row['name']:58} {row['value']:>9.4g} {row['unit']:20} {row['ratio']:6.2f} x  {row['against']}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
