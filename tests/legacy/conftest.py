"""Networks that are compiled once for all tests: a ResNet costs minutes."""

import numpy as np
import pytest

from lens_common.learning.protocol import NetworkShape
from lens_legacy import backend

# Before any test module imports Theano, Lasagne or Keras.
backend.prepare()


@pytest.fixture(scope="session")
def resnet():
    """A ResNet for one band; tests set its weights before they use it."""
    return backend.build_network("resnet", NetworkShape(), seed=3)


@pytest.fixture(scope="session")
def cnn():
    """A CNN for one band; tests set its weights before they use it."""
    return backend.build_network("cnn", NetworkShape(), seed=3)


@pytest.fixture(scope="session")
def batch():
    """Eight stamps with sky noise and a bump in every other one, and their labels."""
    random = np.random.RandomState(5)
    stamps = random.normal(size=(8, 1, 45, 45)).astype(np.float32)
    stamps[::2, 0, 18:27, 18:27] += 4
    return stamps, (np.arange(8) % 2 == 0).astype(np.float32)
