"""Polygons of objects: GeoPackage, FlatGeobuf, GeoParquet, GeoJSON and GeoJSON text sequences.

One sink for all: objects are outlined and spooled as they come, and at the end refined, carried to
the output's CRS and handed to the format, a few hundred at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely
from pyproj import CRS

from samovar.errors import OutputError, UsageError
from samovar.grid import Region
from samovar.image import Image
from samovar.objects import Objects, SegmentedObject
from samovar.protocols import StreamHead
from samovar_geo import geojson, geopackage, geoparquet
from samovar_geo.arrow import write_flatgeobuf
from samovar_geo.attributes import Table, attributes_of
from samovar_geo.crs import parse_crs
from samovar_geo.features import Batch, Drain, Feature
from samovar_geo.georeference import corner_transform, grid_crs, reprojection
from samovar_geo.measures import Ellipsoid
from samovar_geo.outlines import outline
from samovar_geo.polygons import map_points
from samovar_geo.provenance import model_name, record
from samovar_geo.refine import Refinement
from samovar_geo.spool import Kept, Spool

LOG = logging.getLogger("samovar")
BATCH = 200
"""Features handed to a format at a time."""
LONLAT = "OGC:CRS84"


@dataclass(frozen=True)
class VectorOptions:
    """What may be asked of every vector file."""

    layer: str = geopackage.LAYER
    dst_crs: str | None = None
    simplify: float | None = None
    """Ground metres that an outline may move."""
    regularize: bool = False


class VectorSink:
    """Takes objects one at a time; the file is written when it is closed."""

    def __init__(
        self,
        head: StreamHead,
        path: Path,
        image: Image,
        drain: Drain,
        options: VectorOptions,
        target: Path | None = None,
    ) -> None:
        self._head, self._path, self._image, self._drain = head, path, image, drain
        self._options, self._target = options, target
        self._spool = Spool(path)
        nothing = SegmentedObject(0, Region((0, 0), (0, 0)), b"")
        self._table = Table(model_name(head.provenance), head.attributes, image.measure(nothing))
        self._lost = 0

    def add(self, item: SegmentedObject) -> None:
        """Outline and spool one object; empty ones are counted. Raises OSError: disk full."""
        if item.empty:
            self._lost += 1
            return
        self._spool.add(item.region, outline(item), self._table.row(item, self._image))

    def advance(self, row: int) -> None:
        """Nothing to do: neighbours are looked up in the spool."""

    def close(self) -> None:
        """Write the file, with what of an older one stays: as it is now, not when the run began.

        The spool stays when that fails, until :meth:`abort`.

        Raises:
            OSError: it cannot be written.
            OutputError: another program holds the older one.
        """
        if self._lost:
            total = self._spool.count + self._lost
            LOG.warning("%d of %d objects were not found and have no polygon", self._lost, total)
        if self._drain.prepare is not None and self._target is not None:
            self._drain.prepare(self._target, self._path)
        self._drain(self._batch())
        self._spool.close()

    def abort(self) -> None:
        self._spool.close()

    def _batch(self) -> Batch:
        crs = _target(self._drain.lonlat, self._options.dst_crs, self._image)
        return Batch(
            path=self._path,
            layer=self._options.layer,
            crs=crs,
            columns=self._table.columns,
            features=self._features(crs),
            provenance=self._head.provenance,
            record=record(self._head.provenance),
        )

    def _features(self, crs: CRS | None) -> Iterator[list[Feature]]:
        refine = Refinement(
            self._spool, Ellipsoid(self._head.grid, self._image), self._head.grid,
            self._options.simplify, self._options.regularize,
        )  # fmt: skip
        transform = corner_transform(self._head.grid, self._image)
        own = grid_crs(self._head.grid)
        carry = reprojection(own, crs) if own is not None and crs is not None else None
        shared = carry is not None or transform.b != 0 or transform.d != 0
        lonlat = self._drain.lonlat

        def finish(kept: list[Kept]) -> list[Feature]:
            refined = [refine(one, shared=shared) for one in kept]
            shapes = map_points([shape for shape, _ in refined], transform, carry)
            if lonlat:
                shapes = [
                    geojson.cut(s, wraps=own is not None and not own.is_geographic) for s in shapes
                ]
            return [
                Feature(one.row | changed, shape if shape.is_valid else shapely.make_valid(shape))
                for one, shape, (_, changed) in zip(kept, shapes, refined, strict=True)
            ]

        pending: list[Kept] = []
        for kept in self._spool:
            pending.append(kept)
            if len(pending) >= BATCH:
                yield finish(pending)
                pending = []
        if pending:
            yield finish(pending)


class VectorWriter:
    """What the writers of vector files share. A subclass says which drain it has."""

    drain: Drain

    def __init__(self) -> None:
        self._targets: dict[Path, Path] = {}

    def check(self, image: Image, **options: Any) -> None:
        """Refuse before any work what would fail at its end.

        Raises:
            OutputError: a raster without CRS meets a format of lon/lat, or ``--dst-crs``.
            UsageError: an option that the format cannot have.
        """
        wanted = _options(options)
        _target(self.drain.lonlat, wanted.dst_crs, image)
        if wanted.simplify is not None and wanted.simplify <= 0:
            raise UsageError(f"--simplify {wanted.simplify:g}: give a length in metres above 0")

    def check_target(self, target: Path, **options: Any) -> None:
        """Raises OutputError when a file that is there is in use, or of another kind."""
        if self.drain.check is not None:
            self.drain.check(target, _options(options).layer)

    def replaces(self, target: Path, **options: Any) -> bool:
        """Whether results of an earlier run would be replaced, not only the file added to."""
        if self.drain.replaces is None:
            return True
        return self.drain.replaces(target, _options(options).layer)

    def prepare(self, target: Path, path: Path) -> None:
        """Remember whose layers stay; they are taken over at the end, as they then are."""
        self._targets[path] = target

    def stream(self, head: StreamHead, path: Path, image: Image, **options: Any) -> VectorSink:
        """One feature a found object, exact pixel edges unless asked otherwise.

        Raises:
            OutputError: a raster without CRS meets a format of lon/lat.
            OSError: the file cannot be written.
        """
        wanted = _options(options)
        _target(self.drain.lonlat, wanted.dst_crs, image)
        target = self._targets.pop(path, None)
        return VectorSink(head, path, image, self.drain, wanted, target)

    def write(self, objects: Objects, path: Path, image: Image, **options: Any) -> None:
        """All objects at once; the same bytes as :meth:`stream`. Raises as it does."""
        head = StreamHead(
            objects.grid, objects.provenance, attributes_of([o.attributes for o in objects])
        )
        sink = self.stream(head, path, image, **options)
        try:
            for item in objects:
                sink.add(item)
            sink.close()
        except BaseException:
            sink.abort()
            raise


class GeoPackage(VectorWriter):
    """A layer of MultiPolygons in the raster's own CRS; other layers of the file are kept."""

    drain = Drain(
        geopackage.write,
        check=geopackage.check,
        prepare=geopackage.prepare,
        replaces=geopackage.has_layer,
    )


class FlatGeobuf(VectorWriter):
    """MultiPolygons in the raster's own CRS, spatially indexed."""

    drain = Drain(write_flatgeobuf)


class GeoParquet(VectorWriter):
    """MultiPolygons in the raster's own CRS, GeoParquet 1.1."""

    drain = Drain(geoparquet.write)


class GeoJson(VectorWriter):
    """Polygons in lon/lat, as RFC 7946 has it."""

    drain = Drain(geojson.write_collection, lonlat=True)


class GeoJsonSeq(VectorWriter):
    """Polygons in lon/lat, one feature a line: for scenes with many objects, and for streams."""

    drain = Drain(geojson.write_sequence, lonlat=True)


def _options(given: dict[str, Any]) -> VectorOptions:
    return VectorOptions(**{key: value for key, value in given.items() if value is not None})


def _target(lonlat: bool, wanted: str | None, image: Image) -> CRS | None:
    """CRS of the file; None where the raster has none.

    Raises:
        OutputError: the raster has no CRS and the file needs one.
        UsageError: ``wanted`` is no CRS, or not what the format holds.
    """
    own = grid_crs(image.grid)
    source = image.info.source
    if own is None and (lonlat or wanted):
        what = "GeoJSON holds lon/lat only" if lonlat else f"--dst-crs {wanted} needs one"
        raise OutputError(
            f"{source}: has no CRS, and {what}; assign one first "
            "(gdal_edit.py -a_srs EPSG:… FILE), or write a .gpkg or .tif"
        )
    target = parse_crs(wanted, "--dst-crs") if wanted else own
    if lonlat:
        if wanted and target is not None and not target.equals(CRS(LONLAT), True):
            raise UsageError(
                f"--dst-crs {wanted}: GeoJSON is always lon/lat (RFC 7946); write .gpkg, .fgb or "
                ".parquet, or leave --dst-crs out"
            )
        return CRS(LONLAT)
    return target
