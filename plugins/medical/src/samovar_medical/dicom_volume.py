"""DicomVolume: a series as one volume whose slices are read from their files when asked for."""

from __future__ import annotations

import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from samovar.errors import InputError
from samovar.grid import Region
from samovar.image import Image, ImageInfo
from samovar_medical.dicom_pixels import stored_values, value_range
from samovar_medical.dicom_source import DicomSource
from samovar_medical.dicom_stack import Part, Stack
from samovar_medical.volume import nearest_indices

MEMORY = 64 << 20
"""Bytes of unpacked slices that are kept for the next look at them."""

MEMORY_LIMIT = 1 << 30
"""Bytes above which a volume that is cut across its slices goes to a temporary file."""

_FEW = 4
"""Slices of files that a cut may touch without the whole volume being gathered for it."""


@dataclass(frozen=True)
class Values:
    """How stored values become real ones."""

    factor: float = 1.0
    """On top of each frame's own slope and intercept: SUV."""
    inverted: bool = False
    """MONOCHROME1 without a physical unit: shown as the viewer shows it, bright for much."""
    outside: float = 0.0
    """Value of what no slice covers."""


class DicomVolume(Image):
    """One scalar volume out of DICOM frames.

    A slice is read, unpacked and rescaled by its own slope and intercept when it is asked for;
    :data:`MEMORY` bytes of slices are kept. Only when the volume is cut across its slices (a
    sagittal acquisition that is worked on in axial planes) is it gathered once, in its own type.

    Args:
        dicom: the frames behind it, for writers that refer to them.
    """

    def __init__(self, stack: Stack, info: ImageInfo, dicom: DicomSource, values: Values) -> None:
        self.grid = stack.grid
        self.info = info
        self.dicom = dicom
        self.channels = 1
        self.label_names: dict[int, str] = {}
        self.dtype = _dtype(stack, values)
        self._stack: Stack | None = stack
        self._values = values
        self._kept: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self._gathered: NDArray[Any] | None = None
        self._lock = threading.Lock()
        self._gathering = threading.Lock()

    def read(
        self, region: Region | None = None, *, size: tuple[int, ...] | None = None
    ) -> NDArray[Any]:
        """``(1, z, y, x)`` of ``region``; with ``size`` the nearest voxels are taken.

        Raises:
            InputError: a file that was moved, or is damaged; it is named.
        """
        if self._stack is None:
            raise InputError(f"{self.info.source}: the image was closed: open it again")
        region = region if region is not None else self.grid.region
        picks = [
            np.arange(a, b) if size is None else a + nearest_indices(b - a, n)
            for a, b, n in zip(region.start, region.stop, size or region.shape, strict=True)
        ]
        if self._cuts_across(region):
            return np.array(self._whole()[np.ix_(*picks)], order="C")[None]
        block = np.empty([len(p) for p in picks], dtype=self.dtype)
        for out, z in zip(block, picks[0], strict=True):
            out[:] = self._slice(int(z))[np.ix_(picks[1], picks[2])]
        return block[None]

    def __enter__(self) -> Self:
        return self

    def close(self) -> None:
        self._stack = None
        self._gathered = None
        self._kept.clear()

    def _cuts_across(self, region: Region) -> bool:
        """Thin in the plane of the slices, deep across them: every file for a few rows."""
        if self._gathered is not None:
            return True
        deep, rows, columns = region.shape
        return deep > _FEW and 4 * min(rows, columns) < deep and region != self.grid.region

    def _whole(self) -> NDArray[Any]:
        with self._gathering:
            if self._gathered is None:
                shape, kind = self.grid.shape, self.dtype
                if int(np.prod(shape)) * kind.itemsize > MEMORY_LIMIT:
                    with tempfile.TemporaryFile(prefix="samovar-") as file:
                        whole: NDArray[Any] = np.memmap(file, kind, "w+", 0, shape)
                else:
                    whole = np.empty(shape, dtype=kind)
                for z in range(shape[0]):
                    whole[z] = self._slice(z)
                self._gathered = whole
                with self._lock:
                    self._kept.clear()
            return self._gathered

    def _slice(self, z: int) -> NDArray[Any]:
        with self._lock:
            if z in self._kept:
                self._kept.move_to_end(z)
                return self._kept[z]
        made = self._make(z)
        with self._lock:
            self._kept[z] = made
            while len(self._kept) > 1 and made.nbytes * len(self._kept) > MEMORY:
                self._kept.popitem(last=False)
        return made

    def _make(self, z: int) -> NDArray[Any]:
        stack = self._stack
        assert stack is not None
        exact = stack.exact(z)
        if exact is not None:
            return self._cast(self._real(exact))
        total = sum(part.weight * self._moved(part) for part in stack.slices[z])
        return self._cast(np.asarray(total))

    def _real(self, index: int) -> NDArray[Any]:
        """A frame's real values: integers where no rescaling needs more, else float64."""
        stack = self._stack
        assert stack is not None
        frame = stack.frames[index]
        stored = stored_values(self.info.source, frame)
        if self._values.inverted:
            low, high = value_range(frame) or (float(stored.min()), float(stored.max()))
            stored = (low + high) - stored.astype(np.int64 if stored.dtype.kind in "ui" else float)
        if self.dtype.kind in "ui":
            return stored.astype(np.int64) + round(frame.intercept)
        real = stored.astype(np.float64) * frame.slope + frame.intercept
        return np.asarray(real * self._values.factor)

    def _moved(self, part: Part) -> NDArray[np.float64]:
        """A frame on the grid's plane, moved by parts of a pixel; bilinear."""
        real = self._real(part.frame).astype(np.float64)
        if part.shift == (0.0, 0.0) and real.shape == self.grid.shape[1:]:
            return real
        outside = self._values.outside
        out = np.full(self.grid.shape[1:], outside, dtype=np.float64)
        (x, fx), (y, fy) = (divmod(v, 1.0) for v in part.shift)
        padded = np.pad(real, 1, constant_values=outside)
        mixed = padded[:, 1:] * (1 - fx) + padded[:, :-1] * fx
        mixed = mixed[1:] * (1 - fy) + mixed[:-1] * fy
        rows = min(mixed.shape[0], out.shape[0] - int(y))
        columns = min(mixed.shape[1], out.shape[1] - int(x))
        out[int(y) : int(y) + rows, int(x) : int(x) + columns] = mixed[:rows, :columns]
        return out

    def _cast(self, real: NDArray[Any]) -> NDArray[Any]:
        if self.dtype.kind in "ui" and real.dtype.kind == "f":
            real = np.rint(real)
        return real.astype(self.dtype)


def _dtype(stack: Stack, values: Values) -> np.dtype[Any]:
    """The smallest integer that holds all values, where whole numbers stay whole; else float32."""
    ranges = [value_range(f) for f in stack.frames]
    whole = values.factor == 1.0 and all(
        f.slope == 1.0 and f.intercept == round(f.intercept) for f in stack.frames
    )
    if not whole or None in ranges:
        return np.dtype(np.float32)
    pairs = [(r[0] + f.intercept, r[1] + f.intercept)
             for r, f in zip(ranges, stack.frames, strict=True) if r is not None]  # fmt: skip
    low, high = min(p[0] for p in pairs), max(p[1] for p in pairs)
    for kind in (np.uint8, np.int16, np.uint16, np.int32):
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return np.dtype(kind)
    return np.dtype(np.float32)
