"""environment.yml agrees with the lock, and its check notices where it does not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path):
    """A copy of what the check reads."""
    (tmp_path / "requirements").mkdir()
    for name in ("environment.yml", "Dockerfile", "requirements/build.txt", "requirements/legacy.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def check(folder):
    """Exit status and lines on stderr."""
    command = [sys.executable, ROOT / "requirements" / "check_environment.py", folder]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stderr.splitlines()


def test_the_file_agrees_with_the_lock(checkout):
    assert check(checkout) == (0, [])


@pytest.mark.parametrize(
    "name, old, new, words",
    [
        ("environment.yml", "setuptools=59.8.0", "setuptools=60.0.0", "setuptools is 60.0.0, but 59.8.0 in the lock"),
        ("requirements/build.txt", "wheel==0.45.1", "wheel==0.46.0", "wheel is 0.45.1, but 0.46.0 in the lock"),
        ("Dockerfile", "python:3.8.20-", "python:3.8.21-", "python is 3.8.20, but 3.8.21 in the Dockerfile"),
        ("environment.yml", "pip=24.3.1", "pip", "'pip' is not an exact pin"),
        ("environment.yml", "  - nodefaults\n", "", "the channels are ['conda-forge']"),
        ("environment.yml", "  - cxx-compiler=1.7.0\n", "", "it must be ['cxx-compiler'"),
        ("environment.yml", "legacy.txt\n", "legacy.txt\n      - numpy\n", "nothing beside them"),
    ],
)
def test_a_change_on_one_side_only_is_named(checkout, name, old, new, words):
    change(checkout / name, old, new)
    status, lines = check(checkout)
    assert status == 1
    assert any(words in line for line in lines)


def test_a_changed_pin_is_one_sentence(checkout):
    change(checkout / "environment.yml", "wheel=0.45.1", "wheel=0.44.0")
    assert len(check(checkout)[1]) == 1


def test_a_missing_lock_is_named(checkout):
    (checkout / "requirements" / "legacy.txt").unlink()
    assert check(checkout) == (1, ["environment.yml: there is no requirements/legacy.txt; run `make lock`"])
