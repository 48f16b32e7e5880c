"""A run is believed only where its files tell one story; each planted lie is caught, in one sentence."""

import csv
import gzip
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lens_common.errors import UserError
from lens_modern.report.reading import check_run, check_same_data, read_run, read_runs
from lens_modern.report.sections import cost_table

METRICS = {
    "auroc": 0.01,
    "auroc_low": 0.01,
    "auroc_high": -0.01,
    "auroc_level": -0.05,
    "accuracy": 0.025,
    "completeness": 0.05,
    "purity": 0.01,
    "contamination": 1e-5,  # ten times what two libraries may differ by
    "false_positive_rate": -0.05,
    "tpr_at_fpr_0.01": 0.05,
    "tpr_at_fpr_0.001": 0.05,
    "n_stamps": 1,
    "n_lenses": -1,
    "n_non_lenses": 1,
    "true_positives": 1,
    "false_positives": -1,
    "true_negatives": 1,
    "false_negatives": 1,
}


def refusal(run):
    """The sentence that sets a run aside."""
    with pytest.raises(UserError) as caught:
        check_run(read_run(run))
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def swap(first, second):
    between = first.with_name("between")
    first.rename(between)
    second.rename(first)
    between.rename(second)


@pytest.fixture
def run(make_run, tmp_path):
    return make_run(tmp_path / "run")


@pytest.fixture
def published(run, publish_run, tmp_path):
    return publish_run(run, tmp_path / "published")


@pytest.fixture
def two(make_run, tmp_path):
    return [make_run(tmp_path / f"seed{seed}", seed=seed) for seed in (1, 2)]


def test_a_run_that_tells_one_story_is_believed(run):
    check_run(read_run(run))


def test_a_published_run_that_tells_one_story_is_believed(published):
    check_run(read_run(published))


def test_the_test_fold_is_read_as_the_table_has_it(run):
    with open(run / "scores.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["fold"] == "test"]
    found = read_run(run).sets["test"]
    assert [*found.ids] == [row["id"] for row in rows]
    assert [*found.scores] == [float(row["score"]) for row in rows]
    assert [*found.labels] == [row["is_lens"] == "1" for row in rows]


# Of 320 stamps 40 are the test fold and 24 the validation; three epochs took 90 s.
@pytest.mark.parametrize(
    ("config", "n_an_epoch"),
    [
        ({}, 256),
        ({"settings": {"batch_size": 100, "patience": 0}}, 256),
        ({"settings": {"batch_size": 100, "patience": 0, "drop_tail": True}}, 200),
        ({"defects": ["validate_on_train"]}, 320),
        ({"data": {"folder": "mocks", "hash": "a" * 64, "n_stamps": 320, "n_trained": 123}}, 123),
    ],
    ids=["every stamp not held back", "the tail too", "without the tail", "all stamps", "as the run says"],
)
def test_the_speed_of_a_run_counts_what_its_epochs_trained_on(run, change_json, config, n_an_epoch):
    change_json(run / "config.json", **config)
    found = read_run(run)
    assert found.stamps_per_second == pytest.approx(n_an_epoch * 3 / 90)
    assert cost_table("cost", [found]).rows[0][2] == f"{n_an_epoch / 30:.0f}"


def test_a_published_run_is_read_as_the_run_itself(run, published):
    one, other = read_run(run), read_run(published)
    assert [*one.sets] == ["validation", "test"] and {*other.sets} == {"validation", "test"}
    for name in one.sets:
        np.testing.assert_array_equal(one.sets[name].scores, other.sets[name].scores)
        np.testing.assert_array_equal(one.sets[name].labels, other.sets[name].labels)


def test_the_score_tables_of_two_runs_swapped_are_caught_by_their_digest(two):
    swap(*(run / "scores.csv" for run in two))
    assert "scores.csv is not the table that scores.json was written for: its SHA-256 is" in refusal(two[0])


def test_the_score_tables_of_two_runs_swapped_are_caught_where_no_digest_was_written(two, change_json):
    swap(*(run / "scores.csv" for run in two))
    change_json(two[0] / "scores.json", sha256=...)
    assert "metrics.json says auroc" in refusal(two[0])


def test_tables_swapped_with_their_json_are_caught_by_the_weights(two):
    for name in ("scores.csv", "scores.json"):
        swap(*(run / name for run in two))
    assert "the weights beside it are" in refusal(two[0])


def test_tables_swapped_with_their_json_are_caught_by_the_metrics_where_no_weights_lie_beside(two):
    for name in ("scores.csv", "scores.json"):
        swap(*(run / name for run in two))
    (two[0] / "weights.npz").unlink()
    assert "metrics.json is of the model" in refusal(two[0])


def test_published_tables_swapped_with_their_json_are_caught(two, publish_run, tmp_path):
    published = [publish_run(run, tmp_path / f"published{i}") for i, run in enumerate(two)]
    for name in ("scores.csv.gz", "scores.json"):
        swap(*(run / name for run in published))
    assert "metrics.json is of the model" in refusal(published[0])


def test_a_further_table_of_another_run_is_caught(make_run, draw_scores, tmp_path):
    runs = [
        make_run(tmp_path / f"seed{seed}", seed=seed, sets={"mocks": draw_scores(20, seed + 10)}) for seed in (1, 2)
    ]
    for name in ("scores-mocks.csv", "scores-mocks.json"):
        swap(*(run / name for run in runs))
    sentence = refusal(runs[0])
    assert "scores-mocks.csv was scored by the model" in sentence and "the weights beside it are" in sentence


def test_the_weights_of_another_model_are_caught(two):
    shutil.copyfile(two[1] / "weights.npz", two[0] / "weights.npz")
    assert "scores.csv was scored by the model" in refusal(two[0])


@pytest.mark.parametrize(("key", "change"), METRICS.items())
def test_a_changed_metric_is_caught_by_name(run, change_json, key, change):
    stored = json.loads((run / "metrics.json").read_text())[key]
    change_json(run / "metrics.json", **{key: stored + change})
    assert f"metrics.json says {key} {stored + change}, its scores say {stored}; evaluate" in refusal(run)


def test_a_changed_threshold_is_caught_by_the_counts(run, change_json):
    change_json(run / "metrics.json", threshold=0.7)
    assert "metrics.json says accuracy" in refusal(run)


def test_a_metric_taken_away_is_caught(run, change_json):
    change_json(run / "metrics.json", auroc_low=...)
    assert "metrics.json says auroc_low None" in refusal(run)


def test_a_number_in_the_place_of_none_is_caught(run, change_json):
    # no score lies above 0.99, so none is called a lens and the purity is undefined
    changes = {"accuracy": 0.5, "completeness": 0.0, "false_positive_rate": 0.0, "contamination": None}
    counts = {"true_positives": 0, "false_positives": 0, "true_negatives": 20, "false_negatives": 20}
    change_json(run / "metrics.json", threshold=0.995, purity=None, **changes, **counts)
    check_run(read_run(run))
    change_json(run / "metrics.json", purity=1.0)
    assert "metrics.json says purity 1.0, its scores say None" in refusal(run)


def test_none_in_the_place_of_a_number_is_caught(run, change_json):
    change_json(run / "metrics.json", purity=None)
    assert "metrics.json says purity None" in refusal(run)


def test_the_last_digits_of_another_library_are_no_lie(run, change_json):
    stored = json.loads((run / "metrics.json").read_text())["auroc_low"]
    change_json(run / "metrics.json", auroc_low=stored + 1e-9)
    check_run(read_run(run))


def test_a_changed_score_is_caught_by_the_digest(run):
    table = (run / "scores.csv").read_text().splitlines()
    table[-1] = table[-1].rsplit(",", 1)[0] + ",0.123456"
    (run / "scores.csv").write_text("\n".join(table) + "\n")
    assert "scores.csv is not the table that scores.json was written for" in refusal(run)


def test_a_changed_score_of_a_published_run_is_caught_by_the_digest(published):
    table = gzip.decompress((published / "scores.csv.gz").read_bytes()).splitlines()
    table[-1] = table[-1].rsplit(b",", 1)[0] + b",0.123456"
    (published / "scores.csv.gz").write_bytes(gzip.compress(b"\n".join(table) + b"\n"))
    sentence = refusal(published)
    assert sentence.startswith(f"{published / 'scores.csv.gz'} is not the table that scores.json was written for")
    assert "damaged" not in sentence


def test_a_published_table_packed_anew_is_the_same_table(published):
    content = gzip.decompress((published / "scores.csv.gz").read_bytes())
    (published / "scores.csv.gz").write_bytes(gzip.compress(content, 1, mtime=7))
    check_run(read_run(published))


def test_the_history_of_another_training_is_caught(run):
    lines = (run / "history.csv").read_text().splitlines()
    last = lines[-1].split(",")
    # of 12 x 12 validation pairs: one more that is ranked the wrong way round
    lines[-1] = ",".join([*last[:2], str(float(last[2]) - 1 / 144), *last[3:]])
    (run / "history.csv").write_text("\n".join(lines) + "\n")
    assert "history.csv ends with a validation AUROC of" in refusal(run)


@pytest.mark.parametrize("settings", [{"patience": 3}, {}])
@pytest.mark.parametrize("defects", [["validate_on_train"], ["class_overwrite"], []])
def test_only_a_history_of_the_same_stamps_and_network_is_compared(run, change_json, settings, defects):
    change_json(run / "config.json", settings=settings, defects=defects)
    lines = (run / "history.csv").read_text().splitlines()
    lines[-1] = "3,0.6,0.2,40.0"
    (run / "history.csv").write_text("\n".join(lines) + "\n")
    if settings or "class_overwrite" in defects:
        check_run(read_run(run))
    else:
        assert "they are of two trainings" in refusal(run)


def test_scores_of_another_kind_of_network_are_caught(run, change_json):
    change_json(run / "config.json", model="resnet")
    assert "a cnn scored, the run is a resnet" in refusal(run)


def test_a_run_whose_test_fold_was_cut_off_is_caught(run, change_json):
    lines = (run / "scores.csv").read_text().splitlines()
    (run / "scores.csv").write_text("\n".join([lines[0], *lines[-24:]]) + "\n")
    change_json(run / "scores.json", sha256=..., n_stamps=24)
    assert "holds no scores of its test fold" in refusal(run)


def test_a_table_that_was_cut_off_is_caught_where_no_digest_was_written(make_run, draw_scores, tmp_path, change_json):
    run = make_run(tmp_path / "run", sets={"mocks": draw_scores(20, 5)})
    lines = (run / "scores-mocks.csv").read_text().splitlines()
    (run / "scores-mocks.csv").write_text("\n".join(lines[:-1]) + "\n")
    change_json(run / "scores-mocks.json", sha256=...)
    assert "scores-mocks.csv holds 19 stamps, its JSON says 20; score the stamps again" in refusal(run)


def test_runs_of_other_data_are_not_compared(make_run, tmp_path):
    runs = [read_run(make_run(tmp_path / data, data=data)) for data in "ab"]
    with pytest.raises(UserError, match="a scored 40 stamps of the data aaaaaaaaaaaa as test, b 40 of bbbbbbbbbbbb"):
        check_same_data(*runs, "test")


def test_runs_of_other_stamps_of_the_same_data_are_not_compared(make_run, tmp_path, change_json):
    runs = [make_run(tmp_path / name, seed=seed) for seed, name in enumerate("ab", 1)]
    text = (runs[1] / "scores.csv").read_text().replace("\n0,0.fits", "\nother,0.fits")
    (runs[1] / "scores.csv").write_text(text)
    change_json(runs[1] / "scores.json", sha256=hashlib.sha256(text.encode()).hexdigest())
    with pytest.raises(UserError, match="score the same folder with both"):
        check_same_data(*map(read_run, runs), "test")


def test_runs_that_disagree_on_a_label_are_not_compared(make_run, tmp_path):
    other = np.arange(64) % 2 == 0
    other[:2] = other[1::-1]
    runs = [read_run(make_run(tmp_path / name, labels=labels)) for name, labels in (("a", None), ("b", other))]
    with pytest.raises(UserError, match="a and b disagree on the labels of test; score it again with both"):
        check_same_data(*runs, "test")


def test_stamps_without_a_label_and_stamps_learned_from_are_no_part_of_a_set(make_run, draw_scores, tmp_path):
    run = make_run(tmp_path / "run", sets={"mocks": draw_scores(20, 5)})
    lines = (run / "scores-mocks.csv").read_text().splitlines()
    lines[1] = "mocks0,mocks0.fits,train,1,0.5"
    lines[2] = "mocks1,mocks1.fits,validation,0,0.5"
    lines[3] = "mocks2,mocks2.fits,,,0.5"
    text = "\n".join(lines) + "\n"
    (run / "scores-mocks.csv").write_text(text)
    about = json.loads((run / "scores-mocks.json").read_text())
    (run / "scores-mocks.json").write_text(
        json.dumps({**about, "sha256": hashlib.sha256(text.encode()).hexdigest()}),
    )
    assert [*read_run(run).sets["mocks"].ids] == [f"mocks{i}" for i in range(3, 20)]


def test_the_same_model_twice_counts_once(run, published):
    runs, left_out = read_runs([run, published])
    assert [found.path for found in runs] == [run]
    assert left_out == {
        str(published): f"{published} holds the same model as {run}, which counts once; name one of them"
    }


def test_a_copy_under_another_seed_counts_once(run, tmp_path, change_json):
    copy = shutil.copytree(run, tmp_path / "copy")
    change_json(copy / "config.json", seed=2)
    assert [*read_runs([run, copy])[1]] == [str(copy)]


def test_a_file_that_cannot_be_opened_sets_its_run_aside_and_no_other(two):
    (two[1] / "scores.csv").unlink()
    (two[1] / "scores.csv").mkdir()
    runs, left_out = read_runs(two)
    assert [run.path for run in runs] == two[:1]
    assert "Is a directory" in left_out[str(two[1])]


def test_names_are_the_last_parts_of_the_paths_that_tell_them_apart(make_run, tmp_path):
    paths = [make_run(tmp_path / part / "run", seed=seed) for seed, part in enumerate("ab", 1)]
    assert [run.name for run in read_runs(paths)[0]] == ["a/run", "b/run"]


def test_the_folder_one_stands_in_has_its_name(run, monkeypatch):
    monkeypatch.chdir(run)
    assert [found.name for found in read_runs([Path(".")])[0]] == ["run"]


def test_the_seconds_of_all_epochs_are_added(run):
    assert read_run(run).seconds == 20 + 30 + 40


@pytest.mark.parametrize(
    ("key", "value", "wrong"),
    [
        ("framework", ..., "framework"),
        ("seed", "one", "seed"),
        ("settings", None, "settings"),
        ("defects", [1], "defects"),
        ("data", {"folder": "x", "hash": "y"}, "data.n_stamps"),
        ("mode", 3, "mode"),
    ],
)
def test_a_config_without_what_a_report_says_is_refused_by_the_name_of_it(run, change_json, key, value, wrong):
    change_json(run / "config.json", **{key: value})
    assert refusal(run) == f"{run / 'config.json'} lacks a good {wrong}; take it from a copy of the run"


def test_einstein_radii_come_from_the_table_that_is_handed_in(run):
    table = {"0": {"einstein_radius": "1.5", "snr": ""}, "1": {"einstein_radius": ""}}
    (found,), _ = read_runs([run], {"test": table})
    assert found.sets["test"].parameters["einstein_radius"][0] == 1.5
    assert np.isnan(found.sets["test"].parameters["einstein_radius"][1:]).all()
    assert "snr" not in found.sets["test"].parameters
