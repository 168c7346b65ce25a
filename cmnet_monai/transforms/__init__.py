"""Transforms in MONAI style: one idea a file, an array class and its dictionary twin."""
