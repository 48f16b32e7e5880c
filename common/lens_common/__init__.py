"""All that the legacy and the modern stack both read and write."""

from typing import Any

from .learning.augmentation import augment

__all__ = ["augment"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name != "draw_roc":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .drawing.curves import draw_roc  # who draws nothing need not wait for matplotlib

    return draw_roc
