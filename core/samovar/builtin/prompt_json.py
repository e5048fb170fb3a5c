"""Prompts as JSON.

::

    {"space": "index",                       index (default) · world · ras
     "objects": [
       {"name": "liver", "box": [60, 40, 20, 180, 150, 70]},
       {"name": "spleen", "boxes": [[60, 40, 20, 90, 80, 21], [64, 38, 35, 99, 84, 36]]},
       {"id": 7, "points": [[x, y, z], [x, y, z]], "labels": [1, 0], "ward": "B2"}]}

``boxes`` are those of several key slices of one object of a volume, each one slice thick.

Short forms: a list of such objects; a list of boxes; a mapping from name to box. ``class`` and any
other key are carried over to the table of results.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samovar.builtin.prompt_rows import as_int, make_prompts, numbers, read_space
from samovar.errors import PromptError
from samovar.image import Image
from samovar.prompts import Prompt, Prompts

_KEYS = {"id", "name", "box", "boxes", "points", "labels", "class"}


class JsonPrompts:
    """Reads prompts from JSON."""

    def read_prompts(self, path: str, image: Image, **options: Any) -> Prompts:
        """Raises PromptError, naming the file and the object, for whatever cannot be meant."""
        try:
            document = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise PromptError(f"{path}: is not valid JSON ({error}): repair it") from error
        space: Any = "index"
        if isinstance(document, Mapping):
            if document.get("type") in ("FeatureCollection", "Feature"):
                raise PromptError(
                    f"{path}: is GeoJSON: rename it to .geojson, which samovar-geo reads"
                )
            if "objects" in document:
                space = document.get("space", "index")
                document = document["objects"]
            else:
                document = [{"name": name, "box": box} for name, box in document.items()]
        if not isinstance(document, list):
            raise PromptError(f'{path}: must hold a list of objects or {{"objects": […]}}')
        objects = [_object(path, place, item) for place, item in enumerate(document, start=1)]
        return make_prompts(path, objects, read_space(path, space))


def _object(path: str, place: int, item: Any) -> Prompt:
    if isinstance(item, list):
        item = {"box": item}
    if not isinstance(item, Mapping):
        raise PromptError(f"{path}: object {place} is neither an object nor a box: {item!r}")
    where = f"{path}: object {place}"
    boxes = [] if item.get("box") is None else [item["box"]]
    more = item.get("boxes") or []
    if not isinstance(more, list):
        raise PromptError(f"{where}: boxes must be a list of lists of numbers")
    boxes = [numbers(f"{where}: box", box) for box in (*boxes, *more)]
    points = item.get("points") or []
    if not isinstance(points, list):
        raise PromptError(f"{where}: points must be a list of [x, y] or [x, y, z]")
    if points and not isinstance(points[0], list):
        points = [points]
    labels = item.get("labels")
    labels = [1] * len(points) if labels is None else labels
    if not isinstance(labels, list) or len(labels) != len(points):
        raise PromptError(f"{where}: labels must be a list with one number, 1 or 0, a point")
    if not set(labels) <= {0, 1}:
        raise PromptError(f"{where}: labels must be 1 (the object) or 0 (not the object)")
    return Prompt(
        id=as_int(f"{where}: id", item.get("id", 0)),
        name=str(item.get("name") or ""),
        box=next(iter(boxes), None),
        key_boxes=tuple(boxes[1:]),
        points=tuple(numbers(f"{where}: point", p) for p in points),
        labels=tuple(int(v) for v in labels),
        class_id=as_int(f"{where}: class", item.get("class", 0)),
        attributes={str(k): v for k, v in item.items() if k not in _KEYS},
    )
