"""What `make dist` builds, installed where there is nothing else: no checkout, and of other packages those it names."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from packaging.requirements import Requirement

import lens_modern
from lens_common import __version__

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("lens_common", "lens_legacy", "lens_modern")


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Folder of the built distributions."""
    folder = tmp_path_factory.mktemp("dist")
    done = run("bash", ROOT / "requirements/dist.sh", folder)
    assert done.returncode == 0, done.stderr
    return folder


def needed(requirements):
    """Names of all packages that some requirements lead to, as far as they hold for this interpreter."""
    names, waiting = set(), [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        name = requirement.name.lower()
        if name in names or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        names.add(name)
        try:
            waiting += [Requirement(text) for text in importlib.metadata.requires(name) or ()]
        except importlib.metadata.PackageNotFoundError:  # left out by requirements/overrides.txt
            names.remove(name)
    return names


@pytest.fixture(scope="module")
def place(dist, tmp_path_factory):
    """An environment that holds the wheels of lens-modern and what its bare install needs, and nothing else."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    assert run(sys.executable, "-m", "venv", folder).returncode == 0
    (packages,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(next(dist.glob("lens_modern-*.whl"))) as wheel:
        (metadata,) = (wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/METADATA"))
    required = [line.partition(": ")[2] for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    required += importlib.metadata.requires("lens-common")
    for name in needed(text for text in required if not text.startswith("lens-") and "extra ==" not in text):
        for path in {
            file.parts[0] for file in importlib.metadata.files(name) if file.parts[0] not in ("..", "__pycache__")
        }:
            if not (packages / path).exists():
                (packages / path).symlink_to(Path(importlib.metadata.distribution(name).locate_file(path)))
    options = ("--no-index", "--no-deps", "--quiet", "--find-links", dist)
    done = run(folder / "bin/python", "-m", "pip", "install", *options, "lens-modern", "lens-common")
    assert done.returncode == 0, done.stderr
    return folder


# Prints [[status, stdout, stderr], ...] of some command lines; torch is imported once for all.
SESSION = """
import contextlib, io, json, sys
from lens_modern.cli import main
ended = []
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            status = main(arguments)
        except SystemExit as error:
            status = error.code
    ended.append([status, out.getvalue(), err.getvalue()])
print(json.dumps(ended))
"""
# Command line -> the extra that it lacks.
LACKING = {
    "report runs/a --out report.html": "report",
    "realism --reference a --mock b": "report",
    "export runs/a --out a.onnx": "export",
    "score cutouts --workers 2 --out s.csv": "survey",
    "score cutouts cutouts --out s.csv": "survey",
    "score cutouts/0.fits --out s.csv": "survey",
}
WORKING = ("score cutouts --model cnn --out scores.csv", "simulate --mocks 4 --out mocks", "--help")


@pytest.fixture(scope="module")
def session(place, tmp_path_factory):
    """Carry out all command lines in the bare environment: the folder it was done in, and how each ended."""
    folder = tmp_path_factory.mktemp("session")
    (folder / "cutouts").mkdir()
    for number in range(3):
        stamp = np.random.RandomState(number).normal(0, 3.5, (45, 45)).astype(np.float32)
        fits.writeto(folder / f"cutouts/{number}.fits", stamp, fits.Header([("PIXSCALE", 0.18)]))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    lines = [*WORKING, *LACKING]
    command = (place / "bin/python", "-c", SESSION, json.dumps([line.split() for line in lines]))
    done = run(*command, cwd=folder, env={**environment, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return folder, dict(zip(lines, json.loads(done.stdout)))


@pytest.mark.parametrize("name", NAMES)
def test_wheel_and_sdist_hold_what_is_read_and_shown(dist, name):
    content = zipfile.ZipFile(dist / f"{name}-{__version__}-py3-none-any.whl").namelist()
    assert f"{name}/py.typed" in content
    assert any(path.endswith("/licenses/LICENSE") for path in content)
    shown = {"lens_common": "shipped/resnet/weights.npz", "lens_modern": "report/page.html", "lens_legacy": "cnn.py"}
    assert f"{name}/{shown[name]}" in content
    with tarfile.open(dist / f"{name}-{__version__}.tar.gz") as archive:
        files = {path.partition("/")[2] for path in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", f"{name}/py.typed"} <= files


def test_one_version_stands_everywhere():
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE).group(1)
    changed = re.search(r"^## (\d\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE).group(1)
    assert cited == changed == __version__ == lens_modern.__version__
    assert f"## {__version__}" in (ROOT / "docs/release.md").read_text()


def test_the_index_would_take_them(dist):
    done = run(Path(sys.executable).with_name("twine"), "check", "--strict", *dist.glob("lens_*"))
    assert done.returncode == 0, done.stdout


def test_the_bare_install_lacks_what_the_extras_bring(place):
    lacking = "import importlib.util as i; print([n for n in ('distributed', 'pyarrow', 'openvino') if i.find_spec(n)])"
    assert run(place / "bin/python", "-c", lacking).stdout == "[]\n"


def test_it_simulates_and_scores_a_folder(session):
    folder, ended = session
    assert [ended[line][0] for line in WORKING] == [0, 0, 0], ended
    assert len((folder / "scores.csv").read_text().splitlines()) == 4
    assert json.loads((folder / "scores.json").read_text())["versions"]["lens-common"] == __version__
    assert len([*folder.glob("mocks/**/*.fits.gz")]) == 4


@pytest.mark.parametrize(("line", "extra"), LACKING.items())
def test_what_lacks_its_extra_says_so_in_one_sentence(session, line, extra):
    status, out, err = session[1][line]
    assert (status, out) == (2, "")
    assert err.count("\n") == 1 and f"pip install 'lens-modern[{extra}]'" in err


def test_its_help_lists_every_verb(session):
    assert all(f"    {verb} " in session[1]["--help"][1] for verb in ("score", "report", "realism", "export", "train"))
