"""What the Docker image stands on: its volume, its warm modules, and the end of its first process."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from types import SimpleNamespace

import pytest

from lens_common import cli
from lens_common.errors import UserError
from lens_legacy import backend
from lens_legacy.cli import main

# Prints the folder of compiled modules, and those in it after a function was compiled.
COMPILE = """
from lens_legacy import backend
backend.prepare()
import os, theano, theano.tensor as T
x = T.vector()
theano.function([x], T.exp(x) * 3)([0])
print(theano.config.compiledir, *sorted(os.listdir(theano.config.compiledir)))
"""


def compile_in_image(temporary, warm, code=COMPILE):
    """Output of a process that finds the image's variables; `temporary` is its folder for temporary files."""
    temporary.mkdir(exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if key != "THEANO_FLAGS"}
    environment = {**kept, "LENS_WARM_THEANO": str(warm), "TMPDIR": str(temporary), "PYTHONHASHSEED": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    folder, *modules = done.stdout.split()
    return folder, modules


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """Modules compiled beforehand, as the Dockerfile keeps them."""
    root = tmp_path_factory.mktemp("warm")
    folder, _ = compile_in_image(root / "tmp", root / "missing")
    shutil.copytree(folder, root / "modules")
    return root / "modules"


def test_warm_modules_are_found_and_none_is_compiled_again(warm, tmp_path):
    assert compile_in_image(tmp_path, warm)[1] == sorted(os.listdir(warm))


def test_the_folder_of_warm_modules_is_not_named_after_this_machine(warm, tmp_path):
    folder, _ = compile_in_image(tmp_path, warm)
    assert folder == str(tmp_path / f"lens-twins-{os.getuid()}" / "theano" / "slot-0" / "warm")


def test_modules_are_compiled_for_any_processor_that_the_image_may_meet(warm, tmp_path):
    code = "from lens_legacy import backend; backend.prepare(); import theano; print(0, theano.config.gcc.cxxflags)"
    assert "-march=x86-64-v2" in compile_in_image(tmp_path, warm, code)[1]


def test_the_lock_of_a_container_that_was_killed_is_not_waited_for(warm, tmp_path):
    folder, _ = compile_in_image(tmp_path, warm)
    os.mkdir(os.path.join(folder, "lock_dir"))
    # Of the first process of a container, as this one would be there: alive by its number.
    with open(os.path.join(folder, "lock_dir", "lock"), "w") as file:
        file.write(f"{os.getpid()}_0_{os.uname().nodename}\n")
    wait = "import os; os.environ['THEANO_FLAGS'] = 'compile.timeout=100000'"
    assert compile_in_image(tmp_path, warm, wait + COMPILE.replace("T.exp(x) * 3", "T.exp(x) * 5"))


def test_a_folder_in_which_nothing_can_be_executed_is_passed_over(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    flags = {True: os.ST_NOEXEC, False: 0}
    monkeypatch.setattr(
        os, "statvfs", lambda folder: SimpleNamespace(f_flag=flags[str(folder).startswith(str(tmp_path))])
    )
    assert not str(backend._compile_root(in_image=True)).startswith(str(tmp_path))


def test_nothing_executable_anywhere_is_an_error_that_names_the_remedy(monkeypatch):
    monkeypatch.setattr(os, "statvfs", lambda folder: SimpleNamespace(f_flag=os.ST_NOEXEC))
    with pytest.raises(UserError, match="--tmpfs /tmp:exec"):
        backend._compile_root(in_image=True)


def test_warm_modules_that_cannot_be_copied_leave_nothing_and_give_the_reason(monkeypatch, tmp_path, warm):
    def fill(source, target):
        os.makedirs(target)
        raise shutil.Error([("a", "b", "[Errno 28] No space left on device: 'a' -> 'b'")])

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("LENS_WARM_THEANO", str(warm))
    monkeypatch.setattr(shutil, "copytree", fill)
    with pytest.raises(UserError, match="No space left on device; make room"):
        backend._compile_flags()
    assert list(tmp_path.glob("*/theano/slot-*/copying")) == []


SIMULATE = ["simulate", "--mocks", "2", "--out"]


def test_a_volume_that_cannot_be_written_is_one_sentence_and_exit_2(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LENS_VOLUME", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert main([*SIMULATE, str(tmp_path / "mocks")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{tmp_path} cannot be written" in line and "--user" in line


def test_without_a_mounted_volume_it_is_said_that_results_stay_in_the_container(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LENS_VOLUME", str(tmp_path))
    assert main([*SIMULATE, str(tmp_path / "mocks")]) == 0
    assert capsys.readouterr().err.count("not a mounted volume") == 1


def test_results_outside_of_the_volume_are_not_spoken_of(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LENS_VOLUME", str(tmp_path / "volume"))
    assert main([*SIMULATE, str(tmp_path / "mocks")]) == 0
    assert "volume" not in capsys.readouterr().err


def test_temporary_files_go_to_the_cache_where_only_the_working_folder_is_left(monkeypatch, tmp_path):
    monkeypatch.setenv("LENS_VOLUME", str(tmp_path))
    monkeypatch.setenv("LENS_CACHE", str(tmp_path / ".cache"))
    monkeypatch.setenv("TMPDIR", "")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    cli._check_volume("lens-legacy", SimpleNamespace(name="train", out=None))
    assert os.environ["TMPDIR"] == tempfile.gettempdir() == str(tmp_path / ".cache" / "tmp")


def test_sigterm_while_graphs_are_compiled_is_one_sentence_and_143(tmp_path):
    command = [*"train --model cnn --mocks 60 --batch-size 8 --out".split(), str(tmp_path / "run")]
    process = subprocess.Popen(
        [sys.executable, "-m", "lens_legacy.cli", *command],
        env={**os.environ, "LENS_CACHE": str(tmp_path / "cache")},
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "graph is compiled" in line:
            break
    process.send_signal(signal.SIGTERM)
    errors = process.communicate()[1]
    assert process.returncode == 143
    assert "stopped by SIGTERM" in errors and "Traceback" not in errors


def test_sigterm_is_handled_as_before_when_a_command_has_ended(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    main([*SIMULATE, str(tmp_path / "mocks")])
    assert signal.getsignal(signal.SIGTERM) is before
