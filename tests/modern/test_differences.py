"""docs/differences.md: made from the sources as they are, every mark explained, every guard a test that exists."""

import importlib.util
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("differences", ROOT / "docs/differences.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def topics():
    return tomllib.loads((ROOT / "docs/differences.toml").read_text())["topic"]


def test_the_page_is_what_the_sources_give(maker):
    assert maker.PAGE.read_text() == maker.page(), "run `make docs`"


def test_every_mark_on_either_side_has_its_section(maker, topics):
    named = {topic["name"] for topic in topics}
    assert named == set(maker.marks("legacy")) == set(maker.marks("modern"))


def test_every_guard_is_a_test(topics):
    for topic in topics:
        path, name = topic["guard"].split("::")
        assert f"def {name}(" in (ROOT / path).read_text(), topic["guard"]


def test_every_section_shows_code_of_both_sides_and_names_where_it_stands(maker):
    for side in maker.SIDES:
        for place, lines in maker.marks(side).values():
            assert "DIFFERS" in lines and place.startswith(f"{side}/lens_{side}/") and place.endswith("`")
            assert len(lines.splitlines()) > 1
