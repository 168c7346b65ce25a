"""What was found on one film: the one typed object that every output is written from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import LABEL_OF_LEVEL, LUMBAR, NO_SPACING, S1_LABEL

Point = tuple[float, float]
"""(x, y) in pixels of the film; the centre of the top-left pixel is (0, 0)."""
Row = dict[str, Any]

SCHEMA_VERSION = 1
NOT_VALIDATED = "not validated"
"""What stands beside candidates for grades."""
_UNITS = ("px", "mm", "deg", "ratio", "percent")


@dataclass(frozen=True)
class Measure:
    """One number.

    Args:
        name: what was measured, such as ``height_anterior``.
        value: the number; None where there is none, such as millimetres without a calibrated spacing.
        unit: ``px``, ``mm``, ``deg``, ``ratio``, ``percent``, ``grey`` (the film's own grey values) or ``1``.
        uncertainty: standard uncertainty in the same unit; None where it is not known.
    """

    name: str
    value: float | None
    unit: str
    uncertainty: float | None = None

    @property
    def column(self) -> str:
        """Its name in tables, with the unit behind, as in ``height_anterior_px``."""
        return f"{self.name}_{self.unit}" if self.unit in _UNITS else self.name


def measures_of(row: Mapping[str, Any]) -> tuple[Measure, ...]:
    """The numbers of a table's row, their units told from the names of the columns; texts and switches are left out."""
    found = []
    for column, value in row.items():
        if isinstance(value, (bool, str)):
            continue
        name, _, unit = column.rpartition("_")
        if unit not in _UNITS:
            name, unit = column, "grey" if column.startswith("grey_") else "1"
        found.append(Measure(name, None if value is None else float(value), unit))
    return tuple(found)


@dataclass(frozen=True)
class Flag:
    """Something to look at before the numbers are trusted.

    Args:
        code: short name, one of `cmnet_monai.morphometry.FLAG_CODES`.
        level: the body it is about, None for the film.
        text: the flag as a sentence.
    """

    code: str
    level: str | None
    text: str


@dataclass(frozen=True)
class FilmIdentity:
    """The film that a result is of.

    Args:
        name: what outputs call it: the name of its file, or a hash where names are not wanted.
        size_xy_px: columns and rows.
        spacing_xy_mm: width and height of a pixel; None where the file says nothing.
        spacing_provenance: one of `conventions.SPACING_PROVENANCES`.
        in_mm: whether lengths are given in millimetres.
        affine: pixel to RAS, (3, 3).
        fingerprint: changes when the file does; "" for an array.
        view: from which side the header says that it was taken, such as ``lateral`` or ``frontal``; "" if nothing.
        body_part: DICOM's word for what the header says it shows; "" if nothing.
        notes: what is in doubt about the file's header, in sentences.
    """

    name: str
    size_xy_px: tuple[int, int]
    spacing_xy_mm: tuple[float, float] | None = None
    spacing_provenance: str = NO_SPACING
    in_mm: bool = False
    affine: tuple[tuple[float, float, float], ...] = ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))
    fingerprint: str = ""
    view: str = ""
    body_part: str = ""
    notes: tuple[str, ...] = ()

    def columns(self) -> Row:
        """The pixel spacing as columns of a table."""
        sx, sy = self.spacing_xy_mm or (None, None)
        return {"spacing_x_mm": sx, "spacing_y_mm": sy, "spacing_provenance": self.spacing_provenance}


@dataclass(frozen=True)
class Vertebra:
    """A named body.

    Args:
        level: its name.
        centre_xy_px: centre of mass of its region; None where the decoder gave none.
        score: of the detection, 0 to 1, not calibrated.
        uncertainty: mean entropy of its outline, nats.
        confidence: calibrated chance that name and outline are right; None where it is not calibrated.
        evidence: what the name rests on, in words.
        corners_xy_px: superior-anterior, superior-posterior, inferior-posterior, inferior-anterior; None where it was
            not measured.
        end_plates_xy_px: middle of the upper and of the lower end plate.
        measures: its numbers.
        deformity_candidate: ``none``, ``wedge``, ``biconcave`` or ``crush``; None where the body was not measured.
        genant_candidate: 0 to 3.
        cut_off: the body reaches the edge of what the film shows.
    """

    level: str
    centre_xy_px: Point | None = None
    score: float | None = None
    uncertainty: float | None = None
    confidence: float | None = None
    evidence: str = ""
    corners_xy_px: tuple[Point, Point, Point, Point] | None = None
    end_plates_xy_px: tuple[Point, Point] | None = None
    measures: tuple[Measure, ...] = ()
    deformity_candidate: str | None = None
    genant_candidate: int | None = None
    cut_off: bool | None = None

    @property
    def label(self) -> int:
        """Its code in the label map."""
        return LABEL_OF_LEVEL[self.level]

    def centre_row(self) -> Row:
        """The centre as centres.json and vertebrae.csv give it."""
        x, y = self.centre_xy_px or (None, None)
        scores = {name: getattr(self, name) for name in ("score", "uncertainty", "confidence")}
        place = {"level": self.level, "label": self.label, "x_px": x, "y_px": y}
        return place | scores | {"evidence": self.evidence or None}

    def row(self) -> Row:
        """The body as a row of vertebrae.csv."""
        calibration = None if self.centre_xy_px is None else "uncalibrated" if self.confidence is None else "calibrated"
        return {
            **self.centre_row(),
            "calibration": calibration,
            **_columns(self.measures),
            "deformity_candidate": self.deformity_candidate,
            "genant_candidate": self.genant_candidate,
            "candidates": NOT_VALIDATED if self.genant_candidate is not None else None,
            "cut_off": self.cut_off,
        }


@dataclass(frozen=True)
class Disc:
    """The disc between two neighbours.

    Args:
        upper: level above.
        lower: level below, S1 for the last.
        measures: its heights, angle and slip.
        slip_candidate: ``none``, ``anterolisthesis`` or ``retrolisthesis``.
        meyerding_candidate: grade of the slip, 0 to 5.
    """

    upper: str
    lower: str
    measures: tuple[Measure, ...] = ()
    slip_candidate: str | None = None
    meyerding_candidate: int | None = None

    def row(self) -> Row:
        """The disc as a row of discs.csv."""
        return {
            "upper": self.upper,
            "lower": self.lower,
            **_columns(self.measures),
            "slip_candidate": self.slip_candidate,
            "meyerding_candidate": self.meyerding_candidate,
            "candidates": NOT_VALIDATED if self.meyerding_candidate is not None else None,
        }


@dataclass(frozen=True)
class LabelMap:
    """Which pixel belongs to which vertebra, as runs of one code along the columns of the film.

    Args:
        size_xy_px: columns and rows.
        runs: (code, first pixel, number of pixels) of each run that is not background; pixels are counted down the
            first column (x = 0), then down the next.
    """

    size_xy_px: tuple[int, int]
    runs: tuple[tuple[int, int, int], ...] = field(repr=False)

    @staticmethod
    def of(labels_xy: NDArray[np.integer]) -> LabelMap:
        """The runs of a label map (x, y) in VerSe codes."""
        flat = np.ascontiguousarray(labels_xy, dtype=np.int64).ravel()
        bounds = np.flatnonzero(np.diff(flat, prepend=-1))
        lengths = np.diff(bounds, append=flat.size)
        runs = [(int(flat[s]), int(s), int(n)) for s, n in zip(bounds, lengths) if flat[s]]
        return LabelMap((int(labels_xy.shape[0]), int(labels_xy.shape[1])), tuple(runs))

    @cached_property
    def array(self) -> NDArray[np.uint8]:
        """The label map, (x, y), VerSe codes, read-only."""
        flat = np.zeros(self.size_xy_px[0] * self.size_xy_px[1], dtype=np.uint8)
        for code, start, length in self.runs:
            flat[start : start + length] = code
        flat.flags.writeable = False
        return flat.reshape(self.size_xy_px)

    def mask(self, levels: Iterable[str] = LUMBAR) -> NDArray[np.uint8]:
        """1 where one of these levels is, (x, y)."""
        return np.isin(self.array, [LABEL_OF_LEVEL[level] for level in levels]).astype(np.uint8)


@dataclass(frozen=True)
class Naming:
    """How sure the names of the bodies are.

    Args:
        probability: that all names of L1-L5 are right, calibrated.
        runner_up: names of the bodies from head to feet in the likeliest other naming; "" for one that is none there.
        uncertain: the two are close.
    """

    probability: float
    runner_up: tuple[str, ...]
    uncertain: bool


@dataclass(frozen=True)
class GivenCentre:
    """A centre that a person gave on the film.

    Args:
        x_px, y_px: where.
        level: what the person said it is; None if nothing.
        adds: it adds to the centres that the network finds, rather than being one of all there are.
    """

    x_px: float
    y_px: float
    level: str | None
    adds: bool


@dataclass(frozen=True)
class FilmResult:
    """Everything that was found on a film.

    Args:
        film: the film.
        run: identity of weights, settings and version.
        labels: which pixel belongs to which vertebra.
        vertebrae: from head to feet, S1 left out.
        discs: from head to feet, between neighbours alone.
        measures: of the film as a whole: lordosis.
        anterior: side of the patient's front, ``left`` or ``right``; None where it was not found.
        anterior_evidence: what it was found by.
        assumption: what was taken for granted about the pixels; "" for nothing.
        naming: how sure the names are; None where nothing says it.
        unmeasured: level and reason of each body that could not be measured; the level is None for the whole film.
        flags: what to look at, those of the film first.
        given_centres: what a person gave.
        problems: outputs that are missing and why.
        mask_levels: levels that the binary mask holds.
        candidates: how far candidates for grades may be trusted.
        schema_version: of the record that `to_dict` gives.
    """

    film: FilmIdentity
    run: str
    labels: LabelMap
    vertebrae: tuple[Vertebra, ...] = ()
    discs: tuple[Disc, ...] = ()
    measures: tuple[Measure, ...] = ()
    anterior: Literal["left", "right"] | None = None
    anterior_evidence: str = ""
    assumption: str = ""
    naming: Naming | None = None
    unmeasured: tuple[tuple[str | None, str], ...] = ()
    flags: tuple[Flag, ...] = ()
    given_centres: tuple[GivenCentre, ...] = ()
    problems: tuple[str, ...] = ()
    mask_levels: tuple[str, ...] = LUMBAR
    candidates: str = NOT_VALIDATED
    schema_version: int = SCHEMA_VERSION

    @property
    def mask(self) -> NDArray[np.uint8]:
        """1 inside the bodies of `mask_levels`, (x, y)."""
        return self.labels.mask(self.mask_levels)

    def has_flag(self, code: str) -> bool:
        """Whether a flag was raised, for the film or any body."""
        return any(flag.code == code for flag in self.flags)

    def flags_of(self, level: str | None) -> tuple[Flag, ...]:
        """Flags of a body, or with None those of the film."""
        return tuple(flag for flag in self.flags if flag.level == level)

    def film_row(self) -> Row:
        """The film as a row of films.csv."""
        evidence = sorted({body.evidence for body in self.vertebrae if body.evidence})
        return {
            "film": self.film.name,
            "bodies": len(np.setdiff1d(np.unique(self.labels.array), (0, S1_LABEL))),
            **_columns(self.measures),
            "anterior": self.anterior,
            "anterior_evidence": self.anterior_evidence,
            "assumption": self.assumption,
            "unmeasured": "; ".join(f"{level}: {why}" if level else why for level, why in self.unmeasured),
            **self.film.columns(),
            **self._worst(),
            "level_evidence": "; ".join(evidence),
            "names_probability": None if self.naming is None else self.naming.probability,
            "flags": len(self.flags),
        }

    def rows(self) -> dict[str, list[Row]]:
        """Rows of the tables that this film has part in, by name of the table without its ending."""
        film, spacing = {"film": self.film.name}, self.film.columns()
        return {
            "films": [self.film_row()],
            "vertebrae": [film | body.row() | spacing | {"flags": self._codes(body.level)} for body in self.vertebrae],
            "discs": [film | disc.row() | spacing for disc in self.discs],
            "flags": [film | {"code": flag.code, "level": flag.level, "text": flag.text} for flag in self.flags],
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, texts and numbers: what the JSON file holds, see `schema`."""
        made: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return made

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> FilmResult:
        """The result that `to_dict` gave.

        Raises:
            ValueError: the record is none of a film's result; the text says where it differs.
        """
        known = {name: value for name, value in record.items() if name in cls.__dataclass_fields__}
        made: FilmResult = _adapter().validate_python(known)
        return made

    @staticmethod
    def schema() -> dict[str, Any]:
        """JSON schema (2020-12) of `to_dict`."""
        made: dict[str, Any] = _adapter().json_schema(mode="serialization")
        return made

    def _codes(self, level: str) -> str:
        return "; ".join(flag.code for flag in (*self.flags_of(None), *self.flags_of(level)))

    def _worst(self) -> Row:
        """The body that has lost most height, and the disc with the greatest slip."""
        losses = {b.level: v for b in self.vertebrae if (v := value_of(b.measures, "loss", "percent")) is not None}
        slips = [v for disc in self.discs if (v := value_of(disc.measures, "slip", "percent")) is not None]
        level = max(losses, key=lambda one: losses[one], default=None)
        loss, slip = losses.get(level) if level else None, max(slips, key=abs, default=None)
        return {"worst_loss_percent": loss, "worst_level": level, "worst_slip_percent": slip}


def _columns(measures: Iterable[Measure]) -> Row:
    columns: Row = {}
    for measure in measures:
        columns[measure.column] = measure.value
        if measure.uncertainty is not None:
            columns[f"{measure.column}_uncertainty"] = measure.uncertainty
    return columns


def value_of(measures: Iterable[Measure], name: str, unit: str) -> float | None:
    """The value of a measure in a unit; None where there is none."""
    return next((m.value for m in measures if (m.name, m.unit) == (name, unit)), None)


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(FilmResult)
