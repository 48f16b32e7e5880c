"""Public docstrings are numpydoc's, and complete where they list anything."""

import importlib
import inspect
import pkgutil

import pytest
from numpydoc.validate import validate

import lens_common
import lens_modern

# What numpydoc asks for and this project does not -> why.
LEFT_OUT = {
    "ES01": "a summary is enough where it says all",
    "EX01": "examples stand where they help, and run as doctests",
    "GL02": "a docstring of one line ends on it",
    "PR04": "a parameter that is described with others has its type there",
    "PR07": "a parameter of a documented class says enough by its type",
    "RT01": "a short docstring says in its summary what is returned",
    "RT02": "a result may have a name",
    "RT03": "a result of a documented class says enough by its type",
    "SA01": "links stand in the text",
    "SS02": "a summary may begin with a name in lower case, such as torch",
    "SS05": "a summary may begin with a noun in the plural",
    "YD01": "a generator may say in its summary what it yields",
}
MODULES = [
    module.name
    for package in (lens_common, lens_modern)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


def public(name):
    """Dotted names of the public functions, classes and methods of a module."""
    module = importlib.import_module(name)
    for label, member in vars(module).items():
        if label.startswith("_") or getattr(member, "__module__", None) != name:
            continue
        if inspect.isfunction(member) or inspect.isclass(member):
            yield f"{name}.{label}"
        if inspect.isclass(member):
            methods = (key for key, part in vars(member).items() if inspect.isfunction(part) and key[0] != "_")
            yield from (f"{name}.{label}.{key}" for key in methods)


@pytest.mark.parametrize("name", MODULES)
def test_public_docstrings_are_numpydocs(name):
    wrong = []
    for label in public(name):
        report = validate(label)
        lists_parameters = "Parameters\n    ---" in report["docstring"] or "Parameters\n---" in report["docstring"]
        for code, message in report["errors"]:
            if code not in LEFT_OUT and (code != "PR01" or lists_parameters):
                wrong.append(f"{label}: {code} {message}")
    assert wrong == []
