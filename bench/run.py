"""Run the benchmarks, all or those named, and keep their entries in ``bench/results.json``.

    .venv-legacy/bin/python -m bench.run [loading resnet ...]

Each runs in a process of its own; entries of the same names are replaced when it has ended well.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Iterable, Mapping

from experiments import runner
from lens_common.errors import UserError
from lens_common.files import replacing

RESULTS = Path(__file__).resolve().with_name("results.json")
BENCHMARKS = ("loading", "preparing", "rendering", "multiband", "compiling", "resnet", "twins", "survey")
SIDES = {**dict.fromkeys(BENCHMARKS, "legacy"), "survey": "modern", "multiband": "modern"}


def work(names: list[str]) -> int:
    """Run them one after the other, and show all results."""
    for name in [name for name in names if name not in SIDES]:
        raise UserError(f"no benchmark named {name}; choose from {', '.join(SIDES)}")
    for name in names or SIDES:
        print(f"bench: {name}", file=sys.stderr, flush=True)
        start = time.monotonic()
        job = runner.Job(name, SIDES[name], "bench.measure", [name])
        done = subprocess.run(runner.command(job), env=runner.environment(job.side), stdout=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"bench: {name} failed; {RESULTS.name} keeps what it had of it", file=sys.stderr)
            return 1
        keep(json.loads(done.stdout.splitlines()[-1]))
        print(f"bench: {name} took {time.monotonic() - start:.0f} s", file=sys.stderr)
    for row in json.loads(RESULTS.read_text()):
        print(f"{row['name']:58} {row['value']:>9.4g} {row['unit']:20} {row['ratio']:6.2f} x  {row['against']}")
    return 0


def keep(entries: Iterable[Mapping[str, Any]]) -> None:
    """Put new entries in the place of those of the same names, the others after them."""
    rows = {row["name"]: row for row in json.loads(RESULTS.read_text())} if RESULTS.exists() else {}
    rows.update({row["name"]: row for row in entries})
    with replacing(RESULTS) as file:
        file.write(json.dumps([*rows.values()], indent=1) + "\n")


main = partial(runner.carry_out, "bench", __doc__, {"names": {"nargs": "*"}}, work)

if __name__ == "__main__":
    raise SystemExit(main())
