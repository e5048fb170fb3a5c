"""GeoJSON text: RFC 7946, written feature by feature.

The text of a feature depends on the feature alone, so files are the same bytes however they came
about.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

import numpy as np
import shapely

from samovar_geo.attributes import typed
from samovar_geo.features import Batch, Feature
from samovar_geo.polygons import polygons_of
from samovar_geo.provenance import sentence

DECIMALS = 8
"""Of degrees: a millimetre."""
MEASURE_DECIMALS = 6
"""Of areas and lengths."""


def write_collection(batch: Batch) -> None:
    """A FeatureCollection, one feature a line."""
    with batch.path.open("w", encoding="utf-8", newline="\n") as file:
        description = json.dumps(sentence(batch.provenance), ensure_ascii=False)
        file.write(f'{{"type": "FeatureCollection", "description": {description}, "features": [')
        lead = "\n"
        for text in _texts(batch):
            file.write(lead + text)
            lead = ",\n"
        file.write("\n]}\n")


def write_sequence(batch: Batch) -> None:
    """One feature a line, and nothing else."""
    with batch.path.open("w", encoding="utf-8", newline="\n") as file:
        _lines(batch, file)


def _lines(batch: Batch, file: TextIO) -> None:
    for text in _texts(batch):
        file.write(text + "\n")


def _texts(batch: Batch) -> Iterator[str]:
    for features in batch.features:
        for feature in features:
            yield _text(batch, feature)


def _text(batch: Batch, feature: Feature) -> str:
    properties = {
        name: _rounded(typed(feature.row.get(name), kind)) for name, kind in batch.columns.items()
    }
    record = {
        "type": "Feature", "properties": properties, "geometry": geometry(feature.shape)
    }  # fmt: skip
    return json.dumps(record, ensure_ascii=False, allow_nan=False)


def _rounded(value: Any) -> Any:
    return round(value, MEASURE_DECIMALS) if isinstance(value, float) else value


def geometry(shape: Any) -> dict[str, Any]:
    """A Polygon where one part suffices, outer rings anticlockwise, DECIMALS digits."""
    polygons = [_rings(shapely.geometry.polygon.orient(p, 1.0)) for p in polygons_of([shape])]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _rings(polygon: Any) -> list[Any]:
    return [
        np.round(shapely.get_coordinates(ring), DECIMALS).tolist()
        for ring in (polygon.exterior, *polygon.interiors)
    ]


def cut(shape: Any, *, wraps: bool) -> Any:
    """A shape in lon/lat within −180 … 180, cut at the antimeridian.

    Args:
        wraps: longitudes came out of a projection, which jumps from 180 to −180; they are
            unrolled first. Longitudes of a geographic raster run on beyond 180 by themselves.
    """
    west, _, east, _ = shape.bounds
    if wraps and east - west > 180:
        shape = shapely.transform(shape, _unrolled)
        west, _, east, _ = shape.bounds
    if west >= -180 and east <= 180:
        return shape
    parts = []
    for turn in range(-2, 3):
        strip = shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90)
        inside = shapely.intersection(shape, strip)
        if not inside.is_empty and inside.area > 0:
            parts.append(shapely.transform(inside, lambda p, t=turn: p - (360 * t, 0)))
    return shapely.union_all(parts) if len(parts) > 1 else (parts[0] if parts else shape)


def _unrolled(points: Any) -> Any:
    x = np.where(points[:, 0] < 0, points[:, 0] + 360, points[:, 0])
    return np.column_stack([x, points[:, 1]])
