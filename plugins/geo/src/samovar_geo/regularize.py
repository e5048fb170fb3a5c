"""Buildings with right angles: walls snapped to one direction and its perpendicular.

The direction is that in which most of the outline runs (the length-weighted mean of four times the
edges' angles). Runs of edges nearest to one of the two directions become one wall at their mean
offset; walls meet in right angles. What is not like that (a circle, a bend) is left alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEAST_IOU = 0.8
"""Between the squared shape and the pixels; below it the shape is left alone."""
LEAST_ALIGNED = 0.7
"""Share of the simplified outline within ALIGNED_DEGREES of the two directions."""
ALIGNED_DEGREES = 15.0


def regularize(shape: Any, tolerance: float, pixel: tuple[float, float]) -> Any | None:
    """The shape with right angles, or None where it has none.

    Args:
        shape: MultiPolygon in corner coordinates.
        tolerance: metres that a wall may deviate.
        pixel: metres of a pixel along x and y.
    """
    scale = np.asarray(pixel)
    metric = shapely.transform(shape, lambda p: p * scale)
    parts = sorted(shapely.get_parts(metric), key=lambda part: -part.area)
    angle = _direction(parts[0], tolerance)
    if angle is None:
        return None
    squared = [_square(part, angle, tolerance) for part in parts]
    if squared[0] is None:
        return None
    # crumbs beside the building, too small for walls, go with the roughness of its outline
    whole = shapely.union_all([part for part in squared if part is not None])
    if not whole.is_valid or _iou(whole, metric) < LEAST_IOU:
        return None
    kept = shapely.get_parts(whole).tolist()
    return shapely.transform(shapely.MultiPolygon(kept), lambda p: p / scale)


def _square(part: Any, angle: float, tolerance: float) -> Any | None:
    """One polygon with right angles; holes without four walls are closed."""
    rings = [_squared(ring, angle, tolerance) for ring in (part.exterior, *part.interiors)]
    if rings[0] is None:
        return None
    polygon = shapely.Polygon(rings[0], [ring for ring in rings[1:] if ring is not None])
    return polygon if polygon.is_valid else None


def _direction(polygon: Any, tolerance: float) -> float | None:
    """Angle of the walls in radians; None where the outline has no two directions."""
    points = shapely.get_coordinates(shapely.simplify(polygon.exterior, tolerance))
    steps = np.diff(points, axis=0)
    lengths = np.hypot(*steps.T)
    if len(steps) < 3 or lengths.sum() == 0:
        return None
    angles = np.arctan2(steps[:, 1], steps[:, 0])
    # long walls say more of the direction than short ones
    mean = np.sum(lengths**2 * np.exp(4j * angles))
    angle = float(np.angle(mean)) / 4
    away = np.abs((np.degrees(angles - angle) + 45) % 90 - 45)
    aligned = lengths[away <= ALIGNED_DEGREES].sum() / lengths.sum()
    return angle if aligned >= LEAST_ALIGNED else None


def _squared(ring: Any, angle: float, tolerance: float) -> Floats | None:
    """A ring of right angles along ``angle``; None where fewer than four walls are left."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = shapely.get_coordinates(shapely.simplify(ring, tolerance))[:-1] @ turn
    walls = _walls(points)
    while len(walls) > 4:
        lengths = _lengths(walls)
        shortest = int(np.argmin(lengths))
        if lengths[shortest] >= tolerance:
            break
        walls = _without(walls, shortest)
    if len(walls) < 4 or len(walls) % 2:
        return None
    corners = []
    for i, (level, offset, _) in enumerate(walls):
        _, following, _ = walls[(i + 1) % len(walls)]
        corners.append((following, offset) if level else (offset, following))
    return np.array(corners) @ turn.T


Wall = tuple[bool, float, float]
"""Whether it runs along x, its offset across, and the length of outline that it stands for."""


def _walls(points: Floats) -> list[Wall]:
    steps = np.roll(points, -1, axis=0) - points
    lengths = np.hypot(*steps.T)
    level = np.abs(steps[:, 0]) >= np.abs(steps[:, 1])
    middle = points + steps / 2
    walls: list[Wall] = [
        (bool(a), float(m[1] if a else m[0]), float(n))
        for a, m, n in zip(level, middle, lengths, strict=True)
        if n > 0
    ]
    return _merged(walls)


def _merged(walls: list[Wall]) -> list[Wall]:
    """Neighbouring walls of one direction become one at their weighted mean."""
    merged: list[Wall] = []
    for wall in walls:
        if merged and merged[-1][0] == wall[0]:
            merged[-1] = _mean(merged[-1], wall)
        else:
            merged.append(wall)
    if len(merged) > 1 and merged[0][0] == merged[-1][0]:
        merged[0] = _mean(merged[0], merged.pop())
    return merged


def _mean(a: Wall, b: Wall) -> Wall:
    weight = a[2] + b[2]
    return a[0], (a[1] * a[2] + b[1] * b[2]) / weight, weight


def _lengths(walls: list[Wall]) -> list[float]:
    """Of each wall between the two that it meets."""
    n = len(walls)
    return [abs(walls[(i + 1) % n][1] - walls[i - 1][1]) for i in range(n)]


def _without(walls: list[Wall], i: int) -> list[Wall]:
    """A short wall goes; the two that it joined are one."""
    rotated = walls[i:] + walls[:i]
    return _merged(rotated[1:])


def _iou(a: Any, b: Any) -> float:
    return float(a.intersection(b).area / a.union(b).area)
