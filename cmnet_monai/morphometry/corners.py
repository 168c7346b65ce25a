"""The four corners of a body and the middles of its end plates and walls, from its region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.morphometry.outlines import region_outline
from cmnet_monai.morphometry.sides import PLATE_CURVE, WALL_CURVE, Side, cross, fit_side, side_middle

Array = NDArray[np.floating]
Point = tuple[float, float]

LEFT, RIGHT = "left", "right"
_MARGIN = 0.08
"""Share of a body's depth that is left out at both ends of each side."""
_FARTHEST = 0.07
"""How far a corner may lie from the outline, as a share of the body's depth."""
_ROUNDS = 8
_LEAST_AREA = 0.88
_TURNS_DEG = (0.0, -15.0, 15.0, -30.0, 30.0)


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

    def shifted(self, by_xy_px: Point) -> BodyPoints:
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
    square = np.array([1.0, float(aspect_yx)])
    line = outline_xy_px * square
    corners, sides, arcs = _fit_quadrilateral(line, np.asarray(down_xy, dtype=np.float64) * square)
    middles = [side_middle(arc, corners[i], corners[(i + 1) % 4]) for i, arc in enumerate(arcs)]
    upper, right, lower, left = middles
    points = BodyPoints(
        corners / square,
        np.array([upper, lower]) / square,
        np.array([left, right]) / square,
        float(np.sqrt(np.mean([side.residual**2 for side in sides]))),
    )
    return points if anterior == LEFT else points.turned()


def _fit_quadrilateral(line: Array, down: Array) -> tuple[Array, list[Side], list[Array]]:
    """Corners from the upper left one on, clockwise as with the spine upright; the sides and arcs after each."""
    first = _largest_quadrilateral(line, down)
    corners = first
    for _ in range(_ROUNDS):
        arcs, sides, depth = _fit_sides(line, corners)
        moved = _meet(sides, line, depth)
        done = float(np.abs(moved - corners).max()) < 0.01
        corners = moved
        if done:
            break
    if _area(corners) < _LEAST_AREA * _area(first):
        # Prolonged sides enclose more than the outline's own corners, or little less where these are spurs: the fits
        # went astray.
        corners = first
    arcs, sides, _ = _fit_sides(line, corners)
    return corners, sides, arcs


def _fit_sides(line: Array, corners: Array) -> tuple[list[Array], list[Side], float]:
    """The arcs between corners, the sides fitted to them, and the body's depth."""
    arcs = _arcs(line, corners)
    depth = 0.5 * float(np.linalg.norm(corners[1] - corners[0]) + np.linalg.norm(corners[2] - corners[3]))
    sides = [
        fit_side(arc, corners[i], corners[(i + 1) % 4], _MARGIN * depth, (PLATE_CURVE, WALL_CURVE)[i % 2])
        for i, arc in enumerate(arcs)
    ]
    return arcs, sides, depth


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


def _arcs(line: Array, corners: Array) -> list[Array]:
    """The outline cut where it is nearest to the corners: four arcs, clockwise, from the first corner on."""
    at = [int(np.argmin(np.sum((line - corner) ** 2, axis=1))) for corner in corners]
    arcs = []
    for first, last in zip(at, at[1:] + at[:1]):
        run = line[first : last + 1] if first <= last else np.concatenate([line[first:], line[: last + 1]])
        if len(run) < 4 or len(run) > 0.75 * len(line):
            raise ValueError("the region has no four sides: too small or too irregular for a vertebral body")
        arcs.append(run)
    return arcs


def _meet(sides: list[Side], line: Array, depth: float) -> Array:
    """Where neighbouring sides meet, upper left first, but not farther from the outline than is likely."""
    corners = []
    for before, after in zip((sides[3], *sides[:3]), sides):
        met = cross(before.ends, after.ends)
        corner = after.start if met is None else met
        near = line[np.argmin(np.sum((line - corner) ** 2, axis=1))]
        gap = float(np.linalg.norm(corner - near))
        corners.append(near + (corner - near) * min(1.0, _FARTHEST * depth / max(gap, 1e-9)))
    return np.array(corners)
