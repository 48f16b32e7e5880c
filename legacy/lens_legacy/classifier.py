"""The classifier of `lens_common.learning.classifier` with the networks of this framework."""

from types import ModuleType
from typing import ClassVar

from lens_common.learning import classifier

from . import backend


class LensClassifier(classifier.LensClassifier):  # noqa: D101  its docstring is that of the common one
    __doc__ = classifier.LensClassifier.__doc__
    backend: ClassVar[ModuleType] = backend


load_shipped = LensClassifier.load_shipped
