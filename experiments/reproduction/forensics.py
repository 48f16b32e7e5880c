"""Why the runs of 2018 failed: the ablation, the runs again, the study's reasons as hypotheses, and the caveat."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from stored import CNN_2000_2018, CNN_2018, CNN_ALL, RESNET_2018, RESNET_ON_PYTHON_2, Study, in_pairs, say

from lens_common.scores.metrics import confusion
from lens_modern.report.figures import Figure, draw_estimates, draw_lines
from lens_modern.report.intervals import Estimate, mean_auroc
from lens_modern.report.page import Section, Table
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
}
# Below this upper end of its interval a network counts as at chance, above this lower end as having learned.
CHANCE, LEARNED = 0.65, 0.7
Block = str | Table | Figure


def title_of(model: str, n_stamps: int, variant: str) -> str:
    """Model, size and what was varied, in words."""
    what = VARIANTS.get(variant, variant)
    return f"{MODELS[model]}, {n_stamps:,} images{f', {what}' if what else ''}"


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
    for model, n_stamps, variant in (("cnn", 2000, ""), ("resnet", 2000, "short")):
        combinations = dict.fromkeys(
            run.defects
            for run in study.planned.values()
            if (run.model, run.n_stamps, run.variant) == (model, n_stamps, variant)
        )
        for name in ("mocks", "pics"):
            rows: dict[str, dict[str, Estimate]] = {}
            for defects in sorted(combinations, key=lambda d: order_of(d, model)):
                found = {
                    side: value
                    for side in ("legacy", "modern")
                    if (value := study.estimate(name, model, n_stamps, defects, side, variant))
                }
                if found:
                    rows[spelled_defects(defects, model)] = found
            if len(rows) > 1:
                title = f"{title_of(model, n_stamps, variant)}: AUROC on the {set_title(name)}"
                blocks.append(draw_estimates(f"ablation-{model}-{n_stamps}-{name}", title, rows, "AUROC"))
    blocks += _ablation_words(study)
    return blocks


def order_of(defects: Sequence[str], model: str) -> tuple[int, str]:
    """Where a set of mistakes stands among others: none, each alone, all, all but each."""
    said = spelled_defects(defects, model)
    return (0 if said == "none" else 2 if said == "all" else 3 if said.startswith("all but") else 1, said)


def _ablation_words(study: Study) -> list[str]:
    """What each mistake costs by itself, in sentences."""
    words = []
    for model, variant in (("cnn", ""), ("resnet", "short")):
        clean = study.estimate("mocks", model, 2000, (), "", variant)
        if not clean:
            continue
        parts = []
        names = (*CNN_ALL, "sign_clip") if model == "cnn" else RESNET_2018
        for name in names:
            found = study.estimate("mocks", model, 2000, (name,), "", variant)
            if found:
                parts.append(f"`{name}` {found:.3f} ({found.value - clean.value:+.3f})")
        leak = study.estimate("leak-controlled", model, 2000, (), "", variant)
        if parts:
            words.append(
                f"**{title_of(model, 2000, variant)}**, mean AUROC on the mocks with one mistake alone, against "
                f"{clean:.3f} with none{f' ({leak:.3f} on leak-controlled ones)' if leak else ''}: {'; '.join(parts)}."
            )
    words += [say("ablation.exclusions")] if words else []
    long = {
        name: study.estimate("mocks", "resnet", 2000, defects)
        for name, defects in (
            ("mended", ()),
            ("overwrite", ("class_overwrite",)),
            ("stays", ("rate_never_drops",)),
            ("collapse", ("rate_collapse",)),
        )
    }
    if all(long.values()):
        words.append(say("ablation.long", **{name: f"{found:.3f}" for name, found in long.items()}))
    return words


def again(study: Study) -> list[Block]:
    """Logged figures of 2018 beside those of our runs with the same mistakes."""
    logs = study.claims["logs"]
    blocks: list[Block] = []
    probes = {side: study.extra(f"probe-{side}-pics.json") for side in ("legacy", "modern")}
    probes = {side: found for side, found in probes.items() if found}
    if probes:
        lines = {"2018, 200 images": list(enumerate(logs["cnn_200_loss"], 1))}
        for side, found in probes.items():
            lines[f"{side}, {found['data']['n_stamps']} of them"] = [
                (row["epoch"], row["loss"]) for row in found["epochs"]
            ]
        mended = {side: study.extra(f"probe-{side}-pics-mended.json") for side in ("legacy", "modern")}
        for side, found in mended.items():
            if found:
                lines[f"{side}, counts scaled"] = [(row["epoch"], row["loss"]) for row in found["epochs"]]
        drawn = draw_lines(
            "stuck", "CNN on the PICS mocks, batch 97: training loss", lines, ("epoch", "loss"), ylim=(0, 9)
        )
        blocks += [stuck_words(study, probes, mended), stuck_table(probes, mended), drawn]
    runs = [run for side in ("legacy", "modern") for run in study.group("resnet", 2000, RESNET_2018, side).runs[:1]]
    if runs:
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
        blocks += [
            say("again.resnet"),
            draw_lines("resnet-loss", "ResNet on 2,000: training loss", loss, ("iteration", "loss"), ylim=(0.65, 0.9)),
            draw_lines("resnet-rates", "ResNet on 2,000: validation", rates, ("iteration", "share"), ylim=(0, 1)),
        ]
    blocks += _cnn_again(study)
    return blocks or ["None of these has been run."]


def _cnn_again(study: Study) -> list[Block]:
    """The CNN on 2,000 images: its logged loss beside ours, and that of raw counts."""
    logs, group = study.claims["logs"], study.group("cnn", 2000, CNN_2000_2018).runs
    if not group:
        return []
    lines = {"2018, first and last": [(1, logs["cnn_2000_loss"][0]), (30, logs["cnn_2000_loss"][1])]}
    for run in [run for run in group if run.config["seed"] <= 2]:
        lines[f"{run.framework}, seed {run.config['seed']}"] = [(row["epoch"], row["loss"]) for row in run.history]
    raw = [run.history[0]["loss"] for defects in (CNN_2018, CNN_ALL) for run in study.group("cnn", 2000, defects).runs]
    first = [run.history[0]["loss"] for run in group]
    return [
        *([say("again.cnn", raw=spelled_range(raw), first=spelled_range(first))] if raw else []),
        draw_lines("cnn-2000-loss", "CNN on 2,000: training loss", lines, ("epoch", "loss"), ylim=(0.5, 2)),
    ]


def by_iteration(run: StoredRun) -> list[tuple[int, dict]]:
    """Rows of the history by the number of steps taken; with `validate_on_train` every stamp is trained on."""
    steps = run.config["data"]["n_stamps"] // run.config["settings"]["batch_size"]
    return [(int(row["epoch"] or 0) * steps, row) for row in run.history]


def watched_as_in_2018(run: StoredRun, key: str) -> list[tuple[int, float]]:
    """A rate on the validation stamps each fifth epoch, by iteration, where it is defined."""
    rows = [(step, row[f"validation_{key}"]) for step, row in by_iteration(run)[4::5]]
    return [(step, value) for step, value in rows if value is not None]


def stuck_words(study: Study, probes: dict, mended: dict) -> str:
    """Whether the loss sticks at 8.0151, that the gradient is zero, and how many seeds stick."""
    parts = []
    for side, found in probes.items():
        last, loss = last_move(found), found["epochs"][-1]["loss"]
        moved = f"no weight moves in any bit after step {last} of {len(found['steps'])}"
        parts.append(f"{side[0].upper()}{side[1:]}: the loss of the last epoch is {loss:.4f}, and {moved}")
    words = [say("again.stuck", told=". ".join(parts))]
    moving = [min(step["n_weights_moved"] for step in found["steps"]) for found in mended.values() if found]
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
    return {size: (sum(_is_stuck(run) for run in found), len(found)) for size, found in runs.items() if found}


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


def last_move(found: dict) -> int:
    """Number of the last step, from 1, in which any weight moved in any bit; 0 for none."""
    moved = [i for i, step in enumerate(found["steps"], 1) if step["n_weights_moved"]]
    return moved[-1] if moved else 0


def stuck_table(probes: dict, mended: dict) -> Table:
    """By epoch: loss, accuracy, share of stamps beyond the clip, weights that moved."""
    rows = []
    for what, runs in (("raw counts", probes), ("scaled", {side: found for side, found in mended.items() if found})):
        for side, found in runs.items():
            clipped = next(key for key in found["epochs"][0] if "clip" in key)
            for epoch in found["epochs"]:
                moved = [step["n_weights_moved"] for step in found["steps"] if step["epoch"] == epoch["epoch"]]
                rows.append(
                    [
                        f"{what}, {side}, epoch {epoch['epoch']}", f"{epoch['loss']:.4f}", f"{epoch['accuracy']:.3f}",
                        f"{epoch[clipped]:.2f}", ", ".join(f"{count:,}" for count in moved),
                    ]
                )  # fmt: skip
    columns = [
        "run",
        "loss",
        "accuracy",
        "share of stamps beyond the clip",
        "weights that moved, step by step (of 6,722)",
    ]
    return Table("stuck-table", "The gradient of the CNN on raw counts, measured by the weights", columns, rows)


def purity_as_fpr(study: Study) -> list[Block]:
    """The arithmetic of 0.519, and all rates of our runs kept apart."""
    end = study.claims["logs"]["resnet_2000_end"]
    completeness, purity = end["completeness"], end["purity"]
    counts = study.claims["logs"]["resnet_2000_counts"]
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
    figures = {"purity": purity, "completeness": completeness, "tp": tp, "called": called, "lenses": lenses}
    words = say("purity.text", **figures)
    columns = ["rate", "counts", "value", "reported in 2018 as"]
    return [
        words,
        Table("purity-table", "The study's last figures, one rate at a time", columns, rows, prose=True),
        *_our_rates(study),
    ]


def _our_rates(study: Study) -> list[Table]:
    rows = []
    for what, model, defects, variant in (
        ("ResNet, as in 2018", "resnet", RESNET_2018, ""),
        ("ResNet, mended", "resnet", (), ""),
        ("ResNet, short training, as in 2018", "resnet", RESNET_2018, "short"),
        ("ResNet, short training, mended", "resnet", (), "short"),
        ("CNN, as in 2018", "cnn", CNN_2000_2018, ""),
        ("CNN, mended", "cnn", (), ""),
    ):
        for run in study.group(model, 2000, defects, "", variant).runs:
            if run.config["seed"] != 1:
                continue
            for name in ("mocks", "pics"):
                if name in run.sets:
                    values = run.sets[name]
                    counts = confusion(values.labels, values.scores)
                    tp, fp = counts.true_positives, counts.false_positives
                    lenses, others = int(values.labels.sum()), int((~values.labels).sum())
                    pairs = ((tp, lenses), (tp, tp + fp), (fp, tp + fp), (fp, others))
                    rows.append([f"{what}, {run.framework}, {set_title(name)}", *(spelled_share(*p) for p in pairs)])
    columns = ["run, set", "completeness", "purity", "contamination (1 - purity)", "false positive rate"]
    return (
        [
            Table(
                "our-rates",
                "The same rates of our runs on 2,000 images, score > 0.5, seed 1",
                columns,
                rows,
                say("purity.as_in_2018"),
            )
        ]
        if rows
        else []
    )


def outcomes(study: Study) -> dict[str, str]:
    """Each reason that the study gave, and what became of it."""
    table = next(block for block in reasons(study) if isinstance(block, Table))
    return {row[0]: row[table.columns.index("outcome")] for row in table.rows}


@dataclass(frozen=True)
class Cell:
    """One cell of the plan: the name that its runs share, and their mean AUROC on a set, if there are any."""

    name: str
    auroc: Estimate | None


def reasons(study: Study) -> list[Block]:
    """Each reason of the study as a hypothesis, with runs that could have refuted it."""

    def cell(model: str, n_stamps: int, defects: tuple[str, ...], variant: str = "", name: str = "mocks") -> Cell:
        found = study.estimate(name, model, n_stamps, defects, "", variant)
        return Cell(study.group(model, n_stamps, defects, "", variant).name, found)

    clean = cell("cnn", 2000, ())
    deep = {
        what: found
        for what, variant in (("ResNet, as in 2018", ""), ("the same, short training", "short"))
        if (found := cell("resnet", 2000, RESNET_2018, variant)).auroc
    }
    rows = [
        _reason(
            "The CNN is not wide or deep enough",
            "the same CNN without the mistakes comes out of chance, and 46 layers with them do not",
            {"CNN, mended": clean, **deep},
            learned=[clean], chance=[*deep.values()] or [Cell("", None)],
        )
    ]  # fmt: skip
    kinds = (("raw counts", ("raw_pixels",)), ("class overwritten", ("class_overwrite",)), ("mended", ()))
    rates = {
        f"{what}, {rate}": cell("cnn", 2000, defects, variant)
        for what, defects in kinds
        for rate, variant in (("1e-4", "rate1e-4"), ("1e-3", ""), ("1e-2", "rate1e-2"))
    }
    stuck = [found for key, found in rates.items() if found.auroc and not key.startswith("mended")]
    rows.append(
        _reason(
            "The learning rate",
            "no rate from 1e-4 to 1e-2 brings the runs with a mistake out of chance, and the mended run learns at the "
            "study's own",
            rates,
            learned=[clean], chance=stuck or [Cell("", None)],
        )
    )  # fmt: skip
    rows.append(
        _reason(
            "The images have two dimensions",
            "the same images, in their one band, teach the mended network",
            {"mended": clean},
            learned=[clean], chance=[],
        )
    )  # fmt: skip
    quiet = {f"{what}, noise / 10": cell("cnn", 2000, defects, "quiet", "test") for what, defects in kinds}
    rows.append(
        _reason(
            "The images are noisy",
            "with a tenth of the noise the runs with a mistake stay at chance, and at full noise the mended run learns",
            {**quiet, "mended, full noise": clean},
            learned=[clean], chance=[found for key, found in quiet.items() if not key.startswith("mended")],
        )
    )  # fmt: skip
    broken = {f"{' + '.join(CNN_2018)}, {size:,}": cell("cnn", size, CNN_2018) for size in (200, 2000, 20000)}
    sizes = {f"mended, {size:,}": cell("cnn", size, ()) for size in (200, 2000, 20000)}
    large = {
        f"ResNet, short training, {what}, 20,000": cell("resnet", 20000, defects, "short")
        for what, defects in (("as in 2018", RESNET_2018), ("mended", ()))
    }
    large_broken = [found for what, found in large.items() if "2018" in what and found.auroc]
    rows.append(
        _reason(
            "The training set is small",
            "the networks as they were in 2018 on 20,000 images stay at chance, and a mended run on 2,000 learns",
            {**broken, **sizes, **large},
            learned=[clean], chance=[broken[f"{' + '.join(CNN_2018)}, 20,000"], *large_broken],
        )
    )  # fmt: skip
    reused = cell("cnn", 2000, ("validate_on_train",))
    rows.append(
        _reason(
            "The validation images were reused from training",
            "this mistake alone does not take the network to chance",
            {"reused, nothing else": reused, "mended": clean},
            learned=[reused], chance=[],
        )
    )  # fmt: skip
    columns = ["reason given in 2018", "it would be refuted if", "AUROC, mean over seeds", "outcome", "runs"]
    note = say("reasons.note", learned=f"{LEARNED:g}", chance=f"{CHANCE:g}")
    return [
        say("reasons.intro"),
        Table("reasons-table", "Hypotheses", columns, rows, note, prose=True),
        *_half_right(rates, quiet, clean),
        *_small(study),
        *_reused(study, reused, clean),
    ]


def _half_right(rates: dict[str, Cell], quiet: dict[str, Cell], clean: Cell) -> list[str]:
    """What the learning rate and the noise do to the CNN on raw counts."""
    words = []
    low, own, fast = (rates[what].auroc for what in ("raw counts, 1e-4", "raw counts, 1e-3", "mended, 1e-2"))
    if low and own and fast and clean.auroc and low.low > CHANCE:
        same = [found.auroc.value for key, found in rates.items() if key.startswith("class") and found.auroc]
        figures = {"low": f"{low:.2f}", "study": f"{own:.2f}", "mended": f"{clean.auroc:.2f}", "fast": f"{fast:.2f}"}
        words.append(say("reasons.rate", **figures, overwritten=spelled_range(same)))
    still, same, scaled = (quiet[f"{what}, noise / 10"].auroc for what in ("raw counts", "class overwritten", "mended"))
    if still and same and scaled and clean.auroc and still.low > CHANCE:
        figures = {"quiet": f"{still:.2f}", "mended": f"{scaled:.2f}", "clean": f"{clean.auroc:.2f}"}
        words.append(say("reasons.noise", **figures, overwritten=f"{same:.2f}"))
    return words


def _small(study: Study) -> list[str]:
    """What more images do for a network in order, for equal classes, and for one on raw counts."""
    few, many, broken = (
        study.estimate("mocks", "resnet", size, defects, "", "short")
        for size, defects in ((2000, ()), (20000, ()), (20000, RESNET_2018))
    )
    words = []
    if few and many and broken:
        words.append(say("reasons.more", few=f"{few:.2f}", many=f"{many:.2f}", broken=f"{broken:.2f}"))
    by_size = count_stuck(study)
    shares = [stuck / n for stuck, n in by_size.values()]
    if len(shares) > 1 and shares[-1] < min(shares[:-1]):
        words.append(say("reasons.small", sizes=spelled_stuck(by_size)))
    return words


def _reused(study: Study, reused: Cell, clean: Cell) -> list[str]:
    """What the reuse does: it flatters the figure on the validation stamps."""
    last = {
        what: [run.history[-1]["validation_auroc"] for run in study.one_of_each_seed("cnn", 2000, defects)]
        for what, defects in (("reused", ("validate_on_train",)), ("held", ()))
    }
    if not (reused.auroc and clean.auroc and all(last.values())):
        return []
    figures = {what: f"{np.mean(values):.2f}" for what, values in last.items()}
    return [
        say("reasons.reused", **figures, reused_mocks=f"{reused.auroc.value:.2f}", mended=f"{clean.auroc.value:.2f}")
    ]


def _reason(
    claim: str, refuted_if: str, shown: dict[str, Cell], learned: Sequence[Cell], chance: Sequence[Cell]
) -> list[str]:
    complete = all(cell.auroc for cell in (*learned, *chance))
    refuted = (
        complete
        and all(cell.auroc.low > LEARNED for cell in learned)
        and all(cell.auroc.high < CHANCE for cell in chance)
    )
    told = "; ".join(f"{what}: {cell.auroc:.3f}, {seeds_of(cell.auroc)}" for what, cell in shown.items() if cell.auroc)
    contradicted = complete and any(max(cell.auroc.values) > LEARNED for cell in chance)
    outcome = "refuted" if refuted else "partly true" if contradicted else "open"
    names = ", ".join(dict.fromkeys(f"`{cell.name}`" for cell in shown.values() if cell.auroc))
    return [claim, refuted_if, told, outcome, names]


def seeds_of(found: Estimate) -> str:
    """How many seeds a mean is of; where they lie far apart, how far."""
    n = len(found.values)
    if n == 1:
        return "1 seed"
    apart = max(found.values) - min(found.values) > 0.25
    return f"{n} seeds" + (f" from {spelled_range(found.values)}" if apart else "")


def bad_image_filter(study: Study) -> list[Block]:
    """Whether leaving out bad images helps: in training, and in the search."""
    kinds = (("mended", ()), ("raw counts", ("raw_pixels",)), ("class overwritten", ("class_overwrite",)))
    rows, shown = [], {}
    for name in ("mocks", "pics"):
        for what, defects in kinds:
            filtered = study.group("cnn", 2000, defects, "modern", "filtered").runs
            seeds = {run.config["seed"] for run in filtered}
            without = [run for run in study.group("cnn", 2000, defects, "modern").runs if run.config["seed"] in seeds]
            found = [Group("", tuple(runs)).estimate(name) for runs in (without, filtered)]
            change = in_pairs(name, without, filtered, margin=0.5, alpha=0.025)
            if all(found) and change:
                told = f"{change.difference:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"
                shown[what, name] = (*found, told)
                rows.append([f"CNN, {what}, {set_title(name)}", *(f"{value:.3f}" for value in found), told])
    blocks: list[Block] = [say("filter.intro")]
    if rows:
        columns = ["run, set", "AUROC, all images", "AUROC, trained without flagged images", "change"]
        blocks.append(Table("filter-training", "The filter in training", columns, rows, say("filter.note")))
    calls, flags = _filtered_calls(study)
    if calls:
        columns = [
            "run, set",
            "flagged lenses / non-lenses",
            "completeness / purity / FPR",
            "with flagged stamps not called",
        ]
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
    calls, shares = [], []
    for run_name in ("resnet-2000-mended-legacy-seed1", "cnn-2000-mended-legacy-seed1"):
        run = study.runs.get(run_name)
        for name in ("mocks", "pics"):
            if run is None or name not in run.sets or name not in study.stamps:
                continue
            values = run.sets[name]
            flagged = np.array([study.stamps[name].get(stamp_id, {}).get("flagged") == "1" for stamp_id in values.ids])
            before = confusion(values.labels, values.scores)
            after = confusion(values.labels, np.where(flagged, 0.0, values.scores))
            cells = []
            for counts in (before, after):
                tp, fp = counts.true_positives, counts.false_positives
                pairs = ((tp, tp + counts.false_negatives), (tp, tp + fp), (fp, fp + counts.true_negatives))
                cells.append(" / ".join(f"{a / b:.2f}" if b else "-" for a, b in pairs))
            counts_of = f"{int((flagged & values.labels).sum())} / {int((flagged & ~values.labels).sum())}"
            calls.append([f"{MODELS[run.config['model']]}, {set_title(name)}", counts_of, *cells])
            shares = shares or [float(flagged[kind].mean()) for kind in (values.labels, ~values.labels)]
    return calls, shares


def radial_estimate(study: Study, name: str) -> Estimate | None:
    """AUROC of the logistic regression on radial features; ``None`` where it was not run."""
    found = study.radial(name)
    return mean_auroc([found.labels], [found.scores]) if found else None


def best_networks(study: Study) -> dict[str, float]:
    """Highest mean AUROC of any mended network, by set."""
    cells = {
        (run.model, run.n_stamps, run.variant) for run in study.planned.values() if not run.defects and not run.data
    }
    found = {
        name: [value.value for cell in cells if (value := study.estimate(name, *cell[:2], (), "", cell[2]))]
        for name in ("mocks", "pics", "leak-controlled")
    }
    return {name: max(values) for name, values in found.items() if values}


def caveat(study: Study) -> list[Block]:
    """The second figure beside each AUROC."""
    rows: dict[str, dict[str, Estimate]] = {}
    table = []
    candidates = [
        ("CNN, 200", "cnn", 200, ""),
        ("CNN, 2,000", "cnn", 2000, ""),
        ("CNN, 20,000", "cnn", 20000, ""),
        ("ResNet, 200", "resnet", 200, ""),
        ("ResNet, 2,000, short training", "resnet", 2000, "short"),
        ("ResNet, 2,000", "resnet", 2000, ""),
        ("ResNet, 20,000, short training", "resnet", 20000, "short"),
        ("ResNet, 20,000", "resnet", 20000, ""),
    ]
    for what, model, n_stamps, variant in candidates:
        found = {
            set_title(name): value
            for name in ("mocks", "pics", "leak-controlled")
            if (value := study.estimate(name, model, n_stamps, (), "", variant))
        }
        if found:
            rows[what] = found
    for what, suffix in (("radial regression, trained on mocks", ""), ("radial regression, cross-validated", "-cv")):
        found = {
            set_title(name): value
            for name in ("mocks", "pics", "leak-controlled")
            if (value := radial_estimate(study, f"{name}{suffix}"))
        }
        if found:
            rows[what] = found
    for what, found in rows.items():
        cells = [
            f"{found[set_title(name)]:.3f}" if set_title(name) in found else "-"
            for name in ("mocks", "pics", "leak-controlled")
        ]
        table.append([what, *cells])
    columns = ["mended runs", "mocks", set_title("pics"), set_title("leak-controlled")]
    note = "AUROC, mean over seeds, 95 % interval."
    blocks: list[Block] = [say("caveat.text")]
    best = best_networks(study)
    blind, within = radial_estimate(study, "mocks"), radial_estimate(study, "leak-controlled-cv")
    if blind and within and "leak-controlled" in best:
        key = "caveat.ahead" if blind.value >= best["mocks"] else "caveat.behind"
        said = [say(key, radial=f"{blind.value:.2f}", network=f"{best['mocks']:.2f}")]
        if within.value >= best["leak-controlled"]:
            figures = {"radial_leak": f"{within.value:.2f}", "network_leak": f"{best['leak-controlled']:.2f}"}
            said.append(say("caveat.within", **figures))
        blocks.append(" ".join([*said, say("caveat.trained")]))
    if table:
        blocks.append(Table("caveat-table", "Each AUROC with its second figure", columns, table, note))
        blocks.append(
            draw_estimates(
                "caveat", "AUROC where the classes differ by more than lensing, and where not", rows, "AUROC"
            )
        )
    return blocks
