"""From slices with positions to one grid: sorted, unique, evenly spaced, at right angles.

Everything is decided by ImagePositionPatient and ImageOrientationPatient; slice locations, instance
numbers and file names are never trusted. Slices are stacked along the cross product of the row and
the column direction, so that the grid is right-handed whatever the order of the files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samovar.errors import GeometryError
from samovar.grid import Grid
from samovar_medical.dicom_frame import Frame
from samovar_medical.volume import MAX_SHEAR, require_plausible, volume_grid

FloatArray = NDArray[np.float64]

SAME_PLACE = 0.01
"""Millimetres below which two slices lie at one place."""

UNEVEN = 0.2
"""Share of the spacing by which a slice may lie off; positions rounded to 0.1 mm stay below."""

SHIFTED = 0.5
"""Pixels by which a slice may lie off the line of a gantry tilt."""

_STEEPEST = 45.0
_MANY = 4.0
"""An uneven stack may become this many times as many slices when it is resampled."""


@dataclass(frozen=True)
class Part:
    """What one frame gives to one slice of the grid."""

    frame: int
    weight: float
    shift: tuple[float, float] = (0.0, 0.0)
    """Pixels along x and y by which it is moved."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames in order along the normal, and how the slices of a grid come of them."""

    grid: Grid
    frames: tuple[Frame, ...]
    slices: tuple[tuple[Part, ...], ...]
    notes: tuple[str, ...]

    def exact(self, index: int) -> int | None:
        """The frame that slice ``index`` of the grid is, pixel for pixel; None if interpolated."""
        parts, pixels = self.slices[index], self.frames[0].instance.pixels
        whole = self.grid.shape[1:] == (pixels.rows, pixels.columns)
        alone = len(parts) == 1 and parts[0].shift == (0.0, 0.0)
        return parts[0].frame if whole and alone else None


def normal_of(frame: Frame) -> FloatArray:
    """Unit vector from slice to slice."""
    row, column = _directions(frame)
    return np.asarray(np.cross(row, column))


def distance(frame: Frame) -> float:
    """Millimetres along the normal."""
    return float(np.dot(frame.position or (), normal_of(frame)))


def check_orientation(source: str, frame: Frame) -> None:
    """Refuse directions that are not two unit vectors at right angles, and spacings of nothing.

    Raises:
        GeometryError: naming what is wrong.
    """
    row, column = _directions(frame)
    numbers = [*row, *column, *(frame.position or ()), *(frame.spacing or ())]
    if not np.isfinite(numbers).all():
        raise GeometryError(f"{source}: its position or orientation holds NaN: export it again")
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(v - 1) for v in lengths) > 0.01 or abs(np.dot(row, column)) > MAX_SHEAR:
        raise GeometryError(
            f"{source}: its orientation is not two unit vectors at right angles: export the "
            "original series again"
        )
    if min(frame.spacing or (0.0,)) <= 0:
        raise GeometryError(f"{source}: its pixel spacing is 0: export the original series again")


def build_stack(source: str, frames: Sequence[Frame], *, allow_gaps: bool = False) -> Stack:
    """The grid of frames of one orientation, size and pixel spacing, no two at one place.

    Raises:
        GeometryError: missing slices or an uneven spacing (their positions are named) unless
            ``allow_gaps``, or slices that are shifted against each other.
    """
    check_orientation(source, frames[0])
    ordered = sorted(frames, key=distance)
    places = np.array([distance(f) for f in ordered])
    step, steps, gap_notes = _steps(source, ordered, places, allow_gaps)
    offsets, tilt_notes, vector = _offsets(source, ordered, places, step)
    low, high = np.floor(offsets.min(axis=0)), np.ceil(offsets.max(axis=0))
    wanted = places[0] + step * np.arange(steps)
    slices = [_parts(place, places, step, offsets - low) for place in wanted]
    rows, columns = frames[0].instance.pixels.rows, frames[0].instance.pixels.columns
    width, height = (int(v) for v in np.array([columns, rows]) + high - low)
    require_plausible(source, (width, height, steps), 2)
    grid = volume_grid(source, (steps, height, width), _affine(ordered[0], low, vector))
    return Stack(grid, tuple(ordered), tuple(slices), (*gap_notes, *tilt_notes))


def _directions(frame: Frame) -> tuple[FloatArray, FloatArray]:
    cosines = np.array(frame.orientation, dtype=np.float64)
    return cosines[:3], cosines[3:]


def _steps(
    source: str, frames: Sequence[Frame], places: FloatArray, allow_gaps: bool
) -> tuple[float, int, list[str]]:
    """Spacing of the slices and their count, and what has to be said about it."""
    if len(places) == 1:
        step = frames[0].thickness
        if step is None:
            return 1.0, 1, ["one slice of unknown thickness: 1 mm is assumed"]
        return step, 1, []
    twice = [places[i] for i in np.flatnonzero(np.diff(places) < SAME_PLACE)]
    if twice:
        raise GeometryError(
            f"{source}: holds slices with different pixels at {_positions(frames, twice)}, and "
            "nothing in their headers tells them apart: separate the files first"
        )
    mean = float(places[-1] - places[0]) / (len(places) - 1)
    even = places[0] + mean * np.arange(len(places))
    if np.abs(places - even).max() <= UNEVEN * mean:
        return mean, len(places), []
    return _uneven_steps(source, frames, places, allow_gaps)


def _uneven_steps(
    source: str, frames: Sequence[Frame], places: FloatArray, allow_gaps: bool
) -> tuple[float, int, list[str]]:
    gaps = np.diff(places)
    found = _regular(places, float(np.median(gaps))) or _regular(places, float(gaps.min()))
    if found is not None:
        step, counts = found
        steps = int(counts.sum()) + 1
        missing = steps - len(places)
        named = _positions(frames, _missing(places, counts, step))
        what = f"{missing} of its {steps} slices {'is' if missing == 1 else 'are'} missing: {named}"
        remedy = "export the series again, or interpolate across the gap with --allow-gaps"
    else:
        step = float(gaps.min())
        steps = round(float(places[-1] - places[0]) / step) + 1
        worst = sorted(int(i) for i in np.argsort(-np.abs(gaps - np.median(gaps)))[:5])
        named = "; ".join(
            f"{gaps[i]:.4g} mm after {_positions(frames, [places[i]])}" for i in worst
        )
        what = f"its slices are unevenly spaced ({gaps.min():.4g} to {gaps.max():.4g} mm; {named})"
        remedy = "choose a part of it, or resample it to the finest spacing with --allow-gaps"
    if not allow_gaps:
        raise GeometryError(f"{source}: {what}: {remedy}")
    if steps > _MANY * len(places):
        raise GeometryError(
            f"{source}: {what}: that is too much to interpolate, export the series again"
        )
    return step, steps, [f"{what}; interpolated between their neighbours"]


def _regular(places: FloatArray, guess: float) -> tuple[float, FloatArray] | None:
    """Step near ``guess`` of which every distance is a multiple, and the multiples."""
    counts = np.maximum(np.rint(np.diff(places) / guess), 1)
    step = float((places[-1] - places[0]) / counts.sum())
    grid = np.concatenate([[0.0], np.cumsum(counts)]) * step + places[0]
    return (step, counts) if np.abs(places - grid).max() <= UNEVEN * step else None


def _missing(places: FloatArray, counts: FloatArray, step: float) -> list[float]:
    return [
        float(places[i] + step * k) for i, count in enumerate(counts) for k in range(1, int(count))
    ]


def _positions(frames: Sequence[Frame], wanted: Sequence[float], most: int = 8) -> str:
    """Places along the normal as a person finds them: the coordinate that changes most."""
    normal = normal_of(frames[0])
    axis = int(np.argmax(np.abs(normal)))
    base, start = frames[0].position or (), distance(frames[0])
    values = [base[axis] + (w - start) * normal[axis] for w in wanted]
    shown = ", ".join(f"{v:.4g}" if abs(v) < 1000 else f"{v:.1f}" for v in values[:most])
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return f"{'xyz'[axis]} = {shown}{more} mm"


def _offsets(
    source: str, frames: Sequence[Frame], places: FloatArray, step: float
) -> tuple[FloatArray, list[str], FloatArray]:
    """In-plane pixels (x, y) by which each slice lies off the first one's normal.

    Returns:
        ``(n, 2)`` offsets (zeros for an upright stack), what to say, and the step vector in mm.
    """
    row, column = _directions(frames[0])
    normal = normal_of(frames[0])
    none = np.zeros((len(frames), 2))
    if len(frames) == 1:
        return none, [], normal * step
    moved = np.array([np.subtract(f.position or (), frames[0].position or ()) for f in frames])
    plane = np.stack([moved @ row, moved @ column], axis=1)
    deep = places - places[0]
    slope = plane[-1] / deep[-1]
    spacing = np.array(frames[0].spacing)[::-1]
    off = np.abs(plane - deep[:, None] * slope) / spacing
    if off.max() > SHIFTED:
        worst = int(np.argmax(off.max(axis=1)))
        raise GeometryError(
            f"{source}: its slices are shifted against each other (by {off.max():.3g} pixels at "
            f"{_positions(frames, [places[worst]])}): they are not one volume, export the "
            "original series again"
        )
    shear = float(np.linalg.norm(slope))
    if shear <= MAX_SHEAR:
        drift = slope[0] * row + slope[1] * column if shear > 1e-6 else np.zeros(3)
        return none, [], (normal + drift) * step
    angle = math.degrees(math.atan(shear))
    if angle > _STEEPEST:
        raise GeometryError(
            f"{source}: its slices are sheared by {angle:.3g}°: no gantry tilts that far, export "
            "the original series again"
        )
    note = (
        f"the gantry was tilted by {angle:.3g}°: resampled onto a grid with right angles (masks "
        "lie on that grid, not on the original pixels)"
    )
    return deep[:, None] * slope / spacing, [note], normal * step


def _parts(place: float, places: FloatArray, step: float, shifts: FloatArray) -> tuple[Part, ...]:
    """The frame at ``place``, or its two neighbours by their distance."""

    def part(i: int, weight: float) -> Part:
        return Part(i, weight, (float(shifts[i, 0]), float(shifts[i, 1])))

    nearest = int(np.argmin(np.abs(places - place)))
    if abs(places[nearest] - place) <= UNEVEN * step:
        return (part(nearest, 1.0),)
    after = min(max(int(np.searchsorted(places, place)), 1), len(places) - 1)
    share = float((place - places[after - 1]) / (places[after] - places[after - 1]))
    return part(after - 1, 1.0 - share), part(after, share)


def _affine(first: Frame, low: FloatArray, vector: FloatArray) -> FloatArray:
    row, column = _directions(first)
    between_rows, between_columns = first.spacing or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3, 0] = row / np.linalg.norm(row) * between_columns
    affine[:3, 1] = column / np.linalg.norm(column) * between_rows
    affine[:3, 2] = vector
    origin = np.array(first.position, dtype=np.float64)
    affine[:3, 3] = origin + affine[:3, 0] * low[0] + affine[:3, 1] * low[1]
    return affine
