"""Decoded stamps kept on disk, so that a folder is read and decoded once."""

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..errors import UserError
from ..files import cache_folder, exclusive
from ..processes import map_in_order
from ..progress import progress_bar
from .bands import Names, names_of_most, read_band_names, take_bands
from .catalogue import StampFile
from .decoding import (
    SET_ASIDE,
    Outcome,
    Rejection,
    examine_stamp,
    pixels_of_most,
    read_stamp_and_header,
    unlike_others,
)
from .headers import StampError

LOADER_VERSION = 4
# Below this many files a second process costs more than it saves.
FILES_PER_WORKER = 1000


class _Task(NamedTuple):
    """What is decoded, where to, which bands, and the shape and the names of the bands that most files have."""

    folder: Path
    files: List[StampFile]
    target: Path
    choice: Names
    shape: Tuple[int, ...]
    bands: Names


def decoded_stamps(
    folder: Path, files: List[StampFile], workers: Optional[int], verbose: bool, choice: Names = ()
) -> Tuple[Dict[str, Any], np.ndarray]:
    """Decode the stamps of a folder, or find them decoded.

    Parameters
    ----------
    folder : Path
        The data set.
    files : list of StampFile
        Below it.
    workers : int, optional
        Processes; by default one a core, one alone for a small data set.
    verbose : bool
        Show a bar on stderr.
    choice : tuple of str
        Which bands are taken, see `lens_common.data.bands.parse_bands`; empty for all.

    Returns
    -------
    index : dict
        ``rows`` of the files that gave a stamp, their ``digests``, the ``rejected`` as dicts, ``shape``, ``bands``
        and the number of stamps that do not name them, ``n_unnamed``, ``pixel_scale_arcsec`` and ``zero_point_mag``.
    pixels : float32 array (N, bands, H, W)
        Counts; mapped from disk, read-only.

    Raises
    ------
    UserError
        If none can be read, or the cache cannot be written.
    """
    cached = _cache_entry(folder, files, choice)
    index = _read_index(cached)
    if index is None:
        _fill_cache(folder, files, cached, workers, verbose, choice)
        index = json.loads((cached / "index.json").read_text())
    shape = (len(index["rows"]), *index["shape"])
    return index, np.memmap(cached / "pixels.f32", np.float32, "r", shape=shape)


def _read_index(cached: Path) -> Optional[Dict[str, Any]]:
    """Index of a whole cache; ``None`` where there is none, or where a hand or a cleaner of /tmp was at it."""
    try:
        index = json.loads((cached / "index.json").read_text())
        n_bytes = 4 * len(index["rows"]) * int(np.prod(index["shape"]))
        return index if (cached / "pixels.f32").stat().st_size == n_bytes else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _cache_entry(folder: Path, files: Sequence[StampFile], choice: Names) -> Path:
    """Where the cache keeps a data set: a folder for its path and bands, and in it one for the state of its files."""
    path = hashlib.sha256(os.fsencode("\0".join((str(folder.resolve()), *choice)))).hexdigest()[:16]
    state = hashlib.sha256(f"{LOADER_VERSION}\n".encode())
    state.update(os.fsencode("".join(f"{f.path}\0{f.size}\0{f.changed_ns}\n" for f in files)))
    return cache_folder(f"stamps/{path}") / state.hexdigest()[:16]


def _fill_cache(
    folder: Path, files: List[StampFile], cached: Path, workers: Optional[int], verbose: bool, choice: Names
) -> None:
    """Decode all files into one array on disk; the entry appears when it is complete, and outdated ones go."""
    building = cached.with_suffix(".partial")
    with exclusive(cached.parent / ".lock", wait=True):
        if _read_index(cached):  # another process has just made it
            return
        for outdated in cached.parent.iterdir():
            if outdated.is_dir():
                shutil.rmtree(outdated, ignore_errors=True)
        try:
            building.mkdir()
            common = _common_shape(folder, files, choice)
            index = _decode(_Task(folder, files, building / "pixels.f32", choice, *common), workers, verbose)
            (building / "index.json").write_text(json.dumps(index))
            os.replace(building, cached)
        except OSError as error:
            raise UserError(
                f"cannot keep the decoded stamps in {cached.parent}: {error.strerror}; "
                "free some space or point LENS_CACHE at another folder"
            ) from error
        finally:
            shutil.rmtree(building, ignore_errors=True)


def _decode(task: _Task, workers: Optional[int], verbose: bool) -> Dict[str, Any]:
    """Decode every file into an array on disk that holds the good stamps only; return its index."""
    files, n_pixels = task.files, int(np.prod(task.shape))
    with open(task.target, "wb") as file:
        # Claims the space now: a full disk under a mapped file is a bus error.
        os.posix_fallocate(file.fileno(), 0, 4 * n_pixels * len(files))
    workers = workers or min(os.cpu_count() or 1, -(-len(files) // FILES_PER_WORKER))
    chunks = [range(start, min(start + 250, len(files))) for start in range(0, len(files), 250)]
    jobs = [(task._replace(files=[files[row] for row in rows]), rows.start) for rows in chunks]
    outcomes: List[Outcome] = []
    with progress_bar("stamps", len(files), "file", shown=verbose) as bar:
        for outcome in map_in_order(_decode_chunk, jobs, workers, "fork"):
            outcomes.extend(outcome)
            bar.update(len(outcome))
    index = {"shape": task.shape, **_choose(task.folder, files, outcomes)}
    _compact(task.target, index["rows"], n_pixels)
    return index


def _choose(folder: Path, files: List[StampFile], outcomes: List[Outcome]) -> Dict[str, Any]:
    """Say which stamps make up the data set: those that were read, of the common scale, the first of each id."""
    rejected = {row: outcome.rejection for row, outcome in enumerate(outcomes) if outcome.rejection}
    rows = [row for row, outcome in enumerate(outcomes) if outcome.digest]
    scale, zero_point = pixels_of_most([(files[row].path, outcomes[row]) for row in rows])
    bands = names_of_most([outcomes[row].bands for row in rows])
    first_of: Dict[str, int] = {}
    for row in rows:
        reason = unlike_others(outcomes[row], scale, bands)
        if not reason and first_of.setdefault(files[row].id, row) != row:
            reason = f"same id as {files[first_of[files[row].id]].path}"
        if reason:
            rejected[row] = Rejection(files[row].id, files[row].path, SET_ASIDE, 0, reason)
    rows = sorted(first_of.values())
    if not rows:
        first = rejected[min(rejected)]
        raise UserError(
            f"none of the {len(files)} files below {folder} gives a stamp; the first, {first.path}: {first.reason}"
        )
    return {
        "rows": rows,
        "digests": [outcomes[row].digest for row in rows],
        "rejected": [asdict(rejected[row]) for row in sorted(rejected)],
        "bands": bands,
        "n_unnamed": sum(not outcomes[row].bands for row in rows),
        "pixel_scale_arcsec": scale,
        "zero_point_mag": zero_point,
    }


def _decode_chunk(job: Tuple[_Task, int]) -> List[Outcome]:
    """Write the stamps of some files at their rows."""
    task, first_row = job
    offset, shape = 4 * first_row * int(np.prod(task.shape)), (len(task.files), *task.shape)
    pixels: np.ndarray = np.memmap(task.target, np.float32, "r+", offset=offset, shape=shape)
    outcomes: List[Outcome] = []
    for row, file in enumerate(task.files):
        read = partial(read_stamp_and_header, task.folder / file.path)
        outcome = examine_stamp(file.id, file.path, read, task.shape, task.choice, task.bands)
        if outcome.stamp is not None:
            pixels[row] = outcome.stamp
        outcomes.append(outcome._replace(stamp=None))  # it lies in the file; between processes it need not travel
    return outcomes


def _common_shape(folder: Path, files: List[StampFile], choice: Names) -> Tuple[Tuple[int, ...], Names]:
    """Shape of most of up to 25 readable files, spread over the whole list, and the names of their bands."""
    shapes: List[Tuple[int, ...]] = []
    named: List[Names] = []
    step = max(1, len(files) // 25)
    order = [row for start in range(step) for row in range(start, len(files), step)]
    for row in order:
        with contextlib.suppress(StampError):
            stamp, header = read_stamp_and_header(folder / files[row].path)
            stamp, names = take_bands(stamp, read_band_names(header, len(stamp)), choice)
            shapes.append(stamp.shape)
            named.append(names)
        if len(shapes) == 25:
            break
    shape = max(shapes, key=shapes.count) if shapes else (1, 1, 1)
    return shape, names_of_most([names for names in named if len(names) == shape[0]])


def _compact(target: Path, rows: List[int], n_pixels: int) -> None:
    """Move the kept rows together and cut off the rest."""
    pixels: np.ndarray = np.memmap(target, np.float32, "r+").reshape(-1, n_pixels)
    for position, row in enumerate(rows):
        if position != row:
            pixels[position] = pixels[row]
    del pixels
    os.truncate(target, 4 * n_pixels * len(rows))
