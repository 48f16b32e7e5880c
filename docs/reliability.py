"""Run the tests of bad inputs and faults in both interpreters, and write docs/reliability.md from what they say.

python docs/reliability.py
"""

import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = Path(__file__).with_name("reliability.md")
ENDURANCE = ROOT / "results/endurance"
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
    "signals at any moment; odd places to run in": ["twins/test_first_moments.py", "common/test_processes.py"],
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
ENDURANCE_INTRO = """
## Endurance

`make endurance` goes on for hours, outside of the tests: {n_files:,} malformed files (bytes changed, cards replaced,
parts cut out, doubled or zeroed) through every reader in both interpreters, each of which must be read or refused
within ten seconds and 6 GiB; and {n_kills} signals (SIGKILL, SIGTERM, SIGINT) at random moments of every verb, after
which the same command must give what it gives undisturbed. Traceback, crash, hang or another result: a fault. What
these runs found has been mended since, each with a test.
"""


def run_side(side: str) -> dict[str, tuple[int, int]]:
    """Cases and those that passed, by test file, in one interpreter."""
    files = [f"tests/{name}" for names in KINDS.values() for name in names if side in name or "modern/" not in name]
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        pytest = (ROOT / f".venv-{side}/bin/python", "-m", "pytest", "-qm", "thorough or not thorough")
        command = [*pytest, f"--junitxml={report.name}", *files]
        subprocess.run([*map(str, command)], cwd=ROOT, check=False)
        cases = ElementTree.parse(report.name).getroot().iter("testcase")
        counts: dict[str, tuple[int, int]] = {}
        for case in cases:
            if case.find("skipped") is not None:
                continue
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
    rows.append(f"| **together, in both interpreters** | | {total[0]} | {total[1]} |")
    PAGE.write_text(INTRO + "\n".join(rows) + "\n" + endurance())


def endurance() -> str:
    """Tables of the stored counts of `make endurance`, of both interpreters."""
    files: Counter[tuple[str, str]] = Counter()
    kills: Counter[tuple[str, str]] = Counter()
    for stored in map(json.loads, (path.read_text() for path in sorted(ENDURANCE.glob("*.json")))):
        for name, outcome, count in stored["files"]["counts"]:
            files[name, outcome] += count
        for verb, phase, outcome, count in stored["kills"]["counts"]:
            kills[verb, f"{phase}: {outcome}"] += count
    text = ENDURANCE_INTRO.format(n_files=files.total(), n_kills=kills.total())
    for first, table in (("file", files), ("verb", kills)):
        outcomes = sorted({outcome for _, outcome in table})
        text += (
            "\n" + "\n".join([f"| {first} | " + " | ".join(outcomes) + " |", "|---" * (1 + len(outcomes)) + "|"]) + "\n"
        )
        for name in sorted({name for name, _ in table}):
            text += f"| {name} | " + " | ".join(str(table[name, outcome]) for outcome in outcomes) + " |\n"
    return text


if __name__ == "__main__":
    write_page([run_side(side) for side in ("legacy", "modern")])
    print(PAGE.relative_to(ROOT), file=sys.stderr)
