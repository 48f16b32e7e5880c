"""The runner of the study: the plan by hand, what is pending, stops and starts with runs that only pretend to train."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments import runner
from experiments.reproduction import study
from lens_common.errors import UserError

PLAN = study.read_plan()


def table(**changes):
    """One [[runs]] table of a plan."""
    base = {"profiles": ["quick"], "model": "cnn", "frameworks": ["legacy"], "stamps": [200], "seeds": [1]}
    return {**base, "defects": [[]], **changes}


def names(*tables, profile="quick"):
    return [run.name for run in study.expand({"sets": {}, "mocks": {}, "runs": list(tables)}, profile)]


# The plan.


def test_a_run_is_named_after_all_that_tells_it_from_another():
    found = names(table(variant="quiet", defects=[["raw_pixels", "validate_on_train"]], seeds=[7]))
    assert found == ["cnn-200-quiet-raw_pixels+validate_on_train-legacy-seed7"]
    assert names(table(frameworks=["modern"])) == ["cnn-200-mended-modern-seed1"]


def test_the_first_seed_of_every_table_goes_before_the_second_of_any():
    found = names(table(seeds=[5, 6]), table(model="resnet", seeds=[1, 2, 3]))
    assert [name.replace("-200-mended-legacy-", " ") for name in found] == [
        "cnn seed5", "resnet seed1", "cnn seed6", "resnet seed2", "resnet seed3",
    ]  # fmt: skip


def test_tables_marked_last_come_after_all_others():
    found = names(table(last=True), table(model="resnet", seeds=[1, 2]))
    assert [name.split("-")[0] for name in found] == ["resnet", "resnet", "cnn"]


def test_a_run_of_two_tables_is_done_once_and_as_early_as_the_first_asks():
    found = names(table(seeds=[1, 2]), table(stamps=[2000]), table(seeds=[2, 1], last=True))
    assert found == ["cnn-200-mended-legacy-seed1", "cnn-2000-mended-legacy-seed1", "cnn-200-mended-legacy-seed2"]


def test_the_quick_profile_may_take_fewer_seeds_than_the_full():
    both = table(profiles=["quick", "full"], seeds=[1, 2, 3], quick_seeds=1)
    assert (len(names(both)), len(names(both, profile="full"))) == (1, 3)


def test_the_quick_profile_has_the_runs_counted_by_hand():
    runs = study.expand(PLAN, "quick")
    # CNN of 2,000: 2 seeds x 2 sets of defects x 2 frameworks, and 4 sets in modern; of 200: 2 x 2; at another rate,
    # with less noise and filtered: 3 each, modern, one seed.
    assert Counter((run.model, run.n_stamps, run.variant) for run in runs) == {
        ("cnn", 2000, ""): 8 + 4,
        ("cnn", 200, ""): 4,
        ("cnn", 2000, "rate1e-4"): 3,
        ("cnn", 2000, "quiet"): 3,
        ("cnn", 2000, "filtered"): 3,
        ("resnet", 2000, "short"): 3,
    }
    assert Counter(run.framework for run in runs) == {"legacy": 4 + 2 + 1, "modern": 4 + 4 + 2 + 9 + 2}


def test_the_full_profile_has_the_runs_counted_by_hand():
    # CNN: 9 sets of defects x 3 seeds x 2 frameworks of 2,000; 3 x 3 of each variant; of 200 and of 20,000 five seeds
    # as in 2018 and three mended, x 2.
    assert Counter((run.model, run.n_stamps, run.variant) for run in study.expand(PLAN, "full")) == {
        ("cnn", 2000, ""): 54,
        ("cnn", 200, ""): 16,
        ("cnn", 20000, ""): 16,
        **{("cnn", 2000, variant): 9 for variant in ("rate1e-4", "rate1e-2", "quiet", "profile", "filtered")},
        # As in 2018 and mended, one seed of legacy and three of modern; four more sets of defects at full length.
        ("resnet", 2000, ""): 2 + 6 + 4,
        ("resnet", 2000, "short"): 10 * 3,
        ("resnet", 200, ""): 2 * 3,
        ("resnet", 20000, ""): 2,
        ("resnet", 20000, "short"): 2,
        # One band or three: three seeds, and of three bands one of legacy.
        **{(model, 10000, bands): 3 + (bands == "gri") for model in ("resnet", "cnn") for bands in ("g", "i", "gri")},
    }


@pytest.mark.parametrize("profile", ["quick", "full"])
def test_every_name_of_the_plan_is_given_once(profile):
    found = [run.name for run in study.expand(PLAN, profile)]
    assert len(set(found)) == len(found)


def test_the_longest_trainings_come_after_all_small_ones():
    found = [(run.model, run.n_stamps) for run in study.expand(PLAN, "full")]
    small = [place for place, what in enumerate(found) if what in (("cnn", 200), ("cnn", 2000), ("resnet", 200))]
    assert found.index(("resnet", 20000)) > max(small)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"defects": [["raw_pixel"]]}, "'raw_pixel'"),
        ({"sets": ["mock"]}, "'mock'"),
        ({"model": "vgg"}, "'vgg'"),
        ({"data": "loud"}, "'loud'"),
        ({"stamps": [300]}, "'study-300'"),
        ({"frameworks": ["keras"]}, "'keras'"),
    ],
)
def test_what_the_plan_asks_for_in_vain_is_named(tmp_path, changes, named):
    asked = table(**changes)
    lines = [f"{key} = {json.dumps(value)}" for key, value in asked.items()]
    (tmp_path / "plan.toml").write_text("[sets]\n[mocks]\n[[runs]]\n" + "\n".join(lines))
    with pytest.raises(UserError, match=f"plan.toml asks for {named}, which is not known"):
        study.read_plan(tmp_path / "plan.toml")


@pytest.mark.parametrize("content", [None, "[[runs]\n"])
def test_a_plan_that_cannot_be_read_is_named(tmp_path, content):
    if content:
        (tmp_path / "plan.toml").write_text(content)
    with pytest.raises(UserError, match="cannot read the plan .*plan.toml"):
        study.read_plan(tmp_path / "plan.toml")


def test_two_runs_that_would_share_a_name_are_refused():
    with pytest.raises(UserError, match="two different runs are named cnn-200-mended-legacy-seed1"):
        names(table(), table(options=["--epochs", "2"]))


# What is left to do of a run.


def test_a_new_run_is_trained_and_scores_every_set_that_is_here(tmp_path):
    run = study.Run(
        "r", "modern", "cnn", 2000, 3, ("class_overwrite", "raw_pixels"), "quiet", ("--epochs", "4"), "quiet",
        ("mocks", "pics"),
    )  # fmt: skip
    sets = {"mocks": Path("/m"), "quiet": Path("/q"), "leak-controlled": Path("/l")}
    assert study.pending_commands(run, tmp_path, sets) == [
        [
            "train", "--model", "cnn", "--preset", "study-2000", "--seed", "3", "--defects",
            "class_overwrite,raw_pixels", "--data", "/q", "--epochs", "4", "--out", f"{tmp_path}/r",
        ],
        ["score", "/m", "--run", f"{tmp_path}/r", "--out", f"{tmp_path}/r/scores-mocks.csv", "--engine", "torch"],
    ]  # fmt: skip


def test_what_is_there_is_not_done_again(tmp_path):
    run = study.Run("r", "modern", "cnn", 2000, 1, sets=("mocks", "pics"))
    sets = {"mocks": Path("/m"), "pics": Path("/p")}
    (tmp_path / "r").mkdir()
    left = []
    for name in ("history.csv", "scores-mocks.csv", "metrics.json", "scores-mocks.json", "scores-pics.json"):
        (tmp_path / "r" / name).write_text("")
        left.append([command[0] for command in study.pending_commands(run, tmp_path, sets)])
    # A history is no end of a training, and a table without its JSON is not yet whole.
    assert left == [["train", "score", "score"]] * 2 + [["score", "score"], ["score"], []]


def test_mocks_of_the_study_that_are_not_here_are_passed_over_with_a_word(monkeypatch, tmp_path, capsys):
    plan = {"sets": {"pics": {"environment": "LENS_PICS_MOCKS"}}, "mocks": {}}
    monkeypatch.setenv("LENS_PICS_MOCKS", str(tmp_path))
    assert study.prepare_sets(plan, tmp_path) == {"pics": tmp_path}
    monkeypatch.delenv("LENS_PICS_MOCKS")
    assert study.prepare_sets(plan, tmp_path) == {}
    assert "LENS_PICS_MOCKS names no folder, so pics stay unscored" in capsys.readouterr().err


# The time left.


@pytest.mark.parametrize(
    ("seconds", "spelled"), [(0, "0 min"), (89, "1 min"), (3569, "59 min"), (3571, "1 h 0 min"), (9000, "2 h 30 min")]
)
def test_time_is_told_in_minutes_and_hours(seconds, spelled):
    assert runner.spelled_time(seconds) == spelled


def test_the_time_left_is_that_of_the_runs_left_at_the_pace_so_far(monkeypatch, tmp_path, capsys):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(
        runner,
        "time",
        SimpleNamespace(monotonic=lambda: clock.now, sleep=lambda s: setattr(clock, "now", clock.now + 60)),
    )
    monkeypatch.setattr(runner, "start", lambda *_, **__: Ended())
    runs = [study.Run(f"r{number}", "modern", "cnn", 200, number) for number in range(4)]
    jobs = study.jobs_of(runs, tmp_path, {})
    assert runner.work_through("study", jobs, 1, tmp_path / "logs") == []
    lines = capsys.readouterr().out.splitlines()
    # Four runs that cost the same, one at a time, a minute each.
    assert lines == [f"study: {number}/4 r{number - 1}: 60 s; about {4 - number} min left" for number in (1, 2, 3, 4)]


class Ended:
    """A process that has ended well."""

    returncode = 0

    def poll(self):
        return 0


# The runner, with runs that pretend.

PRETENDED = """
import json, os, sys, time
from pathlib import Path

def note(what):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(what + "\\n")

def write_whole(path, text):
    Path(f"{path}.partial").write_text(text)
    os.replace(f"{path}.partial", path)

for verb, *given in json.loads(sys.argv[2]):
    out = Path(given[given.index("--out") + 1])
    name = f"{verb} {out.name if verb == 'train' else out.parent.name + '/' + out.stem}"
    note(f"begin {name}")
    if verb == "train":
        out.mkdir(exist_ok=True)
        with open(out / "epochs", "a") as epochs:
            while epochs.tell() < 5:
                time.sleep(float(os.environ.get("PACE", 0.02)))
                epochs.write("x")
                epochs.flush()
        if "seed2-" in out.name + "-" and os.environ.get("FAILING"):
            print("the reason why it fails")
            sys.exit(3)
    else:
        time.sleep(0.02)
        out.write_text(name)
    write_whole(out / "metrics.json" if verb == "train" else out.with_suffix(".json"), name)
    note(f"end {name}")
"""
PRETENDED_BESIDE = """
import sys
from pathlib import Path
Path(sys.argv[1], "panels.npz").write_text("")
"""
PRETENDED_PLAN = """
[sets.mocks]
environment = "PRETENDED_MOCKS"
[sets.pics]
environment = "PRETENDED_PICS"
[mocks]
[[runs]]
profiles = ["quick"]
model = "cnn"
frameworks = ["legacy", "modern"]
stamps = [200]
seeds = [1, 2, 3]
defects = [[]]
sets = ["mocks", "pics"]
[[beside]]
name = "occlusion maps"
side = "modern"
script = "gallery"
arguments = ["{study}"]
makes = ["panels.npz"]
"""
NAMES = [f"cnn-200-mended-{side}-seed{seed}" for seed in (1, 2, 3) for side in ("legacy", "modern")]


# The study with runs that pretend, in a process that has loaded nothing else: a fork of this one would hold the threads
# of torch, OpenVINO and a browser.
PRETENDING = """
import signal, sys, time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from experiments import runner
from experiments.reproduction import study

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell began the tests behind it
scripts = Path(sys.argv[1])

def command(job):
    name, arguments = ("gallery", job.arguments[1:]) if job.module == "experiments" else ("runner", job.arguments)
    return [sys.executable, str(scripts / f"{name}.py"), *map(str, arguments)]

runner.command = command
runner.time = SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: time.sleep(0.01))
study.read_plan = partial(study.read_plan, scripts / "plan.toml")
sys.exit(study.main(sys.argv[2:]))
"""


@pytest.fixture
def begun_study(monkeypatch, tmp_path):
    """Begin `study.py` in a process of its own, with runs that pretend; it is ended with the test."""
    scripts, folder = tmp_path / "scripts", tmp_path / "study"
    scripts.mkdir()
    (scripts / "runner.py").write_text(PRETENDED)
    (scripts / "gallery.py").write_text(PRETENDED_BESIDE)
    (scripts / "plan.toml").write_text(PRETENDED_PLAN)
    for name in ("PRETENDED_MOCKS", "PRETENDED_PICS"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    (tmp_path / "notes").write_text("")
    begun = []

    def begin(*options):
        said = tmp_path / f"said{len(begun)}"
        command = [sys.executable, "-c", PRETENDING, scripts, "quick", "--folder", folder, "--jobs", "2", *options]
        with open(said, "w") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file, env=runner.environment("modern"))
        begun.append(Begun(process, said))
        return begun[-1]

    yield SimpleNamespace(begin=begin, folder=folder, notes=lambda: (tmp_path / "notes").read_text().splitlines())
    for one in begun:
        if one.popen.poll() is None:
            one.kill_all()


class Begun:
    """A runner that was begun."""

    def __init__(self, process, said):
        self.popen, self.process, self.path = process, process.pid, said

    @property
    def said(self):
        return self.path.read_text()

    def wait(self):
        return self.popen.wait()

    def children(self):
        return [
            int(number) for number in Path(f"/proc/{self.process}/task/{self.process}/children").read_text().split()
        ]

    def kill_all(self):
        """SIGKILL for the runner and what it started."""
        os.kill(self.process, signal.SIGSTOP)  # so that it begins no other
        children = self.children()
        for number in (self.process, *children):
            os.kill(number, signal.SIGKILL)
        self.wait()
        for number in children:
            while Path(f"/proc/{number}").exists() and "\nState:\tZ" not in _status(number):
                time.sleep(0.005)


def _status(number):
    try:
        return Path(f"/proc/{number}/status").read_text()
    except OSError:
        return ""


def wait_until(condition):
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.005)
    pytest.fail("it takes more than 30 s")


PARTS = [
    part for name in NAMES for part in (f"train {name}", f"score {name}/scores-mocks", f"score {name}/scores-pics")
]
FILES = {"epochs", "metrics.json", "scores-mocks.csv", "scores-mocks.json", "scores-pics.csv", "scores-pics.json"}


def check_finished(begun_study):
    """All files of every run are there, the epochs of each are those asked, and no part began again after its end."""
    for name in NAMES:
        assert {path.name for path in (begun_study.folder / name).iterdir() if path.suffix != ".partial"} == FILES
        assert (begun_study.folder / name / "epochs").read_text() == "x" * 5
    notes = begun_study.notes()
    for part in PARTS:
        after = notes[notes.index(f"end {part}") + 1 :] if f"end {part}" in notes else []
        assert f"begin {part}" in notes and f"begin {part}" not in after and f"end {part}" not in after


def test_a_study_runs_to_its_end_and_does_nothing_the_second_time(begun_study):
    first = begun_study.begin()
    assert first.wait() == 0
    check_finished(begun_study)
    assert first.said.splitlines()[0] == "study: 6 runs, 0 of them finished before"
    assert "study: occlusion maps" in first.said
    before = begun_study.notes()
    second = begun_study.begin()
    assert second.wait() == 0
    assert second.said == "study: 6 runs, 6 of them finished before\n" and begun_study.notes() == before


def test_a_study_goes_breadth_first_and_says_how_long_it_takes(begun_study):
    begun = begun_study.begin("--jobs", "1")
    assert begun.wait() == 0
    assert [note[12:] for note in begun_study.notes() if note.startswith("begin train")] == NAMES
    lines = [re.sub(r"\d+ s;", "S s;", line) for line in begun.said.splitlines()[1:7]]
    assert lines == [f"study: {number}/6 {name}: S s; about 0 min left" for number, name in enumerate(NAMES, 1)]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_study_killed_anywhere_goes_on_where_it_was(begun_study, seed):
    when = random.Random(seed)
    finished = []
    for _ in range(4):
        seen = len(begun_study.notes())
        begun = begun_study.begin()
        wait_until(lambda: len(begun_study.notes()) > seen or "occlusion" in begun.said)  # noqa: B023
        time.sleep(when.uniform(0, 0.25))
        begun.kill_all()
        finished.append({path: path.stat().st_mtime_ns for path in begun_study.folder.glob("*/*.json")})
    assert begun_study.begin().wait() == 0
    check_finished(begun_study)
    # What was whole at some time was not written again.
    for path, written in [entry for found in finished for entry in found.items()]:
        assert path.stat().st_mtime_ns == written, path


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_study_told_to_stop_ends_its_runs_says_so_and_goes_on_later(begun_study, monkeypatch, signum):
    monkeypatch.setenv("PACE", "0.5")  # seconds an epoch: to wait for the end of a run would take 2.5
    begun = begun_study.begin()
    wait_until(lambda: len(begun.children()) == 2 and len(begun_study.notes()) == 2)
    children = begun.children()
    os.kill(begun.process, signum)
    assert begun.wait() == 130
    assert begun.said.endswith("study: stopped; the same command goes on with what is finished\n")
    assert "Traceback" not in begun.said
    assert [number for number in children if Path(f"/proc/{number}").exists()] == []
    assert [note for note in begun_study.notes() if note.startswith("end")] == []
    monkeypatch.delenv("PACE")
    assert begun_study.begin().wait() == 0
    check_finished(begun_study)


def test_a_run_that_fails_is_named_and_the_others_go_on(begun_study, monkeypatch):
    monkeypatch.setenv("FAILING", "1")
    begun = begun_study.begin()
    assert begun.wait() == 1
    bad = [name for name in NAMES if name.endswith("seed2")]
    last = begun.said.splitlines()[-1]
    assert last.startswith("study: 2 runs failed: ") and set(last[22:].split(", ")) == set(bad)
    done = {path.parent.name for path in begun_study.folder.glob("*/metrics.json")}
    assert done == set(NAMES) - set(bad)
    for name in bad:
        log = begun_study.folder / "logs" / f"{name}.log"
        assert f"{name}: failed, see {log}; " in begun.said and log.read_text() == "the reason why it fails\n"
    monkeypatch.delenv("FAILING")
    assert begun_study.begin().wait() == 0
    check_finished(begun_study)


def test_after_the_limit_no_run_begins_and_those_under_way_end(begun_study):
    begun = begun_study.begin("--jobs", "1", "--limit-minutes", "0.001")  # 60 ms; a run takes 150
    assert begun.wait() == 0
    assert begun.said.splitlines()[2] == "study: the limit of time is reached; 5 runs are left"
    assert [path.parent.name for path in begun_study.folder.glob("*/scores-pics.json")] == NAMES[:1]


def test_a_list_says_what_is_left_and_does_nothing(begun_study):
    # The second is trained, the third has scored its sets too.
    for name, files in ((NAMES[1], ["metrics.json"]), (NAMES[2], sorted(FILES))):
        (begun_study.folder / name).mkdir(parents=True)
        for file in files:
            (begun_study.folder / name / file).touch()
    begun = begun_study.begin("--list")
    assert begun.wait() == 0
    assert begun.said.splitlines() == [f"{name} {'finished' if name == NAMES[2] else 'to do'}" for name in NAMES]
    assert begun_study.notes() == [] and not (begun_study.folder / "logs").exists()


def test_a_plan_that_asks_for_what_is_not_known_ends_in_one_sentence(monkeypatch, tmp_path, capsys):
    (tmp_path / "plan.toml").write_text(PRETENDED_PLAN.replace('"cnn"', '"vgg"'))
    monkeypatch.setattr(study, "read_plan", lambda read=study.read_plan: read(tmp_path / "plan.toml"))
    assert study.main(["quick", "--folder", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("study: ") and error.count("\n") == 1 and "'vgg'" in error


# One run that is no pretence.


def test_a_run_of_the_plan_trains_and_scores_its_sets(tiny_study, helpers):
    folder, status = tiny_study
    run = folder / helpers.tiny_run
    assert status == 0
    assert json.loads((run / "config.json").read_text())["preset"] == "study-200"
    assert len((run / "history.csv").read_text().splitlines()) == 1 + 5  # the study's CNN on 200 took 5 epochs
    sizes = {
        name: len((run / f"scores-{name}.csv").read_text().splitlines()) - 1 for name in ("mocks", "leak-controlled")
    }
    assert sizes == {"mocks": 8, "leak-controlled": 6}
