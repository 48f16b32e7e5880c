"""All that the legacy and the modern stack both read and write."""

from .learning.augmentation import augment

__all__ = ["augment"]
__version__ = "0.1.0"
