"""Examples in docstrings give what they say, in both interpreters."""

import doctest
import importlib
import pkgutil

import pytest

import lens_common

MODULES = [module.name for module in pkgutil.walk_packages(lens_common.__path__, "lens_common.")]
WITH_EXAMPLES = {"augmentation", "bands", "folds", "layout", "metrics", "presets", "scaling"}


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
    assert (result.attempted > 0) == (name.rsplit(".", 1)[-1] in WITH_EXAMPLES)
