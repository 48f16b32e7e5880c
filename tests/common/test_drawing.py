"""Drawings: axes in, axes out, and nothing written."""

import json
import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

import lens_common
from lens_common.drawing.curves import draw_history, draw_roc, draw_score_pairs, draw_scores
from lens_common.drawing.stamps import colour_picture, draw_maps, draw_stamps
from lens_common.drawing.style import BLUE, VERMILLION
from lens_common.errors import UserError

LABELS = np.array([1, 1, 1, 0, 0, 0, 0])
# Lenses against non-lenses: 0.9 beats four, 0.6 beats three, 0.2 beats one: 8 of 12 pairs.
SCORES = np.array([0.9, 0.6, 0.2, 0.7, 0.3, 0.4, 0.1])
HISTORY = [{"epoch": epoch, "loss": 1 / epoch, "learning_rate": 1e-3, "seconds": 2.0} for epoch in (1, 2, 3)]
STAMPS = np.random.RandomState(1).normal(size=(3, 2, 9, 9)).astype(np.float32)

# By name: a drawing on given axes, or on new ones where they are None.
ON_AXES = {
    "roc": lambda ax: draw_roc(LABELS, SCORES, ax),
    "logarithmic roc": lambda ax: draw_roc(LABELS, SCORES, ax, "name", logarithmic=True, threshold=0.5),
    "scores": lambda ax: draw_scores(LABELS, SCORES, ax),
    "score pairs": lambda ax: draw_score_pairs(LABELS, SCORES, SCORES**2, ax),
    "loss": lambda ax: draw_history(HISTORY, ax),
    "learning rate": lambda ax: draw_history(HISTORY, ax, "learning rate"),
    "stamp": lambda ax: draw_stamps(STAMPS[:1], ax, ["one"], [True])[0],
    "map": lambda ax: draw_maps(STAMPS[:1, 0], ax)[0],
}
EVERY_DRAWING = pytest.mark.parametrize("draw", ON_AXES.values(), ids=[*ON_AXES])


@pytest.fixture(autouse=True)
def without_pyplot(monkeypatch):
    """Another test may have imported it."""
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)


def new_axes():
    return Figure().subplots()


def names_in_legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def line_named(ax, name):
    (line,) = [line for line in ax.lines if name in str(line.get_label())]
    return line


@EVERY_DRAWING
def test_a_drawing_returns_the_axes_that_it_is_given(draw):
    ax = new_axes()
    assert draw(ax) is ax and ax.has_data()


@EVERY_DRAWING
def test_without_axes_a_drawing_makes_a_figure_that_can_be_drawn_and_is_not_pyplots(draw):
    ax = draw(None)
    FigureCanvasAgg(ax.figure).draw()
    assert isinstance(ax, Axes) and "matplotlib.pyplot" not in sys.modules


@EVERY_DRAWING
def test_a_drawing_writes_nothing(draw, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw(None)
    assert [*tmp_path.iterdir()] == []


@EVERY_DRAWING
def test_a_drawing_leaves_the_readers_settings_as_they_were(draw):
    with matplotlib.rc_context({"font.size": 30}):
        before = dict(matplotlib.rcParams)
        draw(None)
        assert dict(matplotlib.rcParams) == before


def pyplots_figures(beforehand):
    """Numbers of pyplot's figures after draw_roc without axes, or None where pyplot was never imported."""
    code = (
        f"import sys, json, types\n{beforehand}\nimport lens_common\n"
        "ax = lens_common.draw_roc([1, 0], [0.9, 0.1])\n"
        "pyplot = sys.modules.get('matplotlib.pyplot')\n"
        "print(json.dumps(pyplot and [ax is pyplot.gca(), pyplot.get_fignums()]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, env={**os.environ, "MPLBACKEND": "agg"}
    )
    return json.loads(done.stdout.decode())


def test_the_front_door_draws_a_roc_and_never_imports_pyplot():
    assert lens_common.draw_roc is draw_roc
    assert pyplots_figures("") is None


def test_in_a_script_with_pyplot_the_new_figure_is_pyplots_own():
    assert pyplots_figures("import matplotlib.pyplot as plt; plt.figure()") == [True, [1, 2]]


def test_in_a_notebook_the_new_figure_is_pyplots_so_that_it_is_shown():
    assert pyplots_figures("sys.modules['ipykernel'] = types.ModuleType('ipykernel')") == [True, [1]]


def test_a_backend_that_makes_pyplot_interactive_as_a_notebooks_does_is_not_undone(tmp_path):
    (tmp_path / "backend.py").write_text(
        "import matplotlib\nfrom matplotlib.backends.backend_agg import *\nmatplotlib.interactive(True)\n"
    )
    code = (
        "import matplotlib.pyplot, lens_common\n"
        "lens_common.draw_roc([1, 0], [0.9, 0.1])\n"
        "print(matplotlib.is_interactive())\n"
    )
    environment = {**os.environ, "MPLBACKEND": "module://backend", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, env=environment)
    assert done.stdout == b"True\n"


def test_importing_the_package_loads_no_matplotlib():
    code = "import sys, lens_common; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout == b"False\n"


# The ROC


@pytest.mark.parametrize("labels", [LABELS, LABELS == 1, list(LABELS)], ids=["0 and 1", "bool", "list"])
def test_the_legend_of_a_roc_tells_the_auroc_with_its_interval(labels):
    curve, chance = names_in_legend(draw_roc(labels, SCORES))
    # DeLong by hand: the lenses beat 4, 3 and 1 of 4 non-lenses, a non-lens is beaten by 1, 2, 2 and 3 of 3 lenses,
    # so the variance is 0.14583 / 3 + 0.07407 / 4, its root 0.2591; logit(2/3) = 0.693, +- 1.96 * 0.2591 / (2/9).
    assert curve == "AUROC 0.667 [0.169, 0.952] (95% interval)" and chance == "chance"


def test_a_second_roc_on_the_same_axes_has_another_colour_and_chance_stays_last():
    ax = draw_roc(LABELS, SCORES, label="first")
    draw_roc(LABELS, SCORES**2, ax, "second")
    assert [name.split("\n")[0] for name in names_in_legend(ax)] == ["first", "second", "chance"]
    assert [line_named(ax, name).get_color() for name in ("first", "second")] == [BLUE, VERMILLION]


def test_the_curve_of_a_roc_passes_through_its_points():
    x, y = line_named(draw_roc(LABELS, SCORES), "AUROC").get_data()
    # From the highest score down: lens, non-lens, lens, three steps of non-lenses and the last lens between them.
    corners = {(0, 0), (0, 1 / 3), (1 / 4, 1 / 3), (1 / 4, 2 / 3), (3 / 4, 2 / 3), (3 / 4, 1), (1, 1)}
    assert all(np.min(np.hypot(x - a, y - b)) < 1e-12 for a, b in corners)


def test_the_curve_is_drawn_as_asked_for():
    line = line_named(draw_roc(LABELS, SCORES, color="red", linestyle=":"), "AUROC")
    assert (line.get_color(), line.get_linestyle()) == ("red", ":")


def test_a_logarithmic_roc_starts_at_one_false_positive():
    labels = np.arange(20) % 2 == 0
    ax = draw_roc(labels, np.linspace(0, 1, 20), logarithmic=True)
    assert ax.get_xscale() == "log" and ax.get_xlim() == (0.1, 1)


@pytest.mark.parametrize(
    ("threshold", "logarithmic", "place"),
    # Above 0.5: 0.9 and 0.6 of three lenses, 0.7 of four non-lenses.  Above 0.8: no non-lens.
    [(0.5, False, (1 / 4, 2 / 3)), (0.8, False, (0, 1 / 3)), (0.8, True, (0.2, 1 / 3))],
)
def test_the_threshold_is_marked_on_the_curve_or_on_the_left_edge(threshold, logarithmic, place):
    ax = draw_roc(LABELS, SCORES, logarithmic=logarithmic, threshold=threshold)
    (x,), (y,) = line_named(ax, f"score > {threshold:g}").get_data()
    assert (x, y) == pytest.approx(place)


# Scores, histories, stamps


def test_the_histogram_counts_the_stamps_above_the_threshold():
    names = names_in_legend(draw_scores(LABELS, SCORES, threshold=0.5))
    assert names == ["non-lenses: 1 of 4 above 0.5", "lenses: 2 of 3 above 0.5", "threshold 0.5"]


def test_score_pairs_lie_at_their_scores_and_the_axes_are_named():
    ax = draw_score_pairs(LABELS, SCORES, SCORES**2, names=("this", "that"))
    others, _, lenses, _ = (points.get_offsets() for points in ax.collections)
    np.testing.assert_allclose(lenses, np.stack([SCORES, SCORES**2], 1)[LABELS == 1])
    np.testing.assert_allclose(others, np.stack([SCORES, SCORES**2], 1)[LABELS == 0])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("score, this", "score, that")


def test_a_history_passes_over_epochs_without_a_value():
    history = [dict(row, validation_auroc=value) for row, value in zip(HISTORY, (0.5, None, 0.9))]
    ax = draw_history(history, panel="validation")
    assert line_named(ax, "AUROC").get_xydata().tolist() == [[1, 0.5], [3, 0.9]]
    assert ax.get_ylabel() == "validation"


def test_a_stamp_is_drawn_in_units_of_its_noise():
    # A median of 10 and a median absolute deviation of 2.
    stamp = np.array([[6.0, 8.0, 10.0], [10.0, 12.0, 14.0], [8.0, 12.0, np.nan]])
    shown = draw_stamps(stamp[np.newaxis])[0].images[0].get_array()
    np.testing.assert_allclose(shown.compressed()[[0, 2, 5]], np.array([-4, 0, 4]) / (2 * 1.4826022), rtol=1e-6)
    assert shown.mask.sum() == 1


def test_a_source_in_one_band_has_the_colour_of_that_band():
    sky = np.tile([-1.0, 0.0, 1.0], (3, 9, 3))  # a median of 0 in each band
    for row, channel in enumerate((2, 1, 0)):  # of red, green, blue
        stamp = sky.copy()
        stamp[row, 4, 4] = 100
        assert colour_picture(stamp, ("g", "r", "i"))[4, 4].argmax() == channel


def test_equal_fluxes_in_all_bands_are_grey_whatever_the_noise():
    random = np.random.RandomState(0)
    stamp = random.normal(0, 1, (3, 21, 21)) * np.reshape([1, 2, 4], (3, 1, 1))
    stamp[:, 10, 10] = np.median(stamp.reshape(3, -1), axis=1) + 60
    pixel = colour_picture(stamp, ("g", "r", "i"))[10, 10].astype(int)
    assert np.ptp(pixel) <= 2 and pixel.min() > 100


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_pixel_that_one_band_lacks_is_vermillion():
    stamp = np.random.RandomState(0).normal(0, 1, (3, 9, 9))
    stamp[1, 2, 3] = np.nan
    assert colour_picture(stamp)[2, 3].tolist() == [213, 94, 0]


def test_left_over_axes_are_hidden_and_framed_stamps_have_a_frame():
    axes = draw_stamps(STAMPS, Figure().subplots(2, 2), framed=[False, True, False])
    assert [len(ax.images) for ax in axes] == [1, 1, 1, 0] and not axes[3].axison
    assert [len(ax.patches) for ax in axes] == [0, 1, 0, 0]
    assert axes[1].patches[0].get_edgecolor() == to_rgba(VERMILLION)


def test_all_maps_have_one_scale():
    maps = np.zeros((2, 3, 3))
    maps[0, 0, 0], maps[1, 1, 1] = -0.4, 0.1
    assert [ax.images[0].get_clim() for ax in draw_maps(maps)] == [(-0.4, 0.4)] * 2


# Mistakes


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda ax: draw_roc(LABELS, SCORES + 1, ax), r"scores must lie in \[0, 1\]"),
        (lambda ax: draw_roc(np.ones(7), SCORES, ax), "one class only"),
        (lambda ax: draw_roc(LABELS, SCORES, ax, threshold=50), r"threshold must lie in \[0, 1\], got 50"),
        (lambda ax: draw_scores(LABELS[:3], SCORES, ax), "3 labels and 7 scores"),
        (lambda ax: draw_score_pairs(LABELS, SCORES, SCORES[:3], ax), "7 labels and 3 scores"),
        (lambda ax: draw_score_pairs(LABELS, SCORES * np.nan, SCORES, ax), "scores must be finite"),
        (lambda ax: draw_history([], ax), "0 epochs"),
        (lambda ax: draw_history([{"epoch": 1}], ax), "lacks loss, learning_rate, seconds"),
        (lambda ax: draw_history(HISTORY, ax, "losses"), "no panel 'losses'; choose loss, validation"),
        (lambda ax: draw_stamps(STAMPS[0, 0], ax), r"got \(9, 9\)"),
        (lambda ax: draw_stamps(np.zeros((41, 9, 9)), ax), "holds 40 stamps, got 41"),
        (lambda ax: draw_stamps(STAMPS, [ax] * 3, ["one"]), "1 titles for 3 stamps"),
        (lambda ax: draw_stamps(STAMPS, [ax, ax]), "2 axes for 3 stamps"),
        (lambda ax: draw_maps(STAMPS[0, 0], ax), r"got \(9, 9\)"),
    ],
)
def test_a_mistake_is_a_sentence_and_draws_nothing(draw, message):
    ax = new_axes()
    with pytest.raises(UserError, match=message):
        draw(ax)
    assert not ax.has_data()


def test_an_unknown_name_at_the_front_door_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'draw_rok'"):
        _ = lens_common.draw_rok
