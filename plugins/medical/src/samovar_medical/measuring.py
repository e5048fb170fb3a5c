"""What can be measured of one object: volume, extents, diameters, intensity, surface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samovar.grid import Grid, Region
from samovar.image import Image
from samovar.objects import SegmentedObject
from samovar_medical.volume import slabs

FloatArray = NDArray[np.float64]

COLUMNS = (
    "voxels", "volume_ml", "extent_rl_mm", "extent_ap_mm", "extent_is_mm", "longest_mm",
    "perpendicular_mm", "longest_slice", "longest_3d_mm", "surface_mm2", "mean", "std", "unit",
    "centroid_l_mm", "centroid_p_mm", "centroid_s_mm",
)  # fmt: skip
"""In the order of the table."""


@dataclass(frozen=True)
class Diameters:
    """The longest diameter in any one slice, and the width at right angles to it there."""

    longest: float
    perpendicular: float
    slice: int
    """Index along the image's slice axis."""
    ends: tuple[tuple[float, float, float], tuple[float, float, float]]
    """Of the longest, x, y, z in index coordinates."""
    across: tuple[tuple[float, float, float], tuple[float, float, float]]
    """Ends of the width, likewise."""


def measure(item: SegmentedObject, image: Image) -> dict[str, float | int | str | None]:
    """Every column of :data:`COLUMNS`; None where there is nothing to measure.

    Volume is the number of voxels times the volume of one. Extents run along the patient's axes,
    right–left, anterior–posterior and inferior–superior, from edge to edge of the voxels.
    Diameters join the middles of pixel edges at the outline, those of ``longest_mm`` in the slice
    where it is longest (slices as the image was scanned), those of ``longest_3d_mm`` anywhere.
    The surface is that of marching cubes on the mask, as in pyradiomics; of round things it is
    some 8 to 10 % above that of the smooth body. ``std`` is of the population.
    """
    empty = item.empty or not item.pixels
    row: dict[str, float | int | str | None] = dict.fromkeys(COLUMNS)
    row |= {"voxels": 0 if empty else item.pixels, "volume_ml": 0.0}
    if empty:
        return row
    grid = image.grid
    row["volume_ml"] = item.pixels * grid.pixel_measure / 1000.0
    low, high = _bounds(item, grid)
    row |= zip(COLUMNS[2:5], (high - low).tolist(), strict=True)
    found = diameters(item, grid)
    row |= {
        "longest_mm": found.longest,
        "perpendicular_mm": found.perpendicular,
        "longest_slice": found.slice,
        "longest_3d_mm": _longest_in_space(item, grid),
    }
    from samovar_medical.surfaces import surface_of

    row["surface_mm2"] = surface_of(item, grid).area
    row["mean"], row["std"] = _intensity(item, image)
    row["unit"] = "HU" if image.info.modality == "ct" else ""
    row |= zip(COLUMNS[-3:], _centroid(item, grid).tolist(), strict=True)
    return row


def _rows(item: SegmentedObject) -> FloatArray:
    """First and last voxel of every row of the mask along x: ``(n, 3)`` x, y, z, of the grid."""
    mask = item.mask
    z, y = np.nonzero(mask.any(axis=2))
    lines = mask[z, y]
    first = lines.argmax(axis=1)
    last = lines.shape[1] - 1 - lines[:, ::-1].argmax(axis=1)
    points = np.concatenate([np.stack([first, y, z], axis=1), np.stack([last, y, z], axis=1)])
    return points + np.array(item.region.start[::-1], dtype=np.float64)


def _bounds(item: SegmentedObject, grid: Grid) -> tuple[FloatArray, FloatArray]:
    """Least and greatest world coordinates of the corners of the object's voxels."""
    world = grid.to_world(_rows(item))
    half = np.abs(grid.affine[:3, :3]).sum(axis=1) / 2.0
    return world.min(axis=0) - half, world.max(axis=0) + half


def _centroid(item: SegmentedObject, grid: Grid) -> FloatArray:
    mask = item.mask
    sums = []
    for axis in (2, 1, 0):
        counts = mask.sum(axis=tuple(a for a in range(3) if a != axis))
        sums.append(np.dot(counts, np.arange(len(counts))) / item.pixels + item.region.start[axis])
    return grid.to_world(np.array(sums))


def diameters(item: SegmentedObject, grid: Grid) -> Diameters:
    """Longest diameter in one slice along the slice axis, and the width at right angles to it."""
    axis = grid.slice_axis()
    best: tuple[float, int, FloatArray, FloatArray] | None = None
    for index, points in _outlines(item, grid, axis):
        reach = float(np.linalg.norm(np.ptp(points, axis=0)))
        if best is not None and reach <= best[0]:
            continue
        length, a, b = _farthest(points)
        if best is None or length > best[0]:
            best = (length, index, points, np.stack([a, b]))
    assert best is not None, "an object with voxels has an outline"
    length, index, points, ends = best
    along = (ends[1] - ends[0]) / length
    normal = np.array([-along[1], along[0]])
    sides = points @ normal
    width = float(sides.max() - sides.min())
    # drawn half-way between the two points that it spans
    middle = (points[sides.argmin()] + points[sides.argmax()]) / 2.0
    across = np.stack([middle - normal * width / 2.0, middle + normal * width / 2.0])
    lift = _lifter(item, grid, axis, index)
    return Diameters(length, width, index, lift(ends), lift(across))


def _lifter(item: SegmentedObject, grid: Grid, axis: int, index: int):  # type: ignore[no-untyped-def]
    """Function from two points in a slice's millimetres to index coordinates x, y, z."""
    kept = [a for a in range(3) if a != axis]
    spacing = [grid.spacing[2 - a] for a in kept]

    def lift(points: FloatArray) -> tuple[tuple[float, float, float], ...]:
        lifted = []
        for point in points:
            place = [0.0, 0.0, 0.0]
            place[axis] = float(index)
            for a, value, step in zip(kept, point, spacing, strict=True):
                place[a] = float(value / step)
            lifted.append((place[2], place[1], place[0]))
        return tuple(lifted)

    return lift


def _outlines(item: SegmentedObject, grid: Grid, axis: int) -> Iterator[tuple[int, FloatArray]]:
    """Slices of the object, the largest first: index, corners of its hull in millimetres."""
    mask = np.moveaxis(item.mask, axis, 0)
    kept = [a for a in range(3) if a != axis]
    spacing = np.array([grid.spacing[2 - a] for a in kept])
    start = np.array([item.region.start[a] for a in kept])
    sizes = mask.sum(axis=(1, 2))
    for index in np.argsort(-sizes, kind="stable"):
        if sizes[index]:
            points = (_edge_middles(mask[index]) + start) * spacing
            yield int(index) + item.region.start[axis], _hull(points)


def _edge_middles(mask: NDArray[np.bool_]) -> FloatArray:
    """Middles of the pixel edges between inside and outside, ``(n, 2)`` rows and columns."""
    wide = np.pad(mask, 1)
    down = np.argwhere(wide[1:, 1:-1] != wide[:-1, 1:-1]) + np.array([-0.5, 0.0])
    right = np.argwhere(wide[1:-1, 1:] != wide[1:-1, :-1]) + np.array([0.0, -0.5])
    return np.concatenate([down, right])


def _hull(points: FloatArray) -> FloatArray:
    from scipy.spatial import ConvexHull

    return points[ConvexHull(points).vertices]


def _farthest(points: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    a, b = np.unravel_index(int(apart.argmax()), apart.shape)
    return float(apart[a, b]), points[a], points[b]


def _longest_in_space(item: SegmentedObject, grid: Grid) -> float:
    """The longest straight line between two middles of voxel faces at the surface."""
    mask = item.mask
    spacing = np.array(grid.spacing[::-1])
    points = []
    for index, plane in enumerate(mask):
        if not plane.any():
            continue
        middles = _edge_middles(plane)
        hull = _hull(middles)
        points.append(np.column_stack([np.full(len(hull), float(index)), hull]))
        centres = np.argwhere(plane ^ _core(plane)).astype(np.float64)
        for shift in (-0.5, 0.5):
            points.append(np.column_stack([np.full(len(centres), index + shift), centres]))
    every = np.concatenate(points) * spacing
    corners = _hull(every)
    best = 0.0
    for part in range(0, len(corners), 256):
        gap = corners[part : part + 256, None] - corners[None]
        best = max(best, float(np.sqrt((gap**2).sum(axis=-1)).max()))
    return best


def _core(plane: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels with all four neighbours inside."""
    wide = np.pad(plane, 1)
    inner = wide[2:, 1:-1] & wide[:-2, 1:-1] & wide[1:-1, 2:] & wide[1:-1, :-2]
    return np.asarray(plane & inner)


def _intensity(item: SegmentedObject, image: Image) -> tuple[float, float]:
    """Mean and standard deviation of the image inside, a few slices at a time."""
    mask = item.mask
    start, stop = item.region.start, item.region.stop
    count, total, squares = 0, 0.0, 0.0
    shift: float | None = None
    for part in slabs(mask.shape):
        region = Region((start[0] + part.start, *start[1:]), (start[0] + part.stop, *stop[1:]))
        values = image.read(region)[0][mask[part]].astype(np.float64)
        if not values.size:
            continue
        # sums of differences from one value keep their digits
        shift = float(values[0]) if shift is None else shift
        values -= shift
        count += values.size
        total += float(values.sum())
        squares += float(np.square(values).sum())
    mean = total / count
    return (shift or 0.0) + mean, max(0.0, squares / count - mean * mean) ** 0.5


def rounded(row: Mapping[str, float | int | str | None]) -> dict[str, float | int | str | None]:
    """For people: volumes and intensities to three digits after the point, lengths to two."""
    digits = {"volume_ml": 3, "mean": 3, "std": 3}
    return {
        key: round(value, digits.get(key, 2)) if isinstance(value, float) else value
        for key, value in row.items()
    }
