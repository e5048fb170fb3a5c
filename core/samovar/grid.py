"""Grid: the one place where axes, units and pixel anchors are decided.

Conventions, everywhere in samovar:

* Arrays are indexed ``(z, y, x)`` or ``(y, x)``; positions, boxes and affines are ordered
  ``x, y[, z]``.
* An integer index is the *centre* of a pixel (as in NIfTI, DICOM and napari). A box ``[x0, x1)``
  therefore covers the edges ``x0 - 1/2 … x1 - 1/2``.
* World points are positions, world boxes are edges. Volumes live in LPS millimetres, rasters in
  their CRS with lon/lat (x/y) order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from samovar.errors import GeometryError

FloatArray = NDArray[np.float64]

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""4×4: turns RAS millimetres (NIfTI) into LPS millimetres (DICOM), and back."""


@dataclass(frozen=True)
class Frame:
    """What world coordinates mean: LPS millimetres, a CRS, or nothing but the index."""

    kind: Literal["lps", "crs", "index"]
    crs: str | None = None
    """WKT or authority code of the CRS; set exactly when ``kind`` is ``"crs"``."""
    unit: str = "px"

    @classmethod
    def lps(cls) -> Frame:
        return cls("lps", None, "mm")

    @classmethod
    def index(cls) -> Frame:
        return cls("index", None, "px")

    @classmethod
    def from_crs(cls, crs: str, unit: str = "m") -> Frame:
        return cls("crs", crs, unit)


@dataclass(frozen=True)
class Region:
    """A half-open block of a grid in array order (``z, y, x`` or ``y, x``)."""

    start: tuple[int, ...]
    stop: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(max(0, b - a) for a, b in zip(self.start, self.stop, strict=True))

    @property
    def slices(self) -> tuple[slice, ...]:
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))

    @property
    def empty(self) -> bool:
        return any(b <= a for a, b in zip(self.start, self.stop, strict=True))

    def intersect(self, other: Region) -> Region:
        start = tuple(max(a, b) for a, b in zip(self.start, other.start, strict=True))
        stop = tuple(
            max(s, min(a, b)) for s, a, b in zip(start, self.stop, other.stop, strict=True)
        )
        return Region(start, stop)

    def union(self, other: Region) -> Region:
        return Region(
            tuple(min(a, b) for a, b in zip(self.start, other.start, strict=True)),
            tuple(max(a, b) for a, b in zip(self.stop, other.stop, strict=True)),
        )

    def contains(self, other: Region) -> bool:
        return all(
            a <= c and d <= b
            for a, b, c, d in zip(self.start, self.stop, other.start, other.stop, strict=True)
        )

    def shift(self, offset: Sequence[int]) -> Region:
        return Region(
            tuple(a + o for a, o in zip(self.start, offset, strict=True)),
            tuple(b + o for b, o in zip(self.stop, offset, strict=True)),
        )

    def within(self, outer: Region) -> tuple[slice, ...]:
        """Slices of this region inside an array that holds ``outer``."""
        return tuple(
            slice(a - o, b - o) for a, b, o in zip(self.start, self.stop, outer.start, strict=True)
        )


@dataclass(frozen=True, eq=False)
class Grid:
    """Shape, index→world affine and frame of an image.

    ``shape`` is in array order; ``affine`` is ``(n+1, n+1)`` float64 and maps homogeneous
    ``(x, y[, z], 1)`` *pixel-centre* indices to world coordinates.

    Raises:
        GeometryError: the affine has the wrong shape, is not finite or cannot be inverted, or a
            dimension is not positive.
    """

    shape: tuple[int, ...]
    affine: FloatArray
    frame: Frame = field(default_factory=Frame.index)

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        shape = tuple(int(n) for n in self.shape)
        n = len(shape)
        if n not in (2, 3):
            raise GeometryError(f"a grid has 2 or 3 dimensions, not {n}: take one volume or band")
        if any(s <= 0 for s in shape):
            raise GeometryError(f"the image is empty: its shape is {shape}")
        if affine.shape != (n + 1, n + 1):
            raise GeometryError(f"a {n}-D grid needs a {n + 1}×{n + 1} affine, got {affine.shape}")
        if not np.isfinite(affine).all():
            raise GeometryError("the affine holds NaN or infinity: repair the header's geometry")
        linear = affine[:n, :n]
        lengths = np.linalg.norm(linear, axis=0)
        if (lengths == 0).any() or abs(np.linalg.det(linear / lengths)) < 1e-6:
            raise GeometryError(
                "the affine cannot be inverted (two axes coincide or a spacing is 0): "
                "repair the header's geometry"
            )
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", shape)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Grid)
            and self.shape == other.shape
            and self.frame == other.frame
            and bool(np.array_equal(self.affine, other.affine))
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def region(self) -> Region:
        """The whole grid."""
        return Region((0,) * self.ndim, self.shape)

    @property
    def spacing(self) -> tuple[float, ...]:
        """World length of one index step along x, y[, z]."""
        lengths = np.linalg.norm(self.affine[:-1, :-1], axis=0)
        return tuple(float(v) for v in lengths)

    @property
    def direction(self) -> FloatArray:
        """Direction cosines, one column an index axis in x, y[, z] order."""
        linear: FloatArray = self.affine[:-1, :-1]
        return np.asarray(linear / np.linalg.norm(linear, axis=0))

    @property
    def pixel_measure(self) -> float:
        """Area or volume of one pixel in squared or cubed world units (planar)."""
        return float(abs(np.linalg.det(self.affine[:-1, :-1])))

    def to_world(self, index: ArrayLike) -> FloatArray:
        """``(…, n)`` pixel-centre indices, x, y[, z] → ``(…, n)`` world positions."""
        points = np.asarray(index, dtype=np.float64)
        n = self.ndim
        return np.asarray(points @ self.affine[:n, :n].T + self.affine[:n, n])

    def to_index(self, world: ArrayLike) -> FloatArray:
        """``(…, n)`` world positions → ``(…, n)`` pixel-centre indices, x, y[, z]."""
        points = np.asarray(world, dtype=np.float64)
        n = self.ndim
        inverse = np.linalg.inv(self.affine[:n, :n])
        return np.asarray((points - self.affine[:n, n]) @ inverse.T)

    def box_to_world(self, box: Sequence[float]) -> tuple[float, ...]:
        """Index box ``x0, y0[, z0], x1, y1[, z1]`` (max exclusive) → bounds of its world edges."""
        return self._box(np.asarray(box, dtype=np.float64) - 0.5, self.to_world, 0.0)

    def box_to_index(self, box: Sequence[float]) -> tuple[float, ...]:
        """World edges ``x0, y0[, z0], x1, y1[, z1]`` → index box (max exclusive) around them."""
        return self._box(np.asarray(box, dtype=np.float64), self.to_index, 0.5)

    def _box(self, edges: FloatArray, transform, shift: float) -> tuple[float, ...]:  # type: ignore[no-untyped-def]
        n = self.ndim
        if edges.shape != (2 * n,):
            raise GeometryError(f"a box of a {n}-D image has {2 * n} numbers, not {edges.size}")
        corners = transform(list(product(*((edges[i], edges[n + i]) for i in range(n)))))
        bounds = np.concatenate([corners.min(axis=0), corners.max(axis=0)]) + shift
        return tuple(float(v) for v in bounds)

    def slice_axis(self) -> int:
        """Array axis to slice a volume along.

        The axis of a single slice where there is one; else the axis of coarsest spacing when one
        is coarser than the others by more than 1 %; else the axis nearest to superior–inferior
        (by direction cosines).
        """
        if self.ndim != 3:
            raise GeometryError("only volumes are sliced")
        if self.shape.count(1) == 1:
            return self.shape.index(1)
        spacing = np.array(self.spacing)
        order = np.argsort(spacing)
        if spacing[order[-1]] > 1.01 * spacing[order[-2]]:
            return 2 - int(order[-1])
        return 2 - int(np.argmax(np.abs(self.direction[2])))
