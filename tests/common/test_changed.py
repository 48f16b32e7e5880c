"""`make check` picks the tests that name what changed."""

import importlib.util
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("changed", str(Path(__file__).parents[1] / "changed.py"))
changed = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(changed)

TESTS = {
    Path("tests/common/test_folds.py"): "from lens_common.data.folds import split",
    Path("tests/common/test_study.py"): "from lens_common.data import catalogue, folds",
    Path("tests/modern/test_links.py"): "PAGES = ['README.md']\n# manifolds are not folds",
    Path("tests/modern/test_survey_fuzz.py"): "from lens_modern.survey.readers import READERS",
    Path("tests/legacy/test_resnet.py"): "def test_a(resnet): pass",
    Path("tests/parity/test_parity.py"): "from lens_common.data.folds import split",
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("common/lens_common/data/folds.py", ["test_folds.py", "test_study.py"]),
        ("README.md", ["test_links.py"]),
        ("legacy/lens_legacy/resnet.py", ["test_resnet.py"]),
        ("tests/common/conftest.py", ["test_folds.py", "test_study.py"]),
        ("tests/parity/test_parity.py", ["test_parity.py"]),
        ("tests/parity/conftest.py", []),
        ("modern/lens_modern/survey/merge.py", ["test_survey_fuzz.py"]),
        ("docs/speed.md", []),
    ],
)
def test_the_tests_that_name_a_changed_file_are_picked(path, expected):
    assert [test.name for test in changed.touched([Path(path)], TESTS)] == expected
