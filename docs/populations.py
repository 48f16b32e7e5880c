"""Draw docs/populations.png: stamps of the populations in three bands.

python -m docs.populations
"""

from pathlib import Path

import matplotlib
import numpy as np

from lens_common.drawing.stamps import draw_stamps
from lens_common.mocks.multiband_prior import LSST_GRI, LSST_GRI_CONTROLLED, MultibandPrior
from lens_common.mocks.simulator import simulate_stamp

PICTURE = Path(__file__).with_name("populations.png")
N_COLUMNS, SEEDS = 8, range(100, 400)
WIDE_ARCSEC, BRIGHT_SNR = 1.1, 150.0  # of the lenses shown: arcs that the eye can find
ROWS: dict[str, tuple[bool, MultibandPrior, bool]] = {
    "lens": (True, LSST_GRI, True),
    "without its mass": (True, LSST_GRI, False),
    "controlled": (False, LSST_GRI_CONTROLLED, True),
    "survey": (False, LSST_GRI, True),
}


def draw() -> None:
    """Draw a row of each kind, and write the picture."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lenses = [(seed, simulate_stamp(seed, True, LSST_GRI)) for seed in SEEDS]
    clear = [k for k, mock in lenses if mock.einstein_radius_arcsec > WIDE_ARCSEC and mock.snr > BRIGHT_SNR][:N_COLUMNS]
    figure, axes = plt.subplots(len(ROWS), N_COLUMNS, figsize=(N_COLUMNS, 1.02 * len(ROWS)), layout="constrained")
    for row, (name, (is_lens, prior, lensing)) in zip(axes, ROWS.items()):
        seeds = clear if is_lens else SEEDS[:N_COLUMNS]
        stamps = np.stack([simulate_stamp(seed, is_lens, prior, lensing).stamp for seed in seeds])
        draw_stamps(stamps, row, bands=("g", "r", "i"))
        row[0].set_ylabel(name, fontsize=7)
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    draw()
