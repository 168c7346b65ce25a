"""From which side a DICOM header says that a film was taken, and of what."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cmnet_monai.io.errors import warn_of_film

if TYPE_CHECKING:
    from pydicom import Dataset

LATERAL, FRONTAL, OBLIQUE, CONTRADICTORY = "lateral", "frontal", "oblique", "contradictory"

_OF_POSITION = {"LL": LATERAL, "RL": LATERAL, "AP": FRONTAL, "PA": FRONTAL, "LLO": OBLIQUE, "RLO": OBLIQUE}
"""View Position (PS3.3, C.8.1.2); a decubitus (LLD, RLD) is taken from any side."""

_OF_CODE = {
    **dict.fromkeys(("399067008", "399173006", "399198007", "R-102CD", "R-10236", "R-10232"), LATERAL),
    **dict.fromkeys(("399348003", "272479007", "399033003", "R-10206", "R-40888", "R-10214", "R-10202"), FRONTAL),
    **dict.fromkeys(("399182000", "399236003", "399184004", "399135007", "399356000", "399006002"), OBLIQUE),
    **dict.fromkeys(("399038007", "399312000", "399059000", "260427002", "R-102C1", "R-10234", "R-10238"), OBLIQUE),
    **dict.fromkeys(("R-10220", "R-40985", "R-10212", "R-10210", "R-10208", "R-10216", "R-40783"), OBLIQUE),
}
"""View Code Sequence (PS3.16, CID 4010), in SNOMED CT and its older SNOMED RT identifiers."""

_BODY_PARTS = frozenset(
    {"ABDOMEN", "ANKLE", "ARM", "BREAST", "CHEST", "CLAVICLE", "COCCYX", "CSPINE", "ELBOW", "FEMUR", "FOOT", "HAND"}
    | {"HEAD", "HIP", "HUMERUS", "KNEE", "LEG", "LSPINE", "LSSPINE", "NECK", "PELVIS", "RIB", "SHOULDER", "SKULL"}
    | {"SPINE", "SSPINE", "STERNUM", "TLSPINE", "TSPINE", "WHOLEBODY", "WRIST"}
)
"""Body Part Examined (PS3.16, annex L); any other word is left out, since people type anything there."""


@dataclass(frozen=True)
class FilmView:
    """What a header says about the view; "" and () where it says nothing.

    Attributes:
        projection: `LATERAL`, `FRONTAL`, `OBLIQUE`, `CONTRADICTORY` or "".
        body_part: DICOM's word, such as "LSPINE".
        orientation: Patient Orientation: where rows lead (to the right) and where columns lead (downwards), each of the
            letters A, P, R, L, H, F.
    """

    projection: str = ""
    body_part: str = ""
    orientation: tuple[str, ...] = ()


def film_view(dataset: Dataset) -> FilmView:
    """The view of a film by View Code Sequence, View Position and Patient Orientation; warns where they contradict.

    A frontal Patient Orientation counts only where the others say nothing: L\\F is what many devices write unasked.
    """
    orientation = _orientation(dataset.get("PatientOrientation"))
    position = _OF_POSITION.get(_word(dataset.get("ViewPosition")), "")
    views = {position, _OF_CODE.get(_code(dataset.get("ViewCodeSequence")), "")} - {""}
    oriented = _of_orientation(orientation)
    if oriented == LATERAL or not views:
        views |= {oriented} - {""}
    if len(views) > 1:
        warn_of_film("View Position, View Code and Patient Orientation contradict each other about the film's side.")
    projection = CONTRADICTORY if len(views) > 1 else next(iter(views), "")
    body_part = _word(dataset.get("BodyPartExamined"))
    return FilmView(projection, body_part if body_part in _BODY_PARTS else "", orientation)


def _word(value: Any) -> str:
    return value.strip().upper() if isinstance(value, str) else ""


def _code(sequence: Any) -> str:
    try:
        return str(sequence[0].get("CodeValue") or "")
    except (AttributeError, IndexError, TypeError):
        return ""


def _orientation(value: Any) -> tuple[str, ...]:
    words = value if isinstance(value, Iterable) and not isinstance(value, str) else ()
    directions = tuple(str(word).strip().upper() for word in words)
    is_sound = len(directions) == 2 and all(re.fullmatch("[APRLHF]{1,3}", word) for word in directions)
    return directions if is_sound else ()


def _of_orientation(orientation: tuple[str, ...]) -> str:
    """One axis of a film leads from head to foot; the other one tells from which side it was taken."""
    main = {word[0] for word in orientation}
    if not main & {"H", "F"}:
        return ""
    return LATERAL if main & {"A", "P"} else FRONTAL if main & {"L", "R"} else ""
