"""Every known trap, set into the modern twin, makes the parity tests fail: a trap that none of them sees is a hole."""

import ast

import pytest

from .conftest import RECORD, record
from .seen_by import SEEN_BY
from .test_parity import compare, relative_error

ORDER = ("initial", "first", "after1", "after10", "saturated", "augmented")


def test_every_trap_is_tried():
    source = ast.parse(RECORD.with_name("traps.py").read_text())
    assert set(SEEN_BY) == {node.name for node in source.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("trap", SEEN_BY)
def test_the_trap_is_seen(pairs, folder, batches, tmp_path, trap):
    model, comparison = SEEN_BY[trap]
    legacy, steps = pairs[model, "float64"][0], {"resnet": 1, "cnn": 10}[model]
    options = ["--steps", str(steps), "--trap", trap]
    if model == "cnn":  # a ResNet with a trap may have other weights, which would not fit
        options += ["--weights", folder / "cnn-float32.npz"]
    trapped = record("modern", model, "float64", batches, tmp_path / "r.npz", *options)
    seen = [name for name in ORDER if not agree(legacy, trapped, name)]
    assert seen and seen[0] == comparison, f"seen by {seen}"


def agree(legacy, modern, comparison):
    """Whether the comparison of test_parity finds nothing; a short record has less to compare."""
    if comparison == "augmented":
        return relative_error(modern["augmented"], legacy["augmented"]) <= 1e-6
    if not any(name.startswith(f"{comparison}/") for name in modern):
        return True
    try:
        compare((legacy, modern), comparison, 1e-8)
    except AssertionError:
        return False
    return True
