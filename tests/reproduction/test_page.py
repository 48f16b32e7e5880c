"""The page of the reproduction: one set of bytes for one set of runs, and no figure that the runs do not hold."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tomllib

from experiments.reproduction import forensics, ledger, page, stored

ROOT = Path(__file__).parents[2]
LEGACY, MODERN = "cnn-2000-mended-legacy-seed1", "cnn-2000-mended-modern-seed1"
OTHER_SEED = "cnn-2000-mended-modern-seed2"
BAD = "cnn-2000-class_overwrite+validate_on_train-modern-seed1"
FORMS = (".html", ".md", ".json")


@pytest.fixture(scope="session")
def numbers(reproduction_page):
    """The JSON of the page made of all stored runs."""
    return json.loads(reproduction_page.with_suffix(".json").read_text())


def refusal(capsys, results, tmp_path):
    """The one sentence that a set of runs ends in."""
    assert page.main([str(results), str(tmp_path / "out.html")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("page: ") and error.count("\n") == 1, error
    assert not (tmp_path / "out.html").exists()
    return error


# One set of bytes.


def test_the_same_runs_give_the_same_bytes_to_another_process(copy_runs, tmp_path):
    results = copy_runs(LEGACY, MODERN)
    assert page.main([str(results), str(tmp_path / "one.html")]) == 0
    # Another order of sets and dicts, another clock, another language, another folder.
    elsewhere = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LANG": "de_DE.UTF-8", "OMP_NUM_THREADS": "1"}
    packages = os.pathsep.join(str(ROOT / name) for name in ("", "common", "modern"))
    subprocess.run(
        [sys.executable, "-m", "experiments", "reproduction.page", results, tmp_path / "b" / "two.html"],
        env={**os.environ, **elsewhere, "PYTHONPATH": packages},
        cwd=tmp_path,
        check=True,
    )
    for form in FORMS:
        one, two = (tmp_path / name for name in ("one", "b/two"))
        assert one.with_suffix(form).read_bytes() == two.with_suffix(form).read_bytes(), form


@pytest.mark.parametrize("form", FORMS)
def test_the_page_names_no_path_of_the_machine(reproduction_page, form):
    text = reproduction_page.with_suffix(form).read_text()
    text = re.sub(r'base64,[^"]*', "", text)
    assert re.findall(r"(?<![\w.<])/(?:work|tmp|root|home|usr)\b.{0,40}", text) == []


# Lies.


@pytest.mark.parametrize(
    "key",
    [
        "auroc", "auroc_low", "auroc_high", "accuracy", "completeness", "purity", "contamination",
        "false_positive_rate", "tpr_at_fpr_0.01", "n_stamps", "n_lenses", "true_positives", "false_negatives",
    ],
)  # fmt: skip
def test_a_digit_changed_in_a_stored_metric_ends_in_a_sentence(copy_runs, tmp_path, capsys, helpers, key):
    results = copy_runs(MODERN)
    path = results / MODERN / "metrics.json"
    value = json.loads(path.read_text())[key]
    changed = value + (1 if isinstance(value, int) else 1e-4)
    helpers.change_json(path, **{key: changed})
    assert f"metrics.json says {key} " in refusal(capsys, results, tmp_path)


def swap(results, first, second, *names):
    for name in names:
        one, other = (results / run / name for run in (first, second))
        kept = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(kept)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["scores.csv.gz"], "is not the table that scores.json was written for"),
        (["scores.csv.gz", "scores.json"], "metrics.json is of the model"),
        (["scores.csv.gz", "scores.json", "metrics.json"], "they are of two trainings"),
    ],
)
def test_scores_of_another_seed_end_in_a_sentence(copy_runs, tmp_path, capsys, names, said):
    results = copy_runs(MODERN, OTHER_SEED)
    swap(results, MODERN, OTHER_SEED, *names)
    assert said in refusal(capsys, results, tmp_path)


@pytest.mark.parametrize("other", [LEGACY, OTHER_SEED, BAD])
def test_a_run_under_the_name_of_another_ends_in_a_sentence(copy_runs, tmp_path, capsys, other):
    results = copy_runs(MODERN)
    (results / MODERN).rename(results / other)
    assert other in refusal(capsys, results, tmp_path)


def test_a_set_of_other_stamps_under_the_same_name_ends_in_a_sentence(copy_runs, tmp_path, capsys, helpers):
    results = copy_runs(LEGACY, MODERN, sets=("validation", "test", "mocks"))
    about = json.loads((results / MODERN / "scores.json").read_text())
    about["sets"]["mocks"]["data_hash"] = "0" * 64
    helpers.change_json(results / MODERN / "scores.json", **about)
    said = refusal(capsys, results, tmp_path)
    assert "as mocks" in said and "000000000000" in said


@pytest.mark.parametrize("damage", ["empty", "no gzip", "cut", "at its head", "in the middle"])
@pytest.mark.parametrize("name", ["stamps.csv.gz", f"{MODERN}/scores.csv.gz"])
def test_a_damaged_table_ends_in_a_sentence(copy_runs, tmp_path, capsys, name, damage):
    results = copy_runs(MODERN)
    path = results / name
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "empty": b"",
            "no gzip": b"set,id,is_lens,score\n",
            "cut": whole[:middle],
            "at its head": whole[:10] + b"\xff" * 4 + whole[14:],
            "in the middle": whole[:middle]
            + bytes(byte ^ 0x55 for byte in whole[middle : middle + 9])
            + whole[middle + 9 :],
        }[damage]
    )
    assert path.name in refusal(capsys, results, tmp_path)


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "scores.json", "history.csv"])
@pytest.mark.parametrize("content", ["", "{", "[]", None])
def test_a_damaged_file_of_a_run_ends_in_a_sentence(copy_runs, tmp_path, capsys, name, content):
    results = copy_runs(MODERN)
    if content is None:
        (results / MODERN / name).unlink()
    else:
        (results / MODERN / name).write_text(content)
    refusal(capsys, results, tmp_path)


@pytest.mark.parametrize("name", ["probe-legacy-pics.json", "panels.npz", "radial/scores-mocks.csv.gz"])
def test_a_damaged_file_beside_the_runs_ends_in_a_sentence(copy_runs, tmp_path, capsys, name):
    results = copy_runs(MODERN)
    (results / name).parent.mkdir(exist_ok=True)
    (results / name).write_text("{")
    assert Path(name).name in refusal(capsys, results, tmp_path)


def test_an_empty_folder_ends_in_a_sentence(tmp_path, capsys):
    (tmp_path / "results").mkdir()
    assert "holds no run of the plan" in refusal(capsys, tmp_path / "results", tmp_path)
    assert "holds no run of the plan" in refusal(capsys, tmp_path / "nowhere", tmp_path)


def test_a_page_of_another_kind_of_file_is_refused(stored_results, tmp_path, capsys):
    assert page.main([str(stored_results), str(tmp_path / "out.pdf")]) == 2
    assert "must end in .html" in capsys.readouterr().err


# What it says.


def test_every_claim_has_a_finding_and_every_finding_a_claim():
    entries = tomllib.loads((ROOT / "experiments" / "reproduction" / "claims.toml").read_text())["claims"]
    keys = [entry["key"] for entry in entries]
    assert len(set(keys)) == len(keys)
    assert set(keys) == set(ledger.FINDINGS)


def test_every_claim_has_a_row_with_one_of_four_statuses(numbers):
    rows = numbers["tables"]["ledger"]["rows"]
    entries = tomllib.loads((ROOT / "experiments" / "reproduction" / "claims.toml").read_text())["claims"]
    assert [row["claim"] for row in rows] == [entry["claim"] for entry in entries]
    statuses = ("reproduced", "not reproduced", "not testable here", "not run yet")
    assert [row["status"] for row in rows if not row["status"].startswith(statuses)] == []
    assert list(numbers["claims"].values()) == [row["status"] for row in rows]


def test_the_ledger_shows_only_runs_that_are_stored(numbers, stored_results):
    shown = {
        name
        for row in numbers["tables"]["ledger"]["rows"]
        for name in re.findall(r"`([^`]+)`", row["runs that show it"])
    }
    stored_names = {path.name for path in stored_results.iterdir()}
    assert len(shown) > 5 and shown - stored_names == set()


def fractions_near(value, half_a_digit):
    """(Numerator, denominator) of all fractions with a denominator up to 400, as many as there were stamps."""
    return [
        (above, below)
        for below in range(1, 401)
        for above in range(below + 1)
        if abs(above / below - value) < half_a_digit
    ]


def test_the_two_published_figures_are_fractions_of_201_and_235():
    # Rounded to float32, as they were printed: 6e-8 is one step of it at one half.
    assert fractions_near(0.6069652, 6e-8) == [(122, 201)]
    assert fractions_near(0.51914895, 6e-8) == [(122, 235)]


def test_the_purity_table_has_the_rates_worked_out_by_hand(numbers):
    rows = numbers["tables"]["purity-table"]["rows"]
    assert [(row["counts"], row["value"]) for row in rows] == [
        ("122 / 201", "0.6069652"),
        ("122 / 235", "0.51914895"),
        ("113 / 235", "0.481"),  # 1 - 0.519
        ("113 / 199", "0.568"),  # 400 - 201 = 199 non-lenses
        ("", "0.562"),  # 0.6069652 * 0.48085105 / 0.51914895 = 0.56219
    ]


def test_the_cells_add_up_to_the_plan_and_to_the_stored_runs(numbers, stored_results):
    counts = [
        [int(number) for number in cell.split(" of ")]
        for row in numbers["tables"]["cells"]["rows"]
        for cell in (row["legacy"], row["modern"])
        if cell != "-"
    ]
    # 174 of the full profile, and the legacy twin of the short ResNet of the quick one.
    assert sum(planned for _, planned in counts) == 175
    n_stored = sum((path / "config.json").exists() for path in stored_results.iterdir())
    assert sum(done for done, _ in counts) == n_stored == numbers["n_runs"]
    assert all(done <= planned for done, planned in counts)
    assert len(numbers["tables"]["all-runs"]["rows"]) == n_stored
    # Beside the runs: a probe of each side and scaling, four of networks fitted before, the regression, the maps.
    assert len(numbers["tables"]["commands"]["rows"]) == n_stored + 4 + 4 + 1 + 1
    scripts = [
        row["command"]
        for row in numbers["tables"]["commands"]["rows"]
        if row["command"].startswith("`python -m experiments")
    ]
    assert [re.match(r"`python -m experiments reproduction\.(\w+)", script)[1] for script in scripts] == [
        "probe"
    ] * 8 + ["radial", "gallery"]


def test_each_reason_names_the_runs_that_it_rests_on(numbers, stored_results):
    names = {re.sub("-(legacy|modern)-seed.*", "", path.name) for path in stored_results.iterdir()}
    rows = numbers["tables"]["reasons-table"]["rows"]
    assert len(rows) == 6
    for row in rows:
        assert row["outcome"] in ("refuted", "partly true", "open")
        shown = set(re.findall(r"`([^`]+)`", row["runs"]))
        assert shown and shown <= names, row["reason given in 2018"]


def test_the_filter_is_compared_over_the_same_seeds(numbers, stored_results):
    study = stored.read_study(stored_results)
    changes = {row["run, set"]: row["change"] for row in numbers["tables"]["filter-training"]["rows"]}
    for what, defects in (("mended", "mended"), ("raw counts", "raw_pixels"), ("class overwritten", "class_overwrite")):
        for name, title in (("mocks", "mocks"), ("pics", "PICS mocks")):
            means = [
                np.mean([stored_auroc(study.runs[f"{stem}-{defects}-modern-seed{i}"].sets[name]) for i in (1, 2, 3)])
                for stem in ("cnn-2000", "cnn-2000-filtered")
            ]
            assert changes[f"CNN, {what}, {title}"].startswith(f"{means[1] - means[0]:+.3f} [")


def test_a_page_of_one_run_says_what_was_not_run(copy_runs, tmp_path):
    results = copy_runs(MODERN, sets=("validation", "test", "mocks"))
    assert page.main([str(results), str(tmp_path / "out.html")]) == 0
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["claims"]["resnet_purity"] == found["claims"]["cnn_20000"] == "not run yet"
    lead = found["verdict"]
    assert "(AUROC ;" not in lead and "AUROC of  on" not in lead


def test_twins_of_one_seed_count_as_one_sample(copy_runs):
    study = stored.read_study(copy_runs(LEGACY, MODERN, OTHER_SEED))
    both = study.estimate("pics", "cnn", 2000, ())
    # Seed 1 is legacy's, seed 2 modern's.
    values = [stored_auroc(study.runs[name].sets["pics"]) for name in (LEGACY, OTHER_SEED)]
    assert sorted(both.values) == pytest.approx(sorted(values))


def stored_auroc(values):
    """Share of pairs of lens and non-lens that are in order, ties for half: AUROC by its meaning."""
    above = values.scores[values.labels][:, None] - values.scores[~values.labels][None, :]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


@pytest.mark.parametrize(
    ("defects", "model", "said"),
    [
        ((), "cnn", "none"),
        (("raw_pixels",), "cnn", "raw_pixels"),
        (("class_overwrite", "validate_on_train", "raw_pixels"), "cnn", "all"),
        (("validate_on_train", "raw_pixels"), "cnn", "all but class_overwrite"),
        (("class_overwrite", "validate_on_train", "sign_clip", "rate_never_drops"), "resnet", "all"),
        (stored.RESNET_ON_PYTHON_2, "resnet", "all, had it run on Python 2"),
        (("class_overwrite", "sign_clip", "rate_never_drops"), "resnet", "all but validate_on_train"),
        (("validate_on_train", "sign_clip"), "resnet", "validate_on_train + sign_clip"),
    ],
)
def test_mistakes_are_told_briefly(defects, model, said):
    assert forensics.spelled_defects(defects, model) == said


def test_copying_a_run_leaves_it_whole(copy_runs, stored_results):
    """The helper of these tests: a copied run without its large sets passes every check of the page."""
    results = copy_runs(MODERN)
    assert [*stored.read_study(results).runs] == [MODERN]
    shutil.rmtree(results)
    assert (stored_results / MODERN / "scores.csv.gz").exists()
