"""Work through the runs of `plan.toml`: train each network, then let it score the test sets.

    python -m experiments reproduction.study quick|full [--folder DIR] [--jobs N] [--limit-minutes M] [--list]
        [--only PATTERN ...]

Every run has a run directory below DIR, and each of its files is written whole, so a study that was stopped goes on
where it stopped: what is there is not done again, and a training continues from its checkpoint.
"""

import json
import os
import sys
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from experiments import runner
from experiments.reproduction.profile import make_profiles
from lens_common.errors import UserError
from lens_common.learning.models import MODELS
from lens_common.learning.presets import DEFECTS, PRESETS
from lens_common.mocks.prior import POPULATIONS, PRIOR
from lens_common.mocks.writer import make_mocks
from lens_common.runs import read_config

PLAN = Path(__file__).with_name("plan.toml")
PROFILES = ("quick", "full")

# Seconds a stamp and epoch on one core, and seconds a run beside them; only the time left rests on these.
COST = {
    ("cnn", "legacy"): (0.0005, 15),
    ("cnn", "modern"): (0.0008, 15),
    ("resnet", "legacy"): (0.036, 150),
    ("resnet", "modern"): (0.018, 40),
}


@dataclass(frozen=True)
class Run:
    """One training of the plan, and the sets that it scores."""

    name: str
    framework: str
    model: str
    n_stamps: int
    seed: int
    defects: tuple[str, ...] = ()
    variant: str = ""
    options: tuple[str, ...] = ()
    data: str = ""
    sets: tuple[str, ...] = ()
    preset: str = ""

    @property
    def recipe(self) -> str:
        """Preset that it is trained with: the one it names, or the study's of its size."""
        return self.preset or f"study-{self.n_stamps}"

    @property
    def cell(self) -> tuple[str, int, str, tuple[str, ...]]:
        """What runs of other seeds and of the twin share: model, number of stamps, variant, defects."""
        return self.model, self.n_stamps, self.variant, self.defects

    @property
    def cost(self) -> float:
        """Expected seconds on one core."""
        per_stamp, beside = COST[self.model, self.framework]
        given = dict(zip(self.options[::2], self.options[1::2]))
        epochs = int(given.get("--epochs", PRESETS[self.recipe].settings[self.model].epochs))
        return beside + per_stamp * epochs * self.n_stamps * 0.9


def read_plan(path: Path = PLAN) -> dict:
    """Read the plan.

    Raises
    ------
    UserError
        If it is missing, damaged, or asks for a model, framework, defect, set or size that is not known.
    """
    try:
        plan = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"cannot read the plan {path}: {error}") from error
    for table in plan["runs"]:
        asked_and_known: tuple[tuple[list[str], Collection[str]], ...] = (
            (sum(table["defects"], []), DEFECTS),
            (table.get("sets", []), {**plan["sets"], **plan["mocks"]}),
            ([table["model"]], MODELS),
            (table["frameworks"], runner.SIDES),
            ([table["data"]] if "data" in table else [], plan["mocks"]),
            ([table.get("preset", f"study-{size}") for size in table["stamps"]], PRESETS),
        )
        for name in [name for asked, known in asked_and_known for name in asked if name not in known]:
            raise UserError(f"{path} asks for {name!r}, which is not known")
    return plan


def expand(plan: dict, profile: str) -> list[Run]:
    """Runs of a profile, each once: the first seed of every table, then the second; tables marked `last` after all.

    Raises
    ------
    UserError
        If two tables give one name to runs that differ.
    """
    runs: dict[str, Run] = {}
    order: dict[str, tuple[bool, int]] = {}
    for table in plan["runs"]:
        seeds = table["seeds"][: table.get("quick_seeds") if profile == "quick" else None]
        cells = product(table["stamps"], seeds, table["defects"], table["frameworks"])
        for size, seed, defects, framework in cells if profile in table["profiles"] else ():
            run = Run(
                name="",
                framework=framework,
                model=table["model"],
                n_stamps=size,
                seed=seed,
                defects=tuple(defects),
                variant=table.get("variant", ""),
                options=tuple(table.get("options", ())),
                data=table.get("data", ""),
                sets=tuple(table.get("sets", plan["sets"])),
                preset=table.get("preset", ""),
            )
            run = replace(run, name=run_name(run))
            if runs.setdefault(run.name, run) != run:
                raise UserError(f"two different runs are named {run.name}; give one of them a variant")
            order.setdefault(run.name, (table.get("last", False), seeds.index(seed)))
    return sorted(runs.values(), key=lambda run: order[run.name])


def runs_of_all(plan: dict) -> dict[str, Run]:
    """Runs of all profiles by name."""
    return {run.name: run for profile in PROFILES for run in expand(plan, profile)}


def run_name(run: Run) -> str:
    """Name of a run and of its directory."""
    mistakes = "+".join(run.defects) or "mended"
    parts = [run.model, str(run.n_stamps), run.variant, mistakes, run.framework, f"seed{run.seed}"]
    return "-".join(part for part in parts if part)


def train_command(run: Run, folder: str, data: str = "") -> list[str]:
    """Arguments of the training of a run, as a user would type them after lens-legacy or lens-modern."""
    command = ["train", "--model", run.model, "--preset", run.recipe, "--seed", str(run.seed)]
    command += ["--defects", ",".join(run.defects)] if run.defects else []
    command += ["--data", data] if data else []
    return [*command, *run.options, "--out", f"{folder}/{run.name}"]


def pending_commands(run: Run, folder: Path, sets: dict[str, Path]) -> list[list[str]]:
    """What is left to do of a run; a set that is not here (no PICS mocks) is passed over."""
    place = folder / run.name
    commands = []
    if not (place / "metrics.json").exists():
        commands.append(train_command(run, str(folder), str(sets[run.data]) if run.data else ""))
    for name in run.sets:
        if name in sets and not (place / f"scores-{name}.json").exists():
            command = ["score", str(sets[name]), "--run", str(place), "--out", str(place / f"scores-{name}.csv")]
            # Twins are compared framework with framework.
            commands.append(command + (["--engine", "torch"] if run.framework == "modern" else []))
    return commands


def prepare_sets(plan: dict, folder: Path, make: bool = True, needed: Collection[str] | None = None) -> dict[str, Path]:
    """Folders of the test sets and of the mocks that some runs train on, or of the needed ones; made where missing."""
    folders = {}
    tables = {**plan["sets"], **plan["mocks"]}
    for name, about in [(name, about) for name, about in tables.items() if needed is None or name in needed]:
        named = os.environ.get(about.get("environment", ""))
        if "environment" not in about:
            folders[name] = folder / "data" / name
            changes: dict[str, Any] = {
                key: tuple(v) if isinstance(v, list) else v for key, v in about.get("prior", {}).items()
            }
            prior = replace(POPULATIONS[about.get("population", PRIOR.name)], **changes)
            whole = folder / "data" / f"{name}-whole" if about.get("azimuthal_average") else folders[name]
            if make:
                make_mocks(whole, about["n_stamps"], about["seed"], prior, verbose=True)
            if make and whole != folders[name]:
                make_profiles(whole, folders[name])
        elif named:
            folders[name] = Path(named).resolve()
        else:
            print(f"study: {about['environment']} names no folder, so {name} stay unscored", file=sys.stderr)
    return folders


def jobs_of(runs: list[Run], folder: Path, sets: dict[str, Path]) -> list[runner.Job]:
    """Runs that are not finished."""
    left = {run: commands for run in runs if (commands := pending_commands(run, folder, sets))}
    return [
        runner.Job(run.name, run.framework, "experiments.runner", [run.framework, json.dumps(commands)], run.cost)
        for run, commands in left.items()
    ]


def steps_beside(plan: dict, folder: Path, sets: dict[str, Path]) -> Iterator[tuple[runner.Job, list[str]]]:
    """What the page asks for beside the runs, and the files that each step makes.

    In the plan `{study}`, `{NAME}` and `{data[RUN]}` stand for the folder of the study, of a set, and of the stamps
    that a run was trained on; a word with `{set}`, and its `{path}`, is repeated for each test set.  Steps that ask
    for what is not here are passed over.
    """
    data = {path.parent.name: read_config(path.parent)["data"]["folder"] for path in folder.glob("*/config.json")}
    tested = [name for name in plan["sets"] if name in sets]
    places: dict[str, Any] = {"study": folder, "data": data, **sets}

    def fill(words: list[str]) -> list[str]:
        return [
            word.format_map({**places, "set": name, "path": sets.get(name)})
            for word in words
            for name in (tested if "{set}" in word else [""])
        ]

    for step in plan.get("beside", ()):
        try:
            makes, arguments = fill(step["makes"]), fill(step["arguments"])
        except KeyError:
            continue
        arguments = [f"reproduction.{step['script']}", *arguments]
        yield runner.Job(step["name"], step["side"], "experiments", arguments), makes


def work_beside(plan: dict, folder: Path, sets: dict[str, Path]) -> list[str]:
    """Carry out the steps whose files are missing; return those that failed."""
    failed = []
    for job, makes in steps_beside(plan, folder, sets):
        if not all((folder / name).exists() for name in makes):
            print(f"study: {job.name}", flush=True)
            try:
                runner.run(job, folder / "logs", **runner.ONE_THREAD)
            except UserError as error:
                failed.append(str(error))
    return failed


def work(profile: str, folder: str | None, jobs: int, limit_minutes: float, only_list: bool, only: list[str]) -> int:
    """Run a profile, or some runs of it; 0, or 1 where a run failed."""
    plan, place = read_plan(), Path(folder or runner.ROOT / "runs" / f"reproduction-{profile}").resolve()
    runs = [run for run in expand(plan, profile) if not only or any(fnmatchcase(run.name, part) for part in only)]
    if not only_list:
        place.mkdir(parents=True, exist_ok=True)
    needed = {name for run in runs for name in (run.data, *run.sets)}
    sets = prepare_sets(plan, place, not only_list, needed if only else None)
    left = jobs_of(runs, place, sets)
    if only_list:
        pending = {job.name for job in left}
        print("\n".join(f"{run.name} {'to do' if run.name in pending else 'finished'}" for run in runs))
        return 0
    print(f"study: {len(runs)} runs, {len(runs) - len(left)} of them finished before", flush=True)
    failed = runner.work_through("study", left, jobs, place / "logs", 60 * limit_minutes)
    failed += [] if only else work_beside(plan, place, sets)
    if failed:
        print(f"study: {len(failed)} runs failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


OPTIONS: dict[str, dict[str, Any]] = {
    "profile": {"choices": PROFILES},
    "--folder": {"help": "run directories; by default runs/reproduction-PROFILE"},
    "--jobs": {"type": int, "default": len(os.sched_getaffinity(0)), "help": "runs at a time, one core each"},
    "--limit-minutes": {"type": float, "default": float("inf"), "help": "begin no run after this"},
    "--only": {
        "nargs": "+",
        "default": [],
        "metavar": "PATTERN",
        "help": "runs whose names fit, such as 'cnn-*-seed1'",
    },
    "--list": {"action": "store_true", "dest": "only_list", "help": "only say what is left to do"},
}
main = partial(runner.carry_out, "study", __doc__, OPTIONS, work)
