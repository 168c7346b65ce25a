from __future__ import annotations

import warnings

import numpy as np
import pytest
from pydicom import Dataset

STORED = np.arange(12, dtype=np.uint16).reshape(3, 4)


def view_code(value: str, scheme: str) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "any words"
    return [item]


@pytest.mark.parametrize(
    ("header", "projection"),
    [
        ({}, ""),
        ({"ViewPosition": "LL"}, "lateral"),
        ({"ViewPosition": "rl "}, "lateral"),
        ({"ViewPosition": "AP"}, "frontal"),
        ({"ViewPosition": "RLO"}, "oblique"),
        ({"ViewPosition": "LLD"}, ""),  # a decubitus is taken from any side
        ({"ViewPosition": "SECRET^NAME"}, ""),
        ({"ViewCodeSequence": view_code("399173006", "SCT")}, "lateral"),
        ({"ViewCodeSequence": view_code("R-10206", "SRT")}, "frontal"),
        ({"ViewCodeSequence": view_code("399356000", "SCT")}, "oblique"),
        ({"ViewCodeSequence": []}, ""),
        ({"PatientOrientation": ["P", "F"]}, "lateral"),
        ({"PatientOrientation": ["AL", "FP"]}, "lateral"),  # the first letter leads
        ({"PatientOrientation": ["F", "A"]}, "lateral"),  # stored on its side
        ({"PatientOrientation": ["L", "F"]}, "frontal"),
        ({"PatientOrientation": ["L", "P"]}, ""),  # axial
        ({"PatientOrientation": "P"}, ""),
        ({"PatientOrientation": ["SECRET", "F"]}, ""),
        ({"PatientOrientation": ["L", "F"], "ViewPosition": "LL"}, "lateral"),  # what many devices write unasked
        ({"PatientOrientation": ["P", "F"], "ViewPosition": "AP"}, "contradictory"),
        ({"ViewPosition": "PA", "ViewCodeSequence": view_code("399067008", "SCT")}, "contradictory"),
    ],
)
def test_the_view_is_what_the_header_says(header, projection, make_dicom, read_film):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, meta = read_film(make_dicom(STORED, **header))
    assert meta["view_projection"] == projection
    assert ("contradict" in meta["reader_notes"]) is (projection == "contradictory")
    assert "SECRET" not in repr(meta)


@pytest.mark.parametrize(("word", "body_part"), [("LSPINE", "LSPINE"), ("chest", "CHEST"), ("SECRET", ""), (None, "")])
def test_the_body_part_is_a_word_of_the_standard(word, body_part, make_dicom, read_film):
    header = {} if word is None else {"BodyPartExamined": word}
    assert read_film(make_dicom(STORED, **header))[1]["body_part"] == body_part


@pytest.mark.parametrize("value", ["YES", "NO", None])
def test_burned_in_text_is_a_doubt(value, make_dicom, read_film):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, meta = read_film(make_dicom(STORED, **({} if value is None else {"BurnedInAnnotation": value})))
    assert ("burned into the film" in meta["reader_notes"]) is (value == "YES")
