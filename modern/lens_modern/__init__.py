"""The PyTorch twin of the 2018 stack."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lens_common import __version__

if TYPE_CHECKING:
    from . import backend
    from .classifier import LensClassifier, load_shipped

__all__ = ["LensClassifier", "__version__", "backend", "load_shipped"]


def __getattr__(name: str) -> Any:
    if name == "backend":
        return import_module(".backend", __name__)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(".classifier", __name__), name)
