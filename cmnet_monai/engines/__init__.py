"""What the bundle plugs into MONAI engines: checkpoints, fault tolerance, manifests."""

from cmnet_monai.engines.averaging import WeightAverage
from cmnet_monai.engines.checkpoints import TrainingCheckpoint, pack_checkpoint
from cmnet_monai.engines.distributed import (
    default_device,
    distributed_device,
    distributed_network,
    must_repeat_films,
    start_distributed,
    stop_distributed,
)
from cmnet_monai.engines.evaluator import FilmEvaluator, FilmEvents, SegmentedFilm
from cmnet_monai.engines.handlers import (
    Attach,
    EpochProgress,
    EpochSeed,
    RunLog,
    ValidateEpochs,
    film_metadata,
    film_metrics,
    lower_is_better,
    prepare_film_batch,
)
from cmnet_monai.engines.inference import Prediction, predict, run_inference
from cmnet_monai.engines.inferers import FilmInferer
from cmnet_monai.engines.manifest import RunManifest, own_share, pending_films, versions
from cmnet_monai.engines.network import ENGINES, default_weights, inference_network, network_file
from cmnet_monai.engines.outputs import (
    FilmOutput,
    SaveCentres,
    SaveDicomSeg,
    SaveDicomSr,
    SaveLabelMap,
    SaveMask,
    SaveOverlay,
    SaveResult,
    SaveSegNrrd,
    wanted_suffixes,
)
from cmnet_monai.engines.precision import AutocastNetwork, with_precision
from cmnet_monai.engines.runs import as_switch, config_settings, prepare_run
from cmnet_monai.engines.schedules import ConstantThenDecay
from cmnet_monai.engines.state_dicts import average_weights, load_weights, read_checkpoint, save_weights
from cmnet_monai.engines.tables import SaveFailures, SaveReport, SaveTables
from cmnet_monai.engines.trainer import FilmTrainer
from cmnet_monai.engines.weights import WeightsRecord, read_weights_record, write_weights_record

__all__ = [
    "ENGINES",
    "Attach",
    "AutocastNetwork",
    "ConstantThenDecay",
    "EpochProgress",
    "EpochSeed",
    "FilmEvaluator",
    "FilmEvents",
    "FilmInferer",
    "FilmOutput",
    "FilmTrainer",
    "Prediction",
    "RunLog",
    "RunManifest",
    "SaveCentres",
    "SaveDicomSeg",
    "SaveDicomSr",
    "SaveFailures",
    "SaveLabelMap",
    "SaveMask",
    "SaveOverlay",
    "SaveReport",
    "SaveResult",
    "SaveSegNrrd",
    "SaveTables",
    "SegmentedFilm",
    "TrainingCheckpoint",
    "ValidateEpochs",
    "WeightAverage",
    "WeightsRecord",
    "as_switch",
    "average_weights",
    "config_settings",
    "default_device",
    "default_weights",
    "distributed_device",
    "distributed_network",
    "film_metadata",
    "film_metrics",
    "inference_network",
    "load_weights",
    "lower_is_better",
    "must_repeat_films",
    "network_file",
    "own_share",
    "pack_checkpoint",
    "pending_films",
    "predict",
    "prepare_film_batch",
    "prepare_run",
    "read_checkpoint",
    "read_weights_record",
    "run_inference",
    "save_weights",
    "start_distributed",
    "stop_distributed",
    "versions",
    "wanted_suffixes",
    "with_precision",
    "write_weights_record",
]
