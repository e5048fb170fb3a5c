"""A STAC Item of a run: where its results lie on the map, what they came from, what made them."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS
from rasterio.transform import Affine

from samovar.errors import OutputError
from samovar.grid import Grid
from samovar.image import Image
from samovar.manifest import to_json
from samovar.objects import Objects, SegmentedObject
from samovar.protocols import StreamHead
from samovar_geo import geojson
from samovar_geo.georeference import corner_transform, grid_crs, reprojection
from samovar_geo.polygons import map_points
from samovar_geo.provenance import LEFT_OUT, model_name, sentence

STAC_VERSION = "1.1.0"
PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
EDGE_STEPS = 16
"""The footprint's edges are followed in this many steps."""
MEDIA_TYPES = {
    ".gpkg": "application/geopackage+sqlite3",
    ".geojson": "application/geo+json",
    ".geojsonl": "application/geo+json-seq",
    ".geojsons": "application/geo+json-seq",
    ".fgb": "application/vnd.flatgeobuf",
    ".parquet": "application/vnd.apache.parquet",
    ".geoparquet": "application/vnd.apache.parquet",
    ".tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    ".tiff": "image/tiff; application=geotiff; profile=cloud-optimized",
}
RASTER_TYPES = {
    "GTiff": "image/tiff; application=geotiff",
    "COG": "image/tiff; application=geotiff; profile=cloud-optimized",
    "JP2OpenJPEG": "image/jp2",
    "VRT": "application/x-vrt",
}


class StacItem:
    """Writes ``NAME.stac.json``: the Item that describes the other outputs of the run."""

    def check(self, image: Image, **options: Any) -> None:
        """Raises OutputError for a raster that lies nowhere on the map."""
        if image.grid.frame.kind != "crs":
            raise OutputError(
                f"{image.info.source}: has no CRS, and a STAC Item says where on earth its data "
                "lie; assign one first (gdal_edit.py -a_srs EPSG:… FILE)"
            )

    def stream(self, head: StreamHead, path: Path, image: Image, **options: Any) -> ItemSink:
        """Counts objects; the Item is written at the end."""
        return ItemSink(head, path, image, **options)

    def write(self, objects: Objects, path: Path, image: Image, **options: Any) -> None:
        """The Item. Raises OSError when it cannot be written."""
        sink = ItemSink(StreamHead(objects.grid, objects.provenance), path, image, **options)
        for item in objects:
            sink.add(item)
        sink.close()


class ItemSink:
    """An Item in the making."""

    def __init__(
        self,
        head: StreamHead,
        path: Path,
        image: Image,
        outputs: Sequence[Path] = (),
        stac_model: str | None = None,
    ) -> None:
        self._head, self._path, self._image = head, path, image
        self._outputs, self._model = [Path(p) for p in outputs], stac_model
        self._count = 0

    def add(self, item: SegmentedObject) -> None:
        self._count += not item.empty

    def advance(self, row: int) -> None:
        """Nothing to do."""

    def close(self) -> None:
        made = item_of(
            self._head, self._image, self._count, self._path.parent, self._outputs, self._model
        )
        self._path.write_text(to_json(made), encoding="utf-8", newline="\n")

    def abort(self) -> None:
        """Nothing was opened."""


def item_of(
    head: StreamHead,
    image: Image,
    count: int,
    folder: Path,
    outputs: Sequence[Path],
    model_item: str | None = None,
) -> dict[str, Any]:
    """The Item as plain values.

    Args:
        count: objects found.
        folder: of the Item: local addresses are relative to it.
        outputs: files of the run, which become assets.
        model_item: address of the model's own Item (``samovar models export-stac``).
    """
    shape = footprint(head.grid, image)
    crs = grid_crs(head.grid)
    assert crs is not None
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    described = [p for p in outputs if not p.name.lower().endswith(".stac.json")]
    source = image.info.source
    links: list[dict[str, Any]] = [
        {
            "rel": "derived_from",
            "href": _href(source, folder),
            "type": RASTER_TYPES.get(str(image.info.native.get("driver")), "image/*"),
            "title": "the raster",
        }
    ]
    if model_item:
        links.append(
            {
                "rel": "derived_from",
                "href": _href(model_item, folder),
                "type": "application/geo+json",
                "title": "the model",
                "mlm:name": model_name(head.provenance).rpartition("/")[2],
            }
        )
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [PROCESSING, PROJECTION],
        "id": described[0].stem if described else Path(source).stem + "-objects",
        "geometry": geojson.geometry(shape),
        "bbox": [round(float(v), geojson.DECIMALS) for v in shape.bounds],
        "properties": {
            "datetime": now,
            "created": now,
            "title": f"{count} objects in {Path(source).name}",
            "processing:datetime": now,
            "processing:lineage": sentence(head.provenance),
            "processing:software": _software(head),
            "processing:expression": {
                "format": "samovar-manifest",
                "expression": _plain(
                    {k: v for k, v in head.provenance.items() if k not in LEFT_OUT}
                ),
            },
            **_projection(head.grid, image, crs),
        },
        "links": links,
        "assets": {
            (path.suffix[1:] if len(described) > 1 else "objects"): {
                "href": "./" + path.name,
                "type": MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream"),
                "title": "labels" if path.suffix.lower().startswith(".tif") else "polygons",
                "roles": ["data"],
            }
            for path in described
        },
    }


def footprint(grid: Grid, image: Image) -> Any:
    """The outline of what was asked for in lon/lat, cut at the antimeridian."""
    crs = grid_crs(grid)
    assert crs is not None
    (top, left), (rows, columns) = image.shown.start, image.shown.shape
    edge = shapely.segmentize(
        shapely.box(left, top, left + columns, top + rows), max(rows, columns) / EDGE_STEPS
    )
    carry = reprojection(crs, CRS("OGC:CRS84"))
    shape = map_points(edge, corner_transform(grid, image), carry)
    if not np.isfinite(shapely.get_coordinates(shape)).all():
        shape = shapely.box(-180, -90, 180, 90)
    return shapely.set_precision(geojson.cut(shape, wraps=not crs.is_geographic), 1e-7)


def _projection(grid: Grid, image: Image, crs: CRS) -> dict[str, Any]:
    code = crs.to_authority()
    (top, left), shape = image.shown.start, image.shown.shape
    moved = corner_transform(grid, image) * Affine.translation(left, top)
    transform = tuple(moved)[:6]
    return {
        "proj:code": ":".join(code) if code else None,
        **({} if code else {"proj:projjson": crs.to_json_dict()}),
        "proj:shape": list(shape),
        "proj:transform": [float(v) for v in transform],
    }


def _software(head: StreamHead) -> dict[str, str]:
    """Name → version, as the extension has it."""
    plugins = head.provenance.get("plugins", {})
    found = {str(name): str(version) for name, version in dict(plugins).items()}
    found["samovar"] = str(head.provenance.get("samovar", "unknown"))
    return found


def _href(target: str, folder: Path) -> str:
    """Addresses as they are, local files relative to the Item."""
    if "://" in target or target.startswith(("/vsi", "mosaic:", "stack:")):
        return target
    try:
        return Path(os.path.relpath(Path(target).resolve(), folder.resolve())).as_posix()
    except ValueError:
        # another drive
        return Path(target).resolve().as_uri()


def _plain(value: Any) -> Any:
    return json.loads(to_json(value))
