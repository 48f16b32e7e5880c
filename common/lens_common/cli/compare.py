"""The verb ``compare``: compare two score tables of the same stamps."""

import argparse
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Sequence

import numpy as np

from ..files import write_json
from ..scores.comparison import compare_tables
from ..scores.metrics import spell_interval
from . import pictures
from .options import AddVerb, add_margin, add_threshold
from .outputs import add_out


def add_verb(verb: AddVerb) -> None:
    """Add ``compare`` to a command line."""
    parser = verb(
        "compare", "compare two score tables of the same stamps", "resnet.csv cnn.csv --out compared.png", compare
    )
    parser.add_argument("a", metavar="A.csv", help="score table of `score` or `train`, with its JSON beside it")
    parser.add_argument("b", metavar="B.csv", help="another; a difference is B minus A")
    add_margin(parser)
    add_out(parser, "picture of both; FILE.json, with all numbers, beside it", [".png"], [".json"], needed=False)
    add_threshold(parser)


def compare(backend: ModuleType, options: argparse.Namespace) -> None:
    """Compare two score tables of the same stamps: difference in AUROC, equivalence, agreement."""
    paths = (Path(options.a), Path(options.b))
    comparison, labels, scores = compare_tables(*paths, options.margin, options.threshold)
    _print_comparison(comparison)
    if options.out:
        _draw_comparison(Path(options.out), paths, labels, scores, comparison)


def _print_comparison(comparison: Dict[str, Any]) -> None:
    """Print a comparison, a line for each number and its interval."""
    difference, equivalence, agreement = (comparison[key] for key in ("difference", "equivalence", "agreement"))
    level, margin = f"{difference['level']:.0%}", f"{equivalence['margin']:g}"
    lines = {key: str(comparison[key]) for key in ("n_stamps", "n_lenses", "n_non_lenses")}
    for side in "ab":
        ends = comparison[side]["auroc_low"], comparison[side]["auroc_high"]
        interval = spell_interval(difference[f"auroc_{side}"], *ends, spec=".4f")
        lines[f"auroc_{side}"] = f"{interval}  {comparison[side]['table']}"
    lines["difference"] = (
        f"{spell_interval(difference['difference'], difference['low'], difference['high'], '+.4f')}  "
        f"b minus a, {level} by DeLong, p {difference['p_value']:.3g}"
    )
    lines["bootstrap"] = (
        f"{'':7} {spell_interval(None, comparison['bootstrap']['low'], comparison['bootstrap']['high'], '+.4f')}  "
        f"{level} of {comparison['bootstrap']['n_resamples']} resamples"
    )
    lines["equivalence"] = (
        f"{'':7} {spell_interval(None, equivalence['low'], equivalence['high'], '+.4f')}  "
        f"{1 - 2 * equivalence['alpha']:.0%}, "
        f"{'equivalent' if equivalence['equivalent'] else 'not shown to be equivalent'} within {margin}, "
        f"p {equivalence['p_value']:.3g}"
    )
    lines["power"] = f"{equivalence['power']:.4f}  chance to show it if the AUROCs are equal"
    for key in ("pearson", "spearman"):
        lines[key] = "undefined" if agreement[key] is None else f"{agreement[key]:.4f}"
    lines["largest_score_difference"] = f"{agreement['largest_score_difference']:.3g}"
    lines["n_calls_differ"] = (
        f"{agreement['n_calls_differ']} of {comparison['n_stamps']} at a threshold of {agreement['threshold']:g}"
    )
    for key, text in lines.items():
        print(f"{key:24} {text}")


def _draw_comparison(
    out: Path, paths: Sequence[Path], labels: np.ndarray, scores: Sequence[np.ndarray], comparison: Dict[str, Any]
) -> None:
    """Write the figure of a comparison, and its numbers beside it."""
    # The name of a file says little where both have the same one.
    parts = 1 if paths[0].name != paths[1].name else 2
    names = [f"{side}: {'/'.join(path.parts[-parts:])}" for side, path in zip("AB", paths)]
    difference = comparison["difference"]
    title = (
        f"{len(labels)} stamps of {Path(comparison['a']['data']).name}: difference in AUROC "
        f"{spell_interval(difference['difference'], difference['low'], difference['high'], '+.3f')}"
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    pictures.plot_comparison(out, labels, dict(zip(names, scores)), title, comparison["agreement"]["threshold"])
    write_json(out.with_suffix(".json"), comparison)
    print(f"wrote {out} and {out.with_suffix('.json').name}")
