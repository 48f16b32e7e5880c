"""All that the legacy and the modern stack both read and write; `import lens_common as lens` is the way in."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, List

from ._version import __version__

if TYPE_CHECKING:
    from .data.catalogue import read_catalogue
    from .data.stamps import Stamps, load_stamps
    from .drawing.curves import draw_history, draw_roc, draw_score_pairs, draw_scores
    from .drawing.stamps import draw_maps, draw_stamps
    from .learning.augmentation import augment
    from .mocks.writer import make_mocks
    from .scores.comparison import compare_scores
    from .scores.metrics import evaluate_scores
    from .scores.occlusion import occlusion_maps

# Each is loaded when it is asked for: who draws nothing need not wait for matplotlib.
_HOMES = {
    "Stamps": ".data.stamps",
    "augment": ".learning.augmentation",
    "compare_scores": ".scores.comparison",
    "draw_history": ".drawing.curves",
    "draw_maps": ".drawing.stamps",
    "draw_roc": ".drawing.curves",
    "draw_score_pairs": ".drawing.curves",
    "draw_scores": ".drawing.curves",
    "draw_stamps": ".drawing.stamps",
    "evaluate_scores": ".scores.metrics",
    "load_stamps": ".data.stamps",
    "make_mocks": ".mocks.writer",
    "occlusion_maps": ".scores.occlusion",
    "read_catalogue": ".data.catalogue",
}

__all__ = [
    "Stamps",
    "__version__",
    "augment",
    "compare_scores",
    "draw_history",
    "draw_maps",
    "draw_roc",
    "draw_score_pairs",
    "draw_scores",
    "draw_stamps",
    "evaluate_scores",
    "load_stamps",
    "make_mocks",
    "occlusion_maps",
    "read_catalogue",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> List[str]:
    return sorted({*globals(), *_HOMES})
