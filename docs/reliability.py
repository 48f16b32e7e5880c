"""Run the tests of bad inputs and faults in both interpreters, and write docs/reliability.md from what they say.

python docs/reliability.py
"""

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = Path(__file__).with_name("reliability.md")
# What is tried, and the tests that try it; both interpreters run those of `common` and `twins`.
KINDS = {
    "damaged and misleading files, pipes among files": [
        "common/test_stamps.py",
        "modern/test_survey_hostile.py",
        "modern/test_survey_fuzz.py",
    ],
    "layouts of seven surveys, headers in every spelling": ["common/test_headers.py", "modern/test_instruments.py"],
    "formats of tables and arrays": ["modern/test_survey_formats.py"],
    "another size, pixel scale, unit or sky than the training's": ["common/test_domain.py", "common/test_sky.py"],
    "outputs over files of others; run files changed by hand": ["twins/test_outputs.py"],
    "cells that a spreadsheet would run; a cache that is somebody else's": ["common/test_files_csv.py"],
    "signals at any moment; odd places to run in": ["twins/test_first_moments.py"],
    "kills, full disks and workers that die while cutouts are scored": ["modern/test_survey_faults.py"],
    "clusters whose workers or schedulers are not what they should be": ["modern/test_survey_cluster.py"],
    "kills while mocks are made and networks trained": ["common/test_mocks.py", "common/test_training.py"],
    "what leaves the machine": ["modern/test_survey_privacy.py"],
    "hostile words in the pages of a report": ["modern/test_report_page.py", "modern/test_report_reading.py"],
}
INTRO = """# Reliability

What was tried with inputs and faults of every kind, and how much of it was answered well: a right result, or one
sentence and exit code 2, nothing lost, no traceback. `make reliability` runs these tests and writes this page; each
case is a test that `make test` runs, too. The test of malformed files stands for 500 of them, drawn by hypothesis
(`make thorough`: 10,000).

| what is tried | tests | cases | answered well |
|---|---|---|---|
"""


def run_side(side: str) -> dict[str, tuple[int, int]]:
    """Cases and those that passed, by test file, in one interpreter."""
    files = [f"tests/{name}" for names in KINDS.values() for name in names if side in name or "modern/" not in name]
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        command = [ROOT / f".venv-{side}/bin/python", "-m", "pytest", "-q", f"--junitxml={report.name}", *files]
        subprocess.run([*map(str, command)], cwd=ROOT, check=False)
        cases = ElementTree.parse(report.name).getroot().iter("testcase")
        counts: dict[str, tuple[int, int]] = {}
        for case in cases:
            name = case.get("classname", "").replace(".", "/").removeprefix("tests/") + ".py"
            tried, well = counts.get(name, (0, 0))
            counts[name] = tried + 1, well + (len(case.findall("failure") + case.findall("error")) == 0)
    return counts


def write_page(sides: list[dict[str, tuple[int, int]]]) -> None:
    """Write the table, a row for each kind, and the sums."""
    rows, total = [], [0, 0]
    for what, names in KINDS.items():
        found = [side[name] for side in sides for name in names if name in side]
        tried, well = (sum(column) for column in zip(*found, strict=True))
        links = ", ".join(f"[{Path(name).stem}](../tests/{name})" for name in names)
        rows.append(f"| {what} | {links} | {tried} | {well} |")
        total = [total[0] + tried, total[1] + well]
    PAGE.write_text(
        INTRO + "\n".join([*rows, f"| **together, in both interpreters** | | {total[0]} | {total[1]} |"]) + "\n"
    )


if __name__ == "__main__":
    write_page([run_side(side) for side in ("legacy", "modern")])
    print(PAGE.relative_to(ROOT), file=sys.stderr)
