"""Claims and hypotheses set against stored runs, by rules that a claims file states as data.

``docs/claims.md`` holds the vocabulary, `ledger.schema.json` the form of what comes out.
"""

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

from lens_common.errors import UserError
from lens_common.scores.comparison import equivalence_over_seeds

from .markdown import plain
from .measures import Measured, Measurer
from .page import Section, Table
from .reading import StoredRun

SCHEMA, SCHEMA_VERSION = "lens-ledger", 1
HOLDS, FAILS, OPEN, MISSING = "holds", "fails", "open", "not run yet"
GIVEN = (
    "not testable here", "open", "confirmed by citation", "contradicted by citation", "confirmed by record",
    "contradicted by record",
)  # fmt: skip
# What each rule asks beside its figure.
RULES = {
    "equals within": {"value", "within"},
    "spans": {"value"},
    "above": {"limit"},
    "below": {"limit"},
    "at chance": set(),
    "equivalent within": {"margin"},
    "ordered": set(),
}
SETTINGS = {"alpha": 0.05, "chance": 0.65, "learned": 0.7}
TOP = {"title", "lead", "unfinished", "settings", "figures", "claims", "hypotheses"}
CLAIM = {"key", "claim", "quote", "figure", "source", "status", "tests", "shows", "cause", "qualified"}
HYPOTHESIS = {"key", "claim", "quote", "refuted_if", "tests", "shows", "says"}


@dataclass(frozen=True)
class Tested:
    """One test of a claim or hypothesis.

    Attributes
    ----------
    rule : str
        In words, with its numbers.
    figure : str
        Name of the figure.
    outcome : str
        ``holds``, ``fails``, ``open`` or ``not run yet``.
    p_value : float, optional
        Of the rules that test an estimate: one-sided.
    p_holm : float, optional
        Where the p-value is the largest of its entry: adjusted over all such entries of the file.
    by_run : dict of str to bool
        Where the test is of each run by itself: whether it holds there.
    """

    rule: str
    figure: str
    outcome: str
    p_value: float | None = None
    p_holm: float | None = None
    by_run: Mapping[str, bool] | None = None


@dataclass(frozen=True)
class Judged:
    """A claim or hypothesis with its verdict."""

    entry: Mapping[str, Any]
    status: str
    tests: Sequence[Tested]
    ours: str
    cause: str
    runs: Sequence[str]


@dataclass(frozen=True)
class Ledger:
    """All that a claims file comes to.

    Attributes
    ----------
    title, lead : str
    claims, hypotheses : list of Judged
    figures : Measurer
    settings : dict
        Level of the tests, and what counts as chance and as learned.
    """

    title: str
    lead: str
    claims: Sequence[Judged]
    hypotheses: Sequence[Judged]
    figures: Measurer
    settings: Mapping[str, float]

    def fill(self, text: str) -> str:
        """Text with its figures: ``{name}``, or ``{name|interval}``, ``{name|seeds}``, ``{name|runs}``."""
        return fill(text, self.figures)

    @property
    def tests(self) -> list[Tested]:
        """Of all claims and hypotheses."""
        return [test for judged in (*self.claims, *self.hypotheses) for test in judged.tests]


def fill(text: str, figures: "Mapping[str, Measured] | Measurer") -> str:
    """Text with its figures filled in; see `Ledger.fill`.

    Raises
    ------
    UserError
        For a name that no figure has.
    """

    def spell(match: re.Match) -> str:
        name, _, form = match[1].partition("|")
        return figures[name].spell(form)

    return re.sub(r"\{([^{}]+)\}", spell, text)


def names_in(text: str) -> list[str]:
    """Names of the figures that a text holds."""
    return [name.partition("|")[0] for name in re.findall(r"\{([^{}]+)\}", text)]


def read_claims(path: Path) -> dict[str, Any]:
    """Read and check a claims file.

    Raises
    ------
    UserError
        In one sentence: what is wrong with which entry.
    """
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"cannot read the claims {path}: {error}") from error
    _check_keys(str(path), content, TOP)
    _check_keys("[settings]", content.get("settings", {}), set(SETTINGS))
    for kind, allowed in (("claims", CLAIM), ("hypotheses", HYPOTHESIS)):
        entries, seen = content.get(kind, []), set()
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise UserError(f"{path}: {kind} are a list of tables; write [[{kind}]]")
        for entry in entries:
            name = entry.get("key", entry.get("claim", "without key and claim"))
            _check_keys(f"the entry {name!r} of {kind}", entry, allowed, {"key", "claim"})
            if name in seen:
                raise UserError(f"two entries of {kind} are named {name!r}; give each a key of its own")
            seen.add(name)
            _check_entry(kind, name, entry)
    if not content.get("claims") and not content.get("hypotheses"):
        raise UserError(f"{path} holds neither [[claims]] nor [[hypotheses]]; add one")
    return content


def _check_keys(where: str, found: Mapping[str, Any], allowed: set[str], needed: Sequence[str] | set[str] = ()) -> None:
    unknown, missing = sorted(set(found) - allowed), sorted(set(needed) - set(found))
    if unknown:
        raise UserError(f"{where} has {unknown[0]!r}, which is not known; it takes {', '.join(sorted(allowed))}")
    if missing:
        raise UserError(f"{where} lacks {missing[0]!r}; add it")


def _check_entry(kind: str, name: str, entry: Mapping[str, Any]) -> None:
    tests = entry.get("tests", [])
    if kind == "claims" and "status" in entry and (tests or entry["status"] not in GIVEN):
        why = "has tests as well" if tests else f"is not one of {', '.join(GIVEN)}"
        raise UserError(f"the claim {name!r} has the status {entry['status']!r}, which {why}")
    if not tests and "status" not in entry:
        raise UserError(f"the entry {name!r} of {kind} has no figure to be judged by; add tests, or a status")
    for test in tests:
        rule = test.get("rule")
        if rule not in RULES:
            raise UserError(f"{name!r} has the rule {rule!r}, which is not known; choose one of {', '.join(RULES)}")
        allowed = {"rule", "figure", "each", *RULES[rule]}
        _check_keys(f"the rule {rule!r} of {name!r}", test, allowed, {"figure", *RULES[rule]})


def judge(content: Mapping[str, Any], runs: Sequence[StoredRun], beside: Path) -> Ledger:
    """Set every claim and hypothesis against the runs.

    Parameters
    ----------
    content : dict
        As `read_claims` returns it.
    runs : list of StoredRun
    beside : Path
        Folder of further stored files.

    Returns
    -------
    Ledger

    Raises
    ------
    UserError
        If a figure is not known, its runs are missing, or a rule does not fit its figure.
    """
    figures = Measurer(content.get("figures", {}), runs, beside, content.get("unfinished", False))
    settings = {**SETTINGS, **content.get("settings", {})}
    entries = {kind: content.get(kind, []) for kind in ("claims", "hypotheses")}
    tested = [
        [_test(entry["key"], test, figures, settings) for test in entry.get("tests", [])]
        for kind in entries.values()
        for entry in kind
    ]
    adjusted = iter(_adjust(tested, settings["alpha"]))
    judged = {
        kind: [_judge(entry, next(adjusted), figures, status) for entry in entries[kind]]
        for kind, status in (("claims", _status), ("hypotheses", _outcome))
    }
    ledger = Ledger(
        content.get("title", "Claims and what came of them"), content.get("lead", ""), judged["claims"],
        judged["hypotheses"], figures, settings,
    )  # fmt: skip
    for name in content.get("figures", {}):
        figures[name]
    return replace(ledger, lead=ledger.fill(ledger.lead))


def _test(key: str, test: Mapping[str, Any], figures: Measurer, settings: Mapping[str, float]) -> Tested:
    """Judge one rule, before the adjustment for the number of tests."""
    rule, name = test["rule"], test["figure"]
    if rule == "ordered":
        return _ordered(key, name, figures, settings["alpha"])
    if not isinstance(name, str):
        raise UserError(f"{key!r}: the rule {rule!r} takes one figure, got {name!r}")
    found = figures[name]
    kinds = {"at chance": "auroc", "equivalent within": "difference"}
    if rule in kinds and found.of != kinds[rule]:
        raise UserError(f"{key!r}: the rule {rule!r} is for figures of {kinds[rule]}, {name!r} is of {found.of}")
    numbers = {part: test[part] for part in ("value", "within", "limit", "margin") if part in test}
    words = rule if not numbers else f"{rule} {', '.join(f'{value:g}' for value in numbers.values())}"
    if rule == "equals within":
        words = f"equals {test['value']:g} within {test['within']:g}"
    if not found.values:
        return Tested(words, name, MISSING)
    if found.estimate is not None and rule not in ("equals within", "spans") and not test.get("each"):
        outcome, p_value = _of_estimate(rule, found, numbers, settings)
        return Tested(words, name, outcome, p_value)
    if rule in kinds:
        raise UserError(f"{key!r}: the rule {rule!r} judges an estimate, not each run; leave `each` out")
    if test.get("each"):
        passed = [_passes(rule, row, numbers) for row in found.values]
        labels = [str(seed) for seed in found.seeds] or found.runs
        by_run = {label: any(ok for ok, other in zip(passed, labels) if other == label) for label in labels}
        return Tested(f"{words}, each run", name, HOLDS if any(passed) else FAILS, by_run=by_run)
    return Tested(words, name, HOLDS if _passes(rule, found.all_values, numbers) else FAILS)


def _passes(rule: str, values: Sequence[float], numbers: Mapping[str, float]) -> bool:
    """Whether all values keep a rule; none keeps none."""
    if not values:
        return False
    low, high = min(values), max(values)
    return {
        "equals within": lambda: max(abs(v - numbers["value"]) for v in values) <= numbers["within"],
        "spans": lambda: low <= numbers["value"] <= high,
        "above": lambda: low > numbers["limit"],
        "below": lambda: high < numbers["limit"],
    }[rule]()


def _of_estimate(
    rule: str, found: Measured, numbers: Mapping[str, float], settings: Mapping[str, float]
) -> tuple[str, float]:
    """Outcome by the interval of an estimate, and the one-sided p of what the rule says."""
    estimate = found.estimate
    assert estimate is not None

    def p_above(limit: float) -> float:
        if estimate.standard_error == 0:
            return float(estimate.value <= limit)
        return float(t.sf((estimate.value - limit) / estimate.standard_error, estimate.degrees))

    if rule == "equivalent within":
        p_value = max(p_above(-numbers["margin"]), 1 - p_above(numbers["margin"]))
        apart = estimate.low > numbers["margin"] or estimate.high < -numbers["margin"]
        return HOLDS if p_value < settings["alpha"] else FAILS if apart else OPEN, p_value
    if rule == "at chance":
        limit = settings["chance"]
        learned = any(value > settings["learned"] for value in found.all_values)
        return FAILS if learned else HOLDS if estimate.high < limit else OPEN, 1 - p_above(limit)
    limit = numbers["limit"]
    over, under = estimate.low > limit, estimate.high < limit
    p_value = p_above(limit) if rule == "above" else 1 - p_above(limit)
    holds, fails = (over, under) if rule == "above" else (under, over)
    return HOLDS if holds else FAILS if fails else OPEN, p_value


def _ordered(key: str, names: Any, figures: Measurer, alpha: float) -> Tested:
    """Each AUROC above the one before it, by the paired difference over the seeds that both have."""
    if not isinstance(names, list) or len(names) < 2:
        raise UserError(f"{key!r}: the rule 'ordered' takes two figures or more, lowest first; got {names!r}")
    found = [figures[name] for name in names]
    words = "ordered, lowest first"
    for name, one in zip(names, found):
        if one.of != "auroc":
            raise UserError(f"{key!r}: the rule 'ordered' is for figures of auroc, {name!r} is of {one.of}")
    if not all(one.values for one in found):
        return Tested(words, ", ".join(names), MISSING)
    p_values, reverse = [], []
    for first, second in pairwise(found):
        shared = sorted(set(first.seeds) & set(second.seeds))
        sides = [[dict(zip(one.seeds, one.scores))[seed] for seed in shared] for one in (first, second)]
        if not shared or any(values.data_hash != sides[0][0].data_hash for side in sides for values in side):
            raise UserError(f"{key!r}: {' and '.join(names)} share no seed, or scored other stamps; compare one set")
        before, after = (np.array([values.scores for values in side]) for side in sides)
        test = equivalence_over_seeds(sides[0][0].labels, before, after, 0.5)
        degrees = test.n_seeds - 1 if test.n_seeds > 1 else math.inf
        ratio = (
            test.difference / test.standard_error if test.standard_error else math.copysign(math.inf, test.difference)
        )
        p_values.append(float(t.sf(ratio, degrees)))
        reverse.append(float(t.cdf(ratio, degrees)))
    p_value = max(p_values)
    outcome = HOLDS if p_value < alpha else FAILS if min(reverse) < alpha else OPEN
    return Tested(words, ", ".join(names), outcome, p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number.

    Parameters
    ----------
    p_values : sequence of float

    Returns
    -------
    list of float
        In the same order; below alpha where the family-wise error is.

    References
    ----------
    Holm 1979, Scand. J. Statist. 6, 65.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for place, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def _adjust(tested: Sequence[Sequence[Tested]], alpha: float) -> list[list[Tested]]:
    """Holm over the entries; one whose tests hold by themselves and not among so many entries is open.

    An entry is true where all of its tests hold, so its p-value is the largest of theirs.

    References
    ----------
    Berger 1982, Technometrics 24, 295: intersection-union tests.
    """
    largest = [max((test.p_value for test in tests if test.p_value is not None), default=None) for tests in tested]
    adjusted = iter(holm([p_value for p_value in largest if p_value is not None]))
    found = []
    for tests, p_value in zip(tested, largest):
        p_holm = None if p_value is None else next(adjusted)
        lost = p_holm is not None and p_holm >= alpha
        found.append(
            [
                replace(test, p_holm=p_holm, outcome=OPEN if lost and test.outcome == HOLDS else test.outcome)
                if test.p_value is not None and test.p_value == p_value
                else test
                for test in tests
            ]
        )
    return found


def _judge(entry: Mapping[str, Any], tests: Sequence[Tested], figures: Measurer, status: Any) -> Judged:
    shown = {name: figures[name] for name in dict.fromkeys(_figures_of(entry, tests))}
    runs = [name for found in shown.values() for name in found.runs]
    ours = [fill(line, figures) for line in entry.get("shows", ())]
    words = entry.get("cause", entry.get("says", ""))
    return Judged(entry, status(entry, tests), tests, "; ".join(ours), fill(words, figures), [*dict.fromkeys(runs)])


def _figures_of(entry: Mapping[str, Any], tests: Sequence[Tested]) -> list[str]:
    """Names of the figures of an entry, those of its tests first."""
    named = [name for test in tests for name in test.figure.split(", ")]
    return named + [name for line in entry.get("shows", ()) for name in names_in(line)]


def _status(entry: Mapping[str, Any], tests: Sequence[Tested]) -> str:
    """What became of a claim."""
    if "status" in entry:
        return entry["status"]
    outcomes = {test.outcome for test in tests}
    if MISSING in outcomes:
        return MISSING
    if FAILS in outcomes:
        return "not reproduced"
    if OPEN in outcomes:
        return "open"
    by_run = [test.by_run for test in tests if test.by_run is not None]
    passed = [all(runs.get(label, True) for runs in by_run) for label in by_run[0]] if by_run else []
    if passed and not any(passed):
        return "not reproduced"
    qualified = f", {entry['qualified']}" if "qualified" in entry else ""
    return "reproduced" + qualified + ("" if all(passed) else f", by {sum(passed)} of {len(passed)} seeds")


def _outcome(_: Mapping[str, Any], tests: Sequence[Tested]) -> str:
    """What became of a hypothesis."""
    outcomes = {test.outcome for test in tests}
    if MISSING in outcomes or not outcomes:
        return "open"
    return "partly true" if FAILS in outcomes else "open" if OPEN in outcomes else "refuted"


def ledger_table(ledger: Ledger, key: str = "ledger", **changes: Any) -> Table:
    """One row a claim."""
    rows = []
    for judged in ledger.claims:
        entry = judged.entry
        claim = plain(entry["claim"])
        claim += f" ({plain(entry['source'])})" if "source" in entry else ""
        claim += f". *“{plain(entry['quote'])}”*" if "quote" in entry else ""
        rules = "; ".join(dict.fromkeys(test.rule for test in judged.tests))
        rules += f" ({len(judged.runs)} runs)" if judged.tests else ""
        rows.append([claim, entry.get("figure", ""), judged.status, rules, judged.ours, judged.cause])
    columns = ["claim", "its figure", "status", "rule", "ours", "cause"]
    return replace(Table(key, "The ledger", columns, rows, prose=True), **changes)


def hypotheses_table(ledger: Ledger, key: str = "hypotheses", **changes: Any) -> Table:
    """One row a hypothesis."""
    rows = [
        [plain(judged.entry["claim"]), judged.entry.get("refuted_if", ""), judged.ours, judged.status, judged.cause]
        for judged in ledger.hypotheses
    ]
    columns = ["reason given", "refuted if", "AUROC, mean over seeds", "outcome", "what the runs say"]
    return replace(Table(key, "Hypotheses", columns, rows, prose=True), **changes)


def rules_table(ledger: Ledger, key: str = "rules-table", **changes: Any) -> Table:
    """One row a test: rule, figure, outcome, p, runs."""
    rows = []
    for judged in (*ledger.claims, *ledger.hypotheses):
        for test in judged.tests:
            named = [ledger.figures[name] for name in test.figure.split(", ")]
            figures = "; ".join(one.spell("interval") for one in named)
            p_values = [f"{p:.1g}" if p is not None else "-" for p in (test.p_value, test.p_holm)]
            runs = list(dict.fromkeys(name for one in named for name in one.runs))
            shown = ", ".join(f"`{name}`" for name in runs[:1]) + (f" and {len(runs) - 1} more" if runs[1:] else "")
            entry = f"`{judged.entry['key']}`"
            rows.append([entry, test.figure, test.rule, figures, test.outcome, *p_values, shown])
    columns = ["entry", "figure", "rule", "value", "outcome", "p", "p (Holm)", "runs"]
    return replace(Table(key, "The rules, one by one", columns, rows, folded=True), **changes)


def sections(ledger: Ledger) -> list[Section]:
    """The claims as parts of any report."""
    found = [Section("claims", "Claims", [ledger_table(ledger)])] if ledger.claims else []
    found += [Section("reasons", "Hypotheses", [hypotheses_table(ledger)])] if ledger.hypotheses else []
    return [*found, Section("rules-of-claims", "Rules", [rules_table(ledger)])]


def ledger_data(ledger: Ledger) -> dict[str, Any]:
    """The ledger for JSON, in the form of `ledger.schema.json`."""

    def row(judged: Judged) -> dict[str, Any]:
        entry = {
            key: judged.entry[key]
            for key in ("key", "claim", "quote", "figure", "source", "refuted_if")
            if key in judged.entry
        }
        tests = [
            {key: value for key, value in vars(test).items() if value is not None}
            | {"figures": test.figure.split(", ")}
            for test in judged.tests
        ]
        for test in tests:
            del test["figure"]
        return {
            **entry,
            "status": judged.status,
            "ours": judged.ours,
            "cause": judged.cause,
            "tests": tests,
            "runs": [*judged.runs],
        }

    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "title": ledger.title,
        "settings": {**ledger.settings},
        "figures": {name: ledger.figures[name].as_data() for name in ledger.figures.figures},
        "claims": [row(judged) for judged in ledger.claims],
        "hypotheses": [row(judged) for judged in ledger.hypotheses],
    }
