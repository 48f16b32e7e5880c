"""The demo: four trainings, the longest first and on all cores, and a page of what they left."""

import json
import os

import pytest

from experiments import demo
from lens_common.errors import UserError


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What the demo asks for instead of hours of work; `failed` names a training that fails."""
    found = {"failed": [], "status": 0}

    def work_through(program, jobs, n_jobs, logs):
        found.update(jobs=jobs, n_jobs=n_jobs)
        return found["failed"]

    def main(arguments):
        found["report"] = arguments
        return found["status"]

    monkeypatch.setattr(demo, "FOLDER", tmp_path)
    monkeypatch.setattr(demo, "default_mocks", lambda n_stamps, seed: found.update(mocks=(n_stamps, seed)))
    monkeypatch.setattr(demo, "work_through", work_through)
    monkeypatch.setattr(demo.cli, "main", main)
    monkeypatch.chdir(tmp_path)
    return found


def test_it_trains_four_networks_on_the_same_mocks_and_reports_on_them(asked, tmp_path, capsys):
    assert demo.main([]) == 0
    trainings = [(job.side, json.loads(job.arguments[1])[0]) for job in asked["jobs"]]
    outs = {(side, command[command.index("--model") + 1]): command[-1] for side, command in trainings}
    assert outs == {(s, m): str(tmp_path / s / m) for s in ("legacy", "modern") for m in ("resnet", "cnn")}
    assert all(command[:5] == ["train", "--model", command[2], "--preset", "demo"] for _, command in trainings)
    threads = [job.threads for job in asked["jobs"]]
    assert threads == [len(os.sched_getaffinity(0)), 1, 1, 1] and asked["mocks"][1] == 1
    assert sorted(asked["report"][1:5]) == sorted(os.path.relpath(out) for out in outs.values())
    assert capsys.readouterr().out.splitlines()[-1] == "demo: open report.html: the twins side by side"


@pytest.mark.parametrize(
    ("changes", "words"), [({"failed": ["ResNet, legacy"]}, "ResNet, legacy"), ({"status": 2}, "page")]
)
def test_what_fails_is_named(asked, changes, words, capsys):
    asked.update(changes)
    assert demo.main([]) == 2 and words in capsys.readouterr().err


def test_the_demo_is_a_user_error_only_where_something_failed(asked):
    asked["failed"] = ["CNN, modern"]
    with pytest.raises(UserError, match="CNN, modern did not end well; logs/CNN, modern.log says why"):
        demo.demo()
