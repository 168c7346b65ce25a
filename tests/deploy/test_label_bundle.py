"""The bundle as MONAI Label's monaibundle app wants it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from monai.bundle import ConfigParser
from monai.data import decollate_batch, list_data_collate
from monai.transforms import Compose
from monai.utils import set_determinism
from typer.testing import CliRunner

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.datasets import synthesize
from cmnet_monai.deploy.__main__ import app
from cmnet_monai.deploy.label_bundle import write_label_bundle
from cmnet_monai.io import read_film


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    return write_label_bundle(repository / "bundle", tmp_path_factory.mktemp("app") / "model" / "cmnet")


def test_inference_returns_the_label_map_and_writes_nothing(served: Path, tmp_path: Path) -> None:
    """As the app runs it: its own loop over preprocessing, network, inferer and post-processing."""
    synthesize(tmp_path, 1, seed=11, kind="healthy", height_px=512, workers=1, progress=False)
    film = tmp_path / "films" / "film_00000.dcm"
    before = set(served.rglob("*"))
    parser = ConfigParser()
    parser.read_config(served / "configs" / "inference.json")
    parser.config.update({"bundle_root": str(served), "device": "cpu", "passes": 1, "mirror": False})
    network = parser.get_parsed_content("network_def")
    from cmnet_monai.engines import load_weights

    load_weights(network, served / "models" / "model.pt")
    batch = list_data_collate([parser.get_parsed_content("preprocessing")({"image": str(film)})])
    batch["pred"] = parser.get_parsed_content("inferer")(batch["image"], network.eval())
    (item,) = decollate_batch(batch)
    result = Compose(parser.get_parsed_content("postprocessing").transforms)(item)["pred"]
    set_determinism(seed=None)

    assert result.shape[-1] == 1
    assert result.affine.shape == (4, 4)
    labels = np.asarray(result)[0, :, :, 0]
    assert labels.shape == read_film(film).pixels.shape
    assert {20, 21, 22, 23, 24} <= set(np.unique(labels).tolist()) <= {0, *LABEL_OF_LEVEL.values()}
    assert set(served.rglob("*")) == before


def test_metadata_name_the_label_values(served: Path) -> None:
    metadata = json.loads((served / "configs" / "metadata.json").read_text())
    names = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    assert names["0"] == "background"
    assert names["20"] == "L1"
    assert names["26"] == "S1"
    assert {int(value) for value in names} == {0, *LABEL_OF_LEVEL.values()}


def test_training_takes_the_grid_of_the_shipped_weights(served: Path, repository: Path) -> None:
    train = json.loads((served / "configs" / "train.json").read_text())
    shipped = json.loads((repository / "bundle" / "models" / "model.json").read_text())
    for name in ("spatial_size", "label_protocol", "base_channels", "heatmap_sigma", "equalisation"):
        assert train[name] == shipped[name]
    assert "models/model.pt" in train["run"][1]


def test_existing_folder_is_left_alone(served: Path) -> None:
    done = CliRunner().invoke(app, ["label-bundle", str(served)])
    assert done.exit_code == 1
    assert "exists already" in done.output
