"""RTSTRUCT: outlines in millimetres, slice by slice, for planning systems.

PS3.3 A.19. Outlines run along the edges of the pixels, so that area and volume are those of the
mask. Holes are cut in by keyholes (CLOSED_PLANAR; PS3.3 C.8.8.6.3), never left as outlines of
their own, which some readers would add.
"""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

from samovar.grid import Grid
from samovar.manifest import DISCLAIMER
from samovar.objects import Objects, SegmentedObject
from samovar.preview import colour
from samovar_medical.codes import Meaning
from samovar_medical.dicom_output import (
    Maker,
    Study,
    contributing_equipment,
    equipment,
    label_of,
    maker_of,
    series_number,
)
from samovar_medical.dicom_writer import Content, DicomWriter
from samovar_medical.outlines import Ring, outlines

_STORAGE = "1.2.840.10008.5.1.4.1.1.481.3"
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
_NUMBER = 16
"""Characters that one number may have (VR DS)."""


class RtstructFormat(DicomWriter):
    """Writes one RT Structure Set; each object is one ROI with its whole mask."""

    kind = "RTSTRUCT"

    def dataset(self, content: Content) -> Any:
        objects, study = content.objects, content.study
        dataset = _head(study, objects)
        frame_uid = study.source.frame_of_reference_uid
        numbered = list(enumerate(content.items, start=1))
        dataset.ReferencedFrameOfReferenceSequence = [_references(study, frame_uid)]
        dataset.StructureSetROISequence = [
            _roi(number, item, maker_of(item, objects), frame_uid) for number, item in numbered
        ]
        dataset.ROIContourSequence = [
            _contours(number, item, objects.grid, study) for number, item in numbered
        ]
        dataset.RTROIObservationsSequence = [
            _observation(number, content.meanings[item.id]) for number, item in numbered
        ]
        dataset.ApprovalStatus = "UNAPPROVED"
        return dataset


def _head(study: Study, objects: Objects) -> Any:
    from highdicom import SOPClass
    from pydicom.uid import ImplicitVRLittleEndian, generate_uid

    source = study.first
    dataset = SOPClass(
        study_instance_uid=study.source.study_uid,
        series_instance_uid=generate_uid(),
        series_number=series_number(study),
        sop_instance_uid=generate_uid(),
        sop_class_uid=_STORAGE,
        instance_number=1,
        modality="RTSTRUCT",
        # explicit VR holds 64 kB a value, which the outline of a body may exceed
        transfer_syntax_uid=ImplicitVRLittleEndian,
        patient_id=source.PatientID,
        patient_name=source.PatientName,
        patient_birth_date=source.PatientBirthDate,
        patient_sex=source.PatientSex,
        accession_number=source.AccessionNumber,
        study_id=source.StudyID,
        study_date=source.StudyDate,
        study_time=source.StudyTime,
        referring_physician_name=source.ReferringPhysicianName,
        specific_character_set=source.get("SpecificCharacterSet"),
        series_description="Structures by samovar",
        **equipment(objects),
    )
    dataset.copy_patient_and_study_information(source)
    dataset.ContributingEquipmentSequence = [contributing_equipment(objects)]
    now = datetime.datetime.now()
    dataset.OperatorsName = ""
    dataset.FrameOfReferenceUID = study.source.frame_of_reference_uid
    dataset.PositionReferenceIndicator = ""
    dataset.StructureSetLabel = "samovar"
    dataset.StructureSetDescription = f"segmentation, {DISCLAIMER}; holes are keyholes"
    dataset.StructureSetDate = now.strftime("%Y%m%d")
    dataset.StructureSetTime = now.strftime("%H%M%S")
    return dataset


def _references(study: Study, frame_uid: str) -> Any:
    series = _dataset(
        SeriesInstanceUID=study.source.series_uid,
        ContourImageSequence=[
            _dataset(ReferencedSOPClassUID=h.SOPClassUID, ReferencedSOPInstanceUID=h.SOPInstanceUID)
            for h in study.headers
        ],
    )
    referenced = _dataset(
        ReferencedSOPClassUID=_STUDY_CLASS,
        ReferencedSOPInstanceUID=study.source.study_uid,
        RTReferencedSeriesSequence=[series],
    )
    return _dataset(FrameOfReferenceUID=frame_uid, RTReferencedStudySequence=[referenced])


def _roi(number: int, item: SegmentedObject, maker: Maker, frame_uid: str) -> Any:
    told = [f"{key} {value}" for key, value in maker.parameters.items()]
    return _dataset(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=frame_uid,
        ROIName=label_of(item),
        ROIGenerationAlgorithm=maker.type,
        ROIGenerationDescription=f"{maker.name} {maker.version}"[:64],
        ROIDescription="; ".join([f"samovar object {item.id}", *told])[:1024],
    )


def _contours(number: int, item: SegmentedObject, grid: Grid, study: Study) -> Any:
    mask = item.mask
    z, y, x = item.region.start
    contours = []
    for offset, plane in enumerate(mask):
        frame = study.frame(z + offset)
        for ring in outlines(plane):
            contour = _dataset(
                ContourGeometricType="CLOSED_PLANAR",
                NumberOfContourPoints=len(ring),
                ContourNumber=len(contours) + 1,
                ContourData=_millimetres(ring, (x, y, z + offset), grid),
            )
            if frame is not None:
                reference = _dataset(
                    ReferencedSOPClassUID=frame.sop_class_uid,
                    ReferencedSOPInstanceUID=frame.sop_instance_uid,
                )
                if study.source.multiframe:
                    reference.ReferencedFrameNumber = frame.number
                contour.ContourImageSequence = [reference]
            contours.append(contour)
    return _dataset(
        ReferencedROINumber=number, ROIDisplayColor=list(colour(item.id)), ContourSequence=contours
    )


def _millimetres(ring: Ring, origin: tuple[int, int, int], grid: Grid) -> list[str]:
    """Corners as text, x, y, z after each other, LPS millimetres, to a tenth of a micrometre."""
    points = np.array([(x, y, 0.0) for x, y in ring]) + origin
    return [f"{v + 0.0:.4f}"[:_NUMBER] for v in grid.to_world(points).ravel().tolist()]


def _observation(number: int, meaning: Meaning) -> Any:
    observation = _dataset(
        ObservationNumber=number,
        ReferencedROINumber=number,
        RTROIInterpretedType="",
        ROIInterpreter="",
    )
    if meaning.known:
        code = _dataset(
            CodeValue=meaning.type.value,
            CodingSchemeDesignator=meaning.type.scheme,
            CodeMeaning=meaning.type.meaning,
        )
        observation.RTROIIdentificationCodeSequence = [code]
    return observation


def _dataset(**elements: Any) -> Any:
    from pydicom.dataset import Dataset

    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset
