"""docs/differences.md and faithfulness.md: made from what they name, every mark explained, every guard a test."""

import importlib.util
import re
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


def test_the_page_on_the_originals_is_what_its_text_and_the_results_give(maker):
    assert maker.FAITHFULNESS.read_text() == maker.faithfulness(), "run `make docs`"


def test_every_test_that_the_page_on_the_originals_names_is_there(maker):
    named = set(re.findall(r"`(tests/[\w/.]+)`", maker.faithfulness()))
    assert "tests/original" in named and all((ROOT / path).exists() for path in named)


def test_a_tie_moves_no_auroc_of_one_seed_where_the_rows_say_so(maker):
    # Two rules, two scalings, three seeds each; the largest difference by hand from the twelve rows.
    found = maker.effect_rows("ties")
    assert sorted(len(rows) for rows in found.values()) == [3, 3, 3, 3]
    by_hand = [
        abs(float(one["auroc"]) - float(other["auroc"]))
        for scaling in ("raw", "sigma")
        for one in found[f"{scaling}, every tie", 30]
        for other in found[f"{scaling}, first tie", 30]
        if one["seed"] == other["seed"]
    ]
    assert maker.ties()["largest_tie"] == f"{max(by_hand):.4f}"


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


def test_the_two_that_wreck_a_training_come_first_and_each_section_has_a_number_by_hand(maker, topics):
    assert [topic["name"] for topic in topics[:2]] == ["RMSprop", "batch norm"]
    planted = maker.planted_rows()
    worst = [max((abs(float(planted[trap]["difference"])) for trap in topic["traps"]), default=0) for topic in topics]
    assert min(worst[:2]) > 3 * max(worst[2:])
    assert all(re.search(r"\d", topic["hand"]) for topic in topics)
