"""The frozen test sets: mocks that stay the same when the prior changes.

    python -m experiments shipped.frozen           make those that are missing, and say whether all are what they were
    python -m experiments shipped.frozen freeze    write frozen.json anew, from today's prior

`frozen.json` holds the whole prior of each set, the seed, and what came out: the SHA-256 of the data set, which the
last bits of other libraries and processors can change, and the mean and the brightest pixel of the first stamps of
each class, which they cannot.
"""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.runner import carry_out, pics_mocks
from lens_common.data.stamps import Stamps, load_stamps
from lens_common.errors import UserError
from lens_common.files import cache_folder, exclusive, write_json
from lens_common.mocks.prior import LEAK_CONTROLLED, PRIOR, FieldPopulation, Prior, SourcePopulation
from lens_common.mocks.writer import SIMULATOR_VERSION, make_mocks, simulate_stamp, stamp_seed

RECORD = Path(__file__).with_name("frozen.json")
SEED, N_STAMPS = 20181, 10000
N_SAMPLED = 20
TOLERANCE_COUNTS = 1e-3
POPULATIONS = {"mocks": PRIOR, "leak-controlled": LEAK_CONTROLLED}


def frozen_set(name: str) -> Stamps:
    """Make a frozen set where it is missing, and load it.

    Parameters
    ----------
    name : {"mocks", "leak-controlled"}

    Returns
    -------
    Stamps
        10,000 stamps, half of them lenses.

    Raises
    ------
    UserError
        If the simulator no longer makes these stamps.
    """
    record = json.loads(RECORD.read_text())[name]
    prior = read_prior(record["prior"])
    if not np.allclose(sample(record["seed"], prior), record["sample"], rtol=0, atol=TOLERANCE_COUNTS):
        raise UserError(
            f"the simulator no longer makes the frozen set {name}: figures of before cannot be compared with new ones; "
            "mend the simulator, or freeze new sets (`python -m experiments shipped.frozen freeze`) and measure again"
        )
    folder = cache_folder("mocks") / f"frozen-{name}-{record['hash'][:12]}-v{SIMULATOR_VERSION}"
    with exclusive(folder.with_suffix(".lock"), wait=True):
        make_mocks(folder, record["n_stamps"], seed=record["seed"], prior=prior, verbose=True)
    return load_stamps(folder, verbose=True)


def test_sets() -> dict[str, Stamps]:
    """All sets that figures are measured on, by name: the frozen ones and the PICS mocks."""
    return {name: frozen_set(name) for name in POPULATIONS} | {"pics": load_stamps(pics_mocks(), verbose=True)}


def read_prior(stored: dict) -> Prior:
    """A prior from its JSON."""
    nested: dict[str, Any] = dict.fromkeys(("lens_source", "nonlens_source"), SourcePopulation)
    nested |= dict.fromkeys(("lens_field", "nonlens_field"), FieldPopulation)
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}
    return Prior(**{key: nested[key](**value) if key in nested else value for key, value in values.items()})


def sample(seed: int, prior: Prior) -> list[list[float]]:
    """Mean and brightest pixel of the first stamps of each class, in counts."""
    stamps = [
        simulate_stamp(stamp_seed(seed, is_lens, number), is_lens, prior).stamp
        for is_lens in (True, False)
        for number in range(N_SAMPLED // 2)
    ]
    return [[float(stamp.mean()), float(stamp.max())] for stamp in stamps]


def freeze() -> None:
    """Write the record from today's prior."""
    record = {}
    for name, prior in POPULATIONS.items():
        folder = cache_folder("mocks") / f"freezing-{name}-v{SIMULATOR_VERSION}"
        data = load_stamps(make_mocks(folder, N_STAMPS, seed=SEED, prior=prior, verbose=True))
        record[name] = {
            "n_stamps": N_STAMPS,
            "seed": SEED,
            "simulator_version": SIMULATOR_VERSION,
            "hash": data.data_hash,
            "sample": sample(SEED, prior),
            "prior": asdict(prior),
        }
    write_json(RECORD, record)


def work(verb: str) -> str:
    """Make or freeze the sets, and say whether they are what they were."""
    if verb == "freeze":
        freeze()
    record = json.loads(RECORD.read_text())
    same = {True: "the same bits", False: "the same but for last bits"}
    sets = {name: frozen_set(name) for name in POPULATIONS}
    return "; ".join(f"{data.folder}: {same[data.data_hash == record[name]['hash']]}" for name, data in sets.items())


OPTIONS = {"verb": {"nargs": "?", "choices": ["make", "freeze"], "default": "make"}}
main = partial(carry_out, "frozen", __doc__, OPTIONS, work)
