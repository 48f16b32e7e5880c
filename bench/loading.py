"""Reading 20,000 ``.fits.gz``: the loader against astropy alone, and against the notebook of 2018 at 2,000."""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

import numpy as np
from astropy.io import fits

from bench.measure import Entry, alternate, entry
from lens_common.data.catalogue import find_stamps
from lens_common.data.stamps import load_stamps
from lens_common.files import cache_folder
from lens_common.trials import default_mocks

RUNS = 3
N_STAMPS, N_STUDY = 20_000, 2_000


def load(folder: Path, workers: int) -> None:
    """Load from files, with nothing kept from before."""
    with tempfile.TemporaryDirectory(dir=cache_folder("bench")) as cache, patch.dict(os.environ, LENS_CACHE=cache):
        load_stamps(folder, workers).pixels.sum()


def getdata(paths: list[str]) -> None:
    """The plain way with astropy: an array of the right size, filled file by file."""
    stamps = np.empty((len(paths), 1, 45, 45), np.float32)
    for row, path in enumerate(paths):
        stamps[row, 0] = fits.getdata(path)


def concatenate(paths: list[str]) -> None:
    """The way of the 2018 notebook: the array grows by one stamp a file."""
    stamps = fits.getdata(paths[0])[None]
    for path in paths[1:]:
        stamps = np.concatenate([stamps, fits.getdata(path)[None]])


def peak_megabytes(folder: Path, workers: int) -> float:
    """Peak memory of a load, above a process that has only imported the packages."""

    def child(send: Connection) -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        load(folder, workers)
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        helper = max(0, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss - before)
        send.send((own + (workers if workers > 1 else 0) * helper) / 1024)

    receive, send = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=child, args=(send,))
    process.start()
    megabytes = receive.recv()
    process.join()
    return megabytes


def measure() -> list[Entry]:
    """The loader on one and two cores, astropy, and the notebook."""
    folders = {n_stamps: default_mocks(n_stamps, 1) for n_stamps in (N_STAMPS, N_STUDY)}
    paths = {n: [str(folder / file.path) for file in find_stamps(folder)] for n, folder in folders.items()}
    arrays = N_STAMPS * 45 * 45 * 4 / 2**20
    peaks = {workers: peak_megabytes(folders[N_STAMPS], workers) for workers in (1, 2)}
    candidates = {
        "one core": lambda: load(folders[N_STAMPS], 1),
        "two cores": lambda: load(folders[N_STAMPS], 2),
        "getdata": lambda: getdata(paths[N_STAMPS]),
    }
    per_file = {name: 1e6 * value / N_STAMPS for name, value in alternate(candidates, RUNS).items()}
    candidates = {"one core": lambda: load(folders[N_STUDY], 1), "concatenate": lambda: concatenate(paths[N_STUDY])}
    per_few = {name: 1e6 * value / N_STUDY for name, value in alternate(candidates, RUNS).items()}
    plain = f"astropy's getdata into one array, one core: {per_file['getdata']:.0f} us a file"
    notebook = f"getdata and concatenate, as in 2018, {N_STUDY} files: {per_few['concatenate']:.0f} us a file"
    memory = f"1.5 times the arrays of {arrays:.0f} MB"
    rows = [
        *(
            (f"{N_STAMPS} {cores}", per_file[cores], plain, per_file["getdata"] / per_file[cores])
            for cores in ("one core", "two cores")
        ),
        (f"{N_STUDY} one core", per_few["one core"], notebook, per_few["concatenate"] / per_few["one core"]),
    ]
    return [
        *(entry(f"load-{name}", value, "us a file", against, ratio, RUNS) for name, value, against, ratio in rows),
        *(
            entry(f"load-{N_STAMPS} memory, {workers} processes", peak, "MB", memory, 1.5 * arrays / peak, 1)
            for workers, peak in peaks.items()
        ),
    ]
