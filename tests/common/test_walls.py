"""Common stays free of frameworks, and a set-up that cannot work says why in one sentence."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASH = shutil.which("bash")
IMPORT_ALL_OF_COMMON = """
import importlib, pkgutil, sys
import lens_common
names = [module.name for module in pkgutil.walk_packages(lens_common.__path__, "lens_common.")]
for name in names:
    importlib.import_module(name)
frameworks = {"theano", "lasagne", "keras", "torch", "tensorflow", "lens_legacy", "lens_modern"}
print(len(names), *sorted(frameworks & set(sys.modules)))
"""


def test_importing_all_of_common_loads_no_framework():
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL_OF_COMMON], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0
    modules, *frameworks = done.stdout.split()
    assert int(modules) >= 1
    assert frameworks == []


class Machine:
    """A machine that has only the programs put into its one folder on the PATH."""

    def __init__(self, folder):
        self.folder = folder
        self.programs = folder / "bin"
        self.programs.mkdir()
        # A copy, in whose checkout neither conda nor uv has brought a Python.
        (folder / "requirements").mkdir()
        shutil.copy(str(ROOT / "requirements" / "setup.sh"), str(folder / "requirements"))

    def add(self, name, script="exit 0"):
        program = self.programs / name
        program.write_text(f"#!{BASH}\n{script}\n")
        program.chmod(0o755)
        return program

    def add_python(self, name, version, headers=True):
        """Add a stub that answers the question which requirements/setup.sh asks of a Python."""
        include = self.folder / f"include-{name}"
        include.mkdir()
        if headers:
            (include / "Python.h").touch()
        return self.add(name, f"printf '%s\\n' '{version}' '{self.programs / name}' '{include}'")

    def check(self, side, **variables):
        environment = {"PATH": str(self.programs), "HOME": str(self.folder), **variables}
        return subprocess.run(
            [BASH, str(self.folder / "requirements" / "setup.sh"), "check", side],
            env=environment,
            capture_output=True,
            text=True,
        )


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def assert_one_sentence(done, *words):
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


def test_a_machine_with_all_it_needs_passes(machine):
    machine.add_python("python3.8", "3 8")
    machine.add("g++")
    done = machine.check("legacy")
    assert (done.returncode, done.stderr) == (0, "")
    assert str(machine.programs / "python3.8") in done.stdout


def test_no_python_3_8_is_one_sentence_with_the_remedy(machine):
    machine.add("g++")
    assert_one_sentence(machine.check("legacy"), "Python 3.8", "pyenv install 3.8", "LENS_PYTHON38")


def test_a_shim_that_fails_is_no_python(machine):
    machine.add("g++")
    machine.add("python3.8", "echo 'python3.8: command not found' >&2; exit 127")
    assert_one_sentence(machine.check("legacy"), "No Python 3.8")


def test_a_shim_that_fails_is_passed_over_for_the_versions_of_pyenv(machine):
    machine.add("g++")
    machine.add("python3.8", "exit 127")
    stub = machine.add_python("stub", "3 8")
    version = machine.folder / ".pyenv" / "versions" / "3.8.18" / "bin"
    version.mkdir(parents=True)
    shutil.copy(str(stub), str(version / "python"))
    assert machine.check("legacy").returncode == 0


def test_an_override_that_is_no_python_3_8_is_one_sentence(machine):
    machine.add("g++")
    machine.add_python("python3.8", "3 8")
    other = machine.add_python("python3.9", "3 9")
    assert_one_sentence(machine.check("legacy", LENS_PYTHON38=str(other)), f"LENS_PYTHON38={other}", "unset")


def test_no_compiler_is_one_sentence_with_the_remedy(machine):
    machine.add_python("python3.8", "3 8")
    assert_one_sentence(machine.check("legacy"), "g++", "apt-get install g++")


def test_no_python_header_is_one_sentence_with_the_remedy(machine):
    machine.add("g++")
    machine.add_python("python3.8", "3 8", headers=False)
    assert_one_sentence(machine.check("legacy"), "Python.h", "python3.8-dev")


def test_an_old_python_does_not_serve_the_modern_side(machine):
    machine.add_python("python3", "3 10")
    assert_one_sentence(machine.check("modern"), "3.11", "LENS_PYTHON311")


def test_a_new_python3_serves_the_modern_side(machine):
    machine.add_python("python3", "3 12")
    assert machine.check("modern").returncode == 0
