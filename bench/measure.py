"""How the benchmarks measure: candidates in turn, medians, and ratios above 1 that are always better.

    python -m bench.measure NAME

prints the entries of one benchmark as JSON, for ``bench/run.py``.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Callable, Dict, Mapping

from experiments import runner

Entry = Dict[str, Any]


def alternate(candidates: Mapping[str, Callable[[], float | None]], runs: int) -> dict[str, float]:
    """Call each candidate in turn, `runs` times round; median seconds of each.

    A candidate that returns a number measured itself; of another the call is timed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
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
        self._process = subprocess.Popen(
            runner.command(runner.Job("worker", side, "bench.worker", [side, *options])),
            env=runner.environment(side, THEANO_FLAGS=flags),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, request: str) -> Any:
        """Send a line, wait for the answer."""
        assert self._process.stdin and self._process.stdout
        print(request, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker {self._process.args!r} ended with {self._process.wait()}")
        return json.loads(answer)

    def end(self) -> None:
        """Let the process end."""
        self._process.communicate()


def rates(workers: Mapping[str, Worker], request: str, n_stamps: int, runs: int) -> dict[str, float]:
    """Stamps a second of each worker, asked in turn for a batch of so many stamps."""
    asked = {name: partial(worker.ask, request) for name, worker in workers.items()}
    return {name: n_stamps / seconds for name, seconds in alternate(asked, runs).items()}


def build(workers: Mapping[str, Worker]) -> None:
    """Let all workers build their networks, two at a time: compilation is Python on one core."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda worker: worker.ask("build"), workers.values()))


if __name__ == "__main__":
    print(json.dumps(importlib.import_module(f"bench.{sys.argv[1]}").measure()))
