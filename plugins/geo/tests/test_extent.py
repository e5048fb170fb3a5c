"""What is found in a part is what a run over everything finds there, object for object."""

from __future__ import annotations

import numpy as np
import pytest

from samovar.benchmark.tile_work import Oracle
from samovar.formats import open_image
from samovar.grid import Region
from samovar.intensity import choose_intensity
from samovar.job import Job
from samovar.pipeline import segment_image


def found(image):
    oracle = Oracle()
    intensity = choose_intensity(image, "gray")
    return segment_image(Job(image, oracle, intensity, None, oracle))


@pytest.mark.parametrize("seed", range(2))
def test_the_extent_changes_nothing(seed, make_raster):
    rng = np.random.default_rng(seed)
    scene = np.zeros((2600, 2600), np.uint8)
    for y, x, h, w in rng.integers((0, 0, 4, 4), (2540, 2540, 30, 30), (1500, 4)):
        scene[y : y + h, x : x + w] = 200
    path = make_raster(scene)
    top, left, bottom, right = 1210, 1190, 1420, 1450
    west, north = 733600 + 0.5 * left, 3725140 - 0.5 * top
    east, south = 733600 + 0.5 * right, 3725140 - 0.5 * bottom
    with open_image(path) as whole, open_image(path, bbox=f"{west},{south},{east},{north}") as part:
        assert part.origin is not None
        everything, there = found(whole), found(part)
    box = Region((top, left), (bottom, right))
    inside = {o.key for o in everything if o.window(box).any()}
    assert len(inside) > 5
    assert {o.key for o in there} == inside
    assert all(o.key for o in there)
