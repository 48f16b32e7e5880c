"""The version of all three distributions, and of what they write into runs."""

__version__ = "0.2.0"
