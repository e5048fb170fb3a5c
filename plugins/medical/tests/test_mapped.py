"""Voxels that lie in a file as they are get memory-mapped, whatever their type and byte order."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from samovar_medical.metaimage import MetaImageFormat
from samovar_medical.nrrd import NrrdFormat

SHAPE = (4, 5, 6)
TYPES = {
    "u1": ("unsigned char", "MET_UCHAR"), "i1": ("int8", "MET_CHAR"), "i2": ("short", "MET_SHORT"),
    "u2": ("uint16", "MET_USHORT"), "i4": ("int", "MET_INT"), "u4": ("unsigned int", "MET_UINT"),
    "f4": ("float", "MET_FLOAT"), "f8": ("double", "MET_DOUBLE"),
}  # fmt: skip


def nrrd(path, values, detached):
    kind, order = TYPES[values.dtype.str[1:]][0], "big" if values.dtype.str[0] == ">" else "little"
    head = (
        f"NRRD0004\ntype: {kind}\ndimension: 3\nspace: left-posterior-superior\nsizes: 6 5 4\n"
        "space directions: (0.7,0,0) (0,0.8,0) (0,0,3)\nspace origin: (1,2,3)\n"
        f"kinds: domain domain domain\nendian: {order}\nencoding: raw\n"
    )
    return head + (f"data file: {path.stem}.raw\n" if detached else "\n")


def metaimage(path, values, detached):
    return (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\n"
        f"BinaryDataByteOrderMSB = {values.dtype.str[0] == '>'}\n"
        "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 1 2 3\nElementSpacing = 0.7 0.8 3\n"
        f"DimSize = 6 5 4\nElementType = {TYPES[values.dtype.str[1:]][1]}\n"
        f"ElementDataFile = {path.stem + '.raw' if detached else 'LOCAL'}\n"
    )


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    ("suffixes", "head", "reader"),
    [((".nrrd", ".nhdr"), nrrd, NrrdFormat), ((".mha", ".mhd"), metaimage, MetaImageFormat)],
    ids=["nrrd", "metaimage"],
)
def test_only_what_is_looked_at(tmp_path, suffixes, head, reader, kind, order, detached):
    values = np.random.default_rng(0).integers(0, 100, SHAPE).astype(f"{order}{kind}")
    path = tmp_path / f"raw{suffixes[detached]}"
    text = head(path, values, detached).encode()
    path.write_bytes(text if detached else text + values.tobytes())
    if detached:
        path.with_suffix(".raw").write_bytes(values.tobytes())
    with reader().open(str(path)) as image:
        assert isinstance(image._values, np.memmap)
        assert np.array_equal(image.read()[0], values)
        other = sitk.ReadImage(str(path))
        assert np.array_equal(image.read()[0], sitk.GetArrayFromImage(other))
        assert image.grid.affine[:3, 3] == pytest.approx((1, 2, 3))
        assert image.grid.spacing == pytest.approx((0.7, 0.8, 3))


def test_what_has_to_be_unpacked_is(tmp_path):
    image = sitk.GetImageFromArray(np.zeros(SHAPE, np.int16))
    for path, reader in ((tmp_path / "a.nrrd", NrrdFormat), (tmp_path / "a.mha", MetaImageFormat)):
        sitk.WriteImage(image, str(path), True)
        with reader().open(str(path)) as opened:
            assert not isinstance(opened._values, np.memmap)
