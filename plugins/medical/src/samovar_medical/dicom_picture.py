"""DICOM frames without a place in the patient: radiographs, ultrasound, photographs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.errors import InputError, UsageError
from samovar.image import ArrayImage, ImageInfo
from samovar_medical.dicom_frame import Frame
from samovar_medical.dicom_pixels import require_whole, stored_values, value_range
from samovar_medical.dicom_privacy import silent_pydicom
from samovar_medical.dicom_series import Series
from samovar_medical.dicom_source import DicomSource
from samovar_medical.modality import modality_of


class DicomPicture(ArrayImage):
    """A single 2-D picture; coordinates are pixels."""

    dicom: DicomSource


def open_picture(source: str, series: Series, number: int | None) -> DicomPicture:
    """The picture of a radiograph, an ultrasound image or a photograph.

    MONOCHROME1 is turned round, so that bright means what it means in the viewer.

    Args:
        number: which frame, counted from 1; needed when there are several.

    Raises:
        InputError: a secondary capture, or a slide.
        UsageError: several frames and no ``--frame``.
    """
    if series.screenshot:
        raise InputError(
            f"{source}: is a secondary capture (a screenshot or a report page) without a position "
            "in the patient: give the original series, or save the picture as PNG"
        )
    if series.frames[0].instance.whole_slide:
        raise InputError(
            f"{source}: is a whole-slide image, which is made of tiles: export the region as TIFF "
            "or PNG"
        )
    frame = _chosen(source, series, number)
    require_whole(source, frame)
    own = frame.instance
    about = ImageInfo(source, "picture", "dicom", modality_of(own.modality))
    picture = DicomPicture(_values(source, frame), None, about, channels_last=True)
    picture.dicom = DicomSource(
        (frame.source,), (0,), own.study_uid, own.series_uid, own.frame_of_reference_uid,
        own.modality,
    )  # fmt: skip
    return picture


def _chosen(source: str, series: Series, number: int | None) -> Frame:
    count = len(series.frames)
    if number is None and count > 1:
        raise UsageError(
            f"{source}: holds {count} frames without a position in the patient (a cine loop, or "
            f"pictures of one series): choose one with --frame 1 … {count}"
        )
    if number is not None and not 1 <= number <= count:
        raise UsageError(f"{source}: has no frame {number}: it has 1 … {count}")
    return series.frames[(number or 1) - 1]


def _values(source: str, frame: Frame) -> NDArray[Any]:
    """``(rows, columns, channels)``: one of grey, three of colour."""
    values = stored_values(source, frame)
    if values.ndim == 3:
        return values
    values = _looked_up(source, frame, values)
    if values.ndim == 3:
        return values
    if frame.instance.pixels.photometric == "MONOCHROME1":
        low, high = value_range(frame) or (0, 0)
        if values.dtype.kind in "ui" and low <= values.min() and values.max() <= high:
            values = (low + high) - values.astype(np.int64)
            values = values.astype(np.min_scalar_type(max(high - low, 1)) if low >= 0 else np.int32)
        else:
            values = values.max() - values
    return values[..., None]


def _looked_up(source: str, frame: Frame, values: NDArray[Any]) -> NDArray[Any]:
    """Through the modality look-up table or the palette, where the header has one."""
    from pydicom import dcmread
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

    try:
        with silent_pydicom():
            header = dcmread(frame.instance.path, stop_before_pixels=True, force=True)
            if frame.instance.pixels.photometric == "PALETTE COLOR":
                wide = apply_color_lut(values, header)[..., :3]
                return wide if wide.dtype == np.uint8 else (wide >> 8).astype(np.uint8)
            if (frame.slope, frame.intercept) == (1.0, 0.0) and "ModalityLUTSequence" not in header:
                return values
            return np.asarray(apply_modality_lut(values, header), dtype=np.float32)
    except Exception as error:
        raise InputError(
            f"{source}: its look-up table is damaged ({type(error).__name__}): export it again"
        ) from error
