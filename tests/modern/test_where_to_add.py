"""CONTRIBUTING's table of where to add things is true: a model, a metric, a defect and a data set are added just so."""

import csv
import json
import sys

import numpy as np
import pytest
import torch
from astropy.io import fits
from torch import nn

from lens_common.learning.models import MODELS, Model
from lens_common.learning.presets import DEFECTS, Defect
from lens_common.learning.training import TrainingSettings
from lens_common.scores.metrics import METRICS, Metric
from lens_modern import LensClassifier
from lens_modern.cli import main
from lens_modern.report.reading import check_run, read_run


class Toy:
    """Logistic regression on the pixels, as a twin's network would be written in torch."""

    def __init__(self, shape, seed, lens_weight=1.0):
        self.graph = nn.Sequential(nn.Flatten(), nn.Linear(shape.n_bands * shape.side**2, 1))
        nn.init.zeros_(self.graph[1].weight)
        nn.init.zeros_(self.graph[1].bias)

    def train_step(self, stamps, labels, learning_rate, random_state):
        optimizer = torch.optim.SGD(self.graph.parameters(), lr=learning_rate)
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(
            self.graph(torch.as_tensor(stamps))[:, 0], torch.as_tensor(labels)
        )
        loss.backward()
        optimizer.step()
        return loss.item()

    def probability(self, stamps):
        return torch.sigmoid(self.graph(stamps))[:, 0]

    @torch.inference_mode()
    def predict(self, stamps):
        return self.probability(torch.as_tensor(stamps)).numpy()

    def get_weights(self, training_state=False):
        return {name: value.numpy().copy() for name, value in self.graph.state_dict().items()}

    def set_weights(self, weights):
        self.graph.load_state_dict({name: torch.as_tensor(value) for name, value in weights.items()})


@pytest.fixture
def stamps(tmp_path):
    """Stamps of 9 x 9 in the 2018 layout, lenses with a bright centre: another data set, without a catalogue."""
    random_state = np.random.RandomState(0)
    for number in range(120):
        is_lens = number % 2 == 0
        folder = tmp_path / "other" / ("lensed_outputs" if is_lens else "unlensed_outputs") / "0"
        folder.mkdir(parents=True, exist_ok=True)
        stamp = random_state.normal(0, 3, (9, 9)).astype(np.float32)
        stamp[4, 4] += 30 * is_lens
        fits.writeto(folder / f"cutout{number}.fits", stamp)
    return tmp_path / "other"


@pytest.fixture
def toy(monkeypatch):
    """A model that one record adds; its class lies in this module."""
    module = f"{__name__}_toy"
    monkeypatch.setitem(sys.modules, module, type("Module", (), {"Toy": Toy}))
    settings = {"demo": TrainingSettings(20, 10, 0.05)}
    monkeypatch.setitem(MODELS, "toy", Model("Toy", "a logistic regression", {"modern": f"{module}:Toy"}, settings))


def run(*arguments):
    assert main([*map(str, arguments)]) == 0


def test_a_model_goes_through_train_score_evaluate_export_and_report(stamps, toy, tmp_path):
    run("train", "--model", "toy", "--data", stamps, "--out", tmp_path / "run")
    run("evaluate", tmp_path / "run")
    run("score", stamps, "--run", tmp_path / "run", "--out", tmp_path / "scores.csv")
    run("score", stamps, "--run", tmp_path / "run", "--engine", "torch", "--out", tmp_path / "torch.csv")
    run("report", tmp_path / "run", "--out", tmp_path / "page.html")
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["auroc"] > 0.9
    assert "Toy, modern, seed 1" in (tmp_path / "page.html").read_text()
    tables = [[*csv.DictReader(open(tmp_path / name))] for name in ("scores.csv", "torch.csv")]
    np.testing.assert_allclose(*([float(row["score"]) for row in table] for table in tables), atol=1e-6)
    engines = [json.loads((tmp_path / name).read_text())["engine"] for name in ("scores.json", "torch.json")]
    assert engines == ["openvino", "torch"]
    assert LensClassifier.load(tmp_path / "run").model == "toy"


def test_a_metric_leaves_stored_runs_readable_and_is_shown(make_run, report, monkeypatch, tmp_path):
    stored = make_run(tmp_path / "run")
    brier = Metric(lambda judged: float(np.mean((judged.scores - judged.labels) ** 2)), "Brier score")
    monkeypatch.setitem(METRICS, "brier", brier)
    read = read_run(stored)
    check_run(read)
    values = read.sets["test"]
    expected = np.mean((values.scores - values.labels) ** 2)
    assert read.computed_metrics["brier"] == pytest.approx(expected) and "brier" not in read.metrics
    status, _, page = report(stored)
    assert status == 0
    table = json.loads(page.with_suffix(".json").read_text())["tables"]["all-metrics"]["rows"][0]
    assert table["Brier score"] == f"{expected:.3f}"


def test_a_metric_that_a_run_has_stored_is_held_to_its_scores(make_run, change_json, monkeypatch, tmp_path):
    stored = make_run(tmp_path / "run")
    monkeypatch.setitem(METRICS, "half", Metric(lambda judged: 0.5))
    change_json(stored / "metrics.json", half=0.25)
    with pytest.raises(ValueError, match="metrics.json says half 0.25, its scores say 0.5"):
        check_run(read_run(stored))


def test_a_defect_is_one_switch(stamps, toy, monkeypatch, tmp_path):
    monkeypatch.setitem(DEFECTS, "hasty", Defect("one epoch", {"epochs": 1}))
    run("train", "--model", "toy", "--data", stamps, "--defects", "hasty", "--out", tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["defects"] == ["hasty"] and config["settings"]["epochs"] == 1
    run("report", tmp_path / "run", "--out", tmp_path / "page.html")
    assert "Toy, modern, hasty, seed 1" in (tmp_path / "page.html").read_text()


def test_a_model_without_a_network_here_is_refused_in_one_sentence(stamps, monkeypatch, capsys, tmp_path):
    settings = {"demo": TrainingSettings(1, 10, 0.05)}
    monkeypatch.setitem(MODELS, "elsewhere", Model("Elsewhere", "", {"legacy": "none:None"}, settings))
    status = main(["train", "--model", "elsewhere", "--data", str(stamps), "--out", str(tmp_path / "run")])
    assert status == 2
    assert "the elsewhere has no modern network; choose one of legacy" in capsys.readouterr().err
