"""Where there is no Python of a side, requirements/setup.sh brings one with uv; here from a mirror in a folder."""

import hashlib
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.mirror import make_mirror

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")
# All that a machine has, as README asks for, beside the shell's own tools.
PROGRAMS = "bash g++ as ld cat cksum cut dirname basename env grep awk find ln mkdir rm sed sort tail uname".split()
THOROUGH = os.environ.get("LENS_THOROUGH")


class Machine:
    """A copy of what a set-up reads, and a PATH on which no Python lies."""

    def __init__(self, folder):
        self.home, self.programs = folder / "checkout", folder / "bin"
        self.programs.mkdir()
        for name in PROGRAMS:
            self.add(shutil.which(name))
        for name in ("requirements", "common", "legacy"):
            shutil.copytree(ROOT / name, self.home / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "LICENSE", self.home)

    def add(self, program, name=None):
        (self.programs / (name or Path(program).name)).symlink_to(program)

    def run(self, *command, most_bytes=None, **variables):
        passed_on = ("PIP_", "SSL_", "LENS_PICS_MOCKS", "TMPDIR", "LENS_CACHE")
        environment = {key: value for key, value in os.environ.items() if key.startswith(passed_on)}
        environment.update(PATH=str(self.programs), HOME=str(self.home.parent), **variables)
        limit = None
        if most_bytes:  # writing more fails, as on a full disk
            limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))  # noqa: E731
        command = [str(part) for part in command]
        return subprocess.run(
            command,
            cwd=self.home,
            env=environment,
            capture_output=True,
            text=True,
            preexec_fn=limit,
            restore_signals=not limit,  # Python ignores SIGXFSZ, and so must uv
        )

    def set_up(self, **options):
        return self.run(self.programs / "bash", "requirements/setup.sh", "legacy", **options)

    def left(self):
        """What lies in .tools, apart from uv."""
        return sorted(path.name for path in self.home.glob(".tools/*") if path.name != "uv")


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    """List of downloads, with one archive made of the Python 3.8 at hand."""
    return make_mirror(tmp_path_factory.mktemp("mirror"), [ROOT / ".venv-legacy/bin/python"])


def check_one_sentence(done, *words):
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("setup: No Python 3.8"), done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def test_without_uv_and_any_python_one_sentence_says_so(machine):
    check_one_sentence(machine.set_up(), "no uv", "pyenv install 3.8", "LENS_PYTHON38")
    assert machine.left() == []


def test_a_shim_that_fails_is_no_uv(machine):
    shim = machine.programs / "uv"
    shim.write_text(f"#!{machine.programs / 'bash'}\nexit 127\n")
    shim.chmod(0o755)
    check_one_sentence(machine.set_up(), "no uv")


def uv_in_an_index(machine, folder, pinned=None):
    """Have the lock pin a uv that brings nothing; return what leads pip to an index with that uv alone."""
    page = folder / "index/uv"
    page.mkdir(parents=True)
    with zipfile.ZipFile(page / "uv-9.9-py3-none-any.whl", "w") as wheel:
        program = zipfile.ZipInfo("uv-9.9.data/scripts/uv")
        program.external_attr = 0o100755 << 16  # a file that can be run
        answer = '[ "$1" != --version ] || { echo uv 9.9; exit; }; echo "error: this uv is a stub" >&2; exit 1'
        wheel.writestr(program, f"#!{machine.programs / 'bash'}\n{answer}\n")
        wheel.writestr("uv-9.9.dist-info/METADATA", "Metadata-Version: 2.1\nName: uv\nVersion: 9.9\n")
        wheel.writestr("uv-9.9.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("uv-9.9.dist-info/RECORD", "")
    (page / "index.html").write_text('<a href="uv-9.9-py3-none-any.whl">uv</a>')
    pinned = pinned or hashlib.sha256((page / "uv-9.9-py3-none-any.whl").read_bytes()).hexdigest()
    (machine.home / "requirements/modern.txt").write_text(f"uv==9.9 \\\n    --hash=sha256:{pinned}\nzipp==1.0\n")
    return {"PIP_INDEX_URL": (folder / "index").as_uri(), "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}


def python_without(machine, *modules):
    """Add a Python that lacks some modules, as Debian's does."""
    program = machine.programs / "python3"
    cases = "|".join(modules) or "none"
    program.write_text(
        f'#!{machine.programs / "bash"}\ncase "$2" in {cases}) exit 1 ;; esac\nexec {sys.executable} "$@"\n'
    )
    program.chmod(0o755)


@pytest.mark.parametrize("lacking", [[], ["pip"]], ids=["with pip", "with venv alone"])
def test_a_python_lets_pip_fetch_the_uv_that_is_pinned(machine, tmp_path, lacking):
    python_without(machine, *lacking)
    settings = uv_in_an_index(machine, tmp_path)
    check_one_sentence(machine.set_up(**settings), "this uv is a stub")
    assert sorted(path.name for path in machine.home.glob(".tools/*")) == ["uv"]
    again = machine.set_up(**{**settings, "PIP_INDEX_URL": "http://127.0.0.1:9"})
    check_one_sentence(again, "this uv is a stub")  # the one fetched before


def test_a_python_without_pip_and_venv_is_one_sentence_with_the_remedy(machine):
    python_without(machine, "pip", "venv")
    check_one_sentence(machine.set_up(), "no Python with pip or the venv module", "apt-get install python3-venv")
    assert machine.left() == []


def test_without_a_network_uv_is_not_fetched_and_nothing_is_left(machine):
    python_without(machine)
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
    done = machine.set_up(**nowhere, PIP_RETRIES="0")
    check_one_sentence(done, "pip could not fetch uv", "No matching distribution", "pip config list")
    assert machine.left() == [] and not (machine.home / ".tools/uv").exists()


def test_a_wheel_of_uv_with_another_hash_is_refused(machine, tmp_path):
    python_without(machine)
    done = machine.set_up(**uv_in_an_index(machine, tmp_path, pinned="0" * 64))
    check_one_sentence(done, "pip could not fetch uv 9.9", "DO NOT MATCH THE HASHES")
    assert machine.left() == [] and not (machine.home / ".tools/uv").exists()


def test_a_damaged_archive_is_one_sentence_and_nothing_is_left(machine, mirror, tmp_path):
    listed = json.loads(mirror.read_text())
    next(iter(listed.values()))["sha256"] = "0" * 64
    (tmp_path / "downloads.json").write_text(json.dumps(listed))
    machine.add(UV)
    check_one_sentence(machine.set_up(UV_PYTHON_DOWNLOADS_JSON_URL=str(tmp_path / "downloads.json")), "uv could not")
    assert machine.left() == []


def test_a_full_disk_is_one_sentence_and_nothing_is_left(machine, mirror):
    machine.add(UV)
    done = machine.set_up(UV_PYTHON_DOWNLOADS_JSON_URL=str(mirror), most_bytes=2_000_000)
    check_one_sentence(done, "uv could not bring one")
    assert machine.left() == []


def test_an_interpreter_that_cannot_be_downloaded_is_one_sentence(machine):
    machine.add(UV)
    listed = machine.home / "downloads.json"
    entry = {"name": "cpython", "arch": {"family": platform.machine(), "variant": None}, "os": "linux", "libc": "gnu"}
    entry.update(major=3, minor=8, patch=20, prerelease="", variant=None, build="20241002", sha256="0" * 64)
    entry["url"] = "http://127.0.0.1:9/cpython.tar.gz"
    listed.write_text(json.dumps({f"cpython-3.8.20-linux-{platform.machine()}-gnu": entry}))
    done = machine.set_up(UV_PYTHON_DOWNLOADS_JSON_URL=str(listed), UV_HTTP_RETRIES="0")
    check_one_sentence(done, "uv could not bring one")
    assert machine.left() == []


if THOROUGH:

    def test_the_interpreter_that_uv_brings_compiles_trains_and_scores(machine, mirror, tmp_path):
        machine.add(UV)
        done = machine.set_up(UV_PYTHON_DOWNLOADS_JSON_URL=str(mirror))
        assert done.returncode == 0, done.stdout + done.stderr
        python = machine.home / ".venv-legacy/bin/python"
        prefix = machine.run(python, "-c", "import sys; print(sys.base_prefix)").stdout.strip()
        assert Path(prefix).resolve().is_relative_to(machine.home / ".tools/python-3.8")
        fresh = {"LENS_CACHE": str(tmp_path / "cache")}  # nothing compiled before
        train = ("train", "--model", "cnn", "--mocks", "60", "--epochs", "1", "--batch-size", "8", "--out", "run")
        for command in (train, ("score", "mocks", "--run", "run", "--out", "scores.csv")):
            if command[0] == "score":
                made = machine.run(python, "-m", "lens_legacy", "simulate", "--mocks", "8", "--out", "mocks", **fresh)
                assert made.returncode == 0, made.stderr
            done = machine.run(python, "-m", "lens_legacy", *command, **fresh)
            assert done.returncode == 0, done.stderr
        assert len((machine.home / "scores.csv").read_text().splitlines()) == 9
