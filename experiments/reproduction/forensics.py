"""Why the runs of 2018 failed: the ablation, the runs again, the study's reasons as hypotheses, and the caveat."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from experiments.reproduction.stored import (
    CNN_2000_2018,
    CNN_2018,
    CNN_ALL,
    RESNET_2018,
    RESNET_ON_PYTHON_2,
    Study,
    in_pairs,
    say,
)
from experiments.runner import SIDES
from lens_common.scores.metrics import confusion
from lens_modern.report.figures import Figure, draw_estimates, draw_lines
from lens_modern.report.intervals import Estimate, mean_auroc
from lens_modern.report.page import Section, Table
from lens_modern.report.reading import StoredRun
from lens_modern.report.sections import Group, set_title, spelled_share

REASONS = tomllib.loads(Path(__file__).with_name("reasons.toml").read_text())
MODELS = {"cnn": "CNN", "resnet": "ResNet"}
VARIANTS = {
    "": "",
    "short": "short training",
    "rate1e-4": "learning rate 1e-4",
    "rate1e-2": "learning rate 1e-2",
    "quiet": "a tenth of the sky noise",
    "filtered": "bad images filtered out",
}
# Below this upper end of its interval a network counts as at chance, above this lower end as having learned.
CHANCE, LEARNED = 0.65, 0.7
SETS = ("mocks", "pics", "leak-controlled")
# What the ablation is made of: the CNN at the study's length, the ResNet in a short training.
ABLATED = (("cnn", ""), ("resnet", "short"))
# Mistakes of the CNN on 2,000 images, in words.
KINDS = (("mended", ()), ("raw counts", ("raw_pixels",)), ("class overwritten", ("class_overwrite",)))
Block = str | Table | Figure
Key = TypeVar("Key")
Value = TypeVar("Value")


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
        Section("reasons", "The reasons that the study gave", reasons(study)),
        Section("filter", "Its next step: a filter for bad images", bad_image_filter(study)),
    ]


def ablation(study: Study) -> list[Block]:
    """Figures of every combination, on our mocks and on the PICS mocks, and what they say."""
    blocks: list[Block] = [say("ablation.intro")]
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
                blocks.append(draw_estimates(f"ablation-{model}-2000-{name}", title, rows, "AUROC"))
    return [*blocks, *_ablation_words(study)]


def present(values: Mapping[Key, Value | None]) -> dict[Key, Value]:
    """Entries that there are: neither ``None`` nor empty."""
    return {key: value for key, value in values.items() if value}


def order_of(defects: Sequence[str], model: str) -> tuple[int, str]:
    """Where a set of mistakes stands among others: none, each alone, all, all but each."""
    spelled = spelled_defects(defects, model)
    return (0 if spelled == "none" else 2 if spelled == "all" else 3 if spelled.startswith("all but") else 1, spelled)


def _ablation_words(study: Study) -> list[str]:
    """What each mistake costs by itself, in sentences."""
    words = []
    for model, variant in ABLATED:
        clean = study.estimate("mocks", model, 2000, (), "", variant)
        leak = study.estimate("leak-controlled", model, 2000, (), "", variant)
        names = (*CNN_ALL, "sign_clip") if model == "cnn" else RESNET_2018
        alone = present({name: study.estimate("mocks", model, 2000, (name,), "", variant) for name in names})
        if clean and alone:
            costs = [f"`{name}` {value:.3f} ({value.value - clean.value:+.3f})" for name, value in alone.items()]
            words.append(
                f"**{title_of(model, 2000, variant)}**, mean AUROC on the mocks with one mistake alone, against "
                f"{clean:.3f} with none{f' ({leak:.3f} on leak-controlled ones)' if leak else ''}: {'; '.join(costs)}."
            )
    words += [say("ablation.exclusions")] if words else []
    mistakes = {"mended": (), "overwrite": ("class_overwrite",), "stays": ("rate_never_drops",)}
    mistakes["collapse"] = ("rate_collapse",)
    long = present({name: study.estimate("mocks", "resnet", 2000, defects) for name, defects in mistakes.items()})
    if len(long) == len(mistakes):
        words.append(say("ablation.long", **{name: f"{value:.3f}" for name, value in long.items()}))
    return words


def again(study: Study) -> list[Block]:
    """Logged figures of 2018 beside those of our runs with the same mistakes."""
    return [*_cnn_stuck(study), *_resnet_again(study), *_cnn_again(study)] or ["None of these has been run."]


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
    return [stuck_words(study, probes, mended), stuck_table(probes, mended), drawn]


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
    return [
        say("again.resnet"),
        draw_lines("resnet-loss", "ResNet on 2,000: training loss", loss, ("iteration", "loss"), ylim=(0.65, 0.9)),
        draw_lines("resnet-rates", "ResNet on 2,000: validation", rates, ("iteration", "share"), ylim=(0, 1)),
    ]


def _cnn_again(study: Study) -> list[Block]:
    """The CNN on 2,000 images: its logged loss beside ours, and that of raw counts."""
    logs, group = study.logs, study.group("cnn", 2000, CNN_2000_2018).runs
    if not group:
        return []
    lines: dict[str, Any] = {"2018, first and last": [(1, logs["cnn_2000_loss"][0]), (30, logs["cnn_2000_loss"][1])]}
    for run in [run for run in group if run.config["seed"] <= 2]:
        lines[f"{run.framework}, seed {run.config['seed']}"] = [(row["epoch"], row["loss"]) for row in run.history]
    stuck = [run for defects in (CNN_2018, CNN_ALL) for run in study.group("cnn", 2000, defects).runs]
    raw, first = ([line[0] for line in column(runs, "loss")] for runs in (stuck, group))
    return [
        *([say("again.cnn", raw=spelled_range(raw), first=spelled_range(first))] if raw else []),
        draw_lines("cnn-2000-loss", "CNN on 2,000: training loss", lines, ("epoch", "loss"), ylim=(0.5, 2)),
    ]


def column(runs: Sequence[StoredRun], key: str) -> list[list[float]]:
    """A number of the history of each run, by epoch, where it is defined."""
    return [[value for row in run.history if (value := row.get(key)) is not None] for run in runs]


def by_iteration(run: StoredRun) -> list[tuple[int, dict[str, Any]]]:
    """Rows of the history by the number of steps taken; with `validate_on_train` every stamp is trained on."""
    steps = run.config["data"]["n_stamps"] // run.config["settings"]["batch_size"]
    return [(int(row["epoch"] or 0) * steps, row) for row in run.history]


def watched_as_in_2018(run: StoredRun, key: str) -> list[tuple[int, float]]:
    """A rate on the validation stamps each fifth epoch, by iteration, where it is defined."""
    rows = [(step, row[f"validation_{key}"]) for step, row in by_iteration(run)[4::5]]
    return [(step, value) for step, value in rows if value is not None]


def stuck_words(study: Study, probes: Mapping[str, Any], mended: Mapping[str, Any]) -> str:
    """Whether the loss sticks at 8.0151, that the gradient is zero, and how many seeds stick."""
    parts = []
    for side, probe in probes.items():
        loss = f"the loss of the last epoch is {probe['epochs'][-1]['loss']:.4f}"
        moved = f"no weight moves in any bit after step {last_move(probe)} of {len(probe['steps'])}"
        parts.append(f"{side.capitalize()}: {loss}, and {moved}")
    words = [say("again.stuck", told=". ".join(parts))]
    moving = [min(step["n_weights_moved"] for step in probe["steps"]) for probe in mended.values()]
    words += [say("again.mended", moving=f"{min(moving):,}")] if moving else []
    by_size = count_stuck(study)
    if by_size:
        stuck, n = (sum(counts) for counts in zip(*by_size.values()))
        sizes = spelled_stuck(by_size)
        words.append(say(f"again.seeds_{'all' if stuck == n else 'some'}", stuck=stuck, n=n, sizes=sizes))
    return " ".join(words)


def count_stuck(study: Study) -> dict[int, tuple[int, int]]:
    """By number of images: how many runs of the CNN on raw counts end stuck, of how many.

    At the study's settings, with any other mistakes, and twins as one.
    """
    cells = {
        (run.n_stamps, run.defects)
        for run in study.planned.values()
        if run.model == "cnn" and not run.variant and "raw_pixels" in run.defects
    }
    runs: dict[int, list[StoredRun]] = {}
    for n_stamps, defects in sorted(cells):
        runs.setdefault(n_stamps, []).extend(study.one_of_each_seed("cnn", n_stamps, defects))
    return {size: (sum(map(_is_stuck, members)), len(members)) for size, members in runs.items() if members}


def spelled_stuck(by_size: dict[int, tuple[int, int]]) -> str:
    """The counts of `count_stuck` in words."""
    return ", ".join(f"{stuck} of {n} on {size:,}" for size, (stuck, n) in by_size.items())


def spelled_range(values: Sequence[float], spec: str = ".2f") -> str:
    """Lowest to highest, or the one number that both are."""
    low, high = (f"{value:{spec}}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _is_stuck(run: StoredRun) -> bool:
    """Whether the loss of the last three epochs is the same, and far above that of a coin."""
    last = [row["loss"] or 0.0 for row in run.history[-3:]]
    return max(last) - min(last) < 1e-4 and min(last) > 2


def last_move(probe: Mapping[str, Any]) -> int:
    """Number of the last step, from 1, in which any weight moved in any bit; 0 for none."""
    return max((i for i, step in enumerate(probe["steps"], 1) if step["n_weights_moved"]), default=0)


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
        say("purity.text", purity=purity, completeness=completeness, tp=tp, called=called, lenses=lenses),
        Table("purity-table", "The study's last figures, one rate at a time", columns, rows, prose=True),
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
    return [Table("our-rates", title, columns, rows, say("purity.as_in_2018"))] if rows else []


@dataclass(frozen=True)
class Cell:
    """One cell of the plan: the name that its runs share, and their mean AUROC on a set, if there are any."""

    name: str
    auroc: Estimate | None


def cells_of_reasons(study: Study) -> dict[str, Cell]:
    """Cells of `reasons.toml` by name."""
    cells = {}
    for key, about in REASONS["cells"].items():
        runs = {"model": "cnn", "n_stamps": 2000, "defects": (), "variant": "", "set": "mocks", **about}
        name, runs["defects"] = runs.pop("set"), tuple(runs["defects"])
        cells[key] = Cell(study.group(**runs).name, study.estimate(name, **runs))
    return cells


def outcome_of(reason: Mapping[str, Any], cells: Mapping[str, Cell]) -> str:
    """What became of a reason: ``refuted``, ``partly true`` or ``open``, by the rule in `reasons.toml`."""
    learned = [cells[key].auroc for key in reason["learned"]]
    chance = [cells[key].auroc for key in reason.get("chance", ())]
    if_run = [cells[key].auroc for key in reason.get("chance_if_run", ())]
    missing = if_run and not chance and not any(if_run)
    chance += [estimate for estimate in if_run if estimate]
    complete = [estimate for estimate in (*learned, *chance) if estimate]
    if missing or len(complete) < len(learned) + len(chance):
        return "open"
    above, below = complete[: len(learned)], complete[len(learned) :]
    if all(estimate.low > LEARNED for estimate in above) and all(estimate.high < CHANCE for estimate in below):
        return "refuted"
    return "partly true" if any(max(estimate.values) > LEARNED for estimate in below) else "open"


def outcomes(study: Study) -> dict[str, str]:
    """Each reason that the study gave, and what became of it."""
    cells = cells_of_reasons(study)
    return {reason["claim"]: outcome_of(reason, cells) for reason in REASONS["reasons"]}


def reasons(study: Study) -> list[Block]:
    """Each reason of the study as a hypothesis, with runs that could have refuted it."""
    cells = cells_of_reasons(study)
    rows = []
    for reason in REASONS["reasons"]:
        shown = present({label: cells[key].auroc for label, key in reason["shown"].items()})
        figures = "; ".join(f"{label}: {value:.3f}, {seeds_of(value)}" for label, value in shown.items())
        names = ", ".join(dict.fromkeys(f"`{cells[reason['shown'][label]].name}`" for label in shown))
        rows.append([reason["claim"], reason["refuted_if"], figures, outcome_of(reason, cells), names])
    columns = ["reason given in 2018", "it would be refuted if", "AUROC, mean over seeds", "outcome", "runs"]
    note = say("reasons.note", learned=f"{LEARNED:g}", chance=f"{CHANCE:g}")
    return [
        say("reasons.intro"),
        Table("reasons-table", "Hypotheses", columns, rows, note, prose=True),
        *_half_right(present({key: cell.auroc for key, cell in cells.items()})),
        *_small(study),
        *_reused(study, cells["reused"].auroc, cells["clean"].auroc),
    ]


def _half_right(estimates: Mapping[str, Estimate]) -> list[str]:
    """What the learning rate and the noise do to the CNN on raw counts."""
    sentences = {
        "reasons.rate": {"low": "raw, 1e-4", "study": "raw, 1e-3", "mended": "clean", "fast": "mended, 1e-2"},
        "reasons.noise": {
            "quiet": "raw, quiet", "mended": "mended, quiet", "clean": "clean", "overwritten": "overwritten, quiet",
        },
    }  # fmt: skip
    rates = [estimates[key].value for key in estimates if key.startswith("overwritten, 1e")]
    words = []
    for sentence, keys in sentences.items():
        first = next(iter(keys.values()))
        if rates and all(key in estimates for key in keys.values()) and estimates[first].low > CHANCE:
            figures = {name: f"{estimates[key]:.2f}" for name, key in keys.items()}
            words.append(say(sentence, **{"overwritten": spelled_range(rates), **figures}))
    return words


def _small(study: Study) -> list[str]:
    """What more images do for a network in order, for equal classes, and for one on raw counts."""
    runs = {"few": (2000, ()), "many": (20000, ()), "broken": (20000, RESNET_2018)}
    large = present({name: study.estimate("mocks", "resnet", *cell, "", "short") for name, cell in runs.items()})
    words = []
    if len(large) == len(runs):
        words.append(say("reasons.more", **{name: f"{value:.2f}" for name, value in large.items()}))
    by_size = count_stuck(study)
    shares = [stuck / n for stuck, n in by_size.values()]
    if len(shares) > 1 and shares[-1] < min(shares[:-1]):
        words.append(say("reasons.small", sizes=spelled_stuck(by_size)))
    return words


def _reused(study: Study, reused: Estimate | None, clean: Estimate | None) -> list[str]:
    """What the reuse does: it flatters the figure on the validation stamps."""
    last = {
        key: [line[-1] for line in column(study.one_of_each_seed("cnn", 2000, defects), "validation_auroc")]
        for key, defects in (("reused", ("validate_on_train",)), ("held", ()))
    }
    if not (reused and clean and all(last.values())):
        return []
    figures = {key: f"{np.mean(values):.2f}" for key, values in last.items()}
    return [say("reasons.reused", **figures, reused_mocks=f"{reused.value:.2f}", mended=f"{clean.value:.2f}")]


def seeds_of(estimate: Estimate) -> str:
    """How many seeds a mean is of; where they lie far apart, how far."""
    n = len(estimate.values)
    apart = max(estimate.values) - min(estimate.values) > 0.25
    return f"{n} seed{'s' if n > 1 else ''}" + (f" from {spelled_range(estimate.values)}" if apart else "")


def bad_image_filter(study: Study) -> list[Block]:
    """Whether leaving out bad images helps: in training, and in the search."""
    rows, shown = [], {}
    for name in ("mocks", "pics"):
        for kind, defects in KINDS:
            filtered = study.group("cnn", 2000, defects, "modern", "filtered").runs
            seeds = {run.config["seed"] for run in filtered}
            without = [run for run in study.group("cnn", 2000, defects, "modern").runs if run.config["seed"] in seeds]
            before, after = (Group("", tuple(runs)).estimate(name) for runs in (without, filtered))
            change = in_pairs(name, without, filtered, margin=0.5, alpha=0.025)
            if before and after and change:
                spelled = f"{change.difference:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"
                shown[kind, name] = (before, after, spelled)
                rows.append([f"CNN, {kind}, {set_title(name)}", f"{before:.3f}", f"{after:.3f}", spelled])
    blocks: list[Block] = [say("filter.intro")]
    if rows:
        columns = ["run, set", "AUROC, all images", "AUROC, trained without flagged images", "change"]
        blocks.append(Table("filter-training", "The filter in training", columns, rows, say("filter.note")))
    calls, flags = _filtered_calls(study)
    if calls:
        rates = "completeness / purity / FPR"
        columns = ["run, set", "flagged lenses / non-lenses", rates, "with flagged stamps not called"]
        blocks.append(Table("filter-search", "The filter in the search, mended runs, legacy, seed 1", columns, calls))
        blocks.append(say("filter.outcome", lenses=f"{100 * flags[0]:.0f} %", others=f"{100 * flags[1]:.0f} %"))
    raw = shown.get(("raw counts", "mocks"))
    same = [shown[key][2] for name in ("mocks", "pics") if (key := ("class overwritten", name)) in shown]
    if raw and len(same) == 2 and raw[1].low > CHANCE:
        figures = {"all": f"{raw[0]:.2f}", "filtered": f"{raw[1]:.2f}"}
        blocks.append(say("filter.raw", **figures, overwritten=same[0], overwritten_pics=same[1]))
    return blocks


def _filtered_calls(study: Study) -> tuple[list[list[str]], list[float]]:
    """Rates of a search with and without flagged stamps; the shares of lenses and of non-lenses that are flagged."""
    calls: list[list[str]] = []
    shares: list[float] = []
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
            shares = shares or [float(flagged[kind].mean()) for kind in (values.labels, ~values.labels)]
    return calls, shares


def radial_estimate(study: Study, name: str) -> Estimate | None:
    """AUROC of the logistic regression on radial features; ``None`` where it was not run."""
    scores = study.radial(name)
    return mean_auroc([scores.labels], [scores.scores]) if scores else None


def best_networks(study: Study) -> dict[str, float]:
    """Highest mean AUROC of any mended network, by set."""
    cells = {run.cell for run in study.planned.values() if not run.defects and not run.data}
    values = {
        name: [value.value for cell in cells if (value := study.estimate(name, *cell[:2], (), "", cell[2]))]
        for name in SETS
    }
    return {name: max(areas) for name, areas in values.items() if areas}


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


def _regression_words(study: Study) -> list[str]:
    """Whether the regression, which sees no arc, is ahead of the networks."""
    best = best_networks(study)
    blind, within = radial_estimate(study, "mocks"), radial_estimate(study, "leak-controlled-cv")
    if not (blind and within and "leak-controlled" in best):
        return []
    key = "caveat.ahead" if blind.value >= best["mocks"] else "caveat.behind"
    words = [say(key, radial=f"{blind.value:.2f}", network=f"{best['mocks']:.2f}")]
    if within.value >= best["leak-controlled"]:
        figures = {"radial_leak": f"{within.value:.2f}", "network_leak": f"{best['leak-controlled']:.2f}"}
        words.append(say("caveat.within", **figures))
    return [" ".join([*words, say("caveat.trained")])]


def caveat(study: Study) -> list[Block]:
    """The second figure beside each AUROC."""
    rows = second_figures(study)
    blocks: list[Block] = [say("caveat.text"), *_regression_words(study)]
    if rows:
        cells = [
            [label, *(f"{estimates[name]:.3f}" if name in estimates else "-" for name in SETS)]
            for label, estimates in rows.items()
        ]
        columns = ["mended runs", *map(set_title, SETS)]
        note = "AUROC, mean over seeds, 95 % interval."
        title = "AUROC where the classes differ by more than lensing, and where not"
        drawn = {label: {set_title(name): value for name, value in row.items()} for label, row in rows.items()}
        blocks.append(Table("caveat-table", "Each AUROC with its second figure", columns, cells, note))
        blocks.append(draw_estimates("caveat", title, drawn, "AUROC"))
    return blocks
