"""Draw docs/picture.png, the picture at the top of README, from mocks made for it and the stored runs.

.venv-modern/bin/python docs/picture.py
"""

import csv
import gzip
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from lens_common.data.catalogue import read_catalogue
from lens_common.data.stamps import load_stamps
from lens_common.files import cache_folder
from lens_common.mocks.writer import SIMULATOR_VERSION, make_mocks
from lens_common.scores.metrics import auroc, roc

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs/picture.png"
N_MOCKS, SEED, N_SHOWN = 200, 18, 3
RUNS = {
    "trained on the upper row": ("resnet-2000-mended-modern-seed", "#0072b2"),
    "trained on the lower row": ("resnet-2000-class_overwrite-modern-seed", "#d55e00"),
}


def brightest(is_lens):
    """Stamps (N_SHOWN, H, W) of one class, over their noise: the lenses of wide rings, the non-lenses of the centre."""
    folder = make_mocks(cache_folder("mocks") / f"picture-{N_MOCKS}-{SEED}-v{SIMULATOR_VERSION}", N_MOCKS, SEED)
    data, catalogue = load_stamps(folder), read_catalogue(folder)
    known = {row["id"]: row for row in catalogue}
    rows = np.flatnonzero(data.labels == is_lens)
    wide = [i for i in rows if not is_lens or known[data.ids[i]]["einstein_radius"] > 1.1]
    wide.sort(key=lambda i: -known[data.ids[i]]["snr"])
    return np.asarray(data.pixels)[wide[:N_SHOWN], 0]


def scores(prefix):
    """Labels and scores of the test mocks, one pair a stored seed."""
    for path in sorted((ROOT / "results/reproduction").glob(f"{prefix}*/scores.csv.gz")):
        with gzip.open(path, "rt", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["set"] == "mocks"]
        yield np.array([row["is_lens"] == "1" for row in rows]), np.array([float(row["score"]) for row in rows])


def main():
    """Draw it."""
    lenses, others = brightest(1), brightest(0)
    figure = plt.figure(figsize=(11, 3.9), dpi=110, constrained_layout=True)
    grid = figure.add_gridspec(2, 2 * N_SHOWN + 3)
    for row, (what, second) in enumerate((("meant", others), ("shown", lenses))):
        for column, stamp in enumerate([*lenses, *second]):
            axes = figure.add_subplot(grid[row, column])
            low, high = np.median(stamp) - 2, np.quantile(stamp, 0.997)
            axes.imshow(np.arcsinh((stamp - low).clip(0) / 4), cmap="gray", vmin=0, vmax=np.arcsinh((high - low) / 4))
            axes.set_xticks([]), axes.set_yticks([])
            kind = "lens" if column < N_SHOWN else "non-lens"
            colour = "#d55e00" if (row, kind) == (1, "non-lens") else "#444444"
            for spine in axes.spines.values():
                spine.set_color(colour), spine.set_linewidth(2.5 if colour != "#444444" else 0.8)
            axes.set_xlabel(f"labelled {kind}", fontsize=8, color=colour)
            if column == 0:
                axes.set_ylabel({"meant": "meant", "shown": "shown in 2018"}[what], fontsize=10)
    axes = figure.add_subplot(grid[:, -3:])
    for label, (prefix, colour) in RUNS.items():
        pairs = list(scores(prefix))
        areas = [auroc(*pair) for pair in pairs]
        for number, pair in enumerate(pairs):
            false_positive_rate, completeness, _ = roc(*pair)
            said = f"{label}: AUROC {np.mean(areas):.2f}" if number == 0 else None
            axes.plot(false_positive_rate, completeness, color=colour, linewidth=1.3, label=said)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":")
    axes.set(xlabel="false positive rate", ylabel="completeness", xlim=(0, 1), ylim=(0, 1.005))
    axes.set_title("the residual network on 2,000 clean test mocks", fontsize=9)
    axes.legend(fontsize=8, loc="lower right", frameon=False)
    figure.savefig(PICTURE)
    print(f"wrote {PICTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
