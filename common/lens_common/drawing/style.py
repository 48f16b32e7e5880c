"""The house look: colours, and the axes that a drawing makes where it is given none."""

import sys
from contextlib import contextmanager
from typing import Any, Iterator

import matplotlib
from matplotlib.figure import Figure

# Okabe & Ito 2008, "Color Universal Design": told apart by colour-blind readers too.
BLUE, VERMILLION, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"

LOOK: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.prop_cycle": matplotlib.rcsetup.cycler("color", (BLUE, VERMILLION, GREEN, PURPLE)),
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


@contextmanager
def house_look() -> Iterator[None]:
    """Draw in the house look within this block, whatever the reader's own matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(LOOK)
        yield


def literal(text: str) -> str:
    """Text in which a dollar sign begins no formula: the names of files and folders may hold some."""
    return text.replace("$", r"\$")


def new_axes(width_inches: float = 6, height_inches: float = 4, n_rows: int = 1, n_columns: int = 1) -> Any:
    """Make a figure in the house look and return its axes.

    In a notebook, and wherever pyplot is already in use, the figure is one of pyplot's: the notebook shows it below
    the cell, and ``plt.show()`` and ``plt.savefig()`` know it.  Elsewhere pyplot is left alone; write such a figure
    with ``axes.figure.savefig()``.  Neither kind needs a display.

    Parameters
    ----------
    width_inches, height_inches : float
        Size of the figure.
    n_rows, n_columns : int
        How many axes.

    Returns
    -------
    matplotlib Axes, or object array of them (n_rows, n_columns)
        As ``Figure.subplots`` returns them.
    """
    make_figure: Any = Figure
    if "matplotlib.pyplot" in sys.modules or "ipykernel" in sys.modules:
        from matplotlib import pyplot

        make_figure = pyplot.figure
    # Outside of the look: the backend of a notebook is loaded here, and what it sets must stay set.
    figure = make_figure(figsize=(width_inches, height_inches), layout="constrained")
    with house_look():
        return figure.subplots(n_rows, n_columns)
