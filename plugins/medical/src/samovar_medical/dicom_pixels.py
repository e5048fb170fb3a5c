"""Pixels of one DICOM frame: found in the file, unpacked by pydicom or by SimpleITK's GDCM."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.errors import InputError
from samovar_medical.dicom_frame import Frame
from samovar_medical.dicom_privacy import silent_pydicom

_UNCOMPRESSED = {
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2",
    "1.2.840.113619.5.2",
}  # fmt: skip
_JPEG = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57",
         "1.2.840.10008.1.2.4.70"}  # fmt: skip
"""What GDCM unpacks and no permissively licensed plugin of pydicom does in full: JPEG of 12 bits,
and JPEG Lossless, which many scanners write."""

_FLOATS = {"FloatPixelData": 4, "DoubleFloatPixelData": 8}


def require_whole(source: str, frame: Frame) -> None:
    """Refuse a file whose uncompressed pixels end early, before any work is done.

    Raises:
        InputError: naming the file.
    """
    pixels = frame.instance.pixels
    if pixels.offset is None or pixels.syntax not in _UNCOMPRESSED:
        return
    bits = int(pixels.options.get("bits_allocated") or 8)
    count = pixels.rows * pixels.columns * pixels.samples * pixels.frames
    promised = (count * bits + 7) // 8
    if pixels.photometric == "YBR_FULL_422":
        promised = promised * 2 // 3
    if pixels.length < promised:
        name = _name(source, frame.instance.path)
        raise InputError(
            f"{name}: is truncated: its header promises {promised} bytes of pixels, "
            f"{pixels.length} are there: copy or export it again"
        )


def stored_values(source: str, frame: Frame) -> NDArray[Any]:
    """``(rows, columns)`` stored values, or ``(rows, columns, 3)`` RGB; nothing is rescaled.

    Args:
        source: what the user gave, for the message.

    Raises:
        InputError: damaged, truncated, or compressed in a way that nothing here unpacks.
    """
    instance = frame.instance
    name = _name(source, instance.path)
    try:
        with silent_pydicom():
            values = _decoded(frame)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror or 'disk error'})") from error
    except NotImplementedError as error:
        raise InputError(
            f"{name}: its compression ({_syntax_name(instance.pixels.syntax)}) is not supported: "
            "decompress it first, e.g. gdcmconv --raw"
        ) from error
    except Exception as error:
        raise InputError(
            f"{name}: its pixels cannot be unpacked ({_syntax_name(instance.pixels.syntax)}, "
            f"{type(error).__name__}), the file seems damaged: copy or export it again"
        ) from error
    wanted = (instance.pixels.rows, instance.pixels.columns)
    if values.shape[:2] != wanted:
        raise InputError(
            f"{name}: its header promises {wanted[1]}×{wanted[0]} pixels, its pixel data hold "
            f"{values.shape[1]}×{values.shape[0]}: export it again"
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(
            f"{name}: holds NaN or infinite pixels: replace them by the background value first"
        )
    return values


def pixel_bytes(frame: Frame) -> bytes:
    """The pixels as they lie in the file, to tell whether two frames are the same."""
    if frame.instance.pixels.offset is None or frame.instance.pixels.frames > 1:
        return stored_values(str(frame.instance.path), frame).tobytes()
    with frame.instance.path.open("rb") as file:
        file.seek(frame.instance.pixels.offset)
        return file.read()


def value_range(frame: Frame) -> tuple[int, int] | None:
    """Least and greatest stored value that the header allows; None of floating point pixels."""
    options = frame.instance.pixels.options
    if options.get("pixel_keyword") in _FLOATS:
        return None
    bits = int(options.get("bits_stored") or options.get("bits_allocated") or 16)
    if int(options.get("pixel_representation") or 0):
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1


def _decoded(frame: Frame) -> NDArray[Any]:
    from pydicom import dcmread
    from pydicom.pixels.decoders.base import get_decoder

    pixels = frame.instance.pixels
    decoder = get_decoder(pixels.syntax)
    index = frame.number - 1
    if pixels.offset is None:
        values, _ = decoder.as_array(dcmread(frame.instance.path, force=True), index=index)
        return np.asarray(values)
    if pixels.syntax in _JPEG and _deep(pixels.syntax, pixels.options):
        return _by_gdcm(frame)
    with frame.instance.path.open("rb") as file:
        file.seek(pixels.offset)
        values, _ = decoder.as_array(file, index=index, **pixels.options)
    return np.asarray(values)


def _deep(syntax: str, options: dict[str, Any]) -> bool:
    """Whether Pillow cannot: anything but 8-bit baseline."""
    return not syntax.endswith(".50") or int(options.get("bits_stored") or 8) > 8


def _by_gdcm(frame: Frame) -> NDArray[Any]:
    """One compressed frame by SimpleITK.

    It is handed over as a file of its own that holds nothing but pixels: so nothing is rescaled,
    a frame of a large object is unpacked alone, and no patient data is copied anywhere.
    """
    import SimpleITK as sitk
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate, get_frame
    from pydicom.uid import UID, SecondaryCaptureImageStorage, generate_uid

    pixels, options = frame.instance.pixels, frame.instance.pixels.options
    assert pixels.offset is not None
    with frame.instance.path.open("rb") as file:
        file.seek(pixels.offset)
        stream = get_frame(file, frame.number - 1, number_of_frames=pixels.frames)
    alone = Dataset()
    alone.file_meta = FileMetaDataset()
    alone.file_meta.TransferSyntaxUID = UID(pixels.syntax)
    alone.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    alone.file_meta.MediaStorageSOPInstanceUID = alone.SOPInstanceUID = generate_uid()
    alone.SOPClassUID = SecondaryCaptureImageStorage
    alone.Rows, alone.Columns = pixels.rows, pixels.columns
    alone.SamplesPerPixel = pixels.samples
    alone.PhotometricInterpretation = "MONOCHROME2" if pixels.samples == 1 else pixels.photometric
    alone.BitsAllocated = options["bits_allocated"]
    alone.BitsStored = options.get("bits_stored") or options["bits_allocated"]
    alone.HighBit = alone.BitsStored - 1
    alone.PixelRepresentation = options.get("pixel_representation") or 0
    if pixels.samples > 1:
        alone.PlanarConfiguration = 0
    alone.PixelData = encapsulate([stream])
    alone["PixelData"].is_undefined_length = True
    with tempfile.TemporaryDirectory(prefix="samovar-") as folder:
        path = Path(folder) / "frame.dcm"
        alone.save_as(path, enforce_file_format=True)
        image = sitk.ReadImage(str(path))
    values = sitk.GetArrayFromImage(image)
    return values[0] if image.GetDimension() == 3 else values


def _syntax_name(syntax: str) -> str:
    from pydicom.uid import UID

    known = UID(syntax)
    return known.name if known.is_transfer_syntax else "an unknown transfer syntax"


def _name(source: str, path: Path) -> str:
    """The file, in front of a message; what the user gave stays readable in it."""
    return source if Path(source) == path else f"{source}: {path.name}"
