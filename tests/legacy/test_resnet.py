import sys

import numpy as np
import pytest

from lens_common.errors import UserError
from lens_common.learning.protocol import NetworkShape
from lens_legacy import backend

from .oracles import ResNetOracle, sigmoid

STATISTICS = (".mean", ".inv_std")


@pytest.fixture(scope="module")
def fresh(resnet):
    """Weights as first drawn, with the state of training."""
    return resnet.get_weights(training_state=True)


@pytest.fixture(scope="module")
def oracle(fresh, batch):
    """The oracle after it has seen the batch."""
    oracle = ResNetOracle(fresh)
    oracle.batch_logits = oracle.logits(batch[0])
    return oracle


def test_forty_six_convolutions_lead_to_the_logit(resnet):
    kernels = [values for values in resnet.get_weights().values() if values.ndim == 4]
    assert len(kernels) - 4 == 46  # four shortcuts beside the path of 46


@pytest.mark.parametrize("n_bands, expected", [(1, 3508545), (3, 3511681), (4, 3513249)])
def test_the_number_of_trainable_parameters_is_the_published_one(n_bands, expected):
    weights = backend.build_network("resnet", NetworkShape(n_bands=n_bands), seed=1).get_weights()
    assert sum(values.size for name, values in weights.items() if not name.endswith(STATISTICS)) == expected


def test_the_initial_kernels_have_the_published_spread(fresh):
    # He: sqrt(2 / fan_in) for 256 x 3 x 3; Glorot uniform with gain sqrt(2) for the stem, 1 and 32 maps of 7 x 7
    assert fresh["stage5.unit3.conv2.weight"].std() == pytest.approx(np.sqrt(2 / (256 * 9)), rel=0.01)
    assert abs(fresh["stem.conv.weight"]).max() == pytest.approx(np.sqrt(2) * np.sqrt(6 / (33 * 49)), rel=0.01)


def test_one_seed_draws_the_same_weights_and_another_seed_others(fresh):
    first, again, other = (backend.build_network("resnet", NetworkShape(), seed) for seed in (3, 3, 4))
    name = "stage3.unit2.conv2.weight"
    np.testing.assert_array_equal(first.get_weights()[name], again.get_weights()[name])
    assert not np.array_equal(first.get_weights()[name], other.get_weights()[name])


def test_scores_equal_those_of_a_network_in_plain_numpy(resnet, fresh, oracle, batch):
    statistics = {name: values.astype(np.float32) for name, values in oracle.statistics.items()}
    resnet.set_weights({**fresh, **statistics})
    scores = resnet.predict(batch[0])
    assert np.ptp(scores) > 0.01  # not saturated: the test can fail
    np.testing.assert_allclose(scores, sigmoid(oracle.batch_logits), atol=2e-5)


def test_the_loss_of_a_step_is_that_of_a_network_in_plain_numpy(resnet, fresh, oracle, batch):
    resnet.set_weights(fresh)
    stamps, labels = batch
    probability = sigmoid(oracle.batch_logits)
    expected = -np.mean(np.log(np.where(labels == 1, probability, 1 - probability)))
    assert resnet.train_step(stamps, labels, 1e-3, np.random.RandomState(0)) == pytest.approx(expected, rel=1e-4)


def test_a_step_moves_every_batch_norm_a_tenth_towards_the_batch(resnet, fresh, oracle, batch):
    resnet.set_weights(fresh)
    resnet.train_step(*batch, 1e-3, np.random.RandomState(0))
    moved = resnet.get_weights()
    for name, value in oracle.statistics.items():
        start = 1.0 if name.endswith(".inv_std") else 0.0
        np.testing.assert_allclose(moved[name], 0.9 * start + 0.1 * value, rtol=2e-3, atol=2e-4, err_msg=name)


def test_the_first_step_of_adam_is_the_learning_rate_against_the_gradient_s_sign(resnet, fresh, oracle, batch):
    resnet.set_weights(fresh)
    stamps, labels = batch
    gradient = np.mean(sigmoid(oracle.batch_logits) - labels)
    resnet.train_step(stamps, labels, 1e-3, np.random.RandomState(0))
    # epsilon 1e-8 stands outside of the bias correction: 31.6 times larger at the first step
    expected = -1e-3 * gradient / (abs(gradient) + 1e-8 / np.sqrt(1e-3))
    assert resnet.get_weights()["dense.bias"][0] == pytest.approx(expected, rel=1e-3)


def test_steps_from_a_stored_state_repeat_to_the_last_bit(resnet, fresh, batch):
    resnet.set_weights(fresh)
    resnet.train_step(*batch, 1e-3, np.random.RandomState(0))
    state = resnet.get_weights(training_state=True)
    resnet.train_step(*batch, 1e-3, np.random.RandomState(0))
    once = resnet.get_weights(training_state=True)
    resnet.set_weights(state)
    resnet.train_step(*batch, 1e-3, np.random.RandomState(0))
    again = resnet.get_weights(training_state=True)
    assert not {name for name in once if not np.array_equal(once[name], again[name])}


def test_weights_with_a_name_missing_are_refused(resnet, fresh):
    with pytest.raises(UserError, match="lack dense.bias"):
        resnet.set_weights({name: values for name, values in fresh.items() if name != "dense.bias"})


def test_weights_of_the_cnn_are_refused(resnet, cnn):
    with pytest.raises(UserError, match="another model"):
        resnet.set_weights(cnn.get_weights())


def test_the_loss_is_given_the_weight_of_the_lenses(monkeypatch):
    class Seen(Exception):
        pass

    def loss(logits, labels, lens_weight):
        raise Seen(lens_weight)

    network = backend.build_network("resnet", NetworkShape(1), 1, lens_weight=2.0)
    monkeypatch.setattr(sys.modules[type(network).__module__], "weighted_sigmoid_cross_entropy", loss)
    with pytest.raises(Seen, match="2.0"):
        network.train_step(np.zeros((1, 1, 45, 45)), np.ones(1), 1e-3, None)
