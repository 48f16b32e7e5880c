"""Exercises: every starter fails where its mistake belongs, every solution passes, bad input is one sentence."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lens_common.errors import UserError
from lens_common.mocks.simulator import simulate_stamp
from lens_modern import cli
from lens_modern.exercise.checking import check_port
from lens_modern.exercise.comparison import ORDER
from lens_modern.exercise.mistakes import MISTAKES, SOURCES, edited_source
from lens_modern.exercise.sealing import FILES, make_exercise, next_hint, read_exercises, write_port

LAB = Path(__file__).resolve().parents[2] / "lab"
EXERCISES = read_exercises()
THOROUGH = bool(os.environ.get("LENS_THOROUGH"))
# One of each network; `make thorough` checks all eight. That every mistake is seen by its comparison, and that every
# solution is our own source, tests/parity/test_traps.py and a test below say of all.
CHECKED = EXERCISES if THOROUGH else ["altair", "deneb"]


@pytest.fixture(scope="session", params=EXERCISES)
def starter(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exercise") / request.param
    make_exercise(request.param, folder)
    return folder


@pytest.fixture
def cnn(tmp_path):
    make_exercise("deneb", tmp_path / "deneb")
    return tmp_path / "deneb"


def test_there_are_eight_exercises_with_three_hints_and_the_mistakes_differ():
    assert len(EXERCISES) == 8 == len({one.mistake for one in EXERCISES.values()})
    assert {len(one.hints) for one in EXERCISES.values()} == {3}
    assert {one.about.seen_by for one in EXERCISES.values()} >= {"initial", "first", "after1", "saturated", "augmented"}


@pytest.mark.parametrize("name", CHECKED)
def test_a_starter_fails_at_the_comparison_of_its_mistake(name, tmp_path):
    make_exercise(name, tmp_path / name)
    assert check_port(tmp_path / name) == EXERCISES[name].about.seen_by


@pytest.mark.parametrize("name", CHECKED)
def test_a_solution_copied_over_the_folder_passes(name, tmp_path, capsys):
    mended = tmp_path / "mended"
    make_exercise(name, mended)
    shutil.copytree(LAB / "solutions" / name, mended, dirs_exist_ok=True)
    assert cli.main(["exercise", "check", str(mended)]) == 0
    assert "solved" in capsys.readouterr().out


def test_a_solution_is_what_the_sources_give(starter, tmp_path):
    exercise = EXERCISES[starter.name]
    write_port(tmp_path, exercise.about.network)
    given = {path.name: path.read_text() for path in (LAB / "solutions" / starter.name).glob("*.py")}
    assert set(given) == {f"{edit.module}.py" for edit in exercise.about.edits}
    for name, source in given.items():
        assert source == (tmp_path / name).read_text(), "run `python -m lab.write_solutions`"


def test_no_file_of_a_student_holds_the_answer(starter):
    exercise = EXERCISES[starter.name]
    text = "\n".join(path.read_text() for path in starter.rglob("*") if path.is_file())
    assert exercise.mistake not in text and "DIFFERS" not in text
    assert not any(hint in text for hint in exercise.hints)
    port = "".join((starter / f"{name}.py").read_text() for name in FILES[exercise.about.network])
    for edit in exercise.about.edits:
        assert edit.right not in port and edit.wrong in port


def test_a_mistake_does_not_show_by_its_style(starter):
    settings = LAB.parent / "pyproject.toml"
    command = [Path(sys.executable).with_name("ruff"), "format", "--check", "--config", settings]
    done = subprocess.run([*command, *starter.glob("*.py")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_names_each_comparison_in_the_words_of_check(starter):
    text = (starter / "README.md").read_text()
    assert all(f"| `{comparison}` | {what} |" in text for comparison, what in ORDER.items())


@pytest.mark.parametrize("name", EXERCISES)
def test_the_loss_falls_with_the_mistake(name, tmp_path, monkeypatch):
    network = EXERCISES[name].about.network
    write_port(tmp_path / f"port_{name}", network, EXERCISES[name].about.edits)
    (tmp_path / f"port_{name}/__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module(f"port_{name}.{network}")
    monkeypatch.delitem(sys.modules, f"port_{name}")
    stamps = np.stack([simulate_stamp(row, row % 2 == 0).stamp for row in range(8)])[:, None]
    stamps, labels = (stamps / 1.5 / np.median(abs(stamps))).astype(np.float32), np.arange(8) % 2 == 0
    torch.set_default_dtype(torch.float32)
    built = getattr(module, {"resnet": "ResNet", "cnn": "CNN"}[network])(module.NetworkShape(), 1)
    losses = [built.train_step(stamps, labels.astype(np.float32), 1e-3, np.random.RandomState(s)) for s in range(10)]
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


@pytest.mark.parametrize("network", FILES)
@pytest.mark.parametrize("seed", range(1, 11 if THOROUGH else 2))
def test_a_clean_port_raises_no_alarm(network, seed, tmp_path):
    name = {"resnet": "altair", "cnn": "deneb"}[network]
    make_exercise(name, tmp_path / name)
    write_port(tmp_path / name, network)
    assert check_port(tmp_path / name, seed) == ""


def test_another_way_to_write_the_same_network_passes(tmp_path):
    make_exercise("hadar", tmp_path / "hadar")
    write_port(tmp_path / "hadar", "resnet")
    path = tmp_path / "hadar/faithful.py"
    own = path.read_text().replace(
        "torch._foreach_addcdiv_(parameters, m, denominators, -rate)",
        "for p, a, b in zip(parameters, m, denominators):\n            p.sub_(rate * (a / b))",
    )
    assert own != path.read_text()
    path.write_text(own)
    assert check_port(tmp_path / "hadar") == ""


@pytest.mark.parametrize("name", MISTAKES)
def test_every_edit_changes_its_source(name):
    for edit in MISTAKES[name].edits:
        assert edited_source(edit.module, (edit,)) != edited_source(edit.module)
        assert edit.module in SOURCES


def test_hints_come_one_by_one_and_are_counted(cnn, capsys):
    hints = [next_hint(cnn) for _ in range(4)]
    assert [hint[:11] for hint in hints[:3]] == ["hint 1 of 3", "hint 2 of 3", "hint 3 of 3"]
    assert hints[3].startswith("there are no more hints") and hints[3].endswith(hints[2][13:])
    assert json.loads((cnn / "exercise.json").read_text())["hints"] == 3


def append(path, text):
    path.write_text(path.read_text() + text)


def at_training(path, line):
    """Put a line at the beginning of the training step."""
    source = path.read_text()
    head = '        """Take one step of RMSprop on a batch."""\n'
    assert head in source
    path.write_text(source.replace(head, f"{head}        {line}\n"))


BAD = {
    "a syntax error": (lambda f: append(f / "cnn.py", "\ndef (:\n"), "cnn.py, line"),
    "a file that is missing": (lambda f: (f / "losses.py").unlink(), "is missing"),
    "an import of the answer": (lambda f: append(f / "cnn.py", "\nimport lens_modern.cnn\n"), "lens_modern.cnn"),
    "an import of the common answer": (
        lambda f: append(f / "cnn.py", "\nfrom lens_common.learning import initial\n"),
        "may not use lens_common.learning",
    ),
    "an import of os": (lambda f: append(f / "cnn.py", "\nimport os\n"), "may not use os"),
    "a hidden import": (lambda f: append(f / "cnn.py", "\n__import__('os')\n"), "may not use __import__"),
    "a look behind a class": (lambda f: append(f / "cnn.py", "\nx = ().__class__\n"), "may not use __class__"),
    "an error at the import": (lambda f: append(f / "cnn.py", "\n1 / 0\n"), "ZeroDivisionError"),
    "an error at training": (lambda f: at_training(f / "cnn.py", "stamps.nothing()"), "AttributeError"),
    "no network": (lambda f: (f / "cnn.py").write_text("x = 1\n"), "has no attribute 'CNN'"),
    "bytes": (lambda f: (f / "cnn.py").write_bytes(b"\xff\xfe\x00"), "cnn.py"),
    "a null byte": (lambda f: (f / "cnn.py").write_text("x = '\0'"), "cnn.py"),
    "a file too long": (lambda f: (f / "cnn.py").write_text("#" * 300_000), "longer than"),
    "brackets too deep": (lambda f: (f / "cnn.py").write_text("(" * 5000 + ")" * 5000), "cnn.py"),
    "too much memory": (lambda f: at_training(f / "cnn.py", "torch.zeros(10**10).fill_(1)"), "RuntimeError"),
    "an end of its own": (lambda f: at_training(f / "cnn.py", "raise SystemExit(0)"), "ended without a result"),
    "a damaged exercise.json": (lambda f: (f / "exercise.json").write_text("[]"), "is damaged"),
    "an unknown exercise": (
        lambda f: (f / "exercise.json").write_text('{"exercise": "vega", "hints": 0}'),
        "is damaged",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_sentence_and_exit_code_2(cnn, capsys, what):
    spoil, words = BAD[what]
    spoil(cnn)
    assert cli.main(["exercise", "check", str(cnn)]) == 2
    said = capsys.readouterr()
    *progress, sentence = said.err.splitlines()
    assert said.out == "" and len(progress) <= 1 and words in sentence
    assert all("20 s of processor time" in line for line in progress)
    assert "Traceback" not in said.err and "flattened" not in said.err and "permute" not in said.err


def test_an_empty_folder_holds_no_exercise(tmp_path, capsys):
    assert cli.main(["exercise", "check", str(tmp_path)]) == 2
    assert "holds no exercise" in capsys.readouterr().err


def test_a_loop_without_end_is_stopped(cnn):
    at_training(cnn / "cnn.py", "while True: pass")
    with pytest.raises(UserError, match="stopped after 10 s"):
        check_port(cnn, seconds=10)


@pytest.mark.parametrize("line", ["self.dense.weight.data[:] = float('nan')", "self.dense.weight.data[:] = 1e300"])
def test_weights_that_are_no_numbers_break_a_comparison(cnn, line):
    write_port(cnn, "cnn")
    at_training(cnn / "cnn.py", line)
    assert check_port(cnn) == "after1"


def test_a_network_of_another_shape_is_said_to_have_one(cnn, capsys):
    write_port(cnn, "cnn")
    path = cnn / "cnn.py"
    path.write_text(path.read_text().replace("FILTERS = 32", "FILTERS = 16"))
    with pytest.raises(SystemExit, match="1"):
        cli.main(["exercise", "check", str(cnn)])
    assert "names or shapes of the weights" in capsys.readouterr().out


def test_new_refuses_a_folder_that_holds_something(cnn, capsys):
    assert cli.main(["exercise", "new", "altair", str(cnn)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert cli.main(["exercise", "new", "vega", str(cnn / "x")]) == 2
    assert "choose one of altair" in capsys.readouterr().err and not (cnn / "x").exists()
