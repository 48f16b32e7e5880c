"""Check an answer: the student's port runs beside a clean one, each in a process with bounds; records are compared."""

import ast
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

from lens_common.errors import UserError
from lens_common.mocks.simulator import simulate_stamp

from .comparison import first_broken
from .sealing import FILES, find_exercise, read_exercise, write_port

SECONDS, MEMORY, FILE = 180, 6 * 2**30, 512 * 2**20  # of the student's process: wall and CPU, data, largest file
LONGEST = 200_000  # bytes of a source
N_BATCHES, BATCH = 2, 4
MAY_IMPORT = {
    *("__future__", "collections", "collections.abc", "dataclasses", "functools", "itertools", "math", "types"),
    *("typing", "numpy", "scipy", "scipy.ndimage", "torch", "torch.nn", "torch.nn.functional"),
    *("lens_common.errors", "lens_common.learning.batches", "lens_common.learning.protocol"),
}
# What the clean port of a network gave for a seed, kept for the next check of this process.
_clean: dict[tuple[str, int], dict[str, np.ndarray]] = {}
MAY_NOT_CALL = {"__import__", "breakpoint", "compile", "eval", "exec", "globals", "open"}


def check_port(folder: Path, seed: int = 1, seconds: float = SECONDS) -> str:
    """Compare the port in a folder with a clean one.

    Parameters
    ----------
    folder : path
        As `make_exercise` wrote it, mended by the student.
    seed : int
        Of the first weights and of the stamps.
    seconds : float
        What the port may take, by the clock and of the processor; the clean one beside it may take longer.

    Returns
    -------
    str
        The first comparison that breaks, a key of `comparison.ORDER`, or `comparison.SHAPES`; empty where none does.

    Raises
    ------
    UserError
        If there is nothing to be compared: a file is missing or cannot be read, imports what it must not, or the port
        stops with an error, or exceeds its bounds.
    """
    name, _ = read_exercise(folder)
    network = find_exercise(name).about.network
    sources = {module: read_source(folder / f"{module}.py", FILES[network]) for module in FILES[network]}
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        batches = _write_batches(work / "batches.npz", seed)
        (work / "given/port").mkdir(parents=True)
        for module, source in sources.items():
            (work / f"given/port/{module}.py").write_text(source)
        sides = ["given"]
        if (network, seed) not in _clean:
            write_port(work / "clean/port", network)
            sides.append("clean")
        processes = {side: _start(work / side, network, batches, seed, seconds) for side in sides}
        try:
            deadline = time.monotonic() + seconds
            records = {}
            for side in sides:
                _wait(processes[side], deadline if side == "given" else None, seconds)
                records[side] = _read(work / side, processes[side].returncode, seconds)
        finally:
            for process in processes.values():
                _end(process)
    clean = _clean.setdefault((network, seed), records.get("clean", {}))
    return first_broken(clean, records["given"])


def read_source(path: Path, own: tuple[str, ...]) -> str:
    """Read a file of a port and see that it may be run.

    Parameters
    ----------
    path : path
        A Python file.
    own : tuple of str
        Modules of the port, which it may import from.

    Raises
    ------
    UserError
        If it is missing, too long, not Python, or imports what it must not.
    """
    try:
        if path.stat().st_size > LONGEST:
            raise UserError(f"{path} is longer than {LONGEST:,} bytes; a port is not")
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; take it from a new folder of the exercise") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text in UTF-8") from error
    except SyntaxError as error:
        raise UserError(f"{path}, line {error.lineno or 1}: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} cannot be read as Python: {error}") from error
    for node in ast.walk(tree):
        refused = _refused(node, own)
        if refused:
            raise UserError(
                f"{path}, line {node.lineno}: a port may not use {refused}; it may import NumPy, SciPy, torch, the "  # type: ignore[attr-defined]
                "standard modules that it has, and its own files"
            )
    return source


def _refused(node: ast.AST, own: tuple[str, ...]) -> str:
    """Name what a node imports or calls and must not; empty where there is nothing."""
    if isinstance(node, ast.Import):
        return ", ".join(alias.name for alias in node.names if alias.name not in MAY_IMPORT)
    if isinstance(node, ast.ImportFrom):
        if node.level == 1 and node.module in own:
            return ""
        whole = {f"{node.module}.{alias.name}" for alias in node.names}
        allowed = not node.level and (node.module in MAY_IMPORT or whole <= MAY_IMPORT)
        return "" if allowed else f"{'.' * node.level}{node.module or ''}"
    if isinstance(node, ast.Name) and node.id in MAY_NOT_CALL:
        return node.id
    if isinstance(node, ast.Attribute) and node.attr.startswith("__") and node.attr != "__init__":
        return node.attr
    return ""


def _write_batches(path: Path, seed: int) -> Path:
    """Write mocks over their noise; in the first of each batch a patch of pixels ties in the pooling."""
    count = N_BATCHES * BATCH
    mocks = np.stack([simulate_stamp(1000 * seed + row, row % 2 == 0).stamp for row in range(count)])[:, None]
    stamps = mocks.astype(np.float64) / np.median(np.abs(mocks)) / 1.5
    stamps[::BATCH, :, 8:20, 8:20] = 3
    shape = (N_BATCHES, BATCH, *stamps.shape[1:])
    labels = (np.arange(count) % 2 == 0).astype(np.float64).reshape(N_BATCHES, BATCH)
    np.savez(path, stamps=stamps.reshape(shape), labels=labels)
    return path


def _start(place: Path, network: str, batches: Path, seed: int, seconds: float) -> subprocess.Popen[bytes]:
    (place / "port/__init__.py").touch()
    command = [sys.executable, "-I", "-m", "lens_modern.exercise.recording", str(place), network, str(batches)]
    variables = {key: os.environ[key] for key in ("PATH", "LENS_CACHE", "LD_LIBRARY_PATH") if key in os.environ}

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, FILE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return subprocess.Popen(
        [*command, str(place / "record.npz"), str(seed)],
        cwd=place,
        env={**variables, "HOME": str(place), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=bound,
    )


def _wait(process: subprocess.Popen[bytes], deadline: float | None, seconds: float) -> None:
    try:
        process.wait(None if deadline is None else max(deadline - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired as error:
        raise UserError(_too_long(seconds)) from error


def _too_long(seconds: float) -> str:
    return f"the port was stopped after {seconds:.0f} s; look for a loop that does not end"


def _read(place: Path, status: int, seconds: float) -> dict[str, np.ndarray]:
    """Record of a process that has ended."""
    stopped = place / "record.json"
    if stopped.exists():
        raise UserError(f"the port stops with an error: {json.loads(stopped.read_text())}")
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        raise UserError(_too_long(seconds))
    try:
        with np.load(place / "record.npz", allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError("the port ended without a result; it must build its network, train and score") from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    process.wait()
