"""Do the networks that come with the package answer to lensing? Lenses against themselves without it.

    python -m experiments shipped.pairs OUT.json

The study's own CNN, mended, is trained for it below runs/models: some minutes.
"""

from functools import partial
from pathlib import Path
from typing import Any

from experiments.runner import ROOT, Job, carry_out, out_file, run
from experiments.shipped.frozen import SEED
from lens_common.data.catalogue import read_catalogue
from lens_common.data.stamps import load_stamps
from lens_common.files import cache_folder, exclusive, write_json
from lens_common.learning.models import MODELS
from lens_common.mocks.prior import PRIOR, prior_hash
from lens_common.mocks.writer import SIMULATOR_VERSION, make_mocks
from lens_common.runs import SHIPPED, describe_environment
from lens_common.scores.pairs import find_pairs, judge_pairs
from lens_modern import LensClassifier, backend

N_PAIRS = 2000
MENDED = "train --model cnn --preset study-20000"


def measure() -> dict[str, Any]:
    """Rows of `judge_pairs` by network, ready for JSON; the lenses of both populations are the same."""
    mended = ROOT / "runs" / "models" / "cnn-mended"
    run(Job("cnn-mended", "modern", "lens_modern.cli", [*MENDED.split(), "--out", mended]))
    backend.prepare(device="cpu")
    folder = cache_folder("mocks") / f"pairs-{N_PAIRS}-seed{SEED}-{prior_hash(PRIOR)}-v{SIMULATOR_VERSION}"
    with exclusive(folder.with_suffix(".lock"), wait=True):
        make_mocks(folder, 2 * N_PAIRS, seed=SEED, verbose=True, pairs=True)
    stamps = load_stamps(folder, verbose=True)
    lenses, unlensed, known = find_pairs(stamps.ids, read_catalogue(folder))

    def judge(folder: Path) -> list[dict[str, Any]]:
        scores = LensClassifier.load(folder).predict_proba(stamps.pixels)[:, 1]
        return judge_pairs(scores[lenses], scores[unlensed], known)

    return {
        "environment": describe_environment(backend.describe()),
        "n_pairs": N_PAIRS,
        "networks": {model: judge(SHIPPED / model) for model in MODELS},
        "mended": {"training": MENDED, "pairs": judge(mended)},
    }


def work(out: Path) -> Path:
    """Measure, and write it down."""
    write_json(out, measure())
    return out


main = partial(carry_out, "pairs", __doc__, {"out": {"type": out_file}}, work)
