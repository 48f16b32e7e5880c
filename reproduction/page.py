"""Make the reproduction page from stored runs, and from nothing else.

    page.py RESULTS OUT.html

The same stored runs give the same bytes.
"""

import argparse
import json
import sys
from pathlib import Path

import forensics
import numpy as np
from ledger import ledger_table, statuses
from stored import CNN_ALL, RESNET_2018, Study, read_study

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
        Section("claims", "What 2018 claimed, and what came of it", [CLAIMS_TEXT, ledger_table(study)]),
        Section("why", "Why it failed", [], forensics.sections(study)),
        comparison(study),
        Section("caveat", "What these figures do not mean", forensics.caveat(study)),
        cost(study),
        what_was_run(study),
    ]
    data = {"claims": statuses(study), "n_runs": len(study.runs)}
    return Report("At chance in 2018: two lens finders, run again", verdict(study), sections, data)


CLAIMS_TEXT = (
    "In 2018 a student trained CMU DeepLens, a residual network, and a small CNN on simulated images of galaxy-galaxy "
    "strong lenses (Nan Li's PICS mocks), found both close to chance, and gave reasons. Each figure that was "
    "published, "
    "and each reason, is set here against runs of the same networks: on the stack of that year, Lasagne and Keras on "
    "Theano, brought back to life (*legacy*), and on its twin in PyTorch (*modern*). Our runs train on mocks of our "
    "own, "
    "made after the PICS mocks, and are tested on 2,000 other such mocks, on 100 of the very images of the study, and "
    "on "
    "leak-controlled mocks, of which the classes differ in nothing but lensing."
)


def verdict(study: Study) -> str:
    """What the page says in a few sentences; every number in it comes from the runs."""
    lines = []
    best = [
        (
            what,
            study.estimate("pics", model, 2000, (), "legacy", variant)
            or study.estimate("mocks", model, 2000, (), "legacy", variant),
        )
        for what, model, variant in (("the residual network", "resnet", ""), ("the CNN", "cnn", ""))
    ]
    if not best[0][1]:
        best[0] = ("the residual network", study.estimate("pics", "resnet", 2000, (), "", "short"))
    told = " and ".join(f"{found:.2f} for {what}" for what, found in best if found)
    bad = [
        (what, study.estimate("mocks", model, 2000, defects, "", variant))
        for what, model, defects, variant in (
            ("the residual network", "resnet", RESNET_2018, ""),
            ("the CNN", "cnn", CNN_ALL, ""),
        )
    ]
    if not bad[0][1]:
        bad[0] = ("the residual network", study.estimate("mocks", "resnet", 2000, RESNET_2018, "", "short"))
    failed = " and ".join(f"{found:.2f} for {what}" for what, found in bad if found)
    lines.append(
        "**The networks of 2018 were not at fault; what they were shown was.** With the mistakes of 2018 put "
        f"back, our runs come out at chance as the study did (AUROC {failed}; 0.5 is a coin). With the mistakes taken "
        f"out, "
        f"the same networks on 2,000 images reach an AUROC of {told} on the study's own images."
    )
    lines.append(
        "Two mistakes suffice, each alone. In the runs on 2,000 images a line meant to clean bad pixels overwrote "
        "every "
        "non-lens with a lens (`class_overwrite`), so both classes held the same pictures. On 200 and on 20,000 the "
        "CNN "
        "was given raw counts (`raw_pixels`): it saturates in its first steps, and from there its gradient is exactly "
        "zero. And the 52 % reported as a false positive rate is a purity. None of the study's own reasons (depth, "
        "learning rate, noise, number of images, reused validation images) explains its result."
    )
    twins = sorted({pair[0].config["model"] for pair in find_pairs([*study.runs.values()])})
    if twins:
        lines.append(
            "The framework does not matter: the PyTorch twins give the legacy scores stamp by stamp where they were "
            "trained alike ([side by side](#twins))."
        )
    leak = study.estimate("leak-controlled", "cnn", 2000, (), "legacy")
    radial = forensics.radial_estimate(study, "mocks")
    if leak and radial:
        lines.append(
            "**And the caveat:** these mocks give their classes away. A logistic regression that sees no arc, only "
            "radial "
            f"summaries, reaches {radial:.2f}; where lensing is the only difference, the CNN falls to {leak:.2f}. None "
            f"of "
            "these figures speaks of real sky."
        )
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
        "Legacy and modern start from the same weights, see the same batches, and meet in files only. The pairs below "
        "share every setting and the seed. The margin of equivalence, two one-sided tests at 5 %, is "
        f"{MARGIN:g} in AUROC. The comparison by layer, gradient and step is in the project's test suite; "
        "`docs/differences.md` shows where the frameworks part.",
        *[table for table in [over_seeds(study)] if table],
        *growth(study),
        *[gallery for gallery in [panels(study)] if gallery],
    ]
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
    note = (
        "Modern minus legacy. Where a network is stuck at chance its scores are ties or noise, and a difference in the "
        "last "
        "bits can turn them: such rows need not be equivalent."
    )
    return Table("over-seeds", "Equivalence over the seeds", columns, rows, note) if rows else None


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
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
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
    note = (
        "Left: the stamp in units of its noise, on an arcsinh scale. Then, for each twin, its score and by how much "
        "the "
        "score falls when a patch of 5x5 pixels around each place is covered with the stamp's median (blue: evidence "
        "for a "
        "lens; vermillion: against). All are mocks of ours."
    )
    return Panels("gallery", "Discordant and telling stamps, with the occlusion maps of both twins", shown, note)


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
    said = (
        "The runs of the study went two at a time, one thread each, beside other work: their times say what the study "
        "took. "
        "`make bench` measures the speeds by themselves; its figures follow."
    )
    benchmarks = Table("bench", "Benchmarks", ["what", "value", "against", "ratio", "machine"], rows)
    return Section("cost", "Time and memory", [said, *([cost_table("cost-table", runs)] if runs else []), benchmarks])


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
    n_done = len(study.runs)
    machines = dict.fromkeys(_machine(run.environment) for run in study.runs.values())
    said = [
        f"{n_done} of the {len(study.planned)} runs of the plan (`reproduction/plan.toml`) were run, all on: "
        + "; ".join(machines)
        + ". Runs that are missing are listed with fewer seeds than planned, or none: nothing above rests on them.",
        "To make this page again from the stored runs: `make reproduce`. To run a small study of your own, 20 minutes: "
        "`make reproduce PROFILE=quick`; all of it, going on where it stopped: `make reproduce PROFILE=full`.",
        Table("cells", "Seeds that were run", ["runs", "mistakes put back", "legacy", "modern"], rows),
        runs_table("all-runs", [*study.runs.values()]),
        Table(
            "commands",
            "Commands",
            ["run", "command"],
            [[f"`{name}`", f"`{run.config.get('command', '')}`"] for name, run in study.runs.items()],
            "Each run lies in `results/reproduction/` under its name.",
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
