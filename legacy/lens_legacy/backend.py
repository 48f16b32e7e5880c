"""The framework: how it is set up, what it is, and which networks it builds."""

import argparse
import atexit
import contextlib
import fcntl
import glob
import hashlib
import importlib
import io
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import types
import warnings
from pathlib import Path
from typing import Any, Dict, List, Sequence, TextIO, Tuple

import numpy as np

from lens_common.errors import UserError
from lens_common.files import cache_folder
from lens_common.learning.models import network_class
from lens_common.learning.protocol import Network, NetworkShape
from lens_common.memory import keep_freed_memory, usable_cores

NAME, ENGINE = "legacy", "theano"
MODES = ("faithful",)

# The part of -ffast-math that lets sums and exponentials be vectorised (to 4 units in the last place), a third more
# speed for the ResNet; without what it does to NaN, infinity and, for the whole process, to denormal numbers.
# And without Theano's debugging symbols, which take a fifth of the compiler's time.
_CXXFLAGS = (
    "-g0 -fno-math-errno -fno-trapping-math -fno-signed-zeros -fassociative-math -freciprocal-math -D__FAST_MATH__=1"
)

# What every module of Theano's includes.
_HEADERS = """#include <Python.h>
#include <iostream>
#include "theano_mod_helper.h"
#include <math.h>
#include <numpy/arrayobject.h>
#include <numpy/arrayscalars.h>
#include <vector>
#include <algorithm>
"""

# Locks of the compile folders in use: held for as long as the process lives.
_claimed: List[TextIO] = []


def add_options(parser: argparse.ArgumentParser, training: bool) -> None:
    """Add the command line's options that only this framework has."""


def configure(options: argparse.Namespace) -> None:
    """Set up the framework as the command line says.

    It says nothing of Theano, which takes ``THEANO_FLAGS`` from the environment.
    """


def prepare(dtype: str = "float32") -> None:
    """Set up Theano, Lasagne and Keras once a process, before anything imports them.

    Theano gets numpy's own OpenBLAS, all cores, and a compile cache that no other
    process is using; whatever the user has in ``THEANO_FLAGS`` comes last and wins.
    ``LENS_WARM_THEANO``, which the Docker image sets, names modules compiled beforehand.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        Precision of every tensor in the graphs.

    Raises
    ------
    UserError
        If Theano refuses the flags in the environment, finds no compiler, or was set up
        before with another dtype.
    """
    if "theano" in sys.modules:
        found = sys.modules["theano"].config.floatX
        if found != dtype:
            raise UserError(f"Theano runs in {found} in this process; start a new one for {dtype}")
        return
    given = os.environ.get("THEANO_FLAGS", "")
    blas = _blas_flags()
    # Theano's fallback for a BLAS calls NumPy from every thread, which ends the process.
    flags = [
        f"floatX={dtype}",
        "device=cpu",
        f"openmp={bool(blas)}",
        f"blas.ldflags={blas}",
        f"gcc.cxxflags={_CXXFLAGS}",
    ]
    if "compiledir" not in given:  # matches base_compiledir too
        flags += _compile_flags()
    os.environ["THEANO_FLAGS"] = ",".join([*flags, given] if given else flags)
    keep_freed_memory()
    os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))
    os.environ["KERAS_BACKEND"] = "theano"
    # Keras reads and writes ~/.keras/keras.json; ours must not depend on the user's.
    os.environ["KERAS_HOME"] = str(cache_folder("keras"))
    # Theano-PyMC logs each flag whose default has to be computed as an error.
    # And it warns that a library named by -l: is none; `describe` says which one it took.
    for noisy in ("theano.configparser", "theano.tensor.blas"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    try:
        importlib.import_module("theano")
    except Exception as error:  # Theano raises many kinds for a flag it does not take
        raise UserError(f"Theano does not start with THEANO_FLAGS={given!r}: {error}; unset it or mend it") from error
    if not sys.modules["theano"].config.cxx:
        raise UserError("Theano finds no C++ compiler and would be a hundred times slower; install g++")
    _supply_downsample()
    _hash_alike()
    if _claimed and sys.platform == "linux":  # elsewhere g++ may be a name of clang
        _keep_headers(Path(_claimed[-1].name).with_suffix(".headers"))
    # Theano walks its graphs by recursion; that of the ResNet is about 1,000 nodes deep.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 10_000))
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("lasagne")
        keras = importlib.import_module("keras")
    # Keras sets Theano's floatX from its own at import, whatever THEANO_FLAGS says.
    keras.backend.set_floatx(dtype)
    sys.modules["theano"].config.floatX = dtype
    if given:
        _try_compiling(given)


def build_network(model: str, shape: NetworkShape, seed: int, lens_weight: float = 1.0) -> Network:
    """Build a network with freshly drawn weights.

    Parameters
    ----------
    model : str
        A key of `lens_common.learning.models.MODELS`.
    shape : NetworkShape
        Bands and side of the stamps.
    seed : int
        Seed of the initial weights.
    lens_weight : float
        Weight of a lens relative to a non-lens in the loss; only the ResNet's has one.

    Returns
    -------
    Network
        Implements the twin protocol.
    """
    if "theano" not in sys.modules:
        prepare()
    return network_class(model, NAME)(shape, seed, lens_weight=lens_weight)


def mode() -> str:
    """How networks are trained: one of `MODES`."""
    return "faithful"


def describe() -> Dict[str, Any]:
    """Versions and settings of the framework, for a run's ``environment.json``."""
    if "theano" not in sys.modules:
        prepare()
    theano, lasagne, keras = (sys.modules[name] for name in ("theano", "lasagne", "keras"))
    return {
        "python": platform.python_version(),
        "theano-pymc": theano.__version__,
        "lasagne": lasagne.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "dtype": theano.config.floatX,
        "blas": theano.config.blas.ldflags or "none: Theano's NumPy fallback",
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }


def _blas_flags() -> str:
    """Linker flags for the OpenBLAS inside numpy's wheel; empty where numpy has none.

    The loader finds the library at run time because numpy has loaded it already.
    ``-Wl,`` cannot be used: commas separate THEANO_FLAGS.
    """
    folder = Path(np.__file__).resolve().parent.parent / "numpy.libs"
    found = sorted(glob.glob(str(folder / "libopenblas*.so")))
    return f"-L{folder} -l:{Path(found[0]).name}" if found else ""


def _compile_flags() -> List[str]:
    """Flags that say where compiled modules go, and for the warm ones of the image those they were made with.

    By default Theano names the folder after the kernel's release and compiles for this very
    processor, so that modules made on another machine would never be found.
    """
    warm = os.environ.get("LENS_WARM_THEANO")
    slot = _claim_compile_folder(_compile_root(in_image=bool(warm)))
    if not warm:
        _take_modules(slot)
        return [f"base_compiledir={slot}"]
    modules = slot / "warm"
    # Of a container that was killed: its process had the number 1, as ours has, and would seem alive.
    shutil.rmtree(modules / "lock_dir", ignore_errors=True)
    if os.path.isdir(warm) and not modules.exists():
        copying = slot / "copying"
        shutil.rmtree(copying, ignore_errors=True)
        try:
            shutil.copytree(warm, copying)
        except OSError as error:
            shutil.rmtree(copying, ignore_errors=True)
            # shutil.Error lists (from, to, reason), and the reason ends in both once more.
            reason = error.args[0][0][2].split(": '")[0] if isinstance(error, shutil.Error) else error
            raise UserError(
                f"the compiled modules in {warm} cannot be copied to {slot}: {reason}; make room for 50 MB there"
            ) from error
        os.replace(copying, modules)
    return [f"compiledir={modules}", f"gcc.cxxflags={_CXXFLAGS} -march=x86-64-v2"]


def _take_modules(slot: Path) -> None:
    """Give a compile folder the modules that the others have and it has not: those of a ResNet take minutes."""
    known = {module.name for module in slot.glob("*/*/m*.so")}  # named by the hash of their code
    for module in sorted(slot.parent.glob("slot-*[0-9]/*/*/m*.so")):
        taken = slot.joinpath(*module.parent.parts[-2:])
        if module.name in known or taken.exists() or not (module.parent / "key.pkl").exists():
            continue
        known.add(module.name)
        try:
            shutil.copytree(module.parent, taken)
        except (OSError, shutil.Error):  # its process cleans up, or the disk is full: it will be compiled
            shutil.rmtree(taken, ignore_errors=True)


def _compile_root(in_image: bool) -> Path:
    """Folder for compiled modules: Theano runs what it writes there, which some mounts forbid.

    In the image the temporary folder comes first: it is new in each container, as the image may be.
    """
    temporary = Path(tempfile.gettempdir()) / f"lens-twins-{os.getuid()}" / "theano"
    folders = [cache_folder("theano"), temporary]
    for folder in reversed(folders) if in_image else folders:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0):
            return folder
    raise UserError(
        f"nothing can be executed in {folders[0]} nor {folders[1]}, and Theano runs what it compiles there; "
        "set LENS_CACHE to a folder not mounted with noexec, or mount one (Docker: --tmpfs /tmp:exec)"
    )


def _try_compiling(given: str) -> None:
    """Compile and link something small: a flag for the compiler that is wrong shows only here."""
    theano, tensor = sys.modules["theano"], sys.modules["theano.tensor"]
    matrix = tensor.matrix()
    try:
        theano.function([matrix], tensor.dot(matrix, matrix))
    except Exception as error:
        reason = next((text for text in error.args if str(text).startswith("Compilation failed")), error)
        raise UserError(
            f"Theano cannot compile with THEANO_FLAGS={given!r}: {str(reason).strip()}; unset it or mend it"
        ) from error


def _claim_compile_folder(root: Path) -> Path:
    """First compile folder below `root` that no living process holds.

    Theano makes processes that share a folder wait for each other, for minutes at a
    time.  The lock goes with the process, however it ends.
    """
    for number in range(1000):
        lock = open(root / f"slot-{number}.lock", "w")  # noqa: SIM115  held until the process ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _claimed.append(lock)
        return root / f"slot-{number}"
    raise UserError(f"all 1000 Theano compile folders below {root} are in use; end some of those processes")


def _hash_alike() -> None:
    """Let Theano find its modules for operations written in C files again.

    It names them by Python's hash of their code, which is another in every process unless PYTHONHASHSEED is set.
    """
    from theano.gof.op import COp

    def version(self: Any) -> Tuple:
        code = hashlib.sha256(repr(tuple(self.func_codes)).encode()).hexdigest()
        rest = (self.params_type.c_code_cache_version(),) if hasattr(self, "params_type") else ()
        return (int(code[:15], 16), *rest)

    COp.c_code_cache_version = version


def _keep_headers(folder: Path) -> None:
    """Let g++ keep what it reads in the headers that all modules include: half of its time for each.

    It does so for each set of flags that a third module has; where that fails, it reads them again as ever.

    References
    ----------
    gcc.gnu.org/onlinedocs/gcc/Precompiled-Headers.html
    """
    from theano.gof.cmodule import GCC_compiler, std_include_dirs

    compile_str, owner = GCC_compiler.compile_str, os.getpid()
    uses: Dict[Tuple[str, ...], int] = {}
    kept: Dict[Tuple[str, ...], Path] = {}

    def forget() -> None:
        if os.getpid() == owner:  # and not a fork of it
            shutil.rmtree(folder, ignore_errors=True)

    def keep(flags: Tuple[str, ...]) -> None:
        header = folder / f"{len(kept)}.hpp"
        places = [f"-I{place}" for place in std_include_dirs()]
        command = [sys.modules["theano"].config.cxx, *flags, "-fvisibility=hidden", *places, "-x", "c++-header"]
        with contextlib.suppress(OSError):
            folder.mkdir(exist_ok=True)
            if shutil.disk_usage(folder).free > 2**29:  # each takes 36 MB; modules come first
                header.write_text(_HEADERS)
                made = [str(header), "-o", f"{header}.gch"]
                if not subprocess.run([*command, *made], stderr=subprocess.DEVNULL).returncode:
                    kept[flags] = header

    def compile_quickly(*arguments: Any, preargs: Sequence[str] = (), **options: Any) -> Any:
        flags = tuple(flag for flag in preargs if not flag.startswith("-Wl,"))
        uses[flags] = uses.get(flags, 0) + 1
        if uses[flags] == 3:
            keep(flags)
        included = ["-include", str(kept[flags])] if flags in kept else []
        return compile_str(*arguments, preargs=[*preargs, *included], **options)

    forget()  # what a process left that was killed
    atexit.register(forget)
    GCC_compiler.compile_str = staticmethod(compile_quickly)


def _supply_downsample() -> None:
    """Give Lasagne 0.1 the module that Theano has since renamed to ``pool``."""
    from theano.tensor import signal
    from theano.tensor.signal import pool

    def max_pool_2d(input: Any, ds: Any, st: Any, ignore_border: bool, padding: Any, mode: str) -> Any:
        return pool.pool_2d(input, ws=ds, stride=st, ignore_border=ignore_border, pad=padding, mode=mode)

    module = types.ModuleType("theano.tensor.signal.downsample")
    module.max_pool_2d = max_pool_2d  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    signal.downsample = module
