"""The 2018 stack: CMU DeepLens in Lasagne on Theano, and the study's CNN in Keras."""

from types import ModuleType
from typing import ClassVar

from lens_common.learning.classifier import LensClassifier as _LensClassifier

from . import backend

__all__ = ["LensClassifier", "backend", "load_shipped"]
__version__ = "0.1.0"


class LensClassifier(_LensClassifier):  # noqa: D101  its docstring is that of the common one
    __doc__ = _LensClassifier.__doc__
    backend: ClassVar[ModuleType] = backend


load_shipped = LensClassifier.load_shipped
