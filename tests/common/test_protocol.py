import numpy as np
import pytest

from lens_common.errors import UserError
from lens_common.learning.protocol import check_probabilities, check_weights

OWN = {
    "conv.weight": np.zeros((4, 1, 3, 3), np.float32),
    "conv.bias": np.zeros(4, np.float32),
    "conv2.weight": np.zeros((8, 4, 3, 3), np.float32),
    "dense.weight": np.zeros((2, 16), np.float32),
    "adam.v.conv.bias": np.zeros(4, np.float32),
    "adam.t": np.zeros((), np.int64),
}


def refusal(**changed):
    """What `check_weights` says of weights of which some are others; None leaves one out."""
    weights = {name: changed.get(name, values) for name, values in OWN.items()}
    weights.update(changed)
    with pytest.raises(UserError) as raised:
        check_weights(OWN, {name: values for name, values in weights.items() if values is not None})
    return str(raised.value)


def test_the_same_names_and_shapes_pass_in_any_order_and_precision():
    check_weights(OWN, {name: OWN[name].astype(np.float64) for name in sorted(OWN)})


def test_of_several_missing_weights_the_first_of_the_graph_is_named():
    said = refusal(**{"dense.weight": None, "conv.bias": None})
    assert "lack conv.bias;" in said and "dense.weight" not in said


def test_an_unknown_weight_is_named():
    assert "hold stem.weight, which it has not;" in refusal(**{"stem.weight": np.zeros(1)})


def test_weights_of_another_model_are_told_by_one_that_lacks_and_one_too_many():
    said = refusal(**{"conv.weight": None, "stem.conv.weight": np.zeros(1)})
    assert "lack conv.weight and hold stem.conv.weight" in said and "another model" in said


def test_weights_for_other_bands_are_told_with_both_shapes():
    said = refusal(**{"conv.weight": np.zeros((4, 3, 3, 3)), "dense.weight": np.zeros((2, 25))})
    assert said == "conv.weight has shape (4, 3, 3, 3), this network needs (4, 1, 3, 3): the weights are for 3 bands"


def test_weights_for_one_band_are_not_told_as_bands():
    with pytest.raises(UserError, match="are for 1 band$"):
        check_weights({"conv.weight": np.zeros((4, 3, 3, 3))}, {"conv.weight": OWN["conv.weight"]})


def test_a_shape_behind_the_first_kernel_is_not_put_on_the_bands():
    said = refusal(**{"conv2.weight": np.zeros((8, 5, 3, 3))})
    assert "conv2.weight has shape (8, 5, 3, 3), this network needs (8, 4, 3, 3): " in said and "band" not in said


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
def test_one_weight_that_is_not_finite_is_refused(value, word):
    weight = OWN["dense.weight"].copy()
    weight[1, 3] = value
    assert f"hold {word} in dense.weight: the training diverged" in refusal(**{"dense.weight": weight})


def test_an_optimiser_may_hold_an_infinite_average():
    check_weights(OWN, {**OWN, "adam.v.conv.bias": np.full(4, np.inf)})


def test_text_in_place_of_numbers_is_refused():
    assert "conv.bias holds <U1, no numbers" in refusal(**{"conv.bias": np.array(["a"] * 4)})


def test_scores_beyond_zero_and_one_are_refused():
    assert check_probabilities(np.array([0.0, 1.0])).tolist() == [0, 1]
    for value in (np.nan, np.inf, -0.1):
        with pytest.raises(UserError, match=r"1 of 2 scores are not in \[0, 1\] but"):
            check_probabilities(np.array([0.5, value]))
