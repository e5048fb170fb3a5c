"""DICOM SEG: binary segments or a label map, coded, in the study of the images they were made on.

PS3.3 A.51 (Segmentation) and A.51 with SegmentationType LABELMAP (Supplement 243), by highdicom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.errors import OutputError
from samovar.grid import Region
from samovar.manifest import DISCLAIMER
from samovar.objects import Objects, SegmentedObject
from samovar.preview import colour
from samovar_medical.codes import Code, Meaning
from samovar_medical.dicom_output import (
    Maker,
    contributing_equipment,
    equipment,
    label_of,
    maker_of,
    series_number,
)
from samovar_medical.dicom_writer import Content, DicomWriter
from samovar_medical.volume import warn

STACK_LIMIT = 1 << 29
"""Bytes that overlapping segments may take while they are written, one byte a voxel each."""

LARGE = 1 << 28
"""Bytes of pixels from which the user is told of the smaller way."""

_LARGEST_LABEL = 65_535


class DicomSegFormat(DicomWriter):
    """Writes BINARY segmentations: each object whole, overlaps kept."""

    kind = "DICOM SEG"
    uncoded = "written as Tissue"
    _type = "BINARY"

    def dataset(self, content: Content) -> Any:
        from highdicom import Volume
        from highdicom.seg import Segmentation
        from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

        objects, items, study = content.objects, content.items, content.study
        self._say_large(items, objects.grid.shape)
        numbers = self._numbers(items)
        start, array = self._array(objects, items, numbers)
        affine = objects.grid.affine[:, [2, 1, 0, 3]].copy()
        affine[:3, 3] += start * affine[:3, 0]
        binary = self._type == "BINARY"
        # a channel is named where segments may overlap; highdicom finds the source frames by place
        channels = {"SegmentNumber": list(numbers.values())} if array.ndim == 4 else None
        volume = Volume(
            array, affine, "PATIENT", study.source.frame_of_reference_uid, channels=channels
        )
        return Segmentation(
            source_images=study.headers,
            pixel_array=volume,
            segmentation_type=self._type,
            segment_descriptions=[
                _describe(i, numbers[i.id], content.meanings[i.id], maker_of(i, objects), binary)
                for i in items
            ],
            series_instance_uid=generate_uid(),
            series_number=series_number(study),
            sop_instance_uid=generate_uid(),
            instance_number=1,
            content_label="SEGMENTATION",
            content_description=f"samovar, {DISCLAIMER}",
            series_description="Segmentation by samovar",
            transfer_syntax_uid=ExplicitVRLittleEndian if binary else RLELossless,
            contributing_equipment=[contributing_equipment(objects)],
            **equipment(objects),
        )

    def _numbers(self, items: Sequence[SegmentedObject]) -> dict[int, int]:
        """Object number → segment number: from 1 without gaps, as BINARY demands."""
        return {item.id: number for number, item in enumerate(items, start=1)}

    def _array(
        self, objects: Objects, items: Sequence[SegmentedObject], numbers: dict[int, int]
    ) -> tuple[int, NDArray[Any]]:
        """First slice, and the slices that hold anything: labels, or one plane a segment."""
        region = _slices_of(items, objects.grid.region)
        shown = Objects(objects.grid, tuple(items))
        labels = _renumbered(shown, region, numbers)
        covered = sum(item.pixels for item in items)
        if np.count_nonzero(labels) == covered or not self._overlaps(region, len(items)):
            return region.start[0], labels
        stack = np.zeros((*region.shape, len(items)), dtype=np.uint8)
        for item in items:
            stack[(*item.region.within(region), numbers[item.id] - 1)] = item.mask
        return region.start[0], stack

    def _say_large(self, items: Sequence[SegmentedObject], shape: tuple[int, ...]) -> None:
        """A frame holds a bit a pixel, and there is one a segment and slice that it lies on."""
        frames = sum(item.region.shape[0] for item in items)
        size = frames * math.ceil(shape[1] * shape[2] / 8)
        if size > LARGE:
            warn(self.kind, [
                f"{frames} frames of one bit a pixel make {size / 1e6:.0f} MB, and writing them "
                "takes about four times that in memory: -o seg-labelmap:OUT.dcm is far smaller "
                "where objects do not overlap"
            ])  # fmt: skip

    def _overlaps(self, region: Region, count: int) -> bool:
        """Whether overlaps can be kept."""
        if int(np.prod(region.shape)) * count <= STACK_LIMIT:
            return True
        warn(self.kind, [
            f"{count} objects that overlap are too many to keep the overlaps: where they do, the "
            "smaller one shows, as in label images"
        ])  # fmt: skip
        return False


class DicomSegLabelmapFormat(DicomSegFormat):
    """Writes LABELMAP segmentations: the label image with its own numbers, one frame a slice."""

    kind = "DICOM label map SEG"
    _type = "LABELMAP"

    def _numbers(self, items: Sequence[SegmentedObject]) -> dict[int, int]:
        if max(item.id for item in items) > _LARGEST_LABEL:
            raise OutputError(
                f"a {self.kind} holds numbers up to {_LARGEST_LABEL}, and there are larger ones: "
                "write -o OUT.dcm, or .nii.gz"
            )
        return {item.id: item.id for item in items}

    def _say_large(self, items: Sequence[SegmentedObject], shape: tuple[int, ...]) -> None:
        """It holds one frame a slice."""

    def _overlaps(self, region: Region, count: int) -> bool:
        return False


def _slices_of(items: Sequence[SegmentedObject], whole: Region) -> Region:
    first = min(item.region.start[0] for item in items)
    last = max(item.region.stop[0] for item in items)
    return Region((first, *whole.start[1:]), (last, *whole.stop[1:]))


def _renumbered(objects: Objects, region: Region, numbers: dict[int, int]) -> NDArray[Any]:
    """Segment numbers ``(z, y, x)``, uint8 or uint16."""
    labels = objects.labels(region)
    kind = np.uint8 if max(numbers.values()) < 256 else np.uint16
    if all(a == b for a, b in numbers.items()):
        return labels.astype(kind, copy=False)
    out = np.zeros(labels.shape, dtype=kind)
    for plane, given in zip(out, labels, strict=True):
        ids = np.array([0, *sorted(numbers)])
        new = np.array([0, *(numbers[i] for i in sorted(numbers))], dtype=kind)
        plane[:] = new[np.searchsorted(ids, given)]
    return out


def _describe(
    item: SegmentedObject, number: int, meaning: Meaning, maker: Maker, binary: bool
) -> Any:
    """One item of the Segment Sequence."""
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription
    from highdicom.sr import CodedConcept
    from pydicom.uid import generate_uid

    algorithm = None
    if maker.type != "MANUAL":
        algorithm = AlgorithmIdentificationSequence(
            name=maker.name[:64],
            family=CodedConcept("123110", "DCM", "Artificial Intelligence"),
            version=maker.version[:64],
            source="samovar",
            parameters=dict(maker.parameters) or None,
        )
    described = SegmentDescription(
        segment_number=number,
        segment_label=label_of(item),
        segmented_property_category=_concept(meaning.category),
        segmented_property_type=_concept(meaning.type),
        algorithm_type=maker.type,
        algorithm_identification=algorithm,
        tracking_uid=generate_uid(),
        tracking_id=f"samovar object {item.id}",
        anatomic_regions=[_concept(meaning.region)] if meaning.region else None,
        display_color=CIELabColor.from_rgb(*colour(item.id)),
    )
    if meaning.side is not None:
        _add_side(described, meaning.side)
    return described


def _add_side(described: Any, side: Code) -> None:
    """Laterality: of the anatomic region where one is stated, else of the type."""
    if "AnatomicRegionSequence" in described:
        described.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [_concept(side)]
    else:
        kind = described.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [_concept(side)]


def _concept(code: Code) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, code.meaning)
