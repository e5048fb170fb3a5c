"""Image: lazy pixels on a Grid."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from samovar.grid import Frame, Grid, Region

if TYPE_CHECKING:
    from samovar.masks import PixelMask
    from samovar.objects import SegmentedObject

Domain = Literal["volume", "raster", "picture"]


@dataclass(frozen=True)
class ImageInfo:
    """What a file says of itself, beside its pixels and its grid."""

    source: str
    """Path or URL as the user gave it."""
    domain: Domain
    format: str
    """Name of the format that opened it."""
    modality: str | None = None
    """``ct``, ``mr``, … when the metadata says so, else None."""
    channel_names: tuple[str, ...] = ()
    nodata: float | None = None
    native: Mapping[str, Any] = field(default_factory=dict)
    """Whatever the format's own writer needs to give the geometry back bit by bit."""


@dataclass(frozen=True)
class Opened:
    """What :func:`samovar.formats.open_image` was given."""

    path: str
    reader: str
    """Canonical name of the format that opened it."""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Blocks:
    """How the pixels of a 2-D image lie in its file: a block is read whole or not at all."""

    shape: tuple[float, float]
    """Rows and columns of a block, in pixels of the grid."""
    nbytes: int
    """Of one block in memory, all that is read with it included."""


class Image(ABC):
    """Pixels that are read when asked for.

    A subclass sets ``grid`` and ``info`` and implements :meth:`read`. Reading must be possible
    from several threads at once.
    """

    grid: Grid
    info: ImageInfo
    channels: int
    dtype: np.dtype[Any]
    origin: tuple[int, ...] | None = None
    """Of a part cut out of a larger image: where its first pixel lies in the larger one, in array
    order. Tiles are laid from the larger one's first pixel, so that a part has the same tiles."""
    opened: Opened | None = None
    """How to open it again, elsewhere; None for images that were not opened by a format."""
    stretch: str | None = None
    """How its reader was asked to stretch values (:mod:`samovar.stretch`); None: by modality."""
    label_names: Mapping[int, str] = MappingProxyType({})
    """Names of label values, where the file states them."""
    blocks: Blocks | None = None
    """How the file is divided; None where it does not matter in which order it is read."""

    @abstractmethod
    def read(
        self, region: Region | None = None, *, size: tuple[int, ...] | None = None
    ) -> NDArray[Any]:
        """Pixels of ``region`` (default: everything), and only of it.

        Args:
            region: block in array order; it must lie within the grid.
            size: the array's wanted shape without channels, for a decimated read (area average
                or nearest overview, as the format can); default: the region's own shape.

        Returns:
            ``(channels, *region.shape)`` or ``(channels, *size)``, in the file's real values
            (rescale slope and intercept applied), any dtype.
        """

    def valid(
        self, region: Region | None = None, *, size: tuple[int, ...] | None = None
    ) -> NDArray[np.bool_] | None:
        """Which pixels of ``region`` hold data, shaped as in :meth:`read` without channels.

        None when every pixel does. Nodata, alpha and dataset masks are honoured here.
        """
        return None

    def blank(self, region: Region) -> bool:
        """Whether it is known, without reading a pixel, that none of ``region`` holds data.

        False when in doubt. What is blank is never read, and nobody looks at it.
        """
        return False

    def wanted(self, mask: PixelMask) -> bool:
        """Whether an object was asked for: False for one wholly outside an area of interest."""
        return True

    @property
    def shown(self) -> Region:
        """The part of the grid that was asked for; the rest is there for its neighbours' sake."""
        return self.grid.region

    def sample(self) -> NDArray[Any] | None:
        """``(channels, n)`` valid values from all over the image, for percentiles.

        None: the host reads it coarsely itself. A part of a larger image answers for the whole.
        """
        return None

    def keep_blocks(self, nbytes: int) -> None:  # noqa: B027 - most images keep no blocks
        """Remember so many bytes of blocks that were read: neighbouring tiles share them."""

    def measure(self, segmented: SegmentedObject) -> dict[str, float]:
        """Size of an object in real units, by column name, in the order of the table."""
        pixels = segmented.pixels
        if self.grid.frame.kind == "lps":
            return {"voxels": pixels, "volume_ml": pixels * self.grid.pixel_measure / 1000.0}
        return {"pixels": pixels}

    def close(self) -> None:  # noqa: B027 - most images have nothing to release
        """Release files. Reading afterwards is an error."""

    def __enter__(self) -> Image:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class ArrayImage(Image):
    """An image that is already in memory.

    Args:
        pixels: ``(y, x)`` or ``(z, y, x)``; with ``channels_last=True`` one more axis at the end.
        grid: its grid; default: index coordinates.
        info: default: a picture (2-D) or volume (3-D) without a name.
        valid: pixels that hold data, shaped as the grid.
    """

    def __init__(
        self,
        pixels: NDArray[Any],
        grid: Grid | None = None,
        info: ImageInfo | None = None,
        *,
        channels_last: bool = False,
        valid: NDArray[np.bool_] | None = None,
    ) -> None:
        planes = np.moveaxis(pixels, -1, 0) if channels_last else pixels[None]
        shape = planes.shape[1:]
        frame = Frame.index()
        self.grid = grid if grid is not None else Grid(shape, np.eye(len(shape) + 1), frame)
        if self.grid.shape != shape:
            raise ValueError(f"pixels have shape {shape}, the grid has {self.grid.shape}")
        domain: Domain = "volume" if len(shape) == 3 else "picture"
        self.info = info if info is not None else ImageInfo("array", domain, "array")
        self.channels = int(planes.shape[0])
        self.dtype = planes.dtype
        self._planes = planes
        self._valid = valid

    def read(
        self, region: Region | None = None, *, size: tuple[int, ...] | None = None
    ) -> NDArray[Any]:
        block = self._planes[(slice(None), *(region or self.grid.region).slices)]
        if size is None or size == block.shape[1:]:
            return block
        picks: Any = (slice(None), *_nearest(block.shape[1:], size))
        return np.asarray(block[picks])

    def valid(
        self, region: Region | None = None, *, size: tuple[int, ...] | None = None
    ) -> NDArray[np.bool_] | None:
        if self._valid is None:
            return None
        block = self._valid[(region or self.grid.region).slices]
        if size is None or size == block.shape:
            return block
        picks: Any = _nearest(block.shape, size)
        return np.asarray(block[picks])


def _nearest(shape: tuple[int, ...], size: tuple[int, ...]) -> tuple[NDArray[np.intp], ...]:
    centres = [
        np.minimum(((np.arange(n) + 0.5) * old / n).astype(np.intp), old - 1)
        for old, n in zip(shape, size, strict=True)
    ]
    return tuple(np.ix_(*centres))


def output_stem(path: str | Path) -> str:
    """File name without its suffixes, ``.nii.gz`` counting as one."""
    name = Path(path).name
    for double in (".nii.gz", ".seg.nrrd", ".nrrd.gz"):
        if name.lower().endswith(double):
            return name[: -len(double)]
    return Path(name).stem
