"""A MONAI Deploy application: films of a DICOM folder in, DICOM SEG and SR out.

python app.py -i FOLDER_OF_DICOM -o OUT -m BUNDLE

BUNDLE is the archive of `cmnet-monai package`, unpacked: its TorchScript file is the network.
"""

from pathlib import Path

from monai.deploy.conditions import CountCondition
from monai.deploy.core import (
    AppContext,
    Application,
    ExecutionContext,
    InputContext,
    Operator,
    OperatorSpec,
    OutputContext,
)
from monai.deploy.operators import DICOMDataLoaderOperator, DICOMSeriesSelectorOperator

RULES = """{"selections": [
    {"name": "computed radiography", "conditions": {"Modality": "CR"}},
    {"name": "digital radiography", "conditions": {"Modality": "DX"}}
]}"""


class VertebraeOperator(Operator):
    """Segment, name and measure every film of the chosen series.

    The films are read by the package's own reader from the files, since polarity and spacing of radiographs do not
    survive the SDK's conversion of a series to a volume.
    """

    def __init__(self, fragment, *args, bundle: Path, output_folder: Path, **kwargs) -> None:
        self.bundle, self.output_folder = bundle, output_folder
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the input."""
        spec.input("studies")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Write the results of all films into the output folder."""
        from cmnet_monai.engines import predict

        films = [
            str(instance.get_native_sop_instance().filename)
            for study in op_input.receive("studies")
            for chosen in study.selected_series
            for instance in chosen.series.get_sop_instances()
        ]
        settings = {"engine": "torchscript", "dicom_seg": True, "dicom_sr": True}
        done = predict(films, self.output_folder, self.bundle, **settings)
        if done.failures:
            raise RuntimeError(f"{len(done.failures)} films failed or lack a part: see failures.csv")


class VertebraeApp(Application):
    """Loader, selector of radiographs, vertebrae."""

    def compose(self) -> None:
        """Join the operators."""
        context: AppContext = Application.init_app_context(self.argv)
        output = Path(context.output_path)
        loader = DICOMDataLoaderOperator(
            self, CountCondition(self, 1), input_folder=Path(context.input_path), name="loader"
        )
        selector = DICOMSeriesSelectorOperator(self, rules=RULES, name="selector")
        vertebrae = VertebraeOperator(self, bundle=Path(context.model_path), output_folder=output, name="vertebrae")
        self.add_flow(loader, selector, {("dicom_study_list", "dicom_study_list")})
        self.add_flow(selector, vertebrae, {("study_selected_series_list", "studies")})


if __name__ == "__main__":
    VertebraeApp().run()
