"""The PyTorch twin of the 2018 stack."""

__version__ = "0.1.0"
