"""Memory of a segmented volume: masks are bits, labels are slabs, nothing is a float volume.

``tracemalloc`` sees every array that numpy allocates, however short it lives.
"""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from oracle import OracleModel
from samovar.cache import EmbeddingCache
from samovar.formats import open_image, write_all
from samovar.grid import Frame, Grid
from samovar.image import ArrayImage, ImageInfo
from samovar.intensity import choose_intensity
from samovar.job import Job
from samovar.objects import Objects
from samovar.pipeline import segment_image
from samovar.prompts import Prompt, Prompts

pytest.importorskip("samovar_medical")

DEPTH, SIDE = 48, 256
FLOATS = DEPTH * SIDE * SIDE * 4
"""Bytes of one float32 array of the whole volume."""
WINDOW = ("L127.5W255",)


def columns(count: int) -> tuple[ArrayImage, Prompts]:
    """Objects that run through the whole volume, side by side: number ``i`` has grey ``i``."""
    values = np.zeros((DEPTH, SIDE, SIDE), dtype=np.uint8)
    prompts = []
    for i in range(count):
        y, x = 2 + 36 * (i // 7), 2 + 36 * (i % 7)
        values[:, y : y + 30, x : x + 20] = i + 1
        prompts.append(Prompt(i + 1, box=(x, y, 0, x + 20, y + 30, DEPTH)))
    info = ImageInfo("volume", "volume", "array", "gray")
    grid = Grid(values.shape, np.diag([1.0, 1.0, 2.0, 1.0]), Frame.lps())
    return ArrayImage(values, grid, info), Prompts(tuple(prompts))


def segment(count: int, folder: Path) -> Objects:
    image, prompts = columns(count)
    job = Job(
        image, OracleModel(), choose_intensity(image, "gray", WINDOW), prompts,
        cache=EmbeddingCache(memory=0, disk=0),
    )  # fmt: skip
    objects = Objects(image.grid, segment_image(job), {}, image)
    write_all(objects, [folder / name for name in ("o.nii.gz", "o.nrrd", "o.csv")], image)
    return objects


def peak(count: int, folder: Path) -> int:
    """Bytes at the worst moment of segmenting and writing, beyond those of the volume itself."""
    gc.collect()
    tracemalloc.start()
    try:
        objects = segment(count, folder)
        assert len(objects) == count
        assert all(o.pixels == DEPTH * 600 for o in objects)
        return tracemalloc.get_traced_memory()[1] - FLOATS // 4
    finally:
        tracemalloc.stop()


@pytest.fixture
def warm(tmp_path) -> Path:
    """Everything that is imported once has been."""
    segment(1, tmp_path)
    return tmp_path


def test_a_float_volume_would_be_seen():
    """Otherwise the tests below could not fail."""
    tracemalloc.start()
    try:
        array = np.zeros((DEPTH, SIDE, SIDE), dtype=np.float32)
        array += 1
        assert tracemalloc.get_traced_memory()[1] >= FLOATS
    finally:
        tracemalloc.stop()


def test_no_array_of_floats_has_the_size_of_the_volume(warm):
    """Not even for a moment: a dozen objects, segmented and written, stay below one of them."""
    assert peak(12, warm) < 0.9 * FLOATS


def test_an_object_more_costs_a_small_part_of_a_float_volume(warm):
    """Of every object, masks of all slices are kept, as bits; floats only of the slice at work."""
    few, many = peak(4, warm), peak(32, warm)
    assert (many - few) / 28 < 0.05 * FLOATS


def test_300_objects_keep_their_numbers(tmp_path):
    """From prompts to the written file, whatever 8 bits hold."""
    values = np.zeros((4, 60, 60), dtype=np.uint8)
    prompts = []
    for i in range(300):
        y, x = 2 * (i // 20), 3 * (i % 20)
        values[1:3, y, x : x + 2] = 200
        prompts.append(Prompt(i + 1, box=(x, y, 1, x + 2, y + 1, 3)))
    info = ImageInfo("volume", "volume", "array", "gray")
    image = ArrayImage(values, Grid(values.shape, np.eye(4), Frame.lps()), info)
    job = Job(
        image, OracleModel(), choose_intensity(image, "gray", WINDOW), Prompts(tuple(prompts))
    )
    objects = Objects(image.grid, segment_image(job), {}, image)
    for name in ("o.nii.gz", "o.nrrd", "o.mha"):
        objects.save(tmp_path / name)
        with open_image(tmp_path / name) as written:
            labels = written.read()[0]
            assert written.dtype.itemsize >= 2
        assert np.array_equal(np.unique(labels), np.arange(301))
        assert all((labels[1:3, 2 * (i // 20), 3 * (i % 20)] == i + 1).all() for i in range(300))
