"""The stored runs of the study, found by what they are."""

import csv
import gzip
import json
import re
import tomllib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from experiments.reproduction.study import Run, read_plan, runs_of_all
from lens_common.errors import UserError
from lens_common.scores.comparison import SeedEquivalence, equivalence_over_seeds
from lens_modern.report.claims import Ledger, judge, names_in, read_claims
from lens_modern.report.intervals import Estimate
from lens_modern.report.measures import Measured
from lens_modern.report.reading import ScoreSet, StoredRun, check_run, read_run
from lens_modern.report.sections import Group

HERE = Path(__file__).resolve().parent

WORDS = tomllib.loads((HERE / "words.toml").read_text())

# What was wrong with each run of the study, as its presets have it, and with all of its mistakes together.
RESNET_2018 = ("class_overwrite", "validate_on_train", "sign_clip", "rate_never_drops")
RESNET_200_2018 = ("validate_on_train", "sign_clip", "rate_never_drops")
# The same settings under Python 2, where the rate would have dropped.
RESNET_ON_PYTHON_2 = ("class_overwrite", "validate_on_train", "sign_clip", "rate_collapse")
CNN_2000_2018 = ("class_overwrite", "validate_on_train")
CNN_2018 = ("validate_on_train", "raw_pixels")
CNN_ALL = ("class_overwrite", "validate_on_train", "raw_pixels")


def in_pairs(
    name: str, first: Iterable[StoredRun], second: Iterable[StoredRun], margin: float, alpha: float = 0.05
) -> SeedEquivalence | None:
    """Difference in AUROC on a set, second minus first, over the seeds of both; ``None`` where there are none."""
    sides = [{run.config["seed"]: run.sets[name] for run in runs if name in run.sets} for runs in (first, second)]
    seeds = sorted(set(sides[0]) & set(sides[1]))
    if not seeds:
        return None
    before, after = (np.array([side[seed].scores for seed in seeds]) for side in sides)
    return equivalence_over_seeds(sides[0][seeds[0]].labels, before, after, margin, alpha)


def template(key: str) -> str:
    """A sentence of `words.toml` by ``section.name``, with the names of its figures in braces."""
    section, name = key.split(".")
    return re.sub(r"(?<!\n)\n(?!\n|- )", " ", WORDS[section][name].strip())


@dataclass(frozen=True, eq=False)
class Study:
    """Plan, stored runs by name, and what else was kept.

    Attributes
    ----------
    folder : Path
    planned : dict of str to Run
    runs : dict of str to StoredRun
        Those of the plan that are finished.
    stamps : dict of str to dict of str to dict
        Rows of the test sets, by set and id.
    logs : dict
        `logs.toml`.
    """

    folder: Path
    planned: dict[str, Run]
    runs: dict[str, StoredRun]
    stamps: dict[str, dict[str, dict[str, str]]]
    logs: dict[str, Any]

    @cached_property
    def ledger(self) -> Ledger:
        """Every claim, reason and figure of `claims.toml`, and the few figures that no rule of it can make."""
        ledger = judge(read_claims(HERE / "claims.toml"), [*self.runs.values()], self.folder)
        outcomes = [judged.status for judged in ledger.hypotheses if "quote" in judged.entry]
        figures = {
            "plan.done": len(self.runs),
            "plan.planned": len(self.planned),
            "claims.number": len(ledger.claims),
            "reasons.number": len(outcomes),
            **{f"reasons.{kind.split()[0]}": outcomes.count(kind) for kind in ("refuted", "partly true", "open")},
        }
        for name, value in figures.items():
            ledger.figures.add(name, Measured("given", [[float(value)]], digits=0))
        return ledger

    def say(self, key: str) -> str:
        """A sentence of `words.toml` by ``section.name``, its figures filled in; empty where it cannot be said.

        A sentence is left out where one of its figures has not been run, and where a claim or reason that
        `words.toml` names under ``needs`` came out otherwise.
        """
        text = template(key)
        statuses = {judged.entry["key"]: judged.status for judged in (*self.ledger.claims, *self.ledger.hypotheses)}
        needed = WORDS["needs"].get(key, {})
        untrue = any(not statuses[name].startswith(status) for name, status in needed.items())
        missing = any(not self.ledger.figures[name].values for name in names_in(text))
        return "" if untrue or missing else self.ledger.fill(text)

    def group(
        self, model: str, n_stamps: int, defects: tuple[str, ...], framework: str = "", variant: str = ""
    ) -> Group:
        """Finished runs of all seeds, of one framework or of both; it may be empty."""
        members = [
            self.runs[run.name]
            for run in self.planned.values()
            if run.name in self.runs
            and run.cell == (model, n_stamps, variant, defects)
            and framework in ("", run.framework)
        ]
        name = "-".join(part for part in (model, str(n_stamps), variant, "+".join(defects) or "mended") if part)
        return Group(name, tuple(members))

    def one_of_each_seed(
        self, model: str, n_stamps: int, defects: tuple[str, ...], framework: str = "", variant: str = ""
    ) -> list[StoredRun]:
        """Finished runs, legacy before modern where no framework is named: twins of one seed are no two samples."""
        runs = self.group(model, n_stamps, defects, framework, variant).runs
        ordered = sorted(runs, key=lambda run: run.framework != "legacy")
        return [*{run.config["seed"]: run for run in reversed(ordered)}.values()]

    def estimate(
        self, name: str, model: str, n_stamps: int, defects: tuple[str, ...], framework: str = "", variant: str = ""
    ) -> Estimate | None:
        """Mean AUROC on a set over the seeds, each of which counts once."""
        runs = self.one_of_each_seed(model, n_stamps, defects, framework, variant)
        return Group("", tuple(runs)).estimate(name)

    def extra(self, name: str) -> dict[str, Any] | None:
        """A stored JSON beside the runs; ``None`` where it is not there."""
        path = self.folder / name
        try:
            return json.loads(path.read_text()) if path.exists() else None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged: {error}; take it from a copy") from error

    def radial(self, name: str) -> ScoreSet | None:
        """Scores of the logistic regression on radial features; ``None`` where they are not there."""
        path = self.folder / "radial" / f"scores-{name}.csv.gz"
        if not path.exists():
            return None
        rows = list(_read_gzip(path))
        return ScoreSet(
            np.array([row["id"] for row in rows]),
            np.array([row["is_lens"] == "1" for row in rows]),
            np.array([float(row["score"]) for row in rows]),
            "",
        )


def read_study(folder: Path) -> Study:
    """Read all stored runs of the plan; each is checked against itself.

    Raises
    ------
    UserError
        If none is there, or one contradicts itself.
    """
    planned = runs_of_all(read_plan())
    stamps: dict[str, dict[str, dict[str, str]]] = {}
    if (folder / "stamps.csv.gz").exists():
        for row in _read_gzip(folder / "stamps.csv.gz"):
            stamps.setdefault(row["set"], {})[row["id"]] = row
    runs = {}
    for name in planned:
        if (folder / name / "config.json").exists():
            runs[name] = read_run(folder / name, name, stamps)
            check_run(runs[name])
            _check_place(runs[name], planned[name])
    if not runs:
        raise UserError(f"{folder} holds no run of the plan; make reproduce PROFILE=quick runs the study")
    _check_sets(runs)
    return Study(folder, planned, runs, stamps, tomllib.loads((HERE / "logs.toml").read_text()))


def _check_place(run: StoredRun, planned: Run) -> None:
    """Refuse a run that lies under the name of another."""
    expected = {
        "framework": planned.framework,
        "model": planned.model,
        "preset": planned.recipe,
        "seed": planned.seed,
        "defects": sorted(planned.defects),
    }
    config = {**run.config, "defects": sorted(run.config["defects"])}
    for key, value in expected.items():
        if config.get(key) != value:
            raise UserError(
                f"{run.path} holds a run of {key} {config.get(key)!r}, its name says {value!r}; move it back"
            )


def _check_sets(runs: dict[str, StoredRun]) -> None:
    """Every run scored the same stamps under the name of a test set, and those of the same bands the same pixels."""
    first: dict[tuple[str, str], tuple[str, str]] = {}
    for name, run in runs.items():
        for key, values in run.sets.items():
            if key in ("validation", "test"):
                continue
            bands = ",".join(run.config.get("bands", ()))
            known, expected = first.setdefault((key, bands), (name, values.data_hash))
            if values.data_hash != expected:
                raise UserError(
                    f"{name} scored the data {values.data_hash[:12]} as {key}, {known} the data {expected[:12]}; "
                    "score the same folder with both"
                )


def _read_gzip(path: Path) -> list[dict[str, str]]:
    try:
        with gzip.open(path, "rt", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, EOFError, ValueError, zlib.error, csv.Error) as error:
        raise UserError(f"{path} is damaged: {error}; take it from a copy") from error
    if not rows:
        raise UserError(f"{path} is damaged: it holds no row; take it from a copy")
    return rows
