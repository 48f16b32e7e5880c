"""docs/lab.html as a reader meets it: built from its sources, offline, by keyboard, on a phone, and with bad files."""

import base64
import gzip
import importlib
import re
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from axe_playwright_python.sync_playwright import Axe

ROOT = Path(__file__).resolve().parents[2]
PAGE, SOURCE = ROOT / "docs/lab.html", ROOT / "lab/page"
NODE = Path(sysconfig.get_path("scripts")) / "node"
DESKTOP, PHONE = (1280, 800), (390, 844)
RESTING = "html:not([data-state=training])"
STATES = {"study": "stuck", "mended": "mended", "torch": "stuck", "overwritten": "stuck"}


@pytest.fixture(scope="module")
def open_page(browser):
    """Open the page without a network; troubles are what it asked for and what went wrong."""
    contexts = []

    def open_it(size=DESKTOP, scheme="light"):
        context = browser.new_context(
            viewport=dict(zip(("width", "height"), size)), color_scheme=scheme, reduced_motion="reduce", offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.troubles = []
        page.on(
            "request",
            lambda request: (
                request.url.startswith(("blob:", "data:", PAGE.as_uri())) or page.troubles.append(request.url)
            ),
        )
        page.on("console", lambda message: page.troubles.append(message.text))
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.goto(PAGE.as_uri())
        page.wait_for_selector("#answer:not([hidden])")
        return page

    yield open_it
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def page(open_page):
    return open_page()


def state(page):
    return page.evaluate("document.documentElement.dataset.state")


def train(page, story):
    page.click(f"[data-story={story}]")
    assert state(page) == "training"
    page.wait_for_selector(RESTING, timeout=120_000)


# Its sources.


def test_the_tests_of_its_modules_pass_in_node():
    done = subprocess.run([NODE, "--test", "test/*.test.js"], cwd=SOURCE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"pass (\d+)", done.stdout)[1]) >= 50


def test_the_page_is_what_its_sources_make():
    subprocess.run(["make", "--silent", "lab/page/node_modules/.package-lock.json"], cwd=ROOT, check=True)
    made, stored = importlib.import_module("docs.lab").build(), PAGE.read_text()
    packed = re.compile(r'"pixels": "([^"]*)"')
    is_current = packed.sub("", made) == packed.sub("", stored)
    assert is_current, "docs/lab.html is older than its sources: run `make docs`"
    planes = [
        np.frombuffer(gzip.decompress(base64.b64decode(packed.search(text)[1])), np.uint8).reshape(2, -1)
        for text in (made, stored)
    ]
    steps = [np.ascontiguousarray(pair.T).view("<i2").astype(int) for pair in planes]
    assert abs(steps[0] - steps[1]).max() <= 1  # another processor may round a pixel the other way


def test_it_is_one_file_of_less_than_two_megabytes():
    assert PAGE.stat().st_size < 2e6
    assert not re.findall(r'(?:src|href)="(?!data:|#)', PAGE.read_text())


# A training.


def test_it_begins_idle_and_asks_for_nothing(page):
    assert state(page) == "idle" and page.inner_text("#verdict")
    assert page.troubles == []


@pytest.mark.parametrize("story", STATES)
def test_a_story_ends_as_it_says(page, story):
    train(page, story)
    assert state(page) == STATES[story]
    assert page.troubles == []


def test_the_study_is_stuck_at_8_0151_with_no_weight_moving_and_half_of_the_stamps_at_each_end(page):
    train(page, "study")
    losses = page.locator("#rows tbody td:nth-child(2)").evaluate_all("cells => cells.map(cell => cell.textContent)")
    assert losses[1:] == 4 * ["8.0151"]
    assert page.inner_text("#moved") == "0 of 6,722"
    counts = [page.inner_text(f"#{place}").split(": ")[1] for place in ("wrong", "between", "right")]
    assert counts == ["100", "0", "100"]


def test_the_overwritten_class_shows_the_same_pictures_twice(page):
    def drawn(row):
        canvases = page.locator(f"#{row} canvas")
        return canvases.evaluate_all("found => found.map(canvas => canvas.toDataURL())")

    page.click("[data-story=overwritten]")
    assert drawn("lenses") == drawn("others") and len(set(drawn("lenses"))) == 8
    page.check("[name=overwritten][value=no]")
    assert not set(drawn("lenses")) & set(drawn("others"))


def test_a_training_is_paused_goes_on_takes_a_step_and_is_reset(page):
    page.click("[data-story=mended]")
    page.wait_for_selector("#rows tbody tr", state="attached")
    page.click("#go")
    page.wait_for_selector("html[data-state=idle]")
    label = page.get_attribute("#moves .drawing", "aria-label")
    page.click("#step")
    page.wait_for_selector("html[data-state=idle]")
    assert page.get_attribute("#moves .drawing", "aria-label") == label + ", 6722"
    page.click("#reset")
    assert page.locator("#rows tbody tr").count() == 0 and state(page) == "idle"


WATCH = """() => {
  window.longest = 0;
  new PerformanceObserver(list => list.getEntries().forEach(task => { longest = Math.max(longest, task.duration); }))
    .observe({ entryTypes: ['longtask'] });
}"""
BLOCK = "setTimeout(() => { const until = performance.now() + 150; while (performance.now() < until); }, 0)"


def processor_seconds(session):
    """What the process of the page, its workers too, has used of a processor: other processes do not count."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "ProcessTime")


def test_the_first_epoch_takes_less_than_3_seconds_and_the_page_answers_within_a_tenth(open_page):
    page, longest, seconds = open_page(), [], []
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    page.wait_for_timeout(1000)
    page.evaluate(WATCH)
    # Another process may have the processor, or its cache, for a while.
    while len(longest) < 5 and (min(longest, default=100) >= 100 or min(seconds) >= 3):
        page.evaluate("longest = 0")
        before = processor_seconds(session)
        page.click("[data-story=mended]")
        page.wait_for_selector("#rows tbody tr", state="attached", timeout=60_000)
        seconds.append(processor_seconds(session) - before)
        page.wait_for_selector("#rows tbody tr:nth-child(4)", state="attached", timeout=60_000)
        longest.append(page.evaluate("longest"))
        page.click("#reset")
    assert min(longest) < 100 and min(seconds) < 3, (longest, seconds)
    page.evaluate(BLOCK)
    page.wait_for_timeout(500)
    assert page.evaluate("longest") >= 100  # a page that did not answer would be noticed


@pytest.mark.parametrize(("name", "value"), [("rate", "0"), ("epochs", "2.5"), ("seed", "-1"), ("rate", "")])
def test_a_number_that_cannot_be_used_is_a_sentence(page, name, value):
    page.click("[data-story=mended]")  # what is under way ends
    page.fill(f"[name={name}]", value)
    assert state(page) == "idle"
    page.click("#go")
    assert page.inner_text("#complaint").lower().startswith(("the rate", "epochs", "the seed"))
    assert state(page) == "idle"
    page.click("[data-story=study]")
    assert page.locator("#complaint").is_hidden()
    page.click("#reset")


# A question.


def ask(page, path):
    """Give the page a file; return what it says: a score, or why there is none."""
    page.evaluate("document.querySelector('#answer').hidden = document.querySelector('#refusal').hidden = true")
    page.set_input_files("#file", path)
    page.wait_for_selector("#answer:not([hidden]), #refusal:not([hidden])", timeout=30_000)
    return page.inner_text("#refusal p" if page.locator("#refusal").is_visible() else "#score")


@pytest.fixture
def write(tmp_path):
    def write_it(name, pixels, **cards):
        unit = fits.PrimaryHDU(np.asarray(pixels, np.float32))
        unit.header.update(cards)
        unit.writeto(tmp_path / name)
        return tmp_path / name

    return write_it


def write_hole(path, height, width):
    """A file of so many bytes that are pixels, of which the disk holds none."""
    cards = [("SIMPLE", True), ("BITPIX", 16), ("NAXIS", 2), ("NAXIS1", width), ("NAXIS2", height)]
    with path.open("wb") as file:
        file.write(fits.Header(cards).tostring().encode())
        file.truncate(2880 + 2 * height * width)


STAMP = np.random.RandomState(0).normal(0, 4, (45, 45))


TRAINED = "and the network was trained on 45 x 45 pixels of 0.18 arcsec"


def bad_files(write, folder):
    """Path and what the page says of it."""
    table = folder / "table.fits"
    Table({"x": [1, 2]}).write(table)
    whole = write("cut.fits", STAMP)
    whole.write_bytes(whole.read_bytes()[:5000])
    text, damaged, large, bomb = (folder / name for name in ("a.txt", "b.fits.gz", "large.fits", "bomb.fits.gz"))
    text.write_text("no stamp")
    damaged.write_bytes(gzip.compress(whole.read_bytes())[:-9])
    write_hole(large, 4, 25_000_000)
    with gzip.open(bomb, "wb", compresslevel=1) as file:  # half a gigabyte
        file.write(fits.PrimaryHDU().header.tostring().encode())
        for _ in range(512):
            file.write(bytes(2**20))
    return [
        (text, "a.txt is not a FITS file."),
        (whole, "cut.fits is cut short: 45 x 45 pixels need 8100 bytes, and 2120 are there."),
        (damaged, "b.fits.gz is a damaged gzip file"),
        (
            ROOT / "tests/fixtures/quantised-rice.fits.fz",
            "quantised-rice.fits.fz is compressed by tiles (.fz); unpack it with `funpack`, and drop what comes out.",
        ),
        (
            write("cube.fits", [STAMP, STAMP, STAMP]),
            "cube.fits is a cube of 3 x 45 x 45; the network takes one band, so write that to a file of its own.",
        ),
        (table, "table.fits holds no image: only a table."),
        (large, "large.fits has 4 x 25000000 pixels; a cutout has at most 4 million."),
        (bomb, "bomb.fits.gz holds more than 64 MB; a cutout has less."),
        (
            write("nan.fits", STAMP * np.nan),
            "nan.fits has 2025 of 2025 pixels that are not finite; at most 1 % may be.",
        ),
        (
            write("small.fits", STAMP[:44]),
            f"small.fits is 44 x 45 pixels of unknown scale, {TRAINED}; cut a larger one.",
        ),
        (
            write("scale.fits", STAMP, PIXSCALE=0.2),
            f"scale.fits is 45 x 45 pixels of 0.2 arcsec, {TRAINED}; cut and resample it, or take its middle as it is.",
        ),
    ]


def test_a_bad_file_is_a_sentence_and_the_page_goes_on(page, write, tmp_path):
    for path, sentence in bad_files(write, tmp_path):
        assert ask(page, path).startswith(sentence), path.name
    assert re.fullmatch(r"good.fits: score 0\.\d{3}", ask(page, write("good.fits", STAMP)))
    assert page.troubles == []


def test_ten_thousand_by_ten_thousand_pixels_are_refused_by_their_header(page, tmp_path):
    path = tmp_path / "sky.fits"
    write_hole(path, 10_000, 10_000)
    assert ask(page, path) == "sky.fits has 10000 x 10000 pixels; a cutout has at most 4 million."


def test_the_middle_of_a_larger_stamp_is_offered_and_scored_as_its_own(page, write):
    score = ask(page, write("middle.fits", STAMP))
    ask(page, write("wide.fits", np.pad(STAMP, 6), PIXSCALE=0.2))
    page.click("#cut")
    page.wait_for_selector("#answer:not([hidden])")
    assert page.inner_text("#score").split()[-1] == score.split()[-1]
    assert "Only its middle was scored, of 57 x 57 pixels." in page.inner_text("#meaning")
    assert "0.2 arcsec, not 0.18" in page.inner_text("#meaning")


def test_a_file_dropped_anywhere_is_scored(page, write):
    content = base64.b64encode(write("dropped.fits", STAMP).read_bytes()).decode()
    page.evaluate(
        """content => {
          const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], 'dropped.fits'));
          document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        content,
    )
    page.wait_for_selector("#score:has-text('dropped.fits')")


def test_a_wrong_port_says_another_score_and_the_page_says_both(page):
    page.click("#mocks button >> nth=0")
    page.wait_for_selector("#score:has-text('Mock 1: score')")
    right = page.inner_text("#score").split()[-1]
    for box in ("#kernels", "#channels"):
        page.check(box)
        page.wait_for_selector("#score:has-text('a wrong port says')")
        words = page.inner_text("#score")
        assert words.endswith(f"the network {right}") and right not in words[:-20]
        page.uncheck(box)
        page.wait_for_selector("#score:has-text('Mock 1: score')")


# To every reader.


@pytest.fixture(
    scope="module", params=[(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")], ids=str
)
def shown(request, open_page):
    page = open_page(*request.param)
    train(page, "study")
    return page


def test_axe_core_finds_no_serious_fault(open_page, shown):
    found = Axe().run(shown).response["violations"]
    serious = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    assert [(fault["id"], [node["target"] for node in fault["nodes"]]) for fault in serious] == []


def test_it_does_not_scroll_sideways_and_cuts_off_no_label(shown):
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    cut = shown.evaluate("""() => [...document.querySelectorAll('svg text')].filter(text => {
      const box = text.getBoundingClientRect(), frame = text.ownerSVGElement.getBoundingClientRect();
      return box.left < frame.left - 1 || box.right > frame.right + 1
        || box.bottom > frame.bottom + 1 || box.top < frame.top - 1;
    }).map(text => text.textContent)""")
    assert cut == []


def test_every_control_is_reached_by_tab_in_sight_and_marked(shown):
    shown.evaluate("scrollTo(0, 0)")
    shown.goto(shown.url.split("#")[0])
    shown.wait_for_selector("#answer:not([hidden])")
    n_stops = shown.evaluate("""() => {
      const groups = new Set();
      return [...document.querySelectorAll('a, summary, button, input')].filter(found => {
        if (found.disabled || !found.checkVisibility()) return false;
        if (found.type !== 'radio') return true;
        return !groups.has(found.name) && groups.add(found.name);
      }).length;
    }""")
    stops = []
    for _ in range(n_stops):
        shown.keyboard.press("Tab")
        stops.append(
            shown.evaluate("""() => {
              const found = document.activeElement, box = found.getBoundingClientRect();
              const name = found.ariaLabel || found.labels?.[0]?.textContent || found.textContent;
              return [found.id || found.name || name, Boolean(name.trim()), box.bottom > 0 && box.top < innerHeight,
                getComputedStyle(found).outlineStyle !== 'none'];
            }""")
        )
    assert len({stop[0] for stop in stops}) == n_stops >= 30
    assert [stop for stop in stops if not all(stop[1:])] == []


def test_a_story_is_told_by_the_keyboard_and_the_verdict_is_announced(shown):
    shown.focus("[data-story=study]")
    shown.keyboard.press("Enter")
    shown.wait_for_selector("html[data-state=stuck]", timeout=60_000)
    assert shown.get_attribute("#verdict", "role") == "status"
    assert "none of the 6,722 weights moved" in shown.inner_text("#verdict")


def test_each_figure_is_named_and_says_what_it_shows(page):
    train(page, "study")
    names = page.locator("figure [role=img]").evaluate_all("found => found.map(one => one.getAttribute('aria-label'))")
    assert all(names) and page.locator("figure").count() == page.locator("figure > figcaption").count() == 9
    assert any("100 pictures are sure and wrong" in name for name in names)
    assert any("8.0151, 8.0151" in name for name in names)


def test_it_prints_without_its_controls(page):
    page.emulate_media(media="print")
    try:
        assert not page.locator("#settings").is_visible() and page.locator("#curve svg").is_visible()
        assert page.pdf(format="A4").startswith(b"%PDF-")
    finally:
        page.emulate_media(media="screen")


def test_dark_has_other_paper_and_ink(open_page):
    colours = [
        open_page(scheme=scheme).evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        for scheme in ("light", "dark")
    ]
    assert colours == [["rgb(255, 255, 255)", "rgb(27, 31, 36)"], ["rgb(20, 23, 27)", "rgb(230, 233, 236)"]]
