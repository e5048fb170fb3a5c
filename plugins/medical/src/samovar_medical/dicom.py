"""DICOM in: files, folders and series, as volumes in the patient or as single pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from samovar.errors import InputError, UsageError
from samovar.image import Image, ImageInfo
from samovar_medical.dicom_header import looks_like_dicom
from samovar_medical.dicom_pet import suv_factor
from samovar_medical.dicom_picture import open_picture
from samovar_medical.dicom_pixels import require_whole
from samovar_medical.dicom_privacy import persons_in, private_words
from samovar_medical.dicom_series import Series
from samovar_medical.dicom_source import DicomSource
from samovar_medical.dicom_stack import Stack, build_stack
from samovar_medical.dicom_study import alone, choose_series, read_study
from samovar_medical.dicom_volume import DicomVolume, Values
from samovar_medical.modality import modality_of
from samovar_medical.volume import warn

_AIR = -1024.0
_PHYSICAL = ("CT", "PT")
"""Modalities whose values mean something: MONOCHROME1 says only how to show them."""


class DicomFormat:
    """Opens a DICOM file, or a folder with one series or several."""

    def private_words(self, path: str) -> set[str]:
        """What names the patient in the first DICOM file of a folder, or in a file."""
        place = Path(path)
        every = (p for p in place.rglob("*") if p.is_file()) if place.is_dir() else iter([place])
        first = next(filter(looks_like_dicom, every), None)
        return set() if first is None else private_words(persons_in(first))

    def open(
        self,
        path: str,
        *,
        series: str | None = None,
        allow_gaps: bool = False,
        frame: int | None = None,
        **options: Any,
    ) -> Image:
        """Open one series as a volume (:class:`DicomVolume`), or one picture without a place.

        Headers are read here, pixels when they are asked for. What was left out, dropped or
        resampled is said on the log; nothing that names the patient is.

        Args:
            path: a file, or a folder with all that lies below it.
            series: key, UID or description; needed when the folder holds several.
            allow_gaps: interpolate missing slices and uneven spacings instead of refusing them.
            frame: of pictures without a position, counted from 1.

        Raises:
            InputError: not DICOM, no image in it, damaged, truncated, or a screenshot.
            UsageError: several series and none was chosen, or none of that name.
            GeometryError: missing or uneven slices, or slices that are not one volume.
        """
        try:
            study = read_study(path)
            chosen, notes = choose_series(study, series)
            if not chosen.placed:
                return open_picture(path, chosen, frame)
            if frame is not None:
                raise UsageError(
                    f"{path}: --frame is for pictures without a position in the patient, this is "
                    "a volume: leave it out"
                )
            notes = [*notes, *alone(Path(path), chosen), *chosen.notes]
            return _open_volume(path, chosen, allow_gaps, notes)
        except (InputError, MemoryError, KeyboardInterrupt):
            raise
        except Exception as error:  # pydicom's own messages quote what stands in the header
            raise InputError(
                f"{path}: cannot be read as DICOM ({type(error).__name__}), its headers seem "
                "damaged: export it again"
            ) from error


def _open_volume(path: str, series: Series, allow_gaps: bool, notes: list[str]) -> DicomVolume:
    _require_scalar(path, series)
    for frame in {f.instance.path: f for f in series.frames}.values():
        require_whole(path, frame)
    stack = build_stack(path, series.frames, allow_gaps=allow_gaps)
    first = stack.frames[0].instance
    modality = modality_of(first.modality)
    if modality is None:
        notes = [*notes, "its headers do not say the modality: it is guessed, or say --modality"]
    unit, factor = "", 1.0
    if modality == "pet":
        factor, unit, note = suv_factor(stack.frames)
        notes = [*notes, *([note] if note else [])]
    notes = [*notes, *stack.notes]
    warn(path, notes)
    info = ImageInfo(
        path, "volume", "dicom", modality, (unit,) if unit else (), native={"warnings": notes}
    )
    inverted = first.pixels.photometric == "MONOCHROME1" and first.modality not in _PHYSICAL
    values = Values(factor, inverted, _AIR if modality == "ct" else 0.0)
    return DicomVolume(stack, info, _source(stack), values)


def _source(stack: Stack) -> DicomSource:
    own = stack.frames[0].instance
    return DicomSource(
        tuple(f.source for f in stack.frames),
        tuple(stack.exact(z) for z in range(stack.grid.shape[0])),
        own.study_uid, own.series_uid, own.frame_of_reference_uid, own.modality,
    )  # fmt: skip


def _require_scalar(path: str, series: Series) -> None:
    pixels = series.frames[0].instance.pixels
    if pixels.samples != 1 or pixels.photometric == "PALETTE COLOR":
        raise InputError(
            f"{path}: its slices are in colour ({pixels.samples} values a pixel): give the "
            "original series, not a fused or rendered one"
        )
