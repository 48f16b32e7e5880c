import keras.backend as K
import numpy as np
import pytest
import theano.tensor as T

from lens_legacy.losses import clipped_binary_cross_entropy, weighted_sigmoid_cross_entropy


def sigmoid_loss(logit, label, weight=1.0):
    return float(
        weighted_sigmoid_cross_entropy(T.constant(np.float64(logit)), T.constant(np.float64(label)), weight).eval()
    )


@pytest.mark.parametrize("logit", [-3.0, 0.0, 2.5])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_the_sigmoid_loss_is_minus_the_log_of_the_right_class_s_probability(logit, label):
    probability = 1 / (1 + np.exp(-logit))
    assert sigmoid_loss(logit, label) == pytest.approx(-np.log(probability if label else 1 - probability))


def test_the_sigmoid_loss_of_an_enormous_logit_does_not_overflow():
    assert sigmoid_loss(1e6, 0.0) == pytest.approx(1e6)


def test_a_lens_weight_of_three_triples_the_loss_of_lenses_alone():
    assert sigmoid_loss(-1.0, 1.0, 3.0) == pytest.approx(3 * np.log(1 + np.e))
    assert sigmoid_loss(-1.0, 0.0, 3.0) == pytest.approx(np.log(1 + np.exp(-1)))


def test_the_clipped_loss_of_a_saturated_wrong_stamp_is_minus_the_log_of_the_clip():
    loss = clipped_binary_cross_entropy(K.constant([[1, 0]]), K.constant([[0, 1]]))
    # In float32 1 - 1e-7 is 1 - 2**-23, so the two outputs give log 1e7 and log 2**23; the mean is 16.0302.
    assert float(K.eval(loss)[0]) == pytest.approx((np.log(1e7) + np.log(2.0**23)) / 2, rel=1e-5)


def test_the_gradient_of_the_clipped_loss_of_a_saturated_wrong_stamp_is_exactly_zero():
    probabilities = K.variable([[0.0, 1.0]])
    loss = clipped_binary_cross_entropy(K.constant([[1, 0]]), probabilities)
    np.testing.assert_array_equal(K.eval(K.gradients(K.sum(loss), [probabilities])[0]), [[0, 0]])
