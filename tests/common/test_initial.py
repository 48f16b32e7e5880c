"""Initial weights: the spread that the papers give, the order in which Lasagne draws, and what is left as it was."""

import numpy as np
import pytest

from lens_common.learning.initial import draw_cnn_weights, draw_resnet_weights

# The first number that NumPy's RandomState(1) draws: from a standard normal, and uniform in [0, 1).
NORMAL, UNIFORM = 1.6243453636632417, 0.417022004702574


def blank(**shapes):
    return {name.replace("__", "."): np.full(shape, 7, np.float32) for name, shape in shapes.items()}


@pytest.fixture
def resnet():
    return draw_resnet_weights(
        blank(
            stem__conv__weight=(32, 1, 7, 7),
            stem__norm__gamma=(32,),
            unit__conv2__weight=(64, 64, 3, 3),
            unit__conv3__bias=(64,),
            dense__weight=(1, 512),
            dense__bias=(1,),
        ),
        seed=1,
    )


def test_the_cnn_s_weights_fill_glorot_s_interval_and_its_biases_are_zero():
    shapes = {"conv__weight": (32, 1, 3, 3), "conv__bias": (32,), "dense__weight": (2, 3200), "dense__bias": (2,)}
    drawn = draw_cnn_weights(blank(**shapes), seed=1)
    # 9 pixels of 1 map seen, 9 pixels of 32 maps fed; 3,200 features and 2 outputs
    for name, limit in (("conv.weight", np.sqrt(6 / 297)), ("dense.weight", np.sqrt(6 / 3202))):
        assert 0.98 * limit < np.abs(drawn[name]).max() <= limit
    assert drawn["conv.weight"][0, 0, 0, 0] == pytest.approx((2 * UNIFORM - 1) * np.sqrt(6 / 297))
    assert not drawn["conv.bias"].any() and not drawn["dense.bias"].any()


def test_the_resnet_s_weights_have_the_published_spread(resnet):
    assert resnet["unit.conv2.weight"].std() == pytest.approx(np.sqrt(2 / (64 * 9)), rel=0.02)
    # Glorot's interval, times sqrt(2) for the stem: 49 pixels of 1 map and of 32 maps; 512 features and 1 output
    for name, limit in (("stem.conv.weight", np.sqrt(12 / (33 * 49))), ("dense.weight", np.sqrt(6 / 513))):
        assert 0.97 * limit < np.abs(resnet[name]).max() <= limit


def test_a_kernel_is_flipped_as_lasagne_s_must_be():
    kernel = draw_resnet_weights(blank(conv1__weight=(4, 2, 3, 3)), seed=1)["conv1.weight"]
    assert kernel[0, 0, 2, 2] == pytest.approx(NORMAL * np.sqrt(2 / 18))


def test_the_resnet_s_biases_are_zero_and_its_batch_norms_stay(resnet):
    assert not resnet["unit.conv3.bias"].any() and not resnet["dense.bias"].any()
    assert (resnet["stem.norm.gamma"] == 7).all()
