"""From the label map and the centres of a film to its `FilmResult`: measures, grey values, flags."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import convert_to_numpy

from cmnet_monai.conventions import (
    LUMBAR,
    META_BODY_PART,
    META_NOTES,
    META_PROVENANCE,
    META_SHOWN_BOX,
    META_SPACING,
    META_VALID_AREA,
    META_VIEW,
    NO_SPACING,
)
from cmnet_monai.decode import GivenCentres
from cmnet_monai.film_result import (
    Disc,
    FilmIdentity,
    FilmResult,
    Flag,
    GivenCentre,
    LabelMap,
    Naming,
    Vertebra,
    measures_of,
)
from cmnet_monai.morphometry import FilmMorphometry, FilmScale, find_flags, measure_film, region_statistics
from cmnet_monai.morphometry.flags import LEVELS_UNCERTAIN, NOT_MEASURED

AUTO = "auto"
RIM_SHARE = 0.2
"""Rim left out of grey-value statistics, as a share of a body's inscribed radius: the cortex."""
_GRADES = ("deformity_candidate", "genant_candidate", "slip_candidate", "meyerding_candidate")


class FilmResultd(MapTransform):
    """Measure a film, look for what is doubtful, and gather everything in a `FilmResult`.

    The item carries ``shown``, what outputs call the film, and may carry ``fingerprint``, ``centres`` and
    ``naming`` (of `SelectVertebraed`) and ``given_centres`` (`GivenCentres.rows`).

    Args:
        keys: the label map, (1, x, y), VerSe codes, on the film's own grid; one key.
        film_key: the film as it was read, (1, x, y), linear pixel values, bone bright, with its metadata.
        image_key: the film as it entered the network; its metadata say which part of the film was shown to it.
        result_key: where the result goes.
        run_id: identity of weights and settings.
        levels: levels that the binary mask holds.
        anterior: where the patient's front is: "left", "right", or "auto" to find it film by film.
        all_millimetres: give millimetres for detector and unspecified spacings too, their provenance beside them.
        expects_s1: the network looks for S1, so that a film without it is suspicious.
        allow_missing_keys: do not raise where a key is missing.

    >>> labels = np.zeros((1, 80, 120), dtype=np.uint8)  # (x, y)
    >>> labels[0, 20:60, 10:40], labels[0, 20:60, 50:80] = 23, 24  # L4, L5
    >>> item = {"shown": "a", "labels": labels, "film": labels * 10.0}
    >>> result = FilmResultd("labels", anterior="left")(item)["result"]
    >>> [(body.level, body.measures[0].column, round(body.measures[0].value, 3)) for body in result.vertebrae]
    [('L4', 'height_anterior_px', 30.0), ('L5', 'height_anterior_px', 30.0)]
    """

    def __init__(
        self,
        keys: KeysCollection = "labels",
        film_key: str = "film",
        image_key: str = "image",
        result_key: str = "result",
        run_id: str = "",
        levels: Sequence[str] = LUMBAR,
        anterior: str = AUTO,
        all_millimetres: bool = False,
        expects_s1: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if anterior not in ("left", "right", AUTO):
            raise ValueError(f'anterior is "left", "right" or "{AUTO}"; got {anterior!r}')
        self.film_key, self.image_key, self.result_key = film_key, image_key, result_key
        self.run_id, self.levels, self.anterior = run_id, tuple(levels), anterior
        self.all_millimetres, self.expects_s1 = all_millimetres, expects_s1

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the result."""
        item = dict(data)
        for key in self.key_iterator(item):
            labels = np.ascontiguousarray(convert_to_numpy(item[key])[0], dtype=np.uint8)
            item[self.result_key] = self._result(item, labels)
        return item

    def _result(self, item: Mapping[Hashable, Any], labels: np.ndarray) -> FilmResult:
        film, image = item[self.film_key], item.get(self.image_key)
        meta = film.meta if isinstance(film, MetaTensor) else {}
        pixels = convert_to_numpy(film)[0]
        identity, scale = self._identity(item, meta, pixels.shape)
        shown = shown_area(meta, image, pixels.shape)
        centres = {str(centre["level"]): centre for centre in item.get("centres", [])}
        known = {level: centre for level, centre in centres.items() if level in self.levels}
        given = _given(item.get("given_centres"))
        flags = find_flags(
            labels,
            {level: float(centre["score"]) for level, centre in known.items()},
            pixels,
            shown,
            aspect_yx=scale.aspect_yx,
            notes=identity.notes,
            given_xy=[(centre.x_px, centre.y_px) for centre in given],
            confidences={k: float(c["confidence"]) for k, c in known.items() if c["confidence"] is not None},
            expects_s1=self.expects_s1,
            view=identity.view,
            body_part=identity.body_part,
        )
        naming = _naming(item.get("naming"))
        measured, unmeasured = self._measure(labels, scale, shown)
        doubts = [*_naming_flags(naming), *flags]
        for level, reason in unmeasured:
            doubts.append(
                Flag(NOT_MEASURED, level, f"{level or 'Nothing'} was {'not ' if level else ''}measured: {reason}.")
            )
        return FilmResult(
            film=identity,
            run=self.run_id,
            labels=LabelMap.of(labels),
            vertebrae=_vertebrae(pixels, labels, centres, measured),
            discs=() if measured is None else tuple(_disc(disc.record()) for disc in measured.discs),
            measures=_film_measures(measured),
            anterior=None if measured is None else measured.anterior,  # type: ignore[arg-type]
            anterior_evidence="" if measured is None else measured.anterior_evidence,
            assumption=scale.assumption,
            naming=naming,
            unmeasured=unmeasured,
            flags=tuple(doubts),
            given_centres=given,
            mask_levels=self.levels,
        )

    def _identity(
        self, item: Mapping[Hashable, Any], meta: Mapping[str, Any], size: tuple[int, ...]
    ) -> tuple[FilmIdentity, FilmScale]:
        spacing = np.asarray(convert_to_numpy(meta.get(META_SPACING, (np.nan, np.nan))), dtype=np.float64)
        known = bool(np.isfinite(spacing).all())
        spacing_xy = (float(spacing[0]), float(spacing[1])) if known else None
        provenance = str(meta.get(META_PROVENANCE, NO_SPACING)) if known else NO_SPACING
        scale = FilmScale(spacing_xy, provenance, True if self.all_millimetres and known else None)
        affine = np.asarray(convert_to_numpy(meta.get("original_affine", np.diag([-1.0, -1.0, 1.0]))), dtype=np.float64)
        plane = affine[np.ix_([0, 1, -1], [0, 1, -1])]
        notes = meta.get(META_NOTES, "")
        identity = FilmIdentity(
            name=str(item.get("shown", item.get("name", "film"))),
            size_xy_px=(int(size[0]), int(size[1])),
            spacing_xy_mm=spacing_xy,
            spacing_provenance=provenance,
            in_mm=scale.in_mm,
            affine=tuple((float(a), float(b), float(c)) for a, b, c in plane),
            fingerprint=str(item.get("fingerprint", "")),
            view=str(meta.get(META_VIEW, "")),
            body_part=str(meta.get(META_BODY_PART, "")),
            notes=tuple(filter(None, [notes] if isinstance(notes, str) else notes)),
        )
        return identity, scale

    def _measure(
        self, labels: np.ndarray, scale: FilmScale, shown: np.ndarray
    ) -> tuple[FilmMorphometry | None, tuple[tuple[str | None, str], ...]]:
        try:
            measured = measure_film(labels, None if self.anterior == AUTO else self.anterior, scale, shown)
        except ValueError as error:
            return None, ((None, str(error).rstrip(".")),)
        return measured, measured.unmeasured


def shown_area(meta: Mapping[str, Any], image: Any, size: Sequence[int]) -> np.ndarray:
    """The film's valid area without the border that the network was not shown, (x, y) bool."""
    valid = np.broadcast_to(np.asarray(convert_to_numpy(meta.get(META_VALID_AREA, True))) != 0, tuple(size))
    box = image.meta.get(META_SHOWN_BOX) if isinstance(image, MetaTensor) else None
    if box is None:
        return np.array(valid)
    (x0, x1), (y0, y1) = np.asarray(convert_to_numpy(box)).astype(int).reshape(2, 2)
    area = np.zeros(tuple(size), dtype=bool)
    area[x0:x1, y0:y1] = valid[x0:x1, y0:y1]
    return area


def _naming(record: Any) -> Naming | None:
    if record is None:
        return None
    return Naming(float(record["probability"]), tuple(record["runner_up"]), bool(record["levels_uncertain"]))


def _naming_flags(naming: Naming | None) -> list[Flag]:
    if naming is None or not naming.uncertain:
        return []
    other = ", ".join(level or "none" for level in naming.runner_up)
    text = f"The names may be wrong (probability {naming.probability:.2f} that all are right)"
    return [Flag(LEVELS_UNCERTAIN, None, f"{text}; from head to feet they may be: {other or 'others'}.")]


def _given(rows: Any) -> tuple[GivenCentre, ...]:
    if rows is None:
        return ()
    return tuple(GivenCentre(**record) for record in GivenCentres.from_rows(convert_to_numpy(rows)).records())


def _vertebrae(
    pixels: np.ndarray, labels: np.ndarray, centres: Mapping[str, Mapping[str, Any]], measured: FilmMorphometry | None
) -> tuple[Vertebra, ...]:
    bodies = {} if measured is None else {body.level: body for body in measured.bodies}
    made = []
    for grey in region_statistics(pixels, labels, RIM_SHARE):
        if grey.level == "S1":
            continue
        centre, body = centres.get(grey.level), bodies.get(grey.level)
        place: dict[str, Any] = {}
        if centre is not None:
            place = {key: centre[key] for key in ("score", "uncertainty", "confidence", "evidence")}
            place["centre_xy_px"] = (float(centre["x_px"]), float(centre["y_px"]))
        row: dict[str, Any] = {}
        if body is not None:
            row = body.record()
            place |= {key: row.pop(key) for key in (*_GRADES[:2], "cut_off")}
            place["corners_xy_px"] = _points(body.points.corners_xy_px)
            place["end_plates_xy_px"] = _points(body.points.plates_xy_px)
        row |= {key: value for key, value in grey.record().items() if key != "rim_px"}
        row.pop("label", None)
        made.append(Vertebra(grey.level, measures=measures_of(row), **place))
    return tuple(made)


def _points(points: np.ndarray) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in points)


def _disc(row: dict[str, Any]) -> Disc:
    words = {key: row.pop(key) for key in ("upper", "lower", *_GRADES[2:])}
    return Disc(measures=measures_of(row), **words)


def _film_measures(measured: FilmMorphometry | None) -> tuple[Any, ...]:
    names = ("lordosis_l1_l5_deg", "lordosis_l1_s1_deg")
    return measures_of({name: None if measured is None else getattr(measured, name) for name in names})


FilmResultD = FilmResultDict = FilmResultd
