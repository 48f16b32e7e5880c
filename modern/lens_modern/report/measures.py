"""Figures of stored runs, as a claims file names them: what is measured, of which runs, on which set.

``docs/claims.md`` holds the vocabulary.
"""

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from lens_common.errors import UserError
from lens_common.scores.comparison import SeedEquivalence, equivalence_over_seeds
from lens_common.scores.metrics import completeness_at_fpr, confusion, spell_interval

from .intervals import Estimate, mean_auroc, wilson
from .reading import ScoreSet, StoredRun

RATES = ("completeness", "purity", "contamination", "false_positive_rate")
KEYS = {
    "auroc": {"runs", "set", "lenses"},
    **dict.fromkeys(RATES, {"runs", "set", "lenses", "threshold"}),
    "completeness_at_fpr": {"runs", "set", "lenses", "fpr"},
    "difference": {"runs", "against", "set", "against_set"},
    "history": {"runs", "column", "at", "take"},
    "hours": {"runs"},
    "count": {"runs", "when"},
    "stored": {"file", "path", "take"},
    "table": {"file"},
    "given": {"value", "source"},
    "scaled": {"figure", "times", "less"},
}
NEEDED = {
    "auroc": {"runs", "set"}, **dict.fromkeys(RATES, {"runs", "set"}), "completeness_at_fpr": {"runs", "set", "fpr"},
    "difference": {"runs", "against", "set"}, "history": {"runs", "column"}, "hours": {"runs"},
    "count": {"runs", "when"}, "stored": {"file", "path"},
    "table": {"file"}, "given": {"value"}, "scaled": {"figure"},
}  # fmt: skip
TAKES: dict[str, Callable[[Any], Any]] = {
    "mean": np.mean, "lowest": np.min, "highest": np.max, "spread": np.ptp,
    "last": lambda values: values[-1], "number": len,
}  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What a figure of a claims file comes to.

    Attributes
    ----------
    of : str
        What was measured: a key of `KEYS`.
    values : list of list of float
        One row a run or stored file; empty where there is none.
    runs : list of str
        Their names, in the same order.
    seeds : list of int
        The seed of each; as many as `values`, or none.
    estimate : Estimate, optional
        Mean with its interval, of an AUROC, a difference, or a share of one run.
    scores : list of ScoreSet
        What an AUROC was computed of, one a seed: for tests of differences.
    digits : int
        Behind the point, in text.
    text : str
        The figure in text, where no number says it.
    """

    of: str
    values: list[list[float]] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    estimate: Estimate | None = None
    scores: Sequence[ScoreSet] = ()
    digits: int = 2
    text: str = ""

    @property
    def all_values(self) -> list[float]:
        """Of all runs, one after the other."""
        return [value for row in self.values for value in row]

    def spell(self, form: str = "") -> str:
        """The figure in text.

        Parameters
        ----------
        form : {"", "interval", "seeds", "runs"}
            The figure alone, followed by ``(one seed)`` where it rests on one; with its 95 % interval; how many seeds;
            the names of the runs.
        """
        n_seeds = len(set(self.seeds))
        if form == "seeds":
            return "one seed" if n_seeds == 1 else f"{n_seeds} seeds"
        if form == "runs":
            return ", ".join(f"`{name}`" for name in self.runs)
        if self.text:
            return self.text
        if not self.values:
            return "(not run yet)"
        spec = f",.{self.digits}f" if self.of != "difference" else f"+.{self.digits}f"
        if self.estimate:
            least = 10**-self.digits
            if self.of == "difference" and max(map(abs, self._ends)) < least / 2:
                return f"below {least:.{self.digits}f}" + (" (one seed)" if n_seeds == 1 else "")
            spelled = spell_interval(*self._ends, spec) if form == "interval" else f"{self.estimate.value:{spec}}"
            return f"{spelled} (one seed)" if n_seeds == 1 else spelled
        low, high = (f"{value:{spec}}" for value in (min(self.all_values), max(self.all_values)))
        return low if low == high else f"{low} to {high}"

    @property
    def _ends(self) -> tuple[float, float, float]:
        assert self.estimate is not None
        return self.estimate.value, self.estimate.low, self.estimate.high

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        n_seeds = len(set(self.seeds))
        found: dict[str, Any] = {"of": self.of, "text": self.spell(), "runs": self.runs, "n_seeds": n_seeds}
        found |= {"seeds": self.spell("seeds")} if n_seeds else {}
        if self.estimate:
            found |= dict(zip(("value", "low", "high"), self._ends)) | {"interval": self.spell("interval")}
        elif self.values:
            found |= {"low": min(self.all_values), "high": max(self.all_values)}
        return found


class Measurer:
    """Measures the figures of a claims file once each.

    Parameters
    ----------
    figures : dict of str to dict
        As in the file, by name.
    runs : list of StoredRun
    beside : Path
        Folder of the files that figures of what is stored name.
    unfinished : bool
        Whether runs may be missing.

    Raises
    ------
    UserError
        For a figure that is not of the vocabulary.
    """

    def __init__(
        self, figures: Mapping[str, Any], runs: Sequence[StoredRun], beside: Path, unfinished: bool = False
    ) -> None:
        self.figures, self.runs, self.beside, self.unfinished = figures, runs, beside, unfinished
        self._known: dict[str, Measured] = {}
        for name, about in figures.items():
            check_figure(name, about)

    def __getitem__(self, name: str) -> Measured:
        """The figure of this name.

        Raises
        ------
        UserError
            If no figure has the name, or the runs that it asks for are missing or lack what it asks.
        """
        if name not in self.figures:
            raise UserError(f"no figure is named {name!r}; add [figures.{name!r}] or mend the name")
        if name not in self._known:
            self._known[name] = self._measure(name, self.figures[name])
        return self._known[name]

    def add(self, name: str, found: Measured) -> None:
        """Name a figure that was computed elsewhere."""
        self.figures = {**self.figures, name: {"of": found.of}}
        self._known[name] = found

    def _measure(self, name: str, about: Mapping[str, Any]) -> Measured:
        of, digits = about["of"], about.get("digits", 3 if about["of"] == "difference" else 2)
        if of == "given":
            value = about["value"]
            values = [[float(value)]] if isinstance(value, (int, float)) else [[float(part) for part in value]]
            return Measured(of, values, digits=digits, text=about.get("text", ""))
        if of == "stored":
            return self._stored(name, about, digits)
        if of == "table":
            return self._table(name, about, digits)
        if of == "scaled":
            one = self[about["figure"]]
            values = [[v * about.get("times", 1.0) - about.get("less", 0.0) for v in row] for row in one.values]
            return Measured(of, values, one.runs, one.seeds, digits=digits)
        runs = self.select(name, about["runs"])
        measure = {"history": _history, "hours": _hours, "count": _count, "difference": self._difference}
        try:
            if not runs:
                return Measured(of, digits=digits)
            return measure.get(of, _scores)(about, runs, digits)
        except KeyError as error:
            if self.unfinished:
                return Measured(of, digits=digits)
            raise UserError(f"the figure {name!r} asks for {error.args[0]!r}, which its runs lack") from error

    def select(self, name: str, patterns: str | Sequence[str]) -> list[StoredRun]:
        """Runs whose name matches; those of one seed and one pattern count once, legacy before modern.

        Raises
        ------
        UserError
            If there is none for a pattern, and runs may not be missing.
        """
        chosen: list[StoredRun] = []
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            matching = sorted(
                (run for run in self.runs if fnmatchcase(run.name, pattern)), key=lambda run: run.framework
            )
            if not matching and not self.unfinished:
                raise UserError(f"the figure {name!r} asks for runs named {pattern}, and none was given; name them too")
            chosen += {run.config["seed"]: run for run in reversed(matching)}.values()
        return sorted(chosen, key=lambda run: run.config["seed"])

    def _difference(self, about: Mapping[str, Any], runs: Sequence[StoredRun], digits: int) -> Measured:
        """Of the AUROC: the runs less those that they stand against, seed by seed."""
        others = {run.config["seed"]: run for run in self.select("difference", about["against"])}
        pairs = [(others[run.config["seed"]], run) for run in runs if run.config["seed"] in others]
        if not pairs:
            return Measured("difference", digits=digits)
        names = (about.get("against_set", about["set"]), about["set"])
        sets = [[run.sets[name] for run in side] for name, side in zip(names, zip(*pairs))]
        ids = sets[0][0].ids
        if any(not np.array_equal(values.ids, ids) for side in sets for values in side) or any(
            values.data_hash != side[0].data_hash for side in sets for values in side
        ):
            raise UserError(f"the runs of a difference scored other stamps as {names[1]}; score one set with all")
        before, after = (np.array([values.scores for values in side]) for side in sets)
        test = equivalence_over_seeds(sets[0][0].labels, before, after, 0.5, alpha=0.025)
        estimate = Estimate(test.difference, test.low, test.high, (), test.standard_error, _degrees(test))
        seeds = [run.config["seed"] for _, run in pairs]
        runs_of = [run.name for pair in pairs for run in pair]
        values = [[b.area[0] - a.area[0]] for a, b in zip(*sets)]
        return Measured("difference", values, runs_of, seeds, estimate, digits=digits)

    def _table(self, name: str, about: Mapping[str, Any], digits: int) -> Measured:
        """AUROC of a score table beside the runs: anybody's CSV with columns ``is_lens`` and ``score``."""
        path = self.beside / about["file"]
        if not path.exists():
            if self.unfinished:
                return Measured("auroc", digits=digits)
            raise UserError(f"the figure {name!r} asks for {about['file']}, which is not in {self.beside}")
        try:
            content = path.read_bytes()
            text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
            rows = list(csv.DictReader(io.StringIO(text, newline="")))
            labels = np.array([row["is_lens"] == "1" for row in rows])
            estimate = mean_auroc([labels], [np.array([float(row["score"]) for row in rows])])
        except (OSError, EOFError, KeyError, ValueError, zlib.error, csv.Error, UserError) as error:
            raise UserError(f"{path} is damaged: {error}; take it from a copy") from error
        return Measured("auroc", [[estimate.value]], [about["file"]], [], estimate, digits=digits)

    def _stored(self, name: str, about: Mapping[str, Any], digits: int) -> Measured:
        """Numbers of JSON files that lie beside the runs."""
        paths = sorted(self.beside.glob(about["file"]))
        if not paths and not self.unfinished:
            raise UserError(f"the figure {name!r} asks for {about['file']}, which is not in {self.beside}")
        rows = []
        for path in paths:
            try:
                found = list(_walk(json.loads(path.read_text()), about["path"].split(".")))
            except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
                raise UserError(f"{path} is damaged or lacks {about['path']}: {error}; take it from a copy") from error
            rows.append([float(TAKES[about["take"]](found))] if "take" in about else [float(v) for v in found])
        return Measured("stored", rows, [path.name for path in paths], digits=digits)


def _degrees(test: SeedEquivalence) -> float:
    return test.n_seeds - 1 if test.n_seeds > 1 else math.inf


def check_figure(name: str, about: Any) -> None:
    """Refuse a figure that is not of the vocabulary.

    Raises
    ------
    UserError
        Naming the figure and what is wrong.
    """
    of = about.get("of") if isinstance(about, dict) else None
    if of not in KEYS:
        raise UserError(f"the figure {name!r} is of {of!r}; choose one of {', '.join(KEYS)}")
    unknown = sorted(set(about) - KEYS[of] - {"of", "digits", "text"})
    missing = sorted(NEEDED[of] - set(about))
    if unknown or missing:
        what = f"has {unknown[0]!r}, which {of} does not know" if unknown else f"lacks {missing[0]!r}"
        raise UserError(f"the figure {name!r} {what}; {of} takes {', '.join(sorted(KEYS[of]))}")
    if about.get("take", "mean") not in TAKES:
        raise UserError(f"the figure {name!r} takes the {about['take']!r}; choose one of {', '.join(TAKES)}")


def _scores(about: Mapping[str, Any], runs: Sequence[StoredRun], digits: int) -> Measured:
    """An AUROC or a rate, of a set that the runs scored."""
    of = about["of"]
    having = [run for run in runs if about["set"] in run.sets]
    if not having:
        raise KeyError(about["set"])
    sets = [_only(run.sets[about["set"]], about.get("lenses", {})) for run in having]
    names, seeds = [run.name for run in having], [run.config["seed"] for run in having]
    if of == "auroc":
        mean = mean_auroc([values.labels for values in sets], [values.scores for values in sets])
        return Measured(of, [[v] for v in mean.values], names, seeds, mean, sets, digits=digits)
    counts = [_rate(about, values) for values in sets]
    shares = [wilson(*count) for count in counts if count[1]]
    only = shares[0] if len(counts) == 1 and shares else None
    estimate = Estimate(only.share, only.low, only.high, (only.share,)) if only else None
    return Measured(of, [[share.share] for share in shares], names, seeds, estimate, digits=digits)


def _rate(about: Mapping[str, Any], values: ScoreSet) -> tuple[int, int]:
    """Counts of a rate: so many of so many."""
    if about["of"] == "completeness_at_fpr":
        n_lenses = int(values.labels.sum())
        return round(completeness_at_fpr(values.labels, values.scores, about["fpr"]) * n_lenses), n_lenses
    return confusion(values.labels, values.scores, about.get("threshold", 0.5)).shares[about["of"]]


def _only(values: ScoreSet, ranges: Mapping[str, Sequence[float]]) -> ScoreSet:
    """All non-lenses, and the lenses whose parameters lie in the ranges."""
    chosen = np.ones(len(values.labels), bool)
    for key, (low, high) in ranges.items():
        chosen &= ~values.labels | ((values.parameters[key] > low) & (values.parameters[key] <= high))
    parameters = {key: column[chosen] for key, column in values.parameters.items()}
    return ScoreSet(values.ids[chosen], values.labels[chosen], values.scores[chosen], values.data_hash, parameters)


def _history(about: Mapping[str, Any], runs: Sequence[StoredRun], digits: int) -> Measured:
    """A column of the history, in some epochs, of each run."""
    rows: list[list[float]] = []
    for run in runs:
        if about["column"] not in run.history[0]:
            raise KeyError(about["column"])
        chosen = run.history[_epochs(about.get("at", "all"))]
        line = [value for row in chosen if (value := row[about["column"]]) is not None]
        rows.append([float(TAKES[about["take"]](line))] if "take" in about and line else line)
    names, seeds = [run.name for run in runs], [run.config["seed"] for run in runs]
    return Measured("history", rows, names, seeds, digits=digits)


def _epochs(at: str | int) -> slice:
    """Epochs, counted from 1: a number, ``last``, ``last N``, ``from N``, ``every N``, ``all``."""
    word, _, number = str(at).partition(" ")
    if str(at).isdigit() and int(at):
        return slice(int(at) - 1, int(at))
    if at in ("all", "last"):
        return slice(None) if at == "all" else slice(-1, None)
    if word in ("last", "from", "every") and number.isdigit() and int(number):
        n = int(number)
        return {"last": slice(-n, None), "from": slice(n - 1, None), "every": slice(n - 1, None, n)}[word]
    raise UserError(f"epochs are a number, all, last, last N, from N or every N; got {at!r}")


def _hours(_: Mapping[str, Any], runs: Sequence[StoredRun], digits: int) -> Measured:
    """Of all epochs, of each run."""
    names, seeds = [run.name for run in runs], [run.config["seed"] for run in runs]
    return Measured("hours", [[run.seconds / 3600] for run in runs], names, seeds, digits=digits)


def _count(about: Mapping[str, Any], runs: Sequence[StoredRun], digits: int) -> Measured:
    """How many runs pass every condition on their history, and of how many."""
    passed = [
        all(
            all(when.get("above", -math.inf) < value < when.get("below", math.inf) for value in row)
            for when in about["when"]
            for row in _history(when, [run], digits).values
        )
        for run in runs
    ]
    names, seeds = [run.name for run in runs], [run.config["seed"] for run in runs]
    text = f"{sum(passed)} of {len(passed)}"
    return Measured("count", [[float(sum(passed)), float(len(passed))]], names, seeds, digits=0, text=text)


def _walk(content: Any, path: Sequence[str]) -> Any:
    """Numbers at a path of keys and places; ``*`` stands for every entry."""
    if not path:
        yield content
        return
    if path[0] == "*":
        for entry in content.values() if isinstance(content, dict) else content:
            yield from _walk(entry, path[1:])
    else:
        yield from _walk(content[int(path[0]) if isinstance(content, list) else path[0]], path[1:])
