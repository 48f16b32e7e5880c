import numpy as np
import pytest

from lens_common.learning.batches import dropout_mask

from .oracles import cnn_features, softmax


@pytest.fixture(scope="module")
def fresh(cnn):
    """Weights as first drawn, with the state of training."""
    return cnn.get_weights(training_state=True)


def probabilities(weights, features):
    flat = features.reshape(len(features), -1)  # channels first, as the canonical dense weights
    return softmax(flat @ weights["dense.weight"].T.astype(np.float64) + weights["dense.bias"])


def test_it_has_6722_parameters(cnn):
    assert sum(values.size for values in cnn.get_weights().values()) == 6722


def test_the_initial_weights_fill_glorot_s_interval(fresh):
    assert abs(fresh["conv.weight"]).max() == pytest.approx(np.sqrt(6 / (9 * 33)), rel=0.02)
    assert abs(fresh["dense.weight"]).max() == pytest.approx(np.sqrt(6 / 3202), rel=0.02)


def test_scores_equal_those_of_a_network_in_plain_numpy(cnn, fresh, batch):
    cnn.set_weights(fresh)
    expected = probabilities(fresh, cnn_features(fresh, batch[0]))[:, 1]
    np.testing.assert_allclose(cnn.predict(batch[0]), expected, atol=2e-6)


def test_a_step_of_the_dense_layer_is_that_of_rmsprop_by_hand(cnn, fresh, batch):
    cnn.set_weights(fresh)
    stamps, labels = batch
    mask = dropout_mask(np.random.RandomState(9), (8, 32, 10, 10), 0.1)
    features = cnn_features(fresh, stamps) * mask
    error = probabilities(fresh, features) - np.stack([1 - labels, labels], axis=1)
    gradient = error.T @ features.reshape(8, -1) / 8
    loss = cnn.train_step(stamps, labels, 1e-3, np.random.RandomState(9))
    right = probabilities(fresh, features)[np.arange(8), labels.astype(int)]
    assert loss == pytest.approx(-np.log(right).mean(), rel=1e-5)
    # the average of g**2 starts at 0 with rho 0.9; epsilon 1e-7 stands outside of the root
    expected = fresh["dense.weight"] - 1e-3 * gradient / (np.sqrt(0.1 * gradient**2) + 1e-7)
    large = abs(gradient) > 1e-4  # below, float32 decides the sign
    np.testing.assert_allclose(cnn.get_weights()["dense.weight"][large], expected[large], atol=2e-6)
    assert large.mean() > 0.5


def test_a_saturated_cnn_stays_where_it_is_with_half_of_the_stamps_wrong(cnn, fresh, batch):
    cnn.set_weights({**fresh, "dense.bias": np.array([-500, 500], np.float32)})  # every stamp a lens, for certain
    loss = cnn.train_step(*batch, 1e-3, np.random.RandomState(0))
    # half right (1e-7), half wrong: half of 16.0302, as 8.0151 in the study's logs
    assert loss == pytest.approx(8.0151, abs=1e-4)
    moved = cnn.get_weights()
    assert all(np.array_equal(moved[name], fresh[name]) for name in ("conv.weight", "conv.bias", "dense.weight"))


def test_steps_from_a_stored_state_repeat_to_the_last_bit(cnn, fresh, batch):
    cnn.set_weights(fresh)
    cnn.train_step(*batch, 1e-3, np.random.RandomState(0))
    state = cnn.get_weights(training_state=True)
    cnn.train_step(*batch, 1e-3, np.random.RandomState(1))
    once = cnn.get_weights(training_state=True)
    cnn.set_weights(state)
    cnn.train_step(*batch, 1e-3, np.random.RandomState(1))
    again = cnn.get_weights(training_state=True)
    assert all(np.array_equal(once[name], again[name]) for name in once)


def test_keras_own_file_gives_the_same_scores(cnn, fresh, batch, tmp_path):
    import keras

    cnn.set_weights(fresh)
    cnn.scorer.save(str(tmp_path / "model.h5"))
    loaded = keras.models.load_model(str(tmp_path / "model.h5"), compile=False)
    stored = loaded.predict(batch[0].transpose(0, 2, 3, 1))[:, 1]
    np.testing.assert_array_equal(stored, cnn.predict(batch[0]))
