"""The codes that DICOM objects written here use: anatomy, measurements, units.

Anatomy comes from SNOMED CT (SCT) as DICOM PS3.16 gives it (CID 7603 for vertebrae, CID 7604 for discs). S1 stands in
no DICOM context group; its code is SNOMED CT's "Structure of first sacral vertebra". A level without a code of its own
(T13, L6) gets that of a vertebra, and its name in words beside it. What no public scheme names gets a code of this
project's own scheme, `PRIVATE_SCHEME`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from cmnet_monai.conventions import CALIBRATED, DETECTOR, LABEL_OF_LEVEL, LEVELS_FROM_ABOVE, UNSPECIFIED, USER

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

PRIVATE_SCHEME = "99CMNET"
"""Coding Scheme Designator of this project's own codes; DICOM keeps designators that start with 99 for such use."""


class Concept(NamedTuple):
    """A code value, its coding scheme and its meaning in words."""

    value: str
    scheme: str
    meaning: str

    def code(self) -> Code:
        """The same as pydicom and highdicom take it."""
        from pydicom.sr.coding import Code

        return Code(self.value, self.scheme, self.meaning)


def _table(scheme: str, rows: dict[str, tuple[str, str]]) -> MappingProxyType[str, Concept]:
    return MappingProxyType({name: Concept(value, scheme, meaning) for name, (value, meaning) in rows.items()})


VERTEBRA = Concept("51282000", "SCT", "Vertebra")
ANATOMICAL_STRUCTURE = Concept("91723000", "SCT", "Anatomical Structure")
LUMBAR_SPINE = "lumbar spine"
"""Name of the site of what is measured on the lumbar spine as a whole."""

VERTEBRAE = MappingProxyType(
    {
        **_table(
            "SCT",
            {
                "T1": ("64864005", "T1 vertebra"),
                "T2": ("53733008", "T2 vertebra"),
                "T3": ("1626008", "T3 vertebra"),
                "T4": ("73071006", "T4 vertebra"),
                "T5": ("56401006", "T5 vertebra"),
                "T6": ("45296009", "T6 vertebra"),
                "T7": ("62487009", "T7 vertebra"),
                "T8": ("11068009", "T8 vertebra"),
                "T9": ("82687006", "T9 vertebra"),
                "T10": ("7610001", "T10 vertebra"),
                "T11": ("12989004", "T11 vertebra"),
                "T12": ("23215003", "T12 vertebra"),
                "L1": ("66794005", "L1 vertebra"),
                "L2": ("14293000", "L2 vertebra"),
                "L3": ("36470004", "L3 vertebra"),
                "L4": ("11994002", "L4 vertebra"),
                "L5": ("49668003", "L5 vertebra"),
                "S1": ("65985001", "S1 vertebra"),
            },
        ),
        "T13": VERTEBRA,
        "L6": VERTEBRA,
    }
)
"""Code of a vertebra by its level; T13 and L6 have none of their own."""

DISCS = _table(
    "SCT",
    {
        "T1-T2": ("40908007", "T1/T2 disc"),
        "T2-T3": ("6004007", "T2/T3 disc"),
        "T3-T4": ("2620004", "T3/T4 disc"),
        "T4-T5": ("82965004", "T4/T5 disc"),
        "T5-T6": ("72692000", "T5/T6 disc"),
        "T6-T7": ("74401007", "T6/T7 disc"),
        "T7-T8": ("28693002", "T7/T8 disc"),
        "T8-T9": ("9188009", "T8/T9 disc"),
        "T9-T10": ("113209001", "T9/T10 disc"),
        "T10-T11": ("34959001", "T10/T11 disc"),
        "T11-T12": ("1537001", "T11/T12 disc"),
        "T12-L1": ("76206002", "T12/L1 disc"),
        "L1-L2": ("80064006", "L1/L2 disc"),
        "L2-L3": ("67459009", "L2/L3 disc"),
        "L3-L4": ("62551000", "L3/L4 disc"),
        "L4-L5": ("84020006", "L4/L5 disc"),
        "L5-S1": ("715056000", "L5/S1 disc"),
    },
)
"""Code of the disc between two neighbours, by their levels."""

SITES = MappingProxyType({**VERTEBRAE, **DISCS, LUMBAR_SPINE: Concept("122496007", "SCT", "Lumbar spine")})
"""Everything that a measurement can belong to."""

UNITS = _table(
    "UCUM",
    {
        "px": ("{pixels}", "Pixels"),
        "mm": ("mm", "mm"),
        "deg": ("deg", "Degree"),
        "percent": ("%", "Percent"),
        "ratio": ("{ratio}", "ratio"),
        "1": ("1", "no units"),
        "grey": ("[arb'U]", "arbitrary unit"),
    },
)
"""Units of a measurement, by their name in tables."""

MILLIMETRES = "mm"
"""The unit that means something only with a known pixel spacing."""

MEASUREMENTS = MappingProxyType(
    {
        **_table(
            PRIVATE_SCHEME,
            {
                "height_anterior": ("HA", "Anterior height of vertebral body"),
                "height_middle": ("HM", "Middle height of vertebral body"),
                "height_posterior": ("HP", "Posterior height of vertebral body"),
                "ha_hp": ("HA_HP", "Anterior to posterior height ratio of vertebral body"),
                "hm_hp": ("HM_HP", "Middle to posterior height ratio of vertebral body"),
                "disc_anterior": ("DISC_HA", "Anterior height of disc"),
                "disc_middle": ("DISC_HM", "Middle height of disc"),
                "disc_posterior": ("DISC_HP", "Posterior height of disc"),
                "lordosis_l1_l5": ("LORDOSIS_L1_L5", "Lordosis angle from L1 to L5"),
                "lordosis_l1_s1": ("LORDOSIS_L1_S1", "Lordosis angle from L1 to S1"),
                "slip": ("SLIP", "Anterior slip on the vertebra below"),
                "grey_mean": ("PIXEL_MEAN", "Mean pixel value of vertebral body"),
                "grey_sd": ("PIXEL_SD", "Standard deviation of pixel values of vertebral body"),
                "confidence": ("CONFIDENCE", "Confidence of the algorithm"),
            },
        ),
        "depth_middle": Concept("103355008", "SCT", "Width"),
    }
)
"""Concept name of a measurement. Three heights of one body need three names: a table that leaves modifiers out would
otherwise mix them up, so "Height" (121207, DCM) with "anterior" beside it is not used."""

FLAG = Concept("FLAG", PRIVATE_SCHEME, "Flag: look before the values are trusted")
SUPERIOR_END_PLATE = Concept("END_PLATE_SUP", PRIVATE_SCHEME, "Superior end plate, from anterior to posterior")
INFERIOR_END_PLATE = Concept("END_PLATE_INF", PRIVATE_SCHEME, "Inferior end plate, from anterior to posterior")
CENTER = Concept("111010", "DCM", "Center")
PROJECTION_X_RAY = Concept("113704", "DCM", "Projection X-Ray")
ARTIFICIAL_INTELLIGENCE = Concept("123110", "DCM", "Artificial Intelligence")

SPACING_PROVENANCE = "spacing_provenance"
"""Name of the finding that stands beside every length in the patient."""

EVALUATIONS = MappingProxyType(
    {
        "genant_candidate": Concept("GENANT", PRIVATE_SCHEME, "Genant grade, candidate"),
        "deformity_candidate": Concept("DEFORMITY", PRIVATE_SCHEME, "Type of vertebral deformity, candidate"),
        "meyerding_candidate": Concept("MEYERDING", PRIVATE_SCHEME, "Meyerding grade of slip, candidate"),
        SPACING_PROVENANCE: Concept("SPACING", PRIVATE_SCHEME, "Where the pixel spacing comes from"),
    }
)
"""Concept name of a finding in words."""

EVALUATION_VALUES = MappingProxyType(
    {
        "genant_candidate": _table(
            PRIVATE_SCHEME,
            {
                "0": ("GENANT_0", "Genant grade 0 (normal)"),
                "1": ("GENANT_1", "Genant grade 1 (mild)"),
                "2": ("GENANT_2", "Genant grade 2 (moderate)"),
                "3": ("GENANT_3", "Genant grade 3 (severe)"),
            },
        ),
        "deformity_candidate": _table(
            PRIVATE_SCHEME,
            {
                "none": ("DEFORMITY_NONE", "No deformity"),
                "wedge": ("DEFORMITY_WEDGE", "Wedge deformity"),
                "biconcave": ("DEFORMITY_BICON", "Biconcave deformity"),
                "crush": ("DEFORMITY_CRUSH", "Crush deformity"),
            },
        ),
        "meyerding_candidate": _table(
            PRIVATE_SCHEME,
            {
                "0": ("MEYERDING_0", "No slip"),
                "1": ("MEYERDING_1", "Meyerding grade I"),
                "2": ("MEYERDING_2", "Meyerding grade II"),
                "3": ("MEYERDING_3", "Meyerding grade III"),
                "4": ("MEYERDING_4", "Meyerding grade IV"),
                "5": ("MEYERDING_5", "Meyerding grade V"),
            },
        ),
        SPACING_PROVENANCE: _table(
            PRIVATE_SCHEME,
            {
                CALIBRATED: ("SPACING_CALIB", "Calibrated in the patient"),
                USER: ("SPACING_USER", "Given by the user"),
                DETECTOR: ("SPACING_DETECTOR", "In the plane of the detector: magnified by an unknown factor"),
                UNSPECIFIED: ("SPACING_UNSPEC", "Pixel spacing of unspecified origin"),
            },
        ),
    }
)
"""Values that a finding can take."""


def display_lab(level: str) -> tuple[float, float, float]:
    """Recommended colour of a level, that of `level_colours` as CIELab under D50, which DICOM's colours refer to."""
    from skimage.color import rgb2lab

    from cmnet_monai.io.files.colour_table import level_colours

    _, rgb = level_colours()[LABEL_OF_LEVEL[level]]
    lightness, a, b = rgb2lab([part / 255 for part in rgb], illuminant="D50").tolist()
    return lightness, a, b


def levels_present(labels: set[int]) -> list[str]:
    """Levels of VerSe labels, from head to foot.

    Raises:
        ValueError: a label is no vertebra's.
    """
    unknown = labels - set(LABEL_OF_LEVEL.values())
    if unknown:
        raise ValueError(f"{sorted(unknown)} are no labels of vertebrae; see cmnet_monai.conventions.LABEL_OF_LEVEL.")
    return [level for level in LEVELS_FROM_ABOVE if LABEL_OF_LEVEL[level] in labels]
