"""A report as data, and its three forms: one HTML file that loads nothing, Markdown, JSON."""

import base64
import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markdown_it import MarkdownIt
from PIL import Image

from lens_common.errors import UserError
from lens_common.files import replacing

from .figures import Figure
from .markdown import plain

SCHEMA = "lens-report"
SCHEMA_VERSION = 1
LARGEST_BYTES = 5_000_000
_MARKDOWN = MarkdownIt("commonmark", {"html": False})


@dataclass(frozen=True)
class Table:
    """Rows to be read; cells are text (Markdown) or numbers already written out.

    Attributes
    ----------
    key : str
        Unlike that of any other table or figure of the page.
    title : str
        Caption.
    columns : list of str
    rows : list of list of str
        The first cell names its row.
    note : str
        Below; Markdown.
    prose : bool
        The cells are sentences: on a phone each row becomes a list of its cells.
    folded : bool
        Shown when asked for: long, and for looking things up.
    source : str
        Data, script and command behind it; Markdown.
    """

    key: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    prose: bool = False
    folded: bool = False
    source: str = ""


@dataclass(frozen=True)
class Panel:
    """One stamp and its maps: small pictures side by side, each with its own words.

    Attributes
    ----------
    title : str
    pictures : list of (caption, alt, PNG data URI)
    """

    title: str
    pictures: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Panels:
    """A gallery of panels; the note, how to read them, comes first."""

    key: str
    title: str
    panels: Sequence[Panel]
    note: str = ""
    source: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page: paragraphs (Markdown), tables, figures and galleries, in order."""

    key: str
    title: str
    blocks: Sequence[str | Table | Figure | Panels]
    sections: Sequence["Section"] = ()


@dataclass(frozen=True)
class Report:
    """All of a page.

    Attributes
    ----------
    title : str
    lead : str
        The verdict, in plain words; Markdown.
    sections : list of Section
    data : dict
        For the JSON, beside tables and figures.
    opening : Figure, optional
        Stands before everything else.
    pages : dict of str to str
        Title of each page that belongs to this one, by its address.
    """

    title: str
    lead: str
    sections: Sequence[Section]
    data: dict[str, Any] = field(default_factory=dict)
    opening: Figure | None = None
    pages: Mapping[str, str] = field(default_factory=dict)


def write_report(report: Report, path: Path, forms: Sequence[str] = (".html", ".md", ".json")) -> list[Path]:
    """Write PATH.html, and beside it .md and .json.

    Parameters
    ----------
    report : Report
    path : Path
        Ends in ``.html``.
    forms : sequence of str
        Which of the three.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    UserError
        If the page would be larger than 5 MB.
    """
    makers = {".html": to_html, ".md": to_markdown, ".json": to_json}
    texts = {suffix: _writable(makers[suffix](report)) for suffix in forms}
    n_bytes = len(texts.get(".html", "").encode())
    if n_bytes > LARGEST_BYTES:
        raise UserError(f"the page would take {n_bytes / 1e6:.1f} MB of the 5 it may; report of fewer runs")
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix, text in texts.items():
        with replacing(path.with_suffix(suffix)) as file:
            file.write(text)
    return [path.with_suffix(suffix) for suffix in forms]


def _writable(text: str) -> str:
    """Text as UTF-8 can hold it: a file may have brought other bytes along."""
    return text.encode(errors="replace").decode()


def to_html(report: Report) -> str:
    """The page as one file, without scripts and without anything to load."""
    loader = jinja2.PackageLoader("lens_modern.report", ".")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(inline=_inline, block=_block, csv_uri=_csv_uri)
    environment.tests.update(
        table=lambda x: isinstance(x, Table), figure=lambda x: isinstance(x, Figure),
        panels=lambda x: isinstance(x, Panels),
    )  # fmt: skip
    style = Path(__file__).with_name("style.css").read_text()
    return environment.get_template("page.html").render(report=report, style=style)


def _inline(text: str) -> jinja2.utils.markupsafe.Markup:
    return jinja2.utils.markupsafe.Markup(_MARKDOWN.renderInline(str(text)))


def _block(text: str) -> jinja2.utils.markupsafe.Markup:
    return jinja2.utils.markupsafe.Markup(_MARKDOWN.render(str(text)))


def _csv_uri(figure: Figure) -> str:
    with io.StringIO() as file:
        columns = list(dict.fromkeys(key for row in figure.rows for key in row))
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _rounded(value) for key, value in row.items()} for row in figure.rows)
        return "data:text/csv;base64," + base64.b64encode(file.getvalue().encode(errors="replace")).decode()


def _rounded(value: Any) -> Any:
    """Six significant digits: what a figure shows, and what is stable between machines."""
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}")
    return value.item() if isinstance(value, np.generic) else value


def to_markdown(report: Report) -> str:
    """The same in Markdown, without drawings: a figure is named, and its numbers are in the JSON."""
    lines = [f"# {plain(report.title)}", ""]
    if report.pages:
        lines += [" · ".join(f"[{title}]({address})" for address, title in report.pages.items()), ""]
    lines += [report.lead, ""]
    for section in report.sections:
        lines += _markdown_section(section, 2)
    return "\n".join(lines).rstrip() + "\n"


def _markdown_section(section: Section, level: int) -> list[str]:
    lines = [f"{'#' * level} {plain(section.title)}", ""]
    for block in section.blocks:
        if isinstance(block, Table):
            lines += [f"**{block.title}**", ""]
            rows = [block.columns, *block.rows]
            cells = ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
            lines += [cells[0], "|" + "---|" * len(block.columns), *cells[1:], ""]
            lines += [part for text in (block.note, block.source) if text for part in (text, "")]
        elif isinstance(block, Figure):
            lines += [
                f"**Figure: {block.title}.** Its numbers: `figures.{block.key}` in the JSON beside this page.",
                "",
            ]
            lines += [part for text in (block.note, block.source) if text for part in (text, "")]
        elif isinstance(block, Panels):
            lines += [f"**{block.title}**", ""] + ([block.note, ""] if block.note else [])
            lines += [block.source, ""] if block.source else []
            lines += [*(f"- {panel.title}" for panel in block.panels), ""]
        else:
            lines += [block, ""]
    for inner in section.sections:
        lines += _markdown_section(inner, level + 1)
    return lines


def to_json(report: Report) -> str:
    """All numbers of the page, by the keys of its tables and figures."""
    found: dict[str, Any] = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "title": report.title}
    found |= {"verdict": report.lead, **report.data, "tables": {}, "figures": {}}
    opening = [report.opening] if report.opening else []
    for blocks in (opening, *(section.blocks for section in walk(report.sections))):
        for block in blocks:
            if isinstance(block, Table):
                rows = [dict(zip(block.columns, row)) for row in block.rows]
                found["tables"][block.key] = {"title": block.title, "rows": rows}
            elif isinstance(block, Figure):
                rows = [{key: _rounded(value) for key, value in row.items()} for row in block.rows]
                found["figures"][block.key] = {"title": block.title, "rows": rows}
    return json.dumps(_plain(found), indent=1, allow_nan=False) + "\n"


def walk(sections: Sequence[Section]) -> list[Section]:
    """All sections, each before those inside of it."""
    return [part for section in sections for part in (section, *walk(section.sections))]


def _plain(value: Any) -> Any:
    """Python's own types, as JSON takes them."""
    if isinstance(value, dict):
        return {_writable(str(key)): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    value = _writable(value) if isinstance(value, str) else _rounded(value)
    return None if isinstance(value, float) and not np.isfinite(value) else value


def picture(values: np.ndarray, colours: str) -> str:
    """A small array as a PNG data URI, each pixel drawn three times three.

    Parameters
    ----------
    values : float array (H, W), in [0, 1], or (H, W, 3)
    colours : {"grey", "signed", "rgb"}
        Black to white; or vermillion over white at 0.5 to blue; or red, green and blue as they are.
    """
    values = np.clip(np.nan_to_num(values), 0, 1)
    if colours == "rgb":
        image = Image.fromarray((255 * values).round().astype(np.uint8), "RGB")
    elif colours == "grey":
        image = Image.fromarray((255 * values).astype(np.uint8), "L")
    else:
        low, middle, high = (np.array(colour, float) for colour in ((213, 94, 0), (255, 255, 255), (0, 114, 178)))
        part = values[..., None]
        mixed = np.where(part < 0.5, low + (middle - low) * 2 * part, middle + (high - middle) * (2 * part - 1))
        image = Image.fromarray(mixed.astype(np.uint8), "RGB").quantize(64)
    with io.BytesIO() as file:
        image.resize((3 * image.width, 3 * image.height), Image.Resampling.NEAREST).save(file, "PNG", optimize=True)
        return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def slug(text: str) -> str:
    """A key from a name: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
