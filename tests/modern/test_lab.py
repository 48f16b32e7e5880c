"""The notebooks of the lab run, their figures have captions, and what was recorded is what the legacy side prints."""

import hashlib
import inspect
import json
import os
import re

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from lab.execute import HERE, NOTEBOOKS, execute, stored_notebook
from lab.solutions import port_it_yourself

LEGACY = re.compile(r'^legacy\("""(.*?)"""\)', re.DOTALL | re.MULTILINE)
# The others take half a minute of a processor each; `make thorough` executes them.
QUICK = ("2", "3")
EXECUTED = [path for path in NOTEBOOKS if path.stem[0] in QUICK or os.environ.get("LENS_THOROUGH")]


def printed(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs if output.output_type == "stream")


def recorded_key(code):
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def test_there_are_six_and_each_says_what_its_reader_will_know():
    assert [path.stem[0] for path in NOTEBOOKS] == list("123456")
    for path in NOTEBOOKS:
        assert re.search(r"^# \d\. .+\n\n\*\*At the end you (know|have)\*\*", path.read_text(), re.MULTILINE), path.name


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: path.stem)
def test_a_notebook_runs_and_its_figures_have_captions(path):
    notebook, seconds = execute(path)
    print(f"{path.stem}: {seconds:.0f} s")
    pictures = sum("image/png" in output.get("data", {}) for c in notebook.cells for output in c.get("outputs", []))
    assert pictures == path.read_text().count("**Figure ")
    stored = json.loads((HERE / "recorded.json").read_text())
    for code in LEGACY.findall(path.read_text()):
        assert stored[recorded_key(code)] in printed(notebook), "record anew: LENS_LAB_RECORD=1 python -m lab.execute"


def test_the_recordings_are_those_of_the_notebooks():
    cells = {recorded_key(code) for path in NOTEBOOKS for code in LEGACY.findall(path.read_text())}
    assert cells == set(json.loads((HERE / "recorded.json").read_text()))


def test_without_python_3_8_the_recording_is_shown(monkeypatch, capsys):
    from lab.theano import legacy

    monkeypatch.setenv("LENS_LAB_RECORDED", "1")
    code = LEGACY.findall(NOTEBOOKS[0].read_text())[0]
    legacy(code)
    said = capsys.readouterr().out
    assert "f(3) = 19.0 12.0" in said and "recorded" in said
    with pytest.raises(RuntimeError, match="make setup"):
        legacy("print(1)")


def test_the_cells_to_be_written_are_not_right_and_the_solutions_are():
    notebook = jupytext.read(HERE / "3_port_it_yourself.md")
    for cell in notebook.cells:
        for name, function in inspect.getmembers(port_it_yourself, inspect.isfunction):
            if f"def {name}(" in cell.source:
                assert "NotImplementedError" in cell.source
                cell.source = f"{inspect.getsource(function)}\n\nprint(check({name}))"
    NotebookClient(notebook, resources={"metadata": {"path": str(HERE.parent)}}).execute()
    said = printed(notebook)
    assert said.count(": right") == 6 and "not" not in said.split("1 / sigma")[0]


def test_quiz_and_answers_have_five_for_each_notebook():
    for page in ("quiz.md", "quiz-answers.md"):
        parts = re.split(r"^## ", (HERE / page).read_text(), flags=re.MULTILINE)[1:]
        assert [len(re.findall(r"\n\d\. ", part)) for part in parts] == [5] * 6


def test_the_slides_are_ten_to_fifteen_and_name_figures_that_are_there():
    slides = (HERE / "slides.md").read_text()
    assert 10 <= slides.count("\n---\n") + 1 <= 15
    texts = {path.stem[0]: path.read_text() for path in NOTEBOOKS}
    for notebook, figure in re.findall(r"\{figure (\d)\.(\d)\}", slides):
        assert f"**Figure {figure}.**" in texts[notebook]


def test_a_notebook_has_stored_outputs_while_its_cells_are_the_same(tmp_path):
    text = "# A\n\n```python\n1 + 1\n```\n\n**Figure 1.** A line.\n"
    notebook = jupytext.reads(text, "md")
    notebook.cells[1].outputs = [nbformat.v4.new_output("display_data", {"image/png": "aGk="})]
    nbformat.write(notebook, tmp_path / "a.ipynb")
    cell = stored_notebook(text, str(tmp_path)).cells[1]
    assert cell.outputs and cell.metadata["mystnb"]["image"]["alt"] == "A line."
    assert not stored_notebook(text.replace("1 + 1", "1 + 2"), str(tmp_path)).cells[1].outputs
