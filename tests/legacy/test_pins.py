"""The stack of 2018 is pinned by version and hash, and the interpreter under test has it."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

LOCK = Path(__file__).parents[2] / "requirements" / "legacy.txt"
# distribution -> the module that it gives
PINNED = {
    "theano-pymc": "theano",
    "lasagne": "lasagne",
    "keras": "keras",
    "astropy": "astropy",
    "numpy": "numpy",
    "scikit-learn": "sklearn",
    "matplotlib": "matplotlib",
}
# In the order of a run: the backend sets Theano up before Lasagne and Keras are imported.
IMPORT_ALL = """
import importlib, json, sys
from lens_legacy import backend
backend.prepare()
print(json.dumps({name: importlib.import_module(name).__version__ for name in sys.argv[1:]}))
"""


def read_lock():
    """Map each distribution of the lock to its version and its number of hashes."""
    pins = {}
    for block in re.split(r"\n(?=\S)", LOCK.read_text()):
        match = re.match(r"([a-z0-9-]+)==(\S+)", block)
        if match:
            hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}\b", block)
            pins[match.group(1)] = (match.group(2), len(hashes))
    return pins


@pytest.fixture(scope="module")
def imported_versions():
    """Import all in a process of their own, so that no other test's set-up is disturbed."""
    command = [sys.executable, "-c", IMPORT_ALL, *PINNED.values()]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_line_of_the_lock_is_a_pin_or_a_hash():
    pattern = re.compile(r"[a-z0-9-]+==\S+ \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    strangers = [line for line in LOCK.read_text().splitlines() if not pattern.fullmatch(line)]
    assert strangers == []


def test_every_package_of_the_lock_has_a_hash():
    assert [name for name, (_, hashes) in read_lock().items() if hashes == 0] == []


@pytest.mark.parametrize("distribution", PINNED)
def test_the_lock_pins_the_package_with_a_hash(distribution):
    _, hashes = read_lock()[distribution]
    assert hashes >= 1


@pytest.mark.parametrize("distribution", PINNED)
def test_the_interpreter_holds_the_pinned_version(distribution):
    assert importlib.metadata.version(distribution) == read_lock()[distribution][0]


@pytest.mark.parametrize("distribution", PINNED)
def test_the_package_imports_with_the_pinned_version(distribution, imported_versions):
    assert imported_versions[PINNED[distribution]] == read_lock()[distribution][0]
