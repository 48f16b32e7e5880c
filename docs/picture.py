"""Draw docs/picture.png, the picture at the top of README, from the stored runs and the stamps stored beside them.

.venv-modern/bin/python -m docs.picture
"""

import numpy as np
from matplotlib.figure import Figure

from experiments.reproduction.stored import RESNET_2018, read_study
from experiments.runner import ROOT
from lens_common.scores.metrics import auroc, roc

PICTURE = ROOT / "docs/picture.png"
RUNS = {
    "trained on the upper row": ((), "#0072b2"),
    "trained as in 2018": (RESNET_2018, "#d55e00"),
}


def main() -> None:
    """Draw it."""
    with np.load(ROOT / "results/reproduction/shown.npz") as shown:
        lenses, others = (shown[kind].astype(float) for kind in ("lenses", "others"))
    n_shown = len(lenses)
    figure = Figure(figsize=(11, 3.9), dpi=110, constrained_layout=True)
    grid = figure.add_gridspec(2, 2 * n_shown + 3)
    for row, (label, second) in enumerate((("meant", others), ("shown in 2018", lenses))):
        for column, stamp in enumerate([*lenses, *second]):
            axes = figure.add_subplot(grid[row, column])
            low, high = np.median(stamp) - 2, np.quantile(stamp, 0.997)
            axes.imshow(np.arcsinh((stamp - low).clip(0) / 4), cmap="gray", vmin=0, vmax=np.arcsinh((high - low) / 4))
            axes.set(xticks=[], yticks=[])
            kind = "lens" if column < n_shown else "non-lens"
            colour = "#d55e00" if (row, kind) == (1, "non-lens") else "#444444"
            axes.spines[:].set(color=colour, linewidth=2.5 if colour != "#444444" else 0.8)
            axes.set_xlabel(f"labelled {kind}", fontsize=8, color=colour)
            if column == 0:
                axes.set_ylabel(label, fontsize=10)
    axes = figure.add_subplot(grid[:, -3:])
    study = read_study(ROOT / "results/reproduction")
    for label, (defects, colour) in RUNS.items():
        sets = [run.sets["mocks"] for run in study.group("resnet", 2000, defects, "modern").runs]
        area = np.mean([auroc(scored.labels, scored.scores) for scored in sets])
        for number, scored in enumerate(sets):
            false_positive_rate, completeness, _ = roc(scored.labels, scored.scores)
            words = f"{label}: AUROC {area:.2f}" if number == 0 else None
            axes.plot(false_positive_rate, completeness, color=colour, linewidth=1.3, label=words)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":")
    axes.set(xlabel="false positive rate", ylabel="completeness", xlim=(0, 1), ylim=(0, 1.005))
    axes.set_title("the residual network on 2,000 clean test mocks", fontsize=9)
    axes.legend(fontsize=8, loc="lower right", frameon=False)
    figure.savefig(PICTURE)
    print(f"wrote {PICTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
