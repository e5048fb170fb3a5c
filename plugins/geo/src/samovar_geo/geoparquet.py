"""GeoParquet 1.1: row groups with bounding boxes, and metadata that says what the shapes are."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from samovar_geo.arrow import GEOMETRY, arrays_of, fields_of, multi
from samovar_geo.features import Batch

VERSION = "1.1.0"
ROW_GROUP = 10_000
"""Features a row group: readers skip those whose boxes lie elsewhere."""
BOX = ("xmin", "ymin", "xmax", "ymax")


def write(batch: Batch) -> None:
    """A GeoParquet file, zstd, WKB, with a ``bbox`` column. Raises OSError."""
    box = pa.field("bbox", pa.struct([(name, pa.float64()) for name in BOX]))
    schema = pa.schema([*(field.remove_metadata() for field in fields_of(batch)), box])
    bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
    try:
        with pq.ParquetWriter(batch.path, schema, compression="zstd") as file:
            group: list[pa.RecordBatch] = []
            for features in batch.features:
                own = shapely.bounds([multi(f.shape) for f in features])
                bounds[:2] = np.minimum(bounds[:2], own[:, :2].min(axis=0))
                bounds[2:] = np.maximum(bounds[2:], own[:, 2:].max(axis=0))
                boxes = pa.StructArray.from_arrays([pa.array(c) for c in own.T], names=list(BOX))
                group.append(pa.record_batch([*arrays_of(batch, features), boxes], schema=schema))
                if sum(len(part) for part in group) >= ROW_GROUP:
                    file.write_table(pa.Table.from_batches(group), row_group_size=2 * ROW_GROUP)
                    group = []
            if group:
                file.write_table(pa.Table.from_batches(group), row_group_size=2 * ROW_GROUP)
            found = bounds.tolist() if np.isfinite(bounds).all() else None
            kept = {f"samovar:{k.lower()}": v for k, v in batch.record.items()}
            file.add_key_value_metadata({"geo": json.dumps(metadata(batch, found)), **kept})
    except (pa.ArrowException, OSError) as error:
        raise OSError(" ".join(str(error).split())) from error


def metadata(batch: Batch, bounds: list[float] | None) -> dict[str, Any]:
    """The ``geo`` record. A missing CRS is null: the default would claim lon/lat."""
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": ["MultiPolygon"] if bounds is not None else [],
        "crs": batch.crs.to_json_dict() if batch.crs is not None else None,
        "edges": "planar",
        "covering": {"bbox": {name: ["bbox", name] for name in BOX}},
    }
    if bounds is not None:
        column["bbox"] = bounds
    return {"version": VERSION, "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}
