"""What the tests of the reproduction share: its scripts, stamps in the 2018 layout, stored runs and a tiny study."""

import csv
import gzip
import hashlib
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

from experiments.reproduction import page, study

ROOT = Path(__file__).parents[2]

# A run of the plan that takes seconds, with test sets of a few stamps.
TINY_RUN = "cnn-200-mended-modern-seed1"
TINY_PLAN = """
[sets.mocks]
population = "lsst-2017"
n_stamps = 8
seed = 2018
[sets.leak-controlled]
population = "leak-controlled"
n_stamps = 6
seed = 2018
[mocks]
[[runs]]
profiles = ["quick"]
model = "cnn"
frameworks = ["modern"]
stamps = [200]
seeds = [1]
defects = [[]]
"""


@pytest.fixture
def write_stamps(tmp_path, monkeypatch):
    """Write stamps (N, H, W) below a folder, lenses apart from non-lenses; the cache is the test's own."""
    monkeypatch.setenv("LENS_CACHE", str(tmp_path / "cache"))

    def write(name, stamps, labels=None):
        for number, stamp in enumerate(stamps):
            kind = "" if labels is None else "lensed_outputs/0" if labels[number] else "unlensed_outputs/0"
            path = tmp_path / name / kind / f"stamp{number}.fits"
            path.parent.mkdir(parents=True, exist_ok=True)
            fits.writeto(path, np.asarray(stamp, np.float32))
        return str(tmp_path / name)

    return write


@pytest.fixture(scope="session")
def stored_results():
    """Folder of the stored runs of the study."""
    folder = ROOT / "results" / "reproduction"
    if not folder.is_dir():
        pytest.fail(f"{folder} is missing: it holds the stored runs; git checkout brings it back")
    return folder


@pytest.fixture(scope="session")
def tiny_study(tmp_path_factory):
    """What `study.py` leaves of a plan of one run, really trained, and its status; nothing goes beside it."""
    folder = tmp_path_factory.mktemp("study")
    plan = folder / "plan.toml"
    plan.write_text(TINY_PLAN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "read_plan", lambda read=study.read_plan: read(plan))
        status = study.main(["quick", "--folder", str(folder), "--jobs", "1"])
    return folder, status


def read_table(path):
    """Rows of a gzipped CSV."""
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


def write_table(path, rows):
    """Write rows as a gzipped CSV; return the SHA-256 of the CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*rows[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
    return hashlib.sha256(text.getvalue().encode()).hexdigest()


@pytest.fixture
def copy_runs(stored_results, tmp_path):
    """Copy stored runs to a new folder without the large sets, and the rows of the stamps that are left."""

    def copy(*names, sets=("validation", "test", "pics")):
        folder = tmp_path / "results"
        for name in names:
            shutil.copytree(stored_results / name, folder / name)
            rows = [row for row in read_table(folder / name / "scores.csv.gz") if row["set"] in sets]
            change_json(folder / name / "scores.json", sha256=write_table(folder / name / "scores.csv.gz", rows))
        rows = [row for row in read_table(stored_results / "stamps.csv.gz") if row["set"] in sets]
        write_table(folder / "stamps.csv.gz", rows)
        return folder

    return copy


def change_json(path, **changes):
    """Set entries of a JSON object."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture(scope="session")
def helpers():
    """The functions above, for the tests: a conftest is not imported by name."""
    return SimpleNamespace(read_table=read_table, write_table=write_table, change_json=change_json, tiny_run=TINY_RUN)


@pytest.fixture(scope="session")
def reproduction_page(stored_results, tmp_path_factory):
    """The page made of the stored runs."""
    out = tmp_path_factory.mktemp("page") / "reproduction.html"
    assert page.main([str(stored_results), str(out)]) == 0
    return out
