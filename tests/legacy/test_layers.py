import lasagne
import numpy as np
import pytest
import theano.tensor as T

from lens_legacy.layers import BatchNormLayer, SameConv2DLayer, batch_norm, elu


def output_of(layer, values, **flags):
    return lasagne.layers.get_output(layer, T.constant(values), **flags).eval()


def test_elu_is_the_identity_above_zero_and_exp_minus_one_below():
    values = np.array([-2.0, -0.5, 0.0, 3.0], np.float32)
    np.testing.assert_allclose(elu(T.constant(values)).eval(), [np.exp(-2) - 1, np.exp(-0.5) - 1, 0, 3], rtol=1e-6)


def test_batch_norm_in_training_uses_the_batch_s_own_mean_and_variance():
    values = np.array([[1.0, 10.0], [3.0, 30.0]], np.float32)
    layer = BatchNormLayer(lasagne.layers.InputLayer((None, 2)))
    # mean 2 and 20, variance 1 and 100, epsilon 1e-4
    expected = [[-1 / np.sqrt(1.0001), -10 / np.sqrt(100.0001)], [1 / np.sqrt(1.0001), 10 / np.sqrt(100.0001)]]
    np.testing.assert_allclose(output_of(layer, values), expected, rtol=1e-6)


def test_batch_norm_keeps_a_tenth_of_each_batch_s_mean_and_inverse_sigma():
    layer = BatchNormLayer(lasagne.layers.InputLayer((None, 1)))
    lasagne.layers.get_output(layer, T.constant(np.array([[1.0], [5.0]], np.float32)))
    updated = {variable.name: expression.eval()[0] for variable, expression in layer.statistics_updates}
    # mean 3, variance 4; from 0 and 1
    assert updated["mean"] == pytest.approx(0.3)
    assert updated["inv_std"] == pytest.approx(0.9 + 0.1 / np.sqrt(4.0001), rel=1e-6)


def test_batch_norm_deterministic_uses_the_running_averages():
    layer = BatchNormLayer(lasagne.layers.InputLayer((None, 1)))
    layer.mean.set_value(np.array([2.0], np.float32))
    layer.inv_std.set_value(np.array([0.5], np.float32))
    layer.gamma.set_value(np.array([3.0], np.float32))
    layer.beta.set_value(np.array([7.0], np.float32))
    output = output_of(layer, np.array([[4.0]], np.float32), deterministic=True)
    assert output[0, 0] == pytest.approx((4 - 2) * 0.5 * 3 + 7)


def test_batch_norm_drops_the_bias_and_moves_the_non_linearity_behind():
    conv = SameConv2DLayer(lasagne.layers.InputLayer((None, 1, 5, 5)), 2, 3, nonlinearity=elu)
    behind = batch_norm(conv, "norm")
    assert conv.b is None
    assert behind.nonlinearity is elu
    assert [p.name for p in lasagne.layers.get_all_params(behind)] == [
        "W",
        *(f"norm.{k}" for k in ("beta", "gamma", "mean", "inv_std")),
    ]


def test_a_same_convolution_flips_its_kernel_and_pads_with_zeros():
    conv = SameConv2DLayer(lasagne.layers.InputLayer((None, 1, 4, 4)), 1, 3, b=None, nonlinearity=None)
    kernel = np.arange(9, dtype=np.float32).reshape(3, 3)
    conv.W.set_value(kernel[None, None])
    stamp = np.zeros((1, 1, 4, 4), np.float32)
    stamp[0, 0, 1, 1] = 1  # a convolution puts the kernel itself around a single bright pixel
    expected = np.zeros((4, 4))
    expected[:3, :3] = kernel
    np.testing.assert_array_equal(output_of(conv, stamp)[0, 0], expected)


def test_a_same_convolution_with_stride_two_rounds_the_side_up():
    conv = SameConv2DLayer(lasagne.layers.InputLayer((None, 1, 45, 45)), 1, 1, stride=2)
    assert conv.output_shape == (None, 1, 23, 23)


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="odd"):
        SameConv2DLayer(lasagne.layers.InputLayer((None, 1, 4, 4)), 1, 2)
