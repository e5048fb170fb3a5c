"""Objects as a run leaves them, for tests of writers: prompted, scored, with a record."""

from __future__ import annotations

import numpy as np

from samovar.grid import Region
from samovar.masks import PixelMask
from samovar.objects import SegmentedObject
from samovar.prompts import Prompt

RECORD = {
    "samovar": "0.1.0",
    "model": {
        "name": "samovar-laptop/tiny", "version": "0.1.0", "weights_sha256": "ab" * 32,
        "runtime": {"name": "onnxruntime", "precision": "fp32"},
    },
    "prompts": [{"id": 1}],
}  # fmt: skip


def found(id: int, mask: np.ndarray, name: str, **fields: object) -> SegmentedObject:
    """A prompted object; ``prompt=None`` for one that was proposed."""
    prompt = Prompt(id, name, points=((1.0, 1.0, 1.0),), labels=(1,))
    given = {"prompt": prompt, "score": 0.9, **fields}
    return SegmentedObject.from_mask(id, PixelMask.of(mask), name=name, **given)


def not_found(id: int, name: str) -> SegmentedObject:
    return SegmentedObject(id, Region((0, 0, 0), (0, 0, 0)), b"", name=name)


def values(shape: tuple[int, ...] = (6, 7, 9), seed: int = 0) -> np.ndarray:
    """CT-like noise, int16."""
    return np.random.default_rng(seed).integers(-1000, 1500, shape).astype(np.int16)


def organ_and_lesion(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Two blocks of at least 6 × 7 × 9 voxels, one in the other."""
    organ = np.zeros(shape, dtype=bool)
    organ[1:5, 1:6, 2:8] = True
    lesion = np.zeros(shape, dtype=bool)
    lesion[2:4, 3:5, 4:7] = True
    return organ, lesion
