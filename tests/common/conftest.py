"""What the tests of common share: tiny FITS data sets, a tiny network, a process to die in."""

import gzip
import os
import pickle
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np
import pytest

from lens_common.learning.batches import dropout_mask
from lens_common.learning.protocol import check_weights

NOBODY = 65534
BLOCK = 2880  # bytes; FITS comes in blocks of this size (FITS standard 4.0, section 3.1)


def fits_bytes(pixels, cards=()):
    """Write the bytes of a FITS file by hand, as the standard says, without astropy.

    Pixels are float32 or float64 or int16, big-endian in the file; `cards` go into the header as they are.
    """
    bits = {"f4": -32, "f8": -64, "i2": 16}[pixels.dtype.str[1:]]
    axes = pixels.shape[::-1]
    numbers = [("BITPIX", bits), ("NAXIS", len(axes))]
    numbers += [(f"NAXIS{position + 1}", length) for position, length in enumerate(axes)]
    lines = [f"{'SIMPLE':8}= {'T':>20}", *(f"{key:8}= {value:>20}" for key, value in numbers), *cards, "END"]
    header = "".join(line.ljust(80) for line in lines).encode()
    content = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
    return _padded(header, b" ") + _padded(content, b"\0")


def _padded(content, filler):
    return content + filler * (-len(content) % BLOCK)


def write_stamp(path, pixels, cards=()):
    """Write a stamp, gzipped where the name says so."""
    content = fits_bytes(np.asarray(pixels), cards)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


def write_dataset(folder, n_stamps=4, side=10, seed=0):
    """Write a data set of the 2018 layout, lens and non-lens in turn; return pixels by relative path."""
    random_state = np.random.RandomState(seed)
    written = {}
    for number in range(n_stamps):
        word = ("lensed", "unlensed")[number % 2]
        path = f"{word}_outputs/{number // 2 % 2}/{word}_{number}_250.5_0.75_30.25_0.4_{number}.5_imgs.fits.gz"
        written[path] = random_state.normal(10, 3, (side, side)).astype(np.float32)
        write_stamp(Path(folder) / path, written[path])
    return written


def run_in_child(function, unprivileged=False):
    """Run a function in a forked process; return its result (None if it was killed) and the wait status.

    What it prints is lost: pytest's capture is a file, and a child may have a limit on those.
    With `unprivileged`, a child of root becomes nobody first, so that permissions bind it.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        sys.stderr = sys.stdout = open(os.devnull, "w")
        try:
            if unprivileged and os.getuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            outcome = (function(), None)
        except BaseException:
            outcome = (None, traceback.format_exc())
        os.write(writer, pickle.dumps(outcome))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        content = pipe.read()
    status = os.waitpid(child, 0)[1]
    result, failure = pickle.loads(content) if content else (None, None)
    assert failure is None, failure
    return result, status


class TinyNetwork:
    """Logistic regression with momentum and dropout: the four methods of the protocol in NumPy."""

    def __init__(self, shape, seed):
        n_pixels = shape.n_bands * shape.side**2
        self.state = {
            "dense.weight": np.random.RandomState(seed).normal(0, 0.1, (1, n_pixels)),
            "dense.bias": np.zeros(1),
            "velocity": np.zeros(n_pixels + 1),
        }
        self.steps = 0
        self.rates = []
        self.before_step = lambda steps: None

    def train_step(self, stamps, labels, learning_rate, random_state):
        self.before_step(self.steps)
        self.steps += 1
        self.rates.append(learning_rate)
        pixels = stamps.reshape(len(stamps), -1).astype(float)
        pixels *= dropout_mask(random_state, pixels.shape, 0.1)
        scores = self._score(pixels)
        features = np.column_stack([pixels, np.ones(len(pixels))])
        gradient = (scores - labels) @ features / len(labels)
        self.state["velocity"] = 0.9 * self.state["velocity"] + gradient
        self.state["dense.weight"] = self.state["dense.weight"] - learning_rate * self.state["velocity"][:-1]
        self.state["dense.bias"] = self.state["dense.bias"] - learning_rate * self.state["velocity"][-1:]
        return float(-np.mean(np.log(np.maximum(1e-300, np.where(labels > 0, scores, 1 - scores)))))

    def predict(self, stamps):
        return self._score(stamps.reshape(len(stamps), -1).astype(float))

    def get_weights(self, training_state=False):
        names = self.state if training_state else ("dense.weight", "dense.bias")
        return {name: self.state[name] for name in names}

    def set_weights(self, weights):
        check_weights(self.get_weights("velocity" in weights), weights)
        self.state.update({name: np.array(weights[name]) for name in weights})

    def _score(self, pixels):
        logits = pixels @ self.state["dense.weight"][0] + self.state["dense.bias"]
        return 0.5 + 0.5 * np.tanh(0.5 * logits)  # the logistic function, without overflow


def build_tiny_network(model, shape, seed):
    """Build the tiny network, called as a twin's builder is."""
    return TinyNetwork(shape, seed)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Give the test a cache of its own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("LENS_CACHE", str(folder))
    return folder


@pytest.fixture
def open_folder():
    """Folder that every user may enter and write, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="lens-test-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(name="write_stamp")
def _write_stamp():
    return write_stamp


@pytest.fixture(name="fits_bytes")
def _fits_bytes():
    return fits_bytes


@pytest.fixture(name="write_dataset")
def _write_dataset():
    return write_dataset


@pytest.fixture(name="run_in_child")
def _run_in_child():
    return run_in_child


@pytest.fixture(name="build_tiny_network")
def _build_tiny_network():
    return build_tiny_network
