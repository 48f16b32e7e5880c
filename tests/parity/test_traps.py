"""Every known trap, set into the modern twin, makes the parity tests fail: a trap that none of them sees is a hole."""

import ast

import pytest

from .conftest import RECORD, record
from .test_parity import compare, relative_error

# Trap -> the network, and the comparison that sees it first.
SEEN_BY = {
    "kernels_not_flipped": ("resnet", "initial"),
    "stem_with_he": ("resnet", "initial"),
    "he_truncated": ("resnet", "initial"),
    "dense_with_gain_of_relu": ("resnet", "initial"),
    "bias_kept_before_a_norm": ("resnet", "initial"),
    "norm_before_the_first_unit": ("resnet", "initial"),
    "elu_before_the_norm": ("resnet", "first"),
    "shortcut_of_the_raw_input": ("resnet", "first"),
    "norm_before_the_pooling": ("resnet", "first"),
    "norm_epsilon_of_torch": ("resnet", "after1"),
    "norm_momentum_of_keras": ("resnet", "after1"),
    "norm_averages_the_variance": ("resnet", "after1"),
    "adam_of_torch": ("resnet", "after1"),
    "rmsprop_of_torch": ("cnn", "after1"),
    "flattened_channels_last": ("cnn", "after1"),
    "pooling_of_torch": ("cnn", "after10"),
    "loss_clipped_as_torch_does": ("cnn", "saturated"),
    "augmentation_wraps_at_the_side": ("cnn", "augmented"),
}
ORDER = ("initial", "first", "after1", "after10", "saturated", "augmented")


def test_every_trap_is_tried():
    source = ast.parse(RECORD.with_name("traps.py").read_text())
    assert set(SEEN_BY) == {node.name for node in source.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("trap", SEEN_BY)
def test_the_trap_is_seen(pairs, batches, tmp_path, trap):
    model, comparison = SEEN_BY[trap]
    legacy, steps = pairs[model, "float64"][0], {"resnet": 1, "cnn": 10}[model]
    trapped = record("modern", model, "float64", batches, tmp_path / "r.npz", "--steps", str(steps), "--trap", trap)
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
