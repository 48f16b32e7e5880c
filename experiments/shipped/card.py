"""Write the model card from what was measured.

    python -m experiments shipped.card RESULTS OUT.md

The words stand in card.md.jinja.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import jinja2

from experiments.runner import carry_out, out_file
from experiments.shipped.measure import EASY, FALSE_POSITIVE_RATE
from lens_common.data.quality import THRESHOLDS, describe_filter
from lens_common.errors import UserError
from lens_modern.realism.features import FEATURES

PARTS = ("networks", "ingredients")
HERE = Path(__file__).resolve().parent
NAMES = {"resnet": "ResNet", "cnn": "CNN"}
SETS = {"mocks": "mocks", "pics": "PICS mocks", "leak-controlled": "leak-controlled mocks"}


def write_card(results: Path, out: Path) -> Path:
    """Write the page from every JSON file of a folder; return it.

    Raises
    ------
    UserError
        If one is missing or damaged.
    """
    try:
        measured = {name: json.loads((results / f"{name}.json").read_text()) for name in PARTS}
        table = results / "idiomatic.json"
        measured["idiomatic"] = json.loads(table.read_text()) if table.exists() else None
    except (OSError, ValueError) as error:
        raise UserError(f"{results} lacks a part of the card: {error}; run experiments/shipped/make.sh") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(share=share, interval=interval)
    recipes = {model: (HERE / f"{model}.txt").read_text().strip() for model in NAMES}
    text = environment.get_template("card.md.jinja").render(
        **measured,
        names=NAMES,
        n_features=len(FEATURES),
        set_names=SETS,
        recipes=recipes,
        easy_limits=EASY,
        rate=FALSE_POSITIVE_RATE,
        filter=describe_filter(THRESHOLDS),
        failures={model: _failures(measured["networks"], model) for model in NAMES},
        snr_rows=_snr_rows(measured["networks"]["networks"]),
    )
    out.write_text(text)
    return out


def _failures(networks: dict[str, Any], model: str) -> str:
    """Odd stamps without a lens that a network mostly calls one and the filter mostly lets through, by comma."""
    called = networks["networks"][model]["oddities"]
    kinds = [
        kind
        for kind, odd in networks["oddities"].items()
        if "lens" not in kind and called[kind]["called"]["share"] > 0.5 > odd["flagged"]["share"]
    ]
    return ", ".join(kinds) or "none of these"


def _snr_rows(networks: dict[str, Any]) -> list[list[str]]:
    """A row for each bin of S/N: the bin, then each network on each set of mocks; the bins are the same in all."""
    columns = [networks[model]["sets"][name]["by_snr"] for model in NAMES for name in ("mocks", "leak-controlled")]
    return [
        [
            f"{bins[0]['from']:g} to {bins[0]['to']:g}",
            *(f"{share(row['strict'])} of {row['strict']['n']}" for row in bins),
        ]
        for bins in zip(*columns, strict=True)
    ]


def share(estimate: dict[str, Any]) -> str:
    """A share with its interval."""
    return f"{estimate['share']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}]"


def interval(metrics: dict[str, Any]) -> str:
    """An AUROC with its interval."""
    return f"{metrics['auroc']:.3f} [{metrics['auroc_low']:.3f}, {metrics['auroc_high']:.3f}]"


main = partial(carry_out, "card", __doc__, {"results": {"type": Path}, "out": {"type": out_file}}, write_card)
