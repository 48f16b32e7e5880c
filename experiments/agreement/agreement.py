"""Train both twins from the same seeds, and judge whether they agree in how well they find lenses.

    agreement.py               new seeds; exit status 1 where the twins part
    agreement.py --store       the reference runs, into results/agreement/
    agreement.py --planted     what the judgement sees of known differences, and what not

The plan, with the margin, is plan.json.  Every training runs in its own side's interpreter.
"""

import argparse
import hashlib
import importlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import ttest_ind

from lens_common.data.stamps import load_stamps
from lens_common.errors import UserError
from lens_common.files import cache_folder, read_csv, write_csv, write_json
from lens_common.learning.scaling import make_scaling
from lens_common.mocks.prior import PRIOR, prior_hash
from lens_common.mocks.writer import SIMULATOR_VERSION, make_mocks
from lens_common.runs import describe_environment
from lens_common.scores.comparison import bootstrap_difference, delong_test, equivalence_over_seeds
from lens_common.scores.metrics import auroc

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
STORED = ROOT / "results/agreement"
PYTHON = {side: ROOT / f".venv-{side}/bin/python" for side in ("legacy", "modern")}
MODELS = ("resnet", "cnn")
PLAN = json.loads((HERE / "plan.json").read_text())
# Counts; the sums of a stamp's pixels differ by less from one processor to another.
SAME_SUM = 0.05
RATE_FACTORS = {"resnet": (1.003, 1.01, 1.1), "cnn": (1.001, 1.003, 1.01, 1.03, 1.1)}


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

    scores: dict
    ids: np.ndarray
    labels: np.ndarray
    sums: np.ndarray
    about: dict


def make_data():
    """Stamps to train on and to be scored, made once: path of an .npz file."""
    plan = PLAN["data"]
    state = hashlib.sha256(json.dumps([plan, prior_hash(PRIOR), SIMULATOR_VERSION]).encode()).hexdigest()[:12]
    path = cache_folder("agreement") / f"{state}.npz"
    if not path.exists():
        arrays = {}
        for prefix in ("", "test_"):
            n_mocks, seed = plan[f"{prefix}mocks"], plan[f"{prefix}seed"]
            data = load_stamps(make_mocks(cache_folder("agreement") / f"{n_mocks}-{seed}-{state}", n_mocks, seed))
            rows = np.random.RandomState(seed).permutation(len(data.ids))
            stamps = np.asarray(data.pixels)[rows]
            arrays[f"{prefix}stamps"] = make_scaling(plan["scaling"]).fit(stamps).transform(stamps)
            arrays[f"{prefix}labels"] = (data.labels == 1)[rows]
            arrays[f"{prefix}ids"] = data.ids[rows].astype(str)
            arrays[f"{prefix}sums"] = stamps.sum(axis=(1, 2, 3), dtype=np.float64)
        np.savez(path.with_suffix(".partial.npz"), **arrays)
        path.with_suffix(".partial.npz").rename(path)
    return path


def train(side, model, seeds, folder, *options):
    """Train one side from each seed and score the test stamps."""
    data, out = make_data(), Path(folder) / f"{side}-{model}{'-'.join(['', *options])}.npz"
    command = [PYTHON[side], HERE / "runs.py", side, HERE / "plan.json", model, data, out, *map(str, seeds), *options]
    start = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # two sides are trained at a time
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{side} {model} ended with {done.returncode}: {done.stderr[-2000:]}")
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


def train_both(model, seeds, folder, *options):
    """Train both sides at a time; the options are for the modern one."""
    with ThreadPoolExecutor(2) as pool:
        legacy = pool.submit(train, "legacy", model, seeds, folder)
        modern = pool.submit(train, "modern", model, seeds, folder, *options)
        return {"legacy": legacy.result(), "modern": modern.result()}


def judge(a, b):
    """Compare two sets of runs of the same seeds on the same stamps.

    Returns
    -------
    dict
        ``seeds``, one row each: AUROC of both, their difference, DeLong's and the bootstrap's interval; ``verdict``:
        the mean difference and whether it lies within the margin.

    Raises
    ------
    UserError
        Where seeds or stamps are not the same, or a score is no number in [0, 1].
    """
    check_same_stamps(a, b)
    if list(a.scores) != list(b.scores):
        raise UserError(f"the runs have other seeds, {[*a.scores]} and {[*b.scores]}; compare the same ones")
    rows = []
    for seed in a.scores:
        pair = (a.labels, a.scores[seed], b.scores[seed])
        found = delong_test(*pair)
        low, high = bootstrap_difference(*pair, np.random.RandomState(seed % 2**32), 1000)
        rows.append(
            {
                "seed": seed,
                "auroc_a": found.auroc_a,
                "auroc_b": found.auroc_b,
                "difference": found.difference,
                "low": found.low,
                "high": found.high,
                "p_value": found.p_value,
                "bootstrap_low": low,
                "bootstrap_high": high,
                "largest_score_difference": float(np.abs(pair[1] - pair[2]).max()),
            }
        )
    scores = [np.stack([*runs.scores.values()]) for runs in (a, b)]
    return {"seeds": rows, "verdict": equivalence_over_seeds(a.labels, *scores, PLAN["margin"], PLAN["alpha"])}


def check_same_stamps(a, b):
    """Refuse runs that scored other stamps; the last bits of a pixel may differ between processors."""
    if not (np.array_equal(a.ids, b.ids) and np.array_equal(a.labels, b.labels)):
        raise UserError("the runs scored other stamps, by their ids and labels; compare runs on the same data")
    apart = np.abs(a.sums - b.sums).max()
    if apart > SAME_SUM:
        raise UserError(f"the runs scored other pixels: a stamp's sum differs by {apart:.3g} counts; remake the data")


def within_range(fresh, stored):
    """Whether the mean AUROC of new seeds is what the stored seeds lead to expect: p of Student's t, equal variance."""
    means = [[auroc(runs.labels, scores) for scores in runs.scores.values()] for runs in (fresh, stored)]
    return float(ttest_ind(*means).pvalue)


def describe(model, judged, names=("legacy", "modern")):
    """Lines for a reader."""
    lines = [f"{model}: seed  AUROC {names[0]}  {names[1]}  difference  DeLong 95 %, p            bootstrap 95 %"]
    for row in judged["seeds"]:
        lines.append(
            "{:>11}  {:12.5f}  {:6.5f}  {:+10.5f}  [{:+.5f}, {:+.5f}], {:.2f}  [{:+.5f}, {:+.5f}]".format(
                row["seed"], *(row[key] for key in ("auroc_a", "auroc_b", "difference", "low", "high", "p_value")),
                row["bootstrap_low"], row["bootstrap_high"],
            )
        )  # fmt: skip
    found = judged["verdict"]
    verdict = "equivalent" if found.equivalent else "NOT equivalent"
    lines.append(
        f"{model}: mean difference {found.difference:+.5f}, 90 % interval [{found.low:+.5f}, {found.high:+.5f}], "
        f"margin {found.margin}: {verdict} (p {found.p_value:.1e}, power {found.power:.2f})"
    )
    return lines


def store(model, legacy, modern):
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


def load(model, side, seeds=None):
    """Stored reference runs of one side, of all seeds or of some."""
    rows = read_csv(STORED / f"{model}.csv")
    known = [int(name.split("-")[1]) for name in rows[0] if name.startswith(f"{side}-")]
    scores = {seed: np.array([float(row[f"{side}-{seed}"]) for row in rows]) for seed in seeds or known}
    labels = np.array([row["is_lens"] == "1" for row in rows])
    sums = np.array([float(row["sum"]) for row in rows])
    return Runs(scores, np.array([row["id"] for row in rows]), labels, sums, {})


def plant():
    """Judge modern runs with a known difference against the stored legacy runs; write results/agreement/planted.csv."""
    sys.path.insert(0, str(ROOT / "tests" / "parity"))
    traps = importlib.import_module("seen_by").SEEN_BY
    planted = [(trap, model, ["--trap", trap], comparison) for trap, (model, comparison) in traps.items()]
    planted = [(t, "resnet" if comparison == "augmented" else m, o, comparison) for t, m, o, comparison in planted]
    for model, factors in RATE_FACTORS.items():
        for factor in factors:
            planted.append((f"learning rate times {factor}", model, ["--rate-factor", str(factor)], "after1"))
    rows, folder, seeds = [], cache_folder("agreement/planted"), PLAN["seeds"][:3]
    make_data()
    with ThreadPoolExecutor(2) as pool:
        training = [pool.submit(train, "modern", model, seeds, folder, *options) for _, model, options, _ in planted]
        for (what, model, _, comparison), trained in zip(planted, training):
            judged = judge(load(model, "legacy", seeds), trained.result())
            verdict = judged["verdict"]
            apart = max(row["largest_score_difference"] for row in judged["seeds"])
            rows.append(
                {
                    "planted": what,
                    "model": model,
                    "difference": f"{verdict.difference:.6f}",
                    "standard_error": f"{verdict.standard_error:.6f}",
                    "p_value": f"{verdict.p_value:.3g}",
                    "equivalent": verdict.equivalent,
                    "largest_score_difference": f"{apart:.4f}",
                    "seen_by": comparison,
                }
            )
            print("agreement:", *rows[-1].values(), flush=True)
    write_csv(STORED / "planted.csv", rows)


def main(arguments=None):
    """Train and judge; 1 where the twins part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4, metavar="N", help="new seeds a twin; default %(default)s")
    parser.add_argument("--first-seed", type=int, metavar="S", help="the others follow it; drawn by default")
    parser.add_argument("--store", action="store_true", help="the plan's seeds, into results/agreement/")
    parser.add_argument("--trap", metavar="T", help="set a trap of tests/parity/traps.py into the modern twin")
    parser.add_argument("--planted", action="store_true", help="what the judgement sees of known differences")
    options = parser.parse_args(arguments)
    if options.planted:
        plant()
        return 0
    first = int.from_bytes(os.urandom(3), "big") + 1000 if options.first_seed is None else options.first_seed
    seeds = PLAN["seeds"] if options.store else range(first, first + options.seeds)
    parted = False
    folder = cache_folder("agreement/runs")
    make_data()
    for model in MODELS:
        print(f"agreement: training both twins, {model}, seeds {seeds[0]} to {seeds[-1]}", flush=True)
        runs = train_both(model, seeds, folder, *(["--trap", options.trap] if options.trap else []))
        judged = store(model, **runs) if options.store else judge(*runs.values())
        print("\n".join(describe(model, judged)))
        parted |= not judged["verdict"].equivalent
        if not options.store:
            for side in PYTHON:
                p_value = within_range(runs[side], load(model, side))
                print(f"{model}: mean AUROC of {side} against its stored runs: p {p_value:.3f}")
                parted |= p_value < 0.001
    print("agreement: the twins part" if parted else "agreement: the twins agree")
    return int(parted)


if __name__ == "__main__":
    raise SystemExit(main())
