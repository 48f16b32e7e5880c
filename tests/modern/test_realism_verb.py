"""The verb ``realism`` from files to page: what it says, and what it refuses in one sentence."""

import json

import numpy as np
import pytest
from astropy.io import fits

from lens_modern.cli import main
from lens_modern.realism import forest, verb
from lens_modern.realism.features import NAMES
from lens_modern.report import figures

SIDE = 45
PAIR = {"lensed": 24, "unlensed": 24}
ONE = {"lensed": 24}


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """Small forests, no drawings, and a cache of the test's own."""
    monkeypatch.setattr(forest, "N_TREES", 20)
    monkeypatch.setattr(forest, "INNER_TREES", 2)
    monkeypatch.setattr(figures, "to_svg", lambda canvas, key: f"<svg>{key}</svg>")
    monkeypatch.setattr(verb, "SEEDS", (1,))
    monkeypatch.setenv("LENS_CACHE", str(tmp_path / "cache"))


def write_set(folder, counts, seed, side=SIDE, noise=3.0, second=0.0):
    """A data set of noise with a galaxy near the middle, and with a second object of so many counts farther out."""
    random = np.random.default_rng(seed)
    row, column = np.indices((side, side)) - (side - 1) / 2
    for word, n_stamps in counts.items():
        (folder / f"{word}_outputs" / "0").mkdir(parents=True)
        for number in range(n_stamps):
            y, x = random.uniform(-4, 4, 2)
            stamp = random.normal(0, noise, (side, side))
            stamp += random.uniform(5, 15) * np.exp(-0.5 * ((row - y) ** 2 + (column - x) ** 2) / 2.0**2)
            stamp += second / 16 * np.exp(-0.5 * ((row - 16) ** 2 + (column + 16) ** 2) / 1.6**2)
            fits.writeto(folder / f"{word}_outputs" / "0" / f"{word}_{number}.fits", stamp.astype(np.float32))
    return folder


@pytest.fixture
def realism(tmp_path, capsys):
    """Run the verb; return exit status, stdout, lines on stderr, and the page's path."""

    def run_verb(reference, mock, page=False):
        out = tmp_path / "out" / "page.html"
        options = ["--out", str(out)] if page else []
        status = main(["realism", "--reference", str(reference), "--mock", str(mock), *options])
        said = capsys.readouterr()
        return status, said.out, said.err.splitlines(), out

    return run_verb


def first_of(text, name):
    """AUROC's interval of a class, and the name of its first feature, as printed."""
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(f"{name}: AUROC"))
    low, high = lines[at].split("[")[1].split("]")[0].split(", ")
    return float(low), float(high), lines[at + 2].split("  ")[0]


def test_two_sets_of_one_population_cannot_be_told_apart(realism, tmp_path):
    sets = [write_set(tmp_path / name, PAIR, seed) for seed, name in enumerate("ab")]
    status, text, _, _ = realism(*sets)
    assert status == 0
    for name in ("Lenses", "Non-lenses"):
        low, high, _ = first_of(text, name)
        assert low < 0.5 < high
    assert text.count("cannot tell these mocks from the reference") == 2


def test_ten_per_cent_more_noise_are_found_and_named(realism, tmp_path):
    reference = write_set(tmp_path / "a", ONE, 1)
    _, text, _, _ = realism(reference, write_set(tmp_path / "b", {"lensed": 60}, 2, noise=3.3))
    low, _, first = first_of(text, "Lenses")
    assert low > 0.5 and first == "noise"


def test_an_object_too_many_in_one_class_is_found_in_that_class(realism, tmp_path):
    reference = write_set(tmp_path / "a", PAIR, 1)
    mocks = write_set(tmp_path / "b", {"lensed": 40}, 2, second=250.0)
    write_set(mocks, {"unlensed": 40}, 3)
    _, text, _, _ = realism(reference, mocks)
    low, _, first = first_of(text, "Lenses")
    assert low > 0.8 and first in ("objects outside", "second object")
    assert first_of(text, "Non-lenses")[0] < 0.5


def test_the_same_command_says_the_same_twice(realism, tmp_path):
    sets = [write_set(tmp_path / name, ONE, seed) for seed, name in enumerate("ab")]
    assert realism(*sets)[1] == realism(*sets)[1]


def test_a_class_that_is_lacking_is_one_sentence_and_the_other_is_judged(realism, tmp_path):
    reference = write_set(tmp_path / "a", PAIR, 1)
    mocks = write_set(tmp_path / "b", {"unlensed": 24}, 2)
    status, text, _, page = realism(reference, mocks, page=True)
    assert status == 0
    assert text.splitlines()[0] == f"No verdict on lenses: {mocks} holds none."
    assert "Non-lenses: AUROC" in text and "\nLenses: AUROC" not in text
    assert f"No verdict on lenses: {mocks} holds none." in page.with_suffix(".md").read_text()


def few(tmp_path):
    return write_set(tmp_path / "a", PAIR, 1), write_set(tmp_path / "b", {"lensed": 24, "unlensed": 19}, 2)


def other_shape(tmp_path):
    return write_set(tmp_path / "a", PAIR, 1), write_set(tmp_path / "b", PAIR, 2, side=47)


def too_small(tmp_path):
    return write_set(tmp_path / "a", PAIR, 1, side=31), write_set(tmp_path / "b", PAIR, 2, side=31)


def same(tmp_path):
    write_set(tmp_path / "a", PAIR, 1)
    return tmp_path / "a", tmp_path / "b" / ".." / "a"


def copied(tmp_path):
    return write_set(tmp_path / "a", PAIR, 1), write_set(tmp_path / "b", PAIR, 1)


def no_common_class(tmp_path):
    return write_set(tmp_path / "a", {"lensed": 24}, 1), write_set(tmp_path / "b", {"unlensed": 24}, 2)


def missing(tmp_path):
    return write_set(tmp_path / "a", PAIR, 1), tmp_path / "nowhere"


def empty(tmp_path):
    (tmp_path / "b").mkdir()
    return write_set(tmp_path / "a", PAIR, 1), tmp_path / "b"


@pytest.mark.parametrize(
    "make, sentence",
    [
        (few, "holds 19 non-lenses; a verdict takes at least 20 of a class"),
        (other_shape, "compare stamps of one shape"),
        (too_small, "sides of 41 pixels or more"),
        (same, "are the same folder"),
        (copied, "48 stamps lie in both"),
        (no_common_class, "share no class"),
        (missing, "nowhere is not a folder"),
        (empty, "no .fits"),
    ],
)
def test_what_cannot_be_judged_is_one_sentence_and_status_2(make, sentence, realism, tmp_path):
    (tmp_path / "b").mkdir() if make is same else None
    status, text, lines, page = realism(*make(tmp_path), page=True)
    assert (status, text, page.exists()) == (2, "", False)
    assert len(lines) == 1 and lines[0].startswith("lens-modern: ") and sentence in lines[0]


def test_a_page_that_is_no_html_is_refused(tmp_path, capsys):
    assert main(["realism", "--reference", "a", "--mock", "b", "--out", "page.pdf"]) == 2
    assert capsys.readouterr().err == "lens-modern: --out must end in .html, got page.pdf\n"


def test_the_page_holds_verdict_ranking_and_a_drawing_of_every_feature(realism, tmp_path):
    sets = [write_set(tmp_path / name, PAIR, seed) for seed, name in enumerate("ab")]
    _, text, _, page = realism(*sets, page=True)
    data = json.loads(page.with_suffix(".json").read_text())
    verdicts = data["tables"]["verdicts"]["rows"]
    assert [row["class"] for row in verdicts] == ["lenses", "non-lenses"]
    for name, key in (("Lenses", "lenses"), ("Non-lenses", "non-lenses")):
        low, _, first = first_of(text, name)
        assert data["classes"][key]["low"] == pytest.approx(low, abs=6e-4)
        ranked = [row["feature"] for row in data["tables"][f"ranked-{key}"]["rows"]]
        assert ranked[0] == first and sorted(ranked) == sorted(NAMES)
        drawn = [figure["title"] for figure_key, figure in data["figures"].items() if figure_key.startswith(f"{key}-")]
        assert drawn == ranked
    html = page.read_text()
    assert all(f"<svg>{key}</svg>" in html for key in data["figures"]) and len(data["figures"]) == 2 * len(NAMES)
    shares = data["figures"]["lenses-noise"]["rows"]
    for name in ("reference", "mocks"):
        assert sum(row["share"] for row in shares if row["set"] == name) == pytest.approx(1.0, abs=1e-4)
    assert all(part in page.with_suffix(".md").read_text() for part in ("## Verdict", "## Lenses", "## The features"))
