"""All that the legacy and the modern stack both read and write; `import lens_common as lens` is the way in."""

__version__ = "0.1.0"

from .data.catalogue import read_catalogue
from .data.stamps import Stamps, load_stamps
from .learning.augmentation import augment
from .mocks.writer import make_mocks
from .scores.comparison import compare_scores
from .scores.metrics import evaluate_scores
from .scores.occlusion import occlusion_maps

__all__ = [
    "Stamps",
    "augment",
    "compare_scores",
    "evaluate_scores",
    "load_stamps",
    "make_mocks",
    "occlusion_maps",
    "read_catalogue",
]
