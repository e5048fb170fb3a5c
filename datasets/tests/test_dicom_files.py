"""DICOM series of phantoms: the voxels and the place of the NIfTI, read by ITK."""

from __future__ import annotations

import numpy as np
import pytest

from samovar_datasets.dicom_files import write_series
from samovar_datasets.phantoms import ct_phantom, mr_phantom

sitk = pytest.importorskip("SimpleITK")
pytest.importorskip("pydicom")


@pytest.mark.parametrize(
    "phantom",
    [ct_phantom(seed=3, shape=(6, 30, 34)), mr_phantom(seed=3, shape=(5, 28, 24))],
    ids=["ct", "mr"],
)
def test_itk_finds_the_phantom(tmp_path, phantom):
    files = write_series(phantom, tmp_path / "a")
    again = write_series(phantom, tmp_path / "b")
    assert [a.read_bytes() for a in files] == [b.read_bytes() for b in again]
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "a")))
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    values = sitk.GetArrayFromImage(image)
    if not np.allclose(affine, phantom.affine, atol=1e-4):  # ITK stacks along the normal
        values, affine = values[::-1], affine @ flipped(len(values))
    assert np.allclose(affine, phantom.affine, atol=1e-4)
    assert np.array_equal(values, phantom.image)


def flipped(count):
    matrix = np.diag([1.0, 1, -1, 1])
    matrix[2, 3] = count - 1
    return matrix
