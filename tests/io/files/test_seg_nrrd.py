from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.io import level_colours, write_nifti, write_seg_nrrd

BOXES = {"T12": (slice(3, 9), slice(2, 6)), "L1": (slice(4, 11), slice(8, 13)), "S1": (slice(5, 9), slice(30, 41))}


AFFINE = np.diag([-0.2, -0.3, 1.0])
# A film of which the file says that it is turned and lies elsewhere.
TURNED = np.array([[0.0, -0.3, 12.0], [0.2, 0.0, -7.0], [0.0, 0.0, 1.0]])


@pytest.fixture
def labels() -> np.ndarray:
    """30 columns and 50 rows, pixels of 0.2 x 0.3 mm, three levels."""
    labels = np.zeros((30, 50), dtype=np.uint8)
    for level, box in BOXES.items():
        labels[box] = LABEL_OF_LEVEL[level]
    return labels


@pytest.mark.parametrize("affine", [AFFINE, TURNED])
def test_pixels_and_geometry_are_those_of_the_nifti(labels: np.ndarray, affine: np.ndarray, tmp_path: Path) -> None:
    before = SimpleITK.ReadImage(str(write_nifti(tmp_path / "film_labels.nii.gz", labels, affine)))
    after = SimpleITK.ReadImage(str(write_seg_nrrd(tmp_path / "film.seg.nrrd", labels, affine)))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(after), SimpleITK.GetArrayFromImage(before))
    assert after.GetSize() == (30, 50, 1)
    assert after.GetSpacing() == pytest.approx(before.GetSpacing(), rel=1e-6)
    assert after.GetOrigin() == pytest.approx(before.GetOrigin())
    assert after.GetDirection() == pytest.approx(before.GetDirection())


def test_each_level_is_a_segment_with_its_value_name_colour_and_code(labels: np.ndarray, tmp_path: Path) -> None:
    """By SimpleITK's reader; the names of the fields are those of Slicer's developer guide."""
    image = SimpleITK.ReadImage(str(write_seg_nrrd(tmp_path / "film.seg.nrrd", labels, AFFINE)))
    fields = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    assert fields["Segmentation_ContainedRepresentationNames"] == "Binary labelmap|"
    segments = [(fields[f"Segment{n}_Name"], int(fields[f"Segment{n}_LabelValue"])) for n in range(3)]
    assert segments == [("T12", 19), ("L1", 20), ("S1", 26)] and "Segment3_Name" not in fields
    for number, (name, label) in enumerate(segments):
        colour = [float(part) for part in fields[f"Segment{number}_Color"].split()]
        assert level_colours()[label][0] == name
        assert colour == pytest.approx([part / 255 for part in level_colours()[label][1]], abs=1e-5)
        assert fields[f"Segment{number}_Extent"] == "0 29 0 49 0 0"
    assert "~SCT^66794005^L1 vertebra~" in fields["Segment1_Tags"]
    assert fields["Segment1_Tags"].count("~") == 6  # category, type, modifier, region, its modifier


def test_slicers_own_package_reads_it(labels: np.ndarray, tmp_path: Path) -> None:
    slicerio = pytest.importorskip("slicerio", reason="needs slicerio")
    found = slicerio.read_segmentation(str(write_seg_nrrd(tmp_path / "film.seg.nrrd", labels, AFFINE)))
    assert [(s["name"], s["labelValue"]) for s in found["segments"]] == [("T12", 19), ("L1", 20), ("S1", 26)]
    assert found["segments"][1]["terminology"]["type"] == ["SCT", "66794005", "L1 vertebra"]
    assert found["voxels"].shape == (30, 50, 1)
    for level, box in BOXES.items():
        assert (found["voxels"][:, :, 0][box] == LABEL_OF_LEVEL[level]).all()


def test_same_label_map_gives_the_same_bytes_and_an_empty_one_no_segment(labels: np.ndarray, tmp_path: Path) -> None:
    first, second = (write_seg_nrrd(tmp_path / f"{n}.seg.nrrd", labels).read_bytes() for n in range(2))
    assert first == second
    empty = write_seg_nrrd(tmp_path / "empty.seg.nrrd", np.zeros((30, 50), dtype=np.uint8))
    assert b"Segment0_" not in empty.read_bytes()


def test_a_value_that_is_no_level_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    labels = np.zeros((30, 50), dtype=np.uint8)
    labels[3, 4] = 77
    with pytest.raises(ValueError, match=r"\[77\] are no labels"):
        write_seg_nrrd(tmp_path / "out" / "wrong.seg.nrrd", labels)
    assert not (tmp_path / "out").exists()
