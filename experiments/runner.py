"""What every experiment does: work in the interpreter of a side, fill a table row by row, end in one sentence.

    python -m experiments.runner legacy|modern '[["train", "--model", "cnn", ...], ["score", ...]]'

carries out some command lines of one twin in one process.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from lens_common.data.stamps import Stamps, load_stamps
from lens_common.errors import UserError
from lens_common.files import read_csv, write_csv
from lens_common.learning.scaling import make_scaling

ROOT = Path(__file__).resolve().parents[1]
SIDES = ("legacy", "modern")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # where several work at a time, each on a core


@dataclass(frozen=True)
class Job:
    """A module to be run in the interpreter of a side.

    Attributes
    ----------
    name : str
        Of its log, too.
    side : {"legacy", "modern"}
    module : str
        Dotted, from the root of the repository.
    arguments : sequence
        Spelled with `str`.
    cost : float
        Expected seconds, or any number in proportion to them: the time left rests on it.
    threads : int
        For its sums; one, where several jobs work at a time, each on a core.
    """

    name: str
    side: str
    module: str
    arguments: Sequence[Any]
    cost: float = 1.0
    threads: int = 1


def command(job: Job) -> list[str]:
    """Command line of a job."""
    return [str(ROOT / f".venv-{job.side}/bin/python"), "-m", job.module, *map(str, job.arguments)]


def environment(side: str, **changes: str) -> dict[str, str]:
    """Environment variables in which a side finds its packages and these experiments."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "common", ROOT / side))), **changes}


def start(job: Job, logs: Path | None = None, **changes: str) -> subprocess.Popen:
    """Begin a job; what it prints goes to ``NAME.log`` in the folder of logs, where one is named."""
    log = None
    if logs:
        logs.mkdir(parents=True, exist_ok=True)
        log = open(logs / f"{job.name}.log", "a")
    # In a session of its own: Ctrl-C reaches this process only, which ends the others in its own time.
    return subprocess.Popen(
        command(job), stdout=log, stderr=log, env=environment(job.side, **changes), start_new_session=True
    )


def stop(processes: Collection[subprocess.Popen]) -> None:
    """End what is still at work, and wait until it has written what it keeps."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait()


def run(job: Job, logs: Path | None = None, **changes: str) -> None:
    """Carry out a job.

    Raises
    ------
    UserError
        If it fails.
    """
    process = start(job, logs, **changes)
    try:
        status = process.wait()
    finally:
        stop([process])
    if status:
        reason = f"see {logs / job.name}.log" if logs else "the lines above say why"
        raise UserError(f"{job.name} failed with status {status}; {reason}")


def work_through(
    program: str, jobs: Sequence[Job], n_jobs: int, logs: Path, limit_s: float = float("inf")
) -> list[str]:
    """Carry out jobs in order, `n_jobs` at a time, none begun after the limit; return the names of those that failed.

    Raises
    ------
    KeyboardInterrupt
        After the jobs at work have ended, each as it does on SIGTERM.
    """
    waiting, failed = list(jobs), []
    running: dict[subprocess.Popen, tuple[Job, float]] = {}
    left, started = TimeLeft(job.cost for job in jobs), time.monotonic()
    try:
        while waiting or running:
            late = time.monotonic() - started > limit_s
            while waiting and len(running) < n_jobs and not late:
                job = waiting.pop(0)
                running[start(job, logs, OMP_NUM_THREADS=str(job.threads))] = (job, time.monotonic())
            if late and not running:
                print(f"{program}: the limit of time is reached; {len(waiting)} runs are left", flush=True)
                break
            time.sleep(0.5)
            for process in [process for process in running if process.poll() is not None]:
                job, since = running.pop(process)
                outcome = f"{time.monotonic() - since:.0f} s"
                if process.returncode:
                    failed.append(job.name)
                    outcome = f"failed, see {logs / job.name}.log"
                print(f"{program}: {left.after(job.cost, f'{job.name}: {outcome}')}", flush=True)
    finally:
        stop(running)
    return failed


class TimeLeft:
    """Counts what is done, and spells the time left at the pace so far."""

    def __init__(self, costs: Iterable[float]) -> None:
        self.costs = list(costs)
        self.n_done, self.done, self.started = 0, 0.0, time.monotonic()

    def after(self, cost: float, outcome: str) -> str:
        """Line on something that has ended."""
        self.n_done, self.done = self.n_done + 1, self.done + cost
        seconds = (sum(self.costs) - self.done) * (time.monotonic() - self.started) / self.done
        return f"{self.n_done}/{len(self.costs)} {outcome}; about {spelled_time(seconds)} left"


def spelled_time(seconds: float) -> str:
    """Minutes, or hours and minutes."""
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def _take_one_thread() -> None:
    os.environ.update(ONE_THREAD)


def fill_table(
    path: Path, jobs: Sequence[Mapping[str, Any]], measure: Callable[[Any], Mapping[str, Any]], n_jobs: int = 2
) -> str:
    """Measure the jobs that a table lacks, some at a time, and write it after each; a line for a reader.

    Parameters
    ----------
    path : Path
        CSV; its rows stand in the order of the jobs.
    jobs : list of dict
        The first columns of each row, by which it is known again.
    measure : function
        From a job to the other columns; runs in a process of its own.
    n_jobs : int
        At a time, on one thread each.
    """
    keys = list(jobs[0])
    rows = {tuple(row[key] for key in keys): row for row in (read_csv(path) if path.exists() else ())}
    names = {tuple(map(str, job.values())): job for job in jobs}
    pool = ProcessPoolExecutor(n_jobs, get_context("spawn"), _take_one_thread)
    begun = {pool.submit(measure, job): name for name, job in names.items() if name not in rows}
    left = TimeLeft(1.0 for _ in begun)
    try:
        for done in as_completed(begun):
            name = begun[done]
            rows[name] = {**dict(zip(keys, name)), **done.result()}
            print(left.after(1.0, " ".join(map(str, rows[name].values()))), file=sys.stderr, flush=True)
            write_csv(path, [rows[name] for name in names if name in rows])
    finally:
        pool.shutdown(cancel_futures=True)
    return f"{len(begun)} new rows in {path}"


def carry_out(
    program: str,
    about: str | None,
    options: Mapping[str, Mapping[str, Any]],
    work: Callable[..., object],
    arguments: list[str] | None = None,
) -> int:
    """Do the work of a script, and print what it returns.

    Parameters
    ----------
    program : str
        Before each sentence.
    about : str
        Docstring of the script: its first line is the help.
    options : dict
        For `argparse`: flag or name of each argument, and how it is read.
    work : function
        Takes the options by name; returns a sentence, or an exit status.
    arguments : list of str, optional
        Instead of the command line.

    Returns
    -------
    int
        Exit status: 0 or what the work returned, 2 and one sentence for a mistake, 130 where it was stopped.
    """
    parser = argparse.ArgumentParser(prog=program, description=(about or "").split("\n")[0])
    for flag, how in options.items():
        parser.add_argument(flag, **how)
    given = vars(parser.parse_args(arguments))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        outcome = work(**given)
    except (UserError, OSError) as error:
        of_file = f"{error.filename or 'a file'}: {error.strerror or error}" if isinstance(error, OSError) else error
        print(f"{program}: {of_file}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{program}: stopped; the same command goes on with what is finished", file=sys.stderr)
        return 130
    if isinstance(outcome, int):
        return outcome
    print(f"{program}: {outcome}")
    return 0


def out_file(path: str) -> Path:
    """Take the argument that names the file to write, and make its folder before the hours of work."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return Path(path)


def pics_mocks() -> Path:
    """Folder of the PICS mocks, which LENS_PICS_MOCKS names.

    Raises
    ------
    UserError
        If it names none.
    """
    folder = os.environ.get("LENS_PICS_MOCKS")
    if not folder:
        raise UserError("LENS_PICS_MOCKS is unset: name the folder of the PICS mocks")
    return Path(folder).resolve()


def shuffled(folder: Path, seed: int) -> Stamps:
    """Stamps of a folder in an order without meaning."""
    data = load_stamps(folder)
    return data[np.random.RandomState(seed).permutation(len(data))]


def scaled(data: Stamps, scaling: str) -> tuple[np.ndarray, np.ndarray]:
    """What a network is trained on or scores: scaled stamps, float32 (N, bands, H, W), and whether each is a lens."""
    return make_scaling(scaling).fit(data.pixels).transform(data.pixels), data.labels == 1


def labelled(data: Stamps) -> Stamps:
    """Stamps that are known to be lenses or not.

    Raises
    ------
    UserError
        If a class is missing.
    """
    counts = [int((data.labels == kind).sum()) for kind in (1, 0)]
    if not all(counts):
        raise UserError(
            f"{data.folder} holds {counts[0]} lenses and {counts[1]} non-lenses; both are needed, below "
            "lensed_outputs/ and unlensed_outputs/"
        )
    return data[data.labels >= 0]


def module_of_tests(folder: str, name: str) -> Any:
    """Import a module that lies beside tests by its own name: some packages install a `tests` of theirs."""
    sys.path.insert(0, str(ROOT / "tests" / folder))
    return importlib.import_module(name)


def backend_of(side: str) -> Any:
    """Module `backend` of a twin, in its own interpreter."""
    return importlib.import_module(f"lens_{side}.backend")


if __name__ == "__main__":
    cli = importlib.import_module(f"lens_{sys.argv[1]}.cli")
    for line in json.loads(sys.argv[2]):
        status = cli.main(line)
        if status:
            raise SystemExit(status)
