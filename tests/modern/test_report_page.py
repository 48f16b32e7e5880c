"""The page is one file that loads nothing, says what its figures show, and gives the same bytes again."""

import base64
import csv
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from markdown_it import MarkdownIt

from lens_common.errors import UserError
from lens_modern.report.figures import draw_histories, draw_roc
from lens_modern.report.markdown import code, plain
from lens_modern.report.page import Report, Section, Table, to_json, to_markdown, write_report
from lens_modern.report.reading import ScoreSet, read_runs
from lens_modern.report.verb import compose

ROOT = Path(__file__).parents[2]
NASTY = """<script>alert(1)<\N{FRACTION SLASH}script>&"|'`*_x_*[a](b)![c](http:d)$^$"""
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Elements of a page in order: tag, attributes, and text by the tag it stands in."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.words = [], [], {}
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.setdefault(self.open[-1] if self.open else "", []).append(data)


def render(text):
    """Markdown as most renderers show it: HTML in it is HTML."""
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


def written(out):
    return {suffix: out.with_suffix(suffix).read_bytes() for suffix in (".html", ".md", ".json")}


@pytest.fixture(scope="module")
def study(make_run, draw_scores, change_json, tmp_path_factory):
    """The forms of a report of twins, one under a nasty name, with Einstein radii; a third run, and a bad one."""
    folder = tmp_path_factory.mktemp("study")
    sets = {"mocks": draw_scores(30, 7), "<b>|&": draw_scores(20, 8)}
    runs = [
        make_run(folder / "legacy", framework="legacy", sets=sets),
        make_run(folder / NASTY, framework="modern", sets=sets),
        make_run(folder / "resnet", model="resnet", seed=3, sets=sets),
        make_run(folder / "bad <script>|", seed=4, sets=sets),
    ]
    change_json(runs[-1] / "metrics.json", auroc=0.1)
    radii = {f"mocks{i}": {"einstein_radius": str(0.5 + i / 20), "snr": str(5 + i)} for i in range(30)}
    write_report(compose(*read_runs(runs, {"mocks": radii}), 0.02), folder / "page.html")
    return {suffix: text.decode() for suffix, text in written(folder / "page.html").items()}


def test_nothing_is_loaded(study):
    page = Page(study[".html"])
    for tag, attributes in page.elements:
        assert tag not in ("script", "iframe", "object", "embed", "base", "form"), tag
        for name, value in attributes.items():
            assert not name.startswith("on"), name
            if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                assert value.startswith(("#", "data:")), value
    assert not re.search(r"@import|url\(\s*(?!#)", study[".html"])
    assert "default-src 'none'" in study[".html"]


def test_every_id_is_its_own_and_every_link_within_the_page_has_an_end(study):
    attributes = [attributes for _, attributes in Page(study[".html"]).elements]
    ids = [found["id"] for found in attributes if "id" in found]
    assert len(ids) == len(set(ids)) > 100
    for found in attributes:
        for name in ("href", "xlink:href"):
            if found.get(name, "").startswith("#"):
                assert found[name][1:] in ids
        for name in filter(None, [found.get("aria-labelledby")]):
            assert name in ids
    assert set(re.findall(r"url\(#([^)]*)\)", study[".html"])) <= set(ids)


def figures_of(study):
    """By key: words for those who cannot see, drawing, CSV."""
    found = {}
    for block in re.findall(r'<figure id="([^"]*)">(.*?)</figure>', study[".html"], re.DOTALL):
        key, text = block
        alt = re.search(r'role="img" aria-label="([^"]*)"', text)[1]
        svg = re.search(r"<svg.*</svg>", text, re.DOTALL)[0]
        uri = re.search(r'href="data:text/csv;base64,([^"]*)"', text)[1]
        found[key] = alt, svg, base64.b64decode(uri).decode()
    return found


def test_the_page_of_twins_has_all_figures(study):
    kinds = {key.removeprefix("pair-1-") for key in figures_of(study)}
    assert kinds == {
        "overview-roc", "overview-roc-log", "overview-loss", "roc", "roc-log", "scores", "calibration",
        "einstein-radius", "snr", "loss", "watched",
    }  # fmt: skip


def test_every_figure_is_told_in_words(study):
    for alt, _, _ in figures_of(study).values():
        assert len(alt.split()) >= 5


def test_a_drawing_takes_its_colours_from_the_page(study):
    for _, svg, _ in figures_of(study).values():
        assert "var(--ink)" in svg
        colours = re.findall(r"(?:fill|stroke|stop-color|color): *([^;\"]+)", svg)
        colours += re.findall(r'(?:fill|stroke|color)="([^"]+)"', svg)
        assert colours and all(colour == "none" or colour.startswith("var(--") for colour in colours)
        assert not re.search(r"#[0-9a-fA-F]{3,8}\b(?!-)", re.sub(r"(?:href=\"|url\()#[^\")]*", "", svg))


def test_the_style_knows_every_colour_that_a_drawing_asks_for_light_and_dark(study):
    light, dark = re.findall(r":root \{(.*?)\}", study[".html"], re.DOTALL)[:2]
    for colour in set(re.findall(r"var\((--[\w-]+)\)", study[".html"])):
        assert f"{colour}:" in light and f"{colour}:" in dark


def test_the_numbers_of_a_figure_are_those_of_the_json(study):
    stored = json.loads(study[".json"])["figures"]
    for key, (_, _, text) in figures_of(study).items():
        rows = [*csv.DictReader(io.StringIO(text, newline=""))]
        assert rows and len(rows) == len(stored[key]["rows"])
        for row, other in zip(rows, stored[key]["rows"]):
            assert {name: str(value) for name, value in other.items()} == {name: row[name] for name in other}


def test_the_scores_of_a_figure_are_those_of_the_tables(study, draw_scores):
    text = figures_of(study)["pair-1-scores"][2]
    labels, scores = draw_scores(30, 7)
    rows = [*csv.reader(io.StringIO(text, newline=""))][1:]
    assert [(row[0], int(row[1]), float(row[2])) for row in rows] == [
        (f"mocks{i}", int(label), score) for i, (label, score) in enumerate(zip(labels, scores))
    ]


def test_names_are_words_in_the_page(study):
    page = Page(study[".html"])
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "b", "img", "em"}
    assert NASTY in page.words["code"]
    assert any(NASTY in attributes.get("aria-label", "") for _, attributes in page.elements)
    assert any("bad <script>|" in text for text in page.words["td"] + page.words["code"])
    assert "AUROC, <b>|&" in page.words["th"]


def test_names_are_words_in_the_markdown(study):
    page = Page(render(study[".md"]))
    assert not {tag for tag, _ in page.elements} & {"script", "b", "img", "em", "a"}
    assert any("bad <script>|" in text for text in page.words["code"])
    assert "AUROC, <b>|&" in "".join(page.words["th"])


def test_every_row_of_a_markdown_table_has_all_its_cells(study):
    tables = render(study[".md"]).split("<table>")[1:]
    assert len(tables) == 6
    for table in tables:
        cells = [len(re.findall(r"<t[hd]", row)) for row in table.split("</table>")[0].split("<tr>")[1:]]
        assert len(set(cells)) == 1


@pytest.mark.parametrize("text", [NASTY, "a_b __c__ ~~d~~", "# head", "a\\|b", "&lt;", "a\nb", "x`", "``y", "<i>"])
def test_words_of_others_come_back_as_they_were(text):
    for markdown in (plain(text), code(text)):
        page = Page(MarkdownIt("commonmark", {"html": True}).render(f"x {markdown} y"))
        assert {tag for tag, _ in page.elements} <= {"p", "code"}
        said = "".join(word for words in page.words.values() for word in words)
        assert " ".join(text.split()) in said or " ".join(text.split()).strip("`") in said


def test_json_is_strict_and_names_its_schema(study):
    def refuse(name):
        raise AssertionError(name)

    found = json.loads(study[".json"], parse_constant=refuse)
    assert (found["schema"], found["schema_version"]) == ("lens-report", 1)
    assert study[".json"].isascii()
    assert len(found["runs"]) == 3 and len(found["left_out"]) == 1


def test_json_has_none_for_what_is_no_number():
    report = Report("t", "l", [Section("s", "S", [])], {"x": [math.nan, math.inf, {"y": -math.inf}], "z": "\ud800"})
    assert json.loads(to_json(report))["x"] == [None, None, {"y": None}]


def test_no_path_of_the_machine_stands_in_the_settings(study):
    assert json.loads(study[".json"])["runs"][0]["config"]["data"]["folder"] == "mocks"


def test_a_page_above_five_megabytes_is_refused_and_leaves_what_was_there(tmp_path):
    (tmp_path / "page.html").write_text("of before")
    table = Table("k", "t", ["a"], [["x" * 1000]] * 5000)
    with pytest.raises(UserError, match="5.* MB of the 5 it may; report of fewer runs"):
        write_report(Report("t", "l", [Section("s", "S", [table])]), tmp_path / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert (tmp_path / "page.html").read_text() == "of before"


def test_bytes_that_are_no_text_do_not_stop_a_page(tmp_path):
    table = Table("k", "t", ["a"], [["\udcff"]])
    for path in write_report(Report("t", "\udcff", [Section("s", "S", [table])], {"x": "\udcff"}), tmp_path / "p.html"):
        assert "\ufffd" in path.read_text("utf-8") or "?" in path.read_text("utf-8")


def test_a_heading_is_no_markup(tmp_path):
    text = to_markdown(Report("a <b>", "lead", [Section("s", "*x*", [])]))
    assert "<h1>a &lt;b&gt;</h1>" in render(text) and "<h2>*x*</h2>" in render(text)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("_before", "\u200b_before"),  # matplotlib leaves out what begins with an underscore
        ("x" * 30 + "y" * 30, "x" * 22 + "…" + "y" * 21),
        ("\N{GREEK SMALL LETTER ALPHA}\u6f22$^$", "\N{GREEK SMALL LETTER ALPHA}\u6f22$^$"),
    ],
)
def test_a_legend_holds_every_name(name, shown):
    values = ScoreSet(np.array(["a", "b"]), np.array([True, False]), np.array([0.9, 0.1]), "d" * 64)
    svg = draw_roc("k", "t", {name: values}, logarithmic=False).svg
    assert f">{shown}: 1.000<" in svg


@pytest.mark.filterwarnings("error")
def test_a_history_without_numbers_is_said_to_be_empty():
    run = SimpleNamespace(history=[{"loss": None}])
    figure = draw_histories("k", "t", {"run": [run]}, "loss", "loss")
    assert figure.rows == [] and figure.alt == "loss by epoch; at the end nothing was recorded."


def test_a_history_is_the_mean_over_its_seeds_as_far_as_the_shortest_goes():
    runs = [SimpleNamespace(history=[{"loss": value} for value in line]) for line in ((4.0, 2.0, 1.0), (2.0, 1.0))]
    rows = draw_histories("k", "t", {"run": runs}, "loss", "loss").rows
    assert [(row["epoch"], row["mean"], row["lowest"], row["highest"]) for row in rows] == [
        (1, 3, 2, 4),
        (2, 1.5, 1, 2),
    ]


def test_the_same_runs_give_the_same_bytes_in_another_process(twins, report, tmp_path):
    status, _, out = report(*twins)
    assert status == 0
    first = written(out)
    shutil.rmtree(out.parent)
    program = "import sys; from lens_modern.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "7",
        "PYTHONPATH": f"{ROOT}/common:{ROOT}/modern",
        "TZ": "Asia/Tokyo",
    }
    command = [sys.executable, "-c", program, "report", *map(str, twins), "--out", str(out)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert written(out) == first
