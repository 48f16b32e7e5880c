"""Which stamps a folder holds, and what is known of each."""

import contextlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Optional, Tuple, Union

import numpy as np
from astropy.table import Table, join

from ..errors import UserError
from .layout import (
    CATALOGUE_NAME,
    COLUMNS,
    NAMED_PARAMETERS,
    STAMP_NAME,
    parse_name,
    path_label,
    stamp_id,
)

LOG = logging.getLogger(__name__)
SUFFIXES = ".fits, .fit or .fts (also .gz, .fz, .bz2)"


@dataclass(frozen=True)
class StampFile:
    """A file that may hold a stamp.

    Attributes
    ----------
    id : str
        Identity within the data set.
    path : str
        Relative to the data set's folder, forward slashes.
    label : bool or None
        By class folder; ``None`` outside of both.
    size, changed_ns : int
        Bytes; nanoseconds of its last change, whatever the file says of its own time.
    """

    id: str
    path: str
    label: Optional[bool]
    size: int
    changed_ns: int


def find_stamps(folder: Union[str, Path]) -> List[StampFile]:
    """List the ``.fits``, ``.fit`` and ``.fts`` files, packed or not, below a folder, however deep, by path.

    Hidden files and folders are passed over, and files with another ending.

    Raises
    ------
    UserError
        If the folder is missing, cannot be read, or holds no such file.
    """
    return list(walk_stamps(folder))


def walk_stamps(folder: Union[str, Path]) -> Iterator[StampFile]:
    """Go through what `find_stamps` lists, one folder's names in memory at a time."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; name the one that holds the stamps ({SUFFIXES})")
    file = None
    for file in _walk(folder):
        yield file
    if file is None:
        raise UserError(
            f"no {SUFFIXES} file below {folder}; expected "
            "lensed_outputs/<n>/*.fits.gz and unlensed_outputs/<n>/*.fits.gz, or any folders of stamps to score"
        )


def _walk(top: Path) -> Iterator[StampFile]:
    for path in filter(STAMP_NAME.search, _files(top)):
        try:
            status = os.stat(top / path)
        except OSError:  # a dangling link is met when it is read
            status = os.lstat(top / path)
        # A copy may bring its old time along; when its content was last changed it cannot say.
        changed = max(status.st_mtime_ns, status.st_ctime_ns)
        yield StampFile(stamp_id(path), path, path_label(path), status.st_size, changed)


def _files(top: Path) -> Iterator[str]:
    """Paths of all files, depth first, without recursion: folders may be nested deeper than Python calls.

    Each folder is read once: a link is passed over where its folder lies below `top` or above it, or was read before.
    """
    waiting, root, seen, passed_over = _names_in(top, "")[::-1], top.resolve(), set(), []
    while waiting:
        path = waiting.pop()
        if not path.endswith("/"):
            yield path
            continue
        identity = _identity(top / path)
        if identity in seen or ((top / path).is_symlink() and _is_read_elsewhere((top / path).resolve(), root)):
            passed_over.append(path)
            continue
        seen.add(identity)
        waiting += _names_in(top, path)[::-1]
    if passed_over:
        LOG.info(f"{top}: {len(passed_over)} linked folders passed over, as they are read elsewhere: {passed_over[0]}")


def _is_read_elsewhere(target: Path, top: Path) -> bool:
    """Whether going through `top` meets a folder without a link to it, or would never end in it; both resolved."""
    if top in target.parents:
        return not any(part.startswith(".") for part in target.relative_to(top).parts)
    return target == top or target in top.parents


def _identity(folder: Path) -> Tuple[int, int]:
    with _as_unlisted(folder):
        status = os.stat(folder)
        return status.st_dev, status.st_ino


def _names_in(top: Path, prefix: str) -> List[str]:
    """Paths of what lies in a folder, in order; a folder's slash counts in the order of paths."""
    with _as_unlisted(top / prefix), os.scandir(top / prefix) as entries:
        names = [entry.name + "/" * _is_folder(entry) for entry in entries if not entry.name.startswith(".")]
    return [prefix + name for name in sorted(names)]


@contextlib.contextmanager
def _as_unlisted(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot list {folder}: {error.strerror}; mend its permissions") from error


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    # entry.is_dir() of a link may raise: a loop, a folder without access
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def read_catalogue(folder: Union[str, Path]) -> Table:
    """Catalogue of a data set: from its file names, and from its ``catalogue.ecsv`` where it has one.

    Parameters
    ----------
    folder : str or Path
        The data set, or a folder above it.

    Returns
    -------
    astropy.table.Table
        One row a file, sorted by path.  id, path, is_lens (1, 0, -1 unknown) and the
        parameters in the file names with their units, NaN where a name carries none;
        the other columns of ``layout.COLUMNS`` where the data set's own catalogue has them.
    """
    files = find_stamps(folder)
    names = [parse_name(file.path.rsplit("/", 1)[-1]) for file in files]
    table = Table(
        {
            "id": [file.id for file in files],
            "path": [file.path for file in files],
            "is_lens": np.array([-1 if file.label is None else int(file.label) for file in files], np.int8),
        }
    )
    for key in NAMED_PARAMETERS:
        table[key] = [getattr(name, key) if name else np.nan for name in names]
    stored = [Path(folder) / path for path in _files(Path(folder)) if path.rsplit("/", 1)[-1] == CATALOGUE_NAME]
    if len(stored) == 1:
        try:
            known = Table.read(stored[0], format="ascii.ecsv")
            known["id"]
        except Exception as error:  # astropy raises many kinds for a damaged table
            raise UserError(f"{stored[0]} is not a catalogue of ours: {error}; mend it or take it away") from error
        extra = [key for key in COLUMNS if key in known.colnames and key not in table.colnames]
        table = join(table, known[["id", *extra]], keys="id", join_type="left")
        table.sort("path")
    for key in table.colnames:
        unit, description = COLUMNS[key]
        table[key].description = description
        if unit:
            table[key].unit = unit
    return table
