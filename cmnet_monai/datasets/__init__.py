"""Films on disk as MONAI datalists and datasets."""

from cmnet_monai.datasets.datalist import film_items, find_films, read_datalist, write_datalist
from cmnet_monai.datasets.film_dataset import FailedFilm, FilmDataset, collate_films
from cmnet_monai.datasets.film_loader import FilmLoader
from cmnet_monai.datasets.given_centres import with_given_centres
from cmnet_monai.datasets.mixing import MixSampler, read_sources
from cmnet_monai.datasets.public import make_datalist
from cmnet_monai.datasets.seeded_dataset import SeededCacheDataset
from cmnet_monai.datasets.synthesize import synthesize, synthesize_ct

__all__ = [
    "FailedFilm",
    "FilmDataset",
    "FilmLoader",
    "MixSampler",
    "SeededCacheDataset",
    "collate_films",
    "film_items",
    "find_films",
    "make_datalist",
    "read_datalist",
    "read_sources",
    "synthesize",
    "synthesize_ct",
    "with_given_centres",
    "write_datalist",
]
