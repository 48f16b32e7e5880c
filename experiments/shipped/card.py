"""Write the model card from what was measured.

card.py RESULTS OUT.md

The words stand in card.md.jinja.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import jinja2
from measure import EASY, FALSE_POSITIVE_RATE
from script import carry_out, out_file

from lens_common.data.quality import THRESHOLDS, describe_filter
from lens_common.errors import UserError
from lens_modern.realism.features import FEATURES

PARTS = ("networks", "ingredients")
HERE = Path(__file__).resolve().parent
NAMES = {"resnet": "ResNet", "cnn": "CNN"}
SETS = {"mocks": "mocks", "pics": "PICS mocks", "leak-controlled": "leak-controlled mocks"}


def write_card(folder: Path, out: Path) -> Path:
    """Write the page from every JSON file of a folder; return it.

    Raises
    ------
    UserError
        If one is missing or damaged.
    """
    try:
        measured = {name: json.loads((folder / f"{name}.json").read_text()) for name in PARTS}
        measured["idiomatic"] = json.loads(table.read_text()) if (table := folder / "idiomatic.json").exists() else None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} lacks a part of the card: {error}; run experiments/shipped/make.sh") from error
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
    rows = []
    for bins in zip(*columns, strict=True):
        cells = [f"{share(row['strict'])} of {row['strict']['n']}" for row in bins]
        rows.append([f"{bins[0]['from']:g} to {bins[0]['to']:g}", *cells])
    return rows


def share(found: dict[str, Any]) -> str:
    """A share with its interval."""
    return f"{found['share']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def interval(metrics: dict[str, Any]) -> str:
    """An AUROC with its interval."""
    return f"{metrics['auroc']:.3f} [{metrics['auroc_low']:.3f}, {metrics['auroc_high']:.3f}]"


def main(arguments: list[str] | None = None) -> int:
    """Write the card; 0, or 2 for a mistake."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("out", type=out_file)
    options = parser.parse_args(arguments)
    return carry_out("card", lambda: write_card(options.results, options.out))


if __name__ == "__main__":
    raise SystemExit(main())
