"""All that the legacy and the modern stack both read and write."""

__version__ = "0.1.0"
