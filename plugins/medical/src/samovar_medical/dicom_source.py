"""DicomSource: which DICOM frames an image was read from, for writers that refer to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True)
class SourceFrame:
    """One frame of one instance (file)."""

    path: Path
    number: int
    """Frame number in the instance, counted from 1 as DICOM does; 1 of a single-frame instance."""
    sop_class_uid: str
    sop_instance_uid: str
    """Empty when the file has none."""


@dataclass(frozen=True)
class DicomSource:
    """The frames behind an image, kept as ``image.dicom`` of what ``DicomFormat.open`` returns.

    Array axis 1 of the image runs down the rows of a frame, array axis 2 along its columns, and
    array axis 0 along the cross product of the two directions, from ``frames[0]`` on.
    """

    frames: tuple[SourceFrame, ...]
    """Every frame that was read, sorted along the normal of the slices. Duplicates left out."""
    slices: tuple[int | None, ...]
    """For each slice of the image's grid (array axis 0): index into ``frames`` of the frame that
    lies exactly there, pixel for pixel; None where the slice was interpolated (gaps that were
    allowed, a gantry tilt or an uneven spacing that was resampled)."""
    study_uid: str
    """UIDs are empty when the files have none: writers refuse, nothing is invented."""
    series_uid: str
    frame_of_reference_uid: str
    modality: str
    """As DICOM writes it: ``CT``, ``MR``, ``PT`` …; empty when absent."""

    @property
    def multiframe(self) -> bool:
        """Whether one instance holds several of the frames."""
        return len({f.path for f in self.frames}) < len(self.frames)

    @property
    def resampled(self) -> bool:
        """Whether some slice of the image is not a source frame."""
        return any(s is None for s in self.slices)

    @property
    def missing_uids(self) -> tuple[str, ...]:
        """DICOM keywords of the UIDs without which nothing can refer to this image."""
        found = {
            "StudyInstanceUID": self.study_uid,
            "SeriesInstanceUID": self.series_uid,
            "SOPInstanceUID": all(f.sop_instance_uid for f in self.frames),
            "SOPClassUID": all(f.sop_class_uid for f in self.frames),
        }
        return tuple(keyword for keyword, value in found.items() if not value)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The instances, each once, in the order of their first frame."""
        return tuple(dict.fromkeys(f.path for f in self.frames))

    def header(self, path: Path) -> Dataset:
        """Everything but the pixels of one of :attr:`paths`, read anew.

        It holds patient data: nothing of it may reach a message, a log, a name or a manifest.
        """
        from pydicom import dcmread

        return dcmread(path, stop_before_pixels=True, force=True)
