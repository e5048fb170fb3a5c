"""Prompts: what a person or a generator says about the objects to be found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from samovar.errors import PromptError
from samovar.grid import LPS_FROM_RAS, Grid
from samovar.masks import LowRes, PixelMask

Space = Literal["index", "world", "ras"]


@dataclass(frozen=True, eq=False)
class Prompt:
    """Everything that is said about one object.

    Coordinates are x, y[, z]. ``box`` is ``x0, y0[, z0], x1, y1[, z1]``, max exclusive, in index
    coordinates whose integers are pixel centres; ``points`` are positions.
    """

    id: int
    """Number of the object, from 1; the label it gets."""
    name: str = ""
    box: tuple[float, ...] | None = None
    points: tuple[tuple[float, ...], ...] = ()
    labels: tuple[int, ...] = ()
    """One a point: 1 the object, 0 not the object."""
    mask: LowRes | None = None
    """``(h, w)`` logits in the decoder's mask frame (see ``Decoder.mask_prompt``), or what it
    answered before (``Masks.low_res[i]``)."""
    sparse: NDArray[np.float32] | None = None
    """``(k, channels)`` learned prompt tokens, added to those of points and boxes."""
    dense: NDArray[np.float32] | None = None
    """``(channels, h, w)`` learned dense prompt, in place of that of the mask."""
    key_boxes: tuple[tuple[float, ...], ...] = ()
    """Further boxes of the same object of a volume, each one slice thick: its key slices."""
    painted: tuple[PixelMask, ...] = ()
    """The object's pixels on single slices of a volume as a person drew them, in image indices."""
    anchor: int | None = None
    """Slice that its 3-D box was found to be followed from, when corrections are added to it."""
    class_id: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Carried over to the output's table (columns of a vector file, say)."""

    def __post_init__(self) -> None:
        if len(self.points) != len(self.labels):
            raise PromptError(
                f"object {self.id}: {len(self.points)} points but {len(self.labels)} labels"
            )

    @property
    def boxes(self) -> tuple[tuple[float, ...], ...]:
        """Every box of the object: the first and those of further key slices."""
        return self.key_boxes if self.box is None else (self.box, *self.key_boxes)

    @property
    def empty(self) -> bool:
        return (
            not self.boxes
            and not self.painted
            and not self.points
            and self.mask is None
            and self.sparse is None
            and self.dense is None
        )

    @property
    def kinds(self) -> frozenset[str]:
        """``box``, ``point``, ``negative-point``, ``mask``, ``sparse``, ``dense``."""
        found = {
            "box": bool(self.boxes),
            "point": 1 in self.labels,
            "negative-point": 0 in self.labels,
            "mask": self.mask is not None,
            "sparse": self.sparse is not None,
            "dense": self.dense is not None,
        }
        return frozenset(kind for kind, there in found.items() if there)


@dataclass(frozen=True, eq=False)
class Prompts:
    """Prompts of numbered objects, all in one space.

    ``space`` is ``"index"`` (of the image, or of a view's picture once a plan has cut it),
    ``"world"`` (LPS mm or the raster's CRS) or ``"ras"`` (RAS mm).
    """

    objects: tuple[Prompt, ...] = ()
    space: Space = "index"

    def __len__(self) -> int:
        return len(self.objects)

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self.objects)

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset().union(*(p.kinds for p in self.objects))

    def by_id(self) -> dict[int, Prompt]:
        """The prompts by the number of their object."""
        return dict(self._by_id)

    def of(self, ids: Iterable[int]) -> list[Prompt]:
        """The prompts of some objects, in the order of ``ids``."""
        return [self._by_id[id] for id in ids]

    @cached_property
    def _by_id(self) -> dict[int, Prompt]:
        return {p.id: p for p in self.objects}

    def to_index(self, grid: Grid) -> Prompts:
        """The same prompts in index coordinates of ``grid``.

        Raises:
            PromptError: world coordinates were given for an image that has none.
        """
        if self.space == "index":
            return self
        if grid.frame.kind == "index":
            raise PromptError(
                "world coordinates were given but the image has no CRS and no millimetres: "
                "give index coordinates, or assign a CRS to the file first"
            )
        if self.space == "ras" and grid.frame.kind != "lps":
            raise PromptError("RAS coordinates belong to volumes; a raster takes those of its CRS")
        return Prompts(tuple(self._to_index(p, grid) for p in self.objects), "index")

    def _to_index(self, prompt: Prompt, grid: Grid) -> Prompt:
        n = grid.ndim
        flip = np.diag(LPS_FROM_RAS)[:n] if self.space == "ras" else np.ones(n)
        boxes = []
        for box in prompt.boxes:
            if len(box) != 2 * n:
                raise PromptError(
                    f"{describe(prompt)}: a world box of this image has {2 * n} numbers, "
                    f"not {len(box)}"
                )
            corners = np.array([box[:n], box[n:]], dtype=np.float64) * flip
            low, high = corners.min(axis=0), corners.max(axis=0)
            boxes.append(grid.box_to_index([*low, *high]))
        points = []
        for point in prompt.points:
            if len(point) != n:
                raise PromptError(
                    f"{describe(prompt)}: a world point of this image has {n} numbers, "
                    f"not {len(point)}"
                )
            points.append(tuple(float(v) for v in grid.to_index(np.array(point) * flip)))
        first = next(iter(boxes), None)
        return replace(prompt, box=first, key_boxes=tuple(boxes[1:]), points=tuple(points))

    def check(self, grid: Grid) -> None:
        """Refuse what cannot be meant.

        Raises:
            PromptError: NaN, inverted or empty boxes, the wrong count of numbers, boxes that do
                not touch the image, points outside it, an object without any positive prompt.
        """
        if not self.objects:
            raise PromptError("no prompt was given: add --box, --point, --prompts or --auto")
        size = np.array(grid.shape[::-1], dtype=np.float64)
        for prompt in self.objects:
            for box in prompt.boxes:
                _check_box(prompt, box, size)
            _check_key_slices(prompt, grid)
            for point in prompt.points:
                _check_point(prompt, point, size)
            if prompt.kinds <= {"negative-point"} and not prompt.painted:
                raise PromptError(
                    f"{describe(prompt)} has only negative points: add a box or a positive point"
                )


def describe(prompt: Prompt) -> str:
    return f"object {prompt.id}" + (f" ({prompt.name})" if prompt.name else "")


def _numbers(values: Iterable[float]) -> str:
    return ",".join(f"{v:g}" for v in values)


def _check_box(prompt: Prompt, box: tuple[float, ...], size: NDArray[np.float64]) -> None:
    n = len(size)
    who = f"{describe(prompt)}: box {_numbers(box)}"
    if len(box) not in (4, 2 * n):
        wanted = "4 numbers x0,y0,x1,y1" if n == 2 else "6 numbers x0,y0,z0,x1,y1,z1"
        raise PromptError(f"{who} has {len(box)} numbers, this image takes {wanted}")
    if len(box) == 4 and n == 3:
        raise PromptError(
            f"{who} has 4 numbers, this volume takes 6: x0,y0,z0,x1,y1,z1 (z max exclusive)"
        )
    low, high = np.array(box[:n]), np.array(box[n:])
    if not np.isfinite([*low, *high]).all():
        raise PromptError(f"{who} holds NaN or infinity: give finite numbers")
    if (high <= low).any():
        raise PromptError(f"{who} is inverted or empty: each max must exceed its min")
    if (high <= 0).any() or (low >= size).any():
        raise PromptError(
            f"{who} lies outside the image, which spans 0…{_numbers(size)} (x,y{',z' * (n - 2)})"
        )


def _check_key_slices(prompt: Prompt, grid: Grid) -> None:
    if grid.ndim == 2 and (prompt.key_boxes or prompt.painted):
        raise PromptError(
            f"{describe(prompt)} has several boxes, or something painted on slices: that is for "
            "volumes, give every object of this image one box"
        )
    for mask in prompt.painted:
        if len(mask.region.start) != 3 or not grid.region.contains(mask.region) or mask.empty:
            raise PromptError(f"{describe(prompt)}: what is painted is empty or lies outside")


def _check_point(prompt: Prompt, point: tuple[float, ...], size: NDArray[np.float64]) -> None:
    who = f"{describe(prompt)}: point {_numbers(point)}"
    if len(point) != len(size):
        raise PromptError(f"{who} has {len(point)} numbers, this image takes {len(size)}")
    if not np.isfinite(point).all():
        raise PromptError(f"{who} holds NaN or infinity: give finite numbers")
    if (np.array(point) < -0.5).any() or (np.array(point) > size - 0.5).any():
        raise PromptError(f"{who} lies outside the image, which spans 0…{_numbers(size - 1)}")
