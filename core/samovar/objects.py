"""Objects: the result. A label image and a table, from one list of masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from samovar.errors import OutputError
from samovar.grid import Grid, Region
from samovar.identity import name_of
from samovar.masks import PixelMask
from samovar.prompts import Prompt

if TYPE_CHECKING:
    from samovar.image import Image


_ONES = np.array([bin(i).count("1") for i in range(256)], dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class SegmentedObject:
    """One object found. Its mask is kept bit-packed inside its bounding region."""

    id: int
    """Number: that of its prompt, or counted. Its value in label images."""
    region: Region
    """Bounds in array order; empty when nothing was found."""
    bits: bytes
    name: str = ""
    class_id: int = 0
    score: float = 0.0
    """Predicted IoU, 0…1 (mean over the views that saw the object)."""
    uncertainty: float = 1.0
    prompt: Prompt | None = None
    views: tuple[str, ...] = ()
    """Keys of the views that it was seen in."""
    measures: Mapping[str, float] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    review: str = "unreviewed"
    key: str = ""
    """``id`` in the tables of 2-D results: a name made of its pixels (:mod:`samovar.identity`),
    the same whatever the extent; empty where it was not named."""

    @classmethod
    def from_mask(cls, id: int, mask: PixelMask, **fields: Any) -> SegmentedObject:
        return cls(id, mask.region, np.packbits(mask.inside).tobytes(), **fields)

    @classmethod
    def from_slices(
        cls,
        id: int,
        axis: int,
        slices: Mapping[int, tuple[Region, Callable[[], PixelMask]]],
        **fields: Any,
    ) -> SegmentedObject:
        """An object of a volume from its masks on slices, unpacked one at a time.

        Args:
            axis: array axis of the slices.
            slices: by index: the bounds on the slice, and what gives the 2-D mask.
        """
        if not slices:
            return cls(id, Region((0, 0, 0), (0, 0, 0)), b"", **fields)
        flat = [region for region, _ in slices.values()]
        start = [min(r.start[i] for r in flat) for i in (0, 1)]
        stop = [max(r.stop[i] for r in flat) for i in (0, 1)]
        start.insert(axis, min(slices))
        stop.insert(axis, max(slices) + 1)
        region = Region(tuple(start), tuple(stop))
        # eight planes are whole bytes, wherever they begin
        depth = 8 if axis == 0 else region.shape[0]
        bits = []
        for first in range(region.start[0], region.stop[0], depth):
            last = min(first + depth, region.stop[0])
            part = Region((first, *region.start[1:]), (last, *region.stop[1:]))
            bits.append(np.packbits(_drawn(part, axis, slices)).tobytes())
        return cls(id, region, b"".join(bits), **fields)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Boolean array shaped as ``region``."""
        return self._planes(0, self.region.shape[0])

    @property
    def pixels(self) -> int:
        return int(_ONES[np.frombuffer(self.bits, dtype=np.uint8)].sum(dtype=np.int64))

    @property
    def empty(self) -> bool:
        return self.region.empty

    def window(self, region: Region) -> NDArray[np.bool_]:
        """The mask inside ``region``, shaped as it; False beyond the object's bounds."""
        inside = np.zeros(region.shape, dtype=bool)
        common = self.region.intersect(region)
        if not common.empty:
            planes, *rest = common.within(self.region)
            inside[common.within(region)] = self._planes(planes.start, planes.stop)[:, *rest]
        return inside

    def _planes(self, start: int, stop: int) -> NDArray[np.bool_]:
        """The mask of some indices of the first axis; nothing else is unpacked."""
        shape = (stop - start, *self.region.shape[1:])
        size = int(np.prod(shape[1:]))
        first, last = start * size, stop * size
        whole = first // 8
        packed = np.frombuffer(self.bits, dtype=np.uint8)[whole : -(-last // 8)]
        flat = np.unpackbits(packed)[first - 8 * whole : last - 8 * whole]
        return flat.view(np.bool_).reshape(shape)

    def pieces(self) -> Iterator[PixelMask]:
        """Masks that share no pixel and together are the object: one, or many of a large one.

        Whoever walks an object piece by piece needs no more memory for a river than for a roof.
        """
        if not self.empty:
            yield PixelMask(self.region, self.mask)


def _drawn(
    part: Region, axis: int, slices: Mapping[int, tuple[Region, Callable[[], PixelMask]]]
) -> NDArray[np.bool_]:
    """What slices show of one block of a volume."""
    inside = np.zeros(part.shape, dtype=bool)
    rows, columns = (v for a, v in enumerate(part.start) if a != axis)
    for position in range(part.start[axis], part.stop[axis]):
        if position in slices:
            mask = slices[position][1]()
            place = np.moveaxis(inside, axis, 0)[position - part.start[axis]]
            place[mask.region.shift((-rows, -columns)).slices] = mask.inside
    return inside


@dataclass(frozen=True, eq=False)
class Objects:
    """Every object of one image, and where it came from.

    ``provenance`` is the manifest (JSON-able): versions, weights hash, runtime, prompts, geometry.
    """

    grid: Grid
    items: tuple[SegmentedObject, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    image: Image | None = None
    """The image that was segmented; writers take its geometry."""

    def save(self, path: str | Path, **options: Any) -> None:
        """Write in the format of the suffix, atomically, in the image's own space.

        Raises:
            OutputError: nobody writes the suffix, or the folder is missing or read-only.
        """
        from samovar.formats import write_objects

        if self.image is None:
            raise OutputError("these objects have no image: call samovar.formats.write_objects")
        write_objects(self, str(path), self.image, **options)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[SegmentedObject]:
        return iter(self.items)

    @property
    def label_dtype(self) -> np.dtype[Any]:
        """Smallest unsigned integer that holds every id: 300 objects do not overflow."""
        highest = max((o.id for o in self.items), default=0)
        return np.dtype(np.min_scalar_type(max(highest, 1)))

    def labels(self, region: Region | None = None) -> NDArray[np.unsignedinteger[Any]]:
        """Label image of ``region`` (default: everything), array order, 0 = background.

        Where objects overlap the smaller one shows: a lesion in its organ, and the organ itself
        where the mask of a neighbour leaks into it. Of equally large ones the higher score does.
        """
        region = region if region is not None else self.grid.region
        image = np.zeros(region.shape, dtype=self.label_dtype)
        for item in self.largest_first():
            common = item.region.intersect(region)
            if common.empty:
                continue
            image[common.within(region)][item.window(common)] = item.id
        return image

    def largest_first(self) -> list[SegmentedObject]:
        """The order of painting: what comes later covers what came before."""
        return sorted(self.items, key=lambda o: (-o.pixels, o.score, -o.id))

    def table(self) -> list[dict[str, Any]]:
        """One row an object: id, label, name, class, score, uncertainty, sizes, bounds, attributes.

        ``label`` is the value in label images. ``id`` is made of the object's pixels, and None
        where none was found; in volumes, whose label images are the result, it is the label.
        Bounds are index coordinates ``x0, y0[, z0], x1, y1[, z1]``, max exclusive.
        """
        return [
            {
                "id": self._identity(o),
                "label": o.id,
                "name": o.name,
                "class": o.class_id,
                "score": round(o.score, 4),
                "uncertainty": round(o.uncertainty, 4),
                **o.measures,
                "bounds": [*o.region.start[::-1], *o.region.stop[::-1]],
                **o.attributes,
            }
            for o in self.items
        ]

    def _identity(self, item: SegmentedObject) -> str | int | None:
        if self.grid.ndim == 3:
            return item.id
        origin = None if self.image is None else self.image.origin
        return item.key or name_of(item, origin) or None
