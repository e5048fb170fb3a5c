"""Synthetic DICOM for tests: series with known voxels and geometry, and everything that goes wrong.

Every file names the same invented patient wherever a header has room for it, so that any test may
ask whether a word of it got out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from samovar_medical.dicom_privacy import PERSON_KEYWORDS

SURNAME, GIVEN, NUMBER = "Quastelberg", "Ottoline", "MRN7730419"
PLANTED = (SURNAME, GIVEN, NUMBER, "Wexfordhospital", "19420307", "Thornquist", "Elmgasse")
"""Words that no output of samovar may hold."""

CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128", "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1", "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "SC": "1.2.840.10008.5.1.4.1.1.7", "ECT": "1.2.840.10008.5.1.4.1.1.2.1",
    "EMR": "1.2.840.10008.5.1.4.1.1.4.1", "USM": "1.2.840.10008.5.1.4.1.1.3.1",
}  # fmt: skip


def plant_patient(header: Dataset) -> None:
    """An invented person in every element that may name or describe one."""
    name = f"{SURNAME}^{GIVEN}"
    for keyword in PERSON_KEYWORDS:
        vr = pydicom.datadict.dictionary_VR(keyword)
        if vr == "SQ":
            continue
        value = {"PN": name, "DA": "19420307", "LO": f"{SURNAME} {NUMBER}", "SH": "Elmgasse"}
        setattr(header, keyword, value.get(vr, f"{SURNAME} {GIVEN} Elmgasse"))
    header.PatientID = NUMBER
    header.InstitutionName = "Wexfordhospital"
    header.ReferringPhysicianName = header.OperatorsName = "Thornquist^Ada"
    header.PatientSex, header.PatientAge = "F", "084Y"
    header.ResponsiblePersonRole = "GUARDIAN"
    header.StudyDescription = f"Follow-up of {SURNAME}"
    header.ImageComments = header.PatientComments = f"{GIVEN} {SURNAME}, {NUMBER}"
    header.DeviceSerialNumber = NUMBER
    header.add_new((0x0009, 0x0010), "LO", "PLANT")
    header.add_new((0x0009, 0x1001), "LO", f"{SURNAME} {NUMBER}")


def pixel_header(values: np.ndarray, *, photometric: str = "MONOCHROME2") -> Dataset:
    """The image pixel module of ``(rows, columns)`` or ``(rows, columns, 3)`` integers."""
    header = Dataset()
    header.Rows, header.Columns = values.shape[:2]
    header.SamplesPerPixel = 3 if values.ndim == 3 else 1
    header.PhotometricInterpretation = "RGB" if values.ndim == 3 else photometric
    if values.ndim == 3:
        header.PlanarConfiguration = 0
    header.BitsAllocated = header.BitsStored = 8 * values.dtype.itemsize
    header.HighBit = header.BitsStored - 1
    header.PixelRepresentation = int(values.dtype.kind == "i")
    return header


def make_slice(
    values: np.ndarray,
    affine: np.ndarray | None,
    index: int = 0,
    *,
    modality: str = "CT",
    series: str = "",
    study: str = "",
    **elements: object,
) -> Dataset:
    """One instance; slice ``index`` of a volume with ``affine`` (x, y, z → LPS), or unplaced."""
    header = pixel_header(values)
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    plant_patient(header)
    header.SOPClassUID = CLASSES[modality]
    header.SOPInstanceUID = generate_uid()
    header.StudyInstanceUID, header.SeriesInstanceUID = study or "1.2.3.4", series or "1.2.3.5"
    header.FrameOfReferenceUID = "1.2.3.6"
    header.Modality = {"SC": "OT", "ECT": "CT", "EMR": "MR", "USM": "US"}.get(modality, modality)
    header.StudyDate, header.StudyTime = "20240102", "101112"
    header.SeriesNumber, header.InstanceNumber = 3, index + 1
    header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    if modality in ("CT", "PT"):
        header.RescaleSlope, header.RescaleIntercept = 1, 0
    if affine is not None:
        place(header, affine, index)
    header.PixelData = values.tobytes()
    header["PixelData"].VR = "OB" if values.dtype.itemsize == 1 else "OW"
    for keyword, value in elements.items():
        if value is None:
            delattr(header, keyword)
        else:
            setattr(header, keyword, value)
    header.file_meta.MediaStorageSOPClassUID = header.get("SOPClassUID", CLASSES["SC"])
    header.file_meta.MediaStorageSOPInstanceUID = header.get("SOPInstanceUID", "1.2.9")
    return header


def place(header: Dataset, affine: np.ndarray, index: int) -> None:
    """Position, orientation and spacings of slice ``index``."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    header.ImagePositionPatient = numbers(affine[:3, 3] + index * affine[:3, 2])
    header.ImageOrientationPatient = numbers((affine[:3, :2] / spacing[:2]).T.ravel())
    header.PixelSpacing = numbers(spacing[[1, 0]])
    header.SliceThickness = numbers([spacing[2]])[0]


def numbers(values: Sequence[float]) -> list[str]:
    """Decimal strings of at most 16 characters."""
    return [pydicom.valuerep.format_number_as_ds(float(v)) for v in values]


def make_series(
    volume: np.ndarray, affine: np.ndarray, change: Callable | None = None, **elements: object
) -> list[Dataset]:
    """Instances of ``(z, y, x)`` values; ``change(header, index)`` may spoil each."""
    made = [make_slice(plane, affine, i, **elements) for i, plane in enumerate(volume)]
    for i, header in enumerate(made):
        if change is not None:
            change(header, i)
    return made


def save(
    headers: Sequence[Dataset], folder: Path, *, shuffle: int | None = 7, name: str = "IM{:04d}"
) -> Path:
    """Write instances, in an order that says nothing, under names that say nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    order = np.arange(len(headers))
    if shuffle is not None:
        np.random.default_rng(shuffle).shuffle(order)
    start = len(list(folder.iterdir()))
    for number, i in enumerate(order, start=start):
        headers[i].save_as(folder / name.format(number), enforce_file_format=True)
    return folder


def make_enhanced(volume: np.ndarray, affine: np.ndarray, *, modality: str = "ECT", **elements):
    """One enhanced multi-frame instance; geometry in functional groups, frames shuffled."""
    header = make_slice(volume[0], None, modality=modality)
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        if keyword in header:
            delattr(header, keyword)
    order = np.random.default_rng(3).permutation(len(volume))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    shared = Dataset()
    measures, orientation = Dataset(), Dataset()
    measures.PixelSpacing = numbers(spacing[[1, 0]])
    measures.SliceThickness = numbers([spacing[2]])[0]
    orientation.ImageOrientationPatient = numbers((affine[:3, :2] / spacing[:2]).T.ravel())
    shared.PixelMeasuresSequence = Items([measures])
    shared.PlaneOrientationSequence = Items([orientation])
    groups = []
    for k in order:
        position, transform, group = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = numbers(affine[:3, 3] + k * affine[:3, 2])
        transform.RescaleSlope, transform.RescaleIntercept = 1, int(k)
        group.PlanePositionSequence = Items([position])
        group.PixelValueTransformationSequence = Items([transform])
        groups.append(group)
    header.SharedFunctionalGroupsSequence = Items([shared])
    header.PerFrameFunctionalGroupsSequence = Items(groups)
    header.NumberOfFrames = len(volume)
    header.PixelData = np.stack([volume[k] for k in order]).tobytes()
    header["PixelData"].VR = "OW"
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    return header
