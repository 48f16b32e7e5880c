"""docs/populations.md says what was measured, of today's populations."""

import json
import re
from pathlib import Path

from lens_common.mocks.multiband_prior import LSST_GRI_CONTROLLED
from lens_common.mocks.prior import POPULATIONS, prior_hash

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "populations.md").read_text()
MEASURED = json.loads((ROOT / "results" / "models" / "gri-realism.json").read_text())


def test_the_measured_population_is_that_of_today():
    assert MEASURED["population"] == prior_hash(LSST_GRI_CONTROLLED)


def test_every_figure_of_the_table_is_the_measured_one():
    table = dict(re.findall(r"^\| ([a-z ]+) \| (0\.\d\d \| 0\.\d\d) \|$", PAGE, re.MULTILINE))
    g, i = (MEASURED[f"{band}, know no arc"]["features"] for band in "gi")
    assert table == {name: f"{g[name]:.2f} | {i[name]:.2f}" for name in g}


def test_the_forest_is_quoted_as_measured():
    for band in "gi":
        found = MEASURED[f"{band}, know no arc"]
        spelled = f"{found['auroc']:.2f} [{found['low']:.2f}, {found['high']:.2f}] in {band}"
        assert spelled in PAGE
    assert "all together have {:.2f} and {:.2f}.".format(*(MEASURED[f"{band}, all"]["auroc"] for band in "gi")) in PAGE


def test_every_population_is_described():
    assert all(f"`{name}`" in PAGE for name in POPULATIONS)
