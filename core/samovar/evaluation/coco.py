"""COCO: object annotations and detections in its JSON format, read without pycocotools.

A pixel belongs to a polygon whose inside holds its centre; pycocotools has another rule for single
pixels of an edge. Run-length masks, packed or not, are exact. Crowd regions are kept apart: they
count neither as hit nor as miss.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.errors import InputError
from samovar.masks import PixelMask


@dataclass(frozen=True, eq=False)
class Annotation:
    """One true object."""

    class_id: int
    mask: PixelMask
    crowd: bool = False


@dataclass(frozen=True)
class Detection:
    """One box of a detector: x0, y0, x1, y1 in pixels, maximum exclusive."""

    class_id: int
    box: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True, eq=False)
class CocoImage:
    """A picture of the file; its annotations are decoded when asked for."""

    id: int
    file: Path
    shape: tuple[int, int]
    """Rows, columns."""
    records: Sequence[Mapping[str, Any]] = ()

    def annotations(self) -> list[Annotation]:
        """Largest first. Raises InputError for a segmentation that cannot be read."""
        found = []
        for record in self.records:
            try:
                inside = decode(record["segmentation"], self.shape)
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise InputError(
                    f"{self.file.name}: annotation {record.get('id')} cannot be read ({error})"
                ) from error
            if inside.any():
                crowd = bool(record.get("iscrowd", 0))
                found.append(Annotation(int(record["category_id"]), PixelMask.of(inside), crowd))
        return sorted(found, key=lambda a: -int(a.mask.inside.sum()))


@dataclass(frozen=True, eq=False)
class CocoSet:
    """Pictures with their objects, and the names of the classes."""

    images: tuple[CocoImage, ...]
    classes: Mapping[int, str]


def read_coco(file: Path, images: Path | None = None) -> CocoSet:
    """Annotations of a COCO JSON; pictures without any are left out.

    Args:
        file: the annotations.
        images: folder of the pictures; None: the file's own, or ``images`` beside it.

    Raises:
        InputError: not such a file, or a picture is missing.
    """
    document = _read(file)
    if not isinstance(document, dict) or not {"images", "annotations"} <= set(document):
        raise InputError(f"{file} is no COCO file: images and annotations are missing")
    by_image: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for record in document["annotations"]:
        by_image[record.get("image_id")].append(record)
    found = []
    for record in document["images"]:
        own = by_image.get(record.get("id"), [])
        if own:
            place = _picture(file, images, str(record.get("file_name")))
            shape = int(record["height"]), int(record["width"])
            found.append(CocoImage(int(record["id"]), place, shape, tuple(own)))
    names = {int(c["id"]): str(c["name"]) for c in document.get("categories", [])}
    return CocoSet(tuple(found), names)


def is_coco(file: Path) -> bool:
    """Whether a JSON file holds COCO annotations; a samovar manifest does not."""
    if file.suffix.lower() != ".json" or not file.is_file():
        return False
    with file.open(encoding="utf-8", errors="replace") as stream:
        head = stream.read(1 << 20)
    return '"annotations"' in head or '"images"' in head


def read_detections(file: Path) -> dict[int, list[Detection]]:
    """A detector's results (``image_id, category_id, bbox, score``) by picture, best first.

    Raises:
        InputError: not such a file.
    """
    document = _read(file)
    if not isinstance(document, list):
        raise InputError(f"{file} is no COCO results file: a list is expected")
    found: dict[int, list[Detection]] = defaultdict(list)
    try:
        for record in document:
            x, y, width, height = (float(v) for v in record["bbox"])
            box = (x, y, x + width, y + height)
            own = Detection(int(record["category_id"]), box, float(record["score"]))
            found[int(record["image_id"])].append(own)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file}: a result lacks a field or has a wrong one ({error})") from error
    return {key: sorted(own, key=lambda d: -d.score) for key, own in found.items()}


def decode(segmentation: Any, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Polygons or run lengths → ``(rows, columns)``. Raises ValueError, TypeError or KeyError."""
    if isinstance(segmentation, list):
        inside = np.zeros(shape, dtype=bool)
        for polygon in segmentation:
            inside |= _filled(np.array(polygon, dtype=np.float64).reshape(-1, 2), shape)
        return inside
    counts = segmentation["counts"]
    runs = list(_unpacked(counts)) if isinstance(counts, str) else [int(v) for v in counts]
    if tuple(segmentation["size"]) != tuple(shape) or sum(runs) != shape[0] * shape[1]:
        raise ValueError("its runs do not fill the picture")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(shape, order="F")


def _filled(points: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centres lie within a polygon (even-odd rule); x, y, pixel i covers i … i+1."""
    inside = np.zeros(shape, dtype=bool)
    x0, y0 = points.T
    x1, y1 = np.roll(points, -1, axis=0).T
    first = max(0, int(np.floor(y0.min() - 0.5)))
    for row in range(first, min(shape[0], int(np.ceil(y0.max() + 0.5)))):
        centre = row + 0.5
        cut = (y0 <= centre) != (y1 <= centre)
        crossings = x0[cut] + (centre - y0[cut]) / (y1[cut] - y0[cut]) * (x1[cut] - x0[cut])
        ends = np.clip(np.ceil(np.sort(crossings) - 0.5), 0, shape[1]).astype(int)
        for start, stop in zip(ends[::2], ends[1::2], strict=True):
            inside[row, start:stop] = True
    return inside


def _unpacked(text: str) -> Iterator[int]:
    """COCO's packed run lengths: groups of five bits; from the third on, differences."""
    runs: list[int] = []
    at = 0
    while at < len(text):
        value = shift = 0
        more = True
        while more:
            byte = ord(text[at]) - 48
            value |= (byte & 0x1F) << shift
            more = bool(byte & 0x20)
            at += 1
            shift += 5
            if not more and byte & 0x10:
                value |= -1 << shift
        if len(runs) > 2:
            value += runs[-2]
        runs.append(value)
        yield value


def _picture(file: Path, folder: Path | None, name: str) -> Path:
    places = [folder] if folder is not None else [file.parent, file.parent / "images"]
    for place in places:
        if (place / name).is_file():
            return place / name
    tried = " nor ".join(map(str, places))
    raise InputError(f"{file}: its picture {name} is not in {tried}: add --images FOLDER")


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as JSON: {error}") from error
