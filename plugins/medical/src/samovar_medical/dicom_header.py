"""Headers of DICOM files: what is needed of each frame, as plain numbers, and no patient data.

Files are recognised by their content, whatever their names say. Of every file only the elements
that are named here are parsed, and the pixels are never touched; a study of a thousand files
costs a few kilobytes each.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from samovar.errors import InputError
from samovar.privacy import keep_private
from samovar_medical.dicom_frame import FACETS, Frame, Instance, Pixels
from samovar_medical.dicom_privacy import (
    IDENTITY_REMOVED,
    PERSON_KEYWORDS,
    private_words,
    shareable,
    silent_pydicom,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_INSTANCE = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber",
    "SeriesDescription", "FrameOfReferenceUID", "Modality", "ImageType", "InstanceNumber",
    "NumberOfFrames", "BodyPartExamined",
)  # fmt: skip
_FRAME = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
    "SpacingBetweenSlices", "RescaleSlope", "RescaleIntercept", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
_PIXELS = (
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths", "TotalPixelMatrixColumns",
)  # fmt: skip
_WANTED = sorted({*FACETS, *_INSTANCE, *_FRAME, *_PIXELS, *PERSON_KEYWORDS, IDENTITY_REMOVED})

_FIRST_BYTES = (b"\x08\x00\x00\x00", b"\x08\x00\x05\x00", b"\x08\x00\x08\x00", b"\x02\x00\x00\x00")
"""How a file without the 128-byte preamble begins: group 8, or group 2 of the meta header."""

_MODALITY_OF_CLASS = {
    f"1.2.840.10008.5.1.4.1.1.{end}": code
    for end, code in (
        ("2", "CT"), ("2.1", "CT"), ("2.2", "CT"), ("4", "MR"), ("4.1", "MR"), ("4.4", "MR"),
        ("128", "PT"), ("128.1", "PT"), ("130", "PT"), ("6.1", "US"), ("6.2", "US"), ("3.1", "US"),
        ("1", "CR"), ("1.1", "DX"), ("1.1.1", "DX"), ("1.2", "MG"), ("1.2.1", "MG"),
    )
}  # fmt: skip
"""SOP classes that say a modality by themselves."""

_PIXEL_DATA = {
    (0x7FE0, 0x0010): "PixelData",
    (0x7FE0, 0x0008): "FloatPixelData",
    (0x7FE0, 0x0009): "DoubleFloatPixelData",
}
_REPRESENTATIONS = (b"OB", b"OW", b"OF", b"OD", b"UN")
_DEFLATED = "1.2.840.10008.1.2.1.99"
_BY_ENCODING = {
    (True, True): "1.2.840.10008.1.2",
    (False, True): "1.2.840.10008.1.2.1",
    (False, False): "1.2.840.10008.1.2.2",
}
"""Transfer syntax where none is stated, by whether VRs are implicit and bytes little endian."""


def looks_like_dicom(path: Path) -> bool:
    """By its first bytes."""
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return False
    return head[128:] == b"DICM" or head[:4] in _FIRST_BYTES


def read_frames(path: Path) -> list[Frame]:
    """The frames of one file; none when it holds no image (a report, a plan, a directory).

    Raises:
        InputError: the file is not DICOM, or is damaged; the message quotes nothing of its content.
    """
    with silent_pydicom():
        try:
            return _read_frames(path)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"{path}: cannot be read as DICOM ({type(error).__name__}), the file seems "
                "damaged: copy or export it again"
            ) from error


def _read_frames(path: Path) -> list[Frame]:
    from pydicom import dcmread

    with path.open("rb") as file:
        header = dcmread(file, stop_before_pixels=True, force=True, specific_tags=list(_WANTED))
        at = file.tell()
        keep_private(private_words(header))
        if "SOPClassUID" not in header and "Rows" not in header:
            raise InputError(f"{path}: is not a DICOM file: check what it is")
        if "Rows" not in header or "Columns" not in header:
            if _text(header, "SOPClassUID") in _MODALITY_OF_CLASS:
                raise InputError(f"{path}: is truncated inside its header: copy it again")
            return []
        pixels = _pixels(path, header, file, at)
    if pixels is None:
        return []
    instance = _instance(path, header, pixels)
    shared = _first(header, "SharedFunctionalGroupsSequence")
    own = header.get("PerFrameFunctionalGroupsSequence") or []
    return [
        _frame(header, shared, own[i] if i < len(own) else None, instance, i + 1)
        for i in range(pixels.frames)
    ]


def _pixels(path: Path, header: Dataset, file: Any, at: int) -> Pixels | None:
    """None when the file ends before any pixel data."""
    from pydicom.pixels.utils import as_pixel_options

    implicit, little = (bool(v) for v in header.original_encoding)
    stated = getattr(header.file_meta, "TransferSyntaxUID", "")
    syntax = str(stated or _BY_ENCODING[implicit, little])
    size = path.stat().st_size
    if syntax == _DEFLATED:
        return Pixels(syntax, None, 0, as_pixel_options(header, pixel_keyword="PixelData"))
    file.seek(at)
    head = file.read(8)
    if len(head) < 8:
        raise InputError(f"{path}: is truncated: it ends before its pixels: copy it again")
    order = "little" if little else "big"
    tag = (int.from_bytes(head[:2], order), int.from_bytes(head[2:4], order))  # type: ignore[arg-type]
    if tag not in _PIXEL_DATA:
        return None
    long = head[4:6] in _REPRESENTATIONS  # some writers leave it out here, and only here
    offset = at + (12 if long else 8)
    options = as_pixel_options(header, pixel_keyword=_PIXEL_DATA[tag])
    if long:
        options["pixel_vr"] = head[4:6].decode("ascii")
    options.setdefault("photometric_interpretation", "MONOCHROME2")
    return Pixels(syntax, offset, size - offset, options)


def _instance(path: Path, header: Dataset, pixels: Pixels) -> Instance:
    sop_class = _text(header, "SOPClassUID") or _text(header.file_meta, "MediaStorageSOPClassUID")
    return Instance(
        path,
        sop_class,
        _text(header, "SOPInstanceUID"),
        _text(header, "StudyInstanceUID"),
        _text(header, "SeriesInstanceUID"),
        _whole(header, "SeriesNumber"),
        shareable(_text(header, "SeriesDescription"), header),
        _text(header, "FrameOfReferenceUID"),
        _text(header, "Modality").upper() or _MODALITY_OF_CLASS.get(sop_class, ""),
        tuple(str(v).upper() for v in _numbers_or_words(header, "ImageType")),
        _whole(header, "InstanceNumber") or 0,
        "TotalPixelMatrixColumns" in header,
        pixels,
    )


def _frame(header: Dataset, shared: Any, own: Any, instance: Instance, number: int) -> Frame:
    """Looks in the frame's own functional groups, then in the shared ones, then at the top."""

    def find(keyword: str) -> Any:
        for group in (own, shared):
            for element in group or ():
                if element.VR == "SQ" and element.value:
                    value = element.value[0].get(keyword)
                    if value not in (None, ""):
                        return value
        return header.get(keyword)

    spacing = _floats(find("PixelSpacing"), 2)
    step = _floats(find("SpacingBetweenSlices"), 1) or _floats(find("SliceThickness"), 1)
    slope, intercept = (_floats(find(k), 1) for k in ("RescaleSlope", "RescaleIntercept"))
    return Frame(
        instance,
        number,
        _floats(find("ImagePositionPatient"), 3),
        _floats(find("ImageOrientationPatient"), 6),
        None if spacing is None else (spacing[0], spacing[1]),
        abs(step[0]) if step and step[0] else None,
        slope[0] if slope else 1.0,
        intercept[0] if intercept else 0.0,
        {k: _shown(v) for k in FACETS if (v := find(k)) not in (None, "")},
    )


def _shown(value: Any) -> str:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return str(value)
    return "\\".join(str(v) for v in value)


def _first(header: Dataset, keyword: str) -> Any:
    sequence = header.get(keyword)
    return sequence[0] if sequence else None


def _text(header: Any, keyword: str) -> str:
    value = header.get(keyword) if header is not None else None
    return "" if value is None else str(value).strip()


def _whole(header: Dataset, keyword: str) -> int | None:
    try:
        return int(header.get(keyword))
    except (TypeError, ValueError):
        return None


def _numbers_or_words(header: Dataset, keyword: str) -> tuple[Any, ...]:
    value = header.get(keyword)
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _floats(value: Any, count: int) -> tuple[float, ...] | None:
    """``count`` numbers, or None when they are absent or are not numbers."""
    if value is None or value == "":
        return None
    try:
        numbers = tuple(float(v) for v in ([value] if count == 1 else value))
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count else None
