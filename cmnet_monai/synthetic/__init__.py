"""Radiographs with known truth, made from a three-dimensional spine. Returns arrays, writes no files."""

from cmnet_monai.synthetic.ct_bodies import simulate_ct
from cmnet_monai.synthetic.film import BodyTruth, SyntheticFilm, generate_film
from cmnet_monai.synthetic.from_ct import film_from_ct

__all__ = ["BodyTruth", "SyntheticFilm", "film_from_ct", "generate_film", "simulate_ct"]
