"""What helps beyond the faithful recipe: train the networks of idiomatic.toml, and score the frozen sets with each row.

idiomatic.py OUT.json

A run that is finished is not trained again.  A row means the logits of its runs, calibrated as `ship.py` does, and,
where it says so, of the eight turns and flips of each stamp.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tomllib
from frozen import test_sets
from scipy.special import expit, logit
from script import carry_out, out_file
from ship import SMALLEST, fit_calibration

from lens_common.cli.commands import restore_run
from lens_common.data.stamps import Stamps
from lens_common.errors import UserError
from lens_common.files import write_json
from lens_common.scores.metrics import evaluate_scores
from lens_modern import backend
from lens_modern.report.figures import calibration_error

HERE = Path(__file__).resolve().parent
RUNS = HERE.parents[1] / "runs" / "models"
KEPT = ("auroc", "auroc_low", "auroc_high", "tpr_at_fpr_0.01")


def dihedral(stamps: np.ndarray, which: int) -> np.ndarray:
    """Turn stamps (N, bands, H, W) by `which` % 4 right angles, and flip them from 4 on."""
    turned = np.rot90(stamps, which % 4, axes=(2, 3))
    return np.ascontiguousarray(turned[..., ::-1] if which >= 4 else turned)


def mean_logit(scores: np.ndarray) -> np.ndarray:
    """Probability (N,) of the mean logit of some scores (k, N)."""
    return expit(logit(np.clip(scores, SMALLEST, 1 - SMALLEST)).mean(axis=0))


def measure(plan: dict[str, Any]) -> dict[str, Any]:
    """Metrics of each row on each set, ready for JSON."""
    sets = test_sets()
    known: dict[tuple[str, str], np.ndarray] = {}
    rows = []
    for row in plan["rows"]:
        print(f"idiomatic: {row['what']}", file=sys.stderr, flush=True)
        found = {"what": row["what"], "sets": {}}
        for name, data in sets.items():
            parts = [_scores(run, name, data, known)[: 8 if row.get("flips") else 1] for run in row["runs"]]
            scores = mean_logit(np.concatenate(parts))
            metrics = evaluate_scores(data.labels == 1, scores)
            found["sets"][name] = {key: metrics[key] for key in KEPT}
            found["sets"][name]["calibration_error"] = calibration_error(data.labels == 1, scores)
        rows.append(found)
    return {"rows": rows, "trainings": {name: " ".join(run) for name, run in plan["runs"].items()}}


def _scores(run: str, name: str, data: Stamps, known: dict[tuple[str, str], np.ndarray]) -> np.ndarray:
    """Calibrated scores (8, N) of a run for the eight turns and flips."""
    if (run, name) not in known:
        estimator, _ = restore_run(backend, str(RUNS / run))
        scores = np.stack([estimator.predict_proba(dihedral(data.pixels, k))[:, 1] for k in range(8)])
        slope, intercept = fit_calibration(RUNS / run)
        known[run, name] = expit(slope * logit(np.clip(scores, SMALLEST, 1 - SMALLEST)) + intercept)
    return known[run, name]


def main(arguments: list[str] | None = None) -> int:
    """Train and measure; 0, or 2 for a mistake."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=out_file)
    out = parser.parse_args(arguments).out
    plan = tomllib.loads((HERE / "idiomatic.toml").read_text())

    def work() -> Path:
        for name, options in plan["runs"].items():
            command = [
                str(HERE.parents[1] / ".venv-modern/bin/lens-modern"),
                "train",
                *options,
                "--out",
                str(RUNS / name),
            ]
            if not (RUNS / name / "metrics.json").exists() and subprocess.run(command).returncode:
                raise UserError(f"the training of {name} failed; the lines above say why")
        backend.prepare(device="cpu")
        write_json(out, measure(plan))
        return out

    return carry_out("idiomatic", work)


if __name__ == "__main__":
    raise SystemExit(main())
