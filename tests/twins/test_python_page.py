"""Every line of Python that docs/python.md and the README show works, in both interpreters."""

import re
import sys
from pathlib import Path

import matplotlib
import pytest

from lens_common import make_mocks

ROOT = Path(__file__).resolve().parents[2]
SIDE = "legacy" if sys.version_info < (3, 9) else "modern"


def snippets(page):
    """Blocks of Python of a page, for this side's package."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    return [block.replace("lens_modern", f"lens_{SIDE}") for block in blocks]


@pytest.mark.parametrize("page", ["docs/python.md", "README.md"])
def test_the_snippets_of_a_page_run_one_after_the_other(page, tmp_path, monkeypatch, capfd):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    make_mocks(tmp_path / "cutouts", 10)  # which the README takes for granted
    blocks = snippets(page)
    assert blocks
    names = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"{page}, block {number + 1}", "exec"), names)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "epoch" not in captured.err
