"""Plots of scores, training and stamps: PNG files of one look.

Each function draws on a figure of its own and never on pyplot's, so it works without a display and
leaves no state behind.  A file appears whole or not at all.  Nothing that computes imports this module.
"""

import os
import textwrap
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Mapping, Optional, Sequence, Tuple, Union

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

from ..errors import UserError
from ..scores.metrics import AUROC_LEVEL, auroc, auroc_interval, check_labelled_scores, confusion, roc

DOTS_PER_INCH = 150
WIDTH_INCHES = 8.5
MOST_STAMPS = 40

# Okabe & Ito 2008, "Color Universal Design": told apart by colour-blind readers too.
BLUE, VERMILLION, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"

# The two upper panels of a training history: key -> (label, colour).
LOSSES = {"loss": ("training", BLUE), "validation_loss": ("validation", VERMILLION)}
SHARES = {"validation_accuracy": ("accuracy", VERMILLION), "validation_auroc": ("AUROC", GREEN)}
HISTORY_KEYS = ("epoch", "loss", "learning_rate", "seconds")

# Stamps are shown from -2 to 50 times their noise, linear below about 3 and logarithmic above.
STRETCH_LOWEST, STRETCH_KNEE, STRETCH_HIGHEST = -2, 3, 50
STAMP_TICKS = (0, 3, 10, 30)
STAMP_COLUMNS = 8
STAMP_INCHES = 1.05
TITLE_LETTERS = 17
NAME_LETTERS = 40
# The median absolute deviation of a normal distribution is sigma over this.
SIGMA_OVER_MAD = 1.4826

LOOK: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


def plot_roc(
    path: Union[str, Path], labels: np.ndarray, scores: np.ndarray, title: str, threshold: float = 0.5
) -> None:
    """Draw the ROC on a linear and on a logarithmic axis of the false positive rate.

    The curve joins the points of the empirical ROC by straight lines, so the area below it is the
    AUROC, with tied scores too.  The logarithmic axis starts at one false positive; the point of
    ``score > 0.5`` is put on its left edge where it has none.

    Parameters
    ----------
    path : str or Path
        PNG file to write; one that is there is replaced.
    labels : bool array (N,), or of 0 and 1
        True or 1 for a lens.
    scores : float array (N,), in [0, 1]
        The higher, the more like a lens.
    title : str
        Title of the figure.

    Raises
    ------
    UserError
        As `metrics.check_labelled_scores`, both classes being needed, and for a file that cannot be
        written.
    """
    labels, scores = check_labelled_scores(labels, scores)
    false_positive_rate, completeness, _ = roc(labels, scores)
    low, high = auroc_interval(labels, scores)
    name = f"AUROC {auroc(labels, scores):.3f} ({AUROC_LEVEL:.0%} interval {low:.3f} to {high:.3f})"
    point = _point_at_threshold(labels, scores, threshold)
    with _figure(path, WIDTH_INCHES, 4.4) as figure:
        figure.suptitle(title)
        linear, logarithmic = figure.subplots(1, 2, sharey=True)
        chance = np.geomspace(1e-9, 1, 500)
        for axes in (linear, logarithmic):
            axes.plot(chance, chance, "--", color=GREY, linewidth=1, label="chance")
            axes.plot(*_densified(false_positive_rate, completeness), color=BLUE, label=name)
            axes.set_xlabel("false positive rate")
        linear.set(ylabel="completeness", xlim=(0, 1), ylim=(0, 1.02), title="linear")
        # Two tenths keep an axis where there are only a few non-lenses.
        left = min(1 / np.sum(~labels), 0.2)
        logarithmic.set(xscale="log", xlim=(left, 1), title="logarithmic, from one false positive")
        logarithmic.xaxis.set_major_formatter("{x:g}")
        logarithmic.xaxis.set_minor_formatter(NullFormatter())
        for axes, smallest in ((linear, 0), (logarithmic, left)):
            place = (max(point[0], smallest), point[1])
            axes.plot(*place, "o", color=VERMILLION, clip_on=False, zorder=5, label=_point_name(point, threshold))
        figure.legend(*_legend_in_order(linear), loc="outside lower center", ncols=3)


def plot_history(path: Union[str, Path], history: Sequence[Mapping[str, Optional[float]]], title: str) -> None:
    """Draw what each epoch of a training reached, with the learning rate below.

    Parameters
    ----------
    path : str or Path
        PNG file to write; one that is there is replaced.
    history : sequence of mapping
        One an epoch, with the keys epoch, loss, learning_rate and seconds.  The keys
        validation_loss, validation_accuracy and validation_auroc may be there, in some epochs only
        or None; accuracy and AUROC get a panel where any epoch has one.
    title : str
        Title of the figure; the time of the whole training is added to it.

    Raises
    ------
    UserError
        Where the history is empty or an epoch lacks a key, and for a file that cannot be written.
    """
    _check_history(history)
    seconds = float(np.nansum(_column(history, "seconds")))
    has_shares = any(np.isfinite(_column(history, key)).any() for key in SHARES)
    heights = [3, 2, 1.6] if has_shares else [3, 1.6]
    with _figure(path, WIDTH_INCHES, 1.2 + 0.8 * sum(heights)) as figure:
        epochs = "1 epoch" if len(history) == 1 else f"{len(history)} epochs"
        figure.suptitle(f"{title}  ({epochs}, {_readable_time(seconds)})")
        panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        _draw_columns(panels[0], history, LOSSES)
        panels[0].set_ylabel("loss")
        if has_shares:
            _draw_columns(panels[1], history, SHARES)
            panels[1].set(ylabel="validation", ylim=(0, 1.02))
        _draw_learning_rate(panels[-1], history)
        epoch = _column(history, "epoch")
        panels[-1].set(xlabel="epoch", xlim=(epoch.min() - 0.5, epoch.max() + 0.5))
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
        figure.align_ylabels(panels)


def plot_scores(
    path: Union[str, Path], labels: np.ndarray, scores: np.ndarray, title: str, threshold: float = 0.5
) -> None:
    """Draw how the scores of lenses and of non-lenses are spread, on a logarithmic axis of counts.

    Parameters
    ----------
    path : str or Path
        PNG file to write; one that is there is replaced.
    labels : bool array (N,), or of 0 and 1
        True or 1 for a lens; one class alone is allowed.
    scores : float array (N,), in [0, 1]
        The higher, the more like a lens.
    title : str
        Title of the figure.

    Raises
    ------
    UserError
        As `metrics.check_labelled_scores`, and for a file that cannot be written.
    """
    labels, scores = check_labelled_scores(labels, scores, need_both_classes=False)
    edges = np.linspace(0, 1, 51)
    classes = (("non-lenses", ~labels, VERMILLION), ("lenses", labels, BLUE))
    with _figure(path, WIDTH_INCHES, 4) as figure:
        figure.suptitle(title)
        axes = figure.subplots()
        for name, chosen, colour in classes:
            n_above = int(np.sum(scores[chosen] > threshold))
            label = f"{name}: {n_above:,} of {chosen.sum():,} above {threshold:g}"
            counts, _ = np.histogram(scores[chosen], edges)
            axes.stairs(counts, edges, fill=True, color=colour, alpha=0.2)
            # Outlines lie above both fills.
            axes.stairs(counts, edges, color=colour, linewidth=1.6, label=label, zorder=3)
        axes.axvline(threshold, color=GREY, linestyle="--", linewidth=1, label=f"threshold {threshold:g}")
        # A bin with one stamp stands above the axis.
        axes.set(yscale="log", xlim=(0, 1), xlabel="score", ylabel="stamps in a bin of 0.02")
        axes.set_ylim(bottom=0.5)
        axes.yaxis.set_major_formatter("{x:,g}")
        figure.legend(loc="outside lower center", ncols=3)


def plot_comparison(
    path: Union[str, Path],
    labels: np.ndarray,
    scores: Mapping[str, np.ndarray],
    title: str,
    threshold: float = 0.5,
) -> None:
    """Draw two sets of scores of the same stamps against each other, and both ROCs.

    Non-lenses are drawn first, so that in a crowd the lenses are seen.  A stamp in the upper left or
    lower right quarter is called a lens by one set only.

    Parameters
    ----------
    path : str or Path
        PNG file to write; one that is there is replaced.
    labels : bool array (N,), or of 0 and 1
        True or 1 for a lens.
    scores : mapping of float arrays (N,), in [0, 1]
        Two sets by name, of the same stamps in the same order; the first is on the horizontal axis.
    title : str
        Title of the figure.
    threshold : float
        In [0, 1].

    Raises
    ------
    UserError
        For a number of sets other than two; as `metrics.check_labelled_scores`, both classes being
        needed; and for a file that cannot be written.
    """
    if len(scores) != 2:
        raise UserError(f"a comparison needs 2 sets of scores, got {len(scores)}; name each")
    checked = [check_labelled_scores(labels, values) for values in scores.values()]
    labels = checked[0][0]
    names = [_shortened(name) for name in scores]
    with _figure(path, WIDTH_INCHES, 5) as figure:
        figure.suptitle(title.replace("$", r"\$"), wrap=True)
        left, right = figure.subplots(1, 2)
        _draw_score_pairs(left, labels, checked[0][1], checked[1][1], threshold)
        left.set(xlabel=f"score, {names[0]}", ylabel=f"score, {names[1]}")
        # Both are seen where the second covers the first.
        looks = ((GREEN, "-", 2.8), (PURPLE, (0, (5, 1)), 1.4))
        for name, (_, values), (colour, style, width) in zip(names, checked, looks):
            low, high = auroc_interval(labels, values)
            label = f"{name}\nAUROC {auroc(labels, values):.3f} ({AUROC_LEVEL:.0%} interval {low:.3f} to {high:.3f})"
            right.plot(*roc(labels, values)[:2], color=colour, linestyle=style, linewidth=width, label=label)
            point = _point_at_threshold(labels, values, threshold)
            right.plot(*point, "o", color=colour, clip_on=False, zorder=5)
        right.plot([], [], "o", color=GREY, label=f"score > {threshold:g}")
        right.plot((0, 1), (0, 1), ":", color=GREY, linewidth=1, label="chance")
        right.set(xlabel="false positive rate", ylabel="completeness")
        for axes in (left, right):
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16))


def plot_stamps(
    path: Union[str, Path],
    stamps: np.ndarray,
    titles: Sequence[str],
    suptitle: str,
    framed: Optional[np.ndarray] = None,
) -> None:
    """Draw a contact sheet of stamps, all at one size and one stretch.

    Each stamp is shown less its median and in units of its own noise (the median absolute deviation
    of its pixels, scaled to a normal sigma), with an arcsinh stretch.  So a source of equal
    significance looks equal in any stamp.  Non-finite pixels are vermillion.  The first row of the
    array is drawn at the bottom, as FITS viewers do.

    Parameters
    ----------
    path : str or Path
        PNG file to write; one that is there is replaced.
    stamps : float32 array (N, bands, height, width) or (N, height, width)
        1 to 40 stamps in any unit.  Of several bands the first is shown, and the title says so.
    titles : sequence of str
        One a stamp; long ones are wrapped.
    suptitle : str
        Title of the figure.
    framed : bool array (N,), optional
        Stamps to draw in a vermillion frame.

    Raises
    ------
    UserError
        For stamps of another shape, more than 40 or none, for titles of another number, and for a
        file that cannot be written.
    """
    stamps = np.asarray(stamps, dtype=np.float64)
    _check_stamps(stamps, titles)
    if stamps.ndim == 4:
        if stamps.shape[1] > 1:
            suptitle = f"{suptitle}  (first of {stamps.shape[1]} bands)"
        stamps = stamps[:, 0]  # (N, height, width)
    n_columns = min(len(stamps), STAMP_COLUMNS)
    n_rows = -(-len(stamps) // n_columns)
    wrapped = ["\n".join(textwrap.fill(line, TITLE_LETTERS) for line in name.splitlines()) for name in titles]
    title_lines = sum(
        max(name.count("\n") + 1 for name in wrapped[first : first + n_columns])
        for first in range(0, len(wrapped), n_columns)
    )
    # The last term is for the title of the sheet and its bar.
    height = n_rows * STAMP_INCHES + 0.13 * title_lines + 1
    norm = AsinhNorm(STRETCH_KNEE, vmin=STRETCH_LOWEST, vmax=STRETCH_HIGHEST)
    colours = matplotlib.colormaps["gray"].with_extremes(bad=VERMILLION)
    with _figure(path, max(n_columns * STAMP_INCHES, 5), height) as figure:
        figure.suptitle(suptitle, wrap=True)
        grid = figure.subplots(n_rows, n_columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, stamp, name in zip(grid.flat, stamps, wrapped):
            shown = axes.imshow(
                _in_noise_units(stamp), cmap=colours, norm=norm, origin="lower", interpolation="nearest"
            )
            axes.set_title(name, fontsize=7, fontweight="normal", pad=2)
        for axes, is_framed in zip(grid.flat, [] if framed is None else framed):
            if is_framed:
                axes.add_patch(
                    Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, edgecolor=VERMILLION, linewidth=4)
                )
        bar = figure.colorbar(shown, ax=grid, location="bottom", aspect=60, shrink=0.6, extend="both")
        bar.set_ticks(STAMP_TICKS, labels=[str(tick) for tick in STAMP_TICKS])
        bar.set_label("pixel value less the median, over the noise of the stamp")


def plot_maps(
    path: Union[str, Path], stamps: np.ndarray, maps: np.ndarray, titles: Sequence[str], suptitle: str
) -> None:
    """Draw stamps with their occlusion maps beside them.

    All maps have one scale, symmetric about 0: green where hiding a place lowers the score, purple where it raises it.

    Parameters
    ----------
    path : str or Path
        PNG file to write; one that is there is replaced.
    stamps : float32 array (N, bands, height, width)
        1 to 20 stamps in any unit, drawn as `plot_stamps` does; of several bands the first is shown.
    maps : float32 array (N, height, width)
        In [-1, 1].
    titles : sequence of str
        One a stamp; long ones are wrapped.
    suptitle : str
        Title of the figure.

    Raises
    ------
    UserError
        For stamps of another shape, more than 20 or none, for titles of another number, and for a
        file that cannot be written.
    """
    stamps = np.asarray(stamps, dtype=np.float64)
    _check_stamps(stamps, titles, MOST_STAMPS // 2)
    n_pairs = min(len(stamps), STAMP_COLUMNS // 2)
    n_rows = -(-len(stamps) // n_pairs)
    wrapped = ["\n".join(textwrap.fill(line, 2 * TITLE_LETTERS) for line in name.splitlines()) for name in titles]
    limit = float(np.abs(maps).max()) or 1.0
    lines = max(name.count("\n") + 1 for name in wrapped)
    height = n_rows * (1.25 * STAMP_INCHES + 0.13 * lines) + 1
    norm = AsinhNorm(STRETCH_KNEE, vmin=STRETCH_LOWEST, vmax=STRETCH_HIGHEST)
    with _figure(path, max(2.5 * n_pairs * STAMP_INCHES, 5), height) as figure:
        figure.suptitle(suptitle, wrap=True)
        grid = figure.subplots(n_rows, 2 * n_pairs, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        pairs = zip(grid.reshape(-1, 2), stamps[:, 0], maps, wrapped)
        for (left, right), stamp, found, name in pairs:
            left.imshow(_in_noise_units(stamp), cmap="gray", norm=norm, origin="lower", interpolation="nearest")
            left.set_title(name, fontsize=7, fontweight="normal", pad=2, loc="left")
            shown = right.imshow(found, cmap="PRGn", vmin=-limit, vmax=limit, origin="lower", interpolation="nearest")
        bar = figure.colorbar(shown, ax=grid, location="bottom", aspect=60, shrink=0.6)
        bar.set_label("loss of score where a patch of 5 x 5 pixels is hidden")


@contextmanager
def _figure(path: Union[str, Path], width_inches: float, height_inches: float) -> Iterator[Figure]:
    """Lend a figure in the house's look, and write it as PNG when the caller is done with it."""
    with matplotlib.rc_context():
        # The reader's own matplotlibrc must not change the look.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(LOOK)
        figure = Figure(figsize=(width_inches, height_inches), dpi=DOTS_PER_INCH, layout="constrained")
        yield figure
        _write_png(figure, Path(path))
        figure.clear()


def _write_png(figure: Figure, path: Path) -> None:
    """Write under a temporary name and rename, so that no reader sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(
            f"cannot write the plot {path}: {error.strerror}; name a file in a folder that is there "
            "and that you may write to"
        ) from error
    finally:
        if temporary.exists():
            temporary.unlink()


def _densified(false_positive_rate: np.ndarray, completeness: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Curve with points added along its lines, which are bent on a logarithmic axis."""
    vertices = np.arange(len(completeness))
    n_parts = 1 + 20000 // len(vertices)
    places = np.linspace(0, vertices[-1], vertices[-1] * n_parts + 1)
    return np.interp(places, vertices, false_positive_rate), np.interp(places, vertices, completeness)


def _point_at_threshold(labels: np.ndarray, scores: np.ndarray, threshold: float) -> Tuple[float, float]:
    """False positive rate and completeness of ``score > 0.5``."""
    counts = confusion(labels, scores, threshold)
    return counts.false_positives / np.sum(~labels), counts.true_positives / np.sum(labels)


def _draw_score_pairs(
    axes: Axes, labels: np.ndarray, scores_a: np.ndarray, scores_b: np.ndarray, threshold: float
) -> None:
    """Draw a point a stamp, smaller and fainter where there are many, with the threshold of each axis."""
    axes.plot((0, 1), (0, 1), ":", color=GREY, linewidth=1)
    axes.axvline(threshold, color=GREY, linestyle="--", linewidth=1, label=f"threshold {threshold:g}")
    axes.axhline(threshold, color=GREY, linestyle="--", linewidth=1)
    share = min(1, 300 / len(labels))
    for name, chosen, colour, marker in (("non-lenses", ~labels, VERMILLION, "^"), ("lenses", labels, BLUE, "o")):
        look: Any = {"marker": marker, "facecolor": "none", "edgecolor": colour, "linewidth": 0.8, "zorder": 3}
        size, alpha = 4 + 20 * share, 0.3 + 0.5 * share
        axes.scatter(scores_a[chosen], scores_b[chosen], s=size, alpha=alpha, clip_on=False, **look)
        axes.scatter([], [], s=24, label=f"{chosen.sum():,} {name}", **look)


def _shortened(name: str) -> str:
    """Both ends of a name that is too long for an axis; a dollar is no formula."""
    if len(name) > NAME_LETTERS:
        name = f"{name[:12]}\N{HORIZONTAL ELLIPSIS}{name[13 - NAME_LETTERS :]}"
    return name.replace("$", r"\$")


def _point_name(point: Tuple[float, float], threshold: float) -> str:
    return f"score > {threshold:g}: completeness {point[1]:.3f}, FPR {point[0]:.3g}"


def _legend_in_order(axes: Axes) -> Tuple[list, list]:
    """Handles and labels, the curve first and chance last."""
    handles, names = axes.get_legend_handles_labels()
    return handles[1:] + handles[:1], names[1:] + names[:1]


def _check_history(history: Sequence[Mapping[str, Optional[float]]]) -> None:
    if len(history) == 0:
        raise UserError("the history has 0 epochs; train for 1 or more")
    for row, epoch in enumerate(history):
        missing = [key for key in HISTORY_KEYS if key not in epoch]
        if missing:
            raise UserError(f"row {row} of the history lacks {', '.join(missing)}; write them for each epoch")


def _column(history: Sequence[Mapping[str, Optional[float]]], key: str) -> np.ndarray:
    """One key of every epoch, NaN where it is missing or None."""
    values = [epoch.get(key) for epoch in history]
    return np.array([np.nan if value is None else float(value) for value in values])


def _draw_columns(
    axes: Axes, history: Sequence[Mapping[str, Optional[float]]], columns: Mapping[str, Tuple[str, str]]
) -> None:
    """Draw the columns that the history has; epochs without a value are passed over."""
    epoch = _column(history, "epoch")
    for key, (name, colour) in columns.items():
        values = _column(history, key)
        there = np.isfinite(values)
        if there.any():
            # Markers show single epochs, and would hide a long line.
            marker = "o" if there.sum() <= 60 else ""
            axes.plot(epoch[there], values[there], marker=marker, markersize=3, color=colour, label=name)
    if axes.lines:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def _draw_learning_rate(axes: Axes, history: Sequence[Mapping[str, Optional[float]]]) -> None:
    rate = _column(history, "learning_rate")
    axes.plot(_column(history, "epoch"), rate, ".-", color=GREY, drawstyle="steps-mid", markersize=4)
    axes.set_ylabel("learning rate")
    positive = rate[rate > 0]
    if positive.size:
        axes.set_yscale("log")
        # Whole decades with at most five labels, so that a constant rate has a label too.
        lowest, highest = int(np.floor(np.log10(positive.min()))), int(np.ceil(np.log10(positive.max())))
        axes.set_ylim(10.0 ** (lowest - 0.4), 10.0 ** (highest + 0.4))
        axes.set_yticks(10.0 ** np.arange(highest, lowest - 1, -(1 + (highest - lowest) // 5)))
        axes.yaxis.set_minor_locator(NullLocator())


def _readable_time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _check_stamps(stamps: np.ndarray, titles: Sequence[str], most: int = MOST_STAMPS) -> None:
    if stamps.ndim not in (3, 4) or 0 in stamps.shape:
        raise UserError(
            f"stamps need shape (N, bands, height, width) or (N, height, width), got {stamps.shape}; "
            "reshape them, and give 1 or more"
        )
    if len(stamps) > most:
        raise UserError(f"a contact sheet holds {most} stamps, got {len(stamps)}; choose some of them")
    if len(titles) != len(stamps):
        raise UserError(f"got {len(titles)} titles for {len(stamps)} stamps; give one title a stamp")


def _in_noise_units(stamp: np.ndarray) -> np.ndarray:
    """Stamp (height, width) less its median, over its noise; non-finite pixels are masked."""
    finite = stamp[np.isfinite(stamp)]
    if finite.size == 0:
        return np.ma.masked_all(stamp.shape)
    centred = np.ma.masked_invalid(stamp) - np.median(finite)
    noise = SIGMA_OVER_MAD * np.median(np.abs(finite - np.median(finite)))
    # More than half of the pixels are equal in a noise-free stamp; then take all, then none.
    noise = noise or np.std(finite) or 1.0
    return centred / noise
