"""Curves of scores and of training: each function draws on axes, returns them, and writes nothing."""

from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

from ..errors import UserError
from ..scores.metrics import (
    AUROC_LEVEL,
    auroc,
    auroc_interval,
    check_labelled_scores,
    confusion,
    roc,
    spell_interval,
)
from .style import BLUE, GREEN, GREY, VERMILLION, new_axes

# What can be drawn of a training history: panel -> column -> (label, colour).
PANELS: Dict[str, Dict[str, Tuple[str, str]]] = {
    "loss": {"loss": ("training", BLUE), "validation_loss": ("validation", VERMILLION)},
    "validation": {"validation_accuracy": ("accuracy", VERMILLION), "validation_auroc": ("AUROC", GREEN)},
    "learning rate": {"learning_rate": ("learning rate", GREY)},
}
HISTORY_KEYS = ("epoch", "loss", "learning_rate", "seconds")


def draw_roc(
    labels: np.ndarray,
    scores: np.ndarray,
    ax: Optional[Axes] = None,
    label: Optional[str] = None,
    logarithmic: bool = False,
    threshold: Optional[float] = None,
    **look: Any,
) -> Axes:
    """Draw the ROC, with the AUROC and its interval in the legend.

    The curve joins the points of the empirical ROC by straight lines, so the area below it is the AUROC, with tied
    scores too.  Call it again with the same axes to add another curve.

    Parameters
    ----------
    labels : bool array (N,), or of 0 and 1
        True or 1 for a lens.
    scores : float array (N,), in [0, 1]
        The higher, the more like a lens.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure, see `style.new_axes`.
    label : str, optional
        Name of the curve in the legend, above its AUROC.
    logarithmic : bool
        Whether the axis of the false positive rate is; it then starts at one false positive.
    threshold : float, optional
        In [0, 1]: mark the point of ``score > threshold``, on the left edge where it lies beyond it.
    **look
        How to draw the curve, for ``Axes.plot``; the default colour is the next one of the axes.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    UserError
        As `metrics.check_labelled_scores`, both classes being needed, and for a threshold outside [0, 1].
    """
    labels, scores = check_labelled_scores(labels, scores)
    rates: Dict[str, Any] = {} if threshold is None else confusion(labels, scores, threshold).rates
    ax = new_axes() if ax is None else ax
    # Two tenths keep an axis where there are only a few non-lenses.
    frame_roc(ax, min(1 / np.sum(~labels), 0.2) if logarithmic else None)
    name = (
        f"AUROC {spell_interval(auroc(labels, scores), *auroc_interval(labels, scores))} ({AUROC_LEVEL:.0%} interval)"
    )
    curve = _densified(*roc(labels, scores)[:2])
    (line,) = ax.plot(*curve, label=f"{label}\n{name}" if label else name, **look)
    if rates:
        x, y = rates["false_positive_rate"], rates["completeness"]
        point = f"score > {threshold:g}: completeness {y:.3f}, FPR {x:.3g}"
        (dot,) = ax.plot(max(x, ax.get_xlim()[0]), y, "o", color=line.get_color(), clip_on=False, label=point)
        dot.set(markeredgecolor="white", markersize=8, zorder=5)
    # Below every curve, and last in the legend.
    for line in [line for line in ax.lines if line.get_label() == "chance"]:
        line.remove()
    chance = np.geomspace(1e-9, 1, 500)
    ax.plot(chance, chance, "--", color=GREY, linewidth=1, label="chance", zorder=1.9)
    ax.legend(loc="best" if logarithmic else "lower right")
    return ax


def frame_roc(ax: Axes, left: Optional[float] = None) -> None:
    """Name the axes of a ROC and set their limits; from `left` on, where given, the lower one is logarithmic."""
    ax.set(xlabel="false positive rate", ylabel="completeness", ylim=(0, 1.02), xlim=(0, 1))
    if left is not None:
        ax.set(xscale="log", xlim=(left, 1))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())


def _densified(false_positive_rate: np.ndarray, completeness: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Curve with points added along its lines, which are bent on a logarithmic axis."""
    vertices = np.arange(len(completeness))
    n_parts = 1 + 20000 // len(vertices)
    places = np.linspace(0, vertices[-1], vertices[-1] * n_parts + 1)
    return np.interp(places, vertices, false_positive_rate), np.interp(places, vertices, completeness)


def draw_scores(labels: np.ndarray, scores: np.ndarray, ax: Optional[Axes] = None, threshold: float = 0.5) -> Axes:
    """Draw how the scores of lenses and of non-lenses are spread, on a logarithmic axis of counts.

    Parameters
    ----------
    labels : bool array (N,), or of 0 and 1
        True or 1 for a lens; one class alone is allowed.
    scores : float array (N,), in [0, 1]
        The higher, the more like a lens.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure, see `style.new_axes`.
    threshold : float
        In [0, 1].

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    UserError
        As `metrics.check_labelled_scores`.
    """
    labels, scores = check_labelled_scores(labels, scores, need_both_classes=False)
    ax = new_axes() if ax is None else ax
    edges = np.linspace(0, 1, 51)
    for name, chosen, colour in (("non-lenses", ~labels, VERMILLION), ("lenses", labels, BLUE)):
        label = f"{name}: {(scores[chosen] > threshold).sum():,} of {chosen.sum():,} above {threshold:g}"
        counts, _ = np.histogram(scores[chosen], edges)
        ax.stairs(counts, edges, fill=True, color=colour, alpha=0.2)
        # Outlines lie above both fills.
        ax.stairs(counts, edges, color=colour, linewidth=1.6, label=label, zorder=3)
    ax.axvline(threshold, color=GREY, linestyle="--", linewidth=1, label=f"threshold {threshold:g}")
    # A bin with one stamp stands above the axis.
    ax.set(yscale="log", xlim=(0, 1), ylim=(0.5, None), xlabel="score", ylabel="stamps in a bin of 0.02")
    ax.yaxis.set_major_formatter("{x:,g}")
    ax.legend(loc="upper center")
    return ax


def draw_score_pairs(
    labels: np.ndarray,
    scores_a: np.ndarray,
    scores_b: np.ndarray,
    ax: Optional[Axes] = None,
    names: Sequence[str] = ("A", "B"),
    threshold: float = 0.5,
) -> Axes:
    """Draw two scores of each stamp against each other, smaller and fainter where there are many.

    Non-lenses are drawn first, so that in a crowd the lenses are seen.  A stamp in the upper left or lower right
    quarter is called a lens by one set only.

    Parameters
    ----------
    labels : bool array (N,), or of 0 and 1
        True or 1 for a lens; one class alone is allowed.
    scores_a, scores_b : float arrays (N,), in [0, 1]
        Of the same stamps in the same order; the first is on the horizontal axis.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure, see `style.new_axes`.
    names : two of str
        Of the sets.
    threshold : float
        In [0, 1]; drawn on both axes.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    UserError
        As `metrics.check_labelled_scores`.
    """
    (labels, first), (_, second) = (check_labelled_scores(labels, scores, False) for scores in (scores_a, scores_b))
    ax = new_axes(5, 5) if ax is None else ax
    ax.plot((0, 1), (0, 1), ":", color=GREY, linewidth=1)
    ax.axvline(threshold, color=GREY, linestyle="--", linewidth=1, label=f"threshold {threshold:g}")
    ax.axhline(threshold, color=GREY, linestyle="--", linewidth=1)
    share = min(1, 300 / len(labels))
    for name, chosen, colour, marker in (("non-lenses", ~labels, VERMILLION, "^"), ("lenses", labels, BLUE, "o")):
        look: Any = {"marker": marker, "facecolor": "none", "edgecolor": colour, "linewidth": 0.8, "zorder": 3}
        ax.scatter(first[chosen], second[chosen], 4 + 20 * share, alpha=0.3 + 0.5 * share, clip_on=False, **look)
        ax.scatter([], [], s=24, label=f"{chosen.sum():,} {name}", **look)
    ax.set(xlabel=f"score, {names[0]}", ylabel=f"score, {names[1]}")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    ax.legend()
    return ax


def draw_history(
    history: Sequence[Mapping[str, Optional[float]]], ax: Optional[Axes] = None, panel: str = "loss"
) -> Axes:
    """Draw what each epoch of a training reached.

    Parameters
    ----------
    history : sequence of mapping
        One an epoch, with the keys epoch, loss, learning_rate and seconds.  The keys validation_loss,
        validation_accuracy and validation_auroc may be there, in some epochs only or None.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure, see `style.new_axes`.
    panel : {"loss", "validation", "learning rate"}
        Which columns: the losses, accuracy and AUROC of the validation stamps, or the learning rate.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    UserError
        Where the history is empty, an epoch lacks a key, or no panel has this name.
    """
    if len(history) == 0:
        raise UserError("the history has 0 epochs; train for 1 or more")
    for row, epoch in enumerate(history):
        missing = [key for key in HISTORY_KEYS if key not in epoch]
        if missing:
            raise UserError(f"row {row} of the history lacks {', '.join(missing)}; write them for each epoch")
    if panel not in PANELS:
        raise UserError(f"a history has no panel {panel!r}; choose {', '.join(PANELS)}")
    ax = new_axes() if ax is None else ax
    epochs = history_column(history, "epoch")
    is_rate = panel == "learning rate"
    for key, (name, colour) in PANELS[panel].items():
        values = history_column(history, key)
        there = np.isfinite(values)
        if there.any():
            # Markers show single epochs, and would hide a long line.
            (line,) = ax.plot(
                epochs[there], values[there], "o-" if there.sum() <= 60 else "-", color=colour, label=name
            )
            line.set(markersize=3, drawstyle="steps-mid" if is_rate else "default")
    if is_rate:
        _set_decades(ax, values[values > 0])
    elif ax.lines:
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    if panel == "validation":
        ax.set_ylim(0, 1.02)
    ax.set(xlabel="epoch", ylabel=panel, xlim=(epochs.min() - 0.5, epochs.max() + 0.5))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    return ax


def history_column(history: Sequence[Mapping[str, Optional[float]]], key: str) -> np.ndarray:
    """One key of every epoch, float array (epochs,); NaN where it is missing or None."""
    values = [epoch.get(key) for epoch in history]
    return np.array([np.nan if value is None else float(value) for value in values])


def _set_decades(ax: Axes, rates: np.ndarray) -> None:
    """Make the axis logarithmic: whole decades with at most five labels, so that a constant rate has a label too."""
    if rates.size:
        ax.set_yscale("log")
        lowest, highest = int(np.floor(np.log10(rates.min()))), int(np.ceil(np.log10(rates.max())))
        ax.set_ylim(10.0 ** (lowest - 0.4), 10.0 ** (highest + 0.4))
        ax.set_yticks(10.0 ** np.arange(highest, lowest - 1, -(1 + (highest - lowest) // 5)))
        ax.yaxis.set_minor_locator(NullLocator())
