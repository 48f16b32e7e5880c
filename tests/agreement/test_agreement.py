"""The twins find lenses equally well: their ROCs agree within the plan's margin, afresh and in the stored runs."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from experiments.agreement import agreement
from lens_common.errors import UserError

from .conftest import MODELS, SEEDS

both_models = pytest.mark.parametrize("model", agreement.MODELS)
trained_models = pytest.mark.parametrize("model", MODELS)


@trained_models
def test_fresh_runs_of_both_twins_are_equivalent(fresh, model):
    judged = agreement.judge(fresh["legacy", model], fresh["modern", model])
    assert judged["verdict"].equivalent, agreement.describe(model, judged)
    assert judged["verdict"].power > 0.8


@trained_models
@pytest.mark.parametrize("side", ["legacy", "modern"])
def test_a_fresh_run_is_equivalent_to_the_stored_run_of_its_seed(fresh, model, side):
    judged = agreement.judge(agreement.load(model, side, SEEDS[model]), fresh[side, model])
    assert judged["verdict"].equivalent, agreement.describe(model, judged, ("stored", "fresh"))


@both_models
def test_the_stored_runs_of_both_twins_are_equivalent_over_ten_seeds(model):
    legacy, modern = (agreement.load(model, side) for side in ("legacy", "modern"))
    verdict = agreement.judge(legacy, modern)["verdict"]
    assert verdict.n_seeds >= 10 and verdict.equivalent and verdict.power > 0.99


@both_models
def test_the_stored_runs_are_what_the_plan_asks_for(model):
    about = json.loads((agreement.STORED / f"{model}.json").read_text())
    plan = agreement.PLAN
    assert about["plan"] == {**{key: plan[key] for key in ("margin", "alpha", "data")}, **plan[model]}
    assert list(agreement.load(model, "legacy").scores) == plan["seeds"] == list(agreement.load(model, "modern").scores)


@both_models
def test_other_seeds_differ_more_than_the_twins_do(model):
    """Else the seeds would be no sample, and the margin no bound on anything."""
    legacy, modern = (agreement.load(model, side) for side in ("legacy", "modern"))
    of_twins = [abs(row["difference"]) for row in agreement.judge(legacy, modern)["seeds"]]
    seeds = [*legacy.scores]
    moved = replace(modern, scores=dict(zip(seeds, [modern.scores[seed] for seed in seeds[1:] + seeds[:1]])))
    assert np.median([abs(row["difference"]) for row in agreement.judge(legacy, moved)["seeds"]]) > 10 * max(of_twins)
    assert not agreement.judge(legacy, moved)["verdict"].equivalent


def test_a_planted_difference_of_the_learning_rate_is_caught(reruns):
    planted = reruns("--rate-factor", "1.1")
    assert not agreement.judge(agreement.load("cnn", "legacy", SEEDS["cnn"]), planted)["verdict"].equivalent


@pytest.mark.parametrize("shift, status", [(0, 0), (1, 1)], ids=["the same seeds", "other seeds"])
def test_make_agreement_ends_with_1_where_the_twins_part(monkeypatch, capsys, shift, status):
    def stored(model, seeds, folder):
        modern = agreement.load(model, "modern", [seed + shift for seed in seeds])
        return {
            "legacy": agreement.load(model, "legacy", seeds),
            "modern": replace(modern, scores=dict(zip(seeds, modern.scores.values()))),
        }

    monkeypatch.setattr(agreement, "train_both", stored)
    assert agreement.main(["--first-seed", "1", "--seeds", "4"]) == status
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"agreement: the twins {'part' if status else 'agree'}"


def test_runs_on_other_stamps_are_refused():
    legacy = agreement.load("cnn", "legacy")
    for other, what in (
        (replace(legacy, ids=legacy.ids[::-1]), "ids"),
        (replace(legacy, labels=~legacy.labels), "labels"),
        (replace(legacy, sums=legacy.sums + 1), "pixels"),
    ):
        with pytest.raises(UserError, match=what):
            agreement.judge(legacy, other)


def test_runs_of_other_seeds_are_refused():
    with pytest.raises(UserError, match="seeds"):
        agreement.judge(agreement.load("cnn", "legacy", [1]), agreement.load("cnn", "modern", [2]))


def test_nan_among_the_scores_is_refused():
    legacy = agreement.load("cnn", "legacy", [1])
    with pytest.raises(UserError, match="finite"):
        agreement.judge(legacy, replace(legacy, scores={1: np.full(len(legacy.ids), np.nan)}))


def test_the_table_of_planted_differences_says_what_catches_each():
    rows = list(csv.DictReader((agreement.STORED / "planted.csv").open()))
    assert len(rows) > 18
    for row in rows:
        caught = row["equivalent"] == "False"
        assert caught == (float(row["p_value"]) >= agreement.PLAN["alpha"])
        assert caught or row["seen_by"], f"{row['planted']} is seen by nothing"
