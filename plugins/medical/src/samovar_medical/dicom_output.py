"""What DICOM SEG and RTSTRUCT share: the study they belong to, and who made the objects."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from samovar.errors import OutputError
from samovar.image import Image
from samovar.labels import EXISTING
from samovar.manifest import DISCLAIMER
from samovar.objects import Objects, SegmentedObject
from samovar_medical.dicom_source import DicomSource, SourceFrame
from samovar_medical.label_names import one_line
from samovar_medical.volume import warn

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MANUFACTURER = "The samovar authors"
PRODUCT = "samovar"

_REQUIRED_IN_OUTPUT = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
"""May be empty, may not be absent: what the source lacks goes out empty."""

AlgorithmType = Literal["MANUAL", "SEMIAUTOMATIC", "AUTOMATIC"]


@dataclass(frozen=True)
class Study:
    """The series that an output refers to."""

    source: DicomSource
    kind: str
    """What is written, for messages."""

    @cached_property
    def headers(self) -> list[Dataset]:
        """Of every instance, without pixels, in the order of their first frame.

        All say the one frame of reference of the series: de-identification sometimes gives every
        slice its own, though their positions belong together.
        """
        found = [_complete(self.source.header(path)) for path in self.source.paths]
        uid = self.source.frame_of_reference_uid
        if any(h.get("FrameOfReferenceUID", uid) != uid for h in found):
            warn(self.kind, [
                "the slices of the series state different frames of reference; that of the first "
                "is written"
            ])  # fmt: skip
        for header in found:
            header.FrameOfReferenceUID = uid
        return found

    @property
    def first(self) -> Dataset:
        return self.headers[0]

    def frame(self, index: int) -> SourceFrame | None:
        """The source frame of slice ``index`` of the image; None where it was interpolated."""
        place = self.source.slices[index]
        return None if place is None else self.source.frames[place]


def require_study(image: Image, kind: str) -> Study:
    """The DICOM series behind an image.

    Args:
        kind: what is to be written, for the message: ``DICOM SEG``.

    Raises:
        OutputError: the image was not read from DICOM, or identifiers are missing that nobody
            may invent.
    """
    source = getattr(image, "dicom", None)
    name = image.info.source
    if not isinstance(source, DicomSource):
        raise OutputError(
            f"{name}: is not DICOM, and a {kind} refers to the images it was made on: segment the "
            "DICOM series itself, or write labels and bring them home: samovar convert LABELS "
            "--reference DICOM_FOLDER -o OUT.dcm"
        )
    missing = list(source.missing_uids)
    if not source.frame_of_reference_uid:
        missing.append("FrameOfReferenceUID")
    if missing:
        raise OutputError(
            f"{name}: its headers have no {', '.join(missing)}, to which a {kind} must refer, and "
            "identifiers are not invented: export the series again with them, or write .nii.gz "
            "or .seg.nrrd"
        )
    return Study(source, kind)


def say_interpolated(study: Study) -> None:
    """Where slices of the image are not the scanner's own, say so."""
    between = sum(s is None for s in study.source.slices)
    if between:
        warn(study.kind, [
            f"{between} of {len(study.source.slices)} slices were interpolated when the series "
            "was read: what lies on them refers to no image of the scanner"
        ])  # fmt: skip


def require_found(objects: Objects, kind: str) -> list[SegmentedObject]:
    """The objects that have voxels; the others are named in a line and left out.

    Raises:
        OutputError: nothing at all was found.
    """
    found = [item for item in objects if not item.empty and item.pixels]
    empty = [item for item in objects if item not in found]
    if not found:
        raise OutputError(f"no object was found, and a {kind} cannot be empty: nothing is written")
    if empty:
        names = ", ".join(f"{i.id} ({i.name})" if i.name else str(i.id) for i in empty)
        warn(kind, [f"left out, since nothing was found of them: object {names}"])
    return found


def label_of(item: SegmentedObject) -> str:
    """The name of an object as DICOM can hold it (VR LO), else its number."""
    return one_line(item.name).replace("\\", "/")[:64].strip() or f"object {item.id}"


@dataclass(frozen=True)
class Maker:
    """Who made an object, as DICOM asks."""

    type: AlgorithmType
    name: str
    version: str
    parameters: Mapping[str, str]


def maker_of(item: SegmentedObject, objects: Objects) -> Maker:
    """SEMIAUTOMATIC where somebody prompted, AUTOMATIC where a generator did; else what is said.

    Labels of unknown origin are SEMIAUTOMATIC by ``unknown``: DICOM has no word for that.
    """
    record = objects.provenance
    version = str(record.get("samovar") or "unknown")
    stated = record.get("algorithm")
    existing = item.attributes.get("origin") == EXISTING["origin"]
    if existing or isinstance(stated, Mapping):
        stated = stated if isinstance(stated, Mapping) else {}
        kind: Any = stated.get("type") or "SEMIAUTOMATIC"
        name = str(stated.get("name") or "unknown")
        return Maker(kind, name, str(stated.get("version") or "unknown"), {})
    model = record.get("model")
    model = model if isinstance(model, Mapping) else {}
    runtime = model.get("runtime")
    runtime = runtime if isinstance(runtime, Mapping) else {}
    parameters = {
        "model": model.get("name"),
        "model version": model.get("version"),
        "weights sha256": model.get("weights_sha256"),
        "runtime": runtime.get("name"),
        "precision": runtime.get("precision"),
        "prompt generator": record.get("generator"),
        "notice": DISCLAIMER,
    }
    told = {key: str(value) for key, value in parameters.items() if value}
    automatic = item.prompt is None and bool(record.get("generator"))
    name = f"{PRODUCT} {str(model.get('name') or '').rpartition('/')[2]}".strip()
    return Maker("AUTOMATIC" if automatic else "SEMIAUTOMATIC", name, version, told)


def weights_hash(objects: Objects) -> str:
    """SHA-256 of the weights, empty where the objects come from no model."""
    model = objects.provenance.get("model")
    return str(model.get("weights_sha256") or "") if isinstance(model, Mapping) else ""


def equipment(objects: Objects) -> dict[str, str]:
    """Manufacturer, model name, version and serial number (of software: the weights' hash)."""
    version = str(objects.provenance.get("samovar") or "unknown")
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": PRODUCT,
        "software_versions": version,
        "device_serial_number": weights_hash(objects)[:16] or version,
    }


def contributing_equipment(objects: Objects) -> Any:
    """samovar as equipment that worked on the images: a processing step."""
    from highdicom import ContributingEquipment
    from highdicom.sr import CodedConcept

    return ContributingEquipment(
        purpose_of_reference=CodedConcept("109102", "DCM", "Processing Equipment"),
        contribution_description=f"segmentation, {DISCLAIMER}",
        **equipment(objects),
    )


def series_number(study: Study) -> int:
    """Of the new series: that of the source, and 9000 on top."""
    try:
        number = int(study.first.get("SeriesNumber") or 0)
    except (TypeError, ValueError):
        number = 0
    return 9000 + max(0, number) % 1_000_000


@contextmanager
def speaking_of_no_patient(kind: str) -> Iterator[None]:
    """Turn what DICOM libraries raise into a line of ours: theirs may quote the header."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise OutputError(
                f"the {kind} could not be made of the series' headers ({type(error).__name__}; "
                "--debug has the details): export the series again, or write .nii.gz or .seg.nrrd"
            ) from error


def _complete(header: Dataset) -> Dataset:
    for keyword in _REQUIRED_IN_OUTPUT:
        if keyword not in header:
            setattr(header, keyword, "")
    return header
