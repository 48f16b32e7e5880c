"""Write docs/differences.md from the `# DIFFERS` marks in the sources, and docs/faithfulness.md.

Both pages name figures of the stored results.

.venv-modern/bin/python docs/differences.py
"""

import ast
import json
import re
import textwrap
import tomllib
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

from lens_common.files import read_csv
from lens_common.scores.comparison import equivalence_over_seeds
from lens_modern.report.glossary import link_markdown, read_glossary

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGE, FAITHFULNESS = HERE / "differences.md", HERE / "faithfulness.md"
SIDES = {"legacy": ROOT / "legacy/lens_legacy", "modern": ROOT / "modern/lens_modern"}
NETWORKS = {"resnet": "ResNet", "cnn": "CNN"}
MARGIN, ALPHA, N_PLANTED = 0.001, 0.05, 3  # as in experiments/agreement/plan.json
LINES = 4  # shown from a mark on, at most


Rows = list[dict[str, str]]


def marks(side: str) -> dict[str, tuple[str, str]]:
    """Code behind each mark of a side, by topic: (place, lines)."""
    code = {}
    for path in sorted(SIDES[side].glob("*.py")):
        source = path.read_text()
        lines = source.splitlines()
        for number, line in enumerate(lines):
            match = re.search(r"# DIFFERS: ([\w ]+): ", line)
            if match:
                shown = lines[number : number + LINES]
                if not line.lstrip().startswith("#"):
                    shown = shown[:2]
                end = next((i for i, text in enumerate(shown) if not text.strip()), len(shown))
                place = f"{path.relative_to(ROOT)}, {enclosing(ast.parse(source), number + 1)}"
                code[match[1]] = place, textwrap.dedent("\n".join(shown[:end]))
    return code


def enclosing(tree: ast.Module, line: int) -> str:
    """Dotted name of the definition that holds a line, or that begins just below it."""
    around = [
        node.name
        for node in ast.walk(tree)  # the outer before the inner
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.lineno - 1 <= line <= (node.end_lineno or 0)
    ]
    return f"`{'.'.join(around)}`"


def table(rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; the first row is its head."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def planted_rows() -> dict[str, dict[str, str]]:
    """What was planted -> its row of results/agreement/planted.csv."""
    rows = read_csv(ROOT / "results/agreement/planted.csv")
    return {row["planted"] + (f", {row['model']}" if " " in row["planted"] else ""): row for row in rows}


def p_of_difference(row: dict[str, str]) -> float:
    """Two-sided p of a difference from three seeds: Student's t with two degrees of freedom."""
    error = float(row["standard_error"])
    return float(2 * t.sf(abs(float(row["difference"])) / error, N_PLANTED - 1)) if error else 1.0


def clean_alarms() -> dict[str, str]:
    """How often three clean seeds raise either alarm: any three of the stored ones, modern against legacy."""
    counts = {"lost": 0, "shown": 0, "triples": 0}
    for model in NETWORKS:
        rows = read_csv(ROOT / f"results/agreement/{model}.csv")
        labels = np.array([row["is_lens"] == "1" for row in rows])
        seeds = sorted(name.split("-")[1] for name in rows[0] if name.startswith("legacy-"))
        for chosen in combinations(seeds, N_PLANTED):
            sides = [
                np.array([[float(row[f"{side}-{seed}"]) for row in rows] for seed in chosen])
                for side in ("legacy", "modern")
            ]
            found = equivalence_over_seeds(labels, sides[0], sides[1], MARGIN)
            about = {"difference": str(found.difference), "standard_error": str(found.standard_error)}
            counts["triples"] += 1
            counts["lost"] += not found.equivalent
            counts["shown"] += p_of_difference(about) < ALPHA
    return {f"clean_{key}": str(value) for key, value in counts.items()}


def effect(row: dict[str, str]) -> list[str]:
    """A sentence on what a planted difference did."""
    score = float(row["largest_score_difference"])
    return [
        f"`{row['planted']}`" if " " not in row["planted"] else row["planted"],
        NETWORKS[row["model"]],
        f"{float(row['difference']):+.5f} ± {float(row['standard_error']):.5f}",
        f"{score:.4f}" if score < 0.1 else f"{score:.2f}",
        "kept" if row["equivalent"] == "True" else "lost",
        "shown" if p_of_difference(row) < ALPHA else "not shown",
        f"`{row['seen_by']}`",
    ]


def ablation_rows() -> list[list[str]]:
    """Rows of results/ablation.csv: what was exchanged, AUROCs over the seeds, seconds."""
    cells = [["network", "exchanged", "AUROC, mocks", "AUROC, PICS mocks", "CPU seconds an epoch", "epochs"]]
    for row in read_csv(ROOT / "results/ablation.csv"):
        areas = [
            f"{float(row[key]):.3f} ({float(row[f'{key}_low']):.3f} to {float(row[f'{key}_high']):.3f})"
            for key in ("auroc_mocks", "auroc_pics")
        ]
        cost = (row["cpu_seconds_an_epoch"], row["epochs"])
        cells.append([NETWORKS[row["network"]], row["exchanged"], *areas, *cost])
    return cells


def effect_rows(measured: str) -> dict[tuple[str, int], Rows]:
    """Rows of results/faithfulness/effects.csv of one measurement, by setting and epochs."""
    groups: dict[tuple[str, int], Rows] = {}
    for row in read_csv(ROOT / "results/faithfulness/effects.csv"):
        if row["measured"] == measured:
            groups.setdefault((row["setting"], int(row["epochs"])), []).append(row)
    return groups


def spelled(rows: Rows, key: str) -> str:
    """Mean over the seeds, the lowest and the highest."""
    values = [float(row[key]) for row in rows]
    return f"{sum(values) / len(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def interpolation_table() -> str:
    """AUROC, completeness and false positive rate by epochs and interpolation."""
    groups = effect_rows("interpolation")
    rates_at_half = ("completeness at 0.5", "false positive rate at 0.5")
    cells: list[list[Any]] = [["epochs", "interpolation", "seeds", "AUROC", *rates_at_half]]
    for setting, epochs in sorted(groups, key=lambda key: (key[1], key[0] != "nearest")):
        rows = groups[setting, epochs]
        rates = [spelled(rows, key) for key in ("auroc", "completeness", "false_positive_rate")]
        cells.append([epochs, setting, len(rows), *rates])
    return table(cells)


def ties() -> dict[str, str]:
    """The table of the two rules for a tie, and the largest difference between them for one seed."""
    groups = {tuple(setting.split(", ")): rows for (setting, _), rows in effect_rows("ties").items()}
    cells = [["counts", "gradient of a tie", "AUROC by seed", "last loss by seed"]]
    words = {"raw": "raw", "sigma": "over their noise", "every tie": "to each, Theano", "first tie": "to one, torch"}
    for (scaling, rule), rows in groups.items():
        areas, losses = (" / ".join(row[key].split()[-1] for row in rows) for key in ("auroc", "last_losses"))
        cells.append([words[scaling], words[rule], areas, losses])
    apart = [
        abs(float(one["auroc"]) - float(other["auroc"]))
        for scaling in ("raw", "sigma")
        for one, other in zip(groups[scaling, "every tie"], groups[scaling, "first tie"])
    ]
    return {"ties": table(cells), "largest_tie": f"{max(apart):.4f}"}


def linked(text: str) -> str:
    """A page with its terms linked to the glossary."""
    return link_markdown(text, read_glossary(HERE / "glossary.md"), "glossary.md")


def faithfulness() -> str:
    """The page on the originals."""
    text = (HERE / "faithfulness-text.md").read_text().strip()
    for name, value in ties().items():
        text = text.replace(f"{{{name}}}", value)
    return linked(f"<!-- Made by `make docs` from faithfulness-text.md and results/; edit those. -->\n\n{text}\n")


HEAD = [
    "left in",
    "network",
    "AUROC, modern less legacy",
    "largest change of a score",
    "equivalence",
    "difference",
    "first seen by parity at",
]


OVERVIEW = ["difference", "largest effect on the AUROC", "first seen by parity at"]


def overview(topic: dict[str, Any], planted: dict[str, dict[str, str]]) -> list[str]:
    """Row of the table at the top: a link, the gravest of the planted mistakes, the comparisons that see them."""
    anchor = re.sub(r"[^\w\- ]", "", topic["title"].lower()).replace(" ", "-")
    link = f"[{topic['title']}](#{anchor})"
    rows = [planted[trap] for trap in topic["traps"]]
    if not rows:
        return [link, "none: refused where shapes differ", "`initial`"]
    worst = max(rows, key=lambda row: abs(float(row["difference"])))
    stages = sorted({f"`{row['seen_by']}`" for row in rows}, reverse=True)
    return [link, f"{float(worst['difference']):+.5f} ± {float(worst['standard_error']):.5f}", ", ".join(stages)]


def page() -> str:
    """The whole page."""
    texts = tomllib.loads((HERE / "differences.toml").read_text())["topic"]
    code = {side: marks(side) for side in SIDES}
    planted = planted_rows()
    parts = [(HERE / "differences-intro.md").read_text().strip().format(**figures())]
    parts.append(table([OVERVIEW, *(overview(topic, planted) for topic in texts)]))
    for topic in texts:
        cells = "".join(
            f"<td valign=top>\n\n{place}\n\n```python\n{lines}\n```\n\n</td>"
            for place, lines in (code[side][topic["name"]] for side in SIDES)
        )
        parts.append(f"## {topic['title']}\n\n{' '.join(topic['why'].split())}")
        parts.append(f"<table><tr><th>Lasagne or Keras on Theano</th><th>PyTorch</th></tr><tr>{cells}</tr></table>")
        if topic["traps"]:
            parts.append(table([HEAD, *(effect(planted[trap]) for trap in topic["traps"])]))
        parts.append(f"**By hand.** {topic['hand']}\n\nGuarded by `{topic['guard']}`.")
    explained = {trap for topic in texts for trap in topic["traps"]}
    others = table([HEAD, *(effect(row) for trap, row in planted.items() if trap not in explained)])
    tables = {"others": others, "ablation": table(ablation_rows()), "interpolation": interpolation_table()}
    parts.append((HERE / "differences-outro.md").read_text().strip().format(**tables, **figures()))
    made = "<!-- Made by `make docs` from the sources, differences*.md, differences.toml and results/; edit those. -->"
    return linked("\n\n".join([made, *parts]) + "\n")


def figures() -> dict[str, Any]:
    """Numbers of the stored runs that the text names."""
    named: dict[str, Any] = {}
    for model in NETWORKS:
        about = json.loads((ROOT / f"results/agreement/{model}.json").read_text())
        verdict, seeds = about["verdict"], about["seeds"]
        named[f"{model}_difference"] = f"{verdict['difference']:+.6f}"
        named[f"{model}_interval"] = f"[{verdict['low']:+.6f}, {verdict['high']:+.6f}]"
        named[f"{model}_largest"] = f"{max(abs(row['difference']) for row in seeds):.6f}"
        named[f"{model}_score"] = f"{max(row['largest_score_difference'] for row in seeds):.4f}"
        aurocs = [row["auroc_a"] for row in seeds]
        named[f"{model}_range"] = f"{min(aurocs):.3f} to {max(aurocs):.3f}"
        named["margin"], named["n_seeds"] = verdict["margin"], verdict["n_seeds"]
        rates = [row for row in planted_rows().values() if row["planted"].startswith("learning rate times ")]
        for key, extreme, equivalent in (("caught", min, "False"), ("missed", max, "True")):
            chosen = [row for row in rates if (row["model"], row["equivalent"]) == (model, equivalent)]
            factors = (float(row["planted"].split()[-1]) for row in chosen)
            named[f"{model}_{key}"] = extreme(factors, default="none of these")
    rows = [*planted_rows().values()]
    lost = [row for row in rows if row["equivalent"] == "False"]
    named |= {"n_lost": len(lost), "n_shown": sum(p_of_difference(row) < ALPHA for row in rows), "n_planted": len(rows)}
    within = [row for row in lost if abs(float(row["difference"])) < float(row["standard_error"])]
    return {**named, "n_within": len(within), **clean_alarms()}


if __name__ == "__main__":
    PAGE.write_text(page())
    FAITHFULNESS.write_text(faithfulness())
    print(f"wrote {PAGE.relative_to(ROOT)} and {FAITHFULNESS.relative_to(ROOT)}")
