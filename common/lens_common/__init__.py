"""All that the legacy and the modern stack both read and write; `import lens_common as lens` is the way in."""

from importlib import import_module
from typing import Any

from ._version import __version__
from .data.catalogue import read_catalogue
from .data.stamps import Stamps, load_stamps
from .learning.augmentation import augment
from .mocks.writer import make_mocks
from .scores.comparison import compare_scores
from .scores.metrics import evaluate_scores
from .scores.occlusion import occlusion_maps

# Who draws nothing need not wait for matplotlib.
_DRAWN = {
    **dict.fromkeys(("draw_history", "draw_roc", "draw_score_pairs", "draw_scores"), ".drawing.curves"),
    **dict.fromkeys(("draw_maps", "draw_stamps"), ".drawing.stamps"),
}

__all__ = [
    "Stamps",
    "augment",
    "compare_scores",
    "evaluate_scores",
    "load_stamps",
    "make_mocks",
    "occlusion_maps",
    "__version__",
    "read_catalogue",
    *_DRAWN,
]


def __getattr__(name: str) -> Any:
    if name not in _DRAWN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_DRAWN[name], __name__), name)
