"""Phantoms: reproducible, of known volume, aligned with their labels, the same in every storage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from samovar_datasets.phantoms import (
    ball_phantom,
    ct_phantom,
    mr_phantom,
    orientations,
    oriented,
)
from samovar_datasets.shapes import Canvas, ellipsoid

SMALL = (20, 52, 64)
STILL = [lambda x, y, z: np.float32(0) * x] * 3


@pytest.fixture(scope="module")
def patient():
    return ct_phantom(4, SMALL)


def test_a_seed_is_a_patient(patient):
    again, other = ct_phantom(4, SMALL), ct_phantom(5, SMALL)
    assert np.array_equal(patient.image, again.image)
    assert np.array_equal(patient.labels, again.labels)
    assert not np.array_equal(patient.labels, other.labels)


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.8, 1.1, 4.0)])
def test_a_ball_has_its_volume(spacing):
    radius = 20.0
    shape = tuple(int(np.ceil(2 * radius / s)) + 8 for s in spacing[::-1])
    ball = ball_phantom(radius, shape, spacing, centre=(0.3, -0.2, 0.4))
    exact = 4 / 3 * np.pi * radius**3 / 1000
    assert ball.volumes()["ball"] == pytest.approx(exact, rel=0.01)
    # the mixed intensities hold the volume as well as the labels do
    voxel = np.prod(spacing) / 1000
    assert ball.image.sum() / 1000 * voxel == pytest.approx(exact, rel=0.02)


def test_partial_volume_is_the_share_that_is_covered():
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -15
    coarse = Canvas((16, 16, 16), affine, STILL, 0.0)
    coarse.paint(ellipsoid((0, 0, 0), (11, 9, 10)), 1.0, 1)
    fine_affine = np.diag([0.5, 0.5, 0.5, 1.0])
    fine_affine[:3, 3] = -15.75
    fine = Canvas((64, 64, 64), fine_affine, STILL, 0.0)
    fine.paint(ellipsoid((0, 0, 0), (11, 9, 10)), 1.0, 1)
    share = fine.labels.reshape(16, 4, 16, 4, 16, 4).mean(axis=(1, 3, 5))
    assert np.abs(coarse.values - share).max() < 0.2
    assert np.abs(coarse.values - share)[(share > 0) & (share < 1)].mean() < 0.06
    assert np.array_equal(coarse.labels == 1, coarse.values > 0.5)


def test_labels_end_where_the_picture_does():
    quiet = ct_phantom(4, (10, 120, 150), noise=0.0)
    liver = quiet.labels == 1
    assert liver.sum() > 2000
    plane = np.ones((1, 3, 3), bool)
    rim_in = liver & ~ndimage.binary_erosion(liver, plane)
    core = ndimage.binary_erosion(liver, plane, iterations=3)
    outside = ndimage.binary_dilation(liver, plane, iterations=4) & ~ndimage.binary_dilation(
        liver, plane, iterations=2
    )
    fat = outside & (quiet.image < -60) & (quiet.image > -150)
    # between fat and liver the boundary voxels lie between the two, on the liver's side
    near_fat = rim_in & ndimage.binary_dilation(fat, plane, iterations=3)
    level = np.median(quiet.image[core])
    assert np.median(quiet.image[near_fat]) > (level + np.median(quiet.image[fat])) / 2
    gradient = np.linalg.norm(
        np.stack(np.gradient(ndimage.gaussian_filter(quiet.image.astype(float), 0.5))[1:]), axis=0
    )
    edge = near_fat | (ndimage.binary_dilation(near_fat, plane) & ~liver)
    assert np.median(gradient[edge]) > 5 * np.median(gradient[core])


def test_the_same_patient_at_another_resolution(patient):
    fine = ct_phantom(4, tuple(2 * n for n in SMALL))
    for name in ("liver", "lung_left", "vertebrae", "stomach"):
        assert fine.volumes()[name] == pytest.approx(patient.volumes()[name], rel=0.06)


def test_hounsfield_units_are_those_of_tissue(patient):
    def median(label):
        return np.median(patient.image[patient.labels == label])

    names = {name: value for value, name in patient.classes.items()}
    assert 60 < median(names["liver"]) < 150
    assert 90 < median(names["aorta"]) < 220
    assert -900 < median(names["lung_right"]) < -650
    assert median(names["vertebrae"]) > 100
    assert -30 < median(names["bladder"]) < 45
    assert patient.image[0, 0, 0] < -900


def test_left_is_left(patient):
    where = ndimage.center_of_mass(np.ones(SMALL), patient.labels, [1, 2, 3, 4])
    x = [float((patient.affine @ [c, b, a, 1])[0]) for a, b, c in where]
    liver, spleen, left, right = x
    # LPS: x grows towards the patient's left
    assert liver < 0 < spleen
    assert right < 0 < left


def test_there_are_48_orientations():
    assert len(set(orientations())) == 48


@pytest.mark.parametrize("make", [ct_phantom, mr_phantom])
def test_orientations_keep_the_world(make):
    phantom = make(2, (9, 11, 13), (30.0, 26.0, 28.0))
    names = [v for v in phantom.classes if (phantom.labels == v).sum() > 3]
    expected = _world_centres(phantom, names)
    for permutation, flips in orientations():
        turned = oriented(phantom, permutation, flips)
        assert turned.labels.shape == tuple(phantom.labels.shape[a] for a in permutation)
        np.testing.assert_allclose(_world_centres(turned, names), expected, atol=1e-9)
        np.testing.assert_allclose(sorted(turned.spacing), sorted(phantom.spacing))
        assert turned.volumes() == pytest.approx(phantom.volumes())


def test_oriented_refuses_what_is_no_permutation():
    with pytest.raises(ValueError, match="permutation"):
        oriented(ball_phantom(), (0, 0, 1))


def test_mr_is_oblique_anisotropic_and_biased():
    head = mr_phantom(1, (16, 68, 58), (3.2, 3.2, 8.0), noise=0.0)
    off_axis = np.abs(head.affine[:3, :3] / np.array(head.spacing) - np.eye(3))
    assert off_axis.max() > 0.02
    assert head.spacing == pytest.approx((3.2, 3.2, 8.0))
    flat = mr_phantom(1, (16, 68, 58), (3.2, 3.2, 8.0), noise=0.0, bias=0.0)
    white = (head.labels == 2) & (flat.image > 100)
    gain = head.image[white] / flat.image[white]
    assert np.percentile(gain, 95) / np.percentile(gain, 5) > 1.1
    assert np.array_equal(head.labels, flat.labels)
    names = {head.classes[v] for v in np.unique(head.labels) if v}
    assert {"lesion", "vessel", "ventricles", "grey_matter"} <= names


def test_boxes_are_max_exclusive():
    ball = ball_phantom(5.0, (21, 21, 21))
    assert ball.boxes()["ball"] == [6, 6, 6, 15, 15, 15]
    assert ball.boxes(["liver"]) == {}


def test_pieces_hold_the_whole_class():
    head = mr_phantom(1, (16, 68, 58), (3.2, 3.2, 8.0))
    pieces = head.pieces("lesion")
    assert len(pieces) > 1
    value = next(v for v, n in head.classes.items() if n == "lesion")
    left = head.labels == value
    for x0, y0, z0, x1, y1, z1 in pieces.values():
        left[z0:z1, y0:y1, x0:x1] = False
    assert not left.any()


def _world_centres(phantom, values):
    index = np.array(ndimage.center_of_mass(np.ones(phantom.labels.shape), phantom.labels, values))
    return index[:, ::-1] @ phantom.affine[:3, :3].T + phantom.affine[:3, 3]


def test_a_slice_box_bounds_a_class_on_one_slice() -> None:
    phantom = ct_phantom(3, (12, 40, 52))
    x0, y0, z0, x1, y1, z1 = phantom.boxes(["liver"])["liver"]
    z = (z0 + z1) // 2
    a0, b0, c0, a1, b1, c1 = phantom.slice_box("liver", z)
    assert (c0, c1) == (z, z + 1) and x0 <= a0 < a1 <= x1 and y0 <= b0 < b1 <= y1
    value = next(v for v, n in phantom.classes.items() if n == "liver")
    inside = phantom.labels[z] == value
    assert inside[b0:b1, a0:a1].sum() == inside.sum()
    assert inside[b0].any() and inside[b1 - 1].any() and inside[:, a0].any()
    with pytest.raises(ValueError, match="no liver on slice"):
        phantom.slice_box("liver", z1)
