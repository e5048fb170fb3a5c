"""Where things are, from a DICOM series through the whole pipeline to a file read elsewhere.

An MR series whose 8-bit values are its labels is stored along all 48 axis orders and directions,
upright and oblique, anisotropic; a model that reads labels off pictures is asked by boxes and
points in millimetres; the centroids of what is written are compared with those of the source.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from oracle import OracleModel
from samovar import api

pytest.importorskip("samovar_medical")
pytest.importorskip("pydicom")
sitk = pytest.importorskip("SimpleITK")
phantoms = pytest.importorskip("samovar_datasets.phantoms")

from dicom_making import make_enhanced, make_series, save  # noqa: E402

ORIENTATIONS = list(phantoms.orientations())
SPACING = (0.9, 1.4, 3.1)
SHAPE = (8, 17, 21)


def source(oblique: bool):
    """Labels (z, y, x) and their affine (x, y, z → LPS mm)."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:5, 3:9, 4:12] = 50
    labels[1:3, 9:12, 4:7] = 50
    labels[5:8, 11:16, 14:20] = 120
    labels[2, 14, 2] = 200
    turn = np.eye(3)
    if oblique:
        turn, _ = np.linalg.qr(np.random.default_rng(8).normal(size=(3, 3)))
        turn *= np.sign(np.linalg.det(turn))
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * SPACING, (-63.0, 40.5, 911.25)
    return labels, affine


def turned(labels, affine, order, flips):
    """The same voxels in the same place, stored along other axes."""
    stored, matrix = labels.transpose(2, 1, 0), np.zeros((4, 4))
    matrix[3, 3] = 1
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        matrix[old, new], matrix[old, 3] = (-1, stored.shape[old] - 1) if flip else (1, 0)
    stored = stored.transpose(order)[tuple(slice(None, None, -1 if f else 1) for f in flips)]
    return np.ascontiguousarray(stored.transpose(2, 1, 0)), affine @ matrix


def centroid(mask, affine):
    return affine[:3, :3] @ np.argwhere(mask).mean(axis=0)[::-1] + affine[:3, 3]


def world_box(mask, affine):
    """Bounds in mm of the voxels, bricks and all, by plain arithmetic."""
    index = np.argwhere(mask)[:, ::-1]
    corners = (index[:, None] + np.array(list(product((-0.5, 0.5), repeat=3)))).reshape(-1, 3)
    place = corners @ affine[:3, :3].T + affine[:3, 3]
    return (*place.min(axis=0), *place.max(axis=0))


def point_in(mask, affine):
    """The place of a voxel of the mask, off its centre."""
    index = np.argwhere(mask)[np.count_nonzero(mask) // 2, ::-1] + np.array([0.3, -0.4, 0.2])
    return tuple(affine[:3, :3] @ index + affine[:3, 3])


def by_itk(path):
    image = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image), affine


@pytest.mark.parametrize("oblique", [False, True])
@pytest.mark.parametrize("turn", range(48))
def test_every_orientation(turn, oblique, tmp_path):
    labels, affine = source(oblique)
    stored, placed = turned(labels, affine, *ORIENTATIONS[turn])
    if turn % 4:
        path = save(make_series(stored, placed, modality="MR"), tmp_path / "series")
    else:
        header = make_enhanced(stored, placed, modality="EMR")
        for group in header.PerFrameFunctionalGroupsSequence:
            del group.PixelValueTransformationSequence
        path = tmp_path / "enhanced.dcm"
        header.save_as(path, enforce_file_format=True)
    asked = {"points": {str(v): [point_in(labels == v, affine)] for v in (50, 120, 200)}}
    if not oblique:  # a box of upright edges round a turned object holds half of its neighbours
        asked["boxes"] = {str(v): world_box(labels == v, affine) for v in (50, 120, 200)}
    with api.open(path) as image:
        found = api.segment(image, model=OracleModel(), space="world", **asked)
        found.save(tmp_path / "mask.nii.gz")
    written, where = by_itk(tmp_path / "mask.nii.gz")
    for item in found:
        place = centroid(labels == int(item.name), affine)
        off = centroid(written == item.id, where) - place
        assert np.abs(off).max() < 1e-3 * min(SPACING), item.name
        assert (written == item.id).sum() == (labels == int(item.name)).sum()
