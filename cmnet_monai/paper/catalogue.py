"""Every experiment, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cmnet_monai.paper.beyond import BEYOND
from cmnet_monai.paper.definitions import Experiment
from cmnet_monai.paper.tables import TABLES

EXPERIMENTS: Mapping[str, Experiment] = {experiment.name: experiment for experiment in (*TABLES, *BEYOND)}


def find_experiments(names: Sequence[str] = ()) -> list[Experiment]:
    """Experiments of the given names in the catalogue's order, all without a name.

    Raises:
        ValueError: there is no experiment of a name.
    """
    unknown = [name for name in names if name not in EXPERIMENTS]
    if unknown:
        raise ValueError(f"no experiment {unknown[0]!r}; there are {', '.join(EXPERIMENTS)}")
    return [experiment for name, experiment in EXPERIMENTS.items() if not names or name in names]
