"""The verb ``pairs``: whether a network tells a lens from the same stamp without lensing."""

import argparse
from pathlib import Path
from types import ModuleType
from typing import Any, Dict

import numpy as np

from ..data.catalogue import read_catalogue
from ..data.stamps import load_stamps
from ..files import write_json
from ..learning.classifier import LensClassifier
from ..runs import check_model
from ..scores.metrics import spell_interval
from ..scores.occlusion import map_stamps
from ..scores.pairs import find_pairs, judge_pairs
from ..trials import fit_to_run
from . import pictures
from .options import AddVerb, add_bands, add_network, chosen_run
from .outputs import add_out

DRAWN = 6


def add_verb(verb: AddVerb) -> None:
    """Add ``pairs`` to a command line."""
    parser = verb(
        "pairs",
        "tell lenses from the same stamps without lensing, made by simulate --pairs",
        "mocks-in-pairs/ --out pairs.png",
        pairs,
    )
    parser.add_argument("data", metavar="DATA", help="any folder above mocks of simulate --pairs")
    add_network(parser)
    add_bands(parser)
    add_out(parser, f"{DRAWN} pairs with their occlusion maps; FILE.json holds all numbers", [".png"], [".json"], False)


def pairs(backend: ModuleType, options: argparse.Namespace) -> None:
    """Score both stamps of each pair, and print how often the lens outranks itself without lensing."""
    run = chosen_run(options)
    check_model(run, options.model)
    stamps = fit_to_run(load_stamps(options.data, verbose=True, bands=options.bands), run)
    lenses, unlensed, known = find_pairs(stamps.ids, read_catalogue(options.data))
    classifier = LensClassifier.of(backend).load(run)
    both = stamps[np.concatenate([lenses, unlensed])]
    lensed_scores, unlensed_scores = np.split(classifier.predict_proba(both.pixels)[:, 1], 2)
    rows = judge_pairs(lensed_scores, unlensed_scores, known)
    print(f"{'pairs':32} {'n':>6}  {'the lens is above':24} AUROC")
    for row in rows:
        print(f"{row['pairs']:32} {row['n']:6}  {_spelled(row, 'outranks'):24} {_spelled(row, 'auroc')}")
    if not options.out:
        return
    out = Path(options.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    # From the pair that the network tells apart best to the one that it gets most wrong.
    order = np.argsort(unlensed_scores - lensed_scores, kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, DRAWN).round().astype(int))]
    shown = np.stack([both.ids[chosen], both.ids[chosen + len(order)]], axis=1).ravel()
    drawn, scores, maps = map_stamps(lambda pixels: classifier.predict_proba(pixels)[:, 1], both, list(shown))
    words = [f"{stamp_id}" for stamp_id in drawn.ids]
    words[1::2] = ["the same without lensing"] * len(words[1::2])
    titles = [f"{word}\nscore {value:.3f}" for word, value in zip(words, scores)]
    heading = f"{Path(stamps.folder).name}: with and without lensing"
    pictures.plot_maps(out, drawn.pixels, maps, titles, heading, drawn.bands)
    found: Dict[str, Any] = {"data_hash": stamps.data_hash, "model_hash": classifier.model_hash_, "rows": rows}
    write_json(out.with_suffix(".json"), found)
    print(f"wrote {out} and {out.with_suffix('.json').name}")


def _spelled(row: Dict[str, Any], key: str) -> str:
    return spell_interval(row[key], row[f"{key}_low"], row[f"{key}_high"], ".3f")
