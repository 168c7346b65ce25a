"""Codes against pydicom's copy of the DICOM standard's dictionaries."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pydicom.sr.codedict import codes

from cmnet_monai.conventions import LABEL_OF_LEVEL, LEVELS_FROM_ABOVE
from cmnet_monai.io import level_colours
from cmnet_monai.io.dicom import codes as dicom_codes
from cmnet_monai.io.dicom.codes import DISCS, UNITS, VERTEBRAE, Concept, display_lab, levels_present

# pydicom's keyword of every public code; S1 stands in no dictionary of DICOM.
PUBLIC = {
    **{level: (VERTEBRAE[level], codes.CID7603, f"{level}Vertebra") for level in VERTEBRAE if level not in ("S1",)},
    **{disc: (DISCS[disc], codes.CID7604, f"{disc.replace('-', '')}Disc") for disc in DISCS},
    "T13": (VERTEBRAE["T13"], codes.CID7192, "Vertebra"),
    "L6": (VERTEBRAE["L6"], codes.CID7192, "Vertebra"),
    "spine": (dicom_codes.SITES["lumbar spine"], codes.CID4031, "LumbarSpine"),
    "category": (dicom_codes.ANATOMICAL_STRUCTURE, codes.CID7150, "AnatomicalStructure"),
    "depth": (dicom_codes.MEASUREMENTS["depth_middle"], codes.CID7470, "Width"),
    "centre": (dicom_codes.CENTER, codes.CID219, "Center"),
    "family": (dicom_codes.ARTIFICIAL_INTELLIGENCE, codes.CID7162, "ArtificialIntelligence"),
    "procedure": (dicom_codes.PROJECTION_X_RAY, codes.DCM, "ProjectionXRay"),
    "mm": (UNITS["mm"], codes.CID7460, "Millimeter"),
    "deg": (UNITS["deg"], codes.UCUM, "Degree"),
    "percent": (UNITS["percent"], codes.CID7181, "Percent"),
    "ratio": (UNITS["ratio"], codes.CID7181, "Ratio"),
    "1": (UNITS["1"], codes.CID7181, "NoUnits"),
    "grey": (UNITS["grey"], codes.CID7181, "ArbitraryUnit"),
}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_code_is_the_standards(name):
    concept, group, keyword = PUBLIC[name]
    expected = getattr(group, keyword)
    assert concept == (expected.value, expected.scheme_designator, expected.meaning)


def test_pixels_are_coded_as_highdicoms_image_library_does():
    from highdicom.sr import ImageLibraryEntryDescriptors
    from pydicom import Dataset

    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    image.Rows, image.Columns, image.Modality = 3, 4, "OT"
    rows = ImageLibraryEntryDescriptors(image)[1]  # TID 1602: number of rows
    assert UNITS["px"] == (rows.unit.value, rows.unit.scheme_designator, rows.unit.meaning)


def test_every_level_has_a_code_and_a_place():
    assert set(LEVELS_FROM_ABOVE) == set(LABEL_OF_LEVEL) == set(VERTEBRAE)
    assert VERTEBRAE["S1"] == ("65985001", "SCT", "S1 vertebra")
    order = [LEVELS_FROM_ABOVE.index(level) for level in ("T1", "T11", "T12", "T13", "L1", "L5", "L6", "S1")]
    assert order == sorted(order)


def all_concepts() -> list[Concept]:
    tables = [dicom_codes.SITES, UNITS, dicom_codes.MEASUREMENTS, dicom_codes.EVALUATIONS]
    tables += dicom_codes.EVALUATION_VALUES.values()
    single = [dicom_codes.SUPERIOR_END_PLATE, dicom_codes.INFERIOR_END_PLATE, dicom_codes.FLAG]
    return [concept for table in tables for concept in table.values()] + single


def test_codes_fit_dicom_and_private_ones_are_distinct():
    for concept in all_concepts():
        assert 1 <= len(concept.value) <= 16, concept  # Code Value is a Short String
        assert 1 <= len(concept.meaning) <= 64, concept  # Code Meaning is a Long String
        assert "\\" not in concept.value + concept.meaning
    private = [concept for concept in all_concepts() if concept.scheme == "99CMNET"]
    assert len({concept.value for concept in private}) == len({concept.meaning for concept in private}) == len(private)


def test_colours_are_those_of_the_label_map_and_neighbours_differ():
    from highdicom.color import CIELabColor
    from skimage.color import deltaE_ciede2000, lab2rgb

    colours = [display_lab(level) for level in LEVELS_FROM_ABOVE]
    for level, colour in zip(LEVELS_FROM_ABOVE, colours):
        CIELabColor(*colour)
        shown = 255 * lab2rgb(np.asarray(colour), illuminant="D50")
        assert shown == pytest.approx(level_colours()[LABEL_OF_LEVEL[level]][1], abs=0.5)
    # CIEDE2000: 2.3 is just noticeable.
    assert min(deltaE_ciede2000(one, other) for one, other in itertools.pairwise(colours)) > 25
    assert min(deltaE_ciede2000(one, other) for one, other in itertools.combinations(colours, 2)) > 4


def test_levels_present_go_from_head_to_foot():
    assert levels_present({26, 20, 28, 19}) == ["T12", "T13", "L1", "S1"]
    with pytest.raises(ValueError, match=r"\[7, 27\] are no labels of vertebrae"):
        levels_present({20, 27, 7})
