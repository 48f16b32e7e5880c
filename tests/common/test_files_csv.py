"""CSV: what is written is read back the same, and no cell is a formula to a spreadsheet."""

import csv
import os

import pytest

from lens_common.files import cache_folder, read_csv, write_csv

CELLS = ["=cmd|' /C calc'!A0", "+1+2", "-x", "@sum", "\tx", "\rx", "a\rb", "'=x", "''@", "'plain", "-1.5", "x=1", ""]


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_is_read_back_as_it_was(cell, tmp_path):
    rows = [{"id": cell, "other": "1"}, {"id": "next", "other": cell}]
    write_csv(tmp_path / "t.csv", rows)
    assert read_csv(tmp_path / "t.csv") == rows


def test_no_text_in_the_file_begins_as_a_formula_and_numbers_stay(tmp_path):
    write_csv(tmp_path / "t.csv", [{"cell": cell} for cell in CELLS])
    with open(tmp_path / "t.csv", newline="") as file:
        found = [row["cell"] for row in csv.DictReader(file)]
    assert [cell for cell in found if cell.startswith(("=", "+", "@", "\t", "\r"))] == []
    assert [cell for cell in found if cell.startswith("-")] == ["-1.5"]


def test_a_cache_in_the_temporary_folder_is_taken_from_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("LENS_CACHE", "/proc/nowhere")
    ours = tmp_path / f"lens-twins-{os.getuid()}"
    assert cache_folder("stamps") == ours / "stamps" and ours.stat().st_mode & 0o777 == 0o700
    assert cache_folder("stamps") == ours / "stamps"
    ours.chmod(0o777)
    other = cache_folder("stamps").parent
    assert other != ours and other.parent == tmp_path and other.stat().st_mode & 0o777 == 0o700
    link = tmp_path / "elsewhere"
    link.mkdir()
    (ours / "stamps").rmdir()
    ours.rmdir()
    ours.symlink_to(link)
    assert cache_folder("stamps").parent != ours and not list(link.iterdir())
