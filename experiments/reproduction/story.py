"""The story: five figures and few words, for somebody who knows no machine learning."""

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes

from experiments.reproduction.forensics import present, second_figures
from experiments.reproduction.stored import Study
from lens_modern.report.figures import INK, SERIES, WIDTH, Figure, draw_estimates, draw_score_pairs, drawing, to_svg
from lens_modern.report.page import Report, Section

CLIP = 1e-7
STUCK = "cnn-200-validate_on_train+raw_pixels-legacy-seed1"
PAIR = [f"cnn-2000-mended-{side}-seed1" for side in ("legacy", "modern")]
# Rows of the figure of single mistakes: in words, for the ResNet's short training and for the CNN.
MISTAKES = {
    "no mistake": ((), ()),
    "non-lenses overwritten": (("class_overwrite",), ("class_overwrite",)),
    "raw counts": (None, ("raw_pixels",)),
    "pixels kept as + or - only": (("sign_clip",), None),
    "learning rate never drops": (("rate_never_drops",), None),
    "judged on its training pictures": (("validate_on_train",), ("validate_on_train",)),
}
N_SHOWN = 2  # of each class


def compose(study: Study) -> Report:
    """Put the story together; what has not been run is left out."""
    parts = {
        "frozen": clipped_loss(study), "mistakes": one_at_a_time(study), "twins": score_against_score(study),
        "worth": what_it_is_worth(study),
    }  # fmt: skip
    titles = {
        "frozen": "The small network froze",
        "mistakes": "One mistake at a time",
        "twins": "The software does not matter",
        "worth": "What the figures are worth",
    }
    sections = [
        Section(key, titles[key], [figure, *filter(None, [study.say(f"story.{key}")])])
        for key, figure in parts.items()
        if figure
    ]
    lead = "\n\n".join(filter(None, (study.say(f"story.{key}") for key in ("lead", "overwritten"))))
    return Report("Two lens finders that failed in 2018, run again", lead, sections, opening=meant_and_shown(study))


def sourced(figure: Figure, data: str) -> Figure:
    """Say beside a figure what it is made of and how."""
    words = (
        f"Data: `results/reproduction/{data}`. Script: `experiments/reproduction/story.py`. Command: `make reproduce`."
    )
    return replace(figure, source=words)


def meant_and_shown(study: Study) -> Figure | None:
    """What 2018 meant to show its network, what it did show it, and the AUROC of each."""
    path = study.folder / "shown.npz"
    figures = [study.ledger.figures[name] for name in ("resnet.mended", "resnet.2018")]
    aurocs = [found.estimate for found in figures if found.estimate]
    if not path.exists() or len(aurocs) < len(figures):
        return None
    with np.load(path, allow_pickle=False) as stored:
        lenses, others = (stored[kind][:N_SHOWN].astype(float) for kind in ("lenses", "others"))
    rows, n_columns = (("meant", others), ("shown\nin 2018", lenses)), 2 * N_SHOWN
    with drawing(2.1, WIDTH * 0.95) as frame:
        canvas = frame.figure
        frame.remove()
        grid = canvas.add_gridspec(2, n_columns + 1, width_ratios=[1] * n_columns + [0.8])
        for row, ((label, second), found) in enumerate(zip(rows, aurocs)):
            for column, stamp in enumerate([*lenses, *second]):
                axes = canvas.add_subplot(grid[row, column])
                is_wrong = row == 1 and column >= N_SHOWN
                _show(axes, stamp, is_wrong)
                axes.set_xlabel("lens" if column < N_SHOWN else "non-lens", color=SERIES[1] if is_wrong else INK)
                axes.set_ylabel(label if column == 0 else "", rotation=0, ha="right", va="center")
            axes = canvas.add_subplot(grid[row, n_columns])
            axes.set_axis_off()
            axes.text(0.5, 0.62, f"{found.value:.2f}", ha="center", va="center", fontsize=17, color=SERIES[row])
            axes.text(0.5, 0.25, "AUROC", ha="center", va="center", color=SERIES[row])
        svg = to_svg(canvas, "shown")
    meant, shown = (found.spell() for found in figures)
    alt = (
        "Two rows of simulated pictures. Meant: two lenses with arcs, and two non-lenses, each a single round galaxy; "
        f"AUROC {meant}. Shown in 2018: the same two lenses, and the same two again, labelled non-lens; AUROC {shown}."
    )
    kinds = ("without the mistakes", "as in 2018")
    table = [{"trained": label, **found.row()} for label, found in zip(kinds, aurocs)]
    title = "What 2018 meant to show its network, and what it did show it"
    return sourced(Figure("shown", title, alt, svg, table, study.say("story.shown_note")), "shown.npz, resnet-2000-*")


def _show(axes: Axes, stamp: np.ndarray, is_wrong: bool) -> None:
    """One stamp in greys; a wrong label has a frame."""
    low, high = np.median(stamp) - 2, np.quantile(stamp, 0.997)
    axes.imshow(np.arcsinh((stamp - low).clip(0) / 4), cmap="gray", vmin=0, vmax=np.arcsinh((high - low) / 4))
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color=SERIES[1] if is_wrong else INK, linewidth=2.5 if is_wrong else 0.5)


def clipped_loss(study: Study) -> Figure | None:
    """The loss over the probability of the right answer, flat beyond the clip, and the stamps of a frozen network."""
    run = study.runs.get(STUCK)
    if run is None or "pics" not in run.sets:
        return None
    values = run.sets["pics"]
    right = np.where(values.labels, values.scores, 1 - values.scores)
    wrong_loss = study.ledger.figures["stuck.wrong"].values[0][0]
    n_right, n_wrong = int((right > 1 - CLIP).sum()), int((right < CLIP).sum())
    mean = wrong_loss * n_wrong / (n_right + n_wrong)
    left = 1e-12
    with drawing(2.9) as axes:
        over = np.geomspace(left, 1, 300)
        axes.axvspan(left, CLIP, color=SERIES[6], alpha=0.15, linewidth=0)
        curve = np.where(over < CLIP, wrong_loss, -np.log(np.maximum(over, CLIP)))
        axes.plot(over, curve, color=SERIES[0])
        axes.axhline(mean, color=INK, linewidth=0.8, linestyle=":")
        _cluster(axes, n_wrong, 10**-10.3, wrong_loss)
        _cluster(axes, n_right, 10**-0.7, 0)
        axes.text(1.5e-12, wrong_loss + 2, f"{n_wrong} wrong answers: probability 0", color=SERIES[1])
        axes.text(1.6, -3.1, f"{n_right} right answers: probability 1", ha="right", color=SERIES[1])
        axes.text(1.5e-12, mean + 0.4, f"mean {mean:.4f}, as logged in 2018")
        axes.text(1.5e-12, wrong_loss - 3, "flat: no slope")
        axes.text(1.5e-5, 12.3, "a slope to learn from", color=SERIES[0])
        ticks = [left, 1e-9, 1e-6, 1e-3, 1]
        axes.set(
            xscale="log",
            xlim=(left, 2.2),
            ylim=(-4, 20.5),
            xlabel="probability given to the right answer",
            ylabel="loss",
        )
        axes.set_xticks(ticks, ["0", "1e-9", "1e-6", "1e-3", "1"])
        axes.minorticks_off()
        axes.set_yticks([0, 4, 8, 12, 16])
        svg = to_svg(axes.figure, "clip")
    alt = (
        f"The loss falls from {wrong_loss:.1f} at a probability of 1e-7 to 0 at 1, and is flat below 1e-7. {n_wrong} "
        f"pictures lie on the flat part, {n_right} at 1; their mean loss is {mean:.4f}."
    )
    rows = [{"probability": 0.0, "loss": wrong_loss, "n": n_wrong}, {"probability": 1.0, "loss": 0.0, "n": n_right}]
    title = "Beyond the clip the loss is flat"
    return sourced(Figure("clip", title, alt, svg, rows, study.say("story.clip_note")), f"{STUCK} (one seed)")


def _cluster(axes: Axes, n: int, x: float, y: float) -> None:
    """Dots side by side, five high, that all stand for one place."""
    columns, rows = np.divmod(np.arange(n), 5)
    axes.plot(
        x * 10 ** (0.11 * (columns - columns.mean())), y + 0.42 * (rows - 2), ".", color=SERIES[1], markersize=2.6
    )


def one_at_a_time(study: Study) -> Figure | None:
    """AUROC with each mistake alone."""
    rows = present(
        {
            label: present(
                {
                    name: study.estimate("mocks", model, 2000, defects, "", variant)
                    for name, model, variant, defects in (
                        ("ResNet, short training", "resnet", "short", resnet), ("CNN", "cnn", "", cnn),
                    )
                    if defects is not None
                }
            )
            for label, (resnet, cnn) in MISTAKES.items()
        }
    )  # fmt: skip
    if len(rows) < 2:
        return None
    figure = draw_estimates("mistakes-alone", "Each mistake alone", rows, "AUROC")
    return sourced(replace(figure, note=study.say("story.mistakes_note")), "*-2000-*")


def score_against_score(study: Study) -> Figure | None:
    """Each stamp's score by the software of 2018 and by today's."""
    sets = [run.sets["mocks"] for name in PAIR if (run := study.runs.get(name)) and "mocks" in run.sets]
    if len(sets) < len(PAIR):
        return None
    title = "Score against score, 2,000 pictures"
    figure = draw_score_pairs(
        "twin-scores", title, sets[0], sets[1], ("score by the software of 2018", "score by PyTorch")
    )
    return sourced(figure, "cnn-2000-mended-*-seed1")


def what_it_is_worth(study: Study) -> Figure | None:
    """A model that sees no arc, beside the networks, where the classes differ by more than lensing and where not."""
    rows = second_figures(study)
    names = {
        "formula, blind to arcs": "radial regression, trained on mocks", "ResNet": "ResNet, 2,000",
        "CNN": "CNN, 2,000",
    }  # fmt: skip
    series = {"these pictures": "mocks", "only lensing differs": "leak-controlled"}
    drawn = {
        label: present({words: rows[name].get(key) for words, key in series.items()})
        for label, name in names.items()
        if name in rows
    }
    if len(drawn) < len(names):
        return None
    figure = draw_estimates("worth-figure", "A formula that sees no arc does as well", drawn, "AUROC")
    return sourced(figure, "radial, *-2000-mended-*")
