"""VolumeImage: a scalar volume in LPS millimetres, and the checks that every format shares."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from samovar.errors import GeometryError, InputError
from samovar.grid import Frame, Grid, Region
from samovar.image import Image, ImageInfo
from samovar.privacy import hide

MAX_VOXELS = 2**34
"""Headers that promise more are refused before anything is allocated."""

MAX_SHEAR = 1e-3
"""Largest cosine between two index axes; beyond it the voxels are not bricks (gantry tilt)."""

MAX_DEFLATE_RATIO = 1032
"""No deflate stream expands further: a smaller file cannot hold what its header promises."""

_SLAB_VOXELS = 1 << 22
_log = logging.getLogger("samovar.medical")


class VolumeImage(Image):
    """One scalar volume.

    The array is kept in the file's own type, in memory or memory-mapped; what is asked for is
    copied out block by block. Integers without rescaling stay as they are, everything else is
    float32.

    Args:
        values: ``(z, y, x)`` stored values, any byte order.
        grid: in LPS millimetres.
        info: domain ``"volume"``; ``native`` holds what the format's writer needs.
        slope: rescale slope.
        intercept: rescale intercept.
        label_names: names of label values, where the file states them.
        keep: object that owns the memory of ``values``.

    Raises:
        InputError: values that are NaN or infinite, before or after rescaling.
    """

    def __init__(
        self,
        values: NDArray[Any],
        grid: Grid,
        info: ImageInfo,
        *,
        slope: float = 1.0,
        intercept: float = 0.0,
        label_names: dict[int, str] | None = None,
        keep: object = None,
    ) -> None:
        self.grid = grid
        self.info = info
        self.channels = 1
        self.label_names = label_names or {}
        self._values: NDArray[Any] | None = values
        self._slope, self._intercept = slope, intercept
        self._scaled = (slope, intercept) != (1.0, 0.0)
        self._keep = keep
        kept = values.dtype.kind in "ui" and not self._scaled
        self.dtype = values.dtype.newbyteorder("=") if kept else np.dtype(np.float32)
        self._require_finite()

    def read(
        self, region: Region | None = None, *, size: tuple[int, ...] | None = None
    ) -> NDArray[Any]:
        """``(1, z, y, x)`` of ``region``; with ``size`` the nearest voxels are taken."""
        if self._values is None:
            raise InputError(f"{self.info.source}: the image was closed: open it again")
        block = self._values[(region or self.grid.region).slices]
        if size is not None and tuple(size) != block.shape:
            block = block[np.ix_(*map(nearest_indices, block.shape, size))]
        return self._real(block)[None]

    def __enter__(self) -> Self:
        return self

    def close(self) -> None:
        self._values = None
        self._keep = None

    def _real(self, block: NDArray[Any]) -> NDArray[Any]:
        """Stored → real values; a copy, computed in double precision a few slices at a time."""
        if not self._scaled:
            return np.array(block, dtype=self.dtype, order="C")
        out = np.empty(block.shape, dtype=np.float32)
        for part in slabs(block.shape):
            out[part] = block[part].astype(np.float64) * self._slope + self._intercept
        return out

    def _require_finite(self) -> None:
        values = self._values
        assert values is not None
        if values.dtype.kind in "ui" and not self._scaled:
            return
        if values.dtype.kind in "ui":
            limits = np.iinfo(values.dtype)
            reach = max(abs(limits.min), limits.max) * abs(self._slope) + abs(self._intercept)
            if reach < float(np.finfo(np.float32).max):
                return
        count, first, planes = 0, None, []
        for part in slabs(values.shape):
            with np.errstate(over="ignore", invalid="ignore"):
                bad = ~np.isfinite(self._real(values[part]))
            if not bad.any():
                continue
            hits = np.argwhere(bad)
            hits[:, 0] += part.start
            first = first if first is not None else hits[0]
            planes += [int(hits[:, 0].min()), int(hits[:, 0].max())]
            count += len(hits)
        if first is not None:
            z, y, x = (int(v) for v in first)
            raise InputError(
                f"{self.info.source}: {count} of {values.size} voxels are NaN or infinite "
                f"(first at x,y,z = {x},{y},{z}; slices z = {min(planes)} to {max(planes)}): "
                "replace them by the background value first (-1024 in CT, 0 in MR), "
                "e.g. with numpy.nan_to_num"
            )


def slabs(shape: Sequence[int]) -> list[slice]:
    """Runs of the first axis of about four million voxels each, so that no full copy is made."""
    depth = max(1, _SLAB_VOXELS // max(1, math.prod(shape[1:])))
    return [slice(a, min(a + depth, shape[0])) for a in range(0, shape[0], depth)]


def nearest_indices(length: int, wanted: int) -> NDArray[np.intp]:
    """Indices of the ``wanted`` voxels whose centres lie nearest, of ``length``."""
    centres = ((np.arange(wanted) + 0.5) * length / wanted).astype(np.intp)
    return np.asarray(np.minimum(centres, length - 1))


def volume_grid(source: str, shape: Sequence[int], affine: NDArray[np.float64]) -> Grid:
    """The grid of a volume, after refusing what is not made of bricks.

    Args:
        source: file, for the message.
        shape: ``(z, y, x)``.
        affine: 4×4, index x, y, z → LPS millimetres.

    Raises:
        GeometryError: not finite, not invertible, or sheared.
    """
    try:
        grid = Grid(tuple(shape), affine, Frame.lps())
    except GeometryError as error:
        raise GeometryError(f"{source}: {error}") from error
    cosines = np.abs(grid.direction.T @ grid.direction - np.eye(3))
    if cosines.max() > MAX_SHEAR:
        angle = math.degrees(math.asin(min(1.0, float(cosines.max()))))
        raise GeometryError(
            f"{source}: the axes are sheared by {angle:.2g}° (gantry tilt?): resample it onto a "
            "grid with right angles first, e.g. dcm2niix's tilt-corrected (_Tilt) output"
        )
    return grid


def require_plausible(source: str, shape: Sequence[int], item_bytes: int) -> int:
    """Bytes that a header promises, after refusing empty and absurd dimensions.

    Args:
        shape: as the header states it, in any order.
    """
    text = "×".join(str(n) for n in shape)
    if any(n <= 0 for n in shape):
        raise InputError(f"{source}: the volume is empty: its dimensions are {text}")
    voxels = math.prod(int(n) for n in shape)
    if voxels > MAX_VOXELS:
        raise InputError(
            f"{source}: its header promises {text} voxels, which no scanner makes: "
            "the header is damaged, export the study again"
        )
    return voxels * item_bytes


def require_bytes(source: str, promised: int, there: int, *, compressed: bool = False) -> None:
    """Refuse a file that is too short for its own header, before anything is allocated.

    Args:
        promised: bytes of all voxels.
        there: bytes that the file has for them.
        compressed: they are deflated; only an impossible ratio is then refused.
    """
    if compressed and promised > there * MAX_DEFLATE_RATIO:
        raise InputError(
            f"{source}: its header promises {promised} bytes of voxels, more than {there} "
            "compressed bytes can hold: the file is damaged, copy or export it again"
        )
    if not compressed and promised > there:
        raise InputError(
            f"{source}: is truncated: its header promises {promised} bytes of voxels, {there} "
            "are there: copy or export it again"
        )


def warn(source: str, notes: Sequence[str]) -> None:
    """State what had to be assumed about a file: one line each on the log."""
    for note in notes:
        _log.warning("%s: %s", hide(source), hide(note))
