"""The attribute table of a vector file: the objects' own columns, then those carried over."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.image import Image
from samovar.objects import Objects
from samovar_geo.provenance import model_name

RESERVED = {"fid", "geom", "geometry", "ogc_fid"}
"""Names that vector formats keep for themselves."""
SUFFIX = "_prompt"


@dataclass(frozen=True, eq=False)
class Column:
    """One field of the table."""

    name: str
    values: NDArray[Any]
    """int64, float64 or object (text)."""
    missing: NDArray[np.bool_] | None
    """True where there is no value; None when there is one everywhere."""


def columns_of(objects: Objects, image: Image) -> list[Column]:
    """id, name, class, score, uncertainty, sizes, model, then the prompts' attributes.

    An attribute whose name is taken (case does not count) gets the suffix ``_prompt``.
    """
    items = list(objects)
    columns = [
        Column("id", np.array([o.id for o in items], dtype=np.int64), None),
        Column("name", np.array([o.name for o in items], dtype=object), None),
        Column("class", np.array([o.class_id for o in items], dtype=np.int64), None),
        Column("score", _rounded([o.score for o in items]), None),
        Column("uncertainty", _rounded([o.uncertainty for o in items]), None),
    ]
    sizes = [o.measures or image.measure(o) for o in items]
    for name in _keys(sizes) or ["pixels"]:
        columns.append(_column(name, [size.get(name) for size in sizes]))
    model = model_name(objects)
    columns.append(Column("model", np.array([model] * len(items), dtype=object), None))
    carried = [o.attributes for o in items]
    taken = {column.name for column in columns} | RESERVED
    for name in _keys(carried):
        free = _free(name, taken)
        taken.add(free.lower())
        columns.append(_column(free, [row.get(name) for row in carried]))
    return columns


def _free(name: str, taken: set[str]) -> str:
    while name.lower() in taken:
        name += SUFFIX
    return name


def _keys(rows: Sequence[Any]) -> list[str]:
    """Every key, in the order of first appearance."""
    return list(dict.fromkeys(str(key) for row in rows for key in row))


def _rounded(values: list[float]) -> NDArray[np.float64]:
    return np.array([round(value, 4) for value in values], dtype=np.float64)


def _column(name: str, values: list[Any]) -> Column:
    """The narrowest of int64, float64 and text that holds all values."""
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    missing = np.array([v is None or (isinstance(v, float) and math.isnan(v)) for v in plain])
    there = [v for v, gone in zip(plain, missing, strict=True) if not gone]
    filled: NDArray[Any]
    if there and all(isinstance(v, int) and abs(v) < 2**63 for v in there):
        filled = np.array([0 if g else v for v, g in zip(plain, missing, strict=True)], np.int64)
    elif there and all(isinstance(v, int | float) for v in there):
        filled = np.array([0.0 if g else v for v, g in zip(plain, missing, strict=True)], float)
    else:
        filled = np.array(
            [None if g else _text(v) for v, g in zip(plain, missing, strict=True)], dtype=object
        )
    return Column(name, filled, missing if missing.any() else None)


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime.date) else str(value)
