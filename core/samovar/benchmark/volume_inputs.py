"""Inputs of the volume benchmark: volume V where the sample data are, and generated volumes."""

from __future__ import annotations

import gzip
import json
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from samovar.benchmark.measure import BenchmarkError
from samovar.formats import open_image

_ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class VolumeV:
    """The shared load: a CT of 64 × 512² and 13 boxes of 35 slices, places rather than anatomy."""

    path: Path
    boxes: list[list[float]]


def volume_v() -> VolumeV:
    """Raises BenchmarkError where the sample data are not."""
    data = Path(os.environ.get("SAMOVAR_SHARED", _ROOT.parent / "shared")) / "data"
    record = data / "bench" / "volume_v.json"
    if not record.is_file():
        raise BenchmarkError(f"no sample data in {data}: set SAMOVAR_SHARED to measure volume V")
    found = json.loads(record.read_text(encoding="utf-8"))
    return VolumeV(data / found["volume"], found["boxes"])


def write_prompts(boxes: list[list[float]], path: Path) -> Path:
    """Boxes as a prompt file."""
    objects = [{"name": f"object {i}", "box": box} for i, box in enumerate(boxes, start=1)]
    path.write_text(json.dumps({"space": "index", "objects": objects}), encoding="utf-8")
    return path


def write_first_slices(source: Path, count: int, path: Path) -> Path:
    """The first slices of a volume as a small study of their own."""
    with open_image(str(source)) as image:
        block = image.read()[0][:count].astype(np.int16)
        spacing = image.grid.spacing
    return write_nifti(lambda z: block[z], (count, *block.shape[1:]), spacing, path)


def write_large(path: Path, count: int = 300, side: int = 512) -> tuple[Path, list[list[float]]]:
    """A body with 13 tubes through ``count`` slices, and their boxes."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    body = np.hypot((y - side / 2) / 0.8, x - side / 2) < side * 0.45
    grain = np.random.default_rng(0).integers(-12, 12, (side, side), dtype=np.int16)
    centres = [(150 + 60 * (i // 4), 130 + 70 * (i % 4)) for i in range(13)]

    def plane(z: int) -> NDArray[np.int16]:
        values = np.where(body, np.int16(30), np.int16(-1000)) + np.roll(grain, 7 * z, axis=1)
        for i, (cy, cx) in enumerate(centres):
            r = 12 + i + 4 * np.sin(z / 20 + i)
            values[(y - cy) ** 2 + (x - cx) ** 2 <= r * r] += np.int16(110)
        return np.asarray(values, dtype=np.int16)

    reach = [17 + i for i in range(13)]
    boxes = [
        [float(v) for v in (cx - r, cy - r, 0, cx + r + 1, cy + r + 1, count)]
        for (cy, cx), r in zip(centres, reach, strict=True)
    ]
    return write_nifti(plane, (count, side, side), (0.8, 0.8, 1.0), path), boxes


def write_many(path: Path, objects: int = 260) -> tuple[Path, list[list[float]]]:
    """A slab with a lattice of bright balls, and a box round each."""
    across, pitch, radius, depth = 18, 28, 8, 24
    rows = -(-objects // across)
    side = pitch * across
    y, x = np.mgrid[:side, :side].astype(np.float32)
    grain = np.random.default_rng(0).integers(-12, 12, (side, side), dtype=np.int16)
    centres = [
        (pitch * (i // across) + pitch // 2 + (side - pitch * rows) // 2,
         pitch * (i % across) + pitch // 2)
        for i in range(objects)
    ]  # fmt: skip
    near = np.full((side, side), np.inf, dtype=np.float32)
    for cy, cx in centres:
        block = np.s_[cy - radius : cy + radius + 1, cx - radius : cx + radius + 1]
        near[block] = np.minimum(near[block], np.hypot(y[block] - cy, x[block] - cx))

    def plane(z: int) -> NDArray[np.int16]:
        inside = near**2 + (z - depth / 2) ** 2 <= radius**2
        values = np.where(inside, np.int16(160), np.int16(0)) + grain
        return np.asarray(values, dtype=np.int16)

    low, high = depth // 2 - radius, depth // 2 + radius + 1
    boxes = [
        [float(v) for v in (cx - radius, cy - radius, low, cx + radius + 1, cy + radius + 1, high)]
        for cy, cx in centres
    ]
    return write_nifti(plane, (depth, side, side), (0.8, 0.8, 2.0), path), boxes


def write_nifti(
    plane: Callable[[int], NDArray[np.int16]],
    shape: tuple[int, int, int],
    spacing: tuple[float, ...],
    path: Path,
) -> Path:
    """An int16 ``.nii.gz`` in scanner coordinates, plane by plane."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, 1, *spacing, 0, 0, 0, 0)
    struct.pack_into("<f", header, 108, 352)
    struct.pack_into("<ff", header, 112, 1, 0)
    header[123] = 2
    struct.pack_into("<hh", header, 252, 0, 1)
    for row, step in enumerate(spacing):
        struct.pack_into("<4f", header, 280 + 16 * row, *(step * (row == c) for c in range(4)))
    header[344:348] = b"n+1\0"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(bytes(header))
        for z in range(shape[0]):
            file.write(np.ascontiguousarray(plane(z), dtype="<i2").tobytes())
    return path
