"""The reader inside MONAI: no other reader is ever tried."""

from __future__ import annotations

import pickle
from pathlib import Path

import monai.data as monai_data
import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, list_data_collate
from monai.transforms import Compose, EnsureChannelFirstd, LoadImage, LoadImaged

from cmnet_monai.io import FilmError, RadiographReader, write_dx

NAME = "cmnet_monai.io.RadiographReader"
OTHERS = ("ITKReader", "PydicomReader", "NibabelReader", "PILReader", "NumpyReader", "NrrdReader")
PIXELS = np.random.default_rng(1).integers(0, 4096, (37, 53)).astype(np.uint16)  # x, y


@pytest.fixture
def tried(monkeypatch) -> list[str]:
    """Names of MONAI's own readers that somebody asked to read."""
    calls: list[str] = []
    for name in OTHERS:
        reader = getattr(monai_data, name)
        original = reader.read

        def read(self, *args, _name=name, _original=original, **kwargs):
            calls.append(_name)
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(reader, "read", read)
    return calls


@pytest.fixture
def film(tmp_path) -> Path:
    return write_dx(tmp_path / "film.dcm", PIXELS, monochrome1=True, imager_spacing_xy_mm=(0.14, 0.15))


def loaders(path):
    return {
        "dotted name": lambda: LoadImage(reader=NAME)(path),
        "class": lambda: LoadImage(reader=RadiographReader)(path),
        "instance": lambda: LoadImage(reader=RadiographReader())(path),
        "at run time": lambda: LoadImage()(path, reader=RadiographReader()),
        "dictionary": lambda: LoadImaged("image", reader=NAME)({"image": path})["image"],
        "channel first": lambda: LoadImaged("image", reader=NAME, ensure_channel_first=True)({"image": path})["image"][
            0
        ],
    }


@pytest.mark.parametrize("way", loaders(None))
def test_every_way_of_loading_gives_the_film(way, film, tried):
    image = loaders(film)[way]()
    assert image.dtype == torch.float32
    np.testing.assert_array_equal(image.numpy(), PIXELS)
    assert image.meta["filename_or_obj"] == str(film)
    assert tried == []


def test_the_trap_is_real(make_dicom, tried):
    """MONAI's own loader reads a two-frame object without a word, after its first reader failed."""

    class Failing(RadiographReader):
        def read(self, data, **kwargs):
            raise FilmError(str(data), "no")

    path = make_dicom(np.zeros((10, 7), np.uint16), Rows=5, NumberOfFrames=2)
    assert LoadImage(reader=Failing())(path).ndim == 3
    assert tried != []


def bad_files(tmp_path, make_dicom) -> dict[str, object]:
    good = np.zeros((6, 7), np.uint16)
    random = tmp_path / "random.dcm"
    random.write_bytes(b"nonsense" * 50)
    folder = tmp_path / "series"
    folder.mkdir()
    frames = make_dicom(good, name="frames.dcm", Rows=3, NumberOfFrames=2)
    colour = make_dicom(np.eye(9, dtype=np.uint8).reshape(3, 9, 3) * 255, name="colour.dcm")
    single = make_dicom(good, name="single.dcm")
    (folder / "single.dcm").write_bytes(single.read_bytes())
    return {
        "missing": tmp_path / "missing.dcm",
        "random": random,
        "frames": frames,
        "colour": colour,
        "folder": folder,
        "several": [single, frames],
    }


KINDS = ("missing", "random", "frames", "colour", "folder", "several")


@pytest.mark.parametrize("way", loaders(None))
@pytest.mark.parametrize("kind", KINDS)
def test_no_other_reader_is_tried_on_a_bad_file(kind, way, tmp_path, make_dicom, tried):
    path = bad_files(tmp_path, make_dicom)[kind]
    with pytest.raises((FilmError, RuntimeError)) as caught:
        loaders(path)[way]()
    error = caught.value if isinstance(caught.value, FilmError) else caught.value.__cause__
    assert isinstance(error, FilmError)
    assert error.path in str(path)
    assert error.reason and error.remedy
    assert str(error) == f"{error.path}: {error.reason}. {error.remedy}."
    assert tried == []


def test_read_never_raises_nor_opens():
    reader = RadiographReader()
    for data in ("/nowhere/film.dcm", Path("/nowhere"), [], ["a", "b"], ("a",)):
        handle = reader.read(data)
        with pytest.raises(FilmError):
            reader.get_data(handle)


def test_every_name_is_ours():
    reader = RadiographReader()
    assert all(reader.verify_suffix(name) for name in ("film", "film.dcm", "film.xyz", ["a", "b"]))


@pytest.mark.parametrize(
    "arguments",
    [
        {"spacing_xy_mm": (0.1,) * 3},
        {"spacing_xy_mm": 0},
        {"spacing_xy_mm": (0.1, -1)},
        {"spacing_xy_mm": "wide"},
        {"spacing_xy_mm": (np.nan, 1)},
        {"max_pixels": 0},
        {"max_pixels": 1e6},
        {"max_pixels": True},
        {"spacing": (1, 1)},
    ],
)
def test_wrong_arguments_are_not_dropped_in_silence(arguments):
    with pytest.raises(ValueError, match=r"spacing_xy_mm|max_pixels"):
        RadiographReader(**arguments)
    with pytest.raises(ValueError, match=r"spacing_xy_mm|max_pixels"):
        LoadImage(reader=NAME, **arguments)


def test_arguments_pass_through_loadimaged(film):
    image = LoadImaged("image", reader=NAME, spacing_xy_mm=[0.3, 0.4])({"image": film})["image"]
    assert image.meta["spacing_xy_mm"].tolist() == [0.3, 0.4]
    assert image.meta["spacing_provenance"] == "user"
    np.testing.assert_allclose(image.affine.numpy(), np.diag([-0.3, -0.4, 1]))


def test_metadata_of_a_film(film):
    meta = LoadImage(reader=NAME)(film).meta
    np.testing.assert_allclose(meta["affine"].numpy(), np.diag([-0.14, -0.15, 1]))
    np.testing.assert_allclose(meta["original_affine"], np.diag([-0.14, -0.15, 1]))
    np.testing.assert_allclose(meta["spacing_xy_mm"], (0.14, 0.15))
    assert meta["spacing_provenance"] == "detector"
    assert meta["polarity_inverted"] is True
    assert meta["photometric_interpretation"] == "MONOCHROME1"
    assert meta["bits_stored"] == 12
    assert meta["modality"] == "DX"
    assert meta["transfer_syntax"] == "1.2.840.10008.1.2.1"
    assert meta["patient_orientation"] == "P\\F"
    assert meta["original_channel_dim"] == "no_channel"
    assert meta["valid_area"].shape == PIXELS.shape
    assert list(meta["spatial_shape"]) == list(PIXELS.shape)


def test_films_of_all_formats_have_the_same_keys_and_collate(film, tmp_path):
    from PIL import Image

    from cmnet_monai.io import write_nifti

    Image.fromarray(PIXELS.T).save(tmp_path / "film.png")
    write_nifti(tmp_path / "film.nii.gz", PIXELS)
    data = [{"image": path} for path in (film, tmp_path / "film.png", tmp_path / "film.nii.gz")]
    chain = Compose([LoadImaged("image", reader=NAME), EnsureChannelFirstd("image")])
    items = [chain(item)["image"] for item in data]
    assert len({frozenset(item.meta) for item in items}) == 1
    for item in items:
        np.testing.assert_array_equal(item[0].numpy(), PIXELS)
        assert all(value is not None for value in item.meta.values())
        assert {key: type(value) for key, value in item.meta.items()} == {
            key: type(value) for key, value in items[0].meta.items()
        }
    batch = list_data_collate([chain(item) for item in data])
    assert batch["image"].shape == (3, 1, *PIXELS.shape)


def test_the_error_reaches_the_user_from_a_worker_process(tmp_path):
    dataset = Dataset([{"image": str(tmp_path / "missing.dcm")}], LoadImaged("image", reader=NAME))
    with pytest.raises(RuntimeError, match=r"missing\.dcm: the file cannot be read"):
        next(iter(DataLoader(dataset, num_workers=1)))


def test_an_error_survives_pickling():
    error = pickle.loads(pickle.dumps(FilmError("a/b.dcm", "it is broken", "Mend it")))
    assert (error.path, error.reason, error.remedy) == ("a/b.dcm", "it is broken", "Mend it")
    assert str(error) == "a/b.dcm: it is broken. Mend it."
    assert isinstance(error, ValueError)
    assert str(FilmError("rebuilt from its text alone")) == "rebuilt from its text alone"


def test_importing_the_room_is_light():
    import subprocess
    import sys

    code = (
        "import sys, cmnet_monai.io as io; io.FilmError; "
        "print([m for m in ('torch', 'monai', 'pydicom', 'nibabel', 'PIL') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
