"""Files: where the project keeps what it can make again, how one is written whole or not at all, JSON and CSV."""

import contextlib
import csv
import fcntl
import io
import json
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import IO, Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Union

import numpy as np

from .errors import UserError


def cache_folder(name: str) -> Path:
    """Folder for what can be made again: decoded stamps, mocks, compiled graphs.

    ``$LENS_CACHE``, else ``$XDG_CACHE_HOME/lens-twins``, else ``~/.cache/lens-twins``;
    a temporary folder where none of them can be written.

    Parameters
    ----------
    name : str
        Sub-folder.

    Returns
    -------
    Path
        Exists and can be written.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    root = Path(os.environ.get("LENS_CACHE") or os.path.join(home, "lens-twins"))
    folder = root / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        folder = _own_folder(Path(tempfile.gettempdir()) / f"lens-twins-{os.getuid()}") / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _own_folder(folder: Path) -> Path:
    """Make a folder that nobody else can write to; where another has taken its name, one of another name."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    about = folder.lstat()
    is_own = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o022
    return folder if is_own else Path(tempfile.mkdtemp(prefix=f"{folder.name}-"))


@contextlib.contextmanager
def exclusive(lock: Path, wait: bool) -> Iterator[None]:
    """Let one process at a time do the work of this block; the lock goes with the process, however it ends.

    Parameters
    ----------
    lock : Path
        A file made for this purpose; it stays.
    wait : bool
        Wait for the other process, or refuse.

    Raises
    ------
    UserError
        Without `wait`, if another process holds the lock.
    """
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another process is at work in {lock.parent}; let it end, or choose another folder"
            ) from None
        yield


@contextlib.contextmanager
def replacing(path: Union[str, Path], mode: str = "w") -> Iterator[IO]:
    """Open a temporary file that takes the place of `path` when the block ends well.

    Whatever goes wrong before, the file that was there stays as it was.

    Parameters
    ----------
    path : str or Path
        File to write.
    mode : {"w", "wb"}
        As in `open`.

    Yields
    ------
    file
        Open for writing, beside `path`.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        text = "b" not in mode
        with open(
            temporary,
            mode,
            newline="" if text else None,
            encoding="utf-8" if text else None,
            errors="surrogateescape" if text else None,
        ) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say where
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_arrays(path: Union[str, Path], arrays: Mapping[str, Any]) -> None:
    """Write arrays by name as ``.npz``, as a whole or not at all; nothing in it needs pickle to be read."""
    content = io.BytesIO()  # a zip file that breaks off on a full disk complains once more when it is collected
    np.savez(content, **arrays)
    with replacing(path, "wb") as file:
        file.write(content.getbuffer())


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON, indented, as a whole or not at all; NaN is refused."""
    with replacing(path) as file:
        file.write(json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: Optional[Sequence[str]] = None) -> None:
    """Write rows as CSV, as a whole or not at all; the rows name the columns unless these are given."""
    if columns is None:
        rows = list(rows)
    names = list(columns or dict.fromkeys(key for row in rows for key in row))
    with replacing(path) as file:
        write_rows(file, [names])
        write_rows(file, ([row.get(name) for name in names] for row in rows))


def write_rows(file: Any, rows: Iterable[Sequence[Any]]) -> None:
    """Write lines of CSV: None as nothing, a text that a spreadsheet would run with an apostrophe before it."""
    plain = csv.writer(file, lineterminator="\n")
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        cells = ["" if value is None else f"'{value}" if _is_run(value) else value for value in row]
        # Of Python before 3.10 the writer leaves a carriage return bare, and its reader ends the line there.
        has_return = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (quoted if has_return else plain).writerow(cells)


def read_csv(path: Path) -> List[Dict[str, str]]:
    """Rows of a CSV file as dicts of strings, as `write_csv` was given them."""
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return [{key: _as_given(value) for key, value in row.items()} for row in csv.DictReader(file)]


# What a spreadsheet takes for a formula, and the same behind the apostrophes that `write_rows` adds.
_FORMULA, _ESCAPED = re.compile(r"'*[=+\-@\t\r]"), re.compile(r"'+[=+\-@\t\r]")


def _as_given(value: Any) -> Any:
    """A cell without the apostrophe that `write_rows` added; what stands behind the last column is a list."""
    return value[1:] if isinstance(value, str) and _ESCAPED.match(value) else value


def _is_run(value: Any) -> bool:
    """Whether a cell is text that begins as a formula, and no number."""
    if not isinstance(value, str) or not _FORMULA.match(value):
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False


def short_names(paths: Sequence[Union[str, Path]]) -> List[str]:
    """Last parts of the paths, as many as tell them apart; of a name that is no UTF-8, what can be written."""
    places = [Path(os.path.abspath(path)) for path in paths]
    longest = max((len(place.parts) for place in places), default=1)
    for n_parts in range(1, longest + 1):
        names = ["/".join(place.parts[-n_parts:]) for place in places]
        if len(set(names)) == len(set(places)):
            break
    return [name.encode(errors="replace").decode() for name in names]
