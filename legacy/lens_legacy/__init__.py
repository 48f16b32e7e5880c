"""The 2018 stack: CMU DeepLens in Lasagne on Theano, and the study's CNN in Keras."""

__version__ = "0.1.0"
