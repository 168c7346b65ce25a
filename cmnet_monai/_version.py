"""The version, stated once."""

__version__ = "0.5.0"
