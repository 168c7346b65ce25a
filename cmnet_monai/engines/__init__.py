"""What the bundle plugs into MONAI engines: checkpoints, fault tolerance, manifests."""

from cmnet_monai.engines.averaging import WeightAverage
from cmnet_monai.engines.checkpoints import (
    TrainingCheckpoint,
    average_weights,
    load_weights,
    pack_checkpoint,
    read_checkpoint,
    save_weights,
)
from cmnet_monai.engines.evaluator import FilmEvaluator, FilmEvents
from cmnet_monai.engines.handlers import (
    Attach,
    EpochProgress,
    EpochSeed,
    OnMainProcess,
    default_device,
    distributed_device,
    distributed_network,
    film_metadata,
    lower_is_better,
    must_repeat_films,
    prepare_film_batch,
    start_distributed,
    stop_distributed,
)
from cmnet_monai.engines.inferers import FilmInferer
from cmnet_monai.engines.manifest import RunManifest, own_share, pending_films, versions
from cmnet_monai.engines.precision import AutocastNetwork, with_precision
from cmnet_monai.engines.runs import as_switch, prepare_run
from cmnet_monai.engines.schedules import ConstantThenDecay
from cmnet_monai.engines.trainer import FilmTrainer

__all__ = [
    "Attach",
    "AutocastNetwork",
    "ConstantThenDecay",
    "EpochProgress",
    "EpochSeed",
    "FilmEvaluator",
    "FilmEvents",
    "FilmInferer",
    "FilmTrainer",
    "OnMainProcess",
    "RunManifest",
    "TrainingCheckpoint",
    "WeightAverage",
    "as_switch",
    "average_weights",
    "default_device",
    "distributed_device",
    "distributed_network",
    "film_metadata",
    "load_weights",
    "lower_is_better",
    "must_repeat_films",
    "own_share",
    "pack_checkpoint",
    "pending_films",
    "prepare_film_batch",
    "prepare_run",
    "read_checkpoint",
    "save_weights",
    "start_distributed",
    "stop_distributed",
    "versions",
    "with_precision",
]
