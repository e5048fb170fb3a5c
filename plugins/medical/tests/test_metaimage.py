"""MetaImage: direction, origin and spacing come back to the last digit."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from samovar.formats import open_image, write_objects


def test_geometry_to_the_last_digit(geometry, tmp_path):
    path, out = tmp_path / "in.mha", tmp_path / "out.mha"
    labels = np.ones(geometry.SHAPE, np.uint8)
    for seed in range(12):
        affine = geometry.reference_affine()
        affine[:3, :3] = geometry.rotation(seed) * geometry.SPACING / 3
        geometry.write_itk(path, labels, affine)
        with open_image(path) as image:
            write_objects(geometry.objects_of(image.grid, labels), out, image)
        before, after = sitk.ReadImage(str(path)), sitk.ReadImage(str(out))
        assert before.GetDirection() == after.GetDirection()
        assert before.GetSpacing() == after.GetSpacing()
        assert before.GetOrigin() == after.GetOrigin()


@pytest.mark.parametrize("compressed", [True, False])
def test_detached_header_reads(tmp_path, compressed):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "a.mhd"), compressed)
    with open_image(tmp_path / "a.mhd") as image:
        assert image.dtype == np.int16
        assert np.array_equal(image.read()[0], array)


def test_modality_is_read_where_it_is_stated(tmp_path):
    head = "ObjectType = Image\nNDims = 3\nOffset = 1 2 3\nDimSize = 4 3 2\n"
    head += "Modality = MET_MOD_CT\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes(head.encode() + bytes(24))
    with open_image(tmp_path / "a.mha") as opened:
        assert opened.info.modality == "ct"
        assert opened.info.native["warnings"] == ()


def test_a_header_without_orientation_is_said(tmp_path):
    head = "NDims = 3\nDimSize = 4 3 2\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes(head.encode() + bytes(24))
    with open_image(tmp_path / "a.mha") as opened:
        assert "no orientation" in opened.info.native["warnings"][0]
