"""Print the tests that a change since main can touch first: those that changed, and those that name a changed file.

A Python file is named by the import of its module, any other by its file name.  What compiles graphs for minutes is
left to `make test`, unless it changed itself.
"""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SLOW = ("original", "parity", "agreement")


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")[:-1]


def changed_files():
    """Paths that differ from where this branch left main, committed or not."""
    base = next(iter(git("merge-base", "main", "HEAD") or git("merge-base", "origin/main", "HEAD")), "HEAD")
    return [Path(path) for path in [*git("diff", "--name-only", base), *git("ls-files", "-o", "--exclude-standard")]]


def naming(path):
    """What a test says that is about this file, from the surest on: patterns of its text."""
    if path.suffix != ".py":
        return [re.escape(path.name)]
    words = path.parts[:-2] if path.stem == "__init__" else path.parts[:-1]
    names = ([] if path.stem == "__init__" else [path.stem]) + [path.parent.name]
    return [rf"(\.|/test_|import ([\w, ]*\b)?){name}\b" for name in names if words]


def touched(changed, tests):
    """Of the test files, those that changed or name what did; where none does, those that name its package.

    Parameters
    ----------
    changed : list of Path
    tests : dict of Path to str
        Source of each test file.
    """
    # What several test files share stands for all of its folder.
    folders = {path.parent for path in changed if path.parts[0] == "tests" and not path.name.startswith("test_")}
    found = {path for path in tests if path.parent in folders}
    for path in changed:
        if path.parts[0] != "tests" or path.suffix == ".sh":
            by_name = (
                {test for test, text in tests.items() if re.search(name, f"{test} {text}")} for name in naming(path)
            )
            found |= next(filter(None, by_name), set())
    return [path for path in tests if path in changed or (path in found and path.parent.name not in SLOW)]


if __name__ == "__main__":
    sources = {path.relative_to(ROOT): path.read_text() for path in sorted(ROOT.glob("tests/*/test_*.py"))}
    print(*touched(changed_files(), sources))
