"""What other recipes give: train the networks of recipes.toml, and score the frozen sets with each row of it.

    python -m experiments shipped.recipes OUT.json                    train what is not trained yet, then measure
    python -m experiments shipped.recipes OUT.json --only resnet-sigma cnn-sigma    and keep the other rows of OUT.json
    python -m experiments shipped.recipes OUT.json --device cuda --jobs 8

A row means the logits of its run, calibrated as `ship.py` does, and, where it says so, of the eight turns and flips of
each stamp.
"""

import json
import sys
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from experiments import runner
from experiments.shipped.frozen import test_sets
from experiments.shipped.measure import easy_share
from experiments.shipped.oddities import oddities
from experiments.shipped.ship import fit_calibration, logits_of
from lens_common.errors import UserError
from lens_common.files import write_json
from lens_common.learning.models import MODELS
from lens_common.runs import read_environment
from lens_common.scores.metrics import evaluate_scores
from lens_modern import LensClassifier, backend
from lens_modern.report.figures import calibration_error

PLAN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
RUNS = runner.ROOT / "runs" / "models"
KEPT = ("auroc", "auroc_low", "auroc_high", "tpr_at_fpr_0.01")
TRAININGS = {
    f"{model}-{name}": f"{PLAN['options'][model]} {PLAN['options']['both']} {changes}".split()
    for name, changes in PLAN["runs"].items()
    for model in MODELS
}


def dihedral(stamps: np.ndarray, which: int) -> np.ndarray:
    """Turn stamps (N, bands, H, W) by `which` % 4 right angles, and flip them from 4 on."""
    turned = np.rot90(stamps, which % 4, axes=(2, 3))
    return np.ascontiguousarray(turned[..., ::-1] if which >= 4 else turned)


def mean_logit(scores: np.ndarray) -> np.ndarray:
    """Probability (N,) of the mean logit of some scores (k, N)."""
    return expit(logits_of(scores).mean(axis=0))


def measure(names: list[str]) -> list[dict[str, Any]]:
    """Rows of the table, for the runs of these names."""
    sets = test_sets()
    noise = next(iter(oddities(sets["mocks"].pixels[:1]).values()))
    rows = []
    for model in MODELS:
        for row in PLAN["rows"]:
            if f"{model}-{row['run']}" not in names:
                continue
            print(f"recipes: {model}: {row['what']}", file=sys.stderr, flush=True)
            score = _scorer(RUNS / f"{model}-{row['run']}", 8 if row.get("flips") else 1)
            figures: dict[str, dict[str, Any]] = {}
            for name, data in sets.items():
                labels, scores = data.labels == 1, score(data.pixels)
                metrics = evaluate_scores(labels, scores)
                figures[name] = {key: metrics[key] for key in KEPT}
                figures[name]["calibration_error"] = calibration_error(labels, scores)
                if name != "pics":
                    figures[name]["easy"] = easy_share(data, scores)
            trained_on = read_environment(RUNS / f"{model}-{row['run']}")["framework"]["device"]
            noise_score = float(np.median(score(noise)))
            rows.append({"model": model, **row, "sets": figures, "noise": noise_score, "trained_on": trained_on})
    return rows


def _scorer(run: Path, n_turns: int) -> Any:
    """Function from stamps in counts (N, bands, H, W) to calibrated scores (N,)."""
    estimator = LensClassifier.load(run)
    slope, intercept = fit_calibration(run)

    def score(stamps: np.ndarray) -> np.ndarray:
        scores = [estimator.predict_proba(dihedral(stamps, k))[:, 1] for k in range(n_turns)]
        return mean_logit(expit(slope * logits_of(np.stack(scores)) + intercept))

    return score


def work(out: Path, only: list[str], device: str, jobs: int) -> Path:
    """Train what is not trained yet, and measure."""
    runner.pics_mocks()  # named before the hours of work
    names = only or list(TRAININGS)
    unknown = set(names) - set(TRAININGS)
    if unknown:
        raise UserError(f"no run named {', '.join(sorted(unknown))}; choose among {', '.join(TRAININGS)}")
    waiting = [
        runner.Job(
            name, "modern", "lens_modern.cli", ["train", *TRAININGS[name], "--device", device, "--out", RUNS / name]
        )
        for name in names
        if not (RUNS / name / "metrics.json").exists()
    ]
    failed = runner.work_through("recipes", waiting, jobs, RUNS / "logs")
    backend.prepare(device=device)
    trained = [name for name in names if (RUNS / name / "metrics.json").exists()]
    kept = json.loads(out.read_text())["rows"] if out.exists() else []
    rows = [*measure(trained), *(row for row in kept if f"{row['model']}-{row['run']}" not in trained)]
    order = [(model, row["what"]) for model in MODELS for row in PLAN["rows"]]
    rows.sort(key=lambda row: order.index((row["model"], row["what"])))
    write_json(out, {"rows": rows, "trainings": {name: " ".join(options) for name, options in TRAININGS.items()}})
    if failed:
        raise UserError(f"without {', '.join(failed)}: see {RUNS / 'logs'}")
    return out


OPTIONS: dict[str, dict[str, Any]] = {
    "out": {"type": runner.out_file},
    "--only": {"nargs": "+", "default": [], "metavar": "RUN", "help": "NETWORK-RUN of recipes.toml; by default all"},
    "--device": {"default": "cpu", "metavar": "D", "help": "as of lens-modern train; default %(default)s"},
    "--jobs": {"type": int, "default": 1, "metavar": "N", "help": "trainings at a time; default %(default)s"},
}
main = partial(runner.carry_out, "recipes", __doc__, OPTIONS, work)
