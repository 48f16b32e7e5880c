"""Put a trained network into the package: its weights and settings, without what is of one machine.

    python -m experiments shipped.ship RUN [--name NAME]

Its scores are calibrated on the validation fold, which it did not learn from: a slope and an intercept of the logit,
taken into the weights of the last layer, so that no order of two stamps changes and both frameworks follow.

References
----------
Platt 1999, "Probabilistic outputs for support vector machines"; Guo et al. 2017, arXiv:1706.04599, section 4.2;
Gneiting & Raftery 2007, "Strictly proper scoring rules", section 3.1.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from experiments.runner import carry_out
from lens_common.errors import UserError
from lens_common.files import read_csv, write_arrays, write_csv, write_json
from lens_common.runs import SHIPPED, load_weights, read_config
from lens_modern.report.figures import calibration_error

SMALLEST = 1e-7  # of a probability: float32 rounds to 0 and 1, where the logit is infinite
COLUMNS = ("id", "path", "fold", "is_lens", "digest")


def ship(run: Path, name: str | None = None) -> Path:
    """Copy what `score` needs of a run, under the name of its model or another; return the folder.

    Raises
    ------
    UserError
        If the training has not ended, was not faithful, or had a defect of the study.
    """
    config = read_config(run)
    if "scaling" not in config:
        raise UserError(f"the training in {run} has not ended")
    if config["mode"] != "faithful" or config["defects"]:
        raise UserError(f"{run} was trained in mode {config['mode']} with defects {config['defects']}")
    folder = SHIPPED / (name or config["model"])
    folder.mkdir(parents=True, exist_ok=True)
    config["data"]["folder"] = Path(config["data"]["folder"]).name
    slope, intercept = fit_calibration(run)
    config["calibration"] = {"fold": "validation", "slope": slope, "intercept": intercept}
    write_json(folder / "config.json", config)
    weights = calibrated(load_weights(run / "weights.npz"), slope, intercept)
    write_arrays(folder / "weights.npz", {name: np.asarray(values, np.float32) for name, values in weights.items()})
    write_csv(folder / "stamps.csv", [], COLUMNS)  # of the mocks that it learned from, nobody else has one
    return folder


def logits_of(scores: np.ndarray) -> np.ndarray:
    """Logits of scores in [0, 1], all finite."""
    return logit(np.clip(scores, SMALLEST, 1 - SMALLEST))


def fit_calibration(run: Path) -> tuple[float, float]:
    """Slope and intercept of the logits of the validation fold.

    They are those of the greatest likelihood or, where that leaves less of a calibration error, of the least Brier
    score: the likelihood weighs a few confident mistakes above all else, and can leave the others' scores off.
    """
    rows = [row for row in read_csv(run / "scores.csv") if row["fold"] == "validation"]
    logits = logits_of(np.array([float(row["score"]) for row in rows]))
    labels = np.array([row["is_lens"] == "1" for row in rows])
    likely = LogisticRegression(C=np.inf).fit(logits[:, None], labels)
    brier = minimize(lambda line: np.mean((expit(line[0] * logits + line[1]) - labels) ** 2), (1, 0))
    lines = [(float(likely.coef_[0, 0]), float(likely.intercept_[0])), (float(brier.x[0]), float(brier.x[1]))]
    return min(lines, key=lambda line: calibration_error(labels, expit(line[0] * logits + line[1])))


def calibrated(weights: dict[str, np.ndarray], slope: float, intercept: float) -> dict[str, np.ndarray]:
    """Weights whose logit of a lens is `slope` times as large, and larger by `intercept`."""
    bias = slope * weights["dense.bias"].astype(float)
    bias[-1] += intercept  # the one output of the ResNet, or the second of the CNN's two
    return {**weights, "dense.weight": slope * weights["dense.weight"], "dense.bias": bias}


OPTIONS: dict[str, dict[str, Any]] = {"run": {"type": Path}, "--name": {"help": "by default the model of the run"}}
main = partial(carry_out, "ship", __doc__, OPTIONS, ship)
