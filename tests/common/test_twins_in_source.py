"""What "twin" means, held by reading the sources: same files, same public names in the same order, same words."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SIDES = {"legacy": ROOT / "legacy/lens_legacy", "modern": ROOT / "modern/lens_modern"}
TWINS = ("backend", "cli", "cnn", "losses", "resnet")
# What one framework lacks and the other does not: rooms without a twin.
ALONE = {"legacy": {"layers"}, "modern": {"export", "faithful", "idiomatic"}}


def source(side, name):
    return (SIDES[side] / f"{name}.py").read_text()


def public(side, name):
    """Public definitions in order: functions, classes with their public methods, constants."""
    names = []
    for node in ast.parse(source(side, name)).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.append((node.name, node))
            if isinstance(node, ast.ClassDef):
                inner = [part for part in node.body if isinstance(part, ast.FunctionDef)]
                names += [(f"{node.name}.{part.name}", part) for part in inner]
        elif isinstance(node, ast.Assign):
            names += [(target.id, None) for target in node.targets if isinstance(target, ast.Name)]
    return [(label, node) for label, node in names if not re.search(r"(^|\.)_(?!_)", label)]


def first_line(node):
    return (ast.get_docstring(node) or "").splitlines()[:1]


def test_every_file_is_a_twin_or_on_the_list_of_those_without():
    for side, folder in SIDES.items():
        assert {path.stem for path in folder.glob("*.py")} == {"__init__", *TWINS, *ALONE[side]}


@pytest.mark.parametrize("name", TWINS)
def test_both_files_define_the_same_public_names_in_the_same_order(name):
    legacy, modern = ([label for label, _ in public(side, name)] for side in SIDES)
    assert legacy == modern and legacy


@pytest.mark.parametrize("name", TWINS)
def test_both_files_say_the_same_in_their_first_lines(name):
    legacy, modern = (ast.parse(source(side, name)) for side in SIDES)
    if name != "cli":  # which names its own command
        assert first_line(legacy) == first_line(modern) != []
    allowed = {"backend": {"prepare"}}  # what has to be set up is each framework's own
    for (label, one), (_, other) in zip(public("legacy", name), public("modern", name)):
        if one is not None and label not in allowed.get(name, ()):
            assert first_line(one) == first_line(other), label


@pytest.mark.parametrize("name", ["cnn", "losses", "resnet"])
def test_values_that_both_files_fix_are_the_same(name):
    legacy, modern = ({}, {})
    for side, values in (("legacy", legacy), ("modern", modern)):
        for node in ast.parse(source(side, name)).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                values[node.targets[0].id] = ast.literal_eval(node.value)
    assert legacy == modern


def test_each_difference_is_marked_once_on_either_side_with_its_topic():
    topics = {}
    for side, folder in SIDES.items():
        lines = [line for path in folder.glob("*.py") for line in path.read_text().splitlines() if "DIFFERS" in line]
        found = [re.search(r"# DIFFERS: ([\w ]+): \S", line) for line in lines]
        assert all(found), lines
        topics[side] = sorted(match[1] for match in found)
        assert len(set(topics[side])) == len(topics[side])
    assert topics["legacy"] == topics["modern"] and len(topics["legacy"]) >= 8
