"""Prompts from vector files: polygons give their boxes, points are points."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyogrio.raw
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FieldError
from pyproj import CRS

from samovar.errors import PromptError
from samovar.image import Image
from samovar.prompts import Prompt, Prompts
from samovar_geo.georeference import FloatArray, corner_transform, grid_crs, reprojection
from samovar_geo.raster import RasterImage

LOG = logging.getLogger("samovar")
SIGNS = {"1": 1, "+": 1, "positive": 1, "true": 1, "0": 0, "-": 0, "negative": 0, "false": 0}
EDGE_STEPS = 32
"""A reprojected edge bends: it is followed in this many steps a bounding box."""


@dataclass
class _Feature:
    """One feature in corner coordinates of the image."""

    geometry: Any
    attributes: dict[str, Any]
    sign: int = 1

    @property
    def name(self) -> str:
        return str(self.attributes.get("name") or "")


@dataclass
class _Draft:
    """An object while its features are gathered."""

    name: str
    attributes: dict[str, Any] = field(default_factory=dict)
    box: tuple[float, ...] | None = None
    points: list[tuple[float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)


class VectorPrompts:
    """Reads polygons and points of a vector file in any CRS."""

    def __init__(self, prompt_layer: str | None = None) -> None:
        self._layer = prompt_layer

    def read_prompts(self, path: str, image: Image, prompt_layer: str | None = None) -> Prompts:
        """Prompts in index coordinates of ``image``.

        Polygons give their bounding boxes in the raster's pixels, one object each. Points are
        positive unless an attribute ``label`` says 0, ``-`` or ``negative``; points of one
        ``name`` are one object and join the polygon of that name if there is just one, unnamed
        positive points are one object each, unnamed negative ones count for every object.
        An integer attribute ``class`` is the object's class; all other attributes are carried
        over. Features outside the raster are left out, with a warning.

        Args:
            prompt_layer: which layer, when the file has several.

        Raises:
            PromptError: the file is not a vector file, has several layers and none was named,
                holds neither polygons nor points, lies outside the raster altogether, or has a
                CRS while the raster has none.
        """
        features, crs = read_features(path, prompt_layer or self._layer)
        features, other = _usable(features)
        if not features:
            raise PromptError(
                f"{path}: holds no polygon and no point; "
                "give a layer of boxes, outlines or points of the objects"
            )
        if other:
            LOG.warning("%s: %d features are neither polygons nor points: left out", path, other)
        _to_pixels(features, crs, image, path)
        inside = [f for f in features if _touches(f.geometry, image)]
        if not inside:
            raise PromptError(_all_outside(path, crs, image))
        if len(inside) < len(features):
            LOG.warning(
                "%s: %d of %d features lie outside the raster, or what is asked of it: left out",
                path, len(features) - len(inside), len(features),
            )  # fmt: skip
        return Prompts(tuple(_gather(inside)))


def read_features(
    path: str, layer: str | None = None, *, option: str = "--prompt-layer"
) -> tuple[list[_Feature], CRS | None]:
    """Every feature of one layer as the file has it, and the layer's CRS.

    Raises:
        PromptError: it cannot be read, or the layer has to be named.
    """
    if path.lower().endswith(".parquet"):
        return _read_parquet(path)
    try:
        chosen = _choose_layer(path, layer, option)
        meta, _, geometry, data = pyogrio.raw.read(
            path, layer=chosen, force_2d=True, datetime_as_string=True
        )
        shapes = shapely.from_wkb(geometry) if geometry is not None else []
    except (DataSourceError, DataLayerError, FieldError, shapely.errors.GEOSException) as error:
        raise PromptError(_cannot_read(path, error)) from error
    names = [str(name) for name in meta["fields"]]
    features = [
        _Feature(shape, dict(zip(names, (_plain(column[i]) for column in data), strict=True)))
        for i, shape in enumerate(shapes)
    ]
    return features, CRS.from_user_input(meta["crs"]) if meta.get("crs") else None


def _read_parquet(path: str) -> tuple[list[_Feature], CRS | None]:
    """GDAL's wheels have no driver for GeoParquet."""
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        record = json.loads(pq.read_metadata(path).metadata[b"geo"])
        primary = record["primary_column"]
        column = record["columns"][primary]
        shapes = shapely.force_2d(shapely.from_wkb(table[primary].to_pylist()))
    except (pa.ArrowException, OSError, TypeError, KeyError, ValueError,
            shapely.errors.GEOSException) as error:  # fmt: skip
        raise PromptError(_cannot_read(path, error)) from error
    names = [name for name in table.column_names if name not in (primary, "bbox")]
    rows = table.select(names).to_pylist()
    crs = column.get("crs", "OGC:CRS84")
    features = [
        _Feature(shape, {k: _plain(v) for k, v in row.items()})
        for shape, row in zip(shapes, rows, strict=True)
    ]
    return features, CRS.from_user_input(crs) if crs is not None else None


def _choose_layer(path: str, wanted: str | None, option: str) -> str:
    layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    if wanted is not None:
        if wanted not in layers:
            raise PromptError(
                f"{path}: has no layer {wanted}; it has {', '.join(layers) or 'none'}"
            )
        return wanted
    if len(layers) == 1:
        return layers[0]
    if not layers:
        raise PromptError(f"{path}: has no layer with geometries; give boxes, outlines or points")
    raise PromptError(f"{path}: has several layers, name one by {option}: {', '.join(layers)}")


def _usable(features: list[_Feature]) -> tuple[list[_Feature], int]:
    """Polygons and points, multi-points taken apart; and how many were something else."""
    kept: list[_Feature] = []
    other = 0
    signs = _signs(features)
    for feature, sign in zip(features, signs, strict=True):
        shape = feature.geometry
        kind = shape.geom_type if shape is not None and not shape.is_empty else ""
        if kind in ("Polygon", "MultiPolygon"):
            kept.append(feature)
        elif kind in ("Point", "MultiPoint"):
            parts = shapely.get_parts(shape)
            kept.extend(_Feature(part, feature.attributes, sign) for part in parts)
        else:
            other += 1
    return kept, other


def _signs(features: list[_Feature]) -> list[int]:
    """1 or 0 a feature. A ``label`` column with other words in it is not about signs."""
    words = [str(f.attributes.get("label", "1")).strip().lower() for f in features]
    words = [word.removesuffix(".0") for word in words]
    if any(word not in SIGNS for word in words):
        return [1] * len(words)
    return [SIGNS[word] for word in words]


def _to_pixels(features: list[_Feature], crs: CRS | None, image: Image, path: str) -> None:
    """Every geometry into corner coordinates of the image, in place."""
    target = grid_crs(image.grid)
    if target is None and (crs is not None or image.info.domain != "raster"):
        raise PromptError(
            f"{path}: holds coordinates of a map but {image.info.source} has no CRS; assign one "
            "first (gdal_edit.py -a_srs EPSG:… FILE), or give boxes in pixels by --box"
        )
    carry = None
    if crs is None and target is not None:
        LOG.warning("%s: has no CRS: taken to be in that of the raster", path)
    elif crs is not None and target is not None:
        carry = reprojection(crs, target)
    inverse = ~corner_transform(image.grid, image)

    def to_pixels(points: FloatArray) -> FloatArray:
        x, y = (carry(points) if carry is not None else points).T
        return np.column_stack(
            [inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f]
        )

    for feature in features:
        shape = feature.geometry
        if carry is not None and shape.geom_type != "Point":
            left, low, right, high = shape.bounds
            shape = shapely.segmentize(shape, max(right - left, high - low) / EDGE_STEPS or 1.0)
        feature.geometry = shapely.transform(shape, to_pixels)


def _touches(shape: Any, image: Image) -> bool:
    """Whether a shape has a point on the raster, and in the area that was asked for."""
    left, top, right, bottom = shape.bounds
    rows, columns = image.grid.shape
    if not np.isfinite([left, top, right, bottom]).all():
        return False
    if shape.geom_type == "Point":
        on = 0 <= left <= columns and 0 <= top <= rows
    else:
        on = right > 0 and bottom > 0 and left < columns and top < rows
    return bool(on) and not (isinstance(image, RasterImage) and image.beyond(shape))


def _gather(features: list[_Feature]) -> Iterator[Prompt]:
    """Objects numbered from 1 in the order of their first feature."""
    drafts: list[_Draft] = []
    named: dict[str, list[_Draft]] = {}
    loose_negatives: list[tuple[float, float]] = []
    points = [f for f in features if f.geometry.geom_type == "Point"]
    for feature in features:
        if feature.geometry.geom_type != "Point":
            draft = _Draft(feature.name, feature.attributes, box=_box(feature.geometry))
            drafts.append(draft)
            named.setdefault(feature.name, []).append(draft)
    for feature in points:
        position = (feature.geometry.x - 0.5, feature.geometry.y - 0.5)
        if not feature.name and not feature.sign:
            loose_negatives.append(position)
            continue
        homes = named.get(feature.name, []) if feature.name else []
        if len(homes) == 1:
            draft = homes[0]
        else:
            draft = _Draft(feature.name, feature.attributes)
            drafts.append(draft)
            if feature.name:
                named[feature.name] = [draft]
        draft.points.append(position)
        draft.labels.append(feature.sign)
    for i, draft in enumerate(drafts):
        yield _prompt(i + 1, draft, loose_negatives)


def _prompt(id: int, draft: _Draft, negatives: list[tuple[float, float]]) -> Prompt:
    attributes = {k: v for k, v in draft.attributes.items() if v is not None and k != "name"}
    class_id = attributes.get("class", 0)
    if isinstance(class_id, int) and not isinstance(class_id, bool) and class_id >= 0:
        attributes.pop("class", None)
    else:
        class_id = 0
    return Prompt(
        id,
        name=draft.name,
        box=draft.box,
        points=(*draft.points, *negatives),
        labels=(*draft.labels, *(0 for _ in negatives)),
        class_id=class_id,
        attributes=attributes,
    )


def _box(shape: Any) -> tuple[float, ...]:
    """Bounds in corner coordinates are the index box: ``[x0, x1)`` covers x0 − ½ … x1 − ½."""
    return tuple(float(v) for v in shape.bounds)


def _plain(value: Any) -> Any:
    """numpy scalars, missing values and dates → what JSON knows."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and np.isnan(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _all_outside(path: str, crs: CRS | None, image: Image) -> str:
    grid = image.grid
    rows, columns = grid.shape
    bounds = ", ".join(f"{v:.6g}" for v in grid.box_to_world((0, 0, columns, rows)))
    own = crs.to_string() if crs is not None else "no CRS"
    own = own if len(own) < 40 else (crs.name if crs is not None else own)
    return (
        f"{path}: every feature lies outside the raster; check the CRS of both "
        f"(the file: {own}; the raster: {image.info.source}, {bounds})"
    )


def _cannot_read(path: str, error: Exception) -> str:
    file = Path(path)
    if not path.startswith("/vsi") and "://" not in path:
        if not file.exists():
            return f"{path}: there is no such file"
        if file.is_file() and file.stat().st_size == 0:
            return f"{path}: the file is empty; give polygons or points"
    cause = " ".join(str(error).split())[:160]
    return f"{path}: cannot be read as prompts; is it a vector file, and complete? ({cause})"
