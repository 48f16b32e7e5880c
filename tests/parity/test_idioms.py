"""docs/idioms.md: every cell runs, and the cells of a row give the same numbers."""

import importlib.util
import json
import os
import subprocess

import numpy as np
import pytest

from .conftest import PYTHON, ROOT

spec = importlib.util.spec_from_file_location("idioms", ROOT / "docs/idioms.py")
idioms = importlib.util.module_from_spec(spec)
spec.loader.exec_module(idioms)
ROWS = [row for group in idioms.read() for row in group["row"]]
# Theano compiles a hundred modules for the cells, to run each once. `make thorough` compiles them as a user's are.
QUICK = {} if os.environ.get("LENS_THOROUGH") else {"THEANO_FLAGS": "optimizer=fast_compile,gcc.cxxflags=-g0 -O0"}


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    """Numbers by row and column, each side in its own interpreter."""
    folder = tmp_path_factory.mktemp("idioms")
    (folder / "rows.json").write_text(json.dumps(ROWS))
    numbers = {}
    for side, python in (("legacy", PYTHON["legacy"]), ("torch", PYTHON["modern"])):
        command = [python, ROOT / "docs/idioms.py", side, folder / "rows.json", folder / f"{side}.npz"]
        environment = {**os.environ, **QUICK}
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr[-2000:]
        with np.load(folder / f"{side}.npz") as stored:
            numbers.update({name: stored[name] for name in stored.files})
    return numbers


def test_the_page_is_what_its_rows_give():
    assert (ROOT / "docs/idioms.md").read_text() == idioms.page(), "run `make docs`"


def test_there_are_thirty_rows_or_more_in_six_groups_and_each_compares_two_frameworks():
    assert len(ROWS) >= 30 and len(idioms.read()) == 6
    assert all("torch" in row and len(set(row) & {"lasagne", "keras"}) for row in ROWS)


@pytest.mark.parametrize("number", range(len(ROWS)), ids=[row["what"] for row in ROWS])
def test_the_cells_of_a_row_give_the_same_numbers(values, number):
    row = ROWS[number]
    expected = values[f"{number} torch"]
    for column in {"lasagne", "keras"} & set(row):
        given = values[f"{number} {column}"]
        assert given.shape == expected.shape and given.size
        np.testing.assert_allclose(given, expected, rtol=row.get("within", 1e-6), atol=1e-9)
