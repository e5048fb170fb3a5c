"""Bad input: one clear line that names the file and the remedy, never a library's exception."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from samovar.errors import GeometryError, InputError
from samovar_medical.metaimage import MetaImageFormat
from samovar_medical.nifti import NiftiFormat
from samovar_medical.nrrd import NrrdFormat

FORMATS = {
    ".nii": NiftiFormat, ".nii.gz": NiftiFormat, ".nrrd": NrrdFormat, ".mha": MetaImageFormat,
}  # fmt: skip


def refused(path, *words, kind=InputError):
    """Opening ``path`` by its own format gives one line with the file and all ``words``."""
    suffix = "".join(path.suffixes) if path.suffixes else ""
    reader = next(f for s, f in FORMATS.items() if suffix.endswith(s))()
    with pytest.raises(kind) as caught:
        reader.open(str(path))
    line = str(caught.value)
    assert "\n" not in line
    assert path.name in line
    for word in words:
        assert word in line, line
    return line


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    "content", [b"", b"some text\n" * 50, b"\0" * 2000, b"\x1f\x8b\x08", b"NRRD", b"NDims = 3\n"]
)
def test_not_an_image(tmp_path, suffix, content):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_truncated_anywhere(volume, tmp_path, suffix):
    data = Path(volume(suffix)).read_bytes()
    for part in (0.05, 0.3, 0.6, 0.99):
        path = tmp_path / f"cut{suffix}"
        path.write_bytes(data[: int(len(data) * part)])
        refused(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_damaged_compressed_stream(volume, tmp_path, suffix):
    data = bytearray(Path(volume(suffix)).read_bytes())
    data[-200:-100] = bytes(100)
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(data)
    refused(path, "damaged")


def nifti_with(tmp_path, array=None, suffix=".nii", **fields):
    """A .nii file with header fields set to anything, past nibabel's checks."""
    array = np.ones((4, 3, 2), np.int16) if array is None else array
    header = nibabel.Nifti1Header(endianness="<")
    header.set_data_shape(array.shape)
    header.set_data_dtype(array.dtype)
    header.set_sform(np.eye(4), 1)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    for name, value in fields.items():
        header[name] = value
    path = tmp_path / f"lie{suffix}"
    content = header.binaryblock + b"\0\0\0\0" + array.T.tobytes()
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dim": [3, 4, 0, 2, 1, 1, 1, 1]}, ["empty", "4×0×2"]),
        ({"dim": [3, 4, -3, 2, 1, 1, 1, 1]}, ["empty"]),
        ({"dim": [9, 4, 3, 2, 1, 1, 1, 1]}, ["9 dimensions"]),
        ({"dim": [1, 24, 1, 1, 1, 1, 1, 1]}, ["one-dimensional"]),
        ({"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]}, ["no scanner", "32767×32767×32767"]),
        ({"dim": [3, 4000, 4000, 1000, 1, 1, 1, 1]}, ["promises", "32000000000"]),
        ({"datatype": 32}, ["complex"]),
        ({"datatype": 128}, ["RGB"]),
        ({"datatype": 999}, ["unknown type 999"]),
        ({"vox_offset": np.nan}, ["start at byte nan"]),
        ({"vox_offset": 12}, ["start at byte 12"]),
        ({"vox_offset": 1e20}, ["start at byte 1e+20"]),
        ({"vox_offset": 4096}, []),
        ({"scl_slope": 2, "scl_inter": np.inf}, ["intercept is inf"]),
        ({"scl_slope": 3e38, "scl_inter": 3e38}, ["NaN or infinite"]),
        ({"magic": b"ni1"}, [".hdr/.img"]),
        ({"magic": b"xyz"}, ["not NIfTI"]),
        ({"sizeof_hdr": 12}, ["not a NIfTI"]),
    ],
)  # fmt: skip
def test_nifti_headers_that_lie(tmp_path, suffix, fields, words):
    refused(nifti_with(tmp_path, suffix=suffix, **fields), *words)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"srow_x": [1, 0, 0, np.nan]}, ["NaN"]),
        ({"srow_x": [0, 0, 0, 5]}, ["cannot be inverted"]),
        ({"srow_y": [1, 0, 0, 5]}, ["cannot be inverted"]),
        ({"srow_y": [0.3, 1, 0, 5]}, ["sheared by 17°", "resample"]),
        ({"sform_code": 0, "qform_code": 1, "quatern_b": 3}, ["not a rotation"]),
        ({"sform_code": 0, "qform_code": 1, "pixdim": [1, 0, 1, 1, 0, 0, 0, 0]}, ["inverted"]),
        ({"sform_code": 0, "qform_code": 1, "quatern_b": np.nan}, []),
        ({"sform_code": 0, "pixdim": [1, 0, 0, 0, 0, 0, 0, 0]}, ["inverted"]),
    ],
)
def test_nifti_geometry_that_cannot_be(tmp_path, fields, words):
    refused(nifti_with(tmp_path, **fields), *words, kind=GeometryError)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers(volume, geometry, monkeypatch, suffix, value):
    monkeypatch.setattr("samovar_medical.volume._SLAB_VOXELS", 2 * 7 * 9)
    array = np.ones(geometry.SHAPE, np.float32)
    array[3, 2, 1] = array[4, 0, 0] = value
    path = Path(volume(suffix, array))
    refused(path, f"2 of {array.size} voxels", "x,y,z = 1,2,3", "z = 3 to 4", "nan_to_num")


def test_four_dimensions_and_the_remedy_works(tmp_path):
    array = np.arange(48, dtype=np.int16).reshape(4, 3, 2, 2)
    path = tmp_path / "four.nii.gz"
    nibabel.Nifti1Image(array, np.eye(4)).to_filename(path)
    line = refused(path, "4×3×2×2", "python -c")
    code = line.split('python -c "')[1].rstrip('"').replace("one.nii.gz", f"{tmp_path}/one.nii.gz")
    exec(code)
    with NiftiFormat().open(str(Path(tmp_path) / "one.nii.gz")) as image:
        assert np.array_equal(image.read()[0], array[..., 0].T)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_four_dimensions_by_itk(tmp_path, suffix):
    path = tmp_path / f"four{suffix}"
    sitk.WriteImage(sitk.Image([4, 3, 2, 5], sitk.sitkInt16), str(path))
    line = refused(path, "4×3×2×5", "python -c")
    code = line.split('python -c "')[1].rstrip('"').replace("'one", f"'{tmp_path}/one")
    exec(code)
    with FORMATS[suffix]().open(f"{tmp_path}/one{suffix}") as image:
        assert image.grid.shape == (2, 3, 4)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_what_itk_opens_but_is_no_scalar_volume(tmp_path, suffix):
    path = tmp_path / f"odd{suffix}"
    for image, word in (
        (sitk.Image([4, 3, 2], sitk.sitkVectorUInt8, 3), "3 values a voxel"),
        (sitk.Image([4, 3], sitk.sitkInt16), "two-dimensional"),
    ):
        sitk.WriteImage(image, str(path))
        refused(path, word)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("sizes", ["0 3 2", "90000 90000 90000", "4000 4000 1000", "4 3 many"])
def test_text_headers_that_lie(tmp_path, suffix, sizes):
    path = tmp_path / f"lie{suffix}"
    if suffix == ".nrrd":
        head = f"NRRD0004\ntype: short\ndimension: 3\nsizes: {sizes}\nencoding: raw\n\n"
    else:
        head = f"ObjectType = Image\nNDims = 3\nDimSize = {sizes}\nElementType = MET_SHORT\n"
        head += "ElementDataFile = LOCAL\n"
    path.write_bytes(head.encode() + bytes(48))
    refused(path)


def test_geometry_that_itk_lets_pass(tmp_path):
    for directions, word in (
        ("(1,0,0) (0.3,1,0) (0,0,1)", "sheared"),
        ("(1,0,0) (1,0,0) (0,0,1)", ""),
        ("(nan,0,0) (0,1,0) (0,0,1)", ""),
    ):
        path = tmp_path / "odd.nrrd"
        path.write_bytes(
            b"NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 4 3 2\n"
            b"space directions: " + directions.encode() + b"\nspace origin: (0,0,0)\n"
            b"kinds: domain domain domain\nendian: little\nencoding: raw\n\n" + bytes(48)
        )  # fmt: skip
        refused(path, word)


def test_detached_voxels_that_are_missing(tmp_path):
    image = sitk.Image([4, 3, 2], sitk.sitkInt16)
    for name, kind in (("a.mhd", MetaImageFormat), ("a.nhdr", NrrdFormat)):
        path = tmp_path / name
        sitk.WriteImage(image, str(path))
        with kind().open(str(path)) as opened:
            assert opened.grid.shape == (2, 3, 4)
        for voxels in tmp_path.glob("a.*raw*"):
            voxels.unlink()
        with pytest.raises(InputError, match="not beside it"):
            kind().open(str(path))
