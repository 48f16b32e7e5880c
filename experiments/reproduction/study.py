"""Work through the runs of `plan.toml`: train each network, then let it score the test sets.

    study.py quick|full [--folder DIR] [--jobs N] [--limit-minutes M] [--list]

Every run has a run directory below DIR, and each of its files is written whole, so a study that was stopped goes on
where it stopped: what is there is not done again, and a training continues from its checkpoint.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import tomllib

from lens_common.errors import UserError
from lens_common.learning.presets import DEFECTS, MODELS, PRESETS
from lens_common.mocks.prior import POPULATIONS, PRIOR
from lens_common.mocks.writer import make_mocks
from lens_common.runs import read_config

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PLAN = HERE / "plan.toml"

# Probes of networks that had been fitted before.
AGAIN = "probe-legacy-pics-again.json"
AFTER_SEEDS = (1, 2, 3)

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

    @property
    def cost(self) -> float:
        """Expected seconds on one core."""
        per_stamp, beside = COST[self.model, self.framework]
        given = dict(zip(self.options[::2], self.options[1::2]))
        epochs = int(given.get("--epochs", PRESETS[f"study-{self.n_stamps}"].settings[self.model].epochs))
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
        unknown = [name for names in table["defects"] for name in names if name not in DEFECTS]
        unknown += [name for name in table.get("sets", []) if name not in plan["sets"]]
        unknown += [name for name in [table["model"]] if name not in MODELS]
        unknown += [name for name in table["frameworks"] if name not in ("legacy", "modern")]
        unknown += [name for name in [table.get("data")] if name and name not in plan["mocks"]]
        unknown += [f"{size} stamps" for size in table["stamps"] if f"study-{size}" not in PRESETS]
        if unknown:
            raise UserError(f"{path} asks for {unknown[0]!r}, which is not known")
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
        if profile not in table["profiles"]:
            continue
        for size in table["stamps"]:
            n_seeds = table.get("quick_seeds") if profile == "quick" else None
            for seed in table["seeds"][:n_seeds]:
                for defects in table["defects"]:
                    for framework in table["frameworks"]:
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
                        )
                        name = run_name(run)
                        run = replace(run, name=name)
                        if runs.setdefault(name, run) != run:
                            raise UserError(f"two different runs are named {name}; give one of them a variant")
                        order.setdefault(name, (table.get("last", False), table["seeds"].index(seed)))
    return sorted(runs.values(), key=lambda run: order[run.name])


def run_name(run: Run) -> str:
    """Name of a run and of its directory."""
    what = "+".join(run.defects) or "mended"
    parts = [run.model, str(run.n_stamps), run.variant, what, run.framework, f"seed{run.seed}"]
    return "-".join(part for part in parts if part)


def train_command(run: Run, folder: str, data: str = "") -> list[str]:
    """Arguments of the training of a run, as a user would type them after lens-legacy or lens-modern."""
    command = ["train", "--model", run.model, "--preset", f"study-{run.n_stamps}", "--seed", str(run.seed)]
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
            commands.append(["score", str(sets[name]), "--run", str(place), "--out", str(place / f"scores-{name}.csv")])
    return commands


def prepare_sets(plan: dict, folder: Path) -> dict[str, Path]:
    """Folders of the test sets and of the mocks that some runs train on; mocks are made where they are missing."""
    found = {}
    for name, about in [*plan["sets"].items(), *plan["mocks"].items()]:
        if "environment" in about:
            named = os.environ.get(about["environment"])
            if named:
                found[name] = Path(named).resolve()
            else:
                print(f"study: {about['environment']} names no folder, so {name} stay unscored", file=sys.stderr)
            continue
        prior = replace(POPULATIONS[about.get("population", PRIOR.name)], **_tuples(about.get("prior", {})))
        found[name] = make_mocks(folder / "data" / name, about["n_stamps"], about["seed"], prior, verbose=True)
    return found


def _sets_at_hand(plan: dict) -> list[str]:
    """Names of the test sets that can be made, or that the environment names a folder for."""
    sets = plan["sets"].items()
    return [name for name, about in sets if "environment" not in about or os.environ.get(about["environment"])]


def _tuples(prior: dict) -> dict:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in prior.items()}


def work_through(runs: list[Run], folder: Path, sets: dict[str, Path], jobs: int, limit_s: float) -> list[str]:
    """Carry out what is pending, `jobs` runs at a time; return the names of those that failed.

    Raises
    ------
    KeyboardInterrupt
        After the running trainings have written their checkpoints.
    """
    waiting = [run for run in runs if pending_commands(run, folder, sets)]
    print(f"study: {len(runs)} runs, {len(runs) - len(waiting)} of them finished before", flush=True)
    running: dict[subprocess.Popen, tuple[Run, float]] = {}
    started, done_cost, failed, n_done = time.monotonic(), 0.0, [], 0
    total_cost, n_waiting = sum(run.cost for run in waiting), len(waiting)
    try:
        while waiting or running:
            late = time.monotonic() - started > limit_s
            while waiting and len(running) < jobs and not late:
                run = waiting.pop(0)
                running[_start(run, folder, sets)] = (run, time.monotonic())
            if late and not running:
                print(f"study: the limit of time is reached; {len(waiting)} runs are left", flush=True)
                break
            time.sleep(0.5)
            for process in [process for process in running if process.poll() is not None]:
                run, since = running.pop(process)
                n_done, done_cost = n_done + 1, done_cost + run.cost
                spent = time.monotonic() - started
                left = (total_cost - done_cost) * spent / done_cost
                said = f"{time.monotonic() - since:.0f} s"
                if process.returncode:
                    failed.append(run.name)
                    said = f"failed, see {folder / 'logs' / run.name}.log"
                print(f"study: {n_done}/{n_waiting} {run.name}: {said}; about {_spell(left)} left", flush=True)
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            process.wait()
    return failed


def _start(run: Run, folder: Path, sets: dict[str, Path]) -> subprocess.Popen:
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    commands = json.dumps(pending_commands(run, folder, sets))
    with open(folder / "logs" / f"{run.name}.log", "a") as log:
        return subprocess.Popen(
            [str(_python(run.framework)), str(HERE / "one_run.py"), run.framework, commands],
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": _packages(run.framework), "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C reaches this process only, which ends the others in its own time
        )


def work_beside(folder: Path, sets: dict[str, Path]) -> list[str]:
    """What the page asks for beside the runs: probes of the gradient, the radial regression, maps; return failures."""
    failed = []
    for name, outputs, side, command in steps_beside(folder, sets):
        if all((folder / output).exists() for output in outputs):
            continue
        print(f"study: {name}", flush=True)
        (folder / "logs").mkdir(exist_ok=True)
        with open(folder / "logs" / f"{Path(outputs[0]).stem}.log", "a") as log:
            done = subprocess.run(
                [str(_python(side)), str(HERE / command[0]), *map(str, command[1:])],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": _packages(side)},
            )
        if done.returncode:
            failed.append(f"{name} (see {log.name})")
    return failed


def steps_beside(folder: Path, sets: dict[str, Path]) -> Iterator[tuple[str, list[str], str, list]]:
    """(Name, files it makes, interpreter, script and arguments) of each step."""
    for side in ("legacy", "modern"):
        for scaling in ("raw", "sigma"):
            if "pics" in sets:
                out = f"probe-{side}-pics{'' if scaling == 'raw' else '-mended'}.json"
                command = ["probe.py", side, sets["pics"], folder / out, "--scaling", scaling]
                yield f"the CNN of 2018 on the PICS mocks, {side}, {scaling}", [out], side, command
    if "pics" in sets:
        command = ["probe.py", "legacy", sets["pics"], folder / AGAIN, "--before", sets["pics"]]
        yield "the CNN of 2018 fitted to the PICS mocks once more", [AGAIN], "legacy", command
    large, small = (sorted(folder.glob(f"cnn-{size}-mended-modern-seed1/config.json")) for size in (20000, 200))
    if large and small:
        large_data, small_data = (read_config(found[0].parent)["data"]["folder"] for found in (large, small))
        for seed in AFTER_SEEDS:
            out = f"probe-modern-20000-after-200-seed{seed}.json"
            command = ["probe.py", "modern", large_data, folder / out, "--before", small_data, "--seed", seed]
            yield f"the CNN of 2018 on 20,000 mocks after 200, seed {seed}", [out], "modern", command
    trained = sorted(folder.glob("*/config.json"))
    default = [read_config(path.parent) for path in trained if path.parent.name.startswith("cnn-2000-mended-")]
    if default:
        named = [f"{name}={path}" for name, path in sets.items() if name != "quiet"]
        cross = [part for name in ("mocks", "leak-controlled") for part in ("--cross-validate", name)]
        command = ["radial.py", default[0]["data"]["folder"], folder / "radial", *named, *cross]
        outputs = [f"radial/scores-{name}.json" for name in sets if name != "quiet"]
        yield "a logistic regression on radial features", outputs, "modern", command
    yield "occlusion maps", ["panels.npz"], "modern", ["gallery.py", folder]


def _python(side: str) -> Path:
    return ROOT / f".venv-{side}" / "bin" / "python"


def _packages(side: str) -> str:
    return os.pathsep.join(str(ROOT / name) for name in ("common", side))


def _spell(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def main(arguments: list[str] | None = None) -> int:
    """Run a profile; 0, or 1 where a run failed, 2 for a mistake, 130 where it was stopped."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("profile", choices=["quick", "full"])
    parser.add_argument("--folder", help="run directories; by default runs/reproduction-PROFILE")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="runs at a time, one core each")
    parser.add_argument("--limit-minutes", type=float, default=float("inf"), help="begin no run after this")
    parser.add_argument("--list", action="store_true", help="only say what is left to do")
    options = parser.parse_args(arguments)
    folder = Path(options.folder or ROOT / "runs" / f"reproduction-{options.profile}").resolve()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        plan = read_plan()
        runs = expand(plan, options.profile)
        if options.list:
            places = dict.fromkeys([*_sets_at_hand(plan), *plan["mocks"]], folder)
            for run in runs:
                print(run.name, "to do" if pending_commands(run, folder, places) else "finished")
            return 0
        folder.mkdir(parents=True, exist_ok=True)
        sets = prepare_sets(plan, folder)
        failed = work_through(runs, folder, sets, options.jobs, 60 * options.limit_minutes)
        failed += work_beside(folder, sets)
    except UserError as error:
        print(f"study: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("study: stopped; the same command goes on with what is finished", file=sys.stderr)
        return 130
    if failed:
        print(f"study: {len(failed)} runs failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
