from __future__ import annotations

import numpy as np
import pytest
import shapely

from samovar.grid import Grid, Region
from samovar.objects import SegmentedObject
from samovar_geo.outlines import outline


def one(build_objects, mask):
    return build_objects(Grid(np.shape(mask), np.eye(3)), mask).items[0]


def test_one_pixel_is_its_square(build_objects):
    mask = np.zeros((5, 7), dtype=bool)
    mask[2, 4] = True
    assert outline(one(build_objects, mask)).equals(shapely.box(4, 2, 5, 3))


def test_holes_are_kept(build_objects):
    mask = np.ones((6, 6), dtype=bool)
    mask[2:4, 2:4] = False
    shape = outline(one(build_objects, mask))
    assert len(shape.geoms[0].interiors) == 1
    assert shape.area == 32


def test_corner_contact_gives_parts(build_objects):
    shape = outline(one(build_objects, np.eye(3, dtype=bool)))
    assert len(shape.geoms) == 3
    assert shape.is_valid


def test_holes_that_touch_at_a_corner(build_objects):
    mask = np.ones((4, 4), dtype=bool)
    mask[1, 1] = mask[2, 2] = False
    shape = outline(one(build_objects, mask))
    assert shape.is_valid
    assert shape.area == 14


@pytest.mark.parametrize("seed", range(20))
def test_random_masks_are_valid_and_exact(seed, build_objects):
    mask = np.random.default_rng(seed).random((17, 23)) < 0.1 + 0.04 * seed
    shape = outline(one(build_objects, mask))
    assert shape.is_valid
    assert shape.area == mask.sum()
    rows, columns = np.nonzero(mask)
    assert shapely.contains_xy(shape, columns + 0.5, rows + 0.5).all()


def test_empty_object():
    nothing = SegmentedObject(1, Region((0, 0), (0, 0)), b"")
    assert outline(nothing).is_empty
