"""The stored benchmark results: what every entry must say, and that a ratio above 1 means better."""

import importlib.util
import json
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / "bench"
FIELDS = {"name": str, "value": (int, float), "unit": str, "against": str, "ratio": (int, float), "runs": int}


def module(name):
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_every_stored_result_names_its_baseline_and_its_machine():
    rows = json.loads((BENCH / "results.json").read_text())
    assert len({row["name"] for row in rows}) == len(rows) >= 10
    for row in rows:
        assert set(row) == {*FIELDS, "machine"}
        assert all(isinstance(row[key], kind) for key, kind in FIELDS.items())
        assert row["against"] and "cores" in row["machine"] and row["value"] > 0 and row["ratio"] > 0


def test_candidates_run_in_turn_and_the_median_counts():
    calls = []
    times = {"a": iter([3.0, 1.0, 2.0]), "b": iter([9.0, 7.0, 8.0])}

    def candidate(name):
        calls.append(name)
        return next(times[name])

    measured = module("measure").alternate({"a": lambda: candidate("a"), "b": lambda: candidate("b")}, 3)
    assert calls == ["a", "b"] * 3
    assert measured == {"a": 2.0, "b": 8.0}


def test_a_new_result_takes_the_place_of_the_old_one_of_its_name(tmp_path, monkeypatch):
    run = module("run")
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results.json")
    run.keep([{"name": "a", "value": 1}, {"name": "b", "value": 2}])
    run.keep([{"name": "a", "value": 3}, {"name": "c", "value": 4}])
    rows = json.loads((tmp_path / "results.json").read_text())
    assert rows == [{"name": "a", "value": 3}, {"name": "b", "value": 2}, {"name": "c", "value": 4}]


def test_an_unknown_benchmark_is_refused_by_name(capsys):
    assert module("run").main(["flying"]) == 2
    assert "no benchmark named flying" in capsys.readouterr().err
