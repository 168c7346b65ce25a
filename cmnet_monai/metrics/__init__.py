"""Pixel and centre metrics."""
