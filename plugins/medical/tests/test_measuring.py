"""Measures of bodies that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest

from samovar.grid import Frame, Grid
from samovar.image import ArrayImage, ImageInfo
from samovar.masks import PixelMask
from samovar.objects import SegmentedObject
from samovar_medical import measuring
from samovar_medical.measuring import COLUMNS, diameters, measure

CT = ImageInfo("ct", "volume", "array", modality="ct")


def image_of(values, affine):
    return ArrayImage(values, Grid(values.shape, affine, Frame.lps()), CT)


def item(mask):
    return SegmentedObject.from_mask(1, PixelMask.of(mask))


def ellipsoid(shape, spacing, radii, turn=0.0):
    z, y, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    x, y, z = x * spacing[0], y * spacing[1], z * spacing[2]
    c, s = np.cos(turn), np.sin(turn)
    u, v = c * x + s * y, -s * x + c * y
    return (u / radii[0]) ** 2 + (v / radii[1]) ** 2 + (z / radii[2]) ** 2 < 1


@pytest.mark.parametrize("turn", [0.0, 0.4, 1.3])
def test_an_ellipsoid(turn):
    spacing, radii = (0.5, 0.5, 1.0), (20.0, 10.0, 15.0)
    mask = ellipsoid((40, 90, 90), spacing, radii, turn)
    row = measure(item(mask), image_of(np.zeros(mask.shape, np.int16), np.diag([*spacing, 1.0])))
    assert row["volume_ml"] == pytest.approx(4 / 3 * np.pi * np.prod(radii) / 1000, rel=0.01)
    assert row["longest_mm"] == pytest.approx(40, abs=0.7)
    assert row["perpendicular_mm"] == pytest.approx(20, abs=0.9)
    assert row["longest_3d_mm"] == pytest.approx(40, abs=0.9)
    assert row["extent_is_mm"] == pytest.approx(30, abs=1.0)
    width = 2 * np.hypot(20 * np.cos(turn), 10 * np.sin(turn))
    assert row["extent_rl_mm"] == pytest.approx(width, abs=0.7)


def test_a_diagonal_rod_is_longest_in_space():
    mask = np.zeros((20, 20, 20), dtype=bool)
    mask[np.arange(20), np.arange(20), np.arange(20)] = True
    row = measure(item(mask), image_of(np.zeros(mask.shape), np.eye(4)))
    assert row["longest_mm"] == pytest.approx(1.0)
    assert row["longest_3d_mm"] == pytest.approx(19 * 3**0.5, abs=1.0)


def test_a_box_in_any_orientation(geometry):
    """All 48: the patient's axes decide, not the array's."""
    spacing = geometry.SPACING
    mask = np.zeros(geometry.SHAPE, dtype=bool)
    mask[1:4, 2:6, 3:8] = True
    values = np.random.default_rng(0).integers(-100, 300, mask.shape).astype(np.int16)
    base = geometry.reference_affine(oblique=False)
    wanted = None
    for order, flips in geometry.ORIENTATIONS:
        stored, affine = geometry.reoriented(mask, base, order, flips)
        pixels, _ = geometry.reoriented(values, base, order, flips)
        row = measure(item(stored), image_of(pixels, affine))
        row.pop("longest_slice")
        assert [row[c] for c in COLUMNS[2:5]] == pytest.approx(np.array([5, 4, 3]) * spacing)
        wanted = wanted or row
        assert row == pytest.approx(wanted), (order, flips)
    assert wanted["mean"] == pytest.approx(values[mask].mean())
    assert wanted["std"] == pytest.approx(values[mask].std())
    assert wanted["unit"] == "HU"
    centre = base[:3, :3] @ [5, 3.5, 2] + base[:3, 3]
    assert [wanted[c] for c in COLUMNS[-3:]] == pytest.approx(centre)


def test_a_turned_box_reaches_further_along_the_patients_axes(geometry):
    mask = np.ones((3, 4, 5), dtype=bool)
    affine = geometry.reference_affine()
    row = measure(item(mask), image_of(np.zeros(mask.shape), affine))
    corners = np.array(np.meshgrid([-0.5, 4.5], [-0.5, 3.5], [-0.5, 2.5])).reshape(3, -1)
    world = affine[:3, :3] @ corners
    assert [row[c] for c in COLUMNS[2:5]] == pytest.approx(np.ptp(world, axis=1))


def test_one_voxel():
    mask = np.zeros((5, 6, 7), dtype=bool)
    mask[3, 4, 5] = True
    image = image_of(np.arange(210.0).reshape(5, 6, 7), np.diag([0.8, 0.8, 1.2, 1]))
    row = measure(item(mask), image)
    assert (row["longest_mm"], row["perpendicular_mm"]) == pytest.approx((0.8, 0.8))
    assert row["longest_slice"] == 3
    assert row["mean"] == 3 * 42 + 4 * 7 + 5
    assert row["std"] == 0


def test_what_was_not_found_has_no_measures():
    image = image_of(np.zeros((2, 3, 4)), np.eye(4))
    row = measure(item(np.zeros((2, 3, 4), dtype=bool)), image)
    assert row.pop("voxels") == 0
    assert row.pop("volume_ml") == 0
    assert set(row.values()) == {None}


def test_the_ends_of_the_diameter_lie_on_the_object():
    mask = ellipsoid((11, 60, 80), (1, 1, 3), (30, 12, 15), 0.5)
    grid = Grid(mask.shape, np.diag([1.0, 1, 3, 1]), Frame.lps())
    found = diameters(item(mask), grid)
    for x, y, z in found.ends:
        assert mask[round(z)][round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2].any()
    length = np.linalg.norm(grid.to_world(found.ends[0]) - grid.to_world(found.ends[1]))
    assert length == pytest.approx(found.longest)
    along, across = (np.subtract(*map(grid.to_world, e)) for e in (found.ends, found.across))
    assert abs(along @ across) < 1e-9


def test_intensities_slab_by_slab(monkeypatch):
    monkeypatch.setattr("samovar_medical.volume._SLAB_VOXELS", 50)
    values = np.random.default_rng(1).normal(40_000, 3, (30, 8, 9))
    mask = np.random.default_rng(2).random(values.shape) < 0.3
    row = measuring.measure(item(mask), image_of(values, np.eye(4)))
    assert row["mean"] == pytest.approx(values[mask].mean(), rel=1e-12)
    assert row["std"] == pytest.approx(values[mask].std(), rel=1e-6)
