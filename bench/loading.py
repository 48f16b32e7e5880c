"""Reading 20,000 ``.fits.gz``: the loader against astropy alone, and against the notebook of 2018 at 2,000."""

import multiprocessing
import os
import resource
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
from astropy.io import fits
from measure import alternate, entry, main

from lens_common.data.catalogue import find_stamps
from lens_common.data.stamps import load_stamps
from lens_common.files import cache_folder
from lens_common.mocks.writer import make_mocks

RUNS = 3
N_STAMPS, N_STUDY = 20_000, 2_000


def load(folder, workers):
    """Load from files, with nothing kept from before."""
    with tempfile.TemporaryDirectory(dir=cache_folder("bench")) as cache, patch.dict(os.environ, LENS_CACHE=cache):
        load_stamps(folder, workers).pixels.sum()


def getdata(paths):
    """The plain way with astropy: an array of the right size, filled file by file."""
    stamps = np.empty((len(paths), 1, 45, 45), np.float32)
    for row, path in enumerate(paths):
        stamps[row, 0] = fits.getdata(path)


def concatenate(paths):
    """The way of the 2018 notebook: the array grows by one stamp a file."""
    stamps = fits.getdata(paths[0])[None]
    for path in paths[1:]:
        stamps = np.concatenate([stamps, fits.getdata(path)[None]])


def peak_megabytes(folder, workers):
    """Peak memory of a load, above a process that has only imported the packages."""

    def child(send):
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


def measure():
    folder = make_mocks(cache_folder("mocks") / f"bench-{N_STAMPS}", N_STAMPS, seed=1)
    paths = [str(Path(folder) / file.path) for file in find_stamps(folder)]
    arrays = N_STAMPS * 45 * 45 * 4 / 2**20
    peaks = {workers: peak_megabytes(folder, workers) for workers in (1, 2)}
    few = make_mocks(cache_folder("mocks") / f"bench-{N_STUDY}", N_STUDY, seed=1)
    few_paths = [str(Path(few) / file.path) for file in find_stamps(few)]
    seconds = alternate(
        {
            "one core": lambda: load(folder, 1),
            "two cores": lambda: load(folder, 2),
            "getdata": lambda: getdata(paths),
        },
        RUNS,
    )
    small = alternate({"one core": lambda: load(few, 1), "concatenate": lambda: concatenate(few_paths)}, RUNS)
    per_file = {name: 1e6 * value / N_STAMPS for name, value in seconds.items()}
    per_few = {name: 1e6 * value / N_STUDY for name, value in small.items()}
    plain = f"astropy's getdata into one array, one core: {per_file['getdata']:.0f} us a file"
    notebook = f"getdata and concatenate, as in 2018, {N_STUDY} files: {per_few['concatenate']:.0f} us a file"
    entries = [
        entry(f"load-{N_STAMPS} {name}", per_file[name], "us a file", plain, per_file["getdata"] / per_file[name], RUNS)
        for name in ("one core", "two cores")
    ]
    ratio = per_few["concatenate"] / per_few["one core"]
    entries.append(entry(f"load-{N_STUDY} one core", per_few["one core"], "us a file", notebook, ratio, RUNS))
    for workers, peak in peaks.items():
        against = f"1.5 times the arrays of {arrays:.0f} MB"
        entries.append(
            entry(f"load-{N_STAMPS} memory, {workers} processes", peak, "MB", against, 1.5 * arrays / peak, 1)
        )
    return entries


if __name__ == "__main__":
    main(measure)
