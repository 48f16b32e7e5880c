"""The network of three bands: train it, measure it, and write its card.

    python -m experiments shipped.gri train                  hours; goes on where it stopped
    python -m experiments shipped.gri measure                results/models/gri.json, from the network that ships
    python -m experiments shipped.gri card                   docs/model-card-gri.md, from that file
    python -m experiments shipped.gri realism                results/models/gri-realism.json: what but the arc tells
                                                             the classes of lsst-gri-controlled apart

Sets: 10,000 mocks each of lsst-gri and lsst-gri-controlled, with a seed that was not trained on.
"""

import json
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.runner import ROOT, Job, carry_out, run
from experiments.shipped.card import template
from experiments.shipped.frozen import N_STAMPS, SEED
from experiments.shipped.measure import EASY, FALSE_POSITIVE_RATE, _measure_set, _share
from experiments.shipped.oddities import ray_tracks
from experiments.shipped.ship import ship
from lens_common.data.catalogue import read_catalogue
from lens_common.data.stamps import Stamps, load_stamps
from lens_common.files import cache_folder, exclusive, read_csv, write_json
from lens_common.mocks.multiband_prior import LSST_GRI, LSST_GRI_CONTROLLED, MultibandPrior
from lens_common.mocks.prior import prior_hash
from lens_common.mocks.writer import SIMULATOR_VERSION, make_mocks, simulate_stamp, stamp_seed
from lens_common.runs import SHIPPED, describe_environment, read_config
from lens_common.scores.pairs import find_pairs, judge_pairs
from lens_modern import LensClassifier, backend
from lens_modern.realism.features import NAMES, measure_features
from lens_modern.realism.forest import tell_apart
from lens_modern.report.glossary import link_markdown, read_glossary

NAME = "resnet-gri"
RUN = ROOT / "runs" / "models" / NAME
RESULTS, REALISM = (ROOT / "results" / "models" / name for name in ("gri.json", "gri-realism.json"))
CARD = ROOT / "docs" / "model-card-gri.md"
TRAINING = (
    "train --model resnet --preset deeplens --epochs 5 --batch-size 32 --learning-rate 0.001 --schedule one-cycle "
    "--scaling sky-arcsinh --bands gri --population lsst-gri,lsst-gri-controlled --mocks 60000"
)
POPULATIONS = {prior.name: prior for prior in (LSST_GRI, LSST_GRI_CONTROLLED)}
N_PAIRS, N_ODD, N_TWINS = 2000, 200, 200
N_REALISM = 600  # of each class
# Features of `lens_modern.realism` that do not see where light lies.
KNOW_NO_ARC = (
    "sum", "total flux", "brightest pixel", "deepest pixel", "bright pixels", "dark pixels", "detected signal",
    "objects inside", "objects outside",
)  # fmt: skip


def train() -> Path:
    """Train the network, and put it into the package."""
    run(Job(NAME, "modern", "lens_modern.cli", [*TRAINING.split(), "--out", RUN]))
    return ship(RUN, NAME)


def measure() -> dict[str, Any]:
    """Every figure of the card, ready for JSON."""
    backend.prepare(device="cpu")
    estimator = LensClassifier.load(SHIPPED / NAME)
    config = read_config(SHIPPED / NAME)
    figures: dict[str, Any] = {
        "environment": describe_environment(backend.describe()),
        "model_hash": estimator.model_hash_,
        "data": config["data"],
        "calibration": config["calibration"],
        "populations": {name: prior_hash(prior) for name, prior in POPULATIONS.items()},
        "sets": {},
    }
    for name, prior in POPULATIONS.items():
        data = _mocks(prior, N_STAMPS)
        figures["sets"][name] = {"hash": data.data_hash, **_measure_set(data, _scores(estimator, data.pixels))}
    figures["oddities"] = {name: _odd(_scores(estimator, stamps)) for name, stamps in odd_stamps().items()}
    pairs = _mocks(LSST_GRI, 2 * N_PAIRS, pairs=True)
    lenses, unlensed, known = find_pairs(pairs.ids, read_catalogue(pairs.folder))
    scores = _scores(estimator, pairs.pixels)
    figures["pairs"] = judge_pairs(scores[lenses], scores[unlensed], known)
    figures["twins"] = _twins(_mocks(LSST_GRI, N_TWINS), estimator)
    return figures


def measure_realism() -> dict[str, Any]:
    """AUROC of the class by a random forest and by single features, in g and in i."""
    data = _mocks(LSST_GRI_CONTROLLED, 2 * N_REALISM)
    found: dict[str, Any] = {"hash": data.data_hash, "population": prior_hash(LSST_GRI_CONTROLLED)}
    for band in (0, 2):
        features = measure_features(data.pixels[:, band : band + 1])
        for what, names in (("know no arc", KNOW_NO_ARC), ("all", NAMES)):
            chosen = features[:, [NAMES.index(name) for name in names]]
            verdict = tell_apart(chosen[data.labels == 0], chosen[data.labels == 1])
            found[f"{data.bands[band]}, {what}"] = {
                "auroc": verdict.auroc,
                "low": verdict.low,
                "high": verdict.high,
                "features": dict(zip(names, map(float, verdict.areas))),
            }
    return found


def odd_stamps() -> dict[str, np.ndarray]:
    """Stamps to ask about, float32 (N, 3, 45, 45), nJy, by what they show."""

    def of(kind: str, **changes: Any) -> np.ndarray:
        prior = replace(LSST_GRI, kinds=((kind, 1.0),), **changes)
        return np.stack([_stamp(number, False, prior) for number in range(N_ODD)])

    noise = of("field alone", field_i_mag=(20.0, 20.0))
    clear = replace(LSST_GRI, source_i_mag=(21.0, 24.0), einstein_radius_arcsec=(1.0, 2.2))
    rays = ray_tracks(np.random.RandomState(0), N_ODD)
    # A galaxy half a magnitude brighter than those of its dispersion, and one as it is.
    brighter = replace(clear, magnitude_by_log_dispersion=(-21.65, *LSST_GRI.magnitude_by_log_dispersion[1:]))
    return {
        "noise alone": noise,
        "a star, i = 16 to 23": of("star"),
        "a cosmic ray in one band, on noise": (noise + rays * (np.arange(3) == 1)[:, None, None]).astype(np.float32),
        "an elliptical galaxy": of("elliptical"),
        "a ring galaxy": of("ring"),
        "a spiral galaxy": of("spiral"),
        "a lens of 1 arcsec or more, its galaxy shining": np.stack([_stamp(n, True, clear) for n in range(N_ODD)]),
        "the same, its galaxy half a magnitude brighter": np.stack([_stamp(n, True, brighter) for n in range(N_ODD)]),
    }


def _stamp(number: int, is_lens: bool, prior: MultibandPrior) -> np.ndarray:
    return simulate_stamp(stamp_seed(SEED, is_lens, number), is_lens, prior).stamp


def _mocks(prior: MultibandPrior, n_stamps: int, pairs: bool = False) -> Stamps:
    """Mocks of the seed of the tests, made where they are missing."""
    kind = "pairs" if pairs else "test"
    folder = (
        cache_folder("mocks") / f"{kind}-{prior.name}-{n_stamps}-seed{SEED}-{prior_hash(prior)}-v{SIMULATOR_VERSION}"
    )
    with exclusive(folder.with_suffix(".lock"), wait=True):
        make_mocks(folder, n_stamps, seed=SEED, prior=prior, verbose=True, pairs=pairs)
    return load_stamps(folder, verbose=True)


def _scores(estimator: LensClassifier, stamps: np.ndarray) -> np.ndarray:
    return estimator.predict_proba(stamps)[:, 1]


def _odd(scores: np.ndarray) -> dict[str, Any]:
    return {"median": float(np.median(scores)), "called": _share(scores > 0.5)}


def _twins(data: Stamps, estimator: LensClassifier) -> dict[str, Any]:
    """The same weights in the legacy interpreter: largest difference of a score."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "scores.csv"
        arguments = ["score", data.folder, "--run", SHIPPED / NAME, "--out", out]
        run(Job("lens-legacy score", "legacy", "lens_legacy.cli", arguments))
        theirs = {row["id"]: float(row["score"]) for row in read_csv(out)}
    ours = dict(zip(map(str, data.ids), _scores(estimator, data.pixels)))
    return {"n_stamps": len(ours), "largest_difference": max(abs(ours[name] - theirs[name]) for name in ours)}


def write_card() -> Path:
    """Write the card from what was measured."""
    figures = json.loads(RESULTS.read_text())
    bins = [
        (title, list(zip(*(found[key] for found in figures["sets"].values()), strict=True)))
        for key, title in (("by_einstein_radius", "radius, arcsec"), ("by_snr", "S/N in g"))
    ]
    text = template("gri.md.jinja").render(
        figures=figures,
        bins=bins,
        training=TRAINING,
        easy=EASY,
        rate=FALSE_POSITIVE_RATE,
        config=read_config(SHIPPED / NAME),
    )
    CARD.write_text(link_markdown(text, read_glossary(ROOT / "docs" / "glossary.md"), "glossary.md"))
    return CARD


def work(verb: str) -> Path:
    """Train, measure or write."""
    if verb == "train":
        return train()
    if verb == "measure":
        write_json(RESULTS, measure())
        return RESULTS
    if verb == "realism":
        write_json(REALISM, measure_realism())
        return REALISM
    return write_card()


main = partial(carry_out, "gri", __doc__, {"verb": {"choices": ["train", "measure", "card", "realism"]}}, work)
