"""One volume stored along other axes: which index is which."""

from __future__ import annotations

import numpy as np
import pytest

from samovar.errors import GeometryError
from samovar.grid import Frame, Grid
from samovar.image import ArrayImage, ImageInfo
from samovar_medical.same_voxels import same_voxels


def test_all_48_orders_and_directions(geometry):
    base = geometry.reference_affine()
    labels = np.random.default_rng(0).integers(0, 9, geometry.SHAPE)
    grid = Grid(labels.shape, base, Frame.lps())
    image = ArrayImage(labels, grid, ImageInfo("ct", "volume", "array"))
    for order, flips in geometry.ORIENTATIONS:
        stored, affine = geometry.reoriented(labels, base, order, flips)
        own = Grid(stored.shape, affine, Frame.lps())
        turn = same_voxels("labels", own, image)
        assert np.array_equal(turn.array(stored), labels), (order, flips)
        index = np.array([[0.0, 0, 0], [1, 2, 3]])
        assert np.allclose(grid.to_world(turn.points(index)), own.to_world(index))


@pytest.mark.parametrize(
    ("place", "value", "word"),
    [((0, 3), 0.5, r"0\.5 mm off"), ((0, 0), 0.1, "mm off"), ((2, 1), 0.3, "mm off")],
)
def test_another_place_is_refused(geometry, place, value, word):
    base = geometry.reference_affine(oblique=False)
    grid = Grid(geometry.SHAPE, base, Frame.lps())
    image = ArrayImage(np.zeros(grid.shape), grid, ImageInfo("ct", "volume", "array"))
    other = base.copy()
    other[place] += value
    with pytest.raises(GeometryError, match=word):
        same_voxels("labels", Grid(geometry.SHAPE, other, Frame.lps()), image)
