"""The site builds without a warning, leads where it says, searches from disk, and fits a phone."""

import html
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from lab.execute import NOTEBOOKS, captions_of

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.thorough
PHONE = 390
# Elements of a page's text that end to the right of the window and do not scroll by themselves.
OUTSIDE = """
() => [...document.querySelectorAll('main article *')].filter(element => {
    if (element.getBoundingClientRect().right <= window.innerWidth + 1 || !element.checkVisibility()) return false
    for (let around = element.parentElement; around.tagName !== 'ARTICLE'; around = around.parentElement)
        if (/auto|scroll/.test(getComputedStyle(around).overflowX)) return false
    return true
}).map(element => element.outerHTML.slice(0, 80))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder of the site, its notebooks with their outputs."""
    out = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, "-m", "lab.execute", "--out", "runs/lab", "--missing"], cwd=ROOT, check=True)
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-E",
        "-c",
        "docs/site",
        ".",
        str(out / "html"),
    ]
    built = subprocess.run([*command, "-d", str(out / "cache")], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return out / "html"


@pytest.fixture(scope="module")
def pages(site):
    """Text of each page, by path."""
    return {path: path.read_text() for path in site.rglob("*.html") if "_static" not in path.parts}


@pytest.fixture
def page(browser):
    """A page of a phone without a network; what it asks of others, and what its scripts complain of, fails the test."""
    context = browser.new_context(viewport={"width": PHONE, "height": 800}, offline=True)
    page, troubles = context.new_page(), []
    page.on("request", lambda request: request.url.startswith(("file:", "data:")) or troubles.append(request.url))
    page.on("console", lambda message: message.type in ("error", "warning") and troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    yield page
    context.close()
    assert troubles == []


def links_of(text):
    """Targets of links, pictures, styles and scripts of a page, without what its scripts write."""
    markup = re.sub(r"(<script[^>]*>).*?</script>", r"\1", text, flags=re.DOTALL)
    return {html.unescape(link) for link in re.findall(r'\s(?:href|src)="([^"]+)"', markup)}


def test_every_link_within_the_site_leads_somewhere(site, pages):
    wrong, elsewhere = [], set()
    for path, text in pages.items():
        for link in links_of(text):
            if "://" in link:
                elsewhere.add(link)
            elif not link.startswith(("data:", "blob:", "mailto:")):
                place, _, anchor = unquote(link).partition("#")
                target = (path.parent / place.partition("?")[0]).resolve() if place else path
                known = target.is_file() and (not anchor or target not in pages or f'id="{anchor}"' in pages[target])
                wrong += [] if known else [f"{path.relative_to(site)}: {link}"]
    print("links to other sites, which nobody fetched:", *sorted(elsewhere), sep="\n")
    assert wrong == []


def test_every_page_of_docs_and_lab_is_on_the_front_page(pages, site):
    front = links_of(pages[site / "index.html"])
    made_elsewhere = {"differences-intro", "differences-outro", "faithfulness-text", "slides"}
    sources = [path for folder in ("docs", "lab") for path in (ROOT / folder).glob("*.md")]
    expected = {f"{path.parent.name}/{path.stem}.html" for path in sources if path.stem not in made_elsewhere}
    assert expected <= front and {"story.html", "reproduction.html", "appendix.html", "lab.html"} <= front


def test_the_search_finds_a_word_from_disk(page, site):
    page.goto((site / "index.html").as_uri())
    page.locator(".search-button__button:visible").first.click()
    page.locator("dialog input[type=search]").fill("orthogonal")
    page.keyboard.press("Enter")
    page.locator("#search-results li a").first.wait_for()
    titles = page.locator("#search-results li a").all_inner_texts()
    assert any("idioms" in title for title in titles)


def test_a_framework_that_is_chosen_once_is_chosen_on_all_pages(page, site):
    labels = "[...document.querySelectorAll('.sd-tab-set > input:checked + label')].map(label => label.innerText)"
    page.goto((site / "docs/idioms.html").as_uri())
    page.locator("label", has_text="PyTorch").nth(3).click()
    # The script of the tabs may still be at work.
    all_torch = f"{labels}.length >= 9 && {labels}.every(label => label === 'PyTorch')"
    page.wait_for_function(all_torch, timeout=10_000)
    page.goto((site / "docs/differences.html").as_uri())
    page.wait_for_function(all_torch, timeout=10_000)


def test_no_page_is_wider_than_a_phone(page, pages, site):
    wide = {}
    for path in pages:
        # The standalone pages have tests of their own; listings of sources scroll.
        if path.parent != site and "_modules" not in path.parts:
            page.goto(path.as_uri())
            wide[path.relative_to(site).as_posix()] = page.evaluate(OUTSIDE)
    assert {name: found for name, found in wide.items() if found} == {}


def test_the_site_is_made_of_all_that_it_shows(pages, site):
    text = pages[site / "docs/site/api.html"]
    for name in ("lens_common.load_stamps", "lens_modern.LensClassifier.fit", "lens_legacy.backend.build_network"):
        assert f'id="{name}"' in text


def test_the_notebooks_show_all_their_figures(pages, site):
    for path in NOTEBOOKS:
        pictures = re.findall(r'<img alt="([^"]+)" src="../_images/', pages[site / f"lab/{path.stem}.html"])
        assert len(pictures) == len(captions_of(path.read_text())), path.name
