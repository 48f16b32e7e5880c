"""Our augmentation is Keras' own, to the last bit."""

import sys

import numpy as np
import pytest

from lens_common.learning.augmentation import augment
from lens_legacy import backend


@pytest.fixture(scope="module", params=["nearest", "linear"])
def interpolation(request):
    """Order 0, as Keras had it up to 2.1.3, or 1, as from 2.1.4 on."""
    return request.param


@pytest.fixture(scope="module")
def generator(interpolation):
    """ImageDataGenerator as CMU DeepLens set it."""
    backend.prepare()
    return sys.modules["keras"].preprocessing.image.ImageDataGenerator(
        rotation_range=90,
        zoom_range=[0.9, 1],
        horizontal_flip=True,
        vertical_flip=True,
        fill_mode="wrap",
        data_format="channels_first",
        interpolation_order=["nearest", "linear"].index(interpolation),
    )


@pytest.mark.parametrize("n_bands", [1, 4])
@pytest.mark.parametrize("seed", range(8))
def test_augmented_stamps_equal_those_of_keras_to_the_last_bit(generator, interpolation, seed, n_bands):
    stamps = np.random.RandomState(100 + seed).normal(10, 3, (5, n_bands, 45, 45)).astype(np.float32)
    np.random.seed(seed)
    expected = np.stack([generator.random_transform(stamp) for stamp in stamps])
    augmented = augment(stamps, np.random.RandomState(seed), interpolation)
    assert augmented.dtype == expected.dtype == np.float32
    assert augmented.tobytes() == expected.tobytes()


def test_both_draw_equally_often(generator):
    np.random.seed(3)
    generator.random_transform(np.zeros((1, 9, 9), np.float32))
    random_state = np.random.RandomState(3)
    augment(np.zeros((1, 1, 9, 9), np.float32), random_state)
    assert np.random.random_sample() == random_state.random_sample()
