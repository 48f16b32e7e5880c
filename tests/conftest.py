"""What every test shares: the PICS mocks, the frameworks that must be there, the counts, legacy workers."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Not the user's cache.  Compiled graphs stay from one `make test` to the next; the rest is tiny.
os.environ.setdefault("LENS_CACHE", str(ROOT / ".cache" / "tests"))

IN_CI = bool(os.environ.get("CI"))
# What the interpreter under test must offer.
FRAMEWORKS = ("theano", "lasagne", "keras") if sys.version_info < (3, 9) else ("torch",)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def pytest_configure(config):
    config.addinivalue_line("markers", "thorough: takes long and guards what changes seldom; `make thorough` runs it")


def pytest_collection_modifyitems(config, items):
    """Leave what is thorough to `make thorough`, unless markers are chosen by hand."""
    left = [item for item in items if item.get_closest_marker("thorough")]
    if left and not os.environ.get("LENS_THOROUGH") and not config.option.markexpr:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


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
    if folder == "":
        pytest.skip("LENS_PICS_MOCKS is empty, which leaves out the tests of the PICS mocks")
    if folder is None:
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


class Worker:
    """A legacy process of one precision, as worker.py describes it; work from several threads takes turns."""

    def __init__(self, dtype):
        self.turn, self.log = threading.Lock(), tempfile.TemporaryFile("w+")
        self.dtype, self.process = dtype, None

    def start(self):
        command = [str(ROOT / ".venv-legacy/bin/python"), str(ROOT / "tests/worker.py"), self.dtype]
        paths = os.pathsep.join(str(ROOT / name) for name in (".", "common", "legacy"))
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            universal_newlines=True,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},  # the other core works, too
        )

    def do(self, work, *arguments):
        """Let it run the `main` of a script or a module, which must succeed."""
        with self.turn:
            if not self.process:
                self.start()
            print(json.dumps([str(work), *map(str, arguments)]), file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline()
            if answer != "done\n":
                self.log.seek(0)
                pytest.fail(f"{work}: {answer or 'the process ended'} {self.log.read()[-3000:]}")

    def end(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()


@pytest.fixture(scope="session")
def legacy_workers():
    """Legacy processes by precision, in which a graph is compiled once for all tests: a ResNet's takes minutes."""
    workers = {dtype: Worker(dtype) for dtype in ("float32", "float64")}
    yield workers
    for worker in workers.values():
        worker.end()
