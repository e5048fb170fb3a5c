"""Volumes: surface agreement in millimetres, and answers put back in order."""

import numpy as np

from samovar.evaluation.volumes import answers_of, stretched
from samovar.grid import Grid
from samovar.image import ArrayImage
from samovar.masks import PixelMask
from samovar.objects import Objects, SegmentedObject


def cube(shape, low, high) -> PixelMask:
    full = np.zeros(shape, dtype=bool)
    full[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return PixelMask.of(full)


def test_answers_come_in_the_order_of_the_questions():
    mask = cube((6, 6, 6), (1, 1, 1), (3, 3, 3))
    found = SegmentedObject.from_mask(3, mask)
    nothing = SegmentedObject.from_mask(1, PixelMask.of(np.zeros((6, 6, 6), dtype=bool)))
    answers = answers_of(Objects(Grid((6, 6, 6), np.eye(4)), (found, nothing)), [1, 2, 3])
    assert [a.empty for a in answers] == [True, True, False]
    assert answers[2].region == mask.region


def test_stretch_for_references_spans_the_range():
    pixels = np.linspace(-1000, 3000, 6 * 8 * 10).reshape(6, 8, 10).astype(np.int16)
    grey = stretched(ArrayImage(pixels))
    assert grey.shape == (3, 6, 8, 10)
    assert grey.min() == 0
    assert grey.max() == 255
