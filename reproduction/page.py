"""Make the reproduction page from stored runs, and from nothing else.

    page.py RESULTS OUT.html

The same stored runs give the same bytes.
"""

import argparse
import json
import sys
import zipfile
from pathlib import Path

import forensics
import numpy as np
from ledger import ledger_table, statuses
from stored import CNN_ALL, RESNET_2018, Study, read_study, say

from lens_common.comparison import equivalence_over_seeds
from lens_common.errors import UserError
from lens_common.folders import replacing
from lens_modern.report.figures import Figure, draw_growth, draw_histories, standalone
from lens_modern.report.page import Panel, Panels, Report, Section, Table, picture, walk, write_report
from lens_modern.report.sections import (
    Group,
    cost_table,
    find_pairs,
    pair_section,
    runs_table,
    set_names,
    set_title,
)

ROOT = Path(__file__).resolve().parent.parent
# Twice as narrow as the study's own uncertainty on 100 images would ask; small against what a seed does.
MARGIN = 0.01
README_FIGURES = ("ablation-cnn-2000-mocks", "caveat")
PAIRS = ("resnet-2000-mended", "resnet-2000-short-mended", "cnn-2000-mended")
MOST_PAIRS = 2


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
    networks = (("the residual network", "resnet", RESNET_2018, long), ("the CNN", "cnn", CNN_ALL, ""))
    told, failed = [], []
    for what, model, defects, variant in networks:
        mended = study.estimate("pics", model, 2000, (), "", variant) or study.estimate(
            "mocks", model, 2000, (), "", variant
        )
        broken = study.estimate("mocks", model, 2000, defects, "", variant)
        told += [f"{mended:.2f} for {what}"] if mended else []
        failed += [f"{broken:.2f} for {what}"] if broken else []
    lines = [say("verdict.failure", failed=" and ".join(failed), told=" and ".join(told))]
    alone = {name: study.estimate("mocks", "cnn", 2000, (name,)) for name in ("class_overwrite", "raw_pixels")}
    spelled = {name: f"; alone {found:.2f} for the CNN" if found else "" for name, found in alone.items()}
    lines.append(say("verdict.causes", overwrite=spelled["class_overwrite"], raw=spelled["raw_pixels"]))
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
    if find_pairs([*study.runs.values()]):
        lines.append(say("verdict.twins"))
    leak = study.estimate("leak-controlled", "cnn", 2000, ())
    radial = {name: forensics.radial_estimate(study, name) for name in ("mocks", "pics")}
    if leak and all(radial.values()):
        figures = {"radial": f"{radial['mocks']:.2f}", "radial_pics": f"{radial['pics']:.2f}", "leak": f"{leak:.2f}"}
        lines.append(say("verdict.caveat", **figures))
    return "\n\n".join(lines)


def comparison(study: Study) -> Section:
    """The twins, pair by pair and over the seeds."""
    parts = []
    for pair in PAIRS:
        runs = [study.runs.get(f"{pair}-{side}-seed1") for side in ("legacy", "modern")]
        if all(runs) and len(parts) < MOST_PAIRS:
            names = [name for name in set_names(runs) if name != "test"]
            parts.append(pair_section(*runs, MARGIN, names, pair))
    blocks = [
        say("twins.intro", margin=f"{MARGIN:g}"),
        *[table for table in [over_seeds(study)] if table],
        *growth(study),
    ]
    gallery = panels(study)
    if gallery:
        parts.append(Section("maps", "What the scores rest on", [say("twins.brightness"), gallery]))
    return Section("twins", "The twins side by side", blocks, parts)


def over_seeds(study: Study) -> Table | None:
    """Equivalence of the twins with seeds and stamps as samples, where two seeds or more are there."""
    rows = []
    cells = dict.fromkeys((run.model, run.n_stamps, run.defects, run.variant) for run in study.planned.values())
    for model, n_stamps, defects, variant in cells:
        sides = [study.group(model, n_stamps, defects, side, variant).runs for side in ("legacy", "modern")]
        by_seed = [{run.config["seed"]: run for run in runs} for runs in sides]
        seeds = sorted(set(by_seed[0]) & set(by_seed[1]))
        for name in ("mocks", "pics"):
            pairs = [[side[seed].sets.get(name) for side in by_seed] for seed in seeds]
            pairs = [pair for pair in pairs if all(pair)]
            if len(pairs) < 2:
                continue
            scores = [np.array([pair[i].scores for pair in pairs]) for i in (0, 1)]
            found = equivalence_over_seeds(pairs[0][0].labels, *scores, MARGIN)
            what = f"{forensics.title_of(model, n_stamps, variant)}, {forensics.spelled_defects(defects, model)}"
            rows.append(
                [
                    what, set_title(name), str(found.n_seeds), f"{found.difference:+.5f}",
                    f"[{found.low:+.5f}, {found.high:+.5f}]", "equivalent" if found.equivalent else "not shown",
                ]
            )  # fmt: skip
    columns = ["runs", "set", "seeds", "mean difference", "90 % interval", f"within {MARGIN:g}"]
    return Table("over-seeds", "Equivalence over the seeds", columns, rows, say("twins.over_seeds")) if rows else None


def growth(study: Study) -> list[Figure]:
    """Learning curves: over the number of stamps, and over the epochs."""
    found = []
    lines = {}
    for what, model, defects, side in (
        ("CNN legacy, mended", "cnn", (), "legacy"),
        ("CNN modern, mended", "cnn", (), "modern"),
        ("CNN legacy, raw pixels", "cnn", ("validate_on_train", "raw_pixels"), "legacy"),
        ("ResNet legacy, mended", "resnet", (), "legacy"),
        ("ResNet modern, mended", "resnet", (), "modern"),
    ):
        points = {size: study.estimate("mocks", model, size, defects, side) for size in (200, 2000, 20000)}
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
        bad = CNN_ALL if model == "cnn" else RESNET_2018
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
                f"{model}, {arrays['kind'][i]}: `{stamp_id}`, {kind}, {facts}; full colour is ±{largest:.2g}", pictures
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
        [row["name"], f"{row['value']:g} {row['unit']}", row["against"], f"{row['ratio']:g}", row["machine"]]
        for row in measured
        if any(word in row["name"] for word in ("training", "inference", "memory", "twins"))
    ]
    benchmarks = Table("bench", "Benchmarks", ["what", "value", "against", "ratio", "machine"], rows)
    return Section(
        "cost", "Time and memory", [say("cost.intro"), *([cost_table("cost-table", runs)] if runs else []), benchmarks]
    )


def what_was_run(study: Study) -> Section:
    """Each cell of the plan and how much of it was run, then every run with its command."""
    cells: dict[tuple, dict[str, list[bool]]] = {}
    for run in study.planned.values():
        key = (run.model, run.n_stamps, run.variant, run.defects)
        cells.setdefault(key, {}).setdefault(run.framework, []).append(run.name in study.runs)
    rows = []
    for (model, n_stamps, variant, defects), sides in sorted(cells.items(), key=lambda cell: cell[0][:3]):
        counts = [
            f"{sum(sides[side])} of {len(sides[side])}" if side in sides else "-" for side in ("legacy", "modern")
        ]
        rows.append([forensics.title_of(model, n_stamps, variant), forensics.spelled_defects(defects, model), *counts])
    machines = dict.fromkeys(_machine(run.environment) for run in study.runs.values())
    said = [
        say("runs.intro", n_done=len(study.runs), n_planned=len(study.planned), machines="; ".join(machines)),
        say("runs.again"),
        Table("cells", "Seeds that were run", ["runs", "mistakes put back", "legacy", "modern"], rows),
        runs_table("all-runs", [*study.runs.values()]),
        Table(
            "commands",
            "Commands",
            ["run", "command"],
            [[f"`{name}`", f"`{run.config.get('command', '')}`"] for name, run in study.runs.items()],
            "Each run lies in `results/reproduction/` under its name.",
            prose=True,
        ),
    ]
    return Section("runs", "What was run, and what was not", said)


def _machine(environment: dict) -> str:
    return f"{environment.get('processor', 'unknown')}, {environment.get('cores', '?')} cores, no GPU"


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
