"""Idiomatic mode: torch's own parts in the same two networks, under the same canonical names."""

import numpy as np
import pytest
import torch

from lens_common.learning.protocol import NetworkShape
from lens_common.learning.training import TrainingSettings, learning_rate_at
from lens_modern import backend, idiomatic
from lens_modern.cli import main

NETWORKS = {"resnet": idiomatic.IdiomaticResNet, "cnn": idiomatic.IdiomaticCNN}
both_models = pytest.mark.parametrize("model", NETWORKS)


@pytest.fixture(autouse=True)
def as_before():
    """Leave torch as the other tests expect it."""
    backend.prepare()
    yield
    backend.prepare()


@pytest.fixture(scope="module")
def batch():
    random = np.random.RandomState(0)
    stamps = random.normal(size=(16, 1, 45, 45)).astype(np.float32)
    stamps[::2, :, 18:27, 18:27] += 1
    return stamps, (np.arange(16) % 2 == 0).astype(np.float32)


def trained(model, batch, steps=3, **options):
    network = NETWORKS[model](NetworkShape(), 1, **options)
    for step in range(steps):
        network.train_step(*batch, 1e-3, np.random.RandomState(step))
    return network


def same(first, second):
    return list(first) == list(second) and all(np.array_equal(first[name], second[name]) for name in first)


@both_models
def test_a_training_goes_on_from_its_state_to_the_last_bit(model, batch):
    network = trained(model, batch)
    other = NETWORKS[model](NetworkShape(), 2)
    other.set_weights(network.get_weights(training_state=True))
    assert same(other.get_weights(training_state=True), network.get_weights(training_state=True))
    for one in (network, other):
        one.train_step(*batch, 1e-3, np.random.RandomState(9))
    assert same(other.get_weights(training_state=True), network.get_weights(training_state=True))


@both_models
def test_the_faithful_network_scores_alike_with_idiomatic_weights(model, batch):
    network = trained(model, batch)
    faithful = backend.build_network(model, NetworkShape(), 3)
    faithful.set_weights(network.get_weights())
    np.testing.assert_allclose(faithful.predict(batch[0]), network.predict(batch[0]), rtol=0, atol=1e-5)


@both_models
def test_idiomatic_training_goes_on_from_faithful_weights(model, batch):
    faithful = backend.build_network(model, NetworkShape(), 3)
    faithful.train_step(*batch, 1e-3, np.random.RandomState(0))
    network = NETWORKS[model](NetworkShape(), 1)
    network.set_weights(faithful.get_weights())
    np.testing.assert_allclose(network.predict(batch[0]), faithful.predict(batch[0]), rtol=0, atol=1e-4)


def test_batch_norm_is_that_of_torch(batch):
    ours, theirs = idiomatic.BatchNorm(3), torch.nn.BatchNorm2d(3)
    maps = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(1)) * 3 + 1
    for _ in range(3):
        torch.testing.assert_close(ours(maps), theirs(maps), rtol=0, atol=0)
    torch.testing.assert_close(ours.eval()(maps), theirs.eval()(maps), rtol=0, atol=0)
    assert torch.equal(ours.variance, theirs.running_var)


def test_weight_decay_shrinks_kernels_and_nothing_else():
    parameters = {"kernel": torch.ones(2, 1, 3, 3), "bias": torch.ones(2)}
    for parameter in parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    idiomatic.AdamW(parameters).step(0.1)
    assert torch.all(parameters["kernel"] == 1 - 0.1 * 0.01) and torch.all(parameters["bias"] == 1)


@both_models
@pytest.mark.parametrize("ingredient", idiomatic.INGREDIENTS)
def test_each_ingredient_alone_changes_the_training_of_the_networks_it_belongs_to(model, batch, ingredient):
    belongs = {"batch_norm": ["resnet"], "pooling": ["cnn"], "loss": ["cnn"]}.get(ingredient, ["resnet", "cnn"])
    clipped = np.clip(batch[0], -1, 0.5), batch[1]  # plateaus, for the pooling
    plain, changed = (trained(model, clipped, ingredients=given) for given in ((), (ingredient,)))
    assert same(plain.get_weights(), changed.get_weights()) == (model not in belongs)


@both_models
def test_without_ingredients_the_network_is_the_faithful_one(model, batch):
    faithful = backend.build_network(model, NetworkShape(), 1)
    for step in range(3):
        faithful.train_step(*batch, 1e-3, np.random.RandomState(step))
    assert same(trained(model, batch, ingredients=()).get_weights(True), faithful.get_weights(True))


def test_drawing_initial_weights_leaves_the_global_generator_alone():
    network = NETWORKS["cnn"](NetworkShape(), 1)
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    idiomatic._initialise(network.graph, 1)
    assert torch.equal(torch.rand(1), expected)


@both_models
def test_bfloat16_is_used_and_costs_little(model, batch):
    weights = trained(model, batch).get_weights()
    scores = {}
    for bfloat16 in (False, True):
        backend.prepare(bfloat16=bfloat16)
        network = backend.build_network(model, NetworkShape(), 1)
        network.set_weights(weights)
        scores[bfloat16] = network.predict(batch[0])
    assert scores[True].dtype == np.float32
    assert 0 < np.abs(scores[True] - scores[False]).max() < 0.05


@pytest.mark.parametrize("epochs, n_steps", [(3, 12), (10, 9), (2, 2), (5, 1)])
def test_the_one_cycle_schedule_is_that_of_torch(epochs, n_steps):
    settings = TrainingSettings(epochs, 8, 1e-3, schedule="one-cycle")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=epochs * n_steps)
    for number in range(epochs * n_steps):
        ours = learning_rate_at(number // n_steps, settings, number % n_steps, n_steps)
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        optimizer.step()
        if number + 1 < epochs * n_steps:
            scheduler.step()


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_a_run_says_its_mode_and_goes_on_in_no_other(tmp_path, capsys):
    train = ["train", "--model", "cnn", "--mocks", 60, "--batch-size", 16, "--epochs", 2, "--out", tmp_path / "run"]
    assert run(*train, "--mode", "idiomatic") == 0
    config = (tmp_path / "run/config.json").read_text()
    assert '"mode": "idiomatic"' in config and '"schedule": "one-cycle"' in config
    capsys.readouterr()
    assert run(*train) == 2
    assert "a run with other settings, mode; choose another --out" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["abacus", "cuda:99", "meta"])
def test_a_device_that_is_not_there_is_one_sentence(tmp_path, capsys, device):
    assert run("train", "--device", device, "--out", tmp_path / "run") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and f"cannot use the device '{device}'" in lines[0]


def test_float64_is_computed_where_it_is_asked_for(tmp_path):
    train = ["train", "--model", "cnn", "--mocks", 60, "--batch-size", 16, "--epochs", 1]
    assert run(*train, "--precision", "float64", "--out", tmp_path / "run") == 0
    with np.load(tmp_path / "run/weights.npz") as stored:
        assert stored["conv.weight"].dtype == np.float64


def test_a_lens_that_weighs_twice_costs_twice():
    stamps, labels = np.random.RandomState(0).normal(size=(4, 1, 45, 45)), np.ones(4)
    losses = [
        backend.build_network("resnet", NetworkShape(1), 1, **weight).train_step(stamps, labels, 1e-3, None)
        for weight in ({}, {"lens_weight": 2.0})
    ]
    assert losses[1] == pytest.approx(2 * losses[0], rel=1e-6) and losses[0] > 0
