"""The figures of a report: SVG that takes the page's colours, and the numbers behind each.

Matplotlib draws in stand-in colours, which become the custom properties of the page's style sheet, so that one
drawing serves light, dark and print.  Nothing in an SVG depends on the time or on the order of drawing.
"""

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator, NullFormatter

from lens_common.drawing.curves import frame_roc
from lens_common.scores.comparison import score_agreement
from lens_common.scores.metrics import auroc, roc

from .intervals import Estimate, band_of_rocs, wilson
from .markdown import plain

# Stand-ins -> custom properties.  The series are Okabe & Ito's, told apart by colour-blind readers too.
INK, FAINT = "#010203", "#040506"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#777777", "#8c6bb1")
COLOURS = {INK: "ink", FAINT: "faint", **{colour: f"series-{i}" for i, colour in enumerate(SERIES, 1)}}
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
MOST_POINTS = 2000  # of a cloud; more would fill the page
LONGEST_NAME = 44  # letters, in a legend
MARKERS = "os^vDPX*"  # as many as there are colours: two of those are near each other in some lights
WIDTH, HEIGHT = 4.4, 3.3  # inches; a phone shows them at about this size

LOOK: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lens-report",
    "text.parse_math": False,
    "font.size": 9,
    "axes.titlesize": 9,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "lines.linewidth": 1.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@dataclass(frozen=True)
class Figure:
    """A drawing with its numbers.

    Attributes
    ----------
    key : str
        Unlike that of any other figure of the page; its SVG's ids begin with it.
    title : str
        One line, above.
    alt : str
        What is to be seen, for those who cannot see it.
    svg : str
        Inline SVG.
    rows : list of dict
        The numbers, for CSV.
    note : str
        Below the drawing; Markdown.
    source : str
        Data, script and command behind it; Markdown.
    """

    key: str
    title: str
    alt: str
    svg: str
    rows: list[dict[str, Any]]
    note: str = ""
    source: str = ""


@contextmanager
def drawing(height: float = HEIGHT, width: float = WIDTH) -> Iterator[Any]:
    """Lend the axes of a figure in the look of a report."""
    with matplotlib.rc_context(LOOK):
        yield Canvas(figsize=(width, height), layout="constrained").subplots()


def to_svg(canvas: Canvas, key: str) -> str:
    """Inline SVG of a drawing: sized by the page, coloured by it, with ids of its own.

    Parameters
    ----------
    canvas : matplotlib Figure
    key : str
        Goes before each id.

    Returns
    -------
    str
        Without prolog; the same drawing gives the same text.
    """
    with io.StringIO() as file, matplotlib.rc_context(LOOK), warnings.catch_warnings():
        # The browser has its own fonts, so a glyph that is missing here is no loss.
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
        canvas.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
        text = file.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<image\b[^>]*?) id="[^"]*"', r"\1", text)  # of its pixels: two equal pictures would share it
    text = re.sub(r'\bid="', f'id="{key}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{key}-", text)
    text = re.sub(
        r"#[0-9a-f]{6}\b", lambda match: f"var(--{COLOURS[match[0]]})" if match[0] in COLOURS else match[0], text
    )
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px; font-family: inherit", text)
    text = re.sub(r"\n\s+", "\n", text)
    return text.replace("<svg ", '<svg focusable="false" aria-hidden="true" ', 1)


def standalone(figure: Figure) -> str:
    """The drawing of a figure as an SVG file of its own: light colours on white."""
    fixed = {name: colour for colour, name in COLOURS.items()} | {"ink": "#1b1f24", "faint": "#d5d9de"}
    text = figure.svg.replace("font-family: inherit", "font-family: sans-serif")
    return (
        re.sub(r"var\(--([\w-]+)\)", lambda match: fixed[match[1]], text).replace(
            "<svg ", '<svg style="background: #ffffff" ', 1
        )
        + "\n"
    )


def _legend(name: str) -> str:
    """A name as a legend takes it: shortened in the middle, and not left out for its underscore."""
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME // 2]}…{name[-LONGEST_NAME // 2 + 1 :]}"
    return f"\u200b{name}" if name.startswith("_") else name


def draw_roc(key: str, title: str, curves: Mapping[str, Any], logarithmic: bool) -> Figure:
    """ROC of one to eight sets of scores with pointwise 95 % bands.

    Parameters
    ----------
    key, title : str
    curves : dict of str to ScoreSet
        By the name in the legend.
    logarithmic : bool
        Whether the axis of the false positive rate is; it then begins at one false positive.
    """
    rows: list[dict[str, Any]] = []
    with drawing() as axes:
        left = min(1 / max(min(int((~values.labels).sum()) for values in curves.values()), 1), 0.2)
        grid = np.geomspace(left, 1, 80) if logarithmic else np.linspace(0, 1, 81)
        for i, (name, values) in enumerate(curves.items()):
            false_positive_rate, completeness, _ = roc(values.labels, values.scores)
            low, high = band_of_rocs(values.labels, values.scores, grid)
            at_grid = np.interp(grid, false_positive_rate, completeness)
            label = f"{_legend(name)}: {auroc(values.labels, values.scores):.3f}"
            _line_in_band(axes, i, grid, (at_grid, low, high), label=label)
            rows += [
                {"curve": name, "false_positive_rate": x, "completeness": y, "low": lo, "high": hi}
                for x, y, lo, hi in zip(grid, at_grid, low, high)
            ]
        axes.plot(grid, grid, color=INK, linewidth=0.8, linestyle=":", label="chance")
        frame_roc(axes, left if logarithmic else None)
        axes.legend(loc="upper left" if logarithmic else "lower right", title="AUROC")
    areas = ", ".join(f"{name} {auroc(values.labels, values.scores):.3f}" for name, values in curves.items())
    return Figure(
        key,
        title,
        f"ROC on a {'logarithmic' if logarithmic else 'linear'} axis; AUROC: {areas}.",
        to_svg(axes.figure, key),
        rows,
    )


def _line_in_band(
    axes: Axes, i: int, x: Sequence[float] | np.ndarray, band: Sequence[Any], alpha: float = 0.18, **look: Any
) -> None:
    """Draw the i-th line with its band: its middle, its lower and its upper edge."""
    middle, low, high = band
    colour = SERIES[i % len(SERIES)]
    axes.fill_between(x, low, high, color=colour, alpha=alpha, linewidth=0)
    axes.plot(x, middle, color=colour, linestyle=DASHES[i % len(DASHES)], **look)


def draw_score_pairs(key: str, title: str, first: Any, second: Any, names: Sequence[str]) -> Figure:
    """Each stamp's score by one run against that by the other; of many stamps every second, third and so on."""
    largest = score_agreement(first.scores, second.scores, 0.5)["largest_score_difference"]
    n_stamps, step = len(first.ids), -(-len(first.ids) // MOST_POINTS)
    stamp_ids, labels, scores = first.ids[::step], first.labels[::step], (first.scores[::step], second.scores[::step])
    with drawing(WIDTH * 0.9, WIDTH) as axes:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        for label, colour, marker, what in ((False, SERIES[1], "x", "non-lens"), (True, SERIES[0], "o", "lens")):
            rows = labels == label
            axes.plot(
                scores[0][rows], scores[1][rows], marker, color=colour, markersize=3,
                markeredgewidth=0.6, label=what, markerfacecolor="none" if marker == "o" else colour,
            )  # fmt: skip
        axes.set(
            xlabel=_legend(names[0]), ylabel=_legend(names[1]), xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal"
        )
        axes.legend(loc="upper left")
    rows = [
        {"id": stamp_id, "is_lens": int(label), names[0]: a, names[1]: b}
        for stamp_id, label, a, b in zip(stamp_ids, labels, *scores)
    ]
    alt = f"Scores of {n_stamps} stamps by both runs; the largest difference is {largest:.2g}."
    note = f"{len(rows):,} of the {n_stamps:,} stamps are drawn and listed." if step > 1 else ""
    return Figure(key, title, alt, to_svg(axes.figure, key), rows, note)


def draw_calibration(key: str, title: str, curves: Mapping[str, Any]) -> Figure:
    """Share of lenses among the stamps of like score, in ten bins of equal width."""
    table: list[dict[str, Any]] = []
    with drawing() as axes:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":", label="calibrated")
        for i, (name, values) in enumerate(curves.items()):
            rows: list[dict[str, Any]] = [
                {
                    "run": name,
                    "mean_score": float(values.scores[inside].mean()),
                    **wilson(int(values.labels[inside].sum()), int(inside.sum())).row(),
                }
                for inside in _tenths(values.scores)
            ]
            table += rows
            shift = (i - (len(curves) - 1) / 2) * 0.008
            _errors(axes, [row["mean_score"] + shift for row in rows], rows, i, name)
        axes.set(xlabel="score", ylabel="share of lenses", xlim=(0, 1), ylim=(0, 1.02))
        axes.legend(loc="upper left")
    errors = ", ".join(f"{name} {calibration_error(v.labels, v.scores):.3f}" for name, v in curves.items())
    note = f"Expected calibration error in these bins: {errors}. Bars: 95 % Wilson intervals."
    return Figure(key, title, f"Share of lenses against score. {note}", to_svg(axes.figure, key), table, plain(note))


def calibration_error(labels: np.ndarray, scores: np.ndarray) -> float:
    """Mean over the stamps of |share of lenses - mean score| of their bin, ten bins of equal width.

    References
    ----------
    Guo et al. 2017, arXiv:1706.04599, equation 3.
    """
    gaps = [abs(labels[inside].sum() - scores[inside].sum()) for inside in _tenths(scores)]
    return float(sum(gaps) / len(labels))


def _tenths(scores: np.ndarray) -> list[np.ndarray]:
    """Which scores lie in each of ten equal bins, bool arrays (N,); the last holds 1, empty bins are left out."""
    which = np.minimum((scores * 10).astype(int), 9)
    return [which == k for k in np.unique(which)]


def draw_completeness(
    key: str, title: str, curves: Mapping[str, Any], parameter: str, edges: Sequence[float], thresholds: Sequence[float]
) -> Figure:
    """Completeness of the lenses of each bin of a parameter, at each run's own threshold, with counts."""
    units = {"einstein_radius": "Einstein radius [arcsec]", "snr": "S/N of the source, all pixels"}
    table: list[dict[str, Any]] = []
    with drawing() as axes:
        for i, ((name, values), threshold) in enumerate(zip(curves.items(), thresholds)):
            column, is_called = values.parameters[parameter], values.scores > threshold
            bins = [(low, high, values.labels & (column >= low) & (column < high)) for low, high in pairwise(edges)]
            rows: list[dict[str, Any]] = [
                {
                    "run": name,
                    "from": low,
                    "to": high,
                    "threshold": threshold,
                    **wilson(int(is_called[inside].sum()), int(inside.sum())).row(),
                }
                for low, high, inside in bins
                if inside.any()
            ]
            centre = [
                np.sqrt(max(row["from"], row["to"] / 5) * row["to"])
                if parameter == "snr"
                else (row["from"] + row["to"]) / 2
                for row in rows
            ]
            factor = (i - (len(curves) - 1) / 2) * 0.03
            _errors(axes, [x * (1 + factor) for x in centre], rows, i, name)
            if i == 0:
                for x, row in zip(centre, rows):
                    axes.annotate(str(row["n"]), (x, 1.04), ha="center", fontsize=7, annotation_clip=False, color=INK)
            table += rows
        axes.set(xlabel=units[parameter], ylabel="completeness", ylim=(0, 1.02))
        if parameter == "snr":
            axes.set(xscale="log", xticks=edges[1:-1])
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.figure.legend(loc="outside lower left", ncols=2)
    last = table[-1]
    alt = (
        f"Completeness against {units[parameter]}; {last['run']} finds {last['share']:.2f} of the {last['n']} lenses "
        f"from {last['from']:g} on."
    )
    note = (
        "Numbers above: lenses in the bin. Bars: 95 % Wilson intervals. Called at the threshold that each run fixed "
        "on its validation stamps."
    )
    return Figure(key, title, alt, to_svg(axes.figure, key), table, note)


def _errors(
    axes: Axes, places: Sequence[float], rows: Sequence[Mapping[str, Any]], i: int, name: str, **look: Any
) -> None:
    shares = np.array([row["share"] for row in rows])
    around = [shares - [row["low"] for row in rows], [row["high"] for row in rows] - shares]
    axes.errorbar(
        places, shares, np.maximum(around, 0), color=SERIES[i % len(SERIES)], marker="os^v"[i % 4], markersize=3.5,
        linewidth=1, capsize=2, label=_legend(name), **look,
    )  # fmt: skip


def draw_histories(key: str, title: str, groups: Mapping[str, Sequence[Any]], column: str, label: str) -> Figure:
    """A number of the training history against the epoch: mean over the seeds, band from lowest to highest."""
    table: list[dict[str, Any]] = []
    with drawing() as axes:
        for i, (name, runs) in enumerate(groups.items()):
            columns = [[row.get(column) for row in run.history] for run in runs]
            length = min(map(len, columns))
            values = np.array([[np.nan if v is None else v for v in line[:length]] for line in columns], float)
            if not np.isfinite(values).any(axis=0).all():
                continue
            epochs, mean = np.arange(1, length + 1), np.nanmean(values, axis=0)
            low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
            _line_in_band(
                axes, i, epochs, (mean, low, high), label=f"{_legend(name)} ({len(runs)})",
                marker="o" if length < 8 else "", markersize=3,
            )  # fmt: skip
            table += [
                {"runs": name, "n_seeds": len(runs), "epoch": int(x), "mean": m, "lowest": lo, "highest": hi}
                for x, m, lo, hi in zip(epochs, mean, low, high)
            ]
        axes.set(xlabel="epoch", ylabel=label)
        if table:
            axes.legend(loc="best", title="runs (seeds)")
    last = {row["runs"]: row for row in table}
    ends = "; ".join(f"{row['runs']}: {row['mean']:.3f}" for row in last.values())
    return Figure(
        key, title, f"{label} by epoch; at the end {ends or 'nothing was recorded'}.", to_svg(axes.figure, key), table
    )


def draw_estimates(
    key: str, title: str, rows: Mapping[str, Mapping[str, Estimate]], label: str, chance: float | None = 0.5
) -> Figure:
    """A dot with its interval for each series in each row, and a small dot for each seed.

    Parameters
    ----------
    key, title : str
    rows : dict of str to dict of str to Estimate
        Row name, from top to bottom, to series name to what was measured.
    label : str
        Of the axis.
    chance : float, optional
        Where to draw a line.
    """
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    table: list[dict[str, Any]] = []
    with drawing(0.9 + 0.3 * len(rows) + 0.18 * len(series)) as axes:
        for j, (name, row) in enumerate(rows.items()):
            for kind, found in row.items():
                i = series.index(kind)
                y = j + (i - (len(series) - 1) / 2) * 0.7 / max(len(series), 2)
                colour = SERIES[i % len(SERIES)]
                axes.plot(found.values, [y] * len(found.values), ".", color=colour, markersize=3, alpha=0.6)
                axes.errorbar(
                    found.value, y, xerr=[[found.value - found.low], [found.high - found.value]],
                    color=colour, marker="os^v"[i % 4], markersize=4, linewidth=1.2, capsize=2,
                    label=kind if not any(entry["series"] == kind for entry in table) else None,
                )  # fmt: skip
                table.append({"row": name, "series": kind, **found.row()})
        if chance is not None:
            axes.axvline(chance, color=INK, linewidth=0.8, linestyle=":")
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set(xlabel=label, ylim=(len(rows) - 0.4, -0.6))
        axes.grid(axis="y", visible=False)
        axes.figure.legend(loc="outside lower left", ncols=min(len(series), 3))
    alt = "; ".join(f"{row['row']}, {row['series']}: {row['mean']:.3f}" for row in table)
    return Figure(key, title, f"{label}: {alt}.", to_svg(axes.figure, key), table)


def draw_growth(key: str, title: str, lines: Mapping[str, Mapping[int, Estimate]], label: str) -> Figure:
    """A number against the number of stamps, logarithmic: mean, interval over seeds and stamps."""
    table: list[dict[str, Any]] = []
    with drawing(HEIGHT + 0.17 * len(lines)) as axes:
        for i, (name, points) in enumerate(lines.items()):
            sizes = sorted(points)
            band = [[getattr(points[size], part) for size in sizes] for part in ("value", "low", "high")]
            _line_in_band(axes, i, sizes, band, alpha=0.15, label=name, marker=MARKERS[i % len(MARKERS)], markersize=4)
            table += [{"runs": name, "n_stamps": size, **points[size].row()} for size in sizes]
        axes.axhline(0.5, color=INK, linewidth=0.8, linestyle=":")
        axes.set(xscale="log", xlabel="stamps", ylabel=label)
        sizes = sorted({row["n_stamps"] for row in table})
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.figure.legend(loc="outside lower left")
    alt = "; ".join(f"{row['runs']}, {row['n_stamps']}: {row['mean']:.3f}" for row in table)
    return Figure(key, title, f"{label} by number of stamps: {alt}.", to_svg(axes.figure, key), table)


def draw_lines(
    key: str,
    title: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    axes_labels: tuple[str, str],
    **limits: Any,
) -> Figure:
    """Some lines of points, as they are, the first on top; two points alone are not joined.

    `limits` go to the axes.
    """
    table: list[dict[str, Any]] = []
    with drawing() as axes:
        for i, (name, points) in enumerate(lines.items()):
            axes.plot(
                *zip(*points), color=SERIES[i % len(SERIES)], marker=MARKERS[i % len(MARKERS)], markersize=3.5,
                linewidth=1.2, linestyle=DASHES[i % 4] if len(points) > 2 else "none", label=name, zorder=3 - i / 100,
            )  # fmt: skip
            table += [{"line": name, axes_labels[0]: a, axes_labels[1]: b} for a, b in points]
        axes.set(xlabel=axes_labels[0], ylabel=axes_labels[1], **limits)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="best")
    ends = "; ".join(f"{name} from {points[0][1]:.4g} to {points[-1][1]:.4g}" for name, points in lines.items())
    return Figure(key, title, f"{axes_labels[1]} against {axes_labels[0]}: {ends}.", to_svg(axes.figure, key), table)


def draw_histograms(key: str, title: str, values: Mapping[str, np.ndarray], label: str, n_bins: int = 14) -> Figure:
    """Shares of two sets of numbers in the same bins; the first has 95 % Wilson intervals, the second is a line.

    Parameters
    ----------
    key, title : str
    values : dict of str to float array
        Two sets by name; what lies beyond the 1 and 99 % quantiles of either goes into the outermost bins.
    label : str
        Of the axis.
    n_bins : int
    """
    (first, counted), (second, drawn) = values.items()
    low = min(np.quantile(part, 0.01) for part in values.values())
    high = max(np.quantile(part, 0.99) for part in values.values())
    edges = np.linspace(low, high if high > low else low + 1, n_bins + 1)
    counts = {name: np.histogram(np.clip(part, low, edges[-1]), edges)[0] for name, part in values.items()}
    table: list[dict[str, Any]] = [
        {"set": name, "from": a, "to": b, **wilson(int(n), len(values[name])).row()}
        for name in values
        for n, (a, b) in zip(counts[name], pairwise(edges))
    ]
    with drawing(2.2, 3.2) as axes:
        rows = [row for row in table if row["set"] == first]
        _errors(axes, list((edges[:-1] + edges[1:]) / 2), rows, 0, f"{first} ({len(counted)})", linestyle="none")
        axes.stairs(
            counts[second] / len(drawn),
            edges,
            color=SERIES[1],
            linewidth=1.5,
            label=_legend(f"{second} ({len(drawn)})"),
        )
        axes.set(xlabel=label, ylabel="share of stamps", ylim=(0, 1.35 * max(row["high"] for row in rows)))
        axes.legend(loc="upper center", ncols=2)
    medians = ", ".join(f"{name} {np.median(part):.3g}" for name, part in values.items())
    return Figure(key, title, f"Distribution of {label}; medians: {medians}.", to_svg(axes.figure, key), table)
