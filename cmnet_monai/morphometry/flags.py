"""What a reader should look at before trusting a film's result: named flags in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import LABEL_OF_LEVEL, LEVEL_OF_LABEL, LUMBAR, LUMBAR_LABELS, S1_LABEL
from cmnet_monai.decode.given_centres import region_at
from cmnet_monai.film_result import Flag
from cmnet_monai.morphometry.bright_objects import bright_object_scores
from cmnet_monai.morphometry.spine import cut_labels, find_regions, levels_between, shown_area
from cmnet_monai.morphometry.wrong_film import not_lateral_reason

Labels = NDArray[np.integer]

CUT_OFF = "cut_off"
FEWER_THAN_FIVE = "fewer_than_five_lumbar"
MORE_THAN_FIVE = "more_than_five_lumbar"
MISSED_LEVEL = "missed_level"
LOW_CONFIDENCE = "low_confidence"
IMPLANT_OR_CEMENT = "implant_or_cement_suspected"
NOT_LATERAL_LUMBAR = "not_a_lateral_lumbar_film"
DOUBTFUL_HEADER = "doubtful_header"
GIVEN_CENTRE_MISSED = "given_centre_missed"
NOT_MEASURED = "not_measured"
FLAG_CODES = (
    CUT_OFF,
    FEWER_THAN_FIVE,
    MORE_THAN_FIVE,
    MISSED_LEVEL,
    LOW_CONFIDENCE,
    IMPLANT_OR_CEMENT,
    NOT_LATERAL_LUMBAR,
    DOUBTFUL_HEADER,
    GIVEN_CENTRE_MISSED,
    NOT_MEASURED,
)

_NEAR = 0.02
"""A body as near as this share of the film's height is at a given centre."""
_UNSURE = 0.7
_LATERAL = "lateral"
_WITH_LUMBAR_SPINE = frozenset(
    {"LSPINE", "LSSPINE", "SPINE", "SSPINE", "TLSPINE", "TSPINE", "ABDOMEN", "PELVIS", "WHOLEBODY"}
)
"""Body Part Examined of films on which a lumbar spine may be seen."""


def find_flags(
    label_map: Labels,
    scores: Mapping[str, float] | None = None,
    pixels: NDArray | None = None,
    valid_area: NDArray[np.bool_] | None = None,
    least_score: float = 0.5,
    bright_limit: float = 1.0,
    aspect_yx: float = 1.0,
    notes: Iterable[str] = (),
    given_xy: Sequence[tuple[float, float]] = (),
    confidences: Mapping[str, float] | None = None,
    least_confidence: float = 0.9,
    expects_s1: bool = False,
    view: str = "",
    body_part: str = "",
) -> tuple[Flag, ...]:
    """Flags of a film, those of the film first, then by body from head to feet.

    Args:
        label_map: (x, y), VerSe codes.
        scores: score of each body by level, 0 to 1; None leaves that flag out.
        pixels: linear pixel values, (x, y), bone bright; None leaves out the flag for implants and cement.
        valid_area: (x, y), False where the film shows nothing: its collimator, padding, an empty border.
        least_score: a body with a lower score is flagged.
        bright_limit: a body with a higher score of `bright_object_scores` is flagged.
        aspect_yx: height of a pixel divided by its width.
        notes: what the reader found doubtful in the film's header, in sentences.
        given_xy: centres that a reader gave, (x, y) px; one without a body is flagged.
        confidences: calibrated confidence of bodies by level (`Calibration`), of those that have one.
        least_confidence: a body with a lower one is flagged.
        view: from which side the header says that the film was taken; another one than lateral is flagged.
        body_part: what the header says it shows, in DICOM's words; what holds no lumbar spine is flagged.
        expects_s1: S1 was looked for: without it, or a reader's centres in its place, the film is flagged.
    Raises:
        ValueError: film, label map and valid area differ in shape.

    >>> labels = np.zeros((80, 260), dtype=np.uint8)
    >>> for label in (20, 21, 23, 24):  # L1 to L5 without L3
    ...     labels[20:60, 40 * (label - 20) + 10 : 40 * (label - 20) + 40] = label
    >>> [(flag.code, flag.level) for flag in find_flags(labels, scores={"L1": 0.9, "L2": 0.9, "L4": 0.3, "L5": 0.9})]
    [('fewer_than_five_lumbar', None), ('missed_level', 'L3'), ('low_confidence', 'L4')]
    """
    _check_shapes(label_map, pixels, valid_area)
    regions, area = find_regions(label_map), shown_area(valid_area, label_map)
    labels = list(regions)
    reason = _header_reason(view, body_part)
    reason = reason or not_lateral_reason(regions, area, aspect_yx, expects_s1 and not given_xy)
    found = [
        *(Flag(DOUBTFUL_HEADER, None, note) for note in notes),
        *_film_flags(reason, scores or {}),
        *_count_flags(labels),
        *_gap_flags(labels),
        *_given_flags(label_map, given_xy),
    ]
    cut = cut_labels(regions, area)
    bright = {} if pixels is None else bright_object_scores(pixels, label_map, area)
    for label in (label for label in labels if label != S1_LABEL):
        level = LEVEL_OF_LABEL[label]
        if label in cut:
            text = f"{level} reaches the edge of the film: part of it may be missing, its measures may be too small."
            found.append(Flag(CUT_OFF, level, text))
        score, sure = (scores or {}).get(level), (confidences or {}).get(level)
        found += _confidence_flags(level, score, least_score, sure, least_confidence)
        if bright.get(label, 0.0) > bright_limit:
            text = f"{level} holds something bright with sharp edges: an implant or bone cement is suspected."
            found.append(Flag(IMPLANT_OR_CEMENT, level, text))
    return tuple(found)


def _check_shapes(label_map: Labels, pixels: NDArray | None, valid_area: NDArray[np.bool_] | None) -> None:
    for name, array in (("film", pixels), ("valid area", valid_area)):
        if array is not None and array.shape != label_map.shape:
            raise ValueError(f"{name} and label map have one shape (x, y); got {array.shape} and {label_map.shape}")


def _confidence_flags(
    level: str, score: float | None, least_score: float, sure: float | None, least_confidence: float
) -> list[Flag]:
    """One flag at most: by the body's score, else by its calibrated confidence; either may be unknown."""
    if score is not None and score < least_score:
        text = f"{level} was found with little confidence ({score:.2f}, limit {least_score:.2f})."
    elif sure is not None and sure < least_confidence:
        text = f"{level} may be wrong: its confidence is {sure:.2f} (limit {least_confidence:.2f})."
    else:
        return []
    return [Flag(LOW_CONFIDENCE, level, text)]


def _given_flags(label_map: Labels, given_xy: Sequence[tuple[float, float]]) -> list[Flag]:
    return [
        Flag(GIVEN_CENTRE_MISSED, None, f"Nothing was found at the centre given at x {x:.0f}, y {y:.0f}.")
        for x, y in given_xy
        if not region_at(label_map, (x, y), _NEAR * label_map.shape[1])
    ]


def _header_reason(view: str, body_part: str) -> str | None:
    if view and view != _LATERAL:
        return f"its header says that the view is {view}"
    if body_part and body_part not in _WITH_LUMBAR_SPINE:
        return f"its header says that the body part is {body_part}"
    return None


def _film_flags(reason: str | None, scores: Mapping[str, float]) -> list[Flag]:
    if reason is None and scores and float(np.median(list(scores.values()))) < _UNSURE:
        reason = "most bodies were found with little confidence"
    if reason is None:
        return []
    return [Flag(NOT_LATERAL_LUMBAR, None, f"This may not be a lateral lumbar film: {reason}.")]


def _count_flags(labels: list[int]) -> list[Flag]:
    lumbar = [label for label in labels if label in LUMBAR_LABELS]
    if LABEL_OF_LEVEL["L6"] in labels:
        text = "There are more than five lumbar bodies: a lumbosacral variant, or a miscount."
        return [Flag(MORE_THAN_FIVE, None, text)]
    if len(lumbar) < len(LUMBAR):
        missing = [level for level in LUMBAR if LABEL_OF_LEVEL[level] not in labels]
        text = f"{len(lumbar)} of five lumbar bodies were found; missing: {', '.join(missing)}."
        return [Flag(FEWER_THAN_FIVE, None, text)]
    return []


def _gap_flags(labels: list[int]) -> list[Flag]:
    """A flag for each level that is missing between two that were found."""
    flags = []
    for upper, lower in pairwise(labels):
        for label in levels_between(upper, lower, labels):
            level, a, b = (LEVEL_OF_LABEL[code] for code in (label, upper, lower))
            flags.append(Flag(MISSED_LEVEL, level, f"{level} was not found between {a} and {b}."))
    return flags
