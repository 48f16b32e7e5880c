"""Plots: whole PNG files of the expected size, and no trace left behind."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

from lens_common.cli.pictures import plot_comparison, plot_history, plot_maps, plot_roc, plot_scores, plot_stamps
from lens_common.drawing.stamps import describe_colours
from lens_common.errors import UserError

LABELS = np.arange(60) % 2 == 0
SCORES = np.random.RandomState(0).uniform(size=60) * (0.6 + 0.4 * LABELS)
PAIR = {"A: first.csv": SCORES, "B: second.csv": SCORES**2}
HISTORY = [{"epoch": epoch, "loss": 1 / epoch, "learning_rate": 1e-3, "seconds": 2.0} for epoch in (1, 2, 3)]
VALIDATED = [dict(epoch, validation_loss=0.5, validation_accuracy=None, validation_auroc=0.7) for epoch in HISTORY]
STAMPS = np.random.RandomState(1).normal(size=(10, 2, 45, 45)).astype(np.float32)
TITLES = [f"lens {number}" for number in range(10)]


def picture_size(path):
    """Width and height of a PNG in pixels, by decoding all of it."""
    height, width = imread(str(path)).shape[:2]
    return width, height


# 8.5 inches at 150 dots an inch are 1,275 pixels.
@pytest.mark.parametrize(
    ("draw", "size"),
    [
        (lambda path: plot_roc(path, LABELS, SCORES, "title"), (1275, 660)),
        (lambda path: plot_scores(path, LABELS, SCORES, "title"), (1275, 600)),
        (lambda path: plot_comparison(path, LABELS, PAIR, "title"), (1275, 750)),
        (lambda path: plot_history(path, HISTORY, "title"), (1275, 732)),
        (lambda path: plot_history(path, VALIDATED, "title"), (1275, 972)),
        (lambda path: plot_stamps(path, STAMPS, TITLES, "title"), (1260, 504)),
        # 3 pairs of 2.5 * 1.05 inches; 1.25 * 1.05 and 0.13 a line of the titles, and 1 inch below
        (lambda path: plot_maps(path, STAMPS[:3], STAMPS[:3, 0] / 10, TITLES[:3], "title"), (1181, 366)),
    ],
    ids=["roc", "scores", "comparison", "history", "validated history", "stamps", "maps"],
)
def test_a_plot_is_a_png_of_the_expected_size(tmp_path, draw, size):
    draw(tmp_path / "plot.png")
    assert picture_size(tmp_path / "plot.png") == size


def test_a_plot_leaves_no_other_file(tmp_path):
    plot_roc(tmp_path / "roc.png", LABELS, SCORES, "title")
    assert [path.name for path in tmp_path.iterdir()] == ["roc.png"]


def test_a_plot_takes_its_path_as_a_string(tmp_path):
    plot_scores(str(tmp_path / "scores.png"), LABELS, SCORES, "title")
    assert (tmp_path / "scores.png").exists()


def test_a_plot_that_fails_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "roc.png"
    path.write_bytes(b"old")
    with pytest.raises(UserError):
        plot_roc(path, LABELS, SCORES + 1, "title")
    assert path.read_bytes() == b"old"


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="cannot write the plot.*No such file"):
        plot_roc(tmp_path / "missing" / "roc.png", LABELS, SCORES, "title")


def test_a_failed_rename_leaves_no_temporary_file(tmp_path):
    (tmp_path / "roc.png").mkdir()
    with pytest.raises(UserError, match="cannot write the plot"):
        plot_roc(tmp_path / "roc.png", LABELS, SCORES, "title")
    assert [path.name for path in tmp_path.iterdir()] == ["roc.png"]


def test_the_reader_s_own_settings_do_not_change_a_plot(tmp_path):
    plot_scores(tmp_path / "first.png", LABELS, SCORES, "title")
    with matplotlib.rc_context({"savefig.bbox": "tight", "font.size": 30, "figure.facecolor": "black"}):
        plot_scores(tmp_path / "second.png", LABELS, SCORES, "title")
    assert np.array_equal(imread(str(tmp_path / "first.png")), imread(str(tmp_path / "second.png")))


def test_a_plot_leaves_the_reader_s_settings_as_they_were(tmp_path):
    with matplotlib.rc_context({"font.size": 30}):
        plot_scores(tmp_path / "scores.png", LABELS, SCORES, "title")
        assert matplotlib.rcParams["font.size"] == 30


def test_plots_never_import_pyplot(tmp_path):
    code = (
        "import os, sys, numpy as np\n"
        "from lens_common.cli.pictures import *\n"
        "os.chdir(sys.argv[1])\n"
        "plot_roc('roc.png', [1, 0], [0.9, 0.1], 'title')\n"
        "plot_scores('scores.png', [1, 0], [0.9, 0.1], 'title')\n"
        "plot_comparison('comparison.png', [1, 0], {'A': [0.9, 0.1], 'B': [0.1, 0.9]}, 'title')\n"
        "plot_history('history.png', [dict(epoch=1, loss=1, learning_rate=1e-3, seconds=1)], 'title')\n"
        "plot_stamps('stamps.png', np.ones((1, 9, 9)), ['one'], 'title')\n"
        "plot_maps('maps.png', np.ones((1, 1, 9, 9)), np.ones((1, 9, 9)), ['one'], 'title')\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, check=True)
    assert done.stdout.decode().strip() == "False"


# Odd contents


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("scores", [np.full(60, 0.3), LABELS * 1.0, ~LABELS * 1.0], ids=["tied", "perfect", "wrong"])
def test_a_degenerate_roc_is_drawn(tmp_path, scores):
    plot_roc(tmp_path / "roc.png", LABELS, scores, "title")
    assert picture_size(tmp_path / "roc.png") == (1275, 660)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("scores", [np.full(60, 0.3), LABELS * 1.0, ~LABELS * 1.0], ids=["tied", "perfect", "wrong"])
def test_a_degenerate_comparison_is_drawn(tmp_path, scores):
    plot_comparison(tmp_path / "comparison.png", LABELS, {"A": SCORES, "B": scores}, "title", 1.0)
    assert picture_size(tmp_path / "comparison.png") == (1275, 750)


def test_names_of_scores_may_be_long_and_hold_dollars(tmp_path):
    pair = {"A: " + "long_" * 50: SCORES, "B: $\\undefined$.csv": SCORES}
    plot_comparison(tmp_path / "comparison.png", LABELS, pair, "$\\undefined$")
    assert picture_size(tmp_path / "comparison.png") == (1275, 750)


def test_the_scores_of_one_class_are_drawn(tmp_path):
    plot_scores(tmp_path / "scores.png", np.ones(3), [0.1, 0.2, 0.3], "title")
    assert picture_size(tmp_path / "scores.png") == (1275, 600)


@pytest.mark.filterwarnings("error")
@pytest.mark.filterwarnings("ignore:.*Forward:UserWarning")
def test_a_diverged_training_is_drawn(tmp_path):
    history = [{"epoch": 0, "loss": float("nan"), "learning_rate": 0.0, "seconds": None}]
    plot_history(tmp_path / "history.png", history, "title")
    assert picture_size(tmp_path / "history.png") == (1275, 732)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_stamp_without_noise_or_without_pixels_is_drawn(tmp_path, value):
    plot_stamps(tmp_path / "stamps.png", np.full((1, 1, 9, 9), value), ["one"], "title")
    assert picture_size(tmp_path / "stamps.png") == (750, 327)


def test_every_band_of_a_stamp_is_drawn(tmp_path):
    changed = STAMPS.copy()
    changed[:, 1] = 0
    plot_stamps(tmp_path / "first.png", STAMPS, TITLES, "title")
    plot_stamps(tmp_path / "second.png", changed, TITLES, "title")
    assert (tmp_path / "first.png").read_bytes() != (tmp_path / "second.png").read_bytes()


@pytest.mark.parametrize(
    ("n_bands", "bands", "words"),
    [
        (3, ("g", "r", "i"), "i red, r green, g blue"),
        (3, ("r", "g", "i"), "i red, r green, g blue"),
        (5, ("u", "g", "r", "i", "z"), "i red, r green, g blue"),
        (3, ("z", "g", "r"), "z red, r green, g blue"),
        (2, ("z", "g"), "z red, g and z green, g blue"),
        (2, (), "band 1 red, band 0 and band 1 green, band 0 blue"),
        (4, (), "band 3 red, band 2 green, band 0 blue"),
    ],
)
def test_the_reddest_band_is_red_and_the_bluest_blue(n_bands, bands, words):
    assert describe_colours(n_bands, bands) == words


def test_a_stamp_looks_the_same_in_another_unit(tmp_path):
    # Powers of two, so that rounding is the same too.
    plot_stamps(tmp_path / "counts.png", STAMPS[:, 0], TITLES, "title")
    plot_stamps(tmp_path / "other.png", STAMPS[:, 0] * 2.0**-20, TITLES, "title")
    assert (tmp_path / "counts.png").read_bytes() == (tmp_path / "other.png").read_bytes()


# Mistakes


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((45, 45), r"shape \(N, bands, height, width\).*got \(45, 45\)"),
        ((0, 45, 45), r"got \(0, 45, 45\)"),
        ((41, 9, 9), "holds 40 stamps, got 41"),
        ((3, 9, 9), "2 titles for 3 stamps"),
    ],
)
def test_bad_stamps_are_a_sentence_with_the_value(tmp_path, shape, message):
    with pytest.raises(UserError, match=message):
        plot_stamps(tmp_path / "stamps.png", np.zeros(shape), ["one", "two"], "title")


def test_more_than_twenty_stamps_with_their_maps_are_a_mistake(tmp_path):
    with pytest.raises(UserError, match="holds 20 stamps, got 21"):
        plot_maps(tmp_path / "maps.png", np.zeros((21, 9, 9)), np.zeros((21, 9, 9)), ["one"] * 21, "title")


def test_a_comparison_of_three_sets_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match="2 sets of scores, got 3"):
        plot_comparison(tmp_path / "comparison.png", LABELS, {**PAIR, "C": SCORES}, "title")


def test_an_empty_history_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match="0 epochs"):
        plot_history(tmp_path / "history.png", [], "title")


def test_a_history_without_its_keys_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match="row 0 of the history lacks learning_rate, seconds"):
        plot_history(tmp_path / "history.png", [{"epoch": 1, "loss": 1.0}], "title")
