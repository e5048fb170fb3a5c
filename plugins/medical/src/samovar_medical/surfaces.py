"""Surfaces of masks: marching cubes, a few slices at a time, closed and in LPS millimetres.

Lewiner et al. 2003, by scikit-image. The vertices lie half-way between voxels, so neighbouring
runs of slices share theirs exactly and are sewn together without tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samovar.grid import Grid
from samovar.objects import SegmentedObject

_VOXELS = 1 << 22
"""Of a run of slices: marching cubes needs about 4 bytes of each."""


@dataclass(frozen=True, eq=False)
class Surface:
    """A closed surface of triangles whose corners run counter-clockwise seen from outside."""

    vertices: NDArray[np.float64]
    """``(n, 3)``: x, y, z in LPS millimetres."""
    faces: NDArray[np.int64]
    """``(m, 3)``: numbers of vertices."""

    @property
    def area(self) -> float:
        """Square millimetres."""
        a, b, c = (self.vertices[self.faces[:, i]] for i in range(3))
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2.0)

    @property
    def volume(self) -> float:
        """Cubic millimetres that it encloses (divergence theorem); above 0 when it is outward."""
        a, b, c = (self.vertices[self.faces[:, i]] - self.vertices[0] for i in range(3))
        return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6.0)


def surface_of(item: SegmentedObject, grid: Grid) -> Surface:
    """The surface of an object that has voxels."""
    keys, faces = [], []
    count = 0
    mask = item.mask
    depth = max(2, _VOXELS // max(1, (mask.shape[1] + 2) * (mask.shape[2] + 2)))
    last = mask.shape[0] + 1
    # cells between slices -1 and 0, 0 and 1 … up to the one behind the last slice
    for start in range(-1, last - 1, depth):
        stop = min(start + depth + 1, last)
        found = _cells(mask, start, stop)
        if found is not None:
            keys.append(found[0])
            faces.append(found[1] + count)
            count += len(found[0])
    corners, index = np.unique(np.concatenate(keys), axis=0, return_inverse=True)
    joined = index.reshape(-1)[np.concatenate(faces)]
    # a triangle that has shrunk to a line would make two neighbours of one edge
    proper = (
        (joined[:, 0] != joined[:, 1])
        & (joined[:, 1] != joined[:, 2])
        & (joined[:, 0] != joined[:, 2])
    )
    joined = joined[proper]
    z, y, x = item.region.start
    world = grid.to_world(corners[:, ::-1] / 2.0 + (x, y, z))
    if np.linalg.det(grid.affine[:3, :3]) > 0:
        # indices go z, y, x and the world x, y, z: a reflection, unless the grid is one too
        joined = joined[:, ::-1]
    return Surface(world, joined.astype(np.int64))


def _cells(
    mask: NDArray[np.bool_], start: int, stop: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Doubled vertex indices (z, y, x of ``mask``) and faces between slices start … stop - 1."""
    from skimage.measure import marching_cubes

    block = np.zeros((stop - start, mask.shape[1] + 2, mask.shape[2] + 2), dtype=np.float32)
    low, high = max(start, 0), min(stop, mask.shape[0])
    block[low - start : high - start, 1:-1, 1:-1] = mask[low:high]
    if not block.any():
        return None
    vertices, faces, _, _ = marching_cubes(block, 0.5, gradient_direction="ascent")
    keys = np.rint(vertices * 2).astype(np.int64) + np.array([2 * start, -2, -2])
    return keys, faces.astype(np.int64)
