"""Networks of named bands: a run stores the names, takes them by name out of more, and refuses what does not fit."""

import json
import sys
from importlib import import_module

import numpy as np
import pytest
from astropy.io import fits

from lens_common import load_stamps
from lens_common.files import read_csv

SIDE = "legacy" if sys.version_info < (3, 9) else "modern"
twin, main = import_module(f"lens_{SIDE}"), import_module(f"lens_{SIDE}.cli").main
STAMP_SIDE = 12  # pixels


def write_stamps(folder, bands, n_stamps=40, named=True, order=None, cards=()):
    """Write stamps whose lenses are bright in r alone, with `bands` of u, g, r, i in that order; the folder."""
    random = np.random.RandomState(0)
    for number in range(n_stamps):
        whole = dict(zip("ugri", random.normal(0, 3, (4, STAMP_SIDE, STAMP_SIDE)).astype(np.float32)))
        whole["r"][4:8, 4:8] += 40 * (number % 2 == 0)
        word = ("lensed", "unlensed")[number % 2]
        path = folder / f"{word}_outputs" / "0" / f"{word}_{number}.fits.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        names = [(f"BAND{place}", name) for place, name in enumerate(bands, 1)] if named else []
        header = fits.Header([("PIXSCALE", 0.2), ("MAGZERO", 31.4), ("BUNIT", "nJy"), *names, *cards])
        fits.PrimaryHDU(np.stack([whole[name] for name in bands]), header).writeto(path)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("bands")


@pytest.fixture(scope="module")
def colours(place):
    """Stamps in g, r and i."""
    return write_stamps(place / "gri", "gri")


@pytest.fixture(scope="module")
def runs(place, colours):
    """Run directories of CNNs that were trained a little: on g, r, i, on g alone, and on g, r, i without names."""
    nameless = write_stamps(place / "nameless", "gri", named=False)
    trained = {"gri": (colours, []), "g": (colours, ["--bands", "g"]), "nameless": (nameless, [])}
    for name, (data, flags) in trained.items():
        run = place / "runs" / name
        command = ["train", "--model", "cnn", "--data", str(data), "--epochs", "1", "--batch-size", "8"]
        assert main([*command, "--out", str(run), *flags]) == 0
    return place / "runs"


def score(data, run, tmp_path, *flags):
    """Exit status of `score`, and the table it wrote."""
    out = tmp_path / "scores.csv"
    status = main(["score", str(data), "--run", str(run), "--out", str(out), *flags])
    return status, {row["id"]: float(row["score"]) for row in read_csv(out)} if out.exists() else {}


def refusal(capsys, *arguments):
    """Only sentence of a command that ends with 2."""
    capsys.readouterr()
    status, rows = score(*arguments)
    (sentence,) = capsys.readouterr().err.splitlines()
    assert status == 2 and not rows
    return sentence


def test_a_run_stores_its_bands(runs):
    stored = {name: json.loads((runs / name / "config.json").read_text()) for name in ("gri", "g", "nameless")}
    assert {name: config["bands"] for name, config in stored.items()} == {
        "gri": ["g", "r", "i"],
        "g": ["g"],
        "nameless": [],
    }
    assert stored["g"]["data"]["chosen_bands"] == ["g"] and stored["g"]["shape"]["n_bands"] == 1


def test_a_run_is_evaluated_on_the_bands_it_was_trained_on(runs, capsys):
    before = json.loads((runs / "g" / "metrics.json").read_text())
    assert main(["evaluate", str(runs / "g")]) == 0
    assert json.loads((runs / "g" / "metrics.json").read_text()) == before


def test_a_network_of_one_band_takes_it_by_name_out_of_three_and_says_so(runs, colours, place, tmp_path, capsys):
    status, scores = score(colours, runs / "g", tmp_path)
    told = capsys.readouterr().err
    assert status == 0
    assert f"of the bands g, r, i of {colours} the network takes those it was trained on: g" in told
    (tmp_path / "alone").mkdir()
    _, expected = score(write_stamps(tmp_path / "g", "g"), runs / "g", tmp_path / "alone")
    assert scores == expected


def test_its_own_stamps_are_known_again_among_more_bands(runs, colours, tmp_path):
    score(colours, runs / "g", tmp_path)
    assert {row["fold"] for row in read_csv(tmp_path / "scores.csv")} == {"train", "validation", "test"}


def test_bands_in_another_order_are_refused_with_both_orders(runs, tmp_path, capsys):
    sentence = refusal(capsys, write_stamps(tmp_path / "rgi", "rgi"), runs / "gri", tmp_path)
    assert "have 3 band(s) (r, g, i), those that the network was trained on 3 (g, r, i)" in sentence
    assert sentence.endswith("; bring them into its order with --bands g,r,i")


def test_a_choice_by_name_brings_them_into_order(runs, colours, tmp_path):
    (tmp_path / "own").mkdir()
    _, expected = score(colours, runs / "gri", tmp_path / "own")
    status, scores = score(write_stamps(tmp_path / "rgi", "rgi"), runs / "gri", tmp_path, "--bands", "gri")
    assert status == 0 and scores == expected


def test_one_band_is_refused_by_a_network_of_three_with_both(runs, tmp_path, capsys):
    sentence = refusal(capsys, write_stamps(tmp_path / "g", "g"), runs / "gri", tmp_path)
    assert "have 1 band(s) (g), those that the network was trained on 3 (g, r, i); give it" in sentence


@pytest.mark.parametrize("named", [True, False])
def test_four_bands_give_three_by_name_and_are_refused_without(named, runs, colours, tmp_path, capsys):
    data = write_stamps(tmp_path / "ugri", "ugri", named=named)
    if not named:
        assert "have 4 band(s), those that the network was trained on 3 (g, r, i)" in refusal(
            capsys, data, runs / "gri", tmp_path
        )
        return
    (tmp_path / "own").mkdir()
    assert score(data, runs / "gri", tmp_path) == score(colours, runs / "gri", tmp_path / "own")


def test_bands_chosen_by_number_are_taken_whatever_their_names(runs, colours, tmp_path):
    status, scores = score(write_stamps(tmp_path / "rgi", "rgi"), runs / "gri", tmp_path, "--bands", "0,1,2")
    assert status == 0 and len(scores) == 40


def test_a_network_without_names_takes_as_many_bands_of_any_name(runs, colours, tmp_path, capsys):
    assert score(colours, runs / "nameless", tmp_path)[0] == 0
    assert "have 1 band(s) (g), those that the network was trained on 3; give it" in refusal(
        capsys, write_stamps(tmp_path / "g", "g"), runs / "nameless", tmp_path / "nowhere"
    )


def test_a_band_that_is_not_there_is_refused(runs, colours, tmp_path, capsys):
    assert refusal(capsys, colours, runs / "g", tmp_path, "--bands", "z").endswith("no band z among g, r, i")


def test_a_choice_that_is_neither_names_nor_numbers_is_refused(runs, colours, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        score(colours, runs / "g", tmp_path, "--bands", "g,0")
    assert end.value.code == 2 and "bands are names such as gri or g,r,i" in capsys.readouterr().err


def test_a_classifier_keeps_the_names_it_was_fitted_with(colours, tmp_path):
    stamps = load_stamps(colours, bands="ir")
    finder = twin.LensClassifier("cnn", epochs=1, batch_size=8)
    finder.fit(stamps.pixels, stamps.labels, bands=stamps.bands)
    config = json.loads(
        (twin.LensClassifier.load(finder.save(tmp_path / "a")).save(tmp_path / "b") / "config.json").read_text()
    )
    assert config["bands"] == ["i", "r"]
