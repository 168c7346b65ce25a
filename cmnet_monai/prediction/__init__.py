"""From a person's films to everything that is wanted of them: masks, tables, pictures, DICOM objects."""

from cmnet_monai.prediction.predict import Prediction, Wanted, predict

__all__ = ["Prediction", "Wanted", "predict"]
