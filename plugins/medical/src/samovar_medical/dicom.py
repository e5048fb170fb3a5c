"""DICOM: recognised, and answered with the remedy until it is supported."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from samovar.errors import InputError

_LOOK = 200
"""Files of a folder that are looked at before it counts as one without DICOM."""


class DicomFormat:
    """Refuses DICOM files and folders with the way round."""

    def open(self, path: str, **options: Any) -> NoReturn:
        """Always raises InputError: what the path is, and what to do instead."""
        source = Path(path)
        if source.is_dir() and not holds_dicom(source):
            raise InputError(
                f"{path}: is a folder without DICOM files: give one NIfTI, NRRD or MHA file"
            )
        folder = source if source.is_dir() else source.parent
        raise InputError(
            f"{path}: DICOM is not yet supported here: convert the series to NIfTI first, "
            f'e.g. dcm2niix -z y -o . "{folder}"'
        )


def holds_dicom(folder: Path) -> bool:
    """Whether one of the first files below ``folder`` is DICOM (``DICM`` at offset 128)."""
    for count, file in enumerate(p for p in folder.rglob("*") if p.is_file()):
        if count >= _LOOK:
            return False
        try:
            with file.open("rb") as handle:
                if handle.read(132)[128:] == b"DICM":
                    return True
        except OSError:
            continue
    return False
