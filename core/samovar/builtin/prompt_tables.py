"""Prompts as a table (CSV, TSV) and as numpy arrays (NPZ).

CSV has a header. Columns ``x0, y0[, z0], x1, y1[, z1]`` give a box, ``x, y[, z]`` and ``label``
(1 or +, 0 or -; default 1) a point; ``name``, ``id``, ``class`` and ``space`` (index, world or
ras, the same in every row) are optional; other columns are carried over. Rows of one ``id``, or of
one ``name`` where there is no id, are one object.

NPZ has ``boxes`` ``(n, 4)`` or ``(n, 6)``, max exclusive, or ``points`` ``(n, 2)`` or ``(n, 3)``
with ``labels`` ``(n,)`` and ``ids`` ``(n,)`` (points of one id are one object), ``names`` and
``space``. Arrays of Python objects are refused.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from samovar.builtin.prompt_rows import as_int, make_prompts, numbers, read_space
from samovar.errors import PromptError
from samovar.image import Image
from samovar.prompts import Prompt, Prompts

_BOXES = (("x0", "y0", "z0", "x1", "y1", "z1"), ("x0", "y0", "x1", "y1"))
_POINTS = (("x", "y", "z"), ("x", "y"))
_KNOWN = {*_BOXES[0], *_POINTS[0], "label", "name", "id", "class", "space"}
_LABELS = {"": 1, "1": 1, "+": 1, "0": 0, "-": 0}


class CsvPrompts:
    """Reads prompts from comma, semicolon or tab separated tables."""

    def read_prompts(self, path: str, image: Image, **options: Any) -> Prompts:
        """Raises PromptError, naming the file and the row, for whatever cannot be meant."""
        rows = _rows(path)
        spaces = {row.get("space") or "index" for row in rows}
        if len(spaces) > 1:
            raise PromptError(f"{path}: all rows must have the same space, not {sorted(spaces)}")
        objects: dict[str, Prompt] = {}
        for number, row in enumerate(rows, start=2):
            where = f"{path}: row {number}"
            key = row.get("id") or row.get("name") or f"\0{number}"
            objects[key] = _merged(where, objects.get(key), row)
        space = read_space(path, spaces.pop() if spaces else "index")
        return make_prompts(path, list(objects.values()), space)


def _rows(path: str) -> list[dict[str, str]]:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise PromptError(f"{path}: is not a text table in UTF-8: export it again") from error
    first = text.partition("\n")[0]
    delimiter = max("\t;,", key=first.count)
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter)
    names = [(n or "").strip() for n in reader.fieldnames or ()]
    reader.fieldnames = [n.lower() if n.lower() in _KNOWN else n for n in names]
    if not any(set(columns) <= set(reader.fieldnames) for columns in (_BOXES[1], _POINTS[1])):
        raise PromptError(
            f"{path}: its first row must name the columns x0,y0[,z0],x1,y1[,z1] or x,y[,z]"
        )
    return [
        {k: (v or "").strip() for k, v in row.items() if k is not None and not isinstance(v, list)}
        for row in reader
    ]


def _merged(where: str, before: Prompt | None, row: Mapping[str, str]) -> Prompt:
    box = _columns(where, row, _BOXES)
    point = _columns(where, row, _POINTS)
    if row.get("label", "") not in _LABELS:
        raise PromptError(f"{where}: label is {row['label']!r}: write 1 or +, 0 or -")
    boxes = (*(before.boxes if before else ()), *([box] if box is not None else []))
    if len(boxes) > 1 and len(boxes[-1]) == 4:
        raise PromptError(f"{where}: a second box of the same object: give it a name of its own")
    points = before.points if before else ()
    labels = before.labels if before else ()
    if point is not None:
        points, labels = (*points, point), (*labels, _LABELS[row.get("label", "")])
    extra = {k: v for k, v in row.items() if k not in _KNOWN and v}
    return Prompt(
        id=as_int(f"{where}: id", row.get("id") or (before.id if before else 0)),
        name=row.get("name") or (before.name if before else ""),
        box=next(iter(boxes), None),
        key_boxes=boxes[1:],
        points=points,
        labels=labels,
        class_id=as_int(f"{where}: class", row.get("class") or (before.class_id if before else 0)),
        attributes={**(before.attributes if before else {}), **extra},
    )


def _columns(
    where: str, row: Mapping[str, str], choices: tuple[tuple[str, ...], ...]
) -> tuple[float, ...] | None:
    filled = {k for k in choices[0] if row.get(k)}
    if not filled:
        return None
    for columns in choices:
        if filled == set(columns):
            return numbers(where, [row[c] for c in columns])
    raise PromptError(f"{where}: only {', '.join(sorted(filled))} of {', '.join(choices[0])}")


class NpzPrompts:
    """Reads prompts from numpy archives; nothing in them is executed."""

    def read_prompts(self, path: str, image: Image, **options: Any) -> Prompts:
        """Raises PromptError, naming the file and the array, for whatever cannot be meant."""
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {k: archive[k] for k in archive.files if k in _ARRAYS}
        except (ValueError, OSError, EOFError, BadZipFile, KeyError) as error:
            raise PromptError(
                f"{path}: is damaged, or holds Python objects, which are refused: save plain "
                "arrays again"
            ) from error
        if "boxes" not in arrays and "points" not in arrays:
            raise PromptError(f"{path}: holds neither an array 'boxes' nor 'points'")
        space = read_space(path, str(arrays["space"]) if "space" in arrays else "index")
        if "boxes" in arrays and "points" in arrays:
            raise PromptError(f"{path}: give either 'boxes' or 'points', not both")
        objects = _from_boxes(path, arrays) if "boxes" in arrays else _from_points(path, arrays)
        return make_prompts(path, objects, space)


_ARRAYS = ("boxes", "points", "labels", "ids", "names", "space")


def _from_boxes(path: str, arrays: Mapping[str, NDArray[Any]]) -> list[Prompt]:
    boxes = _table(path, "boxes", arrays["boxes"], (4, 6))
    ids = _column(path, "ids", arrays, len(boxes), 0)
    names = _column(path, "names", arrays, len(boxes), "")
    return [
        Prompt(as_int(f"{path}: ids", i), str(name), box=tuple(float(v) for v in box))
        for box, i, name in zip(boxes, ids, names, strict=True)
    ]


def _from_points(path: str, arrays: Mapping[str, NDArray[Any]]) -> list[Prompt]:
    points = _table(path, "points", arrays["points"], (2, 3))
    ids = _column(path, "ids", arrays, len(points), math.nan)
    names = _column(path, "names", arrays, len(points), "")
    labels = _column(path, "labels", arrays, len(points), 1)
    if not set(labels) <= {0, 1}:
        raise PromptError(f"{path}: 'labels' must be 1 (the object) or 0 (not the object)")
    groups: dict[Any, list[int]] = {}
    for place, number in enumerate(ids):
        groups.setdefault(-1 - place if number != number else number, []).append(place)
    return [
        Prompt(
            as_int(f"{path}: ids", max(key, 0)),
            str(names[places[0]]),
            points=tuple(tuple(float(v) for v in points[p]) for p in places),
            labels=tuple(int(labels[p]) for p in places),
        )
        for key, places in groups.items()
    ]


def _table(path: str, name: str, array: NDArray[Any], widths: tuple[int, int]) -> NDArray[Any]:
    rows = array[None] if array.ndim == 1 and array.size in widths else array
    if rows.ndim != 2 or rows.shape[1] not in widths or rows.dtype.kind not in "iuf":
        raise PromptError(
            f"{path}: {name!r} has shape {array.shape} and dtype {array.dtype}, not (n, "
            f"{widths[0]}) or (n, {widths[1]}) numbers"
        )
    return rows


def _column(
    path: str, name: str, arrays: Mapping[str, NDArray[Any]], length: int, default: Any
) -> list[Any]:
    if name not in arrays:
        return [default] * length
    values: list[Any] = np.atleast_1d(arrays[name]).tolist()
    if len(values) != length:
        raise PromptError(f"{path}: {name!r} has {len(values)} entries for {length} prompts")
    return values
