"""Features as Arrow record batches, and what GDAL makes of them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyogrio.raw
import shapely
from pyogrio.errors import (
    CRSError,
    DataLayerError,
    DataSourceError,
    FeatureError,
    FieldError,
    GeometryError,
)

from samovar_geo.attributes import typed
from samovar_geo.features import Batch, Feature
from samovar_geo.polygons import polygons_of

GEOMETRY = "geometry"
TYPES = {"int": pa.int64(), "float": pa.float64(), "text": pa.string()}
GDAL_ERRORS = (
    DataSourceError, DataLayerError, FeatureError, FieldError, GeometryError, CRSError,
)  # fmt: skip


def fields_of(batch: Batch) -> list[pa.Field]:
    """One field a column, the geometry last."""
    fields = [pa.field(name, TYPES[kind]) for name, kind in batch.columns.items()]
    extension = {"ARROW:extension:name": "geoarrow.wkb", "ARROW:extension:metadata": json.dumps({})}
    return [*fields, pa.field(GEOMETRY, pa.binary(), metadata=extension)]


def arrays_of(batch: Batch, features: list[Feature]) -> list[pa.Array]:
    """The columns of ``features``, geometries as WKB MultiPolygons, in the order of the fields."""
    arrays = [
        pa.array([typed(f.row.get(name), kind) for f in features], TYPES[kind])
        for name, kind in batch.columns.items()
    ]
    shapes = shapely.to_wkb([multi(f.shape) for f in features])
    return [*arrays, pa.array(shapes.tolist(), pa.binary())]


def multi(shape: Any) -> Any:
    """The MultiPolygon of a polygon; lines that validation may leave are dropped."""
    if shape.geom_type == "MultiPolygon":
        return shape
    return shapely.MultiPolygon(polygons_of([shape]))


def write_layer(batch: Batch, driver: str, **options: Any) -> None:
    """Write one layer with GDAL, streaming. Raises OSError when it cannot be written."""
    schema = pa.schema(fields_of(batch))
    ours: list[Exception] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for features in batch.features:
                yield pa.record_batch(arrays_of(batch, features), schema=schema)
        except Exception as error:
            # GDAL would say only that it got no batch
            ours.append(error)
            raise

    reader = pa.RecordBatchReader.from_batches(schema, batches())
    try:
        with warnings.catch_warnings():
            # a raster without CRS gives a layer without CRS: that is meant
            warnings.filterwarnings("ignore", message=".*[cC][rR][sS].*")
            pyogrio.raw.write_arrow(
                reader, batch.path, layer=batch.layer, driver=driver, geometry_name=GEOMETRY,
                geometry_type="MultiPolygon",
                crs=batch.crs.to_wkt() if batch.crs is not None else None, **options,
            )  # fmt: skip
    except (*GDAL_ERRORS, RuntimeError) as error:
        if ours:
            raise ours[0] from None
        raise OSError(" ".join(str(error).split())) from error
    if not Path(batch.path).exists():
        raise OSError(f"{batch.path}: was not written")


def write_flatgeobuf(batch: Batch) -> None:
    """A FlatGeobuf with a spatial index. It cannot be appended to."""
    write_layer(
        batch, "FlatGeobuf", layer_options={"DESCRIPTION": batch.record.get("SOFTWARE", "")}
    )
