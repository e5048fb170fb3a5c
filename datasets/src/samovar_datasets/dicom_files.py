"""Phantoms as DICOM series: one file a slice, named by nothing, of a patient without a name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from samovar_datasets.atomic import replacing
from samovar_datasets.phantoms import Phantom

_CLASSES = {"ct": "1.2.840.10008.5.1.4.1.1.2", "mr": "1.2.840.10008.5.1.4.1.1.4"}
_RESCALE = {"ct": -1024, "mr": 0}


def write_series(phantom: Phantom, folder: Path, *, number: int = 1) -> list[Path]:
    """Write the phantom's image as one DICOM series of 16-bit slices; returns the files.

    UIDs come of the phantom's seed: the same phantom gives the same bytes, and CT and MR of one
    seed are one study.

    Args:
        folder: made if need be; other files in it stay.
        number: of the series, also part of the files' names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, plane in enumerate(phantom.image):
        header = _header(phantom, index, number)
        stored = plane.astype(np.int32) - _RESCALE[phantom.modality]
        header.PixelData = np.clip(stored, 0, 65535).astype("<u2").tobytes()
        path = folder / f"IM{number:02d}{index + 1:04d}"
        with replacing(path) as temporary:
            header.save_as(temporary, enforce_file_format=True)
        paths.append(path)
    return paths


def _header(phantom: Phantom, index: int, number: int) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = _CLASSES[phantom.modality]
    header.SOPInstanceUID = _uid(phantom, phantom.modality, number, index)
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.StudyInstanceUID = _uid(phantom, "study")
    header.SeriesInstanceUID = _uid(phantom, phantom.modality, number)
    header.FrameOfReferenceUID = _uid(phantom, phantom.modality, "frame")
    header.Modality = phantom.modality.upper()
    header.SeriesNumber, header.InstanceNumber = number, index + 1
    header.SeriesDescription = f"Phantom {phantom.modality.upper()}"
    header.ImageType = ["DERIVED", "SECONDARY", "PHANTOM"]
    header.PatientName = header.PatientID = header.PatientBirthDate = header.PatientSex = ""
    header.StudyDate = header.StudyTime = header.AccessionNumber = header.StudyID = ""
    header.ReferringPhysicianName = header.PositionReferenceIndicator = ""
    header.Manufacturer = "samovar phantoms"
    _place(header, phantom, index)
    header.Rows, header.Columns = phantom.image.shape[1:]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit, header.PixelRepresentation = 15, 0
    header.RescaleSlope, header.RescaleIntercept = 1, _RESCALE[phantom.modality]
    header.RescaleType = "HU" if phantom.modality == "ct" else "US"
    return header


def _place(header: Any, phantom: Phantom, index: int) -> None:
    affine, spacing = phantom.affine, np.linalg.norm(phantom.affine[:3, :3], axis=0)
    header.ImagePositionPatient = _text(affine[:3, 3] + index * affine[:3, 2])
    header.ImageOrientationPatient = _text((affine[:3, :2] / spacing[:2]).T.ravel())
    header.PixelSpacing = _text(spacing[[1, 0]])
    header.SliceThickness = _text(spacing[2:])[0]


def _text(values: Any) -> list[str]:
    from pydicom.valuerep import format_number_as_ds

    return [format_number_as_ds(float(v)) for v in values]


def _uid(phantom: Phantom, *parts: object) -> str:
    from pydicom.uid import generate_uid

    return generate_uid(entropy_srcs=["samovar", str(phantom.seed), *map(str, parts)])
