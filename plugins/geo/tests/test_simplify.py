"""Random scenes of touching, nested and overlapping objects, simplified, stay what they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from samovar.masks import PixelMask
from samovar.objects import SegmentedObject
from samovar_geo.borders import Neighbourhood
from samovar_geo.outlines import outline
from samovar_geo.regularize import regularize
from samovar_geo.simplify import refine_shape
from samovar_geo.spool import Spool


def refined(masks, tolerance, folder, pixel=(1.0, 1.0)):
    """Original and refined shapes of objects given as masks."""
    spool = Spool(Path(folder) / "out.gpkg")
    shapes = []
    for i, mask in enumerate(masks):
        item = SegmentedObject.from_mask(i + 1, PixelMask.of(mask))
        shapes.append(outline(item))
        spool.add(item.region, shapes[-1], {})
    around = Neighbourhood(spool)
    done = [refine_shape(k.shape, *around.around(k), tolerance, pixel) for k in spool]
    spool.close()
    assert not (Path(folder) / "out.gpkg.spool").exists()
    return shapes, done


def scene(seed: int, side: int, kinds: int, roughness: float) -> list[np.ndarray]:
    """A map of ``kinds`` classes without gaps, and background, as connected pieces."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.random((kinds, side, side)), (0, roughness, roughness))
    classes = field.argmax(axis=0)
    masks = []
    for kind in range(1, kinds):
        labels, count = ndimage.label(classes == kind)
        masks += [labels == i + 1 for i in range(count)]
    return masks


def check_coverage(before, after, tolerance):
    for one, other in zip(before, after, strict=True):
        assert other.is_valid, shapely.is_valid_reason(other)
        assert other.area > 0
        assert len(other.geoms) == len(one.geoms)
        assert [len(p.interiors) for p in other.geoms] == [len(p.interiors) for p in one.geoms]
        assert shapely.hausdorff_distance(one, other) <= max(tolerance * 2, 1.5)
    for i, one in enumerate(after):
        for other in after[i + 1 :]:
            if one.intersects(other):
                assert one.intersection(other).area < 1e-9


@settings(max_examples=40, deadline=None, database=None)
@given(
    st.integers(0, 10**6), st.integers(4, 40), st.integers(2, 5),
    st.sampled_from([0.3, 1.0, 2.5]), st.sampled_from([0.4, 0.8, 1.5, 4.0]),
)  # fmt: skip
def test_neighbours_stay_neighbours(seed, side, kinds, roughness, tolerance):
    """Valid, no overlap, no gap: the union's area is lost or won only at its outer border."""
    import tempfile

    masks = scene(seed, side, kinds, roughness)
    if not masks or len(masks) > 60:
        return
    with tempfile.TemporaryDirectory() as folder:
        before, after = refined(masks, tolerance, folder)
    check_coverage(before, after, tolerance)
    # what was covered by two neighbours' common border has no hole: holes of the union are as many
    union_before, union_after = shapely.union_all(before), shapely.union_all(after)
    holes = [sum(len(p.interiors) for p in shapely.get_parts(u) if p.geom_type == "Polygon")
             for u in (union_before, union_after)]  # fmt: skip
    assert holes[0] == holes[1]


def test_a_border_is_the_same_line_from_both_sides(tmp_path):
    rows = np.arange(60)[:, None]
    wave = 30 + np.round(8 * np.sin(rows / 7)).astype(int)
    left = np.arange(60)[None] < wave
    before, (a, b) = refined([left, ~left], 1.2, tmp_path)
    assert shapely.get_num_coordinates(a) < shapely.get_num_coordinates(before[0]) / 2
    shared = a.intersection(b)
    assert shared.length > 55
    assert a.union(b).area == pytest.approx(3600, abs=1e-9)
    assert a.intersection(b).area == 0


def test_three_meet_in_a_point(tmp_path):
    """A vertex where a neighbour's border begins, on an edge that is straight by itself."""
    masks = np.zeros((3, 20, 20), dtype=bool)
    masks[0, :10] = masks[1, 10:, :7] = masks[2, 10:, 7:] = True
    _, (top, *_) = refined(masks, 0.0, tmp_path)
    assert (7.0, 10.0) in {tuple(p) for p in shapely.get_coordinates(top)}


def test_an_island_in_a_hole_keeps_its_border(tmp_path):
    yy, xx = np.mgrid[:50, :50]
    disc = (yy - 25) ** 2 + (xx - 25) ** 2 < 200
    _, (ring, island) = refined([~disc, disc], 1.0, tmp_path)
    assert ring.union(island).area == pytest.approx(2500, abs=1e-9)


def test_small_things_do_not_vanish(tmp_path):
    masks = np.zeros((2, 9, 9), dtype=bool)
    masks[0, 2, 2] = True
    masks[1, 5:7, 5:8] = True
    _, after = refined(masks, 50.0, tmp_path)
    assert [shape.area for shape in after] == [1, 6]


@pytest.mark.parametrize("angle", [0, 13, 30, 44, 45, 71])
def test_a_house_gets_its_right_angles(angle, turned_house):
    mask, truth = turned_house(angle)
    made = regularize(outline(SegmentedObject.from_mask(1, PixelMask.of(mask))), 1.5, (1.0, 1.0))
    assert made is not None
    (part,) = made.geoms
    points = shapely.get_coordinates(part.exterior)
    assert len(points) == 7
    steps = np.diff(points, axis=0)
    turns = np.sum(steps * np.roll(steps, -1, axis=0), axis=1)
    assert np.abs(turns).max() < 1e-6 * np.abs(steps).max() ** 2
    assert made.intersection(truth).area / made.union(truth).area > 0.93


def test_what_is_round_stays_round():
    yy, xx = np.mgrid[:60, :60]
    disc = (yy - 30) ** 2 + (xx - 30) ** 2 < 500
    assert (
        regularize(outline(SegmentedObject.from_mask(1, PixelMask.of(disc))), 1.5, (1, 1)) is None
    )


def test_pixels_need_not_be_square(turned_house):
    """Right angles are those of the ground: a pixel of a geographic raster is no square."""
    mask, _ = turned_house(30, 180)
    narrow = mask[:, ::2]
    made = regularize(outline(SegmentedObject.from_mask(1, PixelMask.of(narrow))), 1.5, (2.0, 1.0))
    points = shapely.get_coordinates(made.geoms[0].exterior) * (2.0, 1.0)
    steps = np.diff(points, axis=0)
    turns = np.sum(steps * np.roll(steps, -1, axis=0), axis=1)
    assert np.abs(turns).max() < 1e-6 * np.abs(steps).max() ** 2


def test_touching(tmp_path):
    spool = Spool(tmp_path / "o.fgb")
    masks = np.zeros((3, 20, 20), dtype=bool)
    masks[0, 2:8, 2:8] = masks[1, 2:8, 8:12] = masks[2, 14:18, 2:8] = True
    for i, mask in enumerate(masks):
        item = SegmentedObject.from_mask(i + 1, PixelMask.of(mask))
        spool.add(item.region, outline(item), {})
    around = Neighbourhood(spool)
    assert [round(around.shared(k), 3) for k in spool] == [0.25, 0.3, 0.0]
    spool.close()
