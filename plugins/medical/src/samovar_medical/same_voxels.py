"""Two grids with the same voxels, stored along other axes or in other directions."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samovar.errors import GeometryError
from samovar.grid import Grid
from samovar.image import Image

FloatArray = NDArray[np.float64]

TOLERANCE = 0.1
"""Voxels by which a corner of one grid may lie off the other."""


@dataclass(frozen=True, eq=False)
class Turn:
    """From the indices of one volume to those of another that holds the same voxels."""

    matrix: FloatArray
    """3×3, rows and columns x, y, z; one ±1 in each."""
    shift: FloatArray

    def points(self, points: FloatArray) -> FloatArray:
        """``(…, 3)`` x, y, z indices of the first → those of the second."""
        return np.asarray(points @ self.matrix.T + self.shift)

    def array(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """``(z, y, x)`` of the first as the second stores it; a view."""
        xyz = values.transpose(2, 1, 0)
        source = [int(np.argmax(np.abs(row))) for row in self.matrix]
        turned = xyz.transpose(source)
        flips = tuple(
            slice(None, None, -1 if self.matrix[i, source[i]] < 0 else None) for i in range(3)
        )
        return turned[flips].transpose(2, 1, 0)


def same_voxels(source: str, grid: Grid, image: Image) -> Turn:
    """How the voxels of ``grid`` lie in ``image``, exact up to whole numbers.

    Raises:
        GeometryError: they are not those of the image.
    """
    if image.grid.frame.kind != "lps" or image.grid.ndim != 3:
        raise GeometryError(
            f"{source}: is a volume, but {image.info.source} is not: give prompts of its own kind"
        )
    size, own = np.array(grid.shape[::-1]), np.array(image.grid.shape[::-1])
    matrix = np.linalg.inv(image.grid.affine) @ grid.affine
    turn = np.rint(matrix[:3, :3])
    last = np.abs(turn) @ (size - 1)
    shift = np.where((turn @ np.ones(3)) < 0, last, 0.0)
    corners = np.array(list(itertools.product(*((0, n - 1) for n in size))), dtype=np.float64)
    apart = np.abs(corners @ (matrix[:3, :3] - turn).T + (matrix[:3, 3] - shift)).max()
    permutation = (np.abs(turn).sum(axis=0) == 1).all() and (np.abs(turn).sum(axis=1) == 1).all()
    if not permutation or (last != own - 1).any() or apart > TOLERANCE:
        ours, theirs = ("×".join(str(n) for n in s) for s in (own, size))
        detail = f"{theirs} voxels, not {ours}"
        if ours == theirs:
            detail = f"it lies up to {_millimetres(grid, image.grid):.3g} mm off"
        raise GeometryError(
            f"{source}: is not on the grid of {image.info.source} ({detail}): resample the labels "
            "onto the image first, by nearest neighbour"
        )
    return Turn(turn, shift)


def _millimetres(a: Grid, b: Grid) -> float:
    corners = list(itertools.product(*((0, n - 1) for n in a.shape[::-1])))
    return float(np.linalg.norm(a.to_world(corners) - b.to_world(corners), axis=1).max())
