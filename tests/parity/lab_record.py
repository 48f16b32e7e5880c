"""Score the mocks of docs/lab.html and train on them in one twin, and write down what the page must equal.

    lab_record.py legacy|modern OUT.json [--trap T] [--runs JSON]

`lab-legacy.json` beside it is what the legacy side wrote.  In the file: the SHA-256 of the mocks, the scores of the
shipped CNN on them and on the FITS files of `write_files`, and for each training the loss of each epoch and the number
of weights that each step moved.  A trap is one of `lens_modern.exercise.mistakes`.
"""

import argparse
import base64
import gzip
import hashlib
import importlib
import json
import re
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits

from lens_common.data.decoding import read_stamp
from lens_common.learning.batches import draw_batches
from lens_common.learning.models import network_class
from lens_common.learning.protocol import NetworkShape
from lens_common.learning.scaling import make_scaling

PAGE = Path(__file__).resolve().parents[2] / "docs/lab.html"
BATCH = 97
# Name -> scaling, epochs, seed.
RUNS = {"study": ("raw", 5, 1), "mended": ("sigma", 20, 1)}


def page_data(page=PAGE):
    """What the page carries: its JSON, and the mocks (N, 1, 45, 45) as float32 counts."""
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text())[1])
    planes = np.frombuffer(gzip.decompress(base64.b64decode(data["mocks"]["pixels"])), np.uint8).reshape(2, -1)
    steps = np.ascontiguousarray(planes.T).view("<i2")
    return data, (steps * np.float32(data["mocks"]["step"])).astype(np.float32).reshape(-1, 1, 45, 45)


def write_files(folder, stamps):
    """One FITS file for each way of writing a stamp; return their names."""
    scaled = {"BITPIX 16 scaled": (np.int16, 0.125, 40.0), "BITPIX 32 scaled": (np.int32, 1e-3, -3.0)}
    kinds = ["f4", "f8", "i2", "i4", "i8", "u1"]
    for number, kind in enumerate(kinds):
        pixels = stamps[number, 0]
        whole = np.clip(np.round(pixels), 0, 255) if kind == "u1" else np.round(pixels) if kind[0] == "i" else pixels
        fits.writeto(folder / f"{kind}.fits", whole.astype(kind))
    for number, (name, (kind, scale, zero)) in enumerate(scaled.items()):
        unit = fits.PrimaryHDU(np.round((stamps[6 + number, 0] - zero) / scale).astype(kind))
        unit.header["BSCALE"], unit.header["BZERO"], unit.header["PIXSCALE"] = scale, zero, 0.18
        # As astropy scales what it writes, the numbers are stored as they are.
        (folder / f"{name}.fits").write_bytes(_raw(unit))
    extension = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(stamps[8, 0], name="SCI")])
    extension.writeto(folder / "extension.fits.gz")
    blank = np.round(stamps[9, 0]).astype("i2")
    blank[:3, :2] = -32768
    unit = fits.PrimaryHDU(blank)
    unit.header["BLANK"] = -32768
    (folder / "blank.fits").write_bytes(_raw(unit))
    nan = stamps[10, 0].copy()
    nan[20:24, 7] = np.nan
    fits.writeto(folder / "nan.fits.gz", nan)
    return sorted(path.name for path in folder.iterdir())


def _raw(unit):
    """Bytes of a unit whose header speaks of its pixels after they were stored."""
    header = unit.header.copy()
    pixels = unit.data.astype(unit.data.dtype.newbyteorder(">")).tobytes()
    return header.tostring().encode() + pixels + b"\0" * (-len(pixels) % 2880)


def score_files(score, stamps):
    with tempfile.TemporaryDirectory() as folder:
        names = write_files(Path(folder), stamps)
        found = []
        for name in names:
            stamp = read_stamp(Path(folder) / name)
            bad = ~np.isfinite(stamp)
            stamp[bad] = np.median(stamp[~bad])
            found.append(float(score(stamp[None])[0]))
    return dict(zip(names, found))


def train(side, stamps, scaling, epochs, seed):
    """Losses by epoch and moved weights by step, on the first 200 mocks."""
    network = network_class("cnn", side)(NetworkShape(n_bands=1, side=45), seed)
    scaled = make_scaling(scaling).transform(stamps[:200])
    labels = np.tile(np.float32([1, 0]), 100)
    losses, moved = [], []
    for epoch in range(epochs):
        total = 0.0
        for _, rows, random_state in draw_batches(len(labels), BATCH, seed, epoch, drop_tail=False):
            before = network.get_weights()
            total += len(rows) * network.train_step(scaled[rows], labels[rows], 1e-3, random_state)
            after = network.get_weights()
            moved.append(sum(int((before[name] != after[name]).sum()) for name in before))
        losses.append(total / len(labels))
    return {"losses": losses, "moved": moved}


def make_record(side, runs, trap):
    """Everything that one twin says of the page's mocks; with a trap, its trainings alone."""
    importlib.import_module(f"lens_{side}.backend").prepare()
    if trap:
        importlib.import_module("lens_modern.exercise.mistakes").plant(trap)
    stamps = page_data()[1]
    trained = {name: train(side, stamps, *settings) for name, settings in runs.items()}
    if trap:
        return {"runs": trained}
    estimator = importlib.import_module(f"lens_{side}").load_shipped("cnn")

    def score(pixels):
        return estimator.predict_proba(pixels)[:, 1]

    return {
        "mocks": hashlib.sha256(stamps.tobytes()).hexdigest(),
        "scores": score(stamps).tolist(),
        "files": score_files(score, stamps),
        "runs": trained,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=("legacy", "modern"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--trap")
    parser.add_argument("--runs", type=json.loads, default=RUNS, help="name to scaling, epochs and seed")
    options = parser.parse_args()
    options.out.write_text(json.dumps(make_record(options.side, options.runs, options.trap)) + "\n")


if __name__ == "__main__":
    main()
