"""Which parts of the prior bring the mocks close to the PICS mocks: each left out in turn, judged by the forest.

    python -m experiments shipped.ingredients OUT.json

An AUROC of 0.5 says that the forest cannot tell a class of these mocks from that of the PICS mocks, which
LENS_PICS_MOCKS names.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.runner import carry_out, out_file, pics_mocks
from lens_common.data.stamps import load_stamps
from lens_common.files import write_json
from lens_common.mocks.prior import PRIOR, FieldPopulation, Prior, SourcePopulation
from lens_common.mocks.simulator import simulate_stamp
from lens_common.mocks.writer import stamp_seed
from lens_common.progress import progress_bar
from lens_modern.realism.features import FEATURES, measure_features
from lens_modern.realism.forest import tell_apart

SEED = 1
N_MOCKS = 1000  # of each class
CLASSES = {"lenses": True, "non-lenses": False}
NO_FIELD = FieldPopulation(0.0, 1.0, 50.0)
SKY = PRIOR.sky_sigma_quantiles_counts
SKY_WITHOUT_TAIL = (*SKY[:6], *(SKY[5] + 1e-6 * number for number in (1, 2, 3)))
# What is left out -> the fields of the prior that say so, and the classes that hold it.
INGREDIENTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "nothing": ({}, tuple(CLASSES)),
    "clumps": ({"clumpy_fraction": 0.0}, tuple(CLASSES)),
    "companions": ({"companion_fraction": 0.0}, tuple(CLASSES)),
    "field galaxies": ({"lens_field": NO_FIELD, "nonlens_field": NO_FIELD}, tuple(CLASSES)),
    "range of Sersic indices": ({"sersic_index_scatter_ln": 0.0}, tuple(CLASSES)),
    "tail of the sky noise": ({"sky_sigma_quantiles_counts": SKY_WITHOUT_TAIL}, tuple(CLASSES)),
    "photon noise of the objects": ({"gain": 1e12}, tuple(CLASSES)),
    "scatter of the seeing": ({"psf_fwhm_sigma_pixels": 0.0}, tuple(CLASSES)),
    "shear": ({"shear_sigma": 0.0}, ("lenses",)),
    "correlated patches": ({"patch_rms_max_counts": 0.0}, ("non-lenses",)),
    "one total of the cut-outs": ({"cutout_fraction": 0.0}, ("non-lenses",)),
    "level below the cut-outs": ({"cutout_level_share_sigma": 0.0}, ("non-lenses",)),
}
# What the pilot study fitted to 200 PICS mocks; the prior before this fit.
PILOT = replace(
    PRIOR,
    nonlens_source=SourcePopulation(385.0, 0.75, 1.45, 0.35),
    source_axis_ratio=(0.3, 1.0),
    patch_sigma_pixels=2.6,
    sky_sigma_quantiles_counts=(3.1, 3.3, 3.5, 3.6, 3.8, 4.6, 5.0, 9.0, 15.0),
    cutout_fraction=0.0,
)


def measure() -> list[dict[str, Any]]:
    """One row a variant of the prior: AUROC of each class with its interval, and the three most telling features."""
    data = load_stamps(pics_mocks(), verbose=True)
    reference = {name: measure_features(data.pixels[data.labels == is_lens]) for name, is_lens in CLASSES.items()}
    variants = [("the pilot's numbers instead", PILOT, tuple(CLASSES))]
    variants += [(what, replace(PRIOR, **changes), classes) for what, (changes, classes) in INGREDIENTS.items()]
    rows: list[dict[str, Any]] = []
    with progress_bar("ingredients", sum(len(classes) for *_, classes in variants), "forest") as bar:
        for what, prior, classes in variants:
            rows.append({"left_out": what, "classes": {}})
            for name in classes:
                rows[-1]["classes"][name] = judge(reference[name], prior, CLASSES[name])
                bar.update()
            print(_as_line(rows[-1]), flush=True)
    return rows


def judge(reference: np.ndarray, prior: Prior, is_lens: bool) -> dict[str, Any]:
    """Make mocks of one class, the same seeds for every prior, and let the forest tell them from the reference."""
    seeds = [stamp_seed(SEED, is_lens, number) for number in range(N_MOCKS)]
    stamps = np.stack([simulate_stamp(seed, is_lens, prior).stamp for seed in seeds])
    verdict = tell_apart(reference, measure_features(stamps[:, None]))
    telling = [FEATURES[k].name for k in np.argsort(-verdict.importances)[:3]]
    interval = {"auroc": verdict.auroc, "auroc_low": verdict.low, "auroc_high": verdict.high}
    return {**interval, "n_reference": verdict.n_reference, "n_mocks": verdict.n_mocks, "telling": telling}


def _as_line(row: dict[str, Any]) -> str:
    cell = "{auroc:.3f} [{auroc_low:.3f}, {auroc_high:.3f}]"
    cells = [f"{name} {cell.format(**verdict)}" for name, verdict in row["classes"].items()]
    return f"{row['left_out']:30}" + "  ".join(cells)


def work(out: Path) -> Path:
    """Measure, and write it down."""
    write_json(out, {"seed": SEED, "mocks_of_each_class": N_MOCKS, "rows": measure()})
    return out


main = partial(carry_out, "ingredients", __doc__, {"out": {"type": out_file}}, work)
