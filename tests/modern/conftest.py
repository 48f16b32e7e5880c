"""What the tests of the report share: run directories written by hand."""

import csv
import gzip
import hashlib
import io
import json
import shutil

import numpy as np
import pytest

from lens_common.runs import model_hash
from lens_common.scores.metrics import evaluate_scores
from lens_modern.cli import main

SCALING = {"name": "sigma", "low": -10.0, "high": 20.0}
N_TEST, N_VALIDATION = 40, 24


def write_table(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def draw_scores(n_stamps, seed, shift=0.0):
    """Lens and non-lens in turn; lenses score higher by a quarter.  Four digits, as in a table."""
    random = np.random.RandomState(seed)
    labels = np.arange(n_stamps) % 2 == 0
    scores = 0.35 + 0.25 * labels + random.normal(0, 0.15, n_stamps) + shift * random.normal(0, 1, n_stamps)
    return labels, np.round(np.clip(scores, 0.01, 0.99), 4)


def write_scores(path, labels, scores, folds, about, prefix=""):
    rows = [
        {
            "id": f"{prefix}{number}",
            "path": f"{prefix}{number}.fits",
            "fold": fold,
            "is_lens": int(label),
            "score": score,
        }
        for number, (label, score, fold) in enumerate(zip(labels, scores.tolist(), folds))
    ]
    write_table(path, rows)
    about = {**about, "n_stamps": len(rows), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(about))


def make_run(
    run, seed=1, framework="legacy", model="cnn", mode="faithful", sets=None, labels=None, data="a", weights=True
):
    """Write a finished run whose files tell one story; `sets` are further (labels, scores) by name."""
    run.mkdir(parents=True)
    weights = {"dense.weight": np.full((1, 3), seed + (framework == "modern") / 2, np.float32)} if weights else None
    hashed = model_hash(weights, SCALING) if weights else hashlib.sha256(f"{run}".encode()).hexdigest()
    if weights:
        np.savez(run / "weights.npz", **weights)
    config = {
        "format": 1,
        "version": "0.1.0",
        "framework": framework,
        "model": model,
        "seed": seed,
        "settings": {"epochs": 3, "batch_size": 16, "learning_rate": 1e-3, "patience": 0},
        "defects": [],
        "filter": None,
        "mode": mode,
        "preset": "demo",
        "data": {"folder": "/nowhere/mocks", "hash": data * 64, "n_stamps": 320},
        "scaling": SCALING,
    }
    (run / "config.json").write_text(json.dumps(config))
    (run / "environment.json").write_text(
        json.dumps({"commit": "c" * 40, "cores": 2, "framework": {"python": "3.11.7"}, "processor": "abacus"})
    )
    about = {"data": "/nowhere/mocks", "data_hash": data * 64, "model": model, "model_hash": hashed}
    own, scores = draw_scores(N_TEST + N_VALIDATION, seed, shift=0.01 * (framework == "modern"))
    own = own if labels is None else labels
    folds = ["test"] * N_TEST + ["validation"] * N_VALIDATION
    write_scores(run / "scores.csv", own, scores, folds, about)
    for name, (labels_of_set, scores_of_set) in (sets or {}).items():
        write_scores(run / f"scores-{name}.csv", labels_of_set, scores_of_set, [""] * len(scores_of_set), about, name)
    metrics = evaluate_scores(own[:N_TEST], scores[:N_TEST])
    metrics |= {"data": "/nowhere/mocks", "data_hash": data * 64, "model_hash": hashed, "fold": "test"}
    (run / "metrics.json").write_text(json.dumps(metrics))
    watched = evaluate_scores(own[N_TEST:], scores[N_TEST:])["auroc"]
    write_table(
        run / "history.csv",
        [
            {"epoch": 1, "loss": 0.9, "validation_auroc": 0.5, "seconds": 20.0},
            {"epoch": 2, "loss": 0.7, "validation_auroc": 0.6, "seconds": 30.0},
            {"epoch": 3, "loss": 0.6, "validation_auroc": watched, "seconds": 40.0},
        ],
    )
    return run


def publish_run(run, out):
    """Write a run as the reproduction keeps it: no weights, all scores in one table."""
    out.mkdir(parents=True)
    for name in ("config.json", "environment.json", "history.csv", "metrics.json"):
        shutil.copyfile(run / name, out / name)
    rows, sets = [], {}
    for path in sorted(run.glob("scores*.csv")):
        stored = json.loads(path.with_suffix(".json").read_text())
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                name = path.stem.removeprefix("scores").removeprefix("-") or row["fold"]
                rows.append({"set": name, **{key: row[key] for key in ("id", "is_lens", "score")}})
                sets[name] = {"data_hash": stored["data_hash"], "n_stamps": stored["n_stamps"]}
    with io.StringIO() as file:
        writer = csv.DictWriter(file, ["set", "id", "is_lens", "score"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        content = file.getvalue().encode()
    (out / "scores.csv.gz").write_bytes(gzip.compress(content, mtime=0))
    about = {key: stored[key] for key in ("model", "model_hash")}
    about |= {"sha256": hashlib.sha256(content).hexdigest(), "sets": sets}
    (out / "scores.json").write_text(json.dumps(about))
    return out


def change_json(path, **changes):
    """Set keys of a JSON file; those set to ``...`` go."""
    found = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in found.items() if value is not ...}))


@pytest.fixture(scope="session", name="make_run")
def _make_run():
    return make_run


@pytest.fixture(scope="session", name="publish_run")
def _publish_run():
    return publish_run


@pytest.fixture(scope="session", name="draw_scores")
def _draw_scores():
    return draw_scores


@pytest.fixture(scope="session", name="change_json")
def _change_json():
    return change_json


@pytest.fixture
def twins(tmp_path):
    """A legacy and a modern run of one recipe and one seed."""
    return [make_run(tmp_path / framework, framework=framework) for framework in ("legacy", "modern")]


@pytest.fixture
def report(tmp_path, capsys):
    """Run the verb on some runs; return exit status, lines on stderr, and the page where one was written."""

    def run_verb(*runs, options=()):
        out = tmp_path / "out" / "page.html"
        status = main(["report", *map(str, runs), "--out", str(out), *options])
        lines = capsys.readouterr().err.splitlines()
        return status, lines, out if out.exists() else None

    return run_verb
