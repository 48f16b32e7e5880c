"""The glossary: some forty terms in two lines each, and links to it where a page first uses a term."""

import re
from pathlib import Path

import pytest

from lens_common.errors import UserError
from lens_modern.report.figures import Figure
from lens_modern.report.glossary import Linker, anchor_of, link_markdown, link_terms, read_glossary
from lens_modern.report.page import Report, Section

DOCS = Path(__file__).resolve().parents[2] / "docs"
GLOSSARY = DOCS / "glossary.md"
TERMS = {"AUROC": "auroc", "stamp": "stamp", "false positive rate": "false-positive-rate-fpr"}


def test_there_are_some_forty_terms_in_two_lines_each():
    entries = re.split(r"^### ", GLOSSARY.read_text(), flags=re.MULTILINE)[1:]
    assert 38 <= len(entries) <= 50
    for entry in entries:
        lines = [line for line in entry.split("\n## ")[0].splitlines()[1:] if line]
        assert len(lines) == 2, entry.splitlines()[0]


def test_the_terms_that_every_page_needs_are_there():
    terms = {term.lower() for term in read_glossary(GLOSSARY)}
    asked = (
        "stamp, pics mocks, auroc, purity, completeness, leak-controlled, delong, tost, wilson, shared variable, holm"
    )
    assert set(asked.split(", ")) <= terms


@pytest.mark.parametrize(
    "name",
    ["reproduction", "model-card", "differences", "faithfulness", "twins", "using", "python", "survey", "claims"],
)
def test_every_page_leads_to_the_glossary(name):
    anchors = set(read_glossary(GLOSSARY).values())
    linked = re.findall(r"\(glossary\.md#([^)]*)\)", (DOCS / f"{name}.md").read_text())
    assert linked and set(linked) <= anchors
    if name in ("reproduction", "model-card", "differences", "faithfulness"):
        assert len(linked) == len(set(linked)), "a term is linked where it is first used, and only there"


def test_a_term_is_linked_once_and_with_its_plural():
    linker = Linker(TERMS, "g.md")
    assert linker("Stamps and a stamp: AUROC") == "[Stamps](g.md#stamp) and a stamp: [AUROC](g.md#auroc)"
    assert linker("a stamp, an AUROC") == "a stamp, an AUROC"


@pytest.mark.parametrize(
    "text", ["`stamp`", "[a stamp](there.md)", "https://a.org/stamp", "timestamp", "stamp-like", "auroc", "stampede"]
)
def test_what_is_not_the_term_is_not_linked(text):
    assert Linker(TERMS, "g.md")(text) == text


def test_a_link_that_is_there_already_counts():
    text = "[rate](g.md#false-positive-rate-fpr), then false positive rate"
    assert Linker(TERMS, "g.md")(text) == text


def test_code_tables_and_headings_of_a_page_stay():
    page = "# Stamp\n\n```\nstamp\n```\n\n| stamp |\n    stamp\nthe stamp"
    assert link_markdown(page, TERMS, "g.md") == page.replace("the stamp", "the [stamp](g.md#stamp)")


def test_a_report_links_in_reading_order():
    figure = Figure("f", "t", "alt", "<svg/>", [], note="a stamp")
    report = Report("t", "AUROC", [Section("s", "S", ["stamp, AUROC", figure])], opening=figure)
    linked = link_terms(report, TERMS, "g.md")
    assert linked.opening.note == "a [stamp](g.md#stamp)" and linked.lead == "[AUROC](g.md#auroc)"
    assert linked.sections[0].blocks[0] == "stamp, AUROC"


def test_a_glossary_that_is_missing_or_says_a_thing_twice_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot read the glossary"):
        read_glossary(tmp_path / "none.md")
    (tmp_path / "twice.md").write_text("### ROC\na\nb\n### curve (roc)\nc\nd\n")
    with pytest.raises(UserError, match="explains 'roc' twice"):
        read_glossary(tmp_path / "twice.md")


def test_an_anchor_is_that_of_github():
    assert anchor_of("DeLong (DeLong's interval)") == "delong-delongs-interval"
    assert anchor_of("signal-to-noise ratio (S/N)") == "signal-to-noise-ratio-sn"
