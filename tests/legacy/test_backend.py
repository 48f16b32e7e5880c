"""Each test that needs a Theano of its own runs in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import theano

from lens_common.errors import UserError
from lens_legacy import backend


def python(code, tmp_path, **environment):
    """Start an interpreter with a compile cache of its own."""
    kept = {key: value for key, value in os.environ.items() if key not in ("THEANO_FLAGS", "KERAS_HOME")}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**kept, "LENS_CACHE": str(tmp_path), **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def tiny_training(tmp_path):
    return "train --model cnn --mocks 60 --batch-size 8 --out".split() + [str(tmp_path / "run")]


def test_theano_links_the_blas_of_numpy_s_own_wheel():
    folder, library = theano.config.blas.ldflags.split()
    assert (Path(folder[2:]) / library[3:]).exists()


def test_theano_uses_all_cores_unless_told_otherwise(monkeypatch, tmp_path):
    code = (
        "import os; from lens_legacy import backend; backend.prepare(); import theano;"
        "print(theano.config.openmp, os.environ['OMP_NUM_THREADS'])"
    )
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # tests/run.sh sets it
    cores = str(len(os.sched_getaffinity(0)))
    assert python(code, tmp_path).communicate()[0].split() == ["True", cores]
    assert python(code, tmp_path, OMP_NUM_THREADS="1").communicate()[0].split() == ["True", "1"]


def test_headers_are_kept_from_the_third_module_of_the_same_flags_until_the_process_ends(tmp_path):
    code = (
        "from lens_legacy import backend; backend.prepare(); import theano, theano.tensor as T; import glob;"
        "x = T.vector(); count = lambda: len(glob.glob('{0}/theano/slot-0.headers/*.gch'));"
        "before = count();"
        "values = [theano.function([x], f(x) * 2)([0.5])[0] for f in (T.exp, T.sin, T.cosh, T.tanh)];"
        "print(before, count() > 0, *['%.5f' % value for value in values])"
    ).replace("{0}", str(tmp_path))
    out, err = python(code, tmp_path).communicate()
    # 2 exp, sin, cosh, tanh of 0.5
    assert out.split() == ["0", "True", "3.29744", "0.95885", "2.25525", "0.92423"], err
    assert not (tmp_path / "theano" / "slot-0.headers").exists()


def test_float64_is_float64_in_theano_and_in_keras(tmp_path):
    code = (
        "from lens_legacy import backend; backend.prepare('float64'); import theano, keras;"
        "print(theano.config.floatX, keras.backend.floatx())"
    )
    assert python(code, tmp_path).communicate()[0].split() == ["float64", "float64"]


def test_a_network_is_built_in_the_precision_that_was_prepared(tmp_path):
    code = (
        "from lens_common.learning.protocol import NetworkShape; from lens_legacy import backend; "
        "backend.prepare('float64');"
        "network = backend.build_network('cnn', NetworkShape(), 1);"
        "print(network.get_weights()['conv.weight'].dtype, backend.describe()['dtype'])"
    )
    assert python(code, tmp_path).communicate()[0].split() == ["float64", "float64"]


def test_another_dtype_in_one_process_is_refused():
    with pytest.raises(UserError, match="runs in float32"):
        backend.prepare("float64")


def test_the_user_s_flags_win(tmp_path):
    code = "from lens_legacy import backend; backend.prepare(); import theano; print(theano.config.openmp)"
    assert python(code, tmp_path, THEANO_FLAGS="openmp=False").communicate()[0].strip() == "False"


def test_a_flag_that_theano_does_not_take_is_one_sentence_and_exit_2(tmp_path):
    code = f"import sys; from lens_legacy.cli import main;sys.exit(main({tiny_training(tmp_path)!r}))"
    process = python(code, tmp_path, THEANO_FLAGS="floatX=float7")
    _, errors = process.communicate()
    assert process.returncode == 2
    assert "THEANO_FLAGS='floatX=float7'" in errors
    assert "Traceback" not in errors


def test_a_library_that_the_linker_does_not_find_is_one_sentence_and_exit_2(tmp_path):
    code = f"import sys; from lens_legacy.cli import main;sys.exit(main({tiny_training(tmp_path)!r}))"
    process = python(code, tmp_path, THEANO_FLAGS="blas.ldflags=-lnonsense")
    _, errors = process.communicate()
    assert process.returncode == 2
    assert "THEANO_FLAGS='blas.ldflags=-lnonsense'" in errors
    assert "Traceback" not in errors


def test_without_a_compiler_it_is_one_sentence_and_exit_2(tmp_path):
    code = f"import sys; from lens_legacy.cli import main;sys.exit(main({tiny_training(tmp_path)!r}))"
    process = python(code, tmp_path, PATH=str(tmp_path))
    _, errors = process.communicate()
    assert process.returncode == 2
    assert "install g++" in errors
    assert "Traceback" not in errors


def test_the_user_s_keras_settings_are_neither_read_nor_written(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    code = "from lens_legacy import backend; backend.prepare()"
    process = python(code, tmp_path / "cache", HOME=str(home))
    process.communicate()
    assert process.returncode == 0
    assert list(home.iterdir()) == []


def test_two_processes_with_one_cache_compile_at_once_in_folders_of_their_own(tmp_path):
    code = (
        "from lens_legacy import backend; backend.prepare(); import theano, theano.tensor as T; x = T.vector();"
        "print(theano.config.base_compiledir, flush=True); input();"
        "print(theano.function([x], T.exp(x) * 3)([0])[0])"
    )
    processes = [python(code, tmp_path) for _ in range(2)]
    folders = [process.stdout.readline().strip() for process in processes]
    results = [process.communicate("go\n")[0].strip() for process in processes]
    assert sorted(Path(folder).name for folder in folders) == ["slot-0", "slot-1"]
    assert results == ["3.0", "3.0"]


def test_a_second_process_takes_the_modules_that_the_first_has_compiled(tmp_path):
    code = (
        "from lens_legacy import backend; backend.prepare(); import theano, theano.tensor as T; x = T.vector();"
        "from pathlib import Path; folder = Path(theano.config.base_compiledir);"
        "count = lambda: len(list(folder.glob('*/*/key.pkl')));"
        "print(count(), flush=True); input(); print(theano.function([x], T.exp(x) * 3)([0])[0], count())"
    )
    first = python(code, tmp_path)
    before, _, n_compiled = first.communicate("go\n")[0].split()
    assert before == "0" != n_compiled
    held = python("from lens_legacy import backend; backend.prepare(); print(1, flush=True); input()", tmp_path)
    held.stdout.readline()  # it sits in the first folder
    second = python(code, tmp_path)
    assert second.communicate("go\n")[0].split() == [n_compiled, "3.0", n_compiled]
    held.communicate("go\n")
    assert sorted(path.name for path in (tmp_path / "theano").glob("slot-?")) == ["slot-0", "slot-1"]


def test_a_compile_folder_is_free_again_when_its_process_has_ended(tmp_path):
    code = "from lens_legacy import backend; backend.prepare(); import theano; print(theano.config.base_compiledir)"
    folders = [python(code, tmp_path).communicate()[0].strip() for _ in range(2)]
    assert folders[0] == folders[1]


def test_an_unknown_model_is_refused_with_the_names_of_those_there_are():
    from lens_common.learning.protocol import NetworkShape

    with pytest.raises(UserError, match="resnet, cnn"):
        backend.build_network("unet", NetworkShape(), 1)
