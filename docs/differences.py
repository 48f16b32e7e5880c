"""Write docs/differences.md from the `# DIFFERS` marks in the sources, and docs/faithfulness.md.

Both pages name figures of the stored results.

.venv-modern/bin/python docs/differences.py
"""

import ast
import csv
import json
import re
import textwrap
from pathlib import Path

import tomllib

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGE, FAITHFULNESS = HERE / "differences.md", HERE / "faithfulness.md"
SIDES = {"legacy": ROOT / "legacy/lens_legacy", "modern": ROOT / "modern/lens_modern"}
LINES = 4  # shown from a mark on, at most


def marks(side):
    """Code behind each mark of a side, by topic: (place, lines)."""
    found = {}
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
                found[match[1]] = place, textwrap.dedent("\n".join(shown[:end]))
    return found


def enclosing(tree, line):
    """Dotted name of the definition that holds a line, or that begins just below it."""
    names, body = [], tree.body
    while True:
        kinds = (ast.FunctionDef, ast.ClassDef)
        inner = [node for node in body if isinstance(node, kinds) and node.lineno - 1 <= line <= node.end_lineno]
        if not inner:
            return f"`{'.'.join(names)}`"
        names.append(inner[0].name)
        body = inner[0].body


def table(rows):
    """A Markdown table; the first row is its head."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def planted_rows():
    """What was planted -> its row of results/agreement/planted.csv."""
    with open(ROOT / "results/agreement/planted.csv") as file:
        rows = list(csv.DictReader(file))
    named = [row["planted"] if " " not in row["planted"] else f"{row['planted']}, {row['model']}" for row in rows]
    return dict(zip(named, rows))


def effect(row):
    """A sentence on what a planted difference did."""
    score = float(row["largest_score_difference"])
    verdict = "seen by the ROCs" if row["equivalent"] == "False" else "not seen by the ROCs"
    return [
        f"`{row['planted']}`" if " " not in row["planted"] else row["planted"],
        {"resnet": "ResNet", "cnn": "CNN"}[row["model"]],
        f"{float(row['difference']):+.5f} ± {float(row['standard_error']):.5f}",
        f"{score:.4f}" if score < 0.1 else f"{score:.2f}",
        verdict,
        f"`{row['seen_by']}`",
    ]


def ablation_rows():
    """Rows of results/ablation.csv: what was exchanged, AUROCs over the seeds, seconds."""
    head = ["network", "exchanged", "AUROC, mocks", "AUROC, PICS mocks", "CPU seconds an epoch", "epochs"]
    with open(ROOT / "results/ablation.csv") as file:
        rows = list(csv.DictReader(file))
    cells = [head]
    for row in rows:
        areas = [
            f"{float(row[key]):.3f} ({float(row[f'{key}_low']):.3f} to {float(row[f'{key}_high']):.3f})"
            for key in ("auroc_mocks", "auroc_pics")
        ]
        network = {"resnet": "ResNet", "cnn": "CNN"}[row["network"]]
        cells.append([network, row["exchanged"], *areas, row["cpu_seconds_an_epoch"], row["epochs"]])
    return cells


def effect_rows(measured):
    """Rows of results/faithfulness/effects.csv of one measurement, by setting and epochs."""
    found = {}
    with open(ROOT / "results/faithfulness/effects.csv") as file:
        for row in csv.DictReader(file):
            if row["measured"] == measured:
                found.setdefault((row["setting"], int(row["epochs"])), []).append(row)
    return found


def spelled(rows, key):
    """Mean over the seeds, the lowest and the highest."""
    values = [float(row[key]) for row in rows]
    return f"{sum(values) / len(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def interpolation_table():
    """AUROC, completeness and false positive rate by epochs and interpolation."""
    found = effect_rows("interpolation")
    cells = [["epochs", "interpolation", "seeds", "AUROC", "completeness at 0.5", "false positive rate at 0.5"]]
    for setting, epochs in sorted(found, key=lambda key: (key[1], key[0] != "nearest")):
        rows = found[setting, epochs]
        rates = [spelled(rows, key) for key in ("auroc", "completeness", "false_positive_rate")]
        cells.append([epochs, setting, len(rows), *rates])
    return table(cells)


def ties():
    """The table of the two rules for a tie, and the largest difference between them for one seed."""
    found = {tuple(setting.split(", ")): rows for (setting, _), rows in effect_rows("ties").items()}
    cells = [["counts", "gradient of a tie", "AUROC by seed", "last loss by seed"]]
    words = {"raw": "raw", "sigma": "over their noise", "every tie": "to each, Theano", "first tie": "to one, torch"}
    for (scaling, rule), rows in found.items():
        areas, losses = (" / ".join(row[key].split()[-1] for row in rows) for key in ("auroc", "last_losses"))
        cells.append([words[scaling], words[rule], areas, losses])
    apart = [
        abs(float(one["auroc"]) - float(other["auroc"]))
        for scaling in ("raw", "sigma")
        for one, other in zip(found[scaling, "every tie"], found[scaling, "first tie"])
    ]
    return {"ties": table(cells), "largest_tie": f"{max(apart):.4f}"}


def faithfulness():
    """The page on the originals."""
    text = (HERE / "faithfulness-text.md").read_text().strip()
    for name, value in ties().items():
        text = text.replace(f"{{{name}}}", value)
    return f"<!-- Made by `make docs` from faithfulness-text.md and results/; edit those. -->\n\n{text}\n"


HEAD = [
    "left in",
    "network",
    "AUROC, modern less legacy",
    "largest change of a score",
    "ROC",
    "first seen by parity at",
]


def page():
    """The whole page."""
    texts = tomllib.loads((HERE / "differences.toml").read_text())["topic"]
    code = {side: marks(side) for side in SIDES}
    planted = planted_rows()
    parts = [(HERE / "differences-intro.md").read_text().strip().format(**figures())]
    for topic in texts:
        cells = "".join(
            f"<td valign=top>\n\n{place}\n\n```python\n{lines}\n```\n\n</td>"
            for place, lines in (code[side][topic["name"]] for side in SIDES)
        )
        parts.append(f"## {topic['title']}\n\n{' '.join(topic['why'].split())}")
        parts.append(f"<table><tr><th>Lasagne or Keras on Theano</th><th>PyTorch</th></tr><tr>{cells}</tr></table>")
        if topic["traps"]:
            parts.append(table([HEAD, *(effect(planted[trap]) for trap in topic["traps"])]))
        parts.append(f"Guarded by `{topic['guard']}`.")
    known = {trap for topic in texts for trap in topic["traps"]}
    others = [effect(row) for trap, row in planted.items() if trap not in known]
    named = {"others": table([HEAD, *others]), "ablation": table(ablation_rows()), **figures()}
    named["interpolation"] = interpolation_table()
    outro = (HERE / "differences-outro.md").read_text().strip()
    parts.append(outro.format(**named))
    made = "<!-- Made by `make docs` from the sources, differences*.md, differences.toml and results/; edit those. -->"
    return "\n\n".join([made, *parts]) + "\n"


def figures():
    """Numbers of the stored runs that the text names."""
    named = {}
    for model in ("resnet", "cnn"):
        about = json.loads((ROOT / f"results/agreement/{model}.json").read_text())
        verdict, seeds = about["verdict"], about["seeds"]
        named[f"{model}_difference"] = f"{verdict['difference']:+.6f}"
        named[f"{model}_interval"] = f"[{verdict['low']:+.6f}, {verdict['high']:+.6f}]"
        named[f"{model}_largest"] = f"{max(abs(row['difference']) for row in seeds):.6f}"
        named[f"{model}_score"] = f"{max(row['largest_score_difference'] for row in seeds):.4f}"
        aurocs = [row["auroc_a"] for row in seeds]
        named[f"{model}_range"] = f"{min(aurocs):.3f} to {max(aurocs):.3f}"
        named["margin"], named["n_seeds"] = verdict["margin"], verdict["n_seeds"]
        factors = {True: [], False: []}  # caught, missed
        for row in planted_rows().values():
            if row["model"] == model and row["planted"].startswith("learning rate times "):
                factors[row["equivalent"] == "False"].append(float(row["planted"].split()[-1]))
        named[f"{model}_caught"] = min(factors[True], default="none of these")
        named[f"{model}_missed"] = max(factors[False], default="none of these")
    return named


if __name__ == "__main__":
    PAGE.write_text(page())
    FAITHFULNESS.write_text(faithfulness())
    print(f"wrote {PAGE.relative_to(ROOT)} and {FAITHFULNESS.relative_to(ROOT)}")
