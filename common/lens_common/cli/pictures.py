"""The pictures that the verbs write: PNG files in the house look, each whole or not at all.

Each function lays out a page of drawings on a figure of its own and never on pyplot's, so it works without a display
and leaves no state behind.
"""

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Mapping, Optional, Sequence, Union

import numpy as np
from matplotlib.figure import Figure

from ..drawing.curves import PANELS, draw_history, draw_roc, draw_score_pairs, draw_scores, history_column
from ..drawing.stamps import (
    MOST_STAMPS,
    STAMP_COLUMNS,
    STAMP_INCHES,
    TITLE_LETTERS,
    check_stamps,
    describe_colours,
    draw_maps,
    draw_stamps,
    sheet_shape,
    wrap_title,
)
from ..drawing.style import GREEN, PURPLE, house_look, literal
from ..errors import UserError
from ..files import replacing

NAME_LETTERS = 40
MOST_PAIRS = MOST_STAMPS // 2  # of a stamp and its map beside it


@contextmanager
def write_figure(path: Union[str, Path], height_inches: float, width_inches: float = 8.5) -> Iterator[Figure]:
    """Lend a figure in the house look, and write it as PNG when the block ends well.

    Parameters
    ----------
    path : str or Path
        PNG file to write; one that is there is replaced, or stays as it was if anything goes wrong.
    height_inches, width_inches : float
        Size of the figure, at 150 dots an inch.

    Yields
    ------
    matplotlib Figure

    Raises
    ------
    UserError
        For a file that cannot be written.
    """
    with house_look():
        figure = Figure(figsize=(width_inches, height_inches), dpi=150, layout="constrained")
        yield figure
        try:
            with replacing(path, "wb") as file:
                figure.savefig(file, format="png", metadata={"Software": "lens-twins"})
        except OSError as error:
            raise UserError(
                f"cannot write the plot {path}: {error.strerror}; name a file in a folder that is there "
                "and that you may write to"
            ) from error


def plot_roc(
    path: Union[str, Path], labels: np.ndarray, scores: np.ndarray, title: str, threshold: float = 0.5
) -> None:
    """Write the ROC on a linear and on a logarithmic axis of the false positive rate, as `draw_roc` draws it.

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
    threshold : float
        In [0, 1]; its point is marked.

    Raises
    ------
    UserError
        As `draw_roc`, and for a file that cannot be written.
    """
    with write_figure(path, 4.4) as figure:
        figure.suptitle(literal(title))
        left, right = figure.subplots(1, 2, sharey=True)
        draw_roc(labels, scores, left, threshold=threshold).set_title("linear")
        draw_roc(labels, scores, right, logarithmic=True, threshold=threshold).set(
            ylabel="", title="logarithmic, from one false positive"
        )
        for axes in (left, right):
            axes.get_legend().remove()
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def plot_history(path: Union[str, Path], history: Sequence[Mapping[str, Optional[float]]], title: str) -> None:
    """Write what each epoch of a training reached, with the learning rate below, as `draw_history` draws it.

    Parameters
    ----------
    path : str or Path
        PNG file to write; one that is there is replaced.
    history : sequence of mapping
        As of `draw_history`; accuracy and AUROC get a panel where any epoch has one.
    title : str
        Title of the figure; the time of the whole training is added to it.

    Raises
    ------
    UserError
        As `draw_history`, and for a file that cannot be written.
    """
    heights = {"loss": 3, "validation": 2, "learning rate": 1.6}
    if not any(np.isfinite(history_column(history, key)).any() for key in PANELS["validation"]):
        del heights["validation"]
    with write_figure(path, 1.2 + 0.8 * sum(heights.values())) as figure:
        epochs = "1 epoch" if len(history) == 1 else f"{len(history)} epochs"
        seconds = float(np.nansum(history_column(history, "seconds")))
        figure.suptitle(f"{literal(title)}  ({epochs}, {_readable_time(seconds)})")
        panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=[*heights.values()])
        for axes, panel in zip(panels, heights):
            draw_history(history, axes, panel).label_outer()
        figure.align_ylabels(panels)


def plot_scores(
    path: Union[str, Path], labels: np.ndarray, scores: np.ndarray, title: str, threshold: float = 0.5
) -> None:
    """Write how the scores of lenses and of non-lenses are spread, as `draw_scores` draws it.

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
    threshold : float
        In [0, 1].

    Raises
    ------
    UserError
        As `draw_scores`, and for a file that cannot be written.
    """
    with write_figure(path, 4) as figure:
        figure.suptitle(literal(title))
        axes = draw_scores(labels, scores, figure.subplots(), threshold)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3)


def plot_comparison(
    path: Union[str, Path],
    labels: np.ndarray,
    scores: Mapping[str, np.ndarray],
    title: str,
    threshold: float = 0.5,
) -> None:
    """Write two sets of scores of the same stamps against each other, and both ROCs.

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
        For a number of sets other than two; as `draw_roc`; and for a file that cannot be written.
    """
    if len(scores) != 2:
        raise UserError(f"a comparison needs 2 sets of scores, got {len(scores)}; name each")
    names = [_shortened(name) for name in scores]
    with write_figure(path, 5) as figure:
        figure.suptitle(literal(title), wrap=True)
        left, right = figure.subplots(1, 2)
        first, second = scores.values()
        draw_score_pairs(labels, first, second, left, names, threshold)
        # Both are seen where the second covers the first.
        looks = ((GREEN, "-", 2.8), (PURPLE, (0, (5, 1)), 1.4))
        for name, values, (colour, style, width) in zip(names, scores.values(), looks):
            draw_roc(labels, values, right, name, threshold=threshold, color=colour, linestyle=style, linewidth=width)
        right.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        for axes in (left, right):
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16))


def plot_stamps(
    path: Union[str, Path],
    stamps: np.ndarray,
    titles: Sequence[str],
    suptitle: str,
    framed: Optional[np.ndarray] = None,
    bands: Sequence[str] = (),
) -> None:
    """Write a contact sheet of stamps, as `draw_stamps` draws them.

    Parameters
    ----------
    path : str or Path
        PNG file to write; one that is there is replaced.
    stamps : float32 array (N, bands, height, width) or (N, height, width)
        1 to 40 stamps in any unit.  Several bands are shown in colour, and the title says how.
    titles : sequence of str
        One a stamp; long ones are wrapped.
    suptitle : str
        Title of the figure.
    framed : bool array (N,), optional
        Stamps to draw in a vermillion frame.
    bands : sequence of str, optional
        Names of the bands.

    Raises
    ------
    UserError
        As `draw_stamps`, and for a file that cannot be written.
    """
    n_stamps, n_bands = check_stamps(stamps, titles).shape[:2]
    n_rows, n_columns = sheet_shape(n_stamps)
    if n_bands > 1:
        suptitle = f"{suptitle}  ({describe_colours(n_bands, bands)})"
    with write_figure(path, 1, max(n_columns * STAMP_INCHES, 5)) as figure:
        figure.suptitle(literal(suptitle), wrap=True)
        grid = figure.subplots(n_rows, n_columns, squeeze=False)
        shown = draw_stamps(stamps, grid, titles, framed, bands)[0].images[0]
        title_lines = sum(max(axes.get_title().count("\n") + 1 for axes in row) for row in grid)
        # The last term is for the title of the sheet and its bar.
        figure.set_figheight(n_rows * STAMP_INCHES + 0.13 * title_lines + 1)
        if n_bands > 1:  # a colour has no bar
            return
        bar = figure.colorbar(shown, ax=grid, location="bottom", aspect=60, shrink=0.6, extend="both")
        bar.set_ticks((0, 3, 10, 30), labels=["0", "3", "10", "30"])
        bar.set_label("pixel value less the median, over the noise of the stamp")


def plot_maps(
    path: Union[str, Path],
    stamps: np.ndarray,
    maps: np.ndarray,
    titles: Sequence[str],
    suptitle: str,
    bands: Sequence[str] = (),
) -> None:
    """Write stamps with their occlusion maps beside them, as `draw_stamps` and `draw_maps` draw them.

    Parameters
    ----------
    path : str or Path
        PNG file to write; one that is there is replaced.
    stamps : float32 array (N, bands, height, width) or (N, height, width)
        1 to 20 stamps in any unit; several bands are shown in colour, and the title says how.
    maps : float32 array (N, height, width)
        In [-1, 1].
    titles : sequence of str
        One a stamp; long ones are wrapped.
    suptitle : str
        Title of the figure.
    bands : sequence of str, optional
        Names of the bands.

    Raises
    ------
    UserError
        As `draw_stamps`, for more than 20 stamps, and for a file that cannot be written.
    """
    n_stamps, n_bands = check_stamps(stamps, titles, MOST_PAIRS).shape[:2]
    n_rows, n_pairs = sheet_shape(n_stamps, STAMP_COLUMNS // 2)
    if n_bands > 1:
        suptitle = f"{suptitle}  ({describe_colours(n_bands, bands)})"
    wrapped = [wrap_title(title, 2 * TITLE_LETTERS) for title in titles]
    height = n_rows * (1.25 * STAMP_INCHES + 0.13 * max(title.count("\n") + 1 for title in wrapped)) + 1
    with write_figure(path, height, max(2.5 * n_pairs * STAMP_INCHES, 5)) as figure:
        figure.suptitle(literal(suptitle), wrap=True)
        grid = figure.subplots(n_rows, 2 * n_pairs, squeeze=False)
        for axes, title in zip(draw_stamps(stamps, grid[:, ::2], bands=bands), wrapped):
            axes.set_title(literal(title), fontsize=7, fontweight="normal", pad=2, loc="left")
        shown = draw_maps(maps, grid[:, 1::2])[0].images[0]
        bar = figure.colorbar(shown, ax=grid, location="bottom", aspect=60, shrink=0.6)
        bar.set_label("loss of score where a patch of 5 x 5 pixels is hidden")


def _shortened(name: str) -> str:
    """Both ends of a name that is too long for an axis; a dollar sign begins no formula."""
    if len(name) > NAME_LETTERS:
        name = f"{name[:12]}\N{HORIZONTAL ELLIPSIS}{name[13 - NAME_LETTERS :]}"
    return literal(name)


def _readable_time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
