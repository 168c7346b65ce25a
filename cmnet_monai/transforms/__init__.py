"""Transforms in MONAI style: one idea a file, an array class and its dictionary twin."""

from cmnet_monai.transforms.as_volume import AsVolumeD, AsVolumed, AsVolumeDict
from cmnet_monai.transforms.centres import (
    CarryCentres,
    CarryCentresD,
    CarryCentresd,
    CarryCentresDict,
    CentresFromLabel,
    CentresFromLabelD,
    CentresFromLabeld,
    CentresFromLabelDict,
)
from cmnet_monai.transforms.check_film import CheckFilm, CheckFilmD, CheckFilmd, CheckFilmDict
from cmnet_monai.transforms.corner_heatmap import AppendCornersD, AppendCornersd, AppendCornersDict
from cmnet_monai.transforms.crop_border import CropBorder, CropBorderD, CropBorderd, CropBorderDict
from cmnet_monai.transforms.equalize import (
    HistogramEqualize,
    HistogramEqualizeD,
    HistogramEqualized,
    HistogramEqualizeDict,
)
from cmnet_monai.transforms.film_preprocessing import FilmPreprocessing, load_film, prepare_film
from cmnet_monai.transforms.film_result import FilmResultD, FilmResultd, FilmResultDict
from cmnet_monai.transforms.fourier import (
    FourierAmplitudeMix,
    RandFourierAmplitudeMixD,
    RandFourierAmplitudeMixd,
    RandFourierAmplitudeMixDict,
    amplitudes_of,
    mean_amplitude,
)
from cmnet_monai.transforms.given_prompt import GivenCentrePromptD, GivenCentrePromptd, GivenCentrePromptDict
from cmnet_monai.transforms.heatmap import CentreHeatmap, CentreHeatmapD, CentreHeatmapd, CentreHeatmapDict
from cmnet_monai.transforms.post_labels import LabelMapD, LabelMapd, LabelMapDict
from cmnet_monai.transforms.post_vertebrae import (
    SelectVertebrae,
    SelectVertebraeD,
    SelectVertebraed,
    SelectVertebraeDict,
)
from cmnet_monai.transforms.prompts import (
    CentrePrompt,
    CentrePromptD,
    CentrePromptd,
    CentrePromptDict,
    RandCentrePrompt,
    RandCentrePromptD,
    RandCentrePromptd,
    RandCentrePromptDict,
)
from cmnet_monai.transforms.rand_articulated import RandArticulatedD, RandArticulatedd, RandArticulatedDict
from cmnet_monai.transforms.rand_burnt_in import RandBurntIn, RandBurntInD, RandBurntInd, RandBurntInDict
from cmnet_monai.transforms.rand_elastic import RandElasticD, RandElasticd, RandElasticDict
from cmnet_monai.transforms.rand_film import (
    RandCollimation,
    RandCollimationD,
    RandCollimationd,
    RandCollimationDict,
    RandDiscs,
    RandDiscsD,
    RandDiscsd,
    RandDiscsDict,
    RandLocalContrast,
    RandLocalContrastD,
    RandLocalContrastd,
    RandLocalContrastDict,
    WithinFilm,
)
from cmnet_monai.transforms.rand_low_quality import RandLowQuality, RandLowQualityD, RandLowQualityd, RandLowQualityDict
from cmnet_monai.transforms.rand_objects import RandObjects, RandObjectsD, RandObjectsd, RandObjectsDict
from cmnet_monai.transforms.rand_part import RandPartOfFilmD, RandPartOfFilmd, RandPartOfFilmDict, without_slivers
from cmnet_monai.transforms.rand_similarity import RandSimilarityD, RandSimilarityd, RandSimilarityDict
from cmnet_monai.transforms.resize import ResizeWithPad, ResizeWithPadD, ResizeWithPadd, ResizeWithPadDict
from cmnet_monai.transforms.same_grid import SameGridD, SameGridd, SameGridDict
from cmnet_monai.transforms.targets import TargetFromLabel, TargetFromLabelD, TargetFromLabeld, TargetFromLabelDict
from cmnet_monai.transforms.training_pipeline import (
    FilmAugmentation,
    TrainingTargets,
    augment_film,
    augment_geometry,
    build_sample,
    training_chain,
)
