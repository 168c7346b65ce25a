"""What the commands share: how they fail, and what they keep off the console."""

from cmnet_monai.console import fail, name_and_value, quiet

__all__ = ["fail", "name_and_value", "quiet"]
