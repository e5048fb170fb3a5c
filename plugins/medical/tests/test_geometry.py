"""Labels come back in the same place: 48 orientations, oblique, anisotropic, every format."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from samovar.formats import open_image, read_prompts, write_objects

SUFFIXES = (".nii.gz", ".nrrd", ".mha")


@pytest.mark.parametrize("written", SUFFIXES)
@pytest.mark.parametrize("opened", SUFFIXES)
def test_48_orientations(geometry, tmp_path, opened, written):
    base, labels = geometry.reference_affine(), geometry.scene(geometry.SHAPE)
    truth = geometry.centroids(labels, base)
    values = np.random.default_rng(1).integers(-1000, 1500, geometry.SHAPE).astype(np.int16)
    for order, flips in geometry.ORIENTATIONS:
        stored, affine = geometry.reoriented(values, base, order, flips)
        wanted, _ = geometry.reoriented(labels, base, order, flips)
        path = geometry.write_volume(tmp_path / f"in{opened}", stored, affine)
        with open_image(path) as image:
            assert np.array_equal(image.read()[0], stored)
            assert np.allclose(image.grid.affine, affine, atol=1e-4)
            out = tmp_path / f"out{written}"
            write_objects(geometry.objects_of(image.grid, wanted), out, image)
        found, where = geometry.OTHER_READERS[written](out)
        assert np.array_equal(found, wanted), (order, flips)
        for value, place in geometry.centroids(found, where).items():
            off = np.abs(place - truth[value]).max()
            assert off < 1e-3 * geometry.SPACING.min(), (order, flips, value)


def test_orientations_are_48_different_ones(geometry):
    labels = geometry.scene(geometry.SHAPE)
    seen = {
        (stored.shape, stored.tobytes())
        for stored, _ in (geometry.reoriented(labels, np.eye(4), *o) for o in geometry.ORIENTATIONS)
    }
    assert len(seen) == 48


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_world_boxes_mean_the_same_place(geometry, tmp_path, suffix):
    """Of an axis-aligned volume, in all orientations: the box of an object in mm is one box."""
    base, labels = geometry.reference_affine(oblique=False), geometry.scene(geometry.SHAPE)
    low = base[:3, :3] @ (np.array([3, 2, 1]) - 0.5) + base[:3, 3]
    high = base[:3, :3] @ (np.array([8, 6, 4]) - 0.5) + base[:3, 3]
    for order, flips in geometry.ORIENTATIONS:
        stored, affine = geometry.reoriented(labels, base, order, flips)
        path = geometry.write_volume(tmp_path / f"labels{suffix}", stored, affine)
        with open_image(path) as image:
            prompts = read_prompts(path, image)
            box = image.grid.box_to_world(prompts.objects[0].box)
            back = image.grid.box_to_index((*low, *high))
        assert box == pytest.approx((*low, *high), abs=1e-3), (order, flips)
        assert back == pytest.approx(prompts.objects[0].box, abs=1e-3), (order, flips)


def test_one_voxel_in_millimetres(geometry, volume, tmp_path):
    """A single voxel's world box is exactly one voxel around its centre."""
    labels = np.zeros(geometry.SHAPE, np.uint8)
    labels[4, 1, 7] = 1
    path = volume(".nii.gz", labels, oblique=False)
    with open_image(path) as image:
        (prompt,) = read_prompts(path, image)
        box = np.array(image.grid.box_to_world(prompt.box))
    assert prompt.box == (7, 1, 4, 8, 2, 5)
    centre = np.array([-41.5, 17.25, 803.125]) + geometry.SPACING * [7, 1, 4]
    assert box[:3] == pytest.approx(centre - geometry.SPACING / 2, abs=1e-4)
    assert box[3:] == pytest.approx(centre + geometry.SPACING / 2, abs=1e-4)


@pytest.mark.parametrize(("opened", "written"), list(itertools.product(SUFFIXES, repeat=2)))
def test_shapes_of_one(geometry, tmp_path, opened, written):
    """A single slice along any axis keeps its place."""
    for axis in range(3):
        shape = [5, 6, 7]
        shape[axis] = 1
        labels = np.zeros(shape, np.uint8)
        labels[tuple(n // 2 for n in shape)] = 1
        base = geometry.reference_affine()
        path = geometry.write_volume(tmp_path / f"in{opened}", labels.astype(np.int16), base)
        with open_image(path) as image:
            out = tmp_path / f"out{written}"
            write_objects(geometry.objects_of(image.grid, labels), out, image)
        found, where = geometry.OTHER_READERS[written](out)
        assert np.array_equal(found, labels)
        off = geometry.centroid(found, where) - geometry.centroid(labels, base)
        assert np.abs(off).max() < 1e-3
