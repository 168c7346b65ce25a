"""Radiographs with known truth, made from a three-dimensional spine. Returns arrays, writes no files."""

from cmnet_monai.synthetic.film import BodyTruth, SyntheticFilm, generate_film

__all__ = ["BodyTruth", "SyntheticFilm", "generate_film"]
