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


WITH_EXTRAS = (
    "train --model cnn --mocks 60 --epochs 1 --batch-size 8 --out run",
    "report run --out report.html",
    "export run --out run.onnx",
    "score cutouts/0.fits --model cnn --engine openvino --out scores.parquet",
)


@pytest.fixture
def folder(tmp_path):
    """A folder with three cutouts in it."""
    (tmp_path / "cutouts").mkdir()
    for number in range(3):
        stamp = np.random.RandomState(number).normal(0, 3.5, (45, 45)).astype(np.float32)
        fits.writeto(tmp_path / f"cutouts/{number}.fits", stamp, fits.Header([("PIXSCALE", 0.18)]))
    return tmp_path


def carry_out(python, side, folder, lines, packages=""):
    """Carry out command lines in an environment, with the packages of another folder where one is named: their ends."""
    command = (
        python,
        "-c",
        SESSION.replace("lens_modern", f"lens_{side}"),
        json.dumps([line.split() for line in lines]),
    )
    done = run(*command, cwd=folder, env={**os.environ, "PYTHONPATH": str(packages), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return dict(zip(lines, json.loads(done.stdout)))


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


def test_bare_it_scores_a_folder_and_says_which_extra_the_rest_lacks(place, folder):
    ended = carry_out(place / "bin/python", "modern", folder, [*WORKING, *LACKING])
    assert [ended[line][0] for line in WORKING] == [0, 0, 0], ended
    assert len((folder / "scores.csv").read_text().splitlines()) == 4
    assert json.loads((folder / "scores.json").read_text())["versions"]["lens-common"] == __version__
    assert len([*folder.glob("mocks/**/*.fits.gz")]) == 4
    assert all(f"    {verb} " in ended["--help"][1] for verb in ("score", "report", "realism", "export", "train"))
    for line, extra in LACKING.items():
        status, out, err = ended[line]
        assert (status, out) == (2, ""), line
        assert err.count("\n") == 1 and f"pip install 'lens-modern[{extra}]'" in err, line


@pytest.mark.thorough
def test_with_its_extras_it_reports_exports_and_scores_any_file(place, folder):
    ended = carry_out(place / "bin/python", "modern", folder, WITH_EXTRAS, Path(np.__file__).parents[1])
    assert [ended[line][0] for line in WITH_EXTRAS] == [0, 0, 0, 0], ended
    assert all((folder / name).stat().st_size for name in ("report.html", "run.onnx", "scores.parquet"))


@pytest.mark.thorough
def test_lens_legacy_scores_from_its_wheel_and_the_lock(dist, folder):
    legacy = ROOT / ".venv-legacy"
    assert run(legacy / "bin/python", "-m", "venv", folder / "venv").returncode == 0
    options = ("--no-index", "--no-deps", "--quiet", "--find-links", dist)
    done = run(folder / "venv/bin/python", "-m", "pip", "install", *options, "lens-legacy", "lens-common")
    assert done.returncode == 0, done.stderr
    (packages,) = legacy.glob("lib/python3.8/site-packages")
    line = "score cutouts --model cnn --out scores.csv"
    assert carry_out(folder / "venv/bin/python", "legacy", folder, [line], packages)[line][0] == 0
    assert len((folder / "scores.csv").read_text().splitlines()) == 4
