"""Labels drawn on a DICOM series lie where the patient has them: 48 orientations, read elsewhere.

The series is written by pydicom with the rows, the columns and the stack along any axis in either
direction; labels are written in every format and read by another library than wrote them; centroids
in millimetres are compared with those of the voxels that the series was made of.
"""

from __future__ import annotations

import numpy as np
import pytest

from dicom_making import make_enhanced, make_series, save
from samovar.formats import open_image, write_objects

SUFFIXES = (".nii.gz", ".nrrd", ".mha")


@pytest.mark.parametrize("oblique", [False, True])
@pytest.mark.parametrize("turn", range(48))
def test_48_orientations(geometry, tmp_path, turn, oblique):
    base, labels = geometry.reference_affine(oblique), geometry.scene(geometry.SHAPE, np.int16)
    truth = geometry.centroids(labels, base)
    stored, affine = geometry.reoriented(labels, base, *geometry.ORIENTATIONS[turn])
    folder = save(make_series(stored, affine, modality="MR"), tmp_path / "series")
    with open_image(folder) as image:
        seen = image.read()[0]
        own = geometry.centroids(seen, image.grid.affine)
        # the stack runs along the normal, so that the grid is right-handed whatever was stored
        assert np.linalg.det(image.grid.affine[:3, :3]) > 0
        assert sorted(image.grid.spacing) == pytest.approx(sorted(geometry.SPACING), rel=1e-6)
        out = tmp_path / f"labels{SUFFIXES[turn % 3]}"
        write_objects(geometry.objects_of(image.grid, seen), out, image)
    found, where = geometry.OTHER_READERS[SUFFIXES[turn % 3]](out)
    written = geometry.centroids(found, where)
    for value, place in truth.items():
        assert np.abs(own[value] - place).max() < 1e-6
        assert np.abs(written[value] - place).max() < 1e-3 * geometry.SPACING.min()


@pytest.mark.parametrize("turn", range(0, 48, 7))
def test_enhanced_objects_too(geometry, tmp_path, turn):
    base, labels = geometry.reference_affine(), geometry.scene(geometry.SHAPE, np.int16)
    stored, affine = geometry.reoriented(labels, base, *geometry.ORIENTATIONS[turn])
    header = make_enhanced(stored, affine)
    for group in header.PerFrameFunctionalGroupsSequence:
        group.PixelValueTransformationSequence[0].RescaleIntercept = 0
    header.save_as(tmp_path / "many.dcm", enforce_file_format=True)
    with open_image(tmp_path / "many.dcm") as image:
        own = geometry.centroids(image.read()[0], image.grid.affine)
    for value, place in geometry.centroids(labels, base).items():
        assert np.abs(own[value] - place).max() < 1e-6


@pytest.mark.parametrize("turn", range(0, 48, 5))
def test_as_the_nifti_of_the_same_voxels(geometry, tmp_path, turn):
    """A box in millimetres is the same box, whichever file the study came as."""
    base, labels = (
        geometry.reference_affine(oblique=False),
        geometry.scene(geometry.SHAPE, np.int16),
    )
    stored, affine = geometry.reoriented(labels, base, *geometry.ORIENTATIONS[turn])
    folder = save(make_series(stored, affine, modality="MR"), tmp_path / "series")
    nifti = geometry.write_volume(tmp_path / "same.nii.gz", labels, base)
    with open_image(folder) as one, open_image(nifti) as other:
        box = other.grid.box_to_world((3, 2, 1, 8, 6, 4))
        index = one.grid.box_to_index(box)
        x0, y0, z0, x1, y1, z1 = (round(v) for v in index)
        assert np.abs(np.array(index) - np.rint(index)).max() < 1e-3
        inside = one.read()[0, z0:z1, y0:y1, x0:x1]
        assert (inside == 1).sum() == (labels == 1).sum()
