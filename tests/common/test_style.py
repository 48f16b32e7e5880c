"""What reads well: no function is longer than a screen, and public docstrings say what numpydoc asks for."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("common", "legacy", "modern", "experiments", "bench", "docs", "lab", "requirements")
SCREEN = 50  # lines, without the docstring
# A longer function -> the reason.
LONG = {}


def functions():
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef):
                    yield f"{path.relative_to(ROOT)}: {node.name}", node


def n_lines(node):
    """Lines of a function without those of its docstring."""
    first = node.body[0]
    documented = ast.get_docstring(node) is not None and node.end_lineno > node.lineno
    last = max(getattr(part, "end_lineno", 0) or 0 for part in ast.walk(node))
    return last - node.lineno + 1 - (first.end_lineno - first.lineno + 1 if documented else 0)


def test_no_function_is_longer_than_a_screen_without_a_reason():
    long = {name for name, node in functions() if n_lines(node) > SCREEN}
    assert long == set(LONG) and all(LONG.values())
