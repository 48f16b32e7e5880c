"""How the benchmarks measure: candidates in turn, medians, and ratios above 1 that are always better."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

ROOT = Path(__file__).resolve().parent.parent
Entry = Dict[str, Any]


def alternate(candidates: Dict[str, Callable[[], Optional[float]]], runs: int) -> Dict[str, float]:
    """Call each candidate in turn, `runs` times round; median seconds of each.

    A candidate that returns a number measured itself; of another the call is timed.
    """
    seconds: Dict[str, List[float]] = {name: [] for name in candidates}
    for number in range(runs):
        for name, candidate in candidates.items():
            start = time.perf_counter()
            measured = candidate()
            seconds[name].append(time.perf_counter() - start if measured is None else measured)
            print(f"  run {number + 1} of {runs}, {name}: {seconds[name][-1]:.4g} s", file=sys.stderr, flush=True)
    return {name: statistics.median(values) for name, values in seconds.items()}


def entry(name: str, value: float, unit: str, against: str, ratio: float, runs: int, versions: str = "") -> Entry:
    """One result: `value` in `unit`, `ratio` times as good as the baseline `against`."""
    return {
        "name": name,
        "value": float(f"{value:.4g}"),
        "unit": unit,
        "against": against,
        "ratio": float(f"{ratio:.3g}"),
        "runs": runs,
        "machine": f"{machine()}; Python {platform.python_version()}{versions}",
    }


def machine() -> str:
    """Processor, cores and system, in words."""
    with open("/proc/cpuinfo") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    with open("/etc/os-release") as file:
        system = next(line for line in file if line.startswith("PRETTY_NAME")).partition("=")[2].strip().strip('"')
    return f"{models[0] if models else platform.machine()}, {len(os.sched_getaffinity(0))} cores, {system}"


class Worker:
    """A process that is set up once and then measures what it is asked to: ``bench/worker.py``.

    Parameters
    ----------
    side : {"legacy", "modern"}
        Whose interpreter and backend.
    flags : str
        For ``THEANO_FLAGS``.
    options : str
        Arguments of the worker.
    """

    def __init__(self, side: str, *options: str, flags: str = "") -> None:
        command = [str(ROOT / f".venv-{side}/bin/python"), str(ROOT / "bench/worker.py"), side, *options]
        environment = {**os.environ, "THEANO_FLAGS": flags}
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, request: str) -> Any:
        """Send a line, wait for the answer."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(request + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker {self._process.args} ended with {self._process.wait()}")
        return json.loads(answer)

    def end(self) -> None:
        """Let the process end."""
        self._process.communicate()


def main(measure: Callable[[], List[Entry]]) -> None:
    """Run a benchmark and print its entries as JSON, for ``bench/run.py``."""
    print(json.dumps(measure()))
