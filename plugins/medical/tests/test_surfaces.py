"""Surfaces are closed, look outwards, and have the size of what they enclose."""

from __future__ import annotations

import numpy as np
import pytest

from samovar.grid import Frame, Grid
from samovar.masks import PixelMask
from samovar.objects import SegmentedObject
from samovar_medical import surfaces
from samovar_medical.surfaces import surface_of


def item(mask, offset=(0, 0, 0)):
    return SegmentedObject.from_mask(1, PixelMask.of(mask, offset))


def sharing(surface):
    """How many triangles meet at an edge, for all edges."""
    f = surface.faces
    edges = np.sort(np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]]), axis=1)
    return np.unique(np.unique(edges, axis=0, return_counts=True)[1])


def ball(radius, spacing, shape=(40, 60, 60)):
    z, y, x = (np.arange(n) - n / 2 for n in shape)
    sx, sy, sz = spacing
    return ((x * sx) ** 2 + ((y * sy) ** 2)[:, None] + ((z * sz) ** 2)[:, None, None]) < radius**2


@pytest.mark.parametrize("flip", [1, -1])
def test_a_ball(geometry, flip):
    spacing = (0.8, 0.8, 1.2)
    mask = ball(20, spacing)
    affine = np.eye(4)
    affine[:3, :3] = geometry.rotation(5) * np.array(spacing) * [flip, 1, 1]
    grid = Grid(mask.shape, affine, Frame.lps())
    found = surface_of(item(mask), grid)
    assert list(sharing(found)) == [2]
    assert found.volume == pytest.approx(mask.sum() * grid.pixel_measure, rel=0.005)
    # the steps of voxels make a round surface some 9 % larger
    assert 1.05 < found.area / (4 * np.pi * 400) < 1.12
    centre = grid.to_world(np.argwhere(mask).mean(axis=0)[::-1])
    assert found.vertices.mean(axis=0) == pytest.approx(centre, abs=0.1)


def test_a_box_has_its_faces():
    mask = np.zeros((30, 40, 50), dtype=bool)
    mask[5:25, 5:35, 5:45] = True
    found = surface_of(item(mask), Grid(mask.shape, np.diag([1.0, 2, 3, 1]), Frame.lps()))
    size = np.array([40 * 1, 30 * 2, 20 * 3])
    faces = 2 * (size[0] * size[1] + size[1] * size[2] + size[0] * size[2])
    # marching cubes bevels the edges
    assert found.area == pytest.approx(faces, rel=0.03)
    assert found.area < faces
    low, high = found.vertices.min(axis=0), found.vertices.max(axis=0)
    assert high - low == pytest.approx(size)


@pytest.mark.parametrize("seed", range(6))
def test_runs_of_slices_are_sewn_together(monkeypatch, seed):
    mask = np.random.default_rng(seed).random((9, 8, 7)) < 0.4
    grid = Grid(mask.shape, np.eye(4), Frame.lps())
    whole = surface_of(item(mask), grid)
    monkeypatch.setattr(surfaces, "_VOXELS", 200)
    parts = surface_of(item(mask), grid)
    assert np.array_equal(whole.vertices, parts.vertices)
    assert parts.area == pytest.approx(whole.area)
    # sheets that touch share an edge twice over
    assert set(sharing(parts)) <= {2, 4}
    assert parts.volume > 0


def test_one_voxel_keeps_its_place():
    mask = np.ones((1, 1, 1), dtype=bool)
    grid = Grid((9, 9, 9), np.eye(4), Frame.lps())
    found = surface_of(item(mask, (2, 3, 4)), grid)
    assert found.vertices.mean(axis=0) == pytest.approx([4, 3, 2])
    assert list(sharing(found)) == [2]
