"""What "twin" means, held by reading the sources: same files, same public names in the same order, same words."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SIDES = {"legacy": ROOT / "legacy/lens_legacy", "modern": ROOT / "modern/lens_modern"}
TWINS = ("__main__", "backend", "classifier", "cli", "cnn", "losses", "resnet")
# What one framework lacks and the other does not: rooms without a twin.
ALONE = {"legacy": {"layers"}, "modern": {"export", "extras", "faithful", "idiomatic"}}


# Name in modern -> name in legacy of what plays its part there, by file.
COUNTERPARTS = {"resnet": {"ResidualUnit": "residual_unit"}}
# Where two twins may part: file, legacy name, what differs -> why.  An entry that is no longer true fails.
EXCEPTIONS = {
    ("backend", "prepare", "signature"): "torch has devices, bfloat16 and modes to choose from",
    ("backend", "prepare", "first line"): "what has to be set up is each framework's own",
    ("__main__", "the file", "first line"): "each names its own command",
    ("cli", "the file", "first line"): "each names its own command",
    ("cnn", "CNN.probability", "alone"): "ONNX and OpenVINO take a graph of tensors, which only torch can give",
    ("resnet", "ResNet.probability", "alone"): "ONNX and OpenVINO take a graph of tensors, which only torch can give",
    ("resnet", "residual_unit", "name"): "Lasagne writes a unit as a function of its input, torch as a module",
    ("resnet", "residual_unit", "signature"): "a Lasagne layer knows its channels; a torch module knows its name",
}


def source(side, name):
    return (SIDES[side] / f"{name}.py").read_text()


def public(side, name):
    """Public definitions in order, by legacy name: functions, classes with their public methods, constants."""
    names = []
    for node in ast.parse(source(side, name)).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.append((counterpart(side, name, node.name), node))
            if isinstance(node, ast.ClassDef) and names[-1][0] == node.name:
                names += [(f"{node.name}.{part.name}", part) for part in methods(node)]
        elif isinstance(node, ast.Assign):
            names += [(target.id, node) for target in node.targets if isinstance(target, ast.Name)]
    return {label: node for label, node in names if not re.search(r"(^|\.)(_(?!_)|__init__$)", label)}


def counterpart(side, name, label):
    return COUNTERPARTS.get(name, {}).get(label, label) if side == "modern" else label


def methods(node):
    return [part for part in node.body if isinstance(part, ast.FunctionDef)]


def signature(node, text):
    """Parameters as (kind, name, default as written); of a class, those of its __init__."""
    if isinstance(node, ast.ClassDef):
        return next((signature(part, text)[1:] for part in methods(node) if part.name == "__init__"), None)
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(positional) - len(given.defaults)) + given.defaults
    stars = [("*", given.vararg, None), ("**", given.kwarg, None)]
    parameters = [("", one, default) for one, default in zip(positional, defaults)]
    parameters += [("keyword", one, default) for one, default in zip(given.kwonlyargs, given.kw_defaults)]
    return [
        (kind, one.arg, default and ast.get_source_segment(text, default))
        for kind, one, default in parameters + stars
        if one
    ]


def first_line(node):
    return (ast.get_docstring(node) or "").splitlines()[:1]


def differences(name):
    """What differs between the twins of a file: (file, legacy name, what)."""
    texts = [source(side, name) for side in SIDES]
    if first_line(ast.parse(texts[0])) != first_line(ast.parse(texts[1])):
        yield name, "the file", "first line"
    legacy, modern = (public(side, name) for side in SIDES)
    yield from ((name, label, "alone") for label in {*legacy} ^ {*modern})
    for label in [label for label in legacy if label in modern]:
        pair = legacy[label], modern[label]
        if isinstance(pair[0], ast.Assign):
            continue
        if pair[0].name != pair[1].name:
            yield name, label, "name"
        if first_line(pair[0]) != first_line(pair[1]):
            yield name, label, "first line"
        if signature(pair[0], texts[0]) != signature(pair[1], texts[1]):
            yield name, label, "signature"


def test_every_file_is_a_twin_or_on_the_list_of_those_without():
    for side, folder in SIDES.items():
        assert {path.stem for path in folder.glob("*.py")} == {"__init__", *TWINS, *ALONE[side]}


@pytest.mark.parametrize("name", TWINS)
def test_both_files_define_the_same_public_names_in_the_same_order(name):
    legacy, modern = (
        [label for label in public(side, name) if (name, label, "alone") not in EXCEPTIONS] for side in SIDES
    )
    assert legacy == modern and legacy


@pytest.mark.parametrize("name", TWINS)
def test_names_signatures_and_first_lines_differ_where_an_exception_gives_the_reason_and_nowhere_else(name):
    found = set(differences(name))
    assert found == {key for key in EXCEPTIONS if key[0] == name} and all(EXCEPTIONS.values())
    assert {label for _, label, what in found if what == "name"} == {*COUNTERPARTS.get(name, {}).values()}


def test_a_signature_is_its_names_their_order_and_their_defaults():
    plain = "def f(a, b=1.0, *c, d=True, **e): pass"
    assert signature(ast.parse(plain).body[0], plain) == [
        ("", "a", None),
        ("", "b", "1.0"),
        ("keyword", "d", "True"),
        ("*", "c", None),
        ("**", "e", None),
    ]
    inside = "class A:\n    def __init__(self, a, b=2): pass"
    assert signature(ast.parse(inside).body[0], inside) == [("", "a", None), ("", "b", "2")]


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
