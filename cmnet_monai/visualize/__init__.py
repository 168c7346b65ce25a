"""Overlays and reports."""
