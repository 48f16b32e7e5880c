"""Tell lenses from non-lenses by radial summaries alone, to show that the classes of the mocks differ beyond lensing.

    python -m experiments reproduction.radial TRAIN_DATA OUT_DIR NAME=DATA [NAME=DATA ...] [--cross-validate NAME]

A logistic regression on mean, scatter and brightest pixel of eight rings, the total, and the count of bright pixels: it
sees no arc.  It learns from the labelled stamps of TRAIN_DATA and scores every set, stamps that it learned from left
out.  A set named by --cross-validate is also scored by five regressions, each fitted to four fifths of that set
itself: what there is to learn in it, whatever TRAIN_DATA teaches.
"""

import hashlib
import platform
import re
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from experiments.runner import carry_out, labelled
from lens_common import __version__
from lens_common.data.noise import median_and_noise
from lens_common.data.stamps import Stamps, load_stamps
from lens_common.errors import UserError
from lens_common.files import write_csv
from lens_common.scores.metrics import auroc, auroc_interval
from lens_common.scores.tables import write_scores

N_RINGS, RADIUS = 8, 22.0  # pixels: a circle of 22 fits into 45x45
CORE_RADIUS, BRIGHT = 15.0, 5.0  # pixels, standard deviations of the noise
N_PARTS = 5
CHUNK = 1000

FEATURES = (
    *(f"{summary}_ring{ring}" for summary in ("mean", "scatter", "brightest") for ring in range(1, N_RINGS + 1)),
    "total",
    "n_bright_within_15px",
    "n_bright_beyond_15px",
)


@dataclass(frozen=True)
class Labelled:
    """What a regression learns from.

    Attributes
    ----------
    features : float array (N, F)
        See `radial_features`.
    labels : bool array (N,)
        True for a lens.
    """

    features: np.ndarray
    labels: np.ndarray


def radial_features(stamps: np.ndarray) -> np.ndarray:
    """Summarise stamps in eight rings of 2.75 pixels around the centre.

    Ring k of 1 to 8 holds the pixels at 2.75 (k - 1) <= r < 2.75 k from the centre of the stamp, the last one those at
    22 too; the corners beyond are in the total and the counts only.  The sky level stays in.

    Parameters
    ----------
    stamps : float array (N, 1, 45, 45)
        Counts; finite.

    Returns
    -------
    float64 array (N, F)
        Columns as in `FEATURES`.  ``mean_ring``, ``scatter_ring`` (standard deviation), ``brightest_ring`` (maximum)
        and ``total`` (sum over the stamp): asinh of the counts over the stamp's noise.  ``n_bright_``: asinh of the
        number of pixels more than 5 times the noise above the median, up to 15 pixels from the centre and beyond.
        A stamp without noise is taken to have a noise of 1 count.

    Raises
    ------
    UserError
        For stamps of another shape: the rings are laid out for 45x45.
    """
    if stamps.ndim != 4 or stamps.shape[1:] != (1, 45, 45):
        raise UserError(f"stamps need shape (N, 1, 45, 45), got {stamps.shape}; cut them out anew")
    median, noise = (values[:, 0, None] for values in median_and_noise(stamps))  # (N, 1)
    pixels = stamps.reshape(len(stamps), 45 * 45).astype(float)  # (N, 2025)
    noise = np.where(noise > 0, noise, 1)
    bright = pixels > median + BRIGHT * noise
    over_noise = pixels / noise

    offset = np.arange(45) - 22
    radius = np.hypot(offset[:, None], offset[None]).ravel()
    ring_of = np.minimum(radius // (RADIUS / N_RINGS), N_RINGS - 1)
    rings = [over_noise[:, (ring_of == ring) & (radius <= RADIUS)] for ring in range(N_RINGS)]
    columns = [summary(ring, axis=1) for summary in (np.mean, np.std, np.max) for ring in rings]
    columns += [over_noise.sum(axis=1)]
    columns += [bright[:, radius <= CORE_RADIUS].sum(axis=1), bright[:, radius > CORE_RADIUS].sum(axis=1)]
    return np.arcsinh(np.stack(columns, axis=1))


def fit_regression(learned: Labelled) -> Pipeline:
    """Fit the regression: features to mean 0 and standard deviation 1, then scikit-learn's ridge penalty, C = 1.

    Parameters
    ----------
    learned : Labelled
        Both classes.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Fitted.
    """
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000)).fit(learned.features, learned.labels)


def cross_validate(learned: Labelled) -> tuple[np.ndarray, np.ndarray, list[Pipeline]]:
    """Score every stamp by a regression that has not seen it.

    Parameters
    ----------
    learned : Labelled
        5 stamps of each class or more.

    Returns
    -------
    scores : float array (N,)
        Probability of a lens.
    parts : int array (N,)
        1 to 5: which of the five regressions scored the stamp.
    models : list of sklearn.pipeline.Pipeline
        The five.

    Raises
    ------
    UserError
        If a class has fewer than 5 stamps.
    """
    n_least = min(int(learned.labels.sum()), int((~learned.labels).sum()))
    if n_least < N_PARTS:
        raise UserError(f"cross-validation needs {N_PARTS} stamps of each class, got {n_least} of one; add stamps")
    scores, parts, models = np.empty(len(learned.labels)), np.empty(len(learned.labels), int), []
    splits = StratifiedKFold(N_PARTS, shuffle=True, random_state=0).split(learned.features, learned.labels)
    for part, (others, held) in enumerate(splits, start=1):
        models.append(fit_regression(Labelled(learned.features[others], learned.labels[others])))
        scores[held] = models[-1].predict_proba(learned.features[held])[:, 1]
        parts[held] = part
    return scores, parts, models


def coefficients_hash(models: list[Pipeline]) -> str:
    """SHA-256 over the coefficients and intercepts of one or more regressions, each per standard deviation."""
    digest = hashlib.sha256()
    for model in models:
        for values in (model[-1].coef_, model[-1].intercept_):
            digest.update(np.ascontiguousarray(values, "<f8").tobytes())
    return digest.hexdigest()


def features_of(data: Stamps) -> np.ndarray:
    """Features (N, F) of many stamps."""
    parts = [radial_features(data.pixels[first : first + CHUNK]) for first in range(0, len(data), CHUNK)]
    return np.concatenate(parts)


def describe_auroc(labels: np.ndarray, scores: np.ndarray) -> str:
    """AUROC with its interval of 95 %, in words; what is missing where a class is."""
    if len(set(labels)) < 2:
        return "no AUROC, a class is missing"
    low, high = auroc_interval(labels, scores)
    return f"AUROC {auroc(labels, scores):.3f} [{low:.3f}, {high:.3f}]"


def score_sets(train_folder: str, out: Path, sets: dict[str, str], validated: list[str]) -> None:
    """Fit, score every set, and write the tables.

    Parameters
    ----------
    train_folder : str
        Labelled stamps to learn from.
    out : Path
        Folder that is made; gets ``coefficients.csv``, ``scores-NAME.csv`` and ``.json``, and for each of `validated`
        ``scores-NAME-cv.csv`` and ``.json``, whose folds say which of five regressions scored a stamp.
    sets : dict of str to str
        Folder by name.
    validated : list of str
        Names of the sets to be cross-validated.
    """
    train = labelled(load_stamps(train_folder, verbose=True))
    model = fit_regression(Labelled(features_of(train), train.labels == 1))
    learned = set(zip(train.ids, train.digests))
    out.mkdir(parents=True, exist_ok=True)
    named = zip(FEATURES, model[-1].coef_[0])
    write_csv(out / "coefficients.csv", [{"feature": n, "per_standard_deviation": repr(float(c))} for n, c in named])
    print(f"trained on {len(train)} stamps of {train_folder}")

    for name, folder in sets.items():
        data = load_stamps(folder, verbose=True)
        new = data[np.array([key not in learned for key in zip(data.ids, data.digests)])]
        print(f"{name}: {len(data) - len(new)} of {len(data)} stamps were trained on and are left out", file=sys.stderr)
        if len(new):
            scores = model.predict_proba(features_of(new))[:, 1]
            _write(out, name, new, np.full(len(new), ""), scores, [model])
        if name in validated:
            data = labelled(data)
            scores, parts, models = cross_validate(Labelled(features_of(data), data.labels == 1))
            _write(out, f"{name}-cv", data, np.array([f"cv{part}" for part in parts]), scores, models)


def _write(out: Path, name: str, data: Stamps, folds: np.ndarray, scores: np.ndarray, models: list[Pipeline]) -> None:
    provenance = {
        "run": out.name,
        "model": "radial logistic regression",
        "model_hash": coefficients_hash(models),
        "versions": {
            "lens-common": __version__,
            "python": platform.python_version(),
            "scikit-learn": sklearn.__version__,
            "numpy": np.__version__,
        },
    }
    write_scores(out / f"scores-{name}.csv", data, folds, scores, provenance)
    known = data.labels >= 0
    print(f"{name}: {describe_auroc(data.labels[known] == 1, scores[known])}, {known.sum()} labelled stamps")


def read_names(pairs: list[str], validated: list[str]) -> dict[str, str]:
    """Folder by name, from NAME=DATA.

    Raises
    ------
    UserError
        For a pair without a name that can stand in a file name, a name given twice or ending in -cv, or one to be
        cross-validated that is not there.
    """
    sets: dict[str, str] = {}
    for pair in pairs:
        name, _, folder = pair.partition("=")
        if not folder or not re.fullmatch(r"\w[\w.-]*", name, re.ASCII) or name.endswith("-cv"):
            raise UserError(f"a set is NAME=DATA, NAME of letters, digits, . _ - and not ending in -cv; got {pair!r}")
        if name in sets:
            raise UserError(f"two sets are named {name}; give each a name of its own")
        sets[name] = folder
    unknown = [name for name in validated if name not in sets]
    if unknown:
        raise UserError(f"no set is named {unknown[0]}; --cross-validate takes one of {', '.join(sets)}")
    return sets


def work(train_data: str, out: str, sets: list[str], cross_validate: list[str]) -> int:
    """Fit and score."""
    score_sets(train_data, Path(out).resolve(), read_names(sets, cross_validate), cross_validate)
    return 0


OPTIONS: dict[str, dict[str, Any]] = {
    "train_data": {"help": "folder with lensed_outputs/ and unlensed_outputs/"},
    "out": {"help": "folder for the tables"},
    "sets": {"nargs": "+", "metavar": "NAME=DATA", "help": "folders to score"},
    "--cross-validate": {"action": "append", "default": [], "metavar": "NAME", "help": "may be given again"},
}
main = partial(carry_out, "radial", __doc__, OPTIONS, work)
