"""The pages of the reproduction: one set of bytes for one set of runs, and no figure that the runs do not hold."""

import copy
import html
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
from markdown_it import MarkdownIt

from experiments.reproduction import forensics, page, stored
from lens_modern.report import claims

ROOT = Path(__file__).parents[2]
LEGACY, MODERN = "cnn-2000-mended-legacy-seed1", "cnn-2000-mended-modern-seed1"
OTHER_SEED = "cnn-2000-mended-modern-seed2"
BAD = "cnn-2000-class_overwrite+validate_on_train-modern-seed1"
BESIDE = ("story.html", "appendix.html", "ledger.json")
DATA = ROOT / "experiments" / "reproduction"


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
    assert page.main([str(results), str(tmp_path / "a" / "page.html")]) == 0
    # Another order of sets and dicts, another clock, another language, another folder.
    elsewhere = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LANG": "de_DE.UTF-8", "OMP_NUM_THREADS": "1"}
    packages = os.pathsep.join(str(ROOT / name) for name in ("", "common", "modern"))
    subprocess.run(
        [sys.executable, "-m", "experiments", "reproduction.page", results, tmp_path / "b" / "page.html"],
        env={**os.environ, **elsewhere, "PYTHONPATH": packages},
        cwd=tmp_path,
        check=True,
    )
    for name in ("page.html", "page.md", "page.json", *BESIDE):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_the_published_pages_are_what_the_stored_runs_give(reproduction_page):
    for name in ("reproduction.md", "ledger.json"):
        published = (ROOT / "docs" / name).read_text()
        assert published == reproduction_page.with_name(name).read_text(), f"{name}: run `make reproduce`"


@pytest.mark.parametrize("name", ["reproduction.html", "reproduction.md", "reproduction.json", *BESIDE])
def test_the_pages_name_no_path_of_the_machine(reproduction_page, name):
    text = reproduction_page.with_name(name).read_text()
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


@pytest.fixture(scope="session")
def ledger(reproduction_page):
    """The ledger as data."""
    return json.loads(reproduction_page.with_name("ledger.json").read_text())


def undrawn(path):
    """HTML of a page without its head and the insides of drawings."""
    return re.sub(r"<(svg|style|head)\b.*?</\1>", " ", path.read_text(), flags=re.DOTALL)


def words_of(path):
    """Words of a page as a reader counts them: all text but that inside of drawings."""
    return html.unescape(re.sub(r"<[^>]+>", " ", undrawn(path))).split()


def test_the_story_has_five_figures_and_at_most_600_words(reproduction_page):
    story = reproduction_page.with_name("story.html")
    assert story.read_text().count("<figure ") == 5
    assert 300 < len(words_of(story)) <= 600


# What a reader should be able to say after two minutes, and where the story says it.
QUESTIONS = {
    "Why did the ResNet fail?": (
        "A line of code overwrote every non-lens with a lens, so both classes held the same pictures",
        ["wrote a lens over every non-lens", "saw each lens twice, under both labels", "nothing left to learn"],
    ),
    "Why did the CNN fail?": (
        "Raw counts drove it to full certainty, where the clipped loss is flat: it had no slope to learn from",
        ["raw counts", "answered every picture alike with full certainty", "Beyond the clip it is flat", "8.0151"],
    ),
    "What is the 52 %?": (
        "A purity, not a false positive rate: 52 % of what it called lenses were lenses. The rate was 57 %",
        ["The false positive rate reported in 2018 is not one", "It is the purity", "was 57 %"],
    ),
    "Does the framework matter?": (
        "No: Theano and PyTorch, trained alike, give each picture the same score",
        ["Theano (used in 2018) and PyTorch (used today), trained alike, give each picture the same score"],
    ),
    "What are the figures worth?": (
        "Little: a formula that sees no arc does as well; where only lensing differs the networks fall; no real images",
        [
            "less than they seem",
            "cannot see an arc, reaches 0.94",
            "the ResNet falls to 0.50, the CNN to 0.61",
            "None was tested on real images",
        ],
    ),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_story_alone_answers_five_questions(reproduction_page, question):
    text = bare(undrawn(reproduction_page.with_name("story.html")))
    for words in QUESTIONS[question][1]:
        assert words in text, words


def test_the_referees_page_has_at_most_5000_words(reproduction_page):
    assert 2000 < len(words_of(reproduction_page)) <= 5000
    assert len(reproduction_page.with_suffix(".md").read_text().split()) <= 5000


@pytest.mark.parametrize("name", ["story.html", "reproduction.html", "appendix.html"])
def test_a_page_takes_less_than_3_megabytes(reproduction_page, name):
    assert reproduction_page.with_name(name).stat().st_size < 3e6


def test_the_referees_page_names_every_defect_by_its_key(reproduction_page):
    text = reproduction_page.with_suffix(".md").read_text()
    for key in ("class_overwrite", "validate_on_train", "sign_clip", "rate_never_drops", "raw_pixels", "purity_as_fpr"):
        assert f"`{key}`" in text, key


def test_every_figure_and_table_names_its_data_script_and_command(reproduction_page):
    for name in ("story.html", "reproduction.html", "appendix.html"):
        text = reproduction_page.with_name(name).read_text()
        parts = re.split(r'(?=<figure id="|<(?:div|details) class="(?:table|gallery))', text)[1:]
        lacking = [re.search(r'id="([^"]+)"', part)[1] for part in parts if "Script:" not in part]
        assert lacking == [], name


def test_every_claim_has_a_row_with_its_status_rule_and_runs(numbers, ledger, stored_results):
    rows = numbers["tables"]["ledger"]["rows"]
    assert len(rows) == len(ledger["claims"]) == 27
    assert [row["status"] for row in rows] == [entry["status"] for entry in ledger["claims"]]
    stored_names = {path.name for path in stored_results.rglob("*")} | {"radial/scores-mocks.csv.gz"}
    for row, entry in zip(rows, ledger["claims"]):
        assert set(entry["runs"]) <= stored_names
        assert bool(row["rule"]) == bool(entry["tests"]) == bool(entry["tests"] and entry["runs"]), entry["key"]


def test_the_readme_counts_what_the_ledger_holds(ledger):
    readme = " ".join((ROOT / "README.md").read_text().split())
    outcomes = [entry["status"] for entry in ledger["hypotheses"] if "quote" in entry]
    words = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight"]
    refuted, partly, still_open = (words[outcomes.count(kind)] for kind in ("refuted", "partly true", "open"))
    n_runs = ledger["figures"]["plan.done"]["text"]
    assert f"sets {len(ledger['claims'])} claims and {len(outcomes)} reasons of 2018 against {n_runs} runs" in readme
    assert f"{refuted} are refuted, {partly} half right, {still_open} is open" in readme


def test_claims_that_no_run_can_settle_say_why(ledger):
    for entry in ledger["claims"]:
        assert entry["tests"] or len(entry["cause"].split()) > 4, entry["key"]


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
    # 183 of the full profile, and the legacy twin of the short ResNet of the quick one.
    assert sum(planned for _, planned in counts) == 204
    n_stored = sum((path / "config.json").exists() for path in stored_results.iterdir())
    assert sum(done for done, _ in counts) == n_stored
    assert all(done <= planned for done, planned in counts)
    assert len(numbers["tables"]["all-runs"]["rows"]) == n_stored
    # Beside the runs: a probe of each side and scaling, four of networks fitted before, the regression, maps, stamps.
    assert len(numbers["tables"]["commands"]["rows"]) == n_stored + 4 + 4 + 1 + 1 + 1
    scripts = [
        row["command"]
        for row in numbers["tables"]["commands"]["rows"]
        if row["command"].startswith("`python -m experiments")
    ]
    assert [re.match(r"`python -m experiments reproduction\.(\w+)", script)[1] for script in scripts] == [
        "probe"
    ] * 8 + ["radial", "gallery", "shown"]


def test_each_reason_has_an_outcome_and_runs(ledger, stored_results):
    names = {path.name for path in stored_results.iterdir()}
    quoted = [entry for entry in ledger["hypotheses"] if "quote" in entry]
    assert len(quoted) == 8 and len(ledger["hypotheses"]) == 9
    for entry in ledger["hypotheses"]:
        assert entry["status"] in ("refuted", "partly true", "open")
        assert entry["runs"] and set(entry["runs"]) <= names, entry["key"]


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
    found = {entry["key"]: entry["status"] for entry in json.loads((tmp_path / "ledger.json").read_text())["claims"]}
    assert found["resnet_purity"] == found["cnn_20000"] == "not run yet"
    lead = (tmp_path / "out.md").read_text().partition("## ")[0]
    assert "not at fault" not in lead, "a sentence whose runs are missing is left out"


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


# Every number in prose is a figure of the ledger.


class Stored:
    """A figure of ledger.json, spelled as the pages spell it."""

    def __init__(self, entry):
        self.entry = entry

    def spell(self, form=""):
        return self.entry.get(form or "text", self.entry["text"])


def sentences():
    """Every text of the pages that has figures, by name: of `words.toml`, and of the claims."""
    found = {
        f"{section}.{name}": stored.template(f"{section}.{name}")
        for section, words in stored.WORDS.items()
        for name in (words if section != "needs" else ())
    }
    content = tomllib.loads((DATA / "claims.toml").read_text())
    for entry in [*content["claims"], *content["hypotheses"]]:
        found |= {f"{entry['key']}.{part}": entry[part] for part in ("cause", "says") if part in entry}
        found |= {f"{entry['key']}.shows{i}": text for i, text in enumerate(entry.get("shows", ()))}
    return {name: text for name, text in found.items() if claims.names_in(text)}


def bare(markup):
    """The words of HTML, without its tags."""
    text = re.sub(r"</?(a|code|em|strong)\b[^>]*>", "", markup)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def contradicted(ledger, pages):
    """Names of the sentences that the pages do not hold as the ledger's figures make them."""
    figures = {name: Stored(entry) for name, entry in ledger["figures"].items()}
    return [
        name for name, text in sentences().items() if bare(MarkdownIt().render(claims.fill(text, figures))) not in pages
    ]


@pytest.fixture(scope="session")
def text_of_pages(reproduction_page):
    """The words of all three pages."""
    names = ("story.html", "reproduction.html", "appendix.html")
    return "\n".join(bare(undrawn(reproduction_page.with_name(name))) for name in names)


def test_every_sentence_says_what_the_ledger_holds(ledger, text_of_pages):
    assert len(sentences()) > 50
    assert contradicted(ledger, text_of_pages) == []


def test_a_tampered_figure_is_contradicted_by_every_sentence_that_names_it(ledger, text_of_pages):
    used = {}
    for sentence, text in sentences().items():
        for name in claims.names_in(text):
            used.setdefault(name, set()).add(sentence)
    assert len(used) > 80
    for name, expected in used.items():
        tampered = copy.deepcopy(ledger)
        for key in ("text", "interval", "seeds"):
            if key in tampered["figures"][name]:
                tampered["figures"][name][key] = "0.4242"
        assert set(contradicted(tampered, text_of_pages)) == expected, name


# Settings, versions and constants of a definition; whatever a run measured is a figure.
SETTINGS = {
    "0.5", "0.001", "0.01", "0.05", "0.1", "0.02", "0.003", "1.75", "0.71", "1.0.11", "1.0", "0.2", "2.3.1", "3.8",
    "3.6",
}  # fmt: skip


def test_no_sentence_holds_a_measured_number_by_itself():
    for name, text in sentences().items():
        outside = re.sub(r"\{[^{}]*\}|`[^`]*`|arXiv:\S+", " ", text)
        assert set(re.findall(r"\d+(?:\.\d+)+", outside)) <= SETTINGS, name


def test_figures_of_the_shipped_networks_are_those_that_were_measured():
    networks = json.loads((ROOT / "results/models/networks.json").read_text())["networks"]
    pairs = json.loads((ROOT / "results/models/pairs.json").read_text())["networks"]
    figures = tomllib.loads((ROOT / "experiments/reproduction/claims.toml").read_text())["figures"]
    assert figures["shipped.leak"]["value"] == round(networks["resnet"]["sets"]["leak-controlled"]["auroc"], 3)
    assert figures["shipped.pairs"]["value"] == round(pairs["resnet"][0]["outranks"], 3)
