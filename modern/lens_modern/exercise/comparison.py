"""Where two records of `lens_common.learning.recording` part first."""

import re
from collections.abc import Mapping

import numpy as np

# In the order in which a port is looked at: what it draws, computes, learns, and is shown.
ORDER = {
    "initial": "the weights that are drawn at first, and the optimiser's state",
    "first": "the output of every layer and of the whole network with the first weights, in evaluation",
    "after1": "weights, running averages and the optimiser's state after one step",
    "after10": "the same after ten steps",
    "saturated": "the loss, and the weights after a step, on counts a million times too large",
    "augmented": "augmented stamps",
}
# In place of a comparison, where the weights or the optimiser's state have other names or shapes.
SHAPES = "shapes"
# Biases that a following batch norm takes off again, directly or behind the identity shortcuts of their stage: their
# gradient is rounding noise, and Adam makes full steps of it.
NULL_GRADIENT = re.compile(r"stage[1-4]\.unit\d\.(conv3|shortcut)\.bias$")
# Of each tensor's root mean square, in float64; augmented stamps are float32.
MOST = {name: 1e-6 if name == "augmented" else 1e-8 for name in ORDER}


def part(recorded: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Arrays of a record below a prefix, by the rest of their name."""
    return {name[len(prefix) + 1 :]: values for name, values in recorded.items() if name.startswith(f"{prefix}/")}


def relative_error(values: np.ndarray, expected: np.ndarray) -> float:
    """Root mean square of the difference over that of what is expected."""
    difference = values.astype(np.float64) - expected
    scale = np.sqrt(np.mean(np.square(expected, dtype=np.float64)))
    return float(np.sqrt(np.mean(difference**2)) / (scale or 1.0))


def first_difference(
    expected: Mapping[str, np.ndarray],
    recorded: Mapping[str, np.ndarray],
    prefix: str,
    most: float,
    leave_out: re.Pattern[str] | None = None,
) -> str:
    """Say which array below a prefix is the first to differ, in the order of the graph.

    Parameters
    ----------
    expected, recorded : dict of str to array
        Two records.
    prefix : str
        Of `ORDER`, or any other that they hold.
    most : float
        Error that is allowed, as `relative_error` measures it.
    leave_out : pattern, optional
        Of the names that are passed over.

    Returns
    -------
    str
        A sentence; empty where all are equal.
    """
    wanted, given = part(expected, prefix), part(recorded, prefix)
    common = [name for name in wanted if name in given]
    # A layer may be recorded on one side alone: the sides name some that the other has not.
    if not common or (prefix not in ("first", "layers") and set(wanted) != set(given)):
        return f"{prefix}: {', '.join(sorted(set(wanted) ^ set(given)))[:200] or 'nothing'} on one side only"
    for name in common:
        if wanted[name].shape != given[name].shape:
            return f"{prefix}: {name} has another shape"
        if leave_out and leave_out.search(name):
            continue
        error = relative_error(given[name], wanted[name])
        if not error <= most:  # NaN is not
            return f"{prefix}: {name} is the first to differ, by {error:.1e} of its RMS; at most {most:.0e}"
    return ""


def first_broken(expected: Mapping[str, np.ndarray], recorded: Mapping[str, np.ndarray]) -> str:
    """Say which comparison is the first to break.

    Parameters
    ----------
    expected, recorded : dict of str to array
        The record of a correct port, in float64, and that of another.

    Returns
    -------
    str
        A key of `ORDER`, or `SHAPES`; empty where every comparison holds.
    """
    shapes = [{name: a.shape for name, a in part(record, "initial").items()} for record in (expected, recorded)]
    if shapes[0] != shapes[1]:
        return SHAPES
    compared = [name for name in ORDER if part(expected, name)]  # a ResNet has no step on absurd counts
    broken = (name for name in compared if first_difference(expected, recorded, name, MOST[name], NULL_GRADIENT))
    return next(broken, "")
