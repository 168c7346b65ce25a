"""Overlays and reports."""

from cmnet_monai.visualize.overlay import save_overlay

__all__ = ["save_overlay"]
