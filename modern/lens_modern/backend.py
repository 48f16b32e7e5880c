"""The framework: how it is set up, what it is, and which networks it builds."""

import importlib
import os
import platform
from typing import Any

import numpy as np
import torch

from lens_common.errors import UserError
from lens_common.protocol import Network, NetworkShape

NAME = "modern"
NETWORKS = {"resnet": "ResNet", "cnn": "CNN"}


def prepare(dtype: str = "float32") -> None:
    """Set up PyTorch: all cores, one precision.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        Precision of every tensor in the networks built from here on.
    """
    torch.set_default_dtype(getattr(torch, dtype))
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))))


def build_network(model: str, shape: NetworkShape, seed: int) -> Network:
    """Build a network with freshly drawn weights.

    Parameters
    ----------
    model : str
        A key of `NETWORKS`.
    shape : NetworkShape
        Bands and side of the stamps.
    seed : int
        Seed of the initial weights.

    Returns
    -------
    Network
        Implements the twin protocol.
    """
    if model not in NETWORKS:
        raise UserError(f"no model named {model!r}; choose one of {', '.join(NETWORKS)}")
    prepare()
    module = importlib.import_module(f"{__package__}.{model}")
    return getattr(module, NETWORKS[model])(shape, seed)


def describe() -> dict[str, Any]:
    """Versions and settings of the framework, for a run's ``environment.json``."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "blas": "mkl" if torch.backends.mkl.is_available() else "none of its own",
        "threads": str(torch.get_num_threads()),
    }
