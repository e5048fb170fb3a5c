"""3D Slicer's markups (``.mrk.json``) as prompts: ROIs become boxes, control points points.

Markups JSON schema 1.0.x. Coordinates are millimetres in the ``coordinateSystem`` that each markup
states, LPS or RAS.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.errors import PromptError
from samovar.grid import Grid
from samovar.image import Image, output_stem
from samovar.prompts import Prompt, Prompts
from samovar_medical.volume import warn

FloatArray = NDArray[np.float64]

TURNED = 1.0
"""Degrees by which a ROI may be turned against the image's axes and still count as straight."""

_SIGNS = {
    "LPS": (1.0, 1.0, 1.0),
    "RAS": (-1.0, -1.0, 1.0),
    "1": (1.0, 1.0, 1.0),
    "0": (-1.0, -1.0, 1.0),
}
_LISTS = {"Fiducial", "Line", "Angle", "Curve", "ClosedCurve", "PointList"}
_NUMBERED = re.compile(r"[\s_-]*\d+$")
_NEGATIVE = re.compile(r"\b(negative|background|not)\b", re.IGNORECASE)


class SlicerMarkups:
    """Reads ``.mrk.json`` files of 3D Slicer 4.11 and later."""

    def read_prompts(self, path: str, image: Image, **options: Any) -> Prompts:
        """Prompts in index coordinates of ``image``.

        A ROI is a box: exactly, where its axes are those of the image (oblique ones too); the box
        around it, with a warning, where it is turned. The points of a list are one object for each
        stem of their labels (``liver-1``, ``liver-2`` → liver). A point is negative when its label
        starts with ``-``, or when its label or description says ``negative``, ``background`` or
        ``not``. Points that are not placed, or not selected, are left out.

        Raises:
            PromptError: not of that format, another kind of markup, or no coordinate system.
        """
        if image.grid.frame.kind != "lps" or image.grid.ndim != 3:
            raise PromptError(
                f"{path}: is about millimetres in a patient, and {image.info.source} is no volume"
            )
        objects: dict[str, dict[str, Any]] = {}
        for number, markup in enumerate(_markups(path), start=1):
            _Reader(path, number, markup, image.grid).add_to(objects)
        if not objects:
            raise PromptError(f"{path}: holds no placed point and no ROI: place at least one")
        return Prompts(
            tuple(Prompt(i, **fields) for i, fields in enumerate(objects.values(), start=1))
        )


def _markups(path: str) -> Sequence[Mapping[str, Any]]:
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise PromptError(f"{path}: is not valid JSON ({error}): save it again") from error
    found = document.get("markups") if isinstance(document, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(m, Mapping) for m in found):
        raise PromptError(f'{path}: has no list of "markups": save it from 3D Slicer as .mrk.json')
    return found


class _Reader:
    """One markup of a file."""

    def __init__(self, path: str, number: int, markup: Mapping[str, Any], grid: Grid) -> None:
        self.path, self.markup, self.grid = path, markup, grid
        self.where = f"{path}: markup {number}"
        system = str(markup.get("coordinateSystem", "")).upper()
        if system not in _SIGNS:
            said = f"{system!r}" if system else "none"
            raise PromptError(
                f"{self.where}: its coordinateSystem is {said}, LPS or RAS is needed: save it "
                "again from 3D Slicer"
            )
        self.signs = np.array(_SIGNS[system])
        unit = str(markup.get("coordinateUnits", "mm"))
        if unit not in ("mm", "[mm]") and "mm" not in unit:
            raise PromptError(f"{self.where}: its coordinates are in {unit!r}, mm is needed")

    def add_to(self, objects: dict[str, dict[str, Any]]) -> None:
        kind = str(self.markup.get("type", ""))
        if kind == "ROI":
            self._add_roi(objects)
        elif kind in _LISTS:
            self._add_points(objects)
        else:
            raise PromptError(
                f"{self.where}: is of the kind {kind!r}; ROIs and point lists are prompts"
            )

    def _name(self) -> str:
        """Of a ROI: its own, else the file's, as Slicer names files by their nodes."""
        own = str(self.markup.get("name") or "")
        stem = output_stem(self.path.removesuffix(".json"))
        return own or stem

    def _add_roi(self, objects: dict[str, dict[str, Any]]) -> None:
        shape = str(self.markup.get("roiType", "Box"))
        if shape not in ("Box", "BoundingBox"):
            raise PromptError(f"{self.where}: its ROI is of the kind {shape!r}, Box is needed")
        centre = self._vector("center", 3)
        size = np.abs(self._vector("size", 3))
        axes = self._vector("orientation", 9, default=np.eye(3).ravel()).reshape(3, 3)
        axes = axes * self.signs[:, None]
        turn = self._turn(axes)
        # columns are the ROI's own axes
        corners = np.array(
            [centre * self.signs + axes @ (size / 2.0 * s) for s in _CORNERS], dtype=np.float64
        )
        if turn > TURNED:
            warn(self.where, [
                f"the ROI is turned by {turn:.1f}° against the image's axes: the box around it is "
                "taken"
            ])  # fmt: skip
        index = self.grid.to_index(corners)
        box = (*(index.min(axis=0) + 0.5).tolist(), *(index.max(axis=0) + 0.5).tolist())
        name = self._name()
        key = name
        while "box" in objects.get(key, {}):
            key += "\0"
        entry = objects.setdefault(key, {"name": name})
        entry["box"] = box

    def _turn(self, axes: FloatArray) -> float:
        """Largest angle in degrees between an axis of the ROI and the image axis next to it."""
        lengths = np.linalg.norm(axes, axis=0)
        if (lengths == 0).any():
            raise PromptError(f"{self.where}: its orientation is no rotation: save it again")
        cosines = np.abs(self.grid.direction.T @ (axes / lengths)).max(axis=0)
        return float(np.degrees(np.arccos(np.clip(cosines.min(), 0.0, 1.0))))

    def _add_points(self, objects: dict[str, dict[str, Any]]) -> None:
        points = self.markup.get("controlPoints")
        if not isinstance(points, list):
            raise PromptError(f"{self.where}: has no controlPoints: save it again")
        negatives = []
        for point in points:
            if not isinstance(point, Mapping):
                raise PromptError(f"{self.where}: a control point is no object: save it again")
            if point.get("positionStatus", "defined") != "defined" or not point.get(
                "selected", True
            ):
                continue
            place = self._place(point)
            label = str(point.get("label") or "").strip()
            negative = label.startswith("-") or bool(
                _NEGATIVE.search(f"{label} {point.get('description') or ''}")
            )
            stem = _NUMBERED.sub("", _NEGATIVE.sub("", label.lstrip("-"))).strip(" _-")
            if negative and not stem:
                negatives.append(place)
                continue
            _add_point(objects, stem or self._name(), place, 0 if negative else 1)
        for place in negatives:
            # without a name they are off everything that this file holds
            for name in list(objects):
                _add_point(objects, name, place, 0)

    def _place(self, point: Mapping[str, Any]) -> tuple[float, ...]:
        world = self._numbers("position", point.get("position"), 3) * self.signs
        return tuple(self.grid.to_index(world).tolist())

    def _vector(self, key: str, count: int, default: FloatArray | None = None) -> FloatArray:
        value = self.markup.get(key)
        if value is None and default is not None:
            return default
        return self._numbers(key, value, count)

    def _numbers(self, key: str, value: Any, count: int) -> FloatArray:
        good = isinstance(value, list) and len(value) == count
        good = good and all(isinstance(v, int | float) and math.isfinite(v) for v in value)
        if not good:
            raise PromptError(f"{self.where}: its {key} must be {count} finite numbers")
        return np.array(value, dtype=np.float64)


_CORNERS = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T


def _add_point(
    objects: dict[str, dict[str, Any]], name: str, place: tuple[float, ...], label: int
) -> None:
    entry = objects.setdefault(name, {"name": name})
    entry["points"] = (*entry.get("points", ()), place)
    entry["labels"] = (*entry.get("labels", ()), label)
