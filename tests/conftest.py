from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def logging_stays_on() -> Iterator[None]:
    """A command keeps the console quiet for its process; the tests after it run in the same one."""
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real films and DICOM files beside the checkout; they are not part of the project."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real films, which are not part of the project")
    return folder


@pytest.fixture(scope="session")
def shipped_onnx(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped network as ONNX; made once, for it takes half a minute."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from cmnet_monai.deploy import export_network

    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    assert export_network(repository / "bundle", path) == "ONNX"
    return path


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five synthetic films of 256 rows with their datalist: three to train on, one to validate, one to test."""
    from cmnet_monai.datasets import synthesize

    folder = tmp_path_factory.mktemp("dataset")
    synthesize(folder, 5, seed=3, height_px=256, workers=1, progress=False)
    return folder
