"""No verb writes over what it did not write, unless it is told to."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

try:
    from lens_modern.cli import main
except ImportError:
    from lens_legacy.cli import main


@pytest.fixture(scope="module")
def stamps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs") / "cutouts"
    folder.mkdir()
    random = np.random.RandomState(3)
    for number in range(3):
        stamp = random.normal(0, 3.6, (45, 45)).astype(np.float32)
        fits.PrimaryHDU(stamp).writeto(folder / f"cutout{number}.fits")
    return folder


def score(stamps, out, *options):
    return main(["score", str(stamps), "--model", "cnn", "--out", str(out), *options])


def test_a_table_of_ours_is_replaced_and_nobody_elses_is(stamps, tmp_path, capsys):
    out = tmp_path / "s.csv"
    assert score(stamps, out) == 0
    first = out.read_bytes()
    assert score(stamps, out) == 0 and out.read_bytes() == first
    out.write_text("id,redshift\nmine,0.5\n")
    assert score(stamps, out) == 2
    assert f"{out} is there, and not of an earlier run with --out {out}" in capsys.readouterr().err
    assert out.read_text() == "id,redshift\nmine,0.5\n"
    assert score(stamps, out, "--overwrite") == 0 and out.read_bytes() == first


def test_a_verb_writes_the_file_of_out_before_those_beside_it(stamps, tmp_path, monkeypatch):
    written, replace = [], os.replace

    def recorded(source, target):
        if Path(target).parent == tmp_path:
            written.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", recorded)
    assert score(stamps, tmp_path / "u.csv") == 0
    assert main(["maps", str(stamps), "--model", "cnn", "--most", "1", "--out", str(tmp_path / "m.png")]) == 0
    assert [written[0], written[-2], written[-1]] == ["u.csv", "m.png", "m.npz"] and "u.json" in written


@pytest.mark.parametrize("name", ["config.json", "config-rejected.csv"])
def test_what_would_stand_beside_a_table_is_not_replaced(name, stamps, tmp_path, capsys):
    (tmp_path / name).write_text("mine")
    assert score(stamps, tmp_path / "config.csv") == 2
    assert f"{tmp_path / name} is there" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name).read_text() == "mine"


def test_an_input_is_no_output_even_if_one_says_so(stamps, tmp_path, capsys):
    assert score(stamps, tmp_path / "a.csv") == 0
    shutil.copy(tmp_path / "a.csv", tmp_path / "b.csv")
    shutil.copy(tmp_path / "a.json", tmp_path / "b.json")
    arguments = [str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), "--out", str(tmp_path / "b.png"), "--overwrite"]
    assert main(["compare", *arguments]) == 2
    assert f"would replace {tmp_path / 'b.json'}, which is read" in capsys.readouterr().err
    assert "model_hash" in json.loads((tmp_path / "b.json").read_text())


def test_a_picture_of_ours_is_replaced_and_nobody_elses_is(stamps, tmp_path, capsys):
    out = tmp_path / "stamps.png"
    inspect = ["inspect", str(stamps), "--out", str(out)]
    assert main(inspect) == 0 and main(inspect) == 0
    out.write_bytes(b"\x89PNG of somebody else")
    assert main(inspect) == 2 and "choose another name, or say --overwrite" in capsys.readouterr().err
    assert out.read_bytes() == b"\x89PNG of somebody else"


def test_a_folder_whose_name_looks_like_a_formula_is_drawn(stamps, tmp_path):
    shutil.copytree(stamps, tmp_path / r"$\foo{$")
    assert main(["inspect", str(tmp_path / r"$\foo{$"), "--out", str(tmp_path / "stamps.png")]) == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", "one"), ("model", 3), ("shape", [1, 45]), ("settings", {"epochs": "8"}), ("settings", {"epoch": 8})],
)
def test_a_run_file_changed_by_hand_is_one_sentence(key, value, stamps, tmp_path, capsys):
    from lens_common.runs import SHIPPED

    run = shutil.copytree(SHIPPED / "cnn", tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config[key] = {**config[key], **value} if isinstance(value, dict) else value
    (run / "config.json").write_text(json.dumps(config))
    assert main(["score", str(stamps), "--run", str(run), "--out", str(tmp_path / "s.csv")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert str(run / "config.json") in lines[-1] and not (tmp_path / "s.csv").exists()
