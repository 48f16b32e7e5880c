"""The appendix: every table and drawing, the runs, their commands and seeds."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments.reproduction import forensics
from experiments.reproduction.forensics import sourced
from experiments.reproduction.gallery import MOST_PAIRS, PAIRS
from experiments.reproduction.stored import CNN_2000_2018, CNN_2018, RESNET_2018, Study, in_pairs
from experiments.reproduction.study import read_plan, steps_beside
from experiments.runner import ROOT, SIDES
from lens_common.data.noise import SIGMA_PER_MAD
from lens_common.errors import UserError
from lens_modern.report.claims import holm, rules_table
from lens_modern.report.figures import Figure, draw_growth, draw_histories
from lens_modern.report.page import Panel, Panels, Report, Section, Table, picture
from lens_modern.report.reading import StoredRun
from lens_modern.report.sections import cost_table, pair_section, runs_table, set_names, set_title, spelled_difference

# `docs/statistics.md` says why: the first is what a reader may call the same, the second what rounding may do.
MARGIN, ROUNDING = 0.01, 0.001


def compose(study: Study) -> Report:
    """Put the page together."""
    sections = [
        Section("rules", "The rules of the ledger", [study.say("appendix.rules"), _rules(study)]),
        Section("why", "Why it failed", [], forensics.sections(study)),
        comparison(study),
        Section("cost", "Time and memory", cost(study)),
        what_was_run(study),
    ]
    return Report("Two lens finders, run again: the appendix", study.say("appendix.lead"), sections)


def _rules(study: Study) -> Table:
    return sourced(rules_table(study.ledger), "claims.toml", "*")


def pairs_of(study: Study) -> dict[str, tuple[StoredRun, StoredRun]]:
    """The mended twins that the page sets side by side, legacy first."""
    names = {pair: [f"{pair}-{side}-seed1" for side in SIDES] for pair in PAIRS}
    there = [pair for pair in PAIRS if all(name in study.runs for name in names[pair])]
    return {pair: (study.runs[names[pair][0]], study.runs[names[pair][1]]) for pair in there[:MOST_PAIRS]}


def comparison(study: Study) -> Section:
    """The twins, pair by pair and over the seeds."""
    parts = []
    for pair, (legacy, modern) in pairs_of(study).items():
        names = [name for name in set_names([legacy, modern]) if name != "test"]
        section = pair_section(legacy, modern, MARGIN, names, pair)
        blocks = [b if isinstance(b, str) else sourced(b, "appendix.py", f"{pair}-*-seed1") for b in section.blocks]
        parts.append(replace(section, blocks=blocks))
    opening: list[forensics.Block] = [
        study.say("appendix.twins"),
        *[table for table in [over_seeds(study)] if table],
        *(sourced(figure, "appendix.py", "*-mended-*") for figure in growth(study)),
    ]
    gallery = panels(study)
    if gallery:
        parts.append(Section("maps", "What the scores rest on", [gallery]))
    return Section("twins", "The twins side by side", opening, parts)


def over_seeds(study: Study, only_mended: bool = False) -> Table | None:
    """Equivalence of the twins with seeds and stamps as samples, where there are two seeds or more.

    Holm's correction is over all rows, whichever are shown.
    """
    labels, tests = [], []
    for model, n_stamps, variant, defects in cells_of(study):
        sides = [study.group(model, n_stamps, defects, side, variant).runs for side in SIDES]
        for name in ("mocks", "pics"):
            test, fine = (in_pairs(name, sides[0], sides[1], margin) for margin in (MARGIN, ROUNDING))
            tied = all(np.ptp(run.sets[name].scores) == 0 for runs in sides for run in runs if name in run.sets)
            if test is None or fine is None or test.n_seeds < 2 or tied:
                continue
            label = f"{forensics.title_of(model, n_stamps, variant)}, {forensics.spelled_defects(defects, model)}"
            labels.append([label, set_title(name), str(test.n_seeds)])
            tests.append((test, fine))
    adjusted = [holm([pair[i].p_value for pair in tests]) for i in (0, 1)]
    rows = []
    for label, (test, _), *p_values in zip(labels, tests, *adjusted):
        if only_mended and not label[0].endswith(", none"):
            continue
        verdicts = ["yes" if p_value < forensics.ALPHA else "not shown" for p_value in p_values]
        difference = spelled_difference(test.difference, test.low, test.high)
        rows.append([*label, difference, f"{p_values[0]:.1g}", *verdicts])
    columns = [
        "runs", "set", "seeds", "mean difference, 90 % interval", f"p, {MARGIN:g} (Holm)", f"within {MARGIN:g}",
        f"within {ROUNDING:g}",
    ]  # fmt: skip
    note = study.say("appendix.over_seeds")
    table = Table("over-seeds", "Equivalence over the seeds", columns, rows, note)
    return sourced(table, "appendix.py", "*-legacy-*, *-modern-*") if rows else None


def growth(study: Study) -> list[Figure]:
    """Learning curves: over the number of stamps, and over the epochs."""
    figures, lines = [], {}
    for label, model, defects, side, variant in (
        ("CNN legacy, mended", "cnn", (), "legacy", ""),
        ("CNN modern, mended", "cnn", (), "modern", ""),
        ("CNN legacy, as on 20,000 in 2018", "cnn", CNN_2018, "legacy", ""),
        ("ResNet legacy, mended", "resnet", (), "legacy", ""),
        ("ResNet modern, mended", "resnet", (), "modern", ""),
        ("ResNet modern, mended, short training", "resnet", (), "modern", "short"),
    ):
        sizes = (200, 2000, 20000)
        points = {size: study.estimate("mocks", model, size, defects, side, variant) for size in sizes}
        if len(forensics.present(points)) > 1:
            lines[label] = forensics.present(points)
    if lines:
        figures.append(draw_growth("growth", "Learning curves by number of images, 2,000 mocks", lines, "AUROC"))
    for model, bad in (("cnn", CNN_2000_2018), ("resnet", RESNET_2018)):
        groups = {
            f"{side}, {label}": study.group(model, 2000, defects, side).runs
            for label, defects in (("mended", ()), ("as in 2018", bad))
            for side in SIDES
        }
        if any(groups.values()):
            title = f"{forensics.MODELS[model]} on 2,000 by epoch, validation AUROC"
            shown = forensics.present(groups)
            figures.append(draw_histories(f"epochs-{model}", title, shown, "validation_auroc", "AUROC"))
    return figures


def panels(study: Study) -> Panels | None:
    """Stamps with the maps of both twins."""
    path = study.folder / "panels.npz"
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged: {error}; take it from a copy") from error
    shown = [_panel(study, {key: values[i] for key, values in arrays.items()}) for i in range(len(arrays["id"]))]
    title = "Discordant and telling stamps, with the occlusion maps of both twins"
    return sourced(Panels("gallery", title, shown, study.say("appendix.gallery")), "gallery.py", "panels.npz")


def _panel(study: Study, row: dict[str, np.ndarray]) -> Panel:
    """One stamp, and the maps of both twins."""
    stamp = row["stamp"].astype(float)
    noise = SIGMA_PER_MAD * np.median(np.abs(stamp - np.median(stamp)))
    stretched = np.arcsinh((stamp - np.median(stamp)) / noise) / np.arcsinh(30)
    stamp_id, kind = row["id"], "lens" if row["is_lens"] else "non-lens"
    pictures = [("stamp", f"{kind} {stamp_id}", picture(0.15 + 0.85 * stretched, "grey"))]
    maps = {side: row[f"map_{side}"].astype(float) for side in SIDES}
    largest = max(np.abs(values).max() for values in maps.values()) or 1.0
    for side, values in maps.items():
        alt = f"occlusion map of {stamp_id}, {side}: between {values.min():+.2f} and {values.max():+.2f}"
        pictures.append((f"{side}: {row[f'score_{side}']:.4f}", alt, picture(0.5 + values / largest / 2, "signed")))
    about = study.stamps.get("mocks", {}).get(str(stamp_id), {})
    facts = f"S/N {float(about['snr']):.0f}" if about.get("snr") else ""
    if kind == "lens" and about.get("einstein_radius"):
        facts = f"Einstein radius {float(about['einstein_radius']):.2f} arcsec, {facts}"
    title = f"{forensics.MODELS[str(row['pair']).split('-')[0]]}, {row['kind']}: `{stamp_id}`, {kind}, {facts}"
    return Panel(f"{title}; deepest colour ±{largest:.2g}", pictures)


def cost(study: Study) -> list[forensics.Block]:
    """Time and memory: of the pairs' own runs, and measured on a quiet machine."""
    runs = [run for pair in PAIRS for side in SIDES if (run := study.runs.get(f"{pair}-{side}-seed1"))]
    runs += [run for side in SIDES for run in study.group("resnet", 2000, RESNET_2018, side).runs[:1]]
    measured = json.loads((ROOT / "bench" / "results.json").read_text())
    rows = [
        [row["name"], f"{row['value']:g} {row['unit']}", row["against"], f"{row['ratio']:g}"]
        for row in measured
        if any(word in row["name"] for word in ("training", "inference", "memory", "twins"))
    ]
    benchmarks = Table("bench", "Benchmarks", ["what", "value", "against", "ratio"], rows, study.say("appendix.bench"))
    source = "Data: `bench/results.json`, with machines and versions. Script: `bench/`. Command: `make bench`."
    took = [sourced(cost_table("cost-table", runs), "appendix.py", "*")] if runs else []
    return [study.say("appendix.cost"), *took, replace(benchmarks, source=source)]


def what_was_run(study: Study) -> Section:
    """Each cell of the plan and how much of it was run, then every run with its command."""
    rows = []
    for (model, n_stamps, variant, defects), sides in cells_of(study).items():
        counts = [f"{sum(sides[side])} of {len(sides[side])}" if side in sides else "-" for side in SIDES]
        rows.append([forensics.title_of(model, n_stamps, variant), forensics.spelled_defects(defects, model), *counts])
    machines = dict.fromkeys(_machine(run.environment) for run in study.runs.values())
    commands = [[f"`{name}`", f"`{run.config.get('command', '')}`"] for name, run in study.runs.items()]
    blocks: list[forensics.Block] = [
        study.say("appendix.runs"),
        f"The machines: {'; '.join(machines)}.",
        study.say("appendix.again"),
        sourced(
            Table("cells", "Seeds that were run", ["runs", "mistakes put back", "legacy", "modern"], rows), "plan.toml"
        ),
        sourced(replace(runs_table("all-runs", [*study.runs.values()]), folded=True), "appendix.py"),
        sourced(
            Table(
                "commands",
                "Commands",
                ["run", "command"],
                [*commands, *_beside(study)],
                study.say("appendix.commands"),
                prose=True,
                folded=True,
            ),
            "plan.toml",
        ),
    ]
    return Section("runs", "What was run, and what was not", blocks)


def _beside(study: Study) -> list[list[str]]:
    """What lies beside the runs, and the script that made it; folders are named by what they hold."""
    rows = []
    for job, makes in steps_beside(read_plan(), study.folder, {name: Path(name.upper()) for name in forensics.SETS}):
        made = [f"`{name}`" for name in makes if (study.folder / name).exists()]
        words = " ".join(["python -m experiments", *job.arguments]).replace(str(study.folder), "STUDY")
        rows += [[", ".join(made), f"`{words}`"]] if made else []
    return rows


def cells_of(study: Study) -> dict[tuple, dict[str, list[bool]]]:
    """Cells of the plan in the order of tables, and by side of each run whether it is there."""
    cells: dict[tuple, dict[str, list[bool]]] = {}
    for run in study.planned.values():
        cells.setdefault(run.cell, {}).setdefault(run.framework, []).append(run.name in study.runs)
    ordered = sorted(cells, key=lambda cell: (*cell[:3], forensics.order_of(cell[3], cell[0])))
    return {cell: cells[cell] for cell in ordered}


def _machine(environment: dict) -> str:
    device = environment.get("framework", {}).get("device", "cpu")
    gpu = "no GPU" if device == "cpu" else device
    return f"{environment.get('processor', 'unknown')}, {environment.get('cores', '?')} cores, {gpu}"
