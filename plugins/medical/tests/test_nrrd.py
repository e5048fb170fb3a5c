"""NRRD: the space of the input is kept word for word."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pytest

from samovar.formats import open_image, write_objects

RAS = (
    "space: right-anterior-superior\nsizes: 4 3 2\n"
    "space directions: (0.5,0.10,0) (-0.2,1.0,0) (0,0,3.000)\nspace origin: (10.50,-7,1e2)\n"
    "kinds: domain domain domain\n"
)


def write_nrrd(path, geometry, extra=""):
    head = f"NRRD0004\n# made by hand\ntype: int16\ndimension: 3\n{geometry}endian: little\n"
    voxels = np.arange(24, dtype="<i2").tobytes()
    path.write_bytes(f"{head}encoding: gzip\n{extra}\n".encode() + gzip.compress(voxels))
    return str(path)


@pytest.fixture
def labels():
    array = np.zeros((2, 3, 4), np.uint8)
    array[1, 0, 2] = 1
    return array


def test_ras_space_is_kept_and_understood(geometry, tmp_path, labels):
    path, out = write_nrrd(tmp_path / "ras.nrrd", RAS), tmp_path / "out.nrrd"
    with open_image(path) as image:
        wanted = [[-0.5, 0.2, 0, -10.5], [-0.1, -1, 0, 7], [0, 0, 3, 100], [0, 0, 0, 1]]
        assert np.allclose(image.grid.affine, wanted)
        assert image.read()[0, 1, 0, 2] == 14
        write_objects(geometry.objects_of(image.grid, labels), out, image)
    text = out.read_bytes().partition(b"\n\n")[0].decode()
    for line in RAS.splitlines():
        assert f"\n{line}\n" in text
    for reader in (geometry.read_nrrd_by_hand, geometry.read_by_itk):
        found, affine = reader(out)
        assert np.array_equal(found, labels)
        assert np.allclose(affine, wanted)


@pytest.mark.parametrize(
    ("text", "word"),
    [("sizes: 4 3 2\nspacings: 1 2 3\n", "names no space"),
     (RAS.replace("right-anterior-superior", "scanner-xyz"), "scanner-xyz")],
)  # fmt: skip
def test_spaces_without_sides_are_said(geometry, tmp_path, labels, text, word):
    path, out = write_nrrd(tmp_path / "a.nrrd", text), tmp_path / "out.nrrd"
    with open_image(path) as image:
        assert word in image.info.native["warnings"][0]
        write_objects(geometry.objects_of(image.grid, labels), out, image)
        with open_image(out) as back:
            assert np.array_equal(back.grid.affine, image.grid.affine)
            assert np.array_equal(back.read()[0], labels)


def test_modality_is_read_where_it_is_stated(tmp_path):
    with open_image(write_nrrd(tmp_path / "a.nrrd", RAS, "Modality:=MR\n")) as image:
        assert image.info.modality == "mr"


def test_slicer_finds_its_segments(geometry, tmp_path, labels):
    out = tmp_path / "out.seg.nrrd"
    with open_image(write_nrrd(tmp_path / "a.nrrd", RAS)) as image:
        write_objects(geometry.objects_of(image.grid, labels, {1: "liver\nlobe"}), out, image)
    fields = dict(re.findall(r"^(\w+):=(.*)$", out.read_bytes()[:4000].decode("latin1"), re.M))
    assert fields["Segment0_Name"] == "liver lobe"
    assert fields["Segment0_LabelValue"] == "1"
    assert fields["Segment0_Extent"] == "2 2 0 0 1 1"


def test_detached_header_reads(geometry, tmp_path, labels):
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(labels)
    image.SetOrigin((1, 2, 3))
    sitk.WriteImage(image, str(tmp_path / "a.nhdr"))
    out = tmp_path / "out.nrrd"
    with open_image(tmp_path / "a.nhdr") as opened:
        assert np.array_equal(opened.read()[0], labels)
        write_objects(geometry.objects_of(opened.grid, labels), out, opened)
    assert np.array_equal(geometry.read_nrrd_by_hand(out)[0], labels)
