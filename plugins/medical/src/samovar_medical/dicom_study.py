"""A DICOM file or folder: the images in it, and the choice of one."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from samovar.errors import InputError, UsageError
from samovar_medical.dicom_frame import Frame
from samovar_medical.dicom_header import looks_like_dicom, read_frames
from samovar_medical.dicom_series import Series, series_of

MAX_FILES = 100_000
"""Files that are looked at below one folder; more is an archive, not a study."""

_LISTED = 30
_NEIGHBOURS = 20
_NOT_IMAGES = {
    "1.2.840.10008.5.1.4.1.1.66.4": "a DICOM segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "a DICOM segmentation",
    "1.2.840.10008.5.1.4.1.1.481.2": "a radiotherapy dose",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Study:
    """What a folder or a file holds."""

    source: str
    series: tuple[Series, ...]
    others: Counter[str]
    """Counts of what is DICOM but no image."""


def read_study(source: str) -> Study:
    """Everything that a DICOM file or a folder (with what lies below it) holds.

    Raises:
        InputError: no DICOM image there, or a file that is damaged (it is named).
    """
    path = Path(source)
    files = _files(path) if path.is_dir() else [path]
    frames: list[Frame] = []
    others: Counter[str] = Counter()
    for file in files:
        found = read_frames(file)
        what = _NOT_IMAGES.get(found[0].instance.sop_class_uid) if found else "no image"
        if what:
            others[what] += 1
        else:
            frames += found
    if not frames:
        raise InputError(f"{source}: {_nothing(path, files, others)}")
    return Study(source, tuple(series_of(frames)), others)


def alone(path: Path, series: Series) -> list[str]:
    """A word when a single slice was given whose folder holds more of its series."""
    if path.is_dir() or len(series.frames) > 1 or not series.uid:
        return []
    for other in itertools.islice(path.parent.iterdir(), _NEIGHBOURS):
        if other != path and other.is_file() and looks_like_dicom(other):
            frames = read_frames(other)
            if frames and frames[0].instance.series_uid == series.uid:
                return ["one slice of a series: give its folder to open the whole of it"]
    return []


def choose_series(study: Study, wanted: str | None) -> tuple[Series, list[str]]:
    """The series to open, and what was left out.

    Args:
        wanted: key, UID or (part of the) description; None: the only volume that is neither a
            localiser nor without position.

    Raises:
        UsageError: none or several fit; all are listed, without patient data.
    """
    every = study.series
    if wanted is not None:
        return _find(study, wanted.strip()), []
    if len(every) == 1:
        return every[0], []
    fitting = [s for s in every if s.placed and not s.localiser]
    if len(fitting) == 1:
        rest = [s.describe() for s in every if s is not fitting[0]]
        return fitting[0], [f"opened series {fitting[0].key}; left out {'; '.join(rest[:_LISTED])}"]
    raise UsageError(
        f"{study.source}: holds {len(every)} series, choose one with --series: {_list(every)}"
    )


def _find(study: Study, wanted: str) -> Series:
    word = wanted.casefold()
    tests: list[Callable[[Series], bool]] = [
        lambda s: s.key == wanted,
        lambda s: bool(s.uid) and s.uid == wanted,
        lambda s: s.key.split(".")[0] == wanted,
        lambda s: s.description.casefold() == word,
        lambda s: bool(word) and word in s.description.casefold(),
    ]
    for test in tests:
        found = [s for s in study.series if test(s)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(
                f"{study.source}: --series {wanted} fits {len(found)} of them, choose one: "
                f"{_list(found)}"
            )
    raise UsageError(f"{study.source}: has no series {wanted}: there is {_list(study.series)}")


def _list(series: Sequence[Series]) -> str:
    more = f"; and {len(series) - _LISTED} more" if len(series) > _LISTED else ""
    return "; ".join(s.describe() for s in series[:_LISTED]) + more


def _files(folder: Path) -> list[Path]:
    """DICOM files below a folder, by name; hidden ones and directories of media are left out."""
    every = list(itertools.islice((p for p in folder.rglob("*") if p.is_file()), MAX_FILES + 1))
    if len(every) > MAX_FILES:
        raise InputError(
            f"{folder}: holds more than {MAX_FILES} files: give the folder of one study"
        )
    return [
        p
        for p in sorted(every)
        if not p.name.startswith(".") and p.name.upper() != "DICOMDIR" and looks_like_dicom(p)
    ]


def _nothing(path: Path, files: Sequence[Path], others: Counter[str]) -> str:
    if not files:
        return "is a folder without DICOM files: give one NIfTI, NRRD or MHA file, or the series"
    segmentations = others["a DICOM segmentation"]
    if segmentations:
        return "is a DICOM segmentation, not an image: give the series that it belongs to"
    if path.is_dir():
        return (
            f"holds {len(files)} DICOM files but no image (reports, plans or directories): give "
            "the folder of a series"
        )
    kinds = [k for k in others if k != "no image"]
    what = kinds[0] if kinds else "DICOM without an image (a report, a plan or a directory)"
    return f"is {what}: give an image series"
