"""Why the runs of 2018 failed: the ablation, the runs again, the rates, the filter, and the caveat."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from experiments.reproduction.stored import (
    CNN_2000_2018,
    CNN_ALL,
    RESNET_2018,
    RESNET_ON_PYTHON_2,
    Study,
    in_pairs,
)
from experiments.runner import SIDES
from lens_common.scores.metrics import confusion
from lens_modern.report.figures import Figure, draw_estimates, draw_lines
from lens_modern.report.intervals import Estimate, mean_auroc
from lens_modern.report.page import Panels, Section, Table
from lens_modern.report.reading import StoredRun
from lens_modern.report.sections import Group, set_title, spelled_share

MODELS = {"cnn": "CNN", "resnet": "ResNet"}
VARIANTS = {
    "": "",
    "short": "short training",
    "rate1e-4": "learning rate 1e-4",
    "rate1e-2": "learning rate 1e-2",
    "quiet": "a tenth of the sky noise",
    "filtered": "bad images filtered out",
    "profile": "azimuthal averages",
}
ALPHA = 0.05
SETS = ("mocks", "pics", "leak-controlled")
# What the ablation is made of: the CNN at the study's length, the ResNet in a short training.
ABLATED = (("cnn", ""), ("resnet", "short"))
# Mistakes of the CNN on 2,000 images, in words.
KINDS = (("mended", ()), ("raw counts", ("raw_pixels",)), ("class overwritten", ("class_overwrite",)))
Block = str | Table | Figure | Panels
Made = TypeVar("Made", bound=Table | Figure | Panels)
Key = TypeVar("Key")
Value = TypeVar("Value")


def sourced(block: Made, script: str, runs: str = "*") -> Made:
    """Say beside a figure or table what it is made of and how."""
    words = (
        f"Data: `results/reproduction/{runs}`. Script: `experiments/reproduction/{script}`. Command: `make reproduce`."
    )
    return replace(block, source=words)


def title_of(model: str, n_stamps: int, variant: str) -> str:
    """Model, size and what was varied, in words."""
    varied = VARIANTS.get(variant, variant)
    return f"{MODELS[model]}, {n_stamps:,} images{f', {varied}' if varied else ''}"


def spelled_defects(defects: Sequence[str], model: str) -> str:
    """Mistakes that were put back, briefly."""
    every = RESNET_2018 if model == "resnet" else CNN_ALL
    if not defects:
        return "none"
    if set(defects) == set(RESNET_ON_PYTHON_2):
        return "all, had it run on Python 2"
    if set(defects) == set(every):
        return "all"
    missing = [name for name in every if name not in defects]
    if len(missing) == 1 and set(defects) < set(every) and len(defects) > 1:
        return f"all but {missing[0]}"
    return " + ".join(defects)


def sections(study: Study) -> list[Section]:
    """The forensic part."""
    return [
        Section("ablation", "One mistake at a time, and all but one", ablation(study)),
        Section("again", "The runs of 2018, run again", again(study)),
        Section("purity", "Purity, contamination, false positive rate", purity_as_fpr(study)),
        Section("filter", "Its next step: a filter for bad images", bad_image_filter(study)),
        Section("second-figures", "Each AUROC with its second figure", caveat(study)),
    ]


def ablation(study: Study) -> list[Block]:
    """Figures of every combination, on our mocks and on the PICS mocks, and what they say."""
    blocks: list[Block] = [study.say("appendix.ablation")]
    for model, variant in ABLATED:
        planned = {run.defects for run in study.planned.values() if run.cell[:3] == (model, 2000, variant)}
        ordered = sorted(planned, key=lambda defects: order_of(defects, model))
        for name in ("mocks", "pics"):
            rows = present(
                {
                    spelled_defects(defects, model): present(
                        {side: study.estimate(name, model, 2000, defects, side, variant) for side in SIDES}
                    )
                    for defects in ordered
                }
            )
            if len(rows) > 1:
                title = f"{title_of(model, 2000, variant)}: AUROC on the {set_title(name)}"
                drawn = draw_estimates(f"ablation-{model}-2000-{name}", title, rows, "AUROC")
                blocks.append(sourced(drawn, "forensics.py", f"{model}-2000-*"))
    return [*blocks, study.say("appendix.exclusions"), study.say("appendix.long")]


def present(values: Mapping[Key, Value | None]) -> dict[Key, Value]:
    """Entries that there are: neither ``None`` nor empty."""
    return {key: value for key, value in values.items() if value}


def order_of(defects: Sequence[str], model: str) -> tuple[int, str]:
    """Where a set of mistakes stands among others: none, each alone, all, all but each."""
    spelled = spelled_defects(defects, model)
    return (0 if spelled == "none" else 2 if spelled == "all" else 3 if spelled.startswith("all but") else 1, spelled)


def again(study: Study) -> list[Block]:
    """Logged figures of 2018 beside those of our runs with the same mistakes."""
    return [*_cnn_stuck(study), *_resnet_again(study), *_cnn_again(study)] or ["None of these has been run yet."]


def probes_of(study: Study, suffix: str = "") -> dict[str, dict[str, Any]]:
    """Stored probes of the CNN on the PICS mocks by side: on raw counts, or with the suffix ``-mended`` on scaled."""
    return present({side: study.extra(f"probe-{side}-pics{suffix}.json") for side in SIDES})


def _cnn_stuck(study: Study) -> list[Block]:
    """The CNN on the PICS mocks, watched step by step."""
    probes, mended = probes_of(study), probes_of(study, "-mended")
    if not probes:
        return []
    lines = {"2018, 200 images": list(enumerate(study.logs["cnn_200_loss"], 1))}
    named = {f"{side}, {probe['data']['n_stamps']} of them": probe for side, probe in probes.items()}
    for label, probe in {**named, **{f"{side}, counts scaled": probe for side, probe in mended.items()}}.items():
        lines[label] = [(row["epoch"], row["loss"]) for row in probe["epochs"]]
    title = "CNN on the PICS mocks, batch 97: training loss"
    drawn = draw_lines("stuck", title, lines, ("epoch", "loss"), ylim=(0, 9))
    table = sourced(stuck_table(probes, mended), "probe.py", "probe-*.json")
    return [study.say("appendix.stuck"), table, sourced(drawn, "probe.py", "probe-*.json")]


def _resnet_again(study: Study) -> list[Block]:
    """The ResNet on 2,000 images: its logged loss and rates beside ours."""
    logs = study.logs
    runs = [run for side in SIDES for run in study.group("resnet", 2000, RESNET_2018, side).runs[:1]]
    if not runs:
        return []
    loss = {"2018": [tuple(point) for point in logs["resnet_2000_loss"]]}
    rates = {
        "2018, purity": [(i, purity) for i, purity, _ in logs["resnet_2000_validation"]],
        "2018, completeness": [(i, completeness) for i, _, completeness in logs["resnet_2000_validation"]],
    }
    for run in runs:
        loss[run.framework] = [(step, row["loss"]) for step, row in by_iteration(run)]
        if run.framework == "legacy" or len(runs) == 1:
            for key in ("purity", "completeness"):
                rates[f"{run.framework}, {key}"] = watched_as_in_2018(run, key)
    for run in study.group("resnet", 2000, RESNET_ON_PYTHON_2).runs[:1]:
        rates["had it run on Python 2, completeness"] = watched_as_in_2018(run, "completeness")
    drawn = (
        draw_lines("resnet-loss", "ResNet on 2,000: training loss", loss, ("iteration", "loss"), ylim=(0.65, 0.9)),
        draw_lines("resnet-rates", "ResNet on 2,000: validation", rates, ("iteration", "share"), ylim=(0, 1)),
    )
    figures = [sourced(figure, "forensics.py", f"{runs[0].name}, logs.toml") for figure in drawn]
    return [study.say("appendix.resnet"), *figures]


def _cnn_again(study: Study) -> list[Block]:
    """The CNN on 2,000 images: its logged loss beside ours, and that of raw counts."""
    logs, group = study.logs, study.group("cnn", 2000, CNN_2000_2018).runs
    if not group:
        return []
    lines: dict[str, Any] = {"2018, first and last": [(1, logs["cnn_2000_loss"][0]), (30, logs["cnn_2000_loss"][1])]}
    for run in [run for run in group if run.config["seed"] <= 2]:
        lines[f"{run.framework}, seed {run.config['seed']}"] = [(row["epoch"], row["loss"]) for row in run.history]
    drawn = draw_lines("cnn-2000-loss", "CNN on 2,000: training loss", lines, ("epoch", "loss"), ylim=(0.5, 2))
    return [study.say("appendix.cnn"), sourced(drawn, "forensics.py", f"{group[0].name}, logs.toml")]


def by_iteration(run: StoredRun) -> list[tuple[int, dict[str, Any]]]:
    """Rows of the history by the number of steps taken; with `validate_on_train` every stamp is trained on."""
    steps = run.config["data"]["n_stamps"] // run.config["settings"]["batch_size"]
    return [(int(row["epoch"] or 0) * steps, row) for row in run.history]


def watched_as_in_2018(run: StoredRun, key: str) -> list[tuple[int, float]]:
    """A rate on the validation stamps each fifth epoch, by iteration, where it is defined."""
    rows = [(step, row[f"validation_{key}"]) for step, row in by_iteration(run)[4::5]]
    return [(step, value) for step, value in rows if value is not None]


def stuck_table(probes: Mapping[str, Any], mended: Mapping[str, Any]) -> Table:
    """By epoch: loss, accuracy, share of stamps beyond the clip, weights that moved."""
    rows = []
    named = [("raw counts", side, probe) for side, probe in probes.items()]
    for counts, side, probe in [*named, *(("scaled", side, probe) for side, probe in mended.items())]:
        clipped = next(key for key in probe["epochs"][0] if "clip" in key)
        for epoch in probe["epochs"]:
            moved = [step["n_weights_moved"] for step in probe["steps"] if step["epoch"] == epoch["epoch"]]
            rows.append(
                [
                    f"{counts}, {side}, epoch {epoch['epoch']}", f"{epoch['loss']:.4f}", f"{epoch['accuracy']:.3f}",
                    f"{epoch[clipped]:.2f}", ", ".join(f"{count:,}" for count in moved),
                ]
            )  # fmt: skip
    beyond, moved_of = "share of stamps beyond the clip", "weights that moved, step by step (of 6,722)"
    columns = ["run", "loss", "accuracy", beyond, moved_of]
    return Table("stuck-table", "The gradient of the CNN on raw counts, measured by the weights", columns, rows)


def purity_as_fpr(study: Study) -> list[Block]:
    """The arithmetic of 0.519, and all rates of our runs kept apart."""
    end = study.logs["resnet_2000_end"]
    completeness, purity = end["completeness"], end["purity"]
    counts = study.logs["resnet_2000_counts"]
    tp, lenses, called = (counts[key] for key in ("true_positives", "lenses", "called"))
    fp = called - tp
    rows = [
        ["completeness = TP / lenses", f"{tp} / {lenses}", f"{completeness:.7f}", "completeness, 61 %"],
        ["purity = TP / called lenses", f"{tp} / {called}", f"{purity:.8f}", "\"contamination / FPR\", 52 %"],
        ["contamination = 1 - purity = FP / called lenses", f"{fp} / {called}", f"{fp / called:.3f}", "not reported"],
        ["false positive rate = FP / non-lenses, 199 of 400", f"{fp} / 199", f"{fp / 199:.3f}", "not reported"],
        [
            "the same for equal classes: completeness (1 - purity) / purity",
            "", f"{completeness * (1 - purity) / purity:.3f}", "not reported",
        ],
    ]  # fmt: skip
    columns = ["rate", "counts", "value", "reported in 2018 as"]
    return [
        study.say("appendix.purity"),
        sourced(
            Table("purity-table", "The study's last figures, one rate at a time", columns, rows, prose=True),
            "forensics.py",
            "logs.toml",
        ),
        *_our_rates(study),
    ]


def rates_of(labels: np.ndarray, scores: np.ndarray) -> dict[str, tuple[int, int]]:
    """Counts of each rate at a score above 0.5: so many of so many."""
    counts = confusion(labels, scores)
    tp, fp = counts.true_positives, counts.false_positives
    return {
        "completeness": (tp, tp + counts.false_negatives),
        "purity": (tp, tp + fp),
        "contamination": (fp, tp + fp),
        "false_positive_rate": (fp, fp + counts.true_negatives),
    }


def _our_rates(study: Study) -> list[Table]:
    rows = []
    for label, model, defects, variant in (
        ("ResNet, as in 2018", "resnet", RESNET_2018, ""),
        ("ResNet, mended", "resnet", (), ""),
        ("ResNet, short training, as in 2018", "resnet", RESNET_2018, "short"),
        ("ResNet, short training, mended", "resnet", (), "short"),
        ("CNN, as in 2018", "cnn", CNN_2000_2018, ""),
        ("CNN, mended", "cnn", (), ""),
    ):
        first = [run for run in study.group(model, 2000, defects, "", variant).runs if run.config["seed"] == 1]
        for run, name in [(run, name) for run in first for name in ("mocks", "pics") if name in run.sets]:
            rates = rates_of(run.sets[name].labels, run.sets[name].scores).values()
            rows.append([f"{label}, {run.framework}, {set_title(name)}", *(spelled_share(*rate) for rate in rates)])
    columns = ["run, set", "completeness", "purity", "contamination (1 - purity)", "false positive rate"]
    title = "The same rates of our runs on 2,000 images, score > 0.5, seed 1"
    table = Table("our-rates", title, columns, rows, study.say("appendix.as_in_2018"))
    return [sourced(table, "forensics.py", "*-2000-*-seed1")] if rows else []


def bad_image_filter(study: Study) -> list[Block]:
    """Whether leaving out bad images helps: in training, and in the search."""
    rows = []
    for name in ("mocks", "pics"):
        for kind, defects in KINDS:
            filtered = study.group("cnn", 2000, defects, "modern", "filtered").runs
            seeds = {run.config["seed"] for run in filtered}
            without = [run for run in study.group("cnn", 2000, defects, "modern").runs if run.config["seed"] in seeds]
            before, after = (Group("", tuple(runs)).estimate(name) for runs in (without, filtered))
            change = in_pairs(name, without, filtered, margin=0.5, alpha=0.025)
            if before and after and change:
                spelled = f"{change.difference:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"
                rows.append([f"CNN, {kind}, {set_title(name)}", f"{before:.3f}", f"{after:.3f}", spelled])
    blocks: list[Block] = [study.say("appendix.filter")]
    if rows:
        columns = ["run, set", "AUROC, all images", "AUROC, trained without flagged images", "change"]
        table = Table("filter-training", "The filter in training", columns, rows, study.say("appendix.filter_note"))
        blocks.append(sourced(table, "forensics.py", "cnn-2000-filtered-*"))
    calls = _filtered_calls(study)
    if calls:
        rates = "completeness / purity / FPR"
        columns = ["run, set", "flagged lenses / non-lenses", rates, "with flagged stamps not called"]
        table = Table("filter-search", "The filter in the search, mended runs, legacy, seed 1", columns, calls)
        blocks += [sourced(table, "forensics.py", "*-2000-mended-legacy-seed1"), study.say("appendix.filter_outcome")]
    return blocks


def _filtered_calls(study: Study) -> list[list[str]]:
    """Rates of a search with and without flagged stamps."""
    calls: list[list[str]] = []
    for run_name in ("resnet-2000-mended-legacy-seed1", "cnn-2000-mended-legacy-seed1"):
        run = study.runs.get(run_name)
        for name in ("mocks", "pics"):
            if run is None or name not in run.sets or name not in study.stamps:
                continue
            values = run.sets[name]
            flagged = np.array([study.stamps[name].get(stamp_id, {}).get("flagged") == "1" for stamp_id in values.ids])
            cells = []
            for scores in (values.scores, np.where(flagged, 0.0, values.scores)):
                rates = rates_of(values.labels, scores)
                shown = (rates[key] for key in ("completeness", "purity", "false_positive_rate"))
                cells.append(" / ".join(f"{successes / n:.2f}" if n else "-" for successes, n in shown))
            counts_of = f"{int((flagged & values.labels).sum())} / {int((flagged & ~values.labels).sum())}"
            calls.append([f"{MODELS[run.config['model']]}, {set_title(name)}", counts_of, *cells])
    return calls


def radial_estimate(study: Study, name: str) -> Estimate | None:
    """AUROC of the logistic regression on radial features; ``None`` where it was not run."""
    scores = study.radial(name)
    return mean_auroc([scores.labels], [scores.scores]) if scores else None


# Mended runs: model, number of stamps, variant.
MENDED = {
    "CNN, 200": ("cnn", 200, ""),
    "CNN, 2,000": ("cnn", 2000, ""),
    "CNN, 20,000": ("cnn", 20000, ""),
    "ResNet, 200": ("resnet", 200, ""),
    "ResNet, 2,000, short training": ("resnet", 2000, "short"),
    "ResNet, 2,000": ("resnet", 2000, ""),
    "ResNet, 20,000, short training": ("resnet", 20000, "short"),
    "ResNet, 20,000": ("resnet", 20000, ""),
}
RADIAL = {"radial regression, trained on mocks": "", "radial regression, cross-validated": "-cv"}


def second_figures(study: Study) -> dict[str, dict[str, Estimate]]:
    """AUROC on each set of every mended network and of the regression; rows without any are left out."""
    rows = {
        label: present({name: study.estimate(name, model, n_stamps, (), "", variant) for name in SETS})
        for label, (model, n_stamps, variant) in MENDED.items()
    }
    for label, suffix in RADIAL.items():
        rows[label] = present({name: radial_estimate(study, f"{name}{suffix}") for name in SETS})
    return present(rows)


def caveat(study: Study) -> list[Block]:
    """The second figure beside each AUROC."""
    rows = second_figures(study)
    blocks: list[Block] = []
    if rows:
        cells = [
            [label, *(f"{estimates[name]:.3f}" if name in estimates else "-" for name in SETS)]
            for label, estimates in rows.items()
        ]
        columns = ["mended runs", *map(set_title, SETS)]
        note = "AUROC, mean over seeds, 95 % interval."
        title = "AUROC where the classes differ by more than lensing, and where not"
        drawn = {label: {set_title(name): value for name, value in row.items()} for label, row in rows.items()}
        table = Table("caveat-table", "Each AUROC with its second figure", columns, cells, note)
        blocks.append(sourced(table, "radial.py", "radial, *-mended-*"))
        blocks.append(sourced(draw_estimates("caveat", title, drawn, "AUROC"), "radial.py", "radial, *-mended-*"))
    return blocks
