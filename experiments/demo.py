"""Train both networks in both frameworks on the same mocks, and set the twins side by side on one page.

The runs lie below runs/demo/FRAMEWORK/MODEL, what they print in runs/demo/logs; a demo that was stopped goes on.
"""

import contextlib
import io
import json
import os
import sys
from functools import partial

from lens_common.errors import UserError
from lens_common.learning.models import MODELS
from lens_common.learning.presets import PRESETS
from lens_common.trials import default_mocks
from lens_modern import cli

from .runner import ROOT, SIDES, Job, carry_out, work_through

FOLDER = ROOT / "runs" / "demo"
# Seconds on one core, about; the longest is begun first.
COST = {("resnet", "legacy"): 400.0, ("resnet", "modern"): 150.0, ("cnn", "legacy"): 60.0, ("cnn", "modern"): 40.0}


def demo() -> str:
    """Train, and write the page; name it."""
    print(f"demo: four trainings, {len(COST)} lines to come; details in {_named(FOLDER / 'logs')}", flush=True)
    default_mocks(PRESETS["demo"].n_stamps, 1)
    runs = {(model, side): FOLDER / side / model for model in MODELS for side in SIDES}
    jobs, n_cores = [], len(os.sched_getaffinity(0))
    for (model, side), cost in COST.items():
        train = ["train", "--model", model, "--preset", "demo", "--out", str(runs[model, side])]
        name = f"{MODELS[model].title}, {side}"
        # The longest is alone in the end, and takes what the others leave.
        threads = n_cores if cost == max(COST.values()) else 1
        jobs.append(Job(name, side, "experiments.runner", [side, json.dumps([train])], cost, threads))
    failed = work_through("demo", jobs, min(2, n_cores), FOLDER / "logs")
    if failed:
        raise UserError(f"{failed[0]} did not end well; {_named(FOLDER / 'logs' / failed[0])}.log says why")
    page = FOLDER / "report.html"
    with contextlib.redirect_stdout(io.StringIO()):
        status = cli.main(
            ["report", *(os.path.relpath(run) for run in runs.values()), "--out", str(page), "--overwrite"]
        )
    if status:
        raise UserError("the page could not be written; the line above says why")
    return f"open {_named(page)}: the twins side by side"


def _named(path: os.PathLike) -> str:
    return os.path.relpath(path)


main = partial(carry_out, "demo", __doc__, {}, demo)

if __name__ == "__main__":
    sys.exit(main())
