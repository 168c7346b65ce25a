"""Radiographs with known truth, made from a three-dimensional spine. Returns arrays, writes no files."""
