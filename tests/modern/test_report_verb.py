"""The verb ``report`` uses what is good, names what is not in one sentence, and never shows a traceback."""

import json
import os
import re
import shutil

import numpy as np
import pytest

from lens_modern.cli import main
from lens_modern.report import figures, reading
from lens_modern.report.reading import read_run
from lens_modern.report.sections import find_pairs, group_by_seed


@pytest.fixture(autouse=True)
def no_drawings(monkeypatch):
    """Drawings take the most time, and nothing here looks at them."""
    monkeypatch.setattr(figures, "band_of_rocs", lambda labels, scores, grid: (0 * grid, grid))
    monkeypatch.setattr(figures, "to_svg", lambda canvas, key: "<svg></svg>")


def data_of(page):
    return json.loads(page.with_suffix(".json").read_text())


def words_of(page):
    return page.with_suffix(".md").read_text()


def damage(name, content):
    def spoil(run, change_json):
        (run / name).write_bytes(content)

    return spoil


def replace(name, *pairs):
    def spoil(run, change_json):
        text = (run / name).read_text()
        for old, new in pairs:
            text = re.sub(old, new, text, count=1)
        (run / name).write_text(text)
        if name == "scores.csv":
            change_json(run / "scores.json", sha256=...)

    return spoil


def remove(name):
    def spoil(run, change_json):
        (run / name).unlink()

    return spoil


def change(name, **changes):
    def spoil(run, change_json):
        change_json(run / name, **changes)

    return spoil


BAD = {
    "no config": (remove("config.json"), "is not a run directory: config.json is missing or damaged"),
    "a damaged config": (damage("config.json", b"{"), "is not a run directory: config.json is missing or damaged"),
    "a config that holds a list": (damage("config.json", b"[1]"), "is not a run directory"),
    "a training that was interrupted": (
        change("config.json", scaling=...),
        "has not ended; run the same train command",
    ),
    "a newer format": (change("config.json", format=2), "was written in format 2, by version 0.1.0"),
    "a format that is no number": (change("config.json", format="1"), "is not a run directory"),
    "no scores": (remove("scores.csv"), "holds no scores.csv; run the same train command to write it"),
    "no provenance": (remove("scores.json"), "is missing or damaged; keep the two files together"),
    "no metrics": (remove("metrics.json"), "metrics.json is missing or damaged"),
    "no history": (remove("history.csv"), "history.csv is missing or damaged"),
    "a NaN among the scores": (
        replace("scores.csv", (r"0\.\d+\n", "nan\n")),
        "the score of 0 is 'nan', not from 0 to 1",
    ),
    "a score above 1": (replace("scores.csv", (r"0\.\d+\n", "1.5\n")), "the score of 0 is '1.5', not from 0 to 1"),
    "a label that is none": (replace("scores.csv", (",1,", ",2,")), "is_lens of 0 is '2'"),
    "an id that occurs twice": (replace("scores.csv", ("\n1,", "\n0,")), "holds 64 rows of 63 ids"),
    "scores of bytes": (damage("scores.csv", b"\0\xff\n\xfe,\n"), "scores.csv is not a score table"),
    "a damaged history": (damage("history.csv", b"\xff\xfe\0,,\n1"), "history.csv is"),
    "a history with a ragged row": (
        replace("history.csv", (r"20\.0\n", "20.0,1,2\n")),
        "is not the history of a training",
    ),
    "an empty history": (damage("history.csv", b""), "history.csv is not the history of a training"),
    "a history of no epoch": (
        damage("history.csv", b"epoch,loss,seconds\n"),
        "history.csv is not the history of a training",
    ),
    "damaged metrics": (damage("metrics.json", b"\xff{"), "metrics.json is missing or damaged"),
    "metrics that hold a list": (damage("metrics.json", b"[]"), "metrics.json is missing or damaged"),
    "metrics nested without end": (damage("metrics.json", b"[" * 99999), "metrics.json is missing or damaged"),
    "a threshold of a word": (change("metrics.json", threshold="high"), "the test fold cannot be evaluated"),
    "a threshold of 7": (change("metrics.json", threshold=7), "the test fold cannot be evaluated: threshold"),
    "damaged weights": (damage("weights.npz", b"PK\3\4"), "cannot read the weights"),
    "a config without its data": (change("config.json", data=...), "config.json lacks a good data"),
    "a config nested without end": (damage("config.json", b"[" * 99999), "is not a run directory"),
    "a table that was cut off": (
        lambda run, _: (run / "scores.csv").write_text("".join((run / "scores.csv").read_text().splitlines(True)[:-1])),
        "scores.csv is not the table",
    ),
}
BAD_PUBLISHED = {
    "a damaged gz": (damage("scores.csv.gz", b"\x1f\x8b\x08 and no more"), "scores.csv.gz is damaged"),
    "a gz that is none": (damage("scores.csv.gz", b"set,id"), "scores.csv.gz is damaged: Not a gzipped file"),
    "a gz that breaks off": (
        lambda run, _: (run / "scores.csv.gz").write_bytes((run / "scores.csv.gz").read_bytes()[:99]),
        "scores.csv.gz is damaged",
    ),
    "no data hash": (change("scores.json", sets={}), "scores.csv.gz is damaged"),
    "no JSON": (remove("scores.json"), "scores.json is missing or damaged"),
}


def check_set_aside(report, good, bad, reason):
    """The bad run is set aside, in one sentence on stderr and on the page; the good one is reported."""
    status, lines, page = report(good, bad)
    assert status == 0
    assert len(lines) == 1 and lines[0].startswith("lens-modern: set aside: ") and reason in lines[0]
    (left_out,) = data_of(page)["left_out"]
    assert left_out["run"] == str(bad) and left_out["reason"] == lines[0].removeprefix("lens-modern: set aside: ")
    assert [run["name"] for run in data_of(page)["runs"]] == ["good"]
    assert "1 of 2 runs were set aside" in words_of(page)


@pytest.mark.parametrize("what", BAD)
def test_a_run_is_set_aside_for(what, make_run, change_json, report, tmp_path):
    spoil, reason = BAD[what]
    good, bad = make_run(tmp_path / "good", seed=2), make_run(tmp_path / "bad")
    spoil(bad, change_json)
    check_set_aside(report, good, bad, reason)


@pytest.mark.parametrize("what", BAD_PUBLISHED)
def test_a_published_run_is_set_aside_for(what, make_run, publish_run, change_json, report, tmp_path):
    spoil, reason = BAD_PUBLISHED[what]
    good, bad = make_run(tmp_path / "good", seed=2), publish_run(make_run(tmp_path / "run"), tmp_path / "bad")
    spoil(bad, change_json)
    check_set_aside(report, good, bad, reason)


def test_a_liar_is_set_aside_on_the_page(twins, change_json, report):
    change_json(twins[1] / "metrics.json", true_positives=19)
    status, lines, page = report(*twins)
    assert status == 0 and "metrics.json says true_positives 19" in lines[0]
    assert "metrics.json says true_positives 19" in words_of(page)


def refuse(capsys, *arguments):
    """The one sentence of a command that ends with 2."""
    try:
        status = main(["report", *map(str, arguments)])
    except SystemExit as ended:
        status = ended.code
    said = capsys.readouterr()
    assert status == 2 and said.out == ""
    (sentence,) = said.err.splitlines()
    return sentence


def test_no_run_is_refused(tmp_path, capsys):
    assert "RUN" in refuse(capsys, "--out", tmp_path / "page.html")


def test_no_out_is_refused(tmp_path, capsys):
    assert "--out" in refuse(capsys, tmp_path)


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    sentence = refuse(capsys, tmp_path, "--out", tmp_path / "out" / "page.html")
    assert sentence.startswith(f"lens-modern: no run to report of: {tmp_path} is not a run directory")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_there_is_refused(tmp_path, capsys):
    assert "is not a run directory" in refuse(capsys, tmp_path / "nothing", "--out", tmp_path / "page.html")


def test_runs_that_are_all_bad_are_refused_and_leave_the_page_of_before(twins, capsys, tmp_path):
    before = '<meta name="generator" content="lens-twins">'
    (tmp_path / "page.html").write_text(before)
    for run in twins:
        (run / "metrics.json").unlink()
    assert "no run to report of: " in refuse(capsys, *twins, "--out", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == before


@pytest.mark.parametrize("name", ["page.htm", "page", "page.html.gz"])
def test_an_out_of_another_ending_is_refused(twins, name, capsys, tmp_path):
    assert f"--out must end in .html, got {tmp_path / name}" in refuse(capsys, *twins, "--out", tmp_path / name)


@pytest.mark.parametrize("margin", ["0", "1", "1.5", "-0.1", "nan"])
def test_a_margin_outside_its_range_is_refused(twins, margin, capsys, tmp_path):
    sentence = refuse(capsys, *twins, "--out", tmp_path / "page.html", f"--margin={margin}")
    assert f"--margin must lie between 0 and 1, got {float(margin)}" in sentence


def test_an_out_that_cannot_be_written_is_refused(twins, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in refuse(capsys, *twins, "--out", tmp_path / "file" / "page.html")


def test_one_run_is_a_report_without_pairs(make_run, report, tmp_path):
    status, lines, page = report(make_run(tmp_path / "run"))
    assert (status, lines) == (0, [])
    assert words_of(page).startswith("# Report of 1 run\n") and "Side by side" not in words_of(page)


@pytest.mark.parametrize("spelling", ["{}", "{}/", "{}/../run", "link"])
def test_a_run_named_twice_is_reported_once(spelling, make_run, report, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path / "run")
    (tmp_path / "link").symlink_to(run)
    status, lines, page = report(run, spelling.format(run))
    assert (status, lines) == (0, [])
    assert len(data_of(page)["runs"]) == 1


def test_a_copy_of_a_run_is_set_aside(make_run, report, tmp_path):
    good = make_run(tmp_path / "good")
    copy = shutil.copytree(good, tmp_path / "copy")
    check_set_aside(report, good, copy, f"{copy} holds the same model as {good}, which counts once")


def test_runs_are_reported_in_the_order_given(make_run, report, tmp_path):
    runs = [make_run(tmp_path / name, seed=seed) for seed, name in enumerate("bca", 1)]
    assert [run["name"] for run in data_of(report(*runs, runs[0])[2])["runs"]] == ["b", "c", "a"]


def test_two_runs_of_other_models_are_a_pair(make_run, report, tmp_path):
    runs = [make_run(tmp_path / model, model=model, seed=seed) for seed, model in enumerate(("cnn", "resnet"), 1)]
    status, _, page = report(*runs)
    assert status == 0
    assert "### CNN, legacy, seed 1, against ResNet, legacy, seed 2" in words_of(page)


def test_twins_are_compared_by_the_difference_of_their_aurocs(twins, report):
    _, _, page = report(*twins[::-1], options=["--margin", "0.5"])
    areas = [json.loads((run / "metrics.json").read_text())["auroc"] for run in twins]
    assert "the two are equivalent within 0.5 in AUROC" in words_of(page)
    row = data_of(page)["tables"]["pair-1-numbers"]["rows"][0]
    assert row["difference (DeLong, 90 %)"].startswith(f"{areas[1] - areas[0]:+.5f} [")


def test_a_margin_that_is_too_small_shows_no_equivalence(twins, report):
    _, _, page = report(*twins, options=["--margin", "1e-9"])
    assert "are not shown to be equivalent within 1e-09" in words_of(page)


def test_a_set_of_other_data_is_not_compared_and_the_page_says_so(make_run, report, draw_scores, change_json, tmp_path):
    sets = {"mocks": draw_scores(20, 6)}
    runs = [make_run(tmp_path / framework, framework=framework, sets=sets) for framework in ("legacy", "modern")]
    change_json(runs[1] / "scores-mocks.json", data_hash="b" * 64)
    status, lines, page = report(*runs)
    assert (status, lines) == (0, [])
    assert (
        "Not compared on the mocks: legacy scored 20 stamps of the data aaaaaaaaaaaa as mocks, "
        "modern 20 of bbbbbbbbbbbb; score the same folder with both."
    ) in words_of(page)
    assert [row["set"] for row in data_of(page)["tables"]["pair-1-numbers"]["rows"]] == ["own test fold"]


def test_runs_that_share_nothing_are_not_compared_and_the_page_says_so(make_run, report, tmp_path):
    status, _, page = report(*(make_run(tmp_path / name, data=name, seed=seed) for seed, name in enumerate("ab", 1)))
    assert status == 0
    assert "Not compared on the own test fold: a scored 40 stamps of the data aaaaaaaaaaaa" in words_of(page)
    assert "pair-1-numbers" not in data_of(page)["tables"]


def test_labels_that_differ_are_not_compared_and_the_page_says_so(make_run, report, tmp_path):
    labels = np.arange(64) % 2 == 0
    other = labels.copy()
    other[:2] = other[1::-1]
    runs = [
        make_run(tmp_path / framework, framework=framework, labels=found)
        for framework, found in (("legacy", labels), ("modern", other))
    ]
    status, _, page = report(*runs)
    assert status == 0
    assert "legacy and modern disagree on the labels of test; score it again with both." in words_of(page)


@pytest.mark.parametrize("n_lenses", [0, 1, 20])
def test_a_set_of_too_few_of_a_class_leaves_the_other_sets_compared(n_lenses, make_run, report, tmp_path):
    labels = np.arange(20) < n_lenses
    sets = {"odd": (labels, np.linspace(0.1, 0.9, 20))}
    runs = [
        make_run(tmp_path / f"{framework}{seed}", framework=framework, seed=seed, sets=sets)
        for framework in ("legacy", "modern")
        for seed in (1, 2)
    ]
    status, lines, page = report(*runs)
    assert (status, lines) == (0, [])
    assert "Not compared on the odd: " in words_of(page)
    assert [row["set"] for row in data_of(page)["tables"]["pair-1-numbers"]["rows"]] == ["own test fold"]
    assert "nan" not in words_of(page)


def test_a_run_of_another_mode_is_no_twin(make_run, tmp_path):
    runs = [
        read_run(make_run(tmp_path / name, framework=framework, mode=mode))
        for name, framework, mode in (
            ("a", "legacy", "faithful"),
            ("b", "modern", "idiomatic"),
            ("c", "modern", "faithful"),
        )
    ]
    assert find_pairs(runs) == [(runs[0], runs[2])]


def test_a_mode_that_was_never_written_is_faithful(twins, change_json):
    change_json(twins[0] / "config.json", mode=...)
    runs = [read_run(run) for run in twins]
    assert find_pairs(runs) == [tuple(runs)]


def test_twins_come_legacy_first(twins):
    legacy, modern = map(read_run, twins)
    assert find_pairs([modern, legacy]) == [(legacy, modern)]


def test_other_seeds_are_no_twins(make_run, tmp_path):
    runs = [
        read_run(make_run(tmp_path / f"{framework}{seed}", seed=seed, framework=framework))
        for framework, seed in (("legacy", 1), ("modern", 2), ("modern", 3))
    ]
    assert find_pairs(runs) == []


def test_two_runs_without_a_twin_are_a_pair_and_three_are_none(make_run, tmp_path):
    runs = [read_run(make_run(tmp_path / f"{seed}", seed=seed)) for seed in (1, 2, 3)]
    assert find_pairs(runs[:2]) == [(runs[0], runs[1])]
    assert find_pairs(runs) == [] and find_pairs(runs[:1]) == []


def test_a_group_differs_in_the_seed_only(make_run, change_json, tmp_path):
    def made(name, **settings):
        return make_run(tmp_path / name, **settings)

    defective = made("d", seed=4)
    change_json(defective / "config.json", defects=["sign_clip"])
    folders = [made("a"), made("b", framework="modern"), made("c", seed=2), defective, made("e", data="b", seed=5)]
    runs = [read_run(folder) for folder in folders]
    groups = group_by_seed(runs)
    assert [[run.name for run in group.runs] for group in groups] == [["a", "c"], ["b"], ["d"], ["e"]]
    assert [group.name for group in groups] == ["CNN, legacy", "CNN, modern", "CNN, legacy, sign_clip", "CNN, legacy"]


def once_for_each_scores(metric):
    known = {}

    def look_up(labels, scores, *threshold):
        key = scores.tobytes()
        if key not in known:
            known[key] = metric(labels, scores, *threshold)
        return known[key]

    return look_up


def test_a_thousand_runs_make_a_page_that_one_can_open(make_run, change_json, report, tmp_path, monkeypatch):
    for name in ("auroc", "auroc_interval", "evaluate_scores"):  # the runs have the same scores: once is enough
        monkeypatch.setattr(reading, name, once_for_each_scores(getattr(reading, name)))
    first = make_run(tmp_path / "runs" / "0", weights=False)
    runs = [first]
    for number in range(1, 1000):
        run = tmp_path / "runs" / f"{number}"
        run.mkdir()
        for path in first.iterdir():
            if path.name in ("history.csv", "environment.json", "scores.csv"):
                os.link(path, run / path.name)
            else:
                shutil.copyfile(path, run / path.name)
        change_json(run / "config.json", seed=number // 2, framework=("legacy", "modern")[number % 2])
        for name in ("metrics.json", "scores.json"):
            change_json(run / name, model_hash=f"{number}")
        runs.append(run)
    status, lines, page = report(*runs)
    assert (status, lines) == (0, [])
    assert len(data_of(page)["runs"]) == 1000
    assert page.stat().st_size < 5e6
    assert "500 pairs of twins; the first 6 are shown." in words_of(page)
