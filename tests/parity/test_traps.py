"""Every known mistake, planted in the modern twin, is seen by the parity tests: one that none sees is a hole."""

import pytest

from lens_modern.exercise.comparison import MOST, NULL_GRADIENT, ORDER, first_difference, part
from lens_modern.exercise.mistakes import MISTAKES

from .conftest import record


@pytest.mark.parametrize("trap", MISTAKES)
def test_the_trap_is_seen(pairs, folder, batches, tmp_path, trap):
    model, comparison = MISTAKES[trap].network, MISTAKES[trap].seen_by
    legacy, steps = pairs[model, "float64"][0], {"resnet": 1, "cnn": 10}[model]
    options = ["--steps", str(steps), "--trap", trap]
    if model == "cnn":  # a ResNet with a trap may have other weights, which would not fit
        options += ["--weights", folder / "cnn-float32.npz"]
    trapped = record("modern", model, "float64", batches, tmp_path / "r.npz", *options)
    # A short record has less to compare.
    compared = [name for name in ORDER if part(trapped, name)]
    seen = [name for name in compared if first_difference(legacy, trapped, name, MOST[name], NULL_GRADIENT)]
    assert seen and seen[0] == comparison, f"seen by {seen}"
