"""Make the reproduction page from stored runs, and from nothing else.

    page.py RESULTS OUT.html

The same stored runs give the same bytes.
"""

import argparse
import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import forensics
import numpy as np
from ledger import ledger_table, statuses
from stored import CNN_2000_2018, CNN_2018, RESNET_2018, Study, in_pairs, read_study, say
from study import steps_beside

from lens_common.errors import UserError
from lens_common.files import replacing
from lens_modern.report.figures import Figure, draw_growth, draw_histories, standalone
from lens_modern.report.page import Panel, Panels, Report, Section, Table, picture, walk, write_report
from lens_modern.report.reading import StoredRun
from lens_modern.report.sections import (
    Group,
    cost_table,
    pair_section,
    runs_table,
    set_names,
    set_title,
    spelled_difference,
    validation_threshold,
)

ROOT = Path(__file__).resolve().parents[2]
# Twice as narrow as the study's own uncertainty on 100 images would ask; small against what a seed does.
MARGIN = 0.01
README_FIGURES = ("ablation-cnn-2000-mocks", "caveat")
PAIRS = ("resnet-2000-mended", "resnet-2000-short-mended", "cnn-2000-mended")
MOST_PAIRS = 2
SETS = ("mocks", "leak-controlled", "pics")
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
    long = "" if study.group("resnet", 2000, ()).runs else "short"
    networks = (("the residual network", "resnet", RESNET_2018, long), ("the CNN", "cnn", CNN_2000_2018, ""))
    told: dict[str, list[str]] = {"failed": [], "mended": [], "pics": []}
    for what, model, broken, variant in networks:
        cells = (("mocks", broken), ("mocks", ()), ("pics", ()))
        found = [study.estimate(name, model, 2000, defects, "", variant) for name, defects in cells]
        if all(found):
            told["failed"].append(f"{found[0].value:.2f} for {what} ({forensics.seeds_of(found[0])})")
            told["mended"].append(f"{found[1].value:.2f}")
            told["pics"].append(f"{found[2]:.2f}")
    figures = {key: " and ".join(values) or "(not run yet)" for key, values in told.items()}
    lines = [say("verdict.failure", **figures)]
    large = {name: study.estimate(name, "resnet", 20000, (), "", "short") for name in ("mocks", "pics")}
    if all(large.values()):
        lines[0] += " " + say("verdict.large", **{name: f"{found:.2f}" for name, found in large.items()})
    alone = {
        key: [
            f"{found:.2f} for the {forensics.MODELS[model]}"
            for model in models
            if (found := study.estimate("mocks", model, 2000, (defect,)))
        ]
        for key, defect, models in (
            ("overwrite", "class_overwrite", ("cnn", "resnet")),
            ("raw", "raw_pixels", ("cnn",)),
        )
    }
    causes = {key: f"; alone {', '.join(found)}" if found else "" for key, found in alone.items()}
    by_size = forensics.count_stuck(study)
    lines.append(
        say("verdict.causes", **causes, stuck=f" in {forensics.spelled_stuck(by_size)} images" if by_size else "")
    )
    outcomes = forensics.outcomes(study)
    by_outcome = {
        kind: "; ".join(f"{claim[0].lower()}{claim[1:]}" for claim, said in outcomes.items() if said == kind)
        for kind in ("partly true", "open")
    }
    if any(by_outcome.values()):
        n_refuted = sum(said == "refuted" for said in outcomes.values())
        said = [say("verdict.reasons_some", n=len(outcomes), n_refuted=n_refuted)]
        keys = {"partly true": "verdict.reasons_partly", "open": "verdict.reasons_open"}
        said += [say(keys[kind], claims=claims) for kind, claims in by_outcome.items() if claims]
        lines.append(" ".join(said))
    else:
        lines.append(say("verdict.reasons_all"))
    twins = [in_pairs("mocks", *([run] for run in pair), MARGIN) for pair in pairs_of(study).values()]
    if twins and all(found and found.equivalent for found in twins):
        lines.append(say("verdict.twins", margin=f"{MARGIN:g}"))
    best = forensics.best_networks(study)
    radial = {name: forensics.radial_estimate(study, name) for name in ("mocks", "pics")}
    if "leak-controlled" in best and all(radial.values()):
        figures = {"radial": f"{radial['mocks']:.2f}", "radial_pics": f"{radial['pics']:.2f}"}
        figures |= {"network": f"{best['mocks']:.2f}", "network_pics": f"{best['pics']:.2f}"}
        lines.append(say("verdict.caveat", **figures, leak=f"{best['leak-controlled']:.2f}"))
    return "\n\n".join(lines)


def pairs_of(study: Study) -> dict[str, list[StoredRun]]:
    """The mended twins that the page sets side by side, legacy first."""
    pairs = {pair: [study.runs.get(f"{pair}-{side}-seed1") for side in ("legacy", "modern")] for pair in PAIRS}
    return dict([(pair, runs) for pair, runs in pairs.items() if all(runs)][:MOST_PAIRS])


def comparison(study: Study) -> Section:
    """The twins, pair by pair and over the seeds."""
    parts = []
    for pair, runs in pairs_of(study).items():
        names = [name for name in set_names(runs) if name != "test"]
        parts.append(pair_section(*runs, MARGIN, names, pair))
    blocks = [
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
    if values is None or "snr" not in values.parameters:
        return []
    found, snr = values.scores > validation_threshold(run), values.parameters["snr"]
    faint, bright = (found[values.labels & kind] for kind in (snr < FAINT, snr >= BRIGHT))
    if not (len(faint) and len(bright) and faint.mean() > bright.mean()):
        return []
    shares = {what: f"{100 * share:.0f} %" for what, share in (("faint", faint.mean()), ("bright", bright.mean()))}
    return [say("twins.brightness", **shares, low=FAINT, high=BRIGHT)]


def over_seeds(study: Study) -> Table | None:
    """Equivalence of the twins with seeds and stamps as samples, where two seeds or more are there."""
    rows = []
    for model, n_stamps, variant, defects in cells_of(study):
        sides = [study.group(model, n_stamps, defects, side, variant).runs for side in ("legacy", "modern")]
        for name in ("mocks", "pics"):
            found = in_pairs(name, *sides, MARGIN)
            if found is None or found.n_seeds < 2:
                continue
            what = f"{forensics.title_of(model, n_stamps, variant)}, {forensics.spelled_defects(defects, model)}"
            tied = all(np.ptp(run.sets[name].scores) == 0 for runs in sides for run in runs if name in run.sets)
            verdict = "every score the same" if tied else "equivalent" if found.equivalent else "not shown"
            told = spelled_difference(found.difference, found.low, found.high)
            rows.append([what, set_title(name), str(found.n_seeds), told, verdict])
    columns = ["runs", "set", "seeds", "mean difference, 90 % interval", f"within {MARGIN:g}"]
    return Table("over-seeds", "Equivalence over the seeds", columns, rows, say("twins.over_seeds")) if rows else None


def growth(study: Study) -> list[Figure]:
    """Learning curves: over the number of stamps, and over the epochs."""
    found = []
    lines = {}
    for what, model, defects, side, variant in (
        ("CNN legacy, mended", "cnn", (), "legacy", ""),
        ("CNN modern, mended", "cnn", (), "modern", ""),
        ("CNN legacy, as on 20,000 in 2018", "cnn", CNN_2018, "legacy", ""),
        ("ResNet legacy, mended", "resnet", (), "legacy", ""),
        ("ResNet modern, mended", "resnet", (), "modern", ""),
        ("ResNet modern, mended, short training", "resnet", (), "modern", "short"),
    ):
        points = {size: study.estimate("mocks", model, size, defects, side, variant) for size in (200, 2000, 20000)}
        points = {size: value for size, value in points.items() if value}
        if len(points) > 1:
            lines[what] = points
    if lines:
        found.append(draw_growth("growth", "Learning curves by number of images, 2,000 mocks", lines, "AUROC"))
    for key, title, model, variant in (
        ("epochs-cnn", "CNN on 2,000 by epoch", "cnn", ""),
        ("epochs-resnet", "ResNet on 2,000 by epoch", "resnet", ""),
    ):
        groups: dict[str, Group] = {}
        bad = CNN_2000_2018 if model == "cnn" else RESNET_2018
        for what, defects in (("mended", ()), ("as in 2018", bad)):
            for side in ("legacy", "modern"):
                group = study.group(model, 2000, defects, side, variant)
                if group.runs:
                    groups[f"{side}, {what}"] = group.runs
        if groups:
            found.append(draw_histories(key, f"{title}, validation AUROC", groups, "validation_auroc", "AUROC"))
    return found


def panels(study: Study) -> Panels | None:
    """Stamps with the maps of both twins."""
    path = study.folder / "panels.npz"
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged: {error}; take it from a copy") from error
    shown = []
    for i, stamp_id in enumerate(arrays["id"]):
        stamp = arrays["stamp"][i].astype(float)
        noise = 1.4826 * np.median(np.abs(stamp - np.median(stamp)))
        stretched = np.arcsinh((stamp - np.median(stamp)) / noise) / np.arcsinh(30)
        kind = "lens" if arrays["is_lens"][i] else "non-lens"
        pictures = [("stamp", f"{kind} {stamp_id}", picture(0.15 + 0.85 * stretched, "grey"))]
        largest = max(np.abs(arrays[f"map_{side}"][i].astype(float)).max() for side in ("legacy", "modern")) or 1.0
        for side in ("legacy", "modern"):
            score, values = arrays[f"score_{side}"][i], arrays[f"map_{side}"][i].astype(float)
            alt = f"occlusion map of {stamp_id}, {side}: between {values.min():+.2f} and {values.max():+.2f}"
            pictures.append((f"{side}: {score:.4f}", alt, picture(0.5 + values / largest / 2, "signed")))
        row = study.stamps.get("mocks", {}).get(str(stamp_id), {})
        facts = f"S/N {float(row['snr']):.0f}" if row.get("snr") else ""
        if kind == "lens" and row.get("einstein_radius"):
            facts = f"Einstein radius {float(row['einstein_radius']):.2f} arcsec, {facts}"
        model = forensics.MODELS[str(arrays["pair"][i]).split("-")[0]]
        shown.append(
            Panel(
                f"{model}, {arrays['kind'][i]}: `{stamp_id}`, {kind}, {facts}; deepest colour ±{largest:.2g}", pictures
            )
        )
    return Panels(
        "gallery", "Discordant and telling stamps, with the occlusion maps of both twins", shown, say("twins.gallery")
    )


def cost(study: Study) -> Section:
    """Time and memory: of the pairs' own runs, and measured on a quiet machine."""
    runs = [run for pair in PAIRS for side in ("legacy", "modern") if (run := study.runs.get(f"{pair}-{side}-seed1"))]
    runs += [run for side in ("legacy", "modern") for run in study.group("resnet", 2000, RESNET_2018, side).runs[:1]]
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
        counts = [
            f"{sum(sides[side])} of {len(sides[side])}" if side in sides else "-" for side in ("legacy", "modern")
        ]
        rows.append([forensics.title_of(model, n_stamps, variant), forensics.spelled_defects(defects, model), *counts])
    machines = dict.fromkeys(_machine(run.environment) for run in study.runs.values())
    said = [
        say("runs.intro", n_done=len(study.runs), n_planned=len(study.planned), machines="; ".join(machines)),
        say("runs.again"),
        Table("cells", "Seeds that were run", ["runs", "mistakes put back", "legacy", "modern"], rows),
        replace(runs_table("all-runs", [*study.runs.values()]), folded=True),
        Table(
            "commands",
            "Commands",
            ["run", "command"],
            [
                *([f"`{name}`", f"`{run.config.get('command', '')}`"] for name, run in study.runs.items()),
                *_beside(study),
            ],
            say("runs.commands"),
            prose=True,
            folded=True,
        ),
    ]
    return Section("runs", "What was run, and what was not", said)


def _beside(study: Study) -> list[list[str]]:
    """What lies beside the runs, and the script that made it; folders are named by what they hold."""
    rows = []
    for _, outputs, _, command in steps_beside(study.folder, {name: Path(name.upper()) for name in SETS}):
        found = [f"`{name}`" for name in outputs if (study.folder / name).exists()]
        words = [str(word).replace(str(study.folder), "STUDY") for word in command]
        rows += [[", ".join(found), f"`reproduction/{' '.join(words)}`"]] if found else []
    return rows


def cells_of(study: Study) -> dict[tuple, dict[str, list[bool]]]:
    """Cells of the plan in the order of tables, and by side of each run whether it is there."""
    cells: dict[tuple, dict[str, list[bool]]] = {}
    for run in study.planned.values():
        key = (run.model, run.n_stamps, run.variant, run.defects)
        cells.setdefault(key, {}).setdefault(run.framework, []).append(run.name in study.runs)
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


def main(arguments: list[str] | None = None) -> int:
    """Make the page; 0, or 2 for a mistake."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results")
    parser.add_argument("out")
    options = parser.parse_args(arguments)
    try:
        out = Path(options.out)
        if out.suffix != ".html":
            raise UserError(f"the page must end in .html, got {out}")
        report = compose(read_study(Path(options.results)))
        written = [*write_report(report, out), *write_drawings(report, out)]
    except UserError as error:
        print(f"page: {error}", file=sys.stderr)
        return 2
    print(f"page: {', '.join(map(str, written))}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
