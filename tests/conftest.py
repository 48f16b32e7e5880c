"""What every test shares: the PICS mocks, the frameworks that must be there, the counts."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

# Not the user's cache.  Compiled graphs stay from one `make test` to the next; the rest is tiny.
os.environ.setdefault("LENS_CACHE", str(Path(__file__).parents[1] / ".cache" / "tests"))

IN_CI = bool(os.environ.get("CI"))
# What the interpreter under test must offer.
FRAMEWORKS = ("theano", "lasagne", "keras") if sys.version_info < (3, 9) else ("torch",)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def pytest_sessionstart(session):
    """In CI a missing framework ends the run, so that no test can skip for want of it."""
    missing = [name for name in FRAMEWORKS if importlib.util.find_spec(name) is None]
    if IN_CI and missing:
        pytest.exit(f"{sys.executable} lacks {', '.join(missing)}: run `make setup`", returncode=1)


def pytest_terminal_summary(terminalreporter):
    """Leave the counts where tests/run.sh adds up both interpreters."""
    path = os.environ.get("LENS_TEST_COUNTS")
    if path:
        stats = {key: len(reports) for key, reports in terminalreporter.stats.items()}
        passed = stats.get("passed", 0)
        failed = stats.get("failed", 0) + stats.get("error", 0)
        skipped = stats.get("skipped", 0) + stats.get("xfailed", 0)
        Path(path).write_text(f"{passed} {failed} {skipped}\n")


@pytest.fixture(scope="session")
def pics_mocks():
    """Folder of the PICS mocks, which the project knows only through LENS_PICS_MOCKS."""
    folder = os.environ.get("LENS_PICS_MOCKS")
    if not folder:
        sentence = "LENS_PICS_MOCKS is unset: set it to the folder that holds the PICS mocks"
        if IN_CI:
            pytest.fail(sentence)
        pytest.skip(sentence)
    if not Path(folder).is_dir():
        pytest.fail(f"LENS_PICS_MOCKS={folder} is not a folder: correct it or unset it")
    return Path(folder)


@pytest.fixture(scope="session")
def browser():
    """A Chromium without a network; in the modern interpreter only."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        sentence = f"none of {', '.join(BROWSERS)} is here: install one, for example `apt-get install chromium`"
        if IN_CI:
            pytest.fail(sentence)
        pytest.skip(sentence)
    with sync_playwright() as playwright:
        # A container runs it as root and has little shared memory.
        launched = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield launched
        launched.close()
