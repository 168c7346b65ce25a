"""The four corners of a body and the middles of its end plates and walls, from its region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.morphometry.outlines import region_outline
from cmnet_monai.morphometry.sides import PLATE_CURVE, WALL_CURVE, crossings, fit_sides, side_middle

Array = NDArray[np.floating]
Point = tuple[float, float]

LEFT, RIGHT = "left", "right"
_MARGIN = 0.08
"""Share of a body's depth that is left out at both ends of each side."""
_FARTHEST = 0.07
"""How far a corner may lie from the outline, as a share of the body's depth."""
_ROUNDS = 8
_SETTLED_PX = 0.01
_LEAST_AREA = 0.88
_TURNS_DEG = (0.0, -15.0, 15.0, -30.0, 30.0)
_NO_SIDES = "the region has no four sides: too small or too irregular for a vertebral body"


@dataclass(frozen=True)
class BodyPoints:
    """Corners and middles of one body; points are (x, y) px, the middle of the top-left pixel is (0, 0).

    Args:
        corners_xy_px: (4, 2): superior-anterior, superior-posterior, inferior-posterior, inferior-anterior.
        plates_xy_px: (2, 2): middle of the upper and of the lower end plate.
        walls_xy_px: (2, 2): middle of the anterior and of the posterior wall.
        residual_px: root mean square distance of the outline from the fitted sides.
    """

    corners_xy_px: Array
    plates_xy_px: Array
    walls_xy_px: Array
    residual_px: float

    def shifted(self, by_xy_px: Point | Sequence[float]) -> BodyPoints:
        """The same points in a grid that begins earlier by so many pixels."""
        by = np.asarray(by_xy_px, dtype=np.float64)
        moved = (self.corners_xy_px + by, self.plates_xy_px + by, self.walls_xy_px + by)
        return BodyPoints(*moved, self.residual_px)

    def turned(self) -> BodyPoints:
        """The same points of a patient who faces the other way: anterior and posterior change places."""
        return BodyPoints(self.corners_xy_px[[1, 0, 3, 2]], self.plates_xy_px, self.walls_xy_px[::-1], self.residual_px)


def find_body_points(
    region: NDArray,
    anterior: str,
    down_xy: Point | Array = (0.0, 1.0),
    aspect_yx: float = 1.0,
    smoothing_px: float = 1.0,
) -> BodyPoints:
    """Corners, and middles of end plates and walls, of a body's region: `fit_body_points` on its outline.

    Args:
        region: (x, y), whatever is not zero is inside.
        anterior: "left" or "right": where the patient's front is.
        down_xy: direction along the spine towards the feet, within about 40 degrees.
        aspect_yx: height of a pixel divided by its width.
        smoothing_px: see `region_outline`.
    Raises:
        ValueError: the region is too small or has no four sides, or `anterior` is neither "left" nor "right".

    >>> region = np.zeros((60, 60), dtype=bool)
    >>> region[10:40, 15:35] = True
    >>> points = find_body_points(region, anterior="left")
    >>> expected = [[9.5, 14.5], [39.5, 14.5], [39.5, 34.5], [9.5, 34.5]]  # half a pixel beyond the pixels' middles
    >>> bool(np.abs(points.corners_xy_px - expected).max() < 0.5)
    True
    """
    return fit_body_points(region_outline(region, smoothing_px), anterior, down_xy, aspect_yx)


def fit_body_points(
    outline_xy_px: Array, anterior: str, down_xy: Point | Array = (0.0, 1.0), aspect_yx: float = 1.0
) -> BodyPoints:
    """Corners, and middles of end plates and walls, of a body's outline.

    A corner is where end plate and wall would meet if the corner were not rounded and bore no spur: each side is fitted
    without its ends as a chord and a shallow curve, and the fits are prolonged until they cross. A middle is where the
    outline crosses the perpendicular in the middle of the straight line between two corners.

    Args:
        outline_xy_px: closed line of points about a pixel apart, (N, 2), clockwise as seen on the film.
        anterior: "left" or "right": where the patient's front is.
        down_xy: direction along the spine towards the feet, within about 40 degrees.
        aspect_yx: height of a pixel divided by its width; corners are sought on square pixels.
    Raises:
        ValueError: the outline has no four sides, or `anterior` is neither "left" nor "right".

    >>> from cmnet_monai.morphometry import polygon_outline
    >>> outline = polygon_outline([[10, 20], [40, 20], [40, 45], [10, 40]])
    >>> fit_body_points(outline, anterior="right").corners_xy_px.round(1).tolist()  # from the upper one in front
    [[40.0, 20.0], [10.0, 20.0], [10.0, 40.0], [40.0, 45.0]]
    """
    if anterior not in (LEFT, RIGHT):
        raise ValueError(f'anterior is "left" or "right"; got {anterior!r}')
    (points,) = fit_outlines([outline_xy_px], [down_xy], aspect_yx)
    if isinstance(points, ValueError):
        raise points
    return points if anterior == LEFT else points.turned()


def fit_outlines(
    outlines_xy_px: Sequence[Array], downs_xy: Sequence[Point | Array], aspect_yx: float = 1.0
) -> list[BodyPoints | ValueError]:
    """`fit_body_points` for many bodies at once, which is faster than one after the other, of patients who face left.

    Args:
        outlines_xy_px: as there, one a body.
        downs_xy: as there, one a body.
        aspect_yx: as there.
    Returns:
        The points of each body, or the error where its outline has no four sides.
    """
    square = np.array([1.0, float(aspect_yx)])
    bodies = [_Body(line * square, np.asarray(down) * square) for line, down in zip(outlines_xy_px, downs_xy)]
    moving = bodies
    for _ in range(_ROUNDS):
        moving = [body for body in _fit_sides(moving) if body.move() >= _SETTLED_PX]
    fitted = [body for body in bodies if body.arcs]
    for body in fitted:
        if _area(body.corners) < _LEAST_AREA * _area(body.first):
            # Prolonged sides enclose more than the outline's own corners, or little less where these are spurs: the
            # fits went astray.
            body.corners = body.first
    found = {id(body): body.points(square) for body in _fit_sides(fitted)}
    return [found.get(id(body), ValueError(_NO_SIDES)) for body in bodies]


class _Body:
    """The fit of one body as it goes on, on square pixels; corners from the upper left one on, clockwise.

    Attributes:
        line: the outline.
        first: the corners to begin with.
        corners: the corners now.
        depth: mean depth of the end plates between them.
        arcs: the outline between neighbouring corners; empty if it has no four sides.
        starts: where the chords of the fitted sides begin on the border, (4, 2).
        ends: where they end.
        residuals: root mean square distance of each arc from its fit, (4,).
    """

    depth: float
    starts: Array
    ends: Array
    residuals: Array

    def __init__(self, line: Array, down: Array) -> None:
        self.line = line
        self.first = self.corners = _largest_quadrilateral(line, down)
        self.arcs: list[Array] = []

    def cut(self) -> None:
        """Cut the outline where it is nearest to the corners."""
        at = self._nearest()
        self.arcs = []
        for first, last in zip(at, np.roll(at, -1)):
            line = self.line
            run = line[first : last + 1] if first <= last else np.concatenate([line[first:], line[: last + 1]])
            if len(run) < 4 or len(run) > 0.75 * len(line):
                self.arcs = []
                return
            self.arcs.append(run)
        plates = self.corners[[1, 2]] - self.corners[[0, 3]]
        self.depth = 0.5 * float(np.linalg.norm(plates, axis=1).sum())

    def _nearest(self) -> NDArray[np.intp]:
        return np.argmin(np.sum((self.line - self.corners[:, None]) ** 2, axis=2), axis=1)

    def move(self) -> float:
        """Take for corners where neighbouring sides meet, but not farther from the outline than is likely.

        Returns:
            How far a corner went, at most.
        """
        before = self.corners
        met = crossings((np.roll(self.starts, 1, axis=0), np.roll(self.ends, 1, axis=0)), (self.starts, self.ends))
        self.corners = np.where(np.isnan(met), before, met)
        near = self.line[self._nearest()]
        gaps = np.linalg.norm(self.corners - near, axis=1, keepdims=True)
        self.corners = near + (self.corners - near) * np.minimum(1.0, _FARTHEST * self.depth / np.maximum(gaps, 1e-9))
        return float(np.abs(self.corners - before).max())

    def points(self, square: Array) -> BodyPoints:
        """What was found, on the film's own pixels."""
        chords = zip(self.arcs, self.corners, np.roll(self.corners, -1, axis=0))
        upper, right, lower, left = (side_middle(*chord) for chord in chords)
        return BodyPoints(
            self.corners / square,
            np.array([upper, lower]) / square,
            np.array([left, right]) / square,
            float(np.sqrt(np.mean(self.residuals**2))),
        )


def _fit_sides(bodies: list[_Body]) -> list[_Body]:
    """Fit the sides between the corners as they are now; the bodies that have four sides."""
    for body in bodies:
        body.cut()
    whole = [body for body in bodies if body.arcs]
    if whole:
        starts, ends, residuals = fit_sides(
            [arc for body in whole for arc in body.arcs],
            np.concatenate([body.corners for body in whole]),
            np.concatenate([np.roll(body.corners, -1, axis=0) for body in whole]),
            np.repeat([_MARGIN * body.depth for body in whole], 4),
            np.tile([PLATE_CURVE, WALL_CURVE], (2 * len(whole), 1)),
        )
        for n, body in enumerate(whole):
            own = slice(4 * n, 4 * n + 4)
            body.starts, body.ends, body.residuals = starts[own], ends[own], residuals[own]
    return whole


def _largest_quadrilateral(line: Array, down: Array) -> Array:
    """Four points of the outline that enclose about the largest area, from the upper left one on.

    From the farthest points along the diagonals of the outline's box, turned to several angles, each point in turn
    moves to where it is farthest from the diagonal of its neighbours.
    """
    best: Array = np.empty((0, 2))
    for turn in np.deg2rad(_TURNS_DEG):
        cos, sin = np.cos(turn), np.sin(turn)
        corners = _extremes(line, np.array([down[0] * cos - down[1] * sin, down[0] * sin + down[1] * cos]))
        for _ in range(_ROUNDS):
            before = _area(corners)
            for i in range(4):
                a, b = corners[i - 1], corners[(i + 1) % 4]
                outwards = np.array([b[1] - a[1], a[0] - b[0]])
                corners[i] = line[np.argmax((line - a) @ outwards)]
            if _area(corners) <= before * (1 + 1e-6):
                break
        if not len(best) or _area(corners) > _area(best) * (1 + 1e-3):
            best = corners
    return best


def _area(corners: Array) -> float:
    """Area of a quadrilateral whose corners run clockwise as seen on the film."""
    x, y = corners.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def _extremes(line: Array, down: Array) -> Array:
    """The outline's farthest points along the diagonals of its box in a direction, from the upper left one on."""
    down = down / np.linalg.norm(down)
    right = np.array([down[1], -down[0]])
    across, along = line @ right, line @ down
    u = 2 * (across - across.min()) / np.ptp(across) - 1
    v = 2 * (along - along.min()) / np.ptp(along) - 1
    return np.array([line[np.argmax(a * u + b * v)] for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))])
