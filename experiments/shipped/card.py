"""Write the model card from what was measured.

    python -m experiments shipped.card RESULTS OUT.md

The words stand in card.md.jinja.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import jinja2

from experiments.runner import ROOT, carry_out, out_file
from experiments.shipped.measure import EASY, FALSE_POSITIVE_RATE
from experiments.shipped.recipes import TRAININGS
from lens_common.data.quality import THRESHOLDS, describe_filter
from lens_common.errors import UserError
from lens_modern.realism.features import FEATURES
from lens_modern.report.figures import Figure, draw_growth, draw_lines, standalone
from lens_modern.report.glossary import link_markdown, read_glossary
from lens_modern.report.intervals import Estimate

PARTS = ("networks", "before", "recipes", "ingredients", "pairs")
PAIR_KEYS = ("outranks", "auroc")
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
    except (OSError, ValueError) as error:
        raise UserError(f"{results} lacks a part of the card: {error}; run experiments/shipped/make.sh") from error
    recipes = {model: " ".join(TRAININGS[f"{model}-shipped"]) for model in NAMES}
    networks, before = measured["networks"]["networks"], measured["before"]["networks"]
    for figure in draw_recipes(measured["recipes"]["rows"]):
        (results / f"{figure.key}.svg").write_text(standalone(figure))
    text = template("card.md.jinja").render(
        networks=measured["networks"],
        before=measured["before"],
        ingredients=measured["ingredients"],
        recipes_measured=measured["recipes"],
        pairs=measured["pairs"],
        pair_rows=[_pair_row(rows) for rows in zip(*measured["pairs"]["networks"].values(), strict=True)],
        names=NAMES,
        n_features=len(FEATURES),
        set_names=SETS,
        recipes=recipes,
        easy_limits=EASY,
        rate=FALSE_POSITIVE_RATE,
        filter=describe_filter(THRESHOLDS),
        failures={model: _failures(measured["networks"], model) for model in NAMES},
        snr_rows=_bin_rows(networks, "by_snr"),
        radius_rows=_bin_rows(networks, "by_einstein_radius"),
        changed_rows=_changed_rows([networks, before]),
    )
    out.write_text(link_markdown(text, read_glossary(ROOT / "docs" / "glossary.md"), "glossary.md"))
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


def _bin_rows(networks: dict[str, Any], key: str) -> list[list[str]]:
    """A row for each bin: the bin, then each network on each set of mocks; the bins are the same in all."""
    columns = [networks[model]["sets"][name][key] for model in NAMES for name in ("mocks", "leak-controlled")]
    return [
        [
            f"{bins[0]['from']:g} to {bins[0]['to']:g}",
            *(f"{share(row['strict'])} of {row['strict']['n']}" for row in bins),
        ]
        for bins in zip(*columns, strict=True)
    ]


def _pair_row(rows: tuple[dict[str, Any], ...]) -> list[str]:
    """The pairs, their number, then of each network how often the lens is above, and the AUROC."""
    cells = [ranked(row, key) for row in rows for key in PAIR_KEYS]
    return [rows[0]["pairs"], str(rows[0]["n"]), *cells]


def _changed_rows(of_networks: list[dict[str, Any]]) -> list[list[str]]:
    """A row for each change to each set: set, change, then each network, those of today first."""
    columns = [networks[model]["changed"] for networks in of_networks for model in NAMES]
    return [
        [SETS[rows[0]["set"]], rows[0]["what"], *(f"{row['auroc']:.3f}, {row['completeness']:.2f}" for row in rows)]
        for rows in zip(*columns, strict=True)
    ]


def draw_recipes(rows: list[dict[str, Any]]) -> tuple[Figure, Figure]:
    """AUROC of each network on each set by the number of mocks, and by the share of `lsst-2017` among 30,000."""
    by_number: dict[str, dict[int, Estimate]] = {}
    by_share: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for key, title in SETS.items():
            line, found = f"{NAMES[row['model']]}, {title}", row["sets"][key]
            if "n_mocks" in row:
                known = Estimate(found["auroc"], found["auroc_low"], found["auroc_high"])
                by_number.setdefault(line, {})[row["n_mocks"]] = known
            if "percent" in row:
                by_share.setdefault(line, []).append((row["percent"], found["auroc"]))
    labels = ("lsst-2017 among 30,000 mocks [%]", "AUROC")
    return (
        draw_growth("recipes-number", "AUROC by number of mocks, half of each population", by_number, "AUROC"),
        draw_lines(
            "recipes-share", "AUROC by population", {k: sorted(v) for k, v in by_share.items()}, labels, ylim=(0.3, 1)
        ),
    )


def template(name: str) -> jinja2.Template:
    """A page's words, from beside this file; estimates are spelled by the filters `share`, `interval` and `ranked`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(share=share, interval=interval, ranked=ranked)
    return environment.get_template(name)


def share(estimate: dict[str, Any]) -> str:
    """A share with its interval."""
    return f"{estimate['share']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}]"


def ranked(row: dict[str, Any], key: str = "outranks") -> str:
    """What pairs say, with its interval: how often the lens is above or, by the key `auroc`, the AUROC."""
    return f"{row[key]:.3f} [{row[f'{key}_low']:.3f}, {row[f'{key}_high']:.3f}]"


def interval(metrics: dict[str, Any]) -> str:
    """An AUROC with its interval."""
    return f"{metrics['auroc']:.3f} [{metrics['auroc_low']:.3f}, {metrics['auroc_high']:.3f}]"


main = partial(carry_out, "card", __doc__, {"results": {"type": Path}, "out": {"type": out_file}}, write_card)
