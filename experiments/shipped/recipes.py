"""What helps beyond the faithful recipe: train the networks of idiomatic.toml, and score the frozen sets with each row.

    python -m experiments shipped.idiomatic OUT.json

A run that is finished is not trained again.  A row means the logits of its runs, calibrated as `ship.py` does, and,
where it says so, of the eight turns and flips of each stamp.
"""

import sys
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from experiments import runner
from experiments.shipped.frozen import test_sets
from experiments.shipped.ship import fit_calibration, logits_of
from lens_common.data.stamps import Stamps
from lens_common.files import write_json
from lens_common.scores.metrics import evaluate_scores
from lens_modern import LensClassifier, backend
from lens_modern.report.figures import calibration_error

PLAN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
RUNS = runner.ROOT / "runs" / "models"
KEPT = ("auroc", "auroc_low", "auroc_high", "tpr_at_fpr_0.01")


def dihedral(stamps: np.ndarray, which: int) -> np.ndarray:
    """Turn stamps (N, bands, H, W) by `which` % 4 right angles, and flip them from 4 on."""
    turned = np.rot90(stamps, which % 4, axes=(2, 3))
    return np.ascontiguousarray(turned[..., ::-1] if which >= 4 else turned)


def mean_logit(scores: np.ndarray) -> np.ndarray:
    """Probability (N,) of the mean logit of some scores (k, N)."""
    return expit(logits_of(scores).mean(axis=0))


def measure() -> dict[str, Any]:
    """Metrics of each row on each set, ready for JSON."""
    sets = test_sets()
    rows = []
    for row in PLAN["rows"]:
        print(f"idiomatic: {row['what']}", file=sys.stderr, flush=True)
        figures: dict[str, dict[str, Any]] = {}
        for name, data in sets.items():
            parts = [_scores(run, name, data)[: 8 if row.get("flips") else 1] for run in row["runs"]]
            scores = mean_logit(np.concatenate(parts))
            metrics = evaluate_scores(data.labels == 1, scores)
            figures[name] = {key: metrics[key] for key in KEPT}
            figures[name]["calibration_error"] = calibration_error(data.labels == 1, scores)
        rows.append({"what": row["what"], "sets": figures})
    return {"rows": rows, "trainings": {name: " ".join(run) for name, run in PLAN["runs"].items()}}


_SCORED: dict[tuple[str, str], np.ndarray] = {}  # a run takes part in several rows


def _scores(run: str, name: str, data: Stamps) -> np.ndarray:
    """Calibrated scores (8, N) of a run for the eight turns and flips."""
    if (run, name) not in _SCORED:
        estimator = LensClassifier.load(RUNS / run)
        scores = np.stack([estimator.predict_proba(dihedral(data.pixels, k))[:, 1] for k in range(8)])
        slope, intercept = fit_calibration(RUNS / run)
        _SCORED[run, name] = expit(slope * logits_of(scores) + intercept)
    return _SCORED[run, name]


def work(out: Path) -> Path:
    """Train what is not trained yet, and measure."""
    for name, options in PLAN["runs"].items():
        if not (RUNS / name / "metrics.json").exists():
            arguments = ["train", *options, "--out", RUNS / name]
            runner.run(runner.Job(f"the training of {name}", "modern", "lens_modern.cli", arguments))
    backend.prepare(device="cpu")
    write_json(out, measure())
    return out


main = partial(runner.carry_out, "idiomatic", __doc__, {"out": {"type": runner.out_file}}, work)
