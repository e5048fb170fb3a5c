"""The window of a volume that a 3-D model looks at: a cube of cells, laid around a prompt.

The rules are upstream's: the volume's axes in canonical order (first to the right, second to the
front, third upwards), 1.5 mm cells that lie evenly about the volume's middle, linear
interpolation, 128 cells a side around the prompt's box, zeros where the cube leaves the volume.
Nothing is turned: of an oblique volume the nearest axes count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from samovar.errors import InputError
from samovar.grid import Grid, Region
from samovar.image import Image
from samovar.masks import PixelMask

SLACK = 1e-3
"""Of a cell: what a spacing that is off by rounding may not change."""
SLAB_BYTES = 64 << 20
"""Values that are read, or logits that are laid out, at a time."""

CANONICAL = np.diag([-1.0, -1.0, 1.0])
"""Right, front, up from LPS."""


@dataclass(frozen=True)
class Lattice:
    """Cells along one axis of the volume: cell ``j`` lies at index ``start + j · step``."""

    axis: int
    """Array axis of the image."""
    pixels: int
    """Of the image along it."""
    start: float
    step: float
    count: int
    """Cells that the volume holds."""

    def cells(self, index: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Image indices along the axis → cells, continuous."""
        return (np.asarray(index, dtype=np.float64) - self.start) / self.step


def lattices(grid: Grid, cell: float, source: str) -> tuple[Lattice, ...]:
    """The cells of a volume of millimetres, in the model's order of axes.

    Args:
        cell: side of a cell in mm.
        source: named in errors.

    Raises:
        InputError: a volume without millimetres.
    """
    if grid.frame.kind != "lps":
        raise InputError(
            f"{source}: has no millimetres, and this model needs them: save it with its spacing "
            "(NIfTI, NRRD, MHA or DICOM)"
        )
    toward = CANONICAL @ grid.direction  # [right/front/up, index axis x/y/z]
    order = max(permutations(range(3)), key=lambda o: sum(abs(toward[i, o[i]]) for i in range(3)))
    found = []
    for place, index_axis in enumerate(order):
        spacing, axis = grid.spacing[index_axis], 2 - index_axis
        pixels = grid.shape[axis]
        count = max(1, int(np.floor(pixels * spacing / cell + SLACK)))
        sign = 1.0 if toward[place, index_axis] > 0 else -1.0
        step = sign * cell / spacing
        found.append(Lattice(axis, pixels, (pixels - 1) / 2 - (count - 1) / 2 * step, step, count))
    return tuple(found)


@dataclass(frozen=True)
class Window:
    """``side`` cells along each axis, from ``first``; what it holds is in the model's order."""

    lattices: tuple[Lattice, ...]
    first: tuple[int, ...]
    side: int

    @classmethod
    def around(cls, lattices: Sequence[Lattice], box: Sequence[float], side: int) -> Window:
        """The cube whose middle is that of an index box ``x0, y0, z0, x1, y1, z1``."""
        first = []
        for one in lattices:
            place = 2 - one.axis
            middle = one.cells((box[place] + box[place + 3] - 1) / 2) + 0.5
            first.append(int(np.floor(middle + SLACK)) - side // 2)
        return cls(tuple(lattices), tuple(first), side)

    def cell_of(self, point: Sequence[float]) -> tuple[int, ...]:
        """The cell of this window that an index position ``x, y, z`` lies in."""
        return tuple(
            int(np.floor(one.cells(point[2 - one.axis]) + 0.5 + SLACK)) - first
            for one, first in zip(self.lattices, self.first, strict=True)
        )

    def holds(self, cell: Sequence[int]) -> bool:
        return all(0 <= v < self.side for v in cell)

    def read(self, image: Image) -> NDArray[np.float32]:
        """The volume's values in the cells, ``(side,) * 3``; zero where there is no volume."""
        cube = np.zeros((self.side,) * 3, dtype=np.float32)
        inside = [self._inside(i) for i in range(3)]
        if any(part.start >= part.stop for part in inside):
            return cube
        samples = {}
        for one, first, part in zip(self.lattices, self.first, inside, strict=True):
            cells = np.arange(part.start, part.stop) + first
            samples[one.axis] = _taps(one.start + cells * one.step, one.pixels)
        values = _sampled(image, samples)  # in the image's order
        order = [one.axis for one in self.lattices]
        cube[tuple(inside)] = values.transpose(order)
        return cube

    def lay(self, logits: NDArray[np.float32], grid: Grid) -> PixelMask:
        """Where logits over the cube, on a coarser raster of equal cells, are above zero.

        Args:
            logits: ``(n, n, n)`` in the model's order; linear between their centres.

        Returns:
            In index coordinates of the image.
        """
        size = logits.shape[0]
        start, stop, weights = [0] * 3, [0] * 3, {}
        for one, first in zip(self.lattices, self.first, strict=True):
            cells = one.cells(np.arange(one.pixels)) - first
            hits = np.flatnonzero((cells >= -0.5) & (cells < self.side - 0.5))
            if not hits.size:
                return _nothing()
            start[one.axis], stop[one.axis] = int(hits[0]), int(hits[-1]) + 1
            scaled = (cells[hits] + 0.5) * size / self.side - 0.5
            weights[one.axis] = linear_matrix(scaled, size)
        order = np.argsort([one.axis for one in self.lattices])
        coarse = logits.transpose(order)  # in the image's order
        flat = np.einsum("zyx,Yy,Xx->zYX", coarse, weights[1], weights[2], optimize=True)
        region = Region(tuple(start), tuple(stop))
        inside = np.empty(region.shape, dtype=bool)
        slab = max(1, SLAB_BYTES // (4 * max(1, int(np.prod(region.shape[1:])))))
        for low in range(0, region.shape[0], slab):
            part = weights[0][low : low + slab]
            inside[low : low + slab] = np.tensordot(part, flat, axes=1) > 0
        return PixelMask.of(inside, region.start)

    def coarse(self, painted: Sequence[PixelMask], size: int) -> NDArray[np.float32]:
        """Painted pixels of the image as 1 among zeros, ``(size,) * 3``, nearest."""
        pick = []
        for one, first in zip(self.lattices, self.first, strict=True):
            cells = np.arange(size) * self.side // size + first
            pick.append((one.axis, np.floor(one.start + cells * one.step + 0.5).astype(int)))
        out = np.zeros((size,) * 3, dtype=np.float32)
        axes = [axis for axis, _ in pick]
        for mask in painted:
            low, high = mask.region.start, mask.region.stop
            kept = [np.flatnonzero((p >= low[a]) & (p < high[a])) for a, p in pick]
            index = {a: p[k] - low[a] for (a, p), k in zip(pick, kept, strict=True)}
            block = mask.inside[np.ix_(index[0], index[1], index[2])].transpose(axes)
            out[np.ix_(*kept)] = np.maximum(out[np.ix_(*kept)], block)
        return out

    def cuts(self, mask: PixelMask) -> bool:
        """Whether a mask reaches an end of the window beyond which the volume goes on."""
        if mask.empty:
            return False
        for one, first in zip(self.lattices, self.first, strict=True):
            cells = one.cells(np.arange(one.pixels)) - first
            hits = np.flatnonzero((cells >= -0.5) & (cells < self.side - 0.5))
            low, high = mask.region.start[one.axis], mask.region.stop[one.axis]
            if (low == hits[0] > 0) or (high == hits[-1] + 1 < one.pixels):
                return True
        return False

    def _inside(self, place: int) -> slice:
        """Cells of this window, along one of its axes, that the volume holds."""
        one, first = self.lattices[place], self.first[place]
        return slice(max(0, -first), min(self.side, one.count - first))


def _nothing() -> PixelMask:
    zero = (0, 0, 0)
    return PixelMask(Region(zero, zero), np.zeros(zero, dtype=bool))


@dataclass(frozen=True)
class _Taps:
    """Two neighbours of each sample along one axis, and the share of the second."""

    lower: NDArray[np.intp]
    upper: NDArray[np.intp]
    share: NDArray[np.float32]

    @property
    def span(self) -> tuple[int, int]:
        return int(self.lower.min()), int(self.upper.max()) + 1

    def along(self, values: NDArray[np.float32], axis: int, offset: int) -> NDArray[np.float32]:
        """Linear between the neighbours."""
        near = np.take(values, self.lower - offset, axis)
        far = np.take(values, self.upper - offset, axis)
        shape = [1] * values.ndim
        shape[axis] = -1
        return near + (far - near) * self.share.reshape(shape)


def _taps(positions: NDArray[np.float64], pixels: int) -> _Taps:
    inside = np.clip(positions, 0, pixels - 1)
    lower = np.minimum(np.floor(inside + 1e-9).astype(np.intp), pixels - 1)
    upper = np.minimum(lower + 1, pixels - 1)
    return _Taps(lower, upper, np.clip(inside - lower, 0, 1).astype(np.float32))


def _sampled(image: Image, taps: dict[int, _Taps]) -> NDArray[np.float32]:
    """Values at the samples of all three array axes, a slab of planes at a time."""
    first, rows, columns = (taps[axis] for axis in range(3))
    y, x = rows.span, columns.span
    plane = (y[1] - y[0]) * (x[1] - x[0]) * 4
    count = len(first.lower)
    slab = max(1, int(SLAB_BYTES // max(1, plane) * count // max(1, first.span[1] - first.span[0])))
    parts = []
    for low in range(0, count, slab):
        some = _Taps(
            first.lower[low : low + slab],
            first.upper[low : low + slab],
            first.share[low : low + slab],
        )
        z = some.span
        block = image.read(Region((z[0], y[0], x[0]), (z[1], y[1], x[1])))[0].astype(np.float32)
        block = columns.along(rows.along(block, 1, y[0]), 2, x[0])
        parts.append(some.along(block, 0, z[0]))
    return np.concatenate(parts)


def linear_matrix(positions: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """``(positions, size)``: linear interpolation as a matrix, clamped at the ends."""
    taps = _taps(positions, size)
    matrix = np.zeros((len(positions), size), dtype=np.float32)
    rows = np.arange(len(positions))
    np.add.at(matrix, (rows, taps.lower), 1 - taps.share)
    np.add.at(matrix, (rows, taps.upper), taps.share)
    return matrix
