"""Pixels: every compression that hospitals store, rescaling a slice, multi-frame, damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from dicom_making import make_enhanced, make_series, make_slice, save
from samovar.errors import InputError
from samovar_medical.dicom import DicomFormat
from samovar_medical.dicom_header import read_frames
from samovar_medical.dicom_pixels import stored_values

AFFINE = np.diag([0.8, 0.9, 2.5, 1.0])
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"


def random_volume(kind=np.int16, shape=(4, 33, 35)):
    smooth = np.cumsum(np.random.default_rng(3).integers(-20, 21, shape), axis=2)
    return (smooth - (0 if np.dtype(kind).kind == "i" else smooth.min())).astype(kind)


def open_dicom(path, **options):
    return DicomFormat().open(str(path), **options)


def as_jpeg_lossless(folder):
    """ITK compresses what is there."""
    for path in folder.iterdir():
        header = dcmread(path)
        values = header.pixel_array
        image = sitk.GetImageFromArray(values)
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetUseCompression(True)
        writer.SetCompressor("JPEG")
        writer.SetFileName(str(path.with_suffix(".dcm")))
        writer.Execute(image)
        packed = dcmread(path.with_suffix(".dcm"))
        assert packed.file_meta.TransferSyntaxUID == JPEG_LOSSLESS
        path.with_suffix(".dcm").unlink()
        header.PixelData = packed.PixelData
        header["PixelData"].VR = "OB"
        header["PixelData"].is_undefined_length = True
        header.file_meta.TransferSyntaxUID = JPEG_LOSSLESS
        header.save_as(path)


@pytest.mark.parametrize("kind", [np.int16, np.uint16])
@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, JPEGLSLossless, JPEG2000Lossless,
     RLELossless, JPEG_LOSSLESS],
)  # fmt: skip
def test_every_transfer_syntax(tmp_path, syntax, kind):
    volume = random_volume(kind)
    series = make_series(volume, AFFINE, RescaleIntercept=-10)
    for header in series:
        if syntax in (JPEGLSLossless, JPEG2000Lossless, RLELossless):
            header.compress(syntax)
        elif syntax != JPEG_LOSSLESS:
            header.file_meta.TransferSyntaxUID = syntax
    folder = save(series, tmp_path / "ct")
    if syntax == JPEG_LOSSLESS:
        as_jpeg_lossless(folder)
    with open_dicom(folder) as image:
        assert np.array_equal(image.read()[0], volume.astype(int) - 10)


def test_big_endian(tmp_path):
    volume = random_volume()
    series = make_series(volume, AFFINE)
    for header in series:
        del header[0x0009, 0x1001], header[0x0009, 0x0010]
        header.preamble = bytes(128)
        header.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        header.PixelData = volume[header.InstanceNumber - 1].astype(">i2").tobytes()
    folder = tmp_path / "ct"
    folder.mkdir()
    for i, header in enumerate(series):
        header.save_as(folder / f"{i}", implicit_vr=False, little_endian=False)
    with open_dicom(folder) as image:
        assert np.array_equal(image.read()[0], volume)


def test_twelve_bits_in_sixteen(tmp_path):
    """What stands in the unused bits is not a value."""
    volume = np.random.default_rng(0).integers(0, 4096, (3, 6, 5)).astype(np.uint16)
    dirty = volume | 0xA000
    series = make_series(dirty, AFFINE, BitsStored=12, HighBit=11, RescaleIntercept=-1024)
    with open_dicom(save(series, tmp_path / "ct")) as image:
        assert np.array_equal(image.read()[0], volume.astype(int) - 1024)
        assert image.dtype == np.int16


def test_every_slice_by_its_own_rescaling(tmp_path):
    volume = random_volume(np.uint16)

    def rescale(header, i):
        header.RescaleSlope, header.RescaleIntercept = str(0.5 + 0.25 * i), str(3 * i - 1)

    folder = save(make_series(volume, AFFINE, rescale), tmp_path / "mr")
    with open_dicom(folder) as image:
        z = np.arange(len(volume))[:, None, None]
        assert image.dtype == np.float32
        assert np.allclose(image.read()[0], volume * (0.5 + 0.25 * z) + 3 * z - 1, rtol=1e-6)


@pytest.mark.parametrize(("intercept", "dtype"), [(-1024, np.int16), (0, np.uint16), (0.5, "f4")])
def test_whole_numbers_stay_whole(tmp_path, intercept, dtype):
    volume = random_volume(np.uint16) % 4096
    bits = (
        {"BitsStored": 16, "HighBit": 15} if intercept == 0 else {"BitsStored": 12, "HighBit": 11}
    )
    series = make_series(volume, AFFINE, RescaleIntercept=intercept, **bits)
    with open_dicom(save(series, tmp_path / "ct")) as image:
        assert image.dtype == dtype
        assert np.allclose(image.read()[0], volume + float(intercept))


def test_monochrome1(tmp_path):
    """Turned round where the values mean nothing by themselves; HU and SUV stay what they are."""
    volume = random_volume(np.uint16) % 4096
    more = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "HighBit": 11}
    with open_dicom(
        save(make_series(volume, AFFINE, modality="MR", **more), tmp_path / "mr")
    ) as mr:
        assert np.array_equal(mr.read()[0], 4095 - volume)
    with open_dicom(save(make_series(volume, AFFINE, **more), tmp_path / "ct")) as ct:
        assert np.array_equal(ct.read()[0], volume)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("modality", ["ECT", "EMR"])
def test_enhanced_multiframe(tmp_path, modality, compressed):
    """Frames in any order, each with its own position and rescaling."""
    volume = random_volume(shape=(9, 33, 35))
    header = make_enhanced(volume, AFFINE, modality=modality)
    if compressed:
        header.compress(JPEGLSLossless)
    header.save_as(tmp_path / "many.dcm", enforce_file_format=True)
    with open_dicom(tmp_path / "many.dcm") as image:
        assert image.info.modality == ("ct" if modality == "ECT" else "mr")
        assert np.allclose(image.grid.affine, AFFINE)
        z = np.arange(len(volume))[:, None, None]
        assert np.array_equal(image.read()[0], volume + z)
        assert image.dicom.multiframe
        assert image.dicom.slices == tuple(range(9))
        order = np.random.default_rng(3).permutation(9)
        assert [order[f.number - 1] for f in image.dicom.frames] == list(range(9))
        assert image.dicom.paths == (tmp_path / "many.dcm",)


def test_multiframe_jpeg_lossless(tmp_path):
    """A frame of a large object is unpacked alone."""
    from pydicom.encaps import encapsulate, generate_frames

    volume = random_volume(np.uint16)
    order = np.random.default_rng(3).permutation(len(volume))
    folder = save(make_series(volume[order], AFFINE), tmp_path / "single", shuffle=None)
    as_jpeg_lossless(folder)
    streams = [
        next(generate_frames(dcmread(p).PixelData, number_of_frames=1))
        for p in sorted(folder.iterdir())
    ]
    header = make_enhanced(volume, AFFINE)
    header.PixelData = encapsulate(streams)
    header["PixelData"].VR = "OB"
    header["PixelData"].is_undefined_length = True
    header.file_meta.TransferSyntaxUID = JPEG_LOSSLESS
    header.save_as(tmp_path / "many.dcm", enforce_file_format=True)
    with open_dicom(tmp_path / "many.dcm") as image:
        z = np.arange(len(volume))[:, None, None]
        assert np.array_equal(image.read()[0], volume + z)


PACKED = (
    "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "JPEG-lossy.dcm", "JPGExtended.dcm",
    "JPEGLSNearLossless_16.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm",
    "SC_jpeg_no_color_transform.dcm", "SC_rgb_dcmtk_+eb+cy+s2.dcm",
    "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_jls_lossy_sample.dcm", "SC_rgb_rle_2frame.dcm",
    "SC_ybr_full_422_uncompressed.dcm", "examples_jpeg2k.dcm",
)  # fmt: skip


@pytest.mark.parametrize("name", PACKED)
def test_what_other_software_packed(name):
    """pydicom's own samples: the pixels that ITK finds in them."""
    path = Path(pydicom.__file__).parent / "data" / "test_files" / name
    if not path.is_file():
        pytest.skip("pydicom was installed without its samples")
    frame = read_frames(path)[-1]
    values = stored_values(str(path), frame)
    other = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    other = other[frame.number - 1] if frame.instance.pixels.frames > 1 else np.squeeze(other)
    assert np.array_equal(values * frame.slope + frame.intercept, other)


def test_pixel_data_without_a_value_representation():
    """As one writer leaves it out in an explicit file; ITK takes half a minute over it."""
    path = Path(pydicom.__file__).parent / "data" / "test_files" / "SC_rgb_jpeg.dcm"
    if not path.is_file():
        pytest.skip("pydicom was installed without its samples")
    (frame,) = read_frames(path)
    assert np.array_equal(stored_values(str(path), frame), dcmread(path).pixel_array)


@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
def test_without_a_meta_header(tmp_path, implicit, little):
    """How it was written has to be found out."""
    volume = random_volume()
    folder = tmp_path / "ct"
    folder.mkdir()
    for header in make_series(volume, AFFINE):
        del header.file_meta, header[0x0009, 0x1001], header[0x0009, 0x0010]
        values = volume[header.InstanceNumber - 1].astype("<i2" if little else ">i2")
        header.PixelData = values.tobytes()
        path = folder / f"{header.InstanceNumber}.dcm"
        header.save_as(path, implicit_vr=implicit, little_endian=little)
        assert path.read_bytes()[128:132] != b"DICM"
    with open_dicom(folder if little else folder / "2.dcm") as image:
        assert np.array_equal(image.read()[0], volume if little else volume[1:2])


def test_truncated_files_are_named_before_any_work(tmp_path):
    folder = save(make_series(random_volume(), AFFINE), tmp_path / "ct")
    path = folder / "IM0002"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"IM0002: is truncated: its header promises 2310 bytes"):
        open_dicom(folder)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(InputError, match=r"IM0002: "):
        open_dicom(folder)


def test_damaged_compression_is_named_when_read(tmp_path):
    series = make_series(random_volume(), AFFINE)
    for header in series:
        header.compress(RLELossless)
    folder = save(series, tmp_path / "ct", shuffle=None)
    path = folder / "IM0001"
    content = bytearray(path.read_bytes())
    content[-400:-100] = bytes(300)
    path.write_bytes(content)
    with open_dicom(folder) as image, pytest.raises(InputError) as caught:
        image.read()
    assert "IM0001: its pixels cannot be unpacked (RLE" in str(caught.value)


def test_a_compression_that_nobody_unpacks(tmp_path):
    header = make_slice(random_volume()[0], AFFINE)
    header.compress(JPEGLSLossless)
    header.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    header.save_as(tmp_path / "odd.dcm", enforce_file_format=True)
    with open_dicom(tmp_path / "odd.dcm") as image, pytest.raises(InputError) as caught:
        image.read()
    assert "MPEG-4" in str(caught.value)
    assert "decompress it first" in str(caught.value)


def test_a_file_that_was_moved_meanwhile(tmp_path):
    folder = save(make_series(random_volume(), AFFINE), tmp_path / "ct")
    with open_dicom(folder) as image:
        (folder / "IM0001").unlink()
        with pytest.raises(InputError, match=r"IM0001: cannot be read \(No such file"):
            image.read()
