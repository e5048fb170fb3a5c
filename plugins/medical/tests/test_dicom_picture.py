"""Radiographs, ultrasound and photographs: single pictures without a place in the patient."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom_making import make_slice, save
from samovar.errors import InputError, UsageError
from samovar_medical.dicom import DicomFormat

GREY = np.random.default_rng(0).integers(0, 4096, (21, 17)).astype(np.uint16)
COLOUR = np.random.default_rng(1).integers(0, 256, (21, 17, 3)).astype(np.uint8)
TWELVE = {"BitsStored": 12, "HighBit": 11}


def opened(tmp_path, header, **options):
    header.save_as(tmp_path / "one.dcm", enforce_file_format=True)
    return DicomFormat().open(str(tmp_path / "one.dcm"), **options)


@pytest.mark.parametrize("modality", ["CR", "DX"])
def test_radiograph(tmp_path, modality):
    with opened(tmp_path, make_slice(GREY, None, modality=modality, **TWELVE)) as image:
        assert image.info.domain == "picture"
        assert image.info.modality == "xr"
        assert image.grid.shape == (21, 17)
        assert np.array_equal(image.read()[0], GREY)
        assert image.dicom.slices == (0,)
        assert image.dicom.modality == modality


def test_bright_is_bright(tmp_path):
    header = make_slice(GREY, None, modality="CR", PhotometricInterpretation="MONOCHROME1",
                        **TWELVE)  # fmt: skip
    with opened(tmp_path, header) as image:
        assert np.array_equal(image.read()[0], 4095 - GREY)


def test_rescaled(tmp_path):
    header = make_slice(GREY, None, modality="CR", RescaleSlope="2", RescaleIntercept="-7",
                        **TWELVE)  # fmt: skip
    with opened(tmp_path, header) as image:
        assert np.array_equal(image.read()[0], 2.0 * GREY - 7)


def test_ultrasound_in_colour(tmp_path):
    with opened(tmp_path, make_slice(COLOUR, None, modality="US")) as image:
        assert image.info.modality == "us"
        assert image.channels == 3
        assert np.array_equal(image.read(), np.moveaxis(COLOUR, -1, 0))


def test_palette(tmp_path):
    header = make_slice(COLOUR[..., 0], None, modality="US",
                        PhotometricInterpretation="PALETTE COLOR")  # fmt: skip
    tables = np.random.default_rng(2).integers(0, 256, (3, 256)).astype(np.uint8)
    for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        setattr(header, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 8])
        setattr(header, f"{name}PaletteColorLookupTableData", table.tobytes())
    with opened(tmp_path, header) as image:
        assert np.array_equal(image.read(), tables[:, COLOUR[..., 0]])


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"])
def test_compressed_colour(tmp_path, syntax):
    large = np.tile(COLOUR, (4, 4, 1))
    header = make_slice(large, None, modality="US")
    header.compress(syntax)
    with opened(tmp_path, header) as image:
        assert np.array_equal(image.read(), np.moveaxis(large, -1, 0))


def test_cine_loop_needs_a_frame(tmp_path):
    frames = np.random.default_rng(3).integers(0, 256, (5, 9, 8)).astype(np.uint8)
    header = make_slice(frames[0], None, modality="USM", NumberOfFrames=5,
                        PixelData=frames.tobytes())  # fmt: skip
    with pytest.raises(UsageError, match=r"holds 5 frames .* choose one with --frame 1 … 5"):
        opened(tmp_path, header)
    with opened(tmp_path, header, frame=4) as image:
        assert np.array_equal(image.read()[0], frames[3])
    with pytest.raises(UsageError, match="has no frame 6"):
        opened(tmp_path, header, frame=6)


def test_a_frame_of_a_volume_is_refused(tmp_path):
    header = make_slice(GREY, np.diag([1.0, 1, 2, 1]), **TWELVE)
    with pytest.raises(UsageError, match="--frame is for pictures"):
        opened(tmp_path, header, frame=1)


def test_two_radiographs_are_two_to_choose_from(tmp_path):
    save([make_slice(GREY, None, n, modality="DX", series=f"1.2.{n}", SeriesNumber=n)
          for n in (1, 2)], tmp_path / "study")  # fmt: skip
    with pytest.raises(UsageError, match=r"1 \(DX, 1 frame of 17×21, no position.*; 2 \(DX"):
        DicomFormat().open(str(tmp_path / "study"))
    with DicomFormat().open(str(tmp_path / "study"), series="2") as image:
        assert image.grid.shape == (21, 17)


def test_slides_are_refused(tmp_path):
    header = make_slice(COLOUR, None, modality="US", Modality="SM", TotalPixelMatrixColumns=9999)
    with pytest.raises(InputError, match="whole-slide image"):
        opened(tmp_path, header)


def test_truncated(tmp_path):
    path = tmp_path / "one.dcm"
    make_slice(GREY, None, modality="CR").save_as(path, enforce_file_format=True)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="is truncated"):
        DicomFormat().open(str(path))


def test_modality_table(tmp_path):
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [4096, 0, 16], "OD"
    table.LUTData = (np.arange(4096, dtype=np.uint16) // 2).tobytes()
    table["LUTData"].VR = "OW"
    header = make_slice(GREY, None, modality="CR", ModalityLUTSequence=[table], **TWELVE)
    with opened(tmp_path, header) as image:
        assert np.array_equal(image.read()[0], GREY // 2)
