"""Scenes: the same whatever the block, exact outlines, right angles, edges without gaps."""

from __future__ import annotations

import numpy as np
import pytest

from samovar_datasets.ground import Ground
from samovar_datasets.houses import Houses
from samovar_datasets.painting import Block
from samovar_datasets.scenes import TILE, Scene
from samovar_datasets.spectra import MATERIALS, band_names, spectrum, to_pixels

SCENE = Scene(1, (700, 600), 0.4)


def test_a_seed_is_a_place():
    again, other = Scene(1, (700, 600), 0.4), Scene(2, (700, 600), 0.4)
    place = (20, 150, 100, 90)
    assert np.array_equal(SCENE.read(*place), again.read(*place))
    assert not np.array_equal(SCENE.read(*place), other.read(*place))


def test_pixels_do_not_depend_on_blocks():
    whole = SCENE.read(0, 0, 700, 600)
    labels = SCENE.labels(0, 0, 700, 600)
    fresh = Scene(1, (700, 600), 0.4)
    for row, column, rows, columns in ((0, 0, 300, 600), (251, 13, 77, 402), (699, 599, 1, 1)):
        part = np.s_[row : row + rows, column : column + columns]
        assert np.array_equal(fresh.read(row, column, rows, columns), whole[:, *part])
        assert np.array_equal(fresh.labels(row, column, rows, columns), labels[part])


def test_there_are_no_seams_between_tiles():
    """A block painted across a tile's border agrees with the two tiles painted apart."""
    ground = Ground(1)
    u = (np.arange(TILE - 64, TILE + 64)[None, :] + 0.5) * 0.4
    v = (np.arange(300, 428)[:, None] + 0.5) * 0.4
    houses = Houses(ground)
    blocks = [
        Block(ground, houses, part, v, 0.4, 3, (-2.0, 0.8)) for part in (u, u[:, :64], u[:, 64:])
    ]
    for block in blocks:
        block.paint()
    both = np.concatenate([blocks[1].pixels, blocks[2].pixels], axis=2)
    np.testing.assert_allclose(blocks[0].pixels, both, atol=1e-5)
    classes = np.concatenate([blocks[1].classes, blocks[2].classes], axis=1)
    assert np.array_equal(blocks[0].classes, classes)


def test_the_same_place_at_another_pixel_size():
    near = Scene(1, (256, 256), 0.25, nodata="none").read(0, 0, 256, 256).astype(float)
    far = Scene(1, (128, 128), 0.5, nodata="none").read(0, 0, 128, 128).astype(float)
    mean = near.reshape(3, 128, 2, 128, 2).mean(axis=(2, 4))
    assert np.corrcoef(mean.ravel(), far.ravel())[0, 1] > 0.95


def test_buildings_have_right_angles():
    outlines = [t.outline for t in SCENE.truth() if t.kind == "building"]
    assert len(outlines) > 20
    corners = {len(o) for o in outlines}
    assert corners == {4, 6}
    for outline in outlines:
        sides = np.roll(outline, -1, axis=0) - outline
        sides /= np.linalg.norm(sides, axis=1, keepdims=True)
        turn = np.abs((sides * np.roll(sides, -1, axis=0)).sum(axis=1))
        assert turn.max() < 1e-4


def test_labels_are_the_outlines():
    shapely = pytest.importorskip("shapely")
    labels = SCENE.labels(0, 0, 700, 600)
    classes = SCENE.classes(0, 0, 700, 600)
    rows, columns = np.mgrid[0:700, 0:600] + 0.5
    checked = set()
    for thing in SCENE.truth():
        inside = shapely.contains_xy(shapely.Polygon(thing.outline), columns, rows)
        mine = labels == thing.id
        if thing.kind == "building":
            assert np.array_equal(mine, inside & SCENE.valid(0, 0, 700, 600)), thing.id
        elif thing.kind == "field":
            # only a neighbour's road may take a pixel at the corner of a field
            assert not (mine & ~inside).any()
            assert (inside & ~mine & (classes != 3)).sum() <= 2 + (
                inside & ~SCENE.valid(0, 0, 700, 600)
            ).sum()
        checked.add(thing.id)
    assert set(np.unique(labels)) - {0} <= checked


def test_fields_that_touch_leave_no_gap():
    shapely = pytest.importorskip("shapely")
    wide = Scene(5, (1200, 1200), 0.5, nodata="none")
    fields = [shapely.Polygon(t.outline) for t in wide.truth() if t.kind == "field"]
    shared = 0
    for i, a in enumerate(fields):
        for b in fields[:i]:
            assert a.intersection(b).area < 1e-3
            line = a.buffer(1e-4).intersection(b)
            if (
                line.area > 0
                and a.distance(b) < 1e-4
                and a.intersection(b.buffer(1e-4)).length > 20
            ):
                shared += 1
                gap = a.union(b).buffer(1e-4).interiors if hasattr(a.union(b), "interiors") else ()
                assert not list(gap)
    assert shared >= 5


def test_shared_edges_have_no_unlabelled_pixel():
    wide = Scene(5, (600, 600), 0.5, nodata="none")
    labels = wide.labels(0, 0, 600, 600).astype(np.int64)
    left, right = labels[:, :-2], labels[:, 2:]
    middle = labels[:, 1:-1]
    between = (left > 0) & (right > 0) & (left != right)
    assert between.sum() > 200
    assert (middle[between] > 0).mean() > 0.995


def test_the_partition_covers_the_ground_once():
    ground = Ground(3)
    u, v = np.meshgrid(np.arange(0.3, 400, 7.1), np.arange(0.7, 400, 6.3))
    owners = np.zeros(u.shape, int)
    for parcel in ground.parcels(0, 0, 400, 400):
        depth = np.minimum.reduce(
            [e.offset - e.normal[0] * u - e.normal[1] * v for e in parcel.edges]
        )
        owners += depth > 0
    assert (owners == 1).all()


def test_buildings_do_not_overlap():
    labels_area = {}
    labels = SCENE.labels(0, 0, 700, 600)
    for value, count in zip(*np.unique(labels, return_counts=True), strict=True):
        labels_area[int(value)] = int(count)
    whole = [
        t
        for t in SCENE.truth()
        if t.kind == "building"
        and t.outline.min() >= 0
        and t.outline[:, 0].max() <= 600
        and t.outline[:, 1].max() <= 700
        and t.id in labels_area
    ]
    for thing in whole:
        x, y = thing.outline.T
        area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
        if SCENE.valid(int(y.min()), int(x.min()), int(np.ptp(y)) + 1, int(np.ptp(x)) + 1).all():
            assert labels_area[thing.id] == pytest.approx(area, rel=0.06)


def test_nodata_is_zero_and_nothing_else_is():
    picture = SCENE.read(0, 0, 256, 256)
    valid = SCENE.valid(0, 0, 256, 256)
    assert 0 < valid.sum() < valid.size
    assert np.array_equal((picture > 0).all(axis=0), valid)
    assert np.array_equal((picture == 0).all(axis=0), ~valid)
    assert not SCENE.labels(0, 0, 256, 256)[~valid].any()


@pytest.mark.parametrize("nodata", ["corner", "island", "none"])
def test_empty_blocks_are_known_without_making_them(nodata):
    scene = Scene(1, (300, 401), 0.5, nodata=nodata, fill=0.05)
    for row in range(-40, 340, 20):
        for column in range(-40, 440, 20):
            assert scene.empty(row, column, 20, 20) == (not scene.valid(row, column, 20, 20).any())


@pytest.mark.parametrize("bands", [1, 3, 4, 8, 13])
def test_bands_and_bits(bands):
    scene = Scene(2, (64, 64), 0.4, bands=bands, bits=16, nodata="none")
    picture = scene.read(0, 0, 64, 64)
    assert picture.shape == (bands, 64, 64)
    assert picture.dtype == np.uint16
    assert 100 < picture[0].mean() < 5000
    assert len(band_names(bands)) == bands


def test_plants_are_bright_in_the_near_infrared_and_water_is_not():
    red, nir = (spectrum("leaves", 13)[k] for k in (3, 7))
    assert nir > 5 * red
    assert spectrum("water", 13)[7] < spectrum("water", 13)[1]
    for material in MATERIALS:
        assert spectrum(material, 13).shape == (13,)
        assert (spectrum(material, 13) > 0).all()
    assert to_pixels(np.zeros((3, 1, 1), np.float32), np.ones((1, 1), bool), 8).min() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [({"bands": 0}, "bands"), ({"bits": 12}, "bits"), ({"nodata": "hole"}, "nodata")],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        Scene(1, **options)


def test_rotated_and_south_up_transforms():
    for rotation, south_up in ((0, False), (0, True), (30, False), (-20, True)):
        scene = Scene(1, (100, 80), 0.5, rotation=rotation, south_up=south_up)
        a, b, _, d, e, _ = scene.transform
        assert np.hypot(a, d) == pytest.approx(0.5)
        assert np.hypot(b, e) == pytest.approx(0.5)
        assert a * b + d * e == pytest.approx(0, abs=1e-12)
        assert (a * e - b * d > 0) == south_up
