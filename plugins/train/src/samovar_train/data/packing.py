"""Everything that is trained on, packed once into two memory-mapped files.

A pack is a folder: `pixels.bin` (uint8), `index.json` (where each item lies) and nothing else. An
item has an image `(H, W)` or `(H, W, 3)`, a label image `(H, W)` uint8 or uint16 that numbers its
objects from 1, and a table of those objects (class, area in pixels, bounds y0, x0, y1, x1).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

MIN_AREA = 24  # pixels; smaller components are speckle
MAX_OBJECTS = 400


@dataclass
class Item:
    """One picture with its numbered objects. `kind` is "real", "synthetic" or "pseudo"."""

    source: str
    stem: str
    image: NDArray[np.uint8]
    labels: NDArray[Any]
    objects: list[tuple[int, int, int, int, int, int]]  # class, area, y0, x0, y1, x1
    domain: str = "medical"
    kind: str = "real"


def number_objects(
    classes: NDArray[Any], instances: bool = False
) -> tuple[NDArray[Any], list[tuple[int, int, int, int, int, int]]]:
    """Class (or instance) map → objects numbered from 1, and their table.

    Objects are 4-connected components of one class of at least 24 px, largest first, at most 400;
    with `instances` every value is one object of class 1.
    """
    found: list[tuple[int, int, NDArray[np.bool_], tuple[slice, slice]]] = []
    for value in np.unique(classes):
        if value == 0:
            continue
        mask = classes == value
        parts, count = (mask.astype(np.int32), 1) if instances else ndimage.label(mask)
        for i, window in enumerate(ndimage.find_objects(parts), start=1):
            if window is None or i > count:
                continue
            part = parts[window] == i
            area = int(part.sum())
            if area >= MIN_AREA:
                found.append((area, 1 if instances else int(value), part, window))
    found.sort(key=lambda f: -f[0])
    found = found[:MAX_OBJECTS]
    labels = np.zeros(classes.shape, np.uint8 if len(found) < 256 else np.uint16)
    table = []
    for number, (area, value, part, (ys, xs)) in enumerate(found, start=1):
        labels[ys, xs][part] = number
        table.append((value, area, ys.start, xs.start, ys.stop, xs.stop))
    return labels, table


def to_uint8(array: NDArray[Any], low: float = 0.5, high: float = 99.5) -> NDArray[np.uint8]:
    """Stretch between two percentiles of the non-zero values to 0-255."""
    values = array[array != 0]
    if values.size == 0:
        return np.zeros(array.shape, np.uint8)
    a, b = np.percentile(values, [low, high])
    return (np.clip((array - min(a, 0.0)) / max(b - min(a, 0.0), 1e-6), 0, 1) * 255).astype(
        np.uint8
    )


def write_pack(folder: Path, items: Iterable[Item], about: dict[str, Any]) -> int:
    """Write items one after the other; returns how many. `about` is kept in the index."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    offset = 0
    with (folder / "pixels.bin").open("wb") as out:
        for item in items:
            if not item.objects:
                continue
            row = {
                "source": item.source,
                "stem": item.stem,
                "domain": item.domain,
                "kind": item.kind,
                "shape": list(item.image.shape),
                "image": offset,
                "labels": offset + item.image.nbytes,
                "wide": item.labels.dtype == np.uint16,
                "objects": item.objects,
            }
            out.write(np.ascontiguousarray(item.image).tobytes())
            out.write(np.ascontiguousarray(item.labels).tobytes())
            size = item.image.nbytes + item.labels.nbytes
            pad = -size % 16
            out.write(b"\0" * pad)
            offset += size + pad
            rows.append(row)
    part = folder / "index.json.part"
    part.write_text(json.dumps({"about": about, "items": rows}))
    part.replace(folder / "index.json")
    return len(rows)


class Pack:
    """Read access to a pack; cheap to open, shared by processes through the page cache."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        index = json.loads((self.folder / "index.json").read_text())
        self.about: dict[str, Any] = index["about"]
        self.rows: list[dict[str, Any]] = index["items"]
        self.pixels = np.memmap(self.folder / "pixels.bin", np.uint8, mode="r")

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Item]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> Item:
        row = self.rows[i]
        shape = tuple(row["shape"])
        size = int(np.prod(shape))
        image = self.pixels[row["image"] : row["image"] + size].reshape(shape)
        count = shape[0] * shape[1] * (2 if row["wide"] else 1)
        raw = self.pixels[row["labels"] : row["labels"] + count]
        labels = raw.view(np.uint16 if row["wide"] else np.uint8).reshape(shape[:2])
        objects = [tuple(o) for o in row["objects"]]
        return Item(
            row["source"],
            row["stem"],
            image,
            labels,
            objects,
            row["domain"],
            row["kind"],  # type: ignore[arg-type]
        )
