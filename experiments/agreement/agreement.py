"""Train both twins from the same seeds, and judge whether they agree in how well they find lenses.

    python -m experiments agreement.agreement              new seeds; exit status 1 where the twins part
    python -m experiments agreement.agreement --store      the reference runs, into results/agreement/
    python -m experiments agreement.agreement --planted    what the judgement sees of known differences, and what not

The plan, with the margin, is plan.json.  Every training runs in its own side's interpreter.
"""

import hashlib
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import ttest_ind

from experiments.runner import (
    ONE_THREAD,
    ROOT,
    SIDES,
    Job,
    carry_out,
    fill_table,
    run,
    scaled,
    shuffled,
)
from lens_common.errors import UserError
from lens_common.files import cache_folder, read_csv, write_arrays, write_csv, write_json
from lens_common.mocks.prior import PRIOR, prior_hash
from lens_common.mocks.writer import SIMULATOR_VERSION
from lens_common.runs import describe_environment
from lens_common.scores.comparison import bootstrap_difference, delong_test, equivalence_over_seeds
from lens_common.scores.metrics import auroc
from lens_common.trials import default_mocks
from lens_modern.exercise.mistakes import MISTAKES

HERE = Path(__file__).resolve().parent
STORED = ROOT / "results/agreement"
MODELS = ("resnet", "cnn")
PLAN = json.loads((HERE / "plan.json").read_text())
# Counts; the sums of a stamp's pixels differ by less from one processor to another.
SAME_SUM = 0.05


@dataclass(frozen=True)
class Runs:
    """Scores of one side's runs on the test stamps.

    Attributes
    ----------
    scores : dict of int to float array (N,)
        By seed.
    ids, labels, sums : arrays (N,)
        Of the test stamps: id, whether a lens, sum of the pixels [counts].
    about : dict
        Versions, losses, seconds.
    """

    scores: dict[int, np.ndarray]
    ids: np.ndarray
    labels: np.ndarray
    sums: np.ndarray
    about: dict[str, Any]


def make_data() -> Path:
    """Stamps to train on and to be scored, made once: path of an .npz file."""
    plan = PLAN["data"]
    state = hashlib.sha256(json.dumps([plan, prior_hash(PRIOR), SIMULATOR_VERSION]).encode()).hexdigest()[:12]
    path = cache_folder("agreement") / f"{state}.npz"
    if not path.exists():
        arrays = {}
        for prefix in ("", "test_"):
            seed = plan[f"{prefix}seed"]
            data = shuffled(default_mocks(plan[f"{prefix}mocks"], seed), seed)
            arrays[f"{prefix}stamps"], arrays[f"{prefix}labels"] = scaled(data, plan["scaling"])
            arrays[f"{prefix}ids"] = data.ids.astype(str)
            arrays[f"{prefix}sums"] = data.pixels.sum(axis=(1, 2, 3), dtype=np.float64)
        write_arrays(path, arrays)
    return path


def train(side: str, model: str, seeds: Sequence[int], folder: Path, *options: str) -> Runs:
    """Train one side from each seed and score the test stamps."""
    data, out = make_data(), Path(folder) / f"{side}-{model}{'-'.join(['', *options])}.npz"
    start = time.monotonic()
    arguments = ["agreement.runs", side, model, data, out, *seeds, *options]
    run(Job(out.stem, side, "experiments", arguments), Path(folder) / "logs", **ONE_THREAD)
    seconds = time.monotonic() - start
    with np.load(out) as stored, np.load(data) as stamps:
        about = {
            "versions": {key: v for key, v in json.loads(str(stored["versions"])).items() if key != "blas"},  # a path
            "losses": {seed: [round(float(loss), 6) for loss in stored[f"loss{seed}"]] for seed in seeds},
            "training_seconds": round(sum(float(stored[f"seconds{seed}"]) for seed in seeds), 1),
            "seconds": round(seconds, 1),
        }
        scores = {seed: stored[f"scores{seed}"] for seed in seeds}
        return Runs(scores, stamps["test_ids"], stamps["test_labels"], stamps["test_sums"], about)


def train_both(model: str, seeds: Sequence[int], folder: Path, *options: str) -> dict[str, Runs]:
    """Train both sides at a time; the options are for the modern one."""
    with ThreadPoolExecutor(2) as pool:
        legacy = pool.submit(train, "legacy", model, seeds, folder)
        modern = pool.submit(train, "modern", model, seeds, folder, *options)
        return {"legacy": legacy.result(), "modern": modern.result()}


def judge(a: Runs, b: Runs) -> dict[str, Any]:
    """Compare two sets of runs of the same seeds on the same stamps.

    Returns
    -------
    dict
        ``seeds``, one row each: AUROC of both, their difference, DeLong's and the bootstrap's interval; ``verdict``:
        the mean difference and whether it lies within the margin.

    Raises
    ------
    UserError
        Where seeds or stamps are not the same, or a score is not a number in [0, 1].
    """
    check_same_stamps(a, b)
    if list(a.scores) != list(b.scores):
        raise UserError(f"the runs have other seeds, {[*a.scores]} and {[*b.scores]}; compare the same ones")
    rows = []
    for seed in a.scores:
        pair = (a.labels, a.scores[seed], b.scores[seed])
        test = delong_test(*pair)
        low, high = bootstrap_difference(*pair, np.random.RandomState(seed % 2**32), 1000)
        rows.append(
            {
                "seed": seed,
                **{key: getattr(test, key) for key in ("auroc_a", "auroc_b", "difference", "low", "high", "p_value")},
                "bootstrap_low": low,
                "bootstrap_high": high,
                "largest_score_difference": float(np.abs(pair[1] - pair[2]).max()),
            }
        )
    first, second = (np.stack([*runs.scores.values()]) for runs in (a, b))
    return {"seeds": rows, "verdict": equivalence_over_seeds(a.labels, first, second, PLAN["margin"], PLAN["alpha"])}


def check_same_stamps(a: Runs, b: Runs) -> None:
    """Refuse runs that scored other stamps; the last bits of a pixel may differ between processors."""
    if not (np.array_equal(a.ids, b.ids) and np.array_equal(a.labels, b.labels)):
        raise UserError("the runs scored other stamps, by their ids and labels; compare runs on the same data")
    apart = np.abs(a.sums - b.sums).max()
    if apart > SAME_SUM:
        raise UserError(f"the runs scored other pixels: a stamp's sum differs by {apart:.3g} counts; remake the data")


def within_range(fresh: Runs, stored: Runs) -> float:
    """Whether the mean AUROC of new seeds is what the stored seeds lead to expect: p of Student's t, equal variance."""
    means = [[auroc(runs.labels, scores) for scores in runs.scores.values()] for runs in (fresh, stored)]
    return float(ttest_ind(*means).pvalue)


def describe(model: str, judged: dict[str, Any], names: Sequence[str] = SIDES) -> list[str]:
    """Lines for a reader."""
    row = (
        "{seed:>11}  {auroc_a:12.5f}  {auroc_b:6.5f}  {difference:+10.5f}  [{low:+.5f}, {high:+.5f}], {p_value:.2f}  "
        "[{bootstrap_low:+.5f}, {bootstrap_high:+.5f}]"
    )
    verdict = judged["verdict"]
    return [
        f"{model}: seed  AUROC {names[0]}  {names[1]}  difference  DeLong 95 %, p            bootstrap 95 %",
        *(row.format(**of_seed) for of_seed in judged["seeds"]),
        f"{model}: mean difference {verdict.difference:+.5f}, 90 % interval [{verdict.low:+.5f}, {verdict.high:+.5f}], "
        f"margin {verdict.margin}: {'equivalent' if verdict.equivalent else 'NOT equivalent'} "
        f"(p {verdict.p_value:.1e}, power {verdict.power:.2f})",
    ]


def store(model: str, legacy: Runs, modern: Runs) -> dict[str, Any]:
    """Write the scores of reference runs and where they come from."""
    judged = judge(legacy, modern)
    columns = {"id": legacy.ids, "is_lens": legacy.labels.astype(int), "sum": [f"{v:.3f}" for v in legacy.sums]}
    for side, runs in (("legacy", legacy), ("modern", modern)):
        columns.update({f"{side}-{seed}": [f"{v:.8g}" for v in scores] for seed, scores in runs.scores.items()})
    STORED.mkdir(parents=True, exist_ok=True)
    write_csv(STORED / f"{model}.csv", [dict(zip(columns, row)) for row in zip(*columns.values())])
    environment = describe_environment({})
    about = {
        "plan": {**{key: PLAN[key] for key in ("margin", "alpha", "data")}, **PLAN[model]},
        "legacy": legacy.about,
        "modern": modern.about,
        "seeds": judged["seeds"],
        "verdict": vars(judged["verdict"]),
        "environment": {key: environment[key] for key in ("commit", "processor", "cores", "platform")},
    }
    write_json(STORED / f"{model}.json", about)
    return judged


def load(model: str, side: str, seeds: Sequence[int] | None = None) -> Runs:
    """Stored reference runs of one side, of all seeds or of some."""
    rows = read_csv(STORED / f"{model}.csv")
    every = [int(name.split("-")[1]) for name in rows[0] if name.startswith(f"{side}-")]
    scores = {seed: np.array([float(row[f"{side}-{seed}"]) for row in rows]) for seed in seeds or every}
    labels = np.array([row["is_lens"] == "1" for row in rows])
    sums = np.array([float(row["sum"]) for row in rows])
    return Runs(scores, np.array([row["id"] for row in rows]), labels, sums, {})


def planted() -> dict[tuple[str, str], tuple[list[str], str]]:
    """What is planted in which network -> options of the training, and the comparison of tests/parity that sees it."""
    jobs = {}
    for trap, mistake in MISTAKES.items():
        model = "resnet" if mistake.seen_by == "augmented" else mistake.network
        jobs[trap, model] = ["--trap", trap], mistake.seen_by
    for model, factors in PLAN["planted"]["rate_factors"].items():
        for factor in factors:
            jobs[f"learning rate times {factor}", model] = ["--rate-factor", str(factor)], "after1"
    return jobs


def measure_planted(job: dict[str, str]) -> dict[str, Any]:
    """Judge modern runs with a known difference against the stored legacy runs."""
    options, comparison = planted()[job["planted"], job["model"]]
    seeds = PLAN["planted"]["seeds"]
    trained = train("modern", job["model"], seeds, cache_folder("agreement/planted"), *options)
    judged = judge(load(job["model"], "legacy", seeds), trained)
    verdict = judged["verdict"]
    return {
        "difference": f"{verdict.difference:.6f}",
        "standard_error": f"{verdict.standard_error:.6f}",
        "p_value": f"{verdict.p_value:.3g}",
        "equivalent": verdict.equivalent,
        "largest_score_difference": f"{max(row['largest_score_difference'] for row in judged['seeds']):.4f}",
        "seen_by": comparison,
    }


def agree(model: str, seeds: Sequence[int], keep: bool, *options: str) -> bool:
    """Train both twins and say whether they agree: with each other, and with their stored runs."""
    print(f"agreement: training both twins, {model}, seeds {seeds[0]} to {seeds[-1]}", flush=True)
    runs = train_both(model, seeds, cache_folder("agreement/runs"), *options)
    judged = store(model, **runs) if keep else judge(runs["legacy"], runs["modern"])
    print("\n".join(describe(model, judged)))
    p_values = {} if keep else {side: within_range(runs[side], load(model, side)) for side in SIDES}
    for side, p_value in p_values.items():
        print(f"{model}: mean AUROC of {side} against its stored runs: p {p_value:.3f}")
    return judged["verdict"].equivalent and all(p_value >= 0.001 for p_value in p_values.values())


def work(seeds: int, first_seed: int | None, keep: bool, trap: str | None, plant: bool) -> str | int:
    """Train and judge; 1 where the twins part."""
    make_data()
    if plant:
        jobs = [{"planted": name, "model": model} for name, model in planted()]
        return fill_table(STORED / "planted.csv", jobs, measure_planted)
    first = int.from_bytes(os.urandom(3), "big") + 1000 if first_seed is None else first_seed
    chosen = PLAN["seeds"] if keep else range(first, first + seeds)
    parted = not all([agree(model, chosen, keep, *(["--trap", trap] if trap else [])) for model in MODELS])
    print("agreement: the twins part" if parted else "agreement: the twins agree")
    return int(parted)


OPTIONS: dict[str, dict[str, Any]] = {
    "--seeds": {"type": int, "default": 4, "metavar": "N", "help": "new seeds a twin; default %(default)s"},
    "--first-seed": {"type": int, "metavar": "S", "help": "the others follow it; drawn by default"},
    "--store": {"action": "store_true", "dest": "keep", "help": "the plan's seeds, into results/agreement/"},
    "--trap": {"metavar": "T", "help": "plant a mistake of lens_modern/exercise in the modern twin"},
    "--planted": {"action": "store_true", "dest": "plant", "help": "what the judgement sees of known differences"},
}
main = partial(carry_out, "agreement", __doc__, OPTIONS, work)
