"""Make the reproduction page from stored runs, and from nothing else.

    python -m experiments reproduction.page RESULTS OUT.html

The same stored runs give the same bytes.
"""

import json
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from experiments.reproduction import forensics
from experiments.reproduction.gallery import MOST_PAIRS, PAIRS
from experiments.reproduction.ledger import ledger_table, statuses
from experiments.reproduction.stored import CNN_2000_2018, CNN_2018, RESNET_2018, Study, in_pairs, read_study, say
from experiments.reproduction.study import read_plan, steps_beside
from experiments.runner import ROOT, SIDES, carry_out
from lens_common.data.noise import SIGMA_PER_MAD
from lens_common.errors import UserError
from lens_common.files import replacing
from lens_modern.report.figures import Figure, draw_growth, draw_histories, standalone
from lens_modern.report.page import Panel, Panels, Report, Section, Table, picture, walk, write_report
from lens_modern.report.reading import StoredRun
from lens_modern.report.sections import (
    cost_table,
    pair_section,
    runs_table,
    set_names,
    set_title,
    spelled_difference,
    validation_threshold,
)

# Twice as narrow as the study's own uncertainty on 100 images would ask; small against what a seed does.
MARGIN = 0.01
README_FIGURES = ("ablation-cnn-2000-mocks", "caveat")
FAINT, BRIGHT = 5, 20  # S/N of a lensed source, all pixels


def compose(study: Study) -> Report:
    """Put the page together."""
    sections = [
        Section("claims", "What 2018 claimed, and what came of it", [say("claims.intro"), ledger_table(study)]),
        Section("why", "Why it failed", [], forensics.sections(study)),
        comparison(study),
        Section("limits", "What these figures do not mean", forensics.caveat(study)),
        cost(study),
        what_was_run(study),
    ]
    data = {"claims": statuses(study), "n_runs": len(study.runs)}
    return Report("At chance in 2018: two lens finders, run again", verdict(study), sections, data)


def verdict(study: Study) -> str:
    """What the page says in a few sentences; every number in it comes from the runs."""
    parts = [_failure(study), _causes(study), _given_reasons(study), _twins(study), _giveaway(study)]
    return "\n\n".join(part for part in parts if part)


def _failure(study: Study) -> str:
    """That the networks were not at fault, by their AUROC with the mistakes and without."""
    long = "" if study.group("resnet", 2000, ()).runs else "short"
    figures: dict[str, list[str]] = {"failed": [], "mended": [], "pics": []}
    for network, model, broken, variant in (
        ("the residual network", "resnet", RESNET_2018, long),
        ("the CNN", "cnn", CNN_2000_2018, ""),
    ):
        cells = (("mocks", broken), ("mocks", ()), ("pics", ()))
        failed, mended, pics = (study.estimate(name, model, 2000, defects, "", variant) for name, defects in cells)
        if failed and mended and pics:
            figures["failed"].append(f"{failed.value:.2f} for {network} ({forensics.seeds_of(failed)})")
            figures["mended"].append(f"{mended.value:.2f}")
            figures["pics"].append(f"{pics:.2f}")
    words = [say("verdict.failure", **{key: " and ".join(v) or "(not run yet)" for key, v in figures.items()})]
    names = ("mocks", "pics")
    large = forensics.present({name: study.estimate(name, "resnet", 20000, (), "", "short") for name in names})
    if len(large) == len(names):
        words.append(say("verdict.large", **{name: f"{estimate:.2f}" for name, estimate in large.items()}))
    return " ".join(words)


def _causes(study: Study) -> str:
    """What each of the two mistakes does alone."""
    causes = {}
    for key, defect, models in (("overwrite", "class_overwrite", ("cnn", "resnet")), ("raw", "raw_pixels", ("cnn",))):
        alone = forensics.present({model: study.estimate("mocks", model, 2000, (defect,)) for model in models})
        spelled = [f"{estimate:.2f} for the {forensics.MODELS[model]}" for model, estimate in alone.items()]
        causes[key] = f"; alone {', '.join(spelled)}" if spelled else ""
    by_size = forensics.count_stuck(study)
    return say("verdict.causes", **causes, stuck=f" in {forensics.spelled_stuck(by_size)} images" if by_size else "")


def _given_reasons(study: Study) -> str:
    """What became of the study's own reasons."""
    outcomes = forensics.outcomes(study)
    by_outcome = {
        kind: "; ".join(f"{claim[0].lower()}{claim[1:]}" for claim, outcome in outcomes.items() if outcome == kind)
        for kind in ("partly true", "open")
    }
    if not any(by_outcome.values()):
        return say("verdict.reasons_all")
    words = [say("verdict.reasons_some", n=len(outcomes), n_refuted=[*outcomes.values()].count("refuted"))]
    keys = {"partly true": "verdict.reasons_partly", "open": "verdict.reasons_open"}
    return " ".join([*words, *(say(keys[kind], claims=claims) for kind, claims in by_outcome.items() if claims)])


def _twins(study: Study) -> str:
    """That the framework does not matter, where no pair of twins contradicts."""
    pairs = [in_pairs("mocks", [first], [second], MARGIN) for first, second in pairs_of(study).values()]
    equivalent = bool(pairs) and all(pair and pair.equivalent for pair in pairs)
    return say("verdict.twins", margin=f"{MARGIN:g}") if equivalent else ""


def _giveaway(study: Study) -> str:
    """That a regression which sees no arc does well, too."""
    best = forensics.best_networks(study)
    mocks, pics = (forensics.radial_estimate(study, name) for name in ("mocks", "pics"))
    if not ("leak-controlled" in best and mocks and pics):
        return ""
    figures = {"radial": mocks, "radial_pics": pics, "network": best["mocks"], "network_pics": best["pics"]}
    figures["leak"] = best["leak-controlled"]
    return say("verdict.caveat", **{key: f"{value:.2f}" for key, value in figures.items()})


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
        parts.append(pair_section(legacy, modern, MARGIN, names, pair))
    blocks: list[forensics.Block] = [
        say("twins.intro", margin=f"{MARGIN:g}"),
        *[table for table in [over_seeds(study)] if table],
        *growth(study),
    ]
    gallery = panels(study)
    if gallery:
        parts.append(Section("maps", "What the scores rest on", [*brightness(study), gallery]))
    return Section("twins", "The twins side by side", blocks, parts)


def brightness(study: Study) -> list[str]:
    """That faint lenses are found more readily than bright ones, where that is so."""
    run = study.runs.get("cnn-2000-mended-legacy-seed1")
    values = run.sets.get("mocks") if run else None
    if run is None or values is None or "snr" not in values.parameters:
        return []
    called, snr = values.scores > validation_threshold(run), values.parameters["snr"]
    faint, bright = (called[values.labels & kind] for kind in (snr < FAINT, snr >= BRIGHT))
    if not (len(faint) and len(bright) and faint.mean() > bright.mean()):
        return []
    shares = {"faint": f"{100 * faint.mean():.0f} %", "bright": f"{100 * bright.mean():.0f} %"}
    return [say("twins.brightness", **shares, low=FAINT, high=BRIGHT)]


def over_seeds(study: Study) -> Table | None:
    """Equivalence of the twins with seeds and stamps as samples, where two seeds or more are there."""
    rows = []
    for model, n_stamps, variant, defects in cells_of(study):
        sides = [study.group(model, n_stamps, defects, side, variant).runs for side in SIDES]
        for name in ("mocks", "pics"):
            test = in_pairs(name, sides[0], sides[1], MARGIN)
            if test is None or test.n_seeds < 2:
                continue
            label = f"{forensics.title_of(model, n_stamps, variant)}, {forensics.spelled_defects(defects, model)}"
            tied = all(np.ptp(run.sets[name].scores) == 0 for runs in sides for run in runs if name in run.sets)
            verdict = "every score the same" if tied else "equivalent" if test.equivalent else "not shown"
            difference = spelled_difference(test.difference, test.low, test.high)
            rows.append([label, set_title(name), str(test.n_seeds), difference, verdict])
    columns = ["runs", "set", "seeds", "mean difference, 90 % interval", f"within {MARGIN:g}"]
    return Table("over-seeds", "Equivalence over the seeds", columns, rows, say("twins.over_seeds")) if rows else None


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
    return Panels("gallery", title, shown, say("twins.gallery"))


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


def cost(study: Study) -> Section:
    """Time and memory: of the pairs' own runs, and measured on a quiet machine."""
    runs = [run for pair in PAIRS for side in SIDES if (run := study.runs.get(f"{pair}-{side}-seed1"))]
    runs += [run for side in SIDES for run in study.group("resnet", 2000, RESNET_2018, side).runs[:1]]
    measured = json.loads((ROOT / "bench" / "results.json").read_text())
    rows = [
        [row["name"], f"{row['value']:g} {row['unit']}", row["against"], f"{row['ratio']:g}"]
        for row in measured
        if any(word in row["name"] for word in ("training", "inference", "memory", "twins"))
    ]
    machines = dict.fromkeys(row["machine"].split(";")[0] for row in measured)
    note = say("cost.bench", machines=" and ".join(machines))
    benchmarks = Table("bench", "Benchmarks", ["what", "value", "against", "ratio"], rows, note)
    return Section(
        "cost", "Time and memory", [say("cost.intro"), *([cost_table("cost-table", runs)] if runs else []), benchmarks]
    )


def what_was_run(study: Study) -> Section:
    """Each cell of the plan and how much of it was run, then every run with its command."""
    rows = []
    for (model, n_stamps, variant, defects), sides in cells_of(study).items():
        counts = [f"{sum(sides[side])} of {len(sides[side])}" if side in sides else "-" for side in SIDES]
        rows.append([forensics.title_of(model, n_stamps, variant), forensics.spelled_defects(defects, model), *counts])
    machines = dict.fromkeys(_machine(run.environment) for run in study.runs.values())
    commands = [[f"`{name}`", f"`{run.config.get('command', '')}`"] for name, run in study.runs.items()]
    blocks: list[forensics.Block] = [
        say("runs.intro", n_done=len(study.runs), n_planned=len(study.planned), machines="; ".join(machines)),
        say("runs.again"),
        Table("cells", "Seeds that were run", ["runs", "mistakes put back", "legacy", "modern"], rows),
        replace(runs_table("all-runs", [*study.runs.values()]), folded=True),
        Table(
            "commands",
            "Commands",
            ["run", "command"],
            [*commands, *_beside(study)],
            say("runs.commands"),
            prose=True,
            folded=True,
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


def write_drawings(report: Report, out: Path) -> list[Path]:
    """Write the figures that README shows beside the page; return their paths."""
    written = []
    blocks = [block for section in walk(report.sections) for block in section.blocks]
    for figure in [block for block in blocks if isinstance(block, Figure) and block.key in README_FIGURES]:
        path = out.with_name(f"{out.stem}-{figure.key}.svg")
        with replacing(path) as file:
            file.write(standalone(figure))
        written.append(path)
    return written


def make_page(results: Path, out: Path) -> str:
    """Write the page in its three forms, and drawings; return their names."""
    if out.suffix != ".html":
        raise UserError(f"the page must end in .html, got {out}")
    report = compose(read_study(results))
    return ", ".join(map(str, [*write_report(report, out), *write_drawings(report, out)]))


main = partial(carry_out, "page", __doc__, {"results": {"type": Path}, "out": {"type": Path}}, make_page)
