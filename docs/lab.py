"""Build docs/lab.html from lab/page, with mocks made for it and the weights of the shipped CNN.

.venv-modern/bin/python -m docs.lab
"""

import base64
import gzip
import hashlib
import json
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from experiments.runner import ROOT
from lens_common.mocks.writer import Mock, simulate_stamp, stamp_seed
from lens_common.runs import SHIPPED, read_config

PAGE, SOURCE = ROOT / "docs/lab.html", ROOT / "lab/page"
SEED, N_SHOWN, N_HELD = 2018, 200, 100
STEP_COUNTS = 0.125  # to which pixels are rounded, about 1/29 of the noise
WIDE_ARCSEC = 1.1  # radius of a ring that the eye sees
WEIGHTS = ("conv.weight", "conv.bias", "dense.weight", "dense.bias")


def make_page_mocks() -> list[Mock]:
    """Mocks of the page, lens and non-lens in turn; the last `N_HELD` are not trained on."""
    return [
        simulate_stamp(stamp_seed(SEED, is_lens, number), is_lens)
        for number in range((N_SHOWN + N_HELD) // 2)
        for is_lens in (True, False)
    ]


def round_stamps(mocks: Sequence[Mock]) -> np.ndarray:
    """Pixels as the page has them, float32 (N, 1, 45, 45), counts, whole multiples of `STEP_COUNTS`."""
    stamps = np.stack([mock.stamp for mock in mocks])[:, None]
    return (np.round(stamps / STEP_COUNTS) * STEP_COUNTS).astype(np.float32)


def pack(stamps: np.ndarray) -> str:
    """Pack rounded stamps as base64 of a gzip file: the low bytes of all pixels, then the high ones."""
    steps = np.round(stamps / STEP_COUNTS).astype("<i2")
    return to_base64(gzip.compress(steps.view(np.uint8).reshape(-1, 2).T.tobytes(), 9, mtime=0))


def to_base64(content: bytes) -> str:
    """ASCII text of bytes."""
    return base64.b64encode(content).decode()


def by_light(mocks: Sequence[Mock]) -> tuple[list[int], list[int]]:
    """Rows of lenses with a wide ring and of non-lenses, from the most light to the least."""
    rows = sorted(range(len(mocks)), key=lambda row: -mocks[row].snr)
    lenses = [row for row in rows if mocks[row].is_lens and mocks[row].einstein_radius_arcsec > WIDE_ARCSEC]
    return lenses, [row for row in rows if not mocks[row].is_lens]


def spread(rows: Sequence[int], number: int) -> list[int]:
    """Some of the rows, from the first to the last."""
    return [rows[place] for place in np.linspace(0, len(rows) - 1, number).astype(int)]


def shipped_cnn() -> dict[str, Any]:
    """What the page knows of the shipped CNN."""
    config, weights = read_config(SHIPPED / "cnn"), np.load(SHIPPED / "cnn/weights.npz")
    sets = json.loads((ROOT / "results/models/networks.json").read_text())["networks"]["cnn"]["sets"]
    numbers = np.concatenate([np.ravel(weights[name]) for name in WEIGHTS]).astype("<f4")
    noises = config["data"]["noise"]
    return {
        "weights": to_base64(numbers.tobytes()),
        "scaling": config["scaling"]["name"],
        "scale": config["data"]["pixel_scale_arcsec"],
        "noises": [noises[0], noises[-1]],
        "card": {name: {"auroc": sets[name]["auroc"], "error": sets[name]["calibration_error"]} for name in sets},
    }


def bundle(name: str) -> str:
    """Put a module and what it imports into one script."""
    node = Path(sysconfig.get_path("scripts")) / "node"
    esbuild = SOURCE / "node_modules/esbuild/bin/esbuild"
    options = ("--bundle", "--format=iife", "--charset=utf8", "--log-level=warning")
    command = [str(part) for part in (node, esbuild, SOURCE / f"src/{name}.js", *options)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=SOURCE).stdout


def build() -> str:
    """The whole page."""
    mocks = make_page_mocks()
    stamps, shipped = round_stamps(mocks), shipped_cnn()
    data = {
        "mocks": {"pixels": pack(stamps), "step": STEP_COUNTS, "shown": N_SHOWN},
        "pairs": [row // 2 for row in by_light(mocks[:N_SHOWN])[0][:8]],
        "twelve": [row for pair in zip(*(spread(rows, 6) for rows in by_light(mocks[N_SHOWN:]))) for row in pair],
        "shipped": shipped,
    }
    script = bundle("main")
    digest = to_base64(hashlib.sha256(script.encode()).digest())
    template = jinja2.Template((SOURCE / "page.html.jinja").read_text(), undefined=jinja2.StrictUndefined)
    return template.render(
        hash=f"'sha256-{digest}'",
        style=(SOURCE / "style.css").read_text(),
        script=script,
        worker=bundle("worker"),
        data=json.dumps(data),
        auroc_lensing=f"{shipped['card']['leak-controlled']['auroc']:.2f}",
        auroc_mocks=f"{shipped['card']['mocks']['auroc']:.2f}",
    )


if __name__ == "__main__":
    PAGE.write_text(build())
    print(f"wrote {PAGE.relative_to(ROOT)}")
