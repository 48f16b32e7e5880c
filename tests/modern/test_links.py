"""The pages that people read lead where they say: every relative link has its file, every anchor its heading."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# reproduction.md is the text of a page whose anchors are tested in a browser.
DOCS = [page for page in sorted((ROOT / "docs").glob("*.md")) if page.name != "reproduction.md"]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]


def anchors(page):
    """Anchors of the headings of a Markdown page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    for link in [link for link in links if "://" not in link]:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or target.suffix == ".html" or anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_of_docs_is_linked_from_readme_or_a_page_that_is():
    text = "".join(page.read_text() for page in PAGES)
    sources = {"differences-intro.md", "differences-outro.md", "faithfulness-text.md"}
    for page in DOCS:
        if page.name not in sources:
            assert re.search(rf"\]\((docs/)?{re.escape(page.name)}[#)]", text), page.name
