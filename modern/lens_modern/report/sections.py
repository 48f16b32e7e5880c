"""Parts of a report that any runs can have: who ran, how well, twins against each other, at what cost."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lens_common.errors import UserError
from lens_common.learning.models import MODELS
from lens_common.scores.comparison import delong_test, equivalence_test, score_agreement
from lens_common.scores.metrics import METRICS, Confusion, confusion, roc, spell_interval

from .figures import (
    Figure,
    calibration_error,
    draw_calibration,
    draw_completeness,
    draw_histories,
    draw_roc,
    draw_score_pairs,
)
from .intervals import Estimate, mean_auroc, wilson
from .markdown import code, plain
from .page import Section, Table, slug
from .reading import ScoreSet, StoredRun, check_same_data

ALPHA = 0.05
RADIUS_EDGES = (0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
SNR_EDGES = (0.0, 5.0, 10.0, 20.0, 40.0, 80.0, 1000.0)
# Sets by the names that the reproduction gives them; others go by their own.
SET_TITLES = {"test": "own test fold", "pics": "PICS mocks", "leak-controlled": "leak-controlled mocks"}
# So that a page of a thousand runs stays one that can be read.
MOST_CURVES, MOST_PAIRS, MOST_GROUPS = 8, 6, 6


def describe_run(run: StoredRun) -> str:
    """Model, framework and what was wrong on purpose, in a few words."""
    mode, model = run.config.get("mode", "faithful"), run.config["model"]
    parts = [MODELS[model].title if model in MODELS else model, run.framework]
    parts += ["" if mode == "faithful" else mode, " + ".join(run.config["defects"]), f"seed {run.config['seed']}"]
    return ", ".join(filter(None, parts))


def set_names(runs: Sequence[StoredRun]) -> list[str]:
    """Names of all sets that some run scored, the validation stamps apart: the largest first, test folds last."""
    sizes = [(name, len(values.ids)) for run in runs for name, values in run.sets.items() if name != "validation"]
    largest = dict(sorted(sizes, key=lambda size: size[1]))  # the last of each name counts
    return sorted(largest, key=lambda name: (name == "test", -largest[name], name))


def set_title(name: str) -> str:
    """A set in words."""
    return SET_TITLES.get(name, name)


def spelled_auroc(run: StoredRun, name: str) -> str:
    """AUROC of a run on one of its sets with its interval; empty where there is none."""
    found = run.sets.get(name)
    if found is None or found.labels.all() or not found.labels.any():
        return ""
    return spell_interval(*found.area)


def runs_table(key: str, runs: Sequence[StoredRun]) -> Table:
    """One row a run: what it is, its AUROC on each set with its interval, its time."""
    names = set_names(runs)
    areas = (f"AUROC, {plain(set_title(name))}" for name in names)
    columns = ["run", "what", "stamps", "epochs", *areas, "minutes", "commit"]
    rows = [
        [
            code(run.name),
            plain(describe_run(run)),
            f"{run.config['data']['n_stamps']:,}",
            str(len(run.history)),
            *(spelled_auroc(run, name) for name in names),
            f"{run.seconds / 60:.1f}",
            str(run.environment.get("commit") or "unknown")[:8],
        ]
        for run in runs
    ]
    return Table(key, "Runs", columns, rows, "AUROC with its 95 % interval, of the stamps alone.")


def metrics_table(key: str, runs: Sequence[StoredRun]) -> Table:
    """One row a run, one column a metric that has a title: of the fold that judges it, at its own threshold."""
    shown = {name: metric.title for name, metric in METRICS.items() if metric.title}
    rows = [[code(run.name), *(_spelled_metric(run.computed_metrics[name]) for name in shown)] for run in runs]
    note = "Of the test fold, or of the validation stamps where a defect left none, at the threshold in the table."
    return Table(key, "Metrics", ["run", *shown.values()], rows, note, folded=True)


def _spelled_metric(value: float | int | None) -> str:
    if value is None:
        return "undefined"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def left_out_table(left_out: Mapping[str, str]) -> Table:
    """Runs that were set aside and why."""
    return Table(
        "left-out", "Left out", ["run", "reason"], [[code(path), plain(why)] for path, why in left_out.items()]
    )


def cost_table(key: str, runs: Sequence[StoredRun]) -> Table:
    """Time and memory of each run, with the machine."""
    rows = []
    for run in runs:
        environment = run.environment
        framework = environment.get("framework")
        framework = framework if isinstance(framework, dict) else {}
        versions = [
            f"{name} {framework[name]}" for name in ("python", "theano-pymc", "torch", "numpy") if name in framework
        ]
        peak = environment.get("peak_memory_bytes")
        machine = f"{environment.get('processor', 'unknown')}, {environment.get('cores', '?')} cores"
        rows.append(
            [
                code(run.name),
                f"{run.seconds / max(len(run.history), 1):.1f}",
                f"{run.stamps_per_second:,.0f}" if run.seconds else "",
                f"{peak / 1e6:,.0f}" if isinstance(peak, int) else "not recorded",
                plain(framework.get("threads", "")),
                plain(f"{machine}; {', '.join(versions)}"),
            ]
        )
    columns = ["run", "seconds an epoch", "stamps/s", "peak memory [MB]", "threads", "machine"]
    note = "Seconds and stamps/s hold the scoring of the validation stamps after each epoch too."
    return Table(key, "What each run took", columns, rows, note, prose=True)


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed only."""

    name: str
    runs: tuple[StoredRun, ...]

    def estimate(self, name: str) -> Estimate | None:
        """Mean AUROC over the seeds on a set; ``None`` where no run scored it."""
        sets = [run.sets[name] for run in self.runs if name in run.sets]
        sets = [values for values in sets if values.labels.any() and not values.labels.all()]
        return mean_auroc([values.labels for values in sets], [values.scores for values in sets]) if sets else None


def group_by_seed(runs: Sequence[StoredRun]) -> list[Group]:
    """Groups of runs that differ in their seed only, in the order of their first runs."""
    groups: dict[tuple[str, str], list[StoredRun]] = {}
    for run in runs:
        groups.setdefault((run.framework, run.recipe), []).append(run)
    return [Group(describe_run(members[0]).rsplit(", seed", 1)[0], tuple(members)) for members in groups.values()]


def find_pairs(runs: Sequence[StoredRun]) -> list[tuple[StoredRun, StoredRun]]:
    """Twins among the runs, legacy first: all alike but the framework.  Two runs without a twin are a pair too."""
    legacy, modern = ([run for run in runs if run.framework == side] for side in ("legacy", "modern"))
    found = [
        (first, second)
        for first in legacy
        for second in modern
        if (first.recipe, first.config["seed"]) == (second.recipe, second.config["seed"])
    ]
    return found or ([(runs[0], runs[1])] if len(runs) == 2 else [])


def validation_threshold(run: StoredRun) -> float:
    """Score above which a stamp is called a lens: the one with most completeness less false positive rate there.

    0.5 where the run has no validation stamps of both classes.

    References
    ----------
    Youden 1950, Cancer 3, 32.
    """
    held = run.sets.get("validation")
    if held is None or held.labels.all() or not held.labels.any():
        return 0.5
    false_positive_rate, completeness, thresholds = roc(held.labels, held.scores)
    best = int(np.argmax(completeness - false_positive_rate))
    scores = np.unique(held.scores)
    below = scores[scores < thresholds[best]]
    # Between two scores that occur: `>` and `>=` then call the same stamps.
    return float((below[-1] + min(thresholds[best], 1.0)) / 2) if len(below) else 0.0


def pair_section(first: StoredRun, second: StoredRun, margin: float, names: Sequence[str], key: str = "") -> Section:
    """Everything about two runs side by side.

    Parameters
    ----------
    first, second : StoredRun
        Differences are second minus first.
    margin : float
        The largest difference in AUROC that would not matter.
    names : list of str
        Sets that are compared by number; figures show the first of them.
    key : str
        Of the section on its page; by default made of the names.

    Raises
    ------
    UserError
        If they share no set.
    """
    runs = (first, second)
    comparisons, sentences = {}, []
    for name in names:
        if all(name in run.sets for run in runs):
            try:
                check_same_data(first, second, name)
                comparisons[name] = compare_sets(first, second, name, margin)
            except UserError as error:
                sentences.append(f"Not compared on the {plain(set_title(name))}: {plain(str(error))}.")
    shared = [*comparisons]
    key = key or slug(f"{first.name}-{second.name}")
    title = f"{describe_run(first)}, against {describe_run(second)}"
    if not shared:
        return Section(
            key, title, sentences or [f"{code(first.name)} and {code(second.name)} share no set of scored stamps."]
        )
    labels = short_labels(runs)
    thresholds = [validation_threshold(run) for run in runs]
    blocks: list[str | Table | Figure] = [
        *sentences,
        *_verdicts(comparisons),
        comparison_table(f"{key}-numbers", labels, comparisons),
        confusion_table(f"{key}-confusion", runs, labels, shared, thresholds),
        *_pair_figures(key, dict(zip(labels, runs)), shared[0], thresholds),
    ]
    return Section(key, title, blocks)


def _pair_figures(key: str, runs: Mapping[str, StoredRun], name: str, thresholds: Sequence[float]) -> list[Figure]:
    """Two runs on one set, and how they learned."""
    curves = {label: run.sets[name] for label, run in runs.items()}
    first, second = curves.values()
    where = plain(set_title(name))
    figures = [
        draw_roc(f"{key}-roc", f"ROC, {where}", curves, logarithmic=False),
        draw_roc(f"{key}-roc-log", f"ROC, {where}, logarithmic", curves, logarithmic=True),
        draw_score_pairs(f"{key}-scores", f"Score against score, {where}", first, second, [*curves]),
        draw_calibration(f"{key}-calibration", f"Calibration, {where}", curves),
    ]
    for parameter, what, edges in (
        ("einstein_radius", "Einstein radius", RADIUS_EDGES),
        ("snr", "signal-to-noise ratio", SNR_EDGES),
    ):
        if all(_has_lenses(values, parameter, edges) for values in curves.values()):
            title = f"Completeness by {what}, {where}"
            figures.append(draw_completeness(f"{key}-{slug(parameter)}", title, curves, parameter, edges, thresholds))
    groups = {label: [run] for label, run in runs.items()}
    figures.append(draw_histories(f"{key}-loss", "Training loss", groups, "loss", "loss"))
    if all(run.history[-1].get("validation_auroc") is not None for run in runs.values()):
        figures.append(draw_histories(f"{key}-watched", "Validation AUROC", groups, "validation_auroc", "AUROC"))
    return figures


def _has_lenses(values: ScoreSet, parameter: str, edges: Sequence[float]) -> bool:
    """Whether the parameter of some lens is known and lies in a bin."""
    known = values.parameters.get(parameter, np.full(len(values.ids), np.nan))
    return bool((values.labels & (known >= edges[0]) & (known < edges[-1])).any())


def short_labels(runs: Sequence[StoredRun]) -> list[str]:
    """What two runs are called side by side: their frameworks where these differ."""
    short = [run.framework for run in runs]
    if short[0] == short[1]:
        short = [describe_run(run) for run in runs]
    return short if short[0] != short[1] else [run.name for run in runs]


def compare_sets(first: StoredRun, second: StoredRun, name: str, margin: float) -> dict[str, Any]:
    """DeLong's difference, the equivalence verdict and the agreement of the scores on one set."""
    a, b = first.sets[name], second.sets[name]
    difference = delong_test(a.labels, a.scores, b.scores)
    return {
        "difference": difference,
        "equivalence": equivalence_test(difference.difference, difference.standard_error, margin, alpha=ALPHA),
        "agreement": score_agreement(a.scores, b.scores, 0.5),
        "intervals": [values.area[1:] for values in (a, b)],
        "n": (int(a.labels.sum()), int((~a.labels).sum())),
    }


def _verdicts(comparisons: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """On which sets the two are equivalent, and on which that is not shown."""
    sentences = []
    for answer, said in ((True, "are equivalent"), (False, "are not shown to be equivalent")):
        names = [name for name, found in comparisons.items() if found["equivalence"].equivalent is answer]
        if names:
            margin = comparisons[names[0]]["equivalence"].margin
            where = ", ".join(f"the {plain(set_title(name))}" for name in names)
            sentences.append(f"On {where}: the two {said} within {margin:g} in AUROC.")
    return sentences


def comparison_table(key: str, labels: Sequence[str], comparisons: Mapping[str, Mapping[str, Any]]) -> Table:
    """One row a set: both AUROCs, their difference, how far the scores agree."""
    rows = []
    for name, found in comparisons.items():
        difference, agreement, equivalence = found["difference"], found["agreement"], found["equivalence"]
        areas = [
            spell_interval(area, low, high, ".4f")
            for area, (low, high) in zip((difference.auroc_a, difference.auroc_b), found["intervals"])
        ]
        rows.append(
            [
                plain(set_title(name)),
                "{} / {}".format(*found["n"]),
                *areas,
                spelled_difference(difference.difference, equivalence.low, equivalence.high),
                f"{agreement['largest_score_difference']:.2g}",
                f"{agreement['n_calls_differ']} of {sum(found['n'])}",
            ]
        )
    columns = [
        "set",
        "lenses / non-lenses",
        *(f"AUROC, {plain(label)}" for label in labels),
        "difference (DeLong, 90 %)",
    ]
    columns += ["largest difference of a score", "calls that differ at 0.5"]
    note = f"Difference: {plain(labels[1])} minus {plain(labels[0])}. Intervals of an AUROC are of 95 %."
    return Table(key, "AUROC", columns, rows, note)


def spelled_difference(value: float, low: float, high: float) -> str:
    """A difference in AUROC with its interval, to five decimals."""
    if max(abs(value), abs(low), abs(high)) < 5e-6:
        return "below 0.00001"
    return spell_interval(value, low, high, "+.5f")


def confusion_table(
    key: str, runs: Sequence[StoredRun], labels: Sequence[str], names: Sequence[str], thresholds: Sequence[float]
) -> Table:
    """Counts and rates at the threshold that each run fixed on its validation stamps."""
    rows = []
    for name in names:
        for run, label, threshold in zip(runs, labels, thresholds):
            values = run.sets[name]
            counts = confusion(values.labels, values.scores, threshold)
            error = f"{calibration_error(values.labels, values.scores):.3f}"
            rows.append([plain(f"{set_title(name)}, {label}"), f"{threshold:.3f}", *rates_of(counts), error])
    columns = [
        "set, run",
        "threshold",
        *("true positives", "false positives", "true negatives", "false negatives"),
        *("completeness", "purity", "contamination", "false positive rate", "calibration error"),
    ]
    note = (
        "The threshold has the largest completeness less false positive rate on the validation stamps (Youden's). "
        "Shares with 95 % Wilson intervals. Purity and contamination hold for these shares of lenses only."
    )
    return Table(key, "Confusion at a threshold fixed on the validation stamps", columns, rows, note)


def rates_of(counts: Confusion) -> list[str]:
    """The four counts, then completeness, purity, contamination and false positive rate with their intervals."""
    return [*map(str, asdict(counts).values()), *(spelled_share(*share) for share in counts.shares.values())]


def spelled_share(successes: int, n: int) -> str:
    """A share with its Wilson interval; a word where nothing was counted."""
    if n == 0:
        return "undefined"
    found = wilson(successes, n)
    return spell_interval(found.share, found.low, found.high, ".2f")


def overview_figures(runs: Sequence[StoredRun]) -> list[Figure]:
    """ROC and history of the first few runs, on the set that most of them scored."""
    names = set_names(runs)
    name = max(names, key=lambda name: sum(name in run.sets for run in runs))
    having = [run for run in runs if name in run.sets and 0 < run.sets[name].labels.sum() < len(run.sets[name].labels)]
    curves = {run.name: run.sets[name] for run in having[:MOST_CURVES]}
    groups = {group.name: group.runs for group in group_by_seed(runs)[:MOST_GROUPS]}
    title = f"ROC, {plain(set_title(name))}"
    scales = (("overview-roc", title, False), ("overview-roc-log", f"{title}, logarithmic", True))
    rocs = [draw_roc(key, title, curves, logarithmic) for key, title, logarithmic in scales if curves]
    return [*rocs, draw_histories("overview-loss", "Training loss", groups, "loss", "loss")]
