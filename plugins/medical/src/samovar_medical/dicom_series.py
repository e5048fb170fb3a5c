"""Which DICOM frames belong together: series, and the volumes inside a series."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from samovar_medical.dicom_frame import FACETS, MODALITIES, Frame
from samovar_medical.dicom_pixels import pixel_bytes
from samovar_medical.dicom_privacy import persons_in, shareable
from samovar_medical.dicom_stack import SAME_PLACE, distance, normal_of

_ALIKE = 1e-3
"""Largest difference of direction cosines inside one volume."""

_SCREENSHOTS = re.compile(r"1\.2\.840\.10008\.5\.1\.4\.1\.1\.7(\.\d+)?")
_TIMES = {"AcquisitionTime", "ContentTime", "DiffusionGradientOrientation"}
"""Facets that are told apart but not shown: times of a patient's visit, long vectors."""

_NUMBERS = {
    "AcquisitionNumber", "TemporalPositionIdentifier", "TemporalPositionIndex", "EchoNumbers",
    "EchoTime", "EffectiveEchoTime", "DiffusionBValue", "InversionTime", "FlipAngle", "TriggerTime",
    "NominalPercentageOfCardiacPhase",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Series:
    """Frames that can be opened as one image."""

    key: str
    """What ``--series`` takes: the series number, ``3`` or ``3.2`` where one is not enough."""
    frames: tuple[Frame, ...]
    about: tuple[str, ...] = ()
    """What tells it from others of the same series: ``echo time 92``."""
    notes: tuple[str, ...] = ()

    @property
    def uid(self) -> str:
        return self.frames[0].instance.series_uid

    @property
    def description(self) -> str:
        return self.frames[0].instance.description

    @property
    def placed(self) -> bool:
        return self.frames[0].placed

    @property
    def localiser(self) -> bool:
        return "LOCALIZER" in self.frames[0].instance.image_type

    @property
    def screenshot(self) -> bool:
        own = self.frames[0].instance
        return _SCREENSHOTS.fullmatch(own.sop_class_uid) is not None or (
            own.modality == "OT" and not self.placed
        )

    def describe(self) -> str:
        """``3 (CT, 64 slices of 512×512, axial, 0.78×0.78×1 mm, "Thorax")``."""
        first, pixels = self.frames[0], self.frames[0].instance.pixels
        count = len(self.frames)
        parts = [
            first.instance.modality
            if first.instance.modality in MODALITIES
            else "modality unknown",
            f"{count} {'slice' if self.placed else 'frame'}{'s' * (count > 1)} of "
            f"{pixels.columns}×{pixels.rows}",
        ]
        if self.placed:
            parts += ["localiser" if self.localiser else "", plane_of(first), _millimetres(self)]
        else:
            parts.append("secondary capture" if self.screenshot else "no position in the patient")
        parts += [*self.about, f'"{self.description}"' if self.description else ""]
        return f"{self.key} ({', '.join(p for p in parts if p)})"


def plane_of(frame: Frame) -> str:
    """``axial``, ``coronal`` or ``sagittal``; with ``oblique`` when more than 10° off."""
    cosines = np.abs(normal_of(frame))
    name = ("sagittal", "coronal", "axial")[int(np.argmax(cosines))]
    return name if cosines.max() > np.cos(np.radians(10)) else f"oblique {name}"


def series_of(frames: Sequence[Frame]) -> list[Series]:
    """Volumes and pictures, in the order of their series numbers, each with a key of its own."""
    found: list[Series] = []
    for group in _grouped(frames, _same_series):
        placed = [f for f in group if f.placed]
        for part in _grouped(placed, _same_raster):
            for volume in _by_orientation(part):
                found += _volumes(volume)
        for part in _grouped([f for f in group if not f.placed], _same_raster):
            ordered = sorted(part, key=lambda f: (f.instance.number, str(f.instance.path)))
            found.append(Series("", tuple(ordered)))
    return _with_keys(sorted(found, key=_order))


def _same_series(frame: Frame) -> Hashable:
    own = frame.instance
    if own.series_uid:
        return (own.study_uid, own.series_uid)
    # without a UID a folder is the only thing that still holds a series together
    return (str(own.path.parent), own.series_number, own.description, own.modality)


def _same_raster(frame: Frame) -> Hashable:
    pixels = frame.instance.pixels
    spacing = tuple(round(v, 4) for v in frame.spacing or ())
    frames = frame.instance.path if not frame.placed and pixels.frames > 1 else None
    return (pixels.rows, pixels.columns, pixels.samples, spacing, frame.instance.modality, frames)


def _grouped(frames: Iterable[Frame], key: Callable[[Frame], Hashable]) -> list[list[Frame]]:
    groups: dict[Hashable, list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[key(frame)].append(frame)
    return list(groups.values())


def _by_orientation(frames: Sequence[Frame]) -> list[list[Frame]]:
    groups: list[tuple[np.ndarray, list[Frame]]] = []
    for frame in frames:
        cosines = np.array(frame.orientation)
        for known, members in groups:
            if np.abs(known - cosines).max() <= _ALIKE:
                members.append(frame)
                break
        else:
            groups.append((cosines, [frame]))
    return [members for _, members in groups]


def _volumes(frames: Sequence[Frame]) -> list[Series]:
    """One volume, or several when places are taken more than once by different pictures."""
    unique, dropped = _without_copies(frames)
    notes = (f"{dropped} duplicated slice{'s' * (dropped > 1)} left out",) if dropped else ()
    return [Series("", tuple(part), about, notes) for part, about in _split(unique, tuple(FACETS))]


def _split(
    frames: Sequence[Frame], keywords: Sequence[str]
) -> list[tuple[Sequence[Frame], tuple[str, ...]]]:
    """By the facets that tell frames of one place apart: echoes, phases, b-values …

    A facet counts only when each of its values covers at least half of the places: one that
    differs from slice to slice (a time) tells nothing.
    """
    places = _places(frames)
    if max(len(p) for p in places) == 1:
        return [(frames, ())]
    for i, keyword in enumerate(keywords):
        groups: dict[str, list[Frame]] = defaultdict(list)
        for frame in frames:
            groups[frame.facets.get(keyword, "")].append(frame)
        if len(groups) < 2 or any(2 * len(_places(g)) < len(places) for g in groups.values()):
            continue
        found = []
        for number, value in enumerate(sorted(groups, key=_value_order), start=1):
            shown = _shown(keyword, value, groups[value][0]) or f"{number} of {len(groups)}"
            for part, about in _split(groups[value], keywords[i + 1 :]):
                found.append((part, (f"{FACETS[keyword]} {shown}", *about)))
        return found
    return [(frames, ())]


def _shown(keyword: str, value: str, frame: Frame) -> str:
    """A facet's value for a person: a number, or a text that names nobody; else empty."""
    if keyword in _TIMES:
        return ""
    if not value:
        return "none"
    if keyword in _NUMBERS:
        return value if _value_order(value)[0] == 0 else ""
    return shareable(value, persons_in(frame.instance.path))


def _places(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames by their place along the normal."""
    ordered = sorted(frames, key=distance)
    groups: list[list[Frame]] = []
    for frame in ordered:
        if groups and distance(frame) - distance(groups[-1][0]) < SAME_PLACE:
            groups[-1].append(frame)
        else:
            groups.append([frame])
    return groups


def _without_copies(frames: Sequence[Frame]) -> tuple[list[Frame], int]:
    """Frames without those that hold the same pixels at the same place as another."""
    kept: list[Frame] = []
    for place in _places(frames):
        seen: set[bytes] = set()
        for frame in place:
            content = pixel_bytes(frame) if len(place) > 1 else b""
            if content not in seen:
                seen.add(content)
                kept.append(frame)
    return kept, len(frames) - len(kept)


def _value_order(value: str) -> tuple[int, float, str]:
    try:
        return (0, float(value), value)
    except ValueError:
        return (1, 0.0, value)


def _order(series: Series) -> tuple[int, str, int]:
    own = series.frames[0].instance
    number = own.series_number
    return (number if number is not None else 1 << 31, own.series_uid, -len(series.frames))


def _with_keys(series: Sequence[Series]) -> list[Series]:
    """Keys that are unique: the series number, with ``.1``, ``.2`` … where it is shared."""
    numbers = [s.frames[0].instance.series_number or 0 for s in series]
    counts, used = Counter(numbers), Counter[int]()
    named = []
    for number, one in zip(numbers, series, strict=True):
        used[number] += 1
        key = f"{number}.{used[number]}" if counts[number] > 1 else str(number)
        named.append(replace(one, key=key))
    return named


def _millimetres(series: Series) -> str:
    first = series.frames[0]
    down, across = first.spacing or (0.0, 0.0)
    deep = sorted(distance(f) for f in series.frames)
    step = float(np.median(np.diff(deep))) if len(deep) > 1 else first.thickness
    return f"{across:.3g}×{down:.3g}" + (f"×{step:.3g} mm" if step else " mm")
