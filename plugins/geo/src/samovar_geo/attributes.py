"""The attribute table of a vector file: the objects' own columns, then those carried over."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from samovar.identity import name_of
from samovar.image import Image
from samovar.objects import SegmentedObject

RESERVED = {"fid", "geom", "geometry", "ogc_fid", "bbox"}
"""Names that vector formats keep for themselves."""
SUFFIX = "_prompt"
OWN = ("id", "label", "name", "class", "score", "uncertainty")
"""``id`` is made of the object's pixels, ``label`` is its value in label rasters."""
LAST = ("tile", "model")


class Table:
    """Columns as they turn up, and the narrowest type that holds all values of each.

    Args:
        attributes: of prompts, which are carried over.
        sizes: what every object is measured by, and the value of an empty one: the columns are
            there also when no object is.
    """

    def __init__(
        self, model: str, attributes: Sequence[str] = (), sizes: Mapping[str, Any] | None = None
    ) -> None:
        self._model = model
        self._sizes: list[str] = []
        self._carried: dict[str, str] = {}
        self._kinds: dict[str, str] = {
            **dict.fromkeys(("label", "class"), "int"),
            **dict.fromkeys(("score", "uncertainty"), "float"),
            **dict.fromkeys(("id", "name", *LAST), "text"),
        }
        for name, value in (sizes or {}).items():
            self._sizes.append(name)
            self._kinds[name] = _wider(None, value)
        for name in attributes:
            self._carry(name)

    def row(self, item: SegmentedObject, image: Image) -> dict[str, Any]:
        """One object's values by column; what is missing is left out."""
        row: dict[str, Any] = {
            "id": item.key or name_of(item, image.origin),
            "label": item.id,
            "name": item.name,
            "class": item.class_id,
            "score": round(item.score, 4),
            "uncertainty": round(item.uncertainty, 4),
        }
        for name, value in (item.measures or image.measure(item)).items():
            if name not in self._kinds:
                self._sizes.append(name)
            self._put(row, name, value)
        row |= {"tile": item.views[0] if item.views else "", "model": self._model}
        for name, value in item.attributes.items():
            self._put(row, self._carry(name), value)
        return row

    @property
    def columns(self) -> dict[str, str]:
        """Name → ``int``, ``float`` or ``text``, in the order of the file."""
        order = [*OWN, *(self._sizes or ["pixels"]), *LAST, *self._carried.values()]
        return {
            name: self._kinds.get(name, "text" if name != "pixels" else "int") for name in order
        }

    def _carry(self, name: str) -> str:
        """The column of a prompt's attribute: a taken name (case does not count) gets a suffix."""
        if name not in self._carried:
            taken = {*self.columns, *RESERVED, "pixels", "area_m2", "perimeter_m"}
            taken = {t.lower() for t in taken}
            free = name
            while free.lower() in taken:
                free += SUFFIX
            self._carried[name] = free
        return self._carried[name]

    def _put(self, row: dict[str, Any], name: str, value: Any) -> None:
        value = _plain(value)
        if value is None:
            return
        row[name] = value
        self._kinds[name] = _wider(self._kinds.get(name), value)


def typed(value: Any, kind: str) -> Any:
    """A value of a row as its column wants it; None where it is missing."""
    if value is None:
        return None
    if kind == "text":
        return value if isinstance(value, str) else str(value)
    return float(value) if kind == "float" else int(value)


def _wider(kind: str | None, value: Any) -> str:
    if isinstance(value, int) and abs(value) < 2**63:
        # True and False are integers of one digit
        return kind or "int"
    if isinstance(value, float) and kind in (None, "int", "float"):
        return "float"
    return "text"


def _plain(value: Any) -> Any:
    """numpy scalars, dates and NaN → what JSON knows."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value if isinstance(value, bool | int | float | str) else str(value)


def attributes_of(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Every key, in the order of first appearance."""
    return tuple(dict.fromkeys(str(key) for row in rows for key in row))
