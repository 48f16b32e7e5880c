"""The pages as a browser shows them: offline, in light and dark, on a phone, by keyboard, on paper, to axe-core.

The three pages of the reproduction, and a small one of `lens-modern report`.  The last tests plant what the checks are
there to find.
"""

import base64
import csv
import io
import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from lens_modern.cli import main as lens_modern

PAGES = ("story", "reproduction", "appendix", "report")
DESKTOP, PHONE, SMALL_PHONE = 1280, 375, 320
PAPER = 718  # pixels: A4 at 96 to the inch, less margins of 1 cm


@pytest.fixture(scope="module")
def files(reproduction_page, stored_results, tmp_path_factory):
    """Path of each page, by name."""
    small = tmp_path_factory.mktemp("report") / "report.html"
    runs = [str(stored_results / f"cnn-2000-mended-{side}-seed1") for side in ("legacy", "modern")]
    assert lens_modern(["report", *runs, "--out", str(small)]) == 0
    made = {name: reproduction_page.with_name(f"{name}.html") for name in ("story", "reproduction", "appendix")}
    return {**made, "report": small}


@pytest.fixture(scope="module")
def opened(browser, files):
    """Open a page offline, once for each width and colour scheme; beside it what went wrong while it was shown."""
    known = {}

    def open_it(name, width=DESKTOP, scheme="light"):
        key = name, width, scheme
        if key not in known:
            known[key] = show(browser, files[name], width, scheme)
        return known[key][0]

    open_it.troubles = lambda name: [
        trouble for key, (_, found) in known.items() if key[0] == name for trouble in found
    ]
    return open_it


def show(browser, path, width=DESKTOP, scheme="light"):
    """Open a file in a browser that has no network; return the page and the list that troubles are added to."""
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce", offline=True
    )
    page, troubles, own = context.new_page(), [], path.resolve().as_uri()

    def see_request(request):
        if not (request.url.split("#")[0] == own or request.url.startswith("data:")):
            troubles.append(f"asks for {request.url}")

    def see_message(message):
        if message.type in ("error", "warning"):
            troubles.append(f"{message.type}: {message.text}")

    page.on("request", see_request)
    page.on("console", see_message)
    page.on("pageerror", lambda error: troubles.append(f"page error: {error}"))
    page.goto(own)
    return page, troubles


# What it loads, and what it draws.


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_for_nothing_and_complains_of_nothing(opened, name):
    for width, scheme in ((DESKTOP, "light"), (PHONE, "dark")):
        page = opened(name, width, scheme)
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(100)
    assert opened.troubles(name) == []


UNDRAWN = """() => {
  const bad = [];
  for (const drawing of document.querySelectorAll('.drawing')) {
    const name = drawing.closest('figure').id, svg = drawing.querySelector('svg');
    if (!svg) { bad.push(name + ': no svg'); continue; }
    const frame = svg.getBoundingClientRect(), view = svg.viewBox.baseVal;
    if (frame.width < 200 || frame.height < 80) bad.push(name + ': ' + frame.width + ' x ' + frame.height);
    const inside = box => box.left > frame.left - 1 && box.right < frame.right + 1
      && box.top > frame.top - 1 && box.bottom < frame.bottom + 1;
    const lines = [...svg.querySelectorAll('path')].filter(path => !path.closest('defs')).filter(path => {
      const box = path.getBBox(), style = getComputedStyle(path);
      return box.width + box.height > 0 && box.width < 0.99 * view.width && inside(path.getBoundingClientRect())
        && (style.stroke !== 'none' || style.fill !== 'none');
    });
    if (!lines.length) bad.push(name + ': nothing is drawn');
    for (const text of svg.querySelectorAll('text'))
      if (!inside(text.getBoundingClientRect())) bad.push(name + ': "' + text.textContent + '" is cut off');
  }
  for (const image of document.querySelectorAll('img'))
    if (!image.complete || !image.naturalWidth) bad.push('img: ' + image.alt);
  return bad;
}"""


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_every_figure_is_drawn_and_every_picture_decoded(opened, name, width):
    page = opened(name, width, "light" if width == DESKTOP else "dark")
    assert page.locator(".drawing").count() >= 3
    assert page.evaluate(UNDRAWN) == []


@pytest.mark.parametrize("name", PAGES)
def test_an_id_names_one_thing(opened, name):
    ids = opened(name).evaluate("[...document.querySelectorAll('[id]')].map(found => found.id)")
    assert sorted({found for found in ids if ids.count(found) > 1}) == []


@pytest.mark.parametrize("name", PAGES)
def test_no_link_leads_nowhere(opened, name):
    lost = """[...document.querySelectorAll('a[href^="#"]')].map(link => link.hash)
        .filter(hash => !document.getElementById(hash.slice(1)))"""
    assert opened(name).evaluate(lost) == []


# To a reader who does not see it as we do.

# What axe-core need not walk through: drawings are one picture with a label to it, and the rows of a table are alike.
LEAVE_OUT = "document.querySelectorAll('.drawing svg > *, tbody tr:nth-child(n+6)').forEach(found => found.remove())"


def faults(page):
    """What axe-core finds that would keep somebody out: rule, then the elements."""
    page.evaluate(LEAVE_OUT)
    found = Axe().run(page).response["violations"]
    return [
        (fault["id"], [part for node in fault["nodes"] for part in node["target"]])
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("report", DESKTOP, "light"),
        ("report", DESKTOP, "dark"),
        ("report", PHONE, "light"),
        ("report", PHONE, "dark"),
        ("story", DESKTOP, "light"),
        ("story", PHONE, "dark"),
        # The same template and style; more of both takes axe-core longer.
        ("reproduction", DESKTOP, "light"),
        ("reproduction", PHONE, "dark"),
        ("appendix", DESKTOP, "light"),
    ],
)
def test_axe_core_finds_no_serious_fault(browser, files, name, width, scheme):
    page, _ = show(browser, files[name], width, scheme)
    assert page.locator("h2").count() >= 3
    assert faults(page) == []
    page.context.close()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [DESKTOP, PHONE, SMALL_PHONE])
def test_a_page_does_not_scroll_sideways(opened, name, width):
    page = opened(name, DESKTOP if width == DESKTOP else PHONE, "light" if width == DESKTOP else "dark")
    if width == SMALL_PHONE:
        page.set_viewport_size({"width": SMALL_PHONE, "height": 800})
    found = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    if width == SMALL_PHONE:
        page.set_viewport_size({"width": PHONE, "height": 800})
    assert found[1] == width and found[0] <= width


PAINT = """() => {
  const line = [...document.querySelectorAll('.drawing path, .drawing use')]
    .find(path => (path.getAttribute('style') || '').includes('stroke: var(--series-1)'));
  const body = getComputedStyle(document.body);
  return [body.backgroundColor, body.color, getComputedStyle(line).stroke];
}"""


@pytest.mark.parametrize("name", PAGES)
def test_the_dark_scheme_has_other_paper_ink_and_lines(opened, name):
    light = opened(name).evaluate(PAINT)
    dark = opened(name, PHONE, "dark").evaluate(PAINT)
    # As style.css has them: #ffffff, #1b1f24, #0072b2 and #14171b, #e6e9ec, #56b4e9.
    assert light == ["rgb(255, 255, 255)", "rgb(27, 31, 36)", "rgb(0, 114, 178)"]
    assert dark == ["rgb(20, 23, 27)", "rgb(230, 233, 236)", "rgb(86, 180, 233)"]


def test_a_page_jumps_where_a_reader_wants_little_motion_and_glides_otherwise(opened):
    page = opened("report")
    found = []
    for wish in ("no-preference", "reduce"):
        page.emulate_media(reduced_motion=wish)
        found.append(page.evaluate("getComputedStyle(document.documentElement).scrollBehavior"))
    assert found == ["smooth", "auto"]


# By mouse, and by keyboard.


@pytest.mark.parametrize("name", [name for name in PAGES if name != "story"])
def test_every_section_is_a_link_away(opened, name):
    page = opened(name)
    headings = page.locator("main > section > h2").all_text_contents()
    links = page.locator("nav[aria-label=Sections] a")
    assert links.all_text_contents() == headings and len(headings) >= 3
    for heading, link in zip(page.locator("main > section > h2").all(), links.all()):
        page.evaluate("window.scrollTo(0, 0)")
        link.click()
        box = heading.bounding_box()
        assert -1 < box["y"] < 800, link.text_content()


FOCUS = """() => {
  const found = document.activeElement, box = found.getBoundingClientRect();
  return [found.className || found.tagName, found.getAttribute('href') || found.getAttribute('aria-labelledby') || '',
    box.width > 0 && box.left >= 0 && box.bottom > 0 && box.top < innerHeight,
    getComputedStyle(found).outlineStyle !== 'none'];
}"""


@pytest.mark.parametrize("name", PAGES)
def test_tab_goes_to_the_skip_link_then_along_the_sections_then_to_each_table(opened, name):
    page = opened(name)
    page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges(); window.scrollTo(0, 0)")
    page.goto(page.url.split("#")[0])
    # A folded table is one stop, its title.
    n_stops = page.locator("a, summary, [tabindex='0']:not(details *)").count()
    stops = []
    for _ in range(n_stops):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(FOCUS))
    assert stops[0][:2] == ["skip", "#content"]
    sections = page.locator("nav a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert [stop[1] for stop in stops[1 : 1 + len(sections)]] == sections
    tables = page.locator(".scroll:not(details *)").evaluate_all(
        "found => found.map(one => one.getAttribute('aria-labelledby'))"
    )
    assert [stop[1] for stop in stops if stop[0] == "scroll"] == tables
    assert [stop for stop in stops if not (stop[2] and stop[3])] == []  # each in sight, and marked


def test_a_folded_table_opens_by_the_keyboard(browser, files):
    page, _ = show(browser, files["appendix"])
    folded = page.locator("details.table").nth(1)
    rows = folded.locator("tbody tr")
    assert rows.count() > 100 and not rows.first.is_visible()
    folded.locator("summary").focus()
    page.keyboard.press("Enter")
    assert rows.first.is_visible()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "scroll"
    page.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_the_skip_link_goes_past_the_navigation(opened, name):
    page = opened(name)
    page.goto(page.url.split("#")[0])
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def test_a_wide_table_scrolls_by_the_arrow_keys(opened):
    page = opened("appendix", PHONE, "dark")
    narrow = "found => found.map(one => one.scrollWidth <= one.clientWidth)"
    tables = page.locator(".scroll:not(details *)")
    wide = tables.nth(tables.evaluate_all(narrow).index(False))
    wide.focus()
    before = wide.evaluate("found => found.scrollLeft")
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    assert wide.evaluate("found => found.scrollLeft") > before == 0


# Taken away: on paper, as numbers.


@pytest.mark.parametrize("name", PAGES)
def test_a_page_prints_on_several_sheets(opened, name):
    printed = opened(name).pdf(format="A4")
    assert printed.startswith(b"%PDF-") and len(re.findall(rb"/Type\s*/Page\b", printed)) > 1


@pytest.mark.parametrize("name", PAGES)
def test_no_table_is_wider_than_the_paper(opened, name):
    page = opened(name)
    page.set_viewport_size({"width": PAPER, "height": 1000})
    page.emulate_media(media="print")
    wide = f"""[...document.querySelectorAll('table, svg, p')]
        .filter(found => found.getBoundingClientRect().right > {PAPER})
        .map(found => found.id || found.outerHTML.slice(0, 60))"""
    try:
        assert page.evaluate(wide) == []
    finally:
        page.emulate_media(media="screen")
        page.set_viewport_size({"width": DESKTOP, "height": 800})


@pytest.mark.parametrize("name", PAGES)
def test_every_figure_hands_out_its_numbers(opened, name):
    links = (
        opened(name)
        .locator("figure a[download]")
        .evaluate_all("links => links.map(link => [link.closest('figure').id, link.download, link.href])")
    )
    assert len(links) == opened(name).locator("figure").count()
    for figure, file, address in links:
        assert file == f"{figure}.csv"
        kind, _, content = address.partition(",")
        assert kind == "data:text/csv;base64"
        header, *rows = csv.reader(io.StringIO(base64.b64decode(content, validate=True).decode()))
        assert len(set(header)) == len(header) >= 2 and rows, figure
        assert {len(row) for row in rows} == {len(header)}, figure


def test_a_click_saves_the_numbers_as_a_file(opened, tmp_path):
    page = opened("report")
    link = page.locator("a[download]").first
    with page.expect_download() as waiting:
        link.click()
    waiting.value.save_as(tmp_path / "numbers.csv")
    assert waiting.value.suggested_filename == link.get_attribute("download")
    address = link.get_attribute("href")
    assert (tmp_path / "numbers.csv").read_bytes() == base64.b64decode(address.partition(",")[2])


# What the checks are there to find.


@pytest.fixture
def plant(browser, files, tmp_path):
    """Show a little page, with or without the policy that keeps the pages from loading anything."""
    shown = []

    def show_planted(planted, policy=False):
        rule = re.search("<meta http-equiv=[^>]*>", files["report"].read_text())[0] if policy else ""
        path = tmp_path / "planted.html"
        path.write_text(f'<!DOCTYPE html><html lang="en">{rule}<title>Planted</title><main>{planted}</main></html>')
        shown.append(show(browser, path))
        return shown[-1]

    yield show_planted
    for page, _ in shown:
        page.context.close()


@pytest.mark.parametrize("policy", [True, False])
@pytest.mark.parametrize(
    "planted",
    [
        '<img src="https://example.org/planted.png" alt="">',
        '<img src="planted.png" alt="">',
        '<link rel="stylesheet" href="https://example.org/planted.css">',
        "<script>console.error('planted')</script>",
        "<script>console.warn('planted')</script>",
        "<script>throw Error('planted')</script>",
    ],
)
def test_a_planted_request_or_complaint_is_noticed(plant, planted, policy):
    page, troubles = plant(planted, policy)
    page.wait_for_timeout(50)
    assert troubles


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ("", "no svg"),
        ('<svg width="40" height="40" viewBox="0 0 9 9"><path d="M1 1L5 5" stroke="red"/></svg>', "40 x 40"),
        ('<svg width="400" height="200" viewBox="0 0 9 9"></svg>', "nothing is drawn"),
        (
            '<svg width="400" height="200" viewBox="0 0 9 9"><path d="M90 1L95 5" stroke="red"/></svg>',
            "nothing is drawn",
        ),
        ('<svg width="400" height="200" viewBox="0 0 9 9"><path d="M1 1" stroke="red"/></svg>', "nothing is drawn"),
        (
            '<svg width="400" height="200" viewBox="0 0 400 200" overflow="visible"><path d="M1 1L5 5" stroke="red"/>'
            '<text x="390" y="50">AUROC</text></svg>',
            '"AUROC" is cut off',
        ),
    ],
)
def test_a_planted_figure_that_is_not_drawn_is_noticed(plant, planted, said):
    page, _ = plant(f'<figure id="planted"><div class="drawing">{planted}</div></figure>')
    assert [found for found in page.evaluate(UNDRAWN) if said in found]


def test_a_planted_picture_that_does_not_decode_is_noticed(plant):
    page, _ = plant('<img src="data:image/png;base64,AAAA" alt="planted">')
    assert page.evaluate(UNDRAWN) == ["img: planted"]


@pytest.mark.parametrize(
    ("planted", "rule"),
    [
        ('<p style="color: #bbb; background: #fff">planted</p>', "color-contrast"),
        ('<img src="data:,">', "image-alt"),
        ('<a href="#content"></a>', "link-name"),
    ],
)
def test_a_planted_fault_is_noticed_by_axe_core(plant, planted, rule):
    page, _ = plant(planted)
    assert [found[0] for found in faults(page)] == [rule]


def test_a_planted_wide_block_scrolls_sideways(plant):
    page, _ = plant('<div style="width: 2000px">planted</div>', policy=False)
    assert page.evaluate("document.documentElement.scrollWidth > innerWidth")
