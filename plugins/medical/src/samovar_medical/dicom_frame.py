"""A DICOM frame as plain numbers: what is needed of it, and no patient data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samovar_medical.dicom_source import SourceFrame

FACETS = {
    "AcquisitionNumber": "acquisition", "TemporalPositionIdentifier": "time point",
    "TemporalPositionIndex": "time point", "EchoNumbers": "echo", "EchoTime": "echo time",
    "EffectiveEchoTime": "echo time", "DiffusionBValue": "b-value",
    "DiffusionGradientOrientation": "direction", "InversionTime": "inversion time",
    "FlipAngle": "flip angle", "TriggerTime": "trigger time",
    "NominalPercentageOfCardiacPhase": "cardiac phase", "ImageType": "image type",
    "FrameType": "image type", "ComplexImageComponent": "component", "StackID": "stack",
    "ConvolutionKernel": "kernel", "AcquisitionTime": "acquisition time",
    "ContentTime": "content time",
}  # fmt: skip
"""Elements by which frames at one place may differ, and what a person calls them; most telling
first. None of them holds free text."""

MODALITIES = {
    "CT", "MR", "PT", "NM", "US", "CR", "DX", "MG", "XA", "RF", "ES", "OT", "XC", "OP", "OPT", "SM",
    "GM", "IO", "PX", "IVUS", "OCT", "BI", "RG", "RTIMAGE", "TG", "LS", "DG", "BMD", "DOC", "EC",
}  # fmt: skip
"""Codes that are shown; anything else in the element could be anybody's name."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """How and where the pixels of one file are stored."""

    syntax: str
    """Transfer syntax UID."""
    offset: int | None
    """Byte at which the pixel data begin; None when the file has to be parsed for it."""
    length: int
    """Bytes from there to the end of the file."""
    options: dict[str, Any]
    """What pydicom's decoders have to be told."""

    @property
    def rows(self) -> int:
        return int(self.options["rows"])

    @property
    def columns(self) -> int:
        return int(self.options["columns"])

    @property
    def frames(self) -> int:
        return int(self.options.get("number_of_frames") or 1)

    @property
    def samples(self) -> int:
        return int(self.options["samples_per_pixel"])

    @property
    def photometric(self) -> str:
        return str(self.options["photometric_interpretation"])


@dataclass(frozen=True, eq=False)
class Instance:
    """One file: what all its frames share."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    series_number: int | None
    description: str
    """Of the series, free of what names the patient; may be empty."""
    frame_of_reference_uid: str
    modality: str
    """As DICOM writes it; of the SOP class where the element is missing; else empty."""
    image_type: tuple[str, ...]
    number: int
    """Of the instance in its series; 0 when absent."""
    whole_slide: bool
    pixels: Pixels


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of one instance."""

    instance: Instance
    number: int
    """Counted from 1."""
    position: tuple[float, ...] | None
    """Of the first pixel's centre, LPS millimetres; None: the frame has no place in the patient."""
    orientation: tuple[float, ...] | None
    """Direction along a row, then down a column."""
    spacing: tuple[float, float] | None
    """Between rows, then between columns, millimetres."""
    thickness: float | None
    """From slice to slice as the header states it, millimetres."""
    slope: float = 1.0
    intercept: float = 0.0
    facets: dict[str, str] = field(default_factory=dict)

    @property
    def placed(self) -> bool:
        return None not in (self.position, self.orientation, self.spacing)

    @property
    def source(self) -> SourceFrame:
        own = self.instance
        return SourceFrame(own.path, self.number, own.sop_class_uid, own.sop_instance_uid)
