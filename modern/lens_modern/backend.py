"""The framework: how it is set up, what it is, and which networks it builds."""

import argparse
import os
import platform
from typing import Any

import numpy as np
import torch

from lens_common.errors import UserError
from lens_common.learning.models import network_class
from lens_common.learning.protocol import Network, NetworkShape
from lens_common.memory import keep_freed_memory, usable_cores

NAME, ENGINE = "modern", "torch"
MODES = ("faithful", "idiomatic")
_PRECISIONS = ("auto", "float32", "bfloat16", "float64")

# What `prepare` was told last; empty before.
_chosen: dict[str, Any] = {}


def add_options(parser: argparse.ArgumentParser, training: bool) -> None:
    """Add the command line's options that only this framework has."""
    parser.add_argument(
        "--device", default="auto", metavar="D", help="cpu, cuda, cuda:1 ...; auto, the default: cuda if there is one"
    )
    parser.add_argument(
        "--precision",
        choices=_PRECISIONS,
        default="auto",
        help="auto, the default: float32, but bfloat16 in idiomatic training where the processor computes in it",
    )
    if training:
        parser.add_argument(
            "--mode",
            choices=MODES,
            default="faithful",
            help="faithful, the default: as Lasagne and Keras train; idiomatic: as PyTorch would today",
        )


def configure(options: argparse.Namespace) -> None:
    """Set up the framework as the command line says.

    Raises
    ------
    UserError
        If there is no such device.
    """
    if not hasattr(options, "device"):
        return
    prepare(
        "float64" if options.precision == "float64" else "float32",
        device=options.device,
        bfloat16={"auto": None, "bfloat16": True}.get(options.precision, False),
        mode=getattr(options, "mode", "faithful"),
    )


def prepare(
    dtype: str = "float32", device: str = "auto", bfloat16: bool | None = False, mode: str = "faithful"
) -> None:
    """Set up PyTorch: one device, all cores, one precision.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        Precision of every tensor in the networks built from here on.
    device : str
        As torch names it, or auto.
    bfloat16 : bool, optional
        Whether convolutions and matrix products run in bfloat16; None: in idiomatic mode, where
        the processor computes in it.
    mode : str
        One of `MODES`.

    Raises
    ------
    UserError
        If there is no such device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=device).numpy(force=True)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"torch cannot use the device {device!r}: {reason}; name another as `device`") from error
    if device != "cpu" or _chosen.get("device", "cpu") != "cpu":  # it slows every call down a little
        torch.set_default_device(device)
    keep_freed_memory()
    torch.backends.cudnn.allow_tf32 = False  # else a GPU convolves float32 with 10 bits of mantissa
    torch.set_default_dtype(getattr(torch, dtype))
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]  # OpenMP takes a number for each level
    torch.set_num_threads(int(asked) if asked.isdecimal() and int(asked) else usable_cores())
    if bfloat16 is None:
        bfloat16 = mode == "idiomatic" and _computes_in_bfloat16(device)
    _chosen.update(device=device, bfloat16=bfloat16, mode=mode)


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
    if not _chosen:
        prepare()
    network = network_class(model, "idiomatic" if mode() == "idiomatic" else NAME)(shape, seed, lens_weight=lens_weight)
    if _chosen["bfloat16"]:
        network.autocast = torch.bfloat16
    return network


def mode() -> str:
    """How networks are trained: one of `MODES`."""
    return str(_chosen.get("mode", "faithful"))


def describe() -> dict[str, Any]:
    """Versions and settings of the framework, for a run's ``environment.json``."""
    if not _chosen:
        prepare()
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": _device_name(),
        "dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "bfloat16": _chosen["bfloat16"],
        "mode": _chosen["mode"],
        "blas": "mkl" if torch.backends.mkl.is_available() else "none of its own",
        "threads": str(torch.get_num_threads()),
    }


def _computes_in_bfloat16(device: str) -> bool:
    """Whether the processor has instructions for bfloat16; elsewhere it is slower than float32."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch offers no public question
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)


def _device_name() -> str:
    device = torch.device(_chosen["device"])
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
