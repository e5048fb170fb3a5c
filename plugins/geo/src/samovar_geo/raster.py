"""Rasters: any GDAL-readable source, read by windows."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window

from samovar.errors import GeometryError, InputError
from samovar.grid import Frame, Grid, Region
from samovar.image import Domain, Image, ImageInfo
from samovar.objects import SegmentedObject
from samovar_geo.bands import Bands, choose_bands
from samovar_geo.georeference import centre_affine, frame_of, is_georeferenced
from samovar_geo.measures import Ellipsoid

CACHE_BYTES = 256 * 2**20
"""GDAL's block cache, where the user has not set GDAL_CACHEMAX. Its own default is 5 % of RAM."""

warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
# GDAL's own words would reach the screen beside ours
logging.getLogger("rasterio").addHandler(logging.NullHandler())


@contextmanager
def gdal(*, remote: bool = False) -> Iterator[None]:
    """GDAL with a bounded block cache, and without directory listings of web servers."""
    options: dict[str, Any] = {}
    if "GDAL_CACHEMAX" not in os.environ:
        options["GDAL_CACHEMAX"] = CACHE_BYTES
    if remote:
        options["GDAL_DISABLE_READDIR_ON_OPEN"] = "EMPTY_DIR"
    with rasterio.Env(**options):
        yield


class RasterReader:
    """Opens rasters: files, ``/vsi…`` paths and URLs."""

    def __init__(self, bands: str | None = None) -> None:
        self._bands = bands

    def open(self, path: str, bands: str | None = None) -> RasterImage:
        """A raster, its pixels unread.

        Args:
            path: whatever GDAL opens; ``http(s)://`` goes through ``/vsicurl/``.
            bands: such as ``"4,3,2"``; see :func:`samovar_geo.bands.choose_bands`.

        Raises:
            InputError: GDAL cannot open it, it is damaged, or it is a container of rasters.
            GeometryError: it has ground control points only, or a transform without an inverse.
            UsageError: ``bands`` does not fit the raster.
        """
        return RasterImage(str(path), bands or self._bands)


class RasterImage(Image):
    """A raster whose windows are read when asked for.

    Several threads may read at once: each uses a handle of its own while it reads.
    """

    def __init__(self, source: str, bands: str | None = None) -> None:
        self._source = source
        self._path = gdal_path(source)
        self._remote = self._path.startswith(("/vsi", "s3:", "gs:", "az:"))
        self._lock = Lock()
        self._idle: list[Any] = []
        self._closed = False
        self._ellipsoid: Ellipsoid | None = None
        with self._handle() as dataset:
            self._describe(dataset, bands)
            if not self._remote:
                self._probe(dataset)

    def _describe(self, dataset: Any, wanted: str | None) -> None:
        refuse_unusable(dataset, self._source)
        self._bands: Bands = choose_bands(dataset, wanted, self._source)
        self._valid_by_mask = _has_mask(dataset, self._bands.indexes)
        self._valid_by_value = self._bands.dtype.kind == "f"
        domain: Domain = "raster" if is_georeferenced(dataset) else "picture"
        frame = frame_of(dataset.crs) if domain == "raster" else Frame.index()
        affine = np.eye(3) if domain == "picture" else centre_affine(dataset.transform)
        try:
            self.grid = Grid((dataset.height, dataset.width), affine, frame)
        except GeometryError as error:
            raise GeometryError(f"{self._source}: {error}") from None
        self.channels = self._bands.channels
        self.dtype = self._bands.dtype
        self.info = ImageInfo(
            source=self._source,
            domain=domain,
            format="raster",
            modality=self._bands.modality,
            channel_names=self._bands.names,
            nodata=dataset.nodatavals[self._bands.indexes[0] - 1],
            native={
                "driver": dataset.driver,
                "transform": tuple(dataset.transform)[:6],
                "crs_wkt": dataset.crs.to_wkt() if dataset.crs else None,
                "bands": self._bands.indexes,
                "band_count": dataset.count,
                "stored_dtype": dataset.dtypes[self._bands.indexes[0] - 1],
                "block_shape": dataset.block_shapes[0],
                "overviews": tuple(dataset.overviews(1)),
            },
        )

    def _probe(self, dataset: Any) -> None:
        """Read one pixel of the last block: a file that was cut short fails here, not hours on."""
        rows, columns = self.grid.shape
        self._read(dataset, Window(columns - 1, rows - 1, 1, 1), (1, 1), Resampling.nearest)

    def read(
        self, region: Region | None = None, *, size: tuple[int, ...] | None = None
    ) -> NDArray[Any]:
        """``(channels, rows, columns)`` of ``region`` or of ``size``, in real values.

        A smaller ``size`` is read through overviews: area average, or nearest for palettes and
        complex samples, which have no meaningful average.

        Raises:
            InputError: the file is damaged, the connection was lost, or the image is closed.
        """
        region = region or self.grid.region
        shape = tuple(size or region.shape)
        averaged = shape != region.shape and self._bands.palette is None
        with self._handle() as dataset:
            if dataset.dtypes[self._bands.indexes[0] - 1].startswith("complex"):
                averaged = False
            method = Resampling.average if averaged else Resampling.nearest
            block = self._read(dataset, window_of(region), shape, method)
        return self._bands.apply(block)

    def valid(
        self, region: Region | None = None, *, size: tuple[int, ...] | None = None
    ) -> NDArray[np.bool_] | None:
        """Where at least one band holds data by nodata, dataset mask or alpha, and all are finite.

        ``(rows, columns)``; None when the raster declares nothing that could be missing.
        """
        if not (self._valid_by_mask or self._valid_by_value):
            return None
        region = region or self.grid.region
        shape = tuple(size or region.shape)
        inside = np.ones(shape, dtype=bool)
        with self._handle() as dataset:
            if self._valid_by_mask:
                masks = dataset.read_masks(
                    self._bands.indexes,
                    window=window_of(region),
                    out_shape=(len(self._bands.indexes), *shape),
                    resampling=Resampling.nearest,
                )
                inside &= (masks > 0).any(axis=0)
            if self._valid_by_value:
                block = self._read(dataset, window_of(region), shape, Resampling.nearest)
                inside &= np.isfinite(block).all(axis=0)
        return inside

    def measure(self, segmented: SegmentedObject) -> dict[str, float]:
        """``pixels``, and with a CRS ``area_m2`` and ``perimeter_m`` on its ellipsoid."""
        sizes: dict[str, float] = {"pixels": segmented.pixels}
        if self.grid.frame.kind == "crs":
            if self._ellipsoid is None:
                self._ellipsoid = Ellipsoid(self.grid, self)
            sizes |= self._ellipsoid.measure(segmented)
        return sizes

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for dataset in idle:
            dataset.close()

    @contextmanager
    def _handle(self) -> Iterator[Any]:
        """A dataset handle that nobody else uses meanwhile; library errors become ours."""
        with self._lock:
            if self._closed:
                raise InputError(f"{self._source}: the image is closed: open it again")
            dataset = self._idle.pop() if self._idle else None
        try:
            with gdal(remote=self._remote):
                if dataset is None:
                    dataset = open_dataset(self._path, self._source)
                yield dataset
        except RasterioError as error:
            raise damaged(self._source, error) from error
        finally:
            self._give_back(dataset)

    def _give_back(self, dataset: Any) -> None:
        if dataset is None:
            return
        with self._lock:
            if not self._closed:
                self._idle.append(dataset)
                return
        dataset.close()

    def _read(
        self, dataset: Any, window: Window, shape: tuple[int, ...], method: Resampling
    ) -> NDArray[Any]:
        indexes = self._bands.indexes
        block: NDArray[Any] = dataset.read(
            indexes, window=window, out_shape=(len(indexes), *shape), resampling=method
        )
        return block


def gdal_path(source: str) -> str:
    """What GDAL is given: URLs go through ``/vsicurl/``, so that only windows are fetched."""
    if source.startswith(("http://", "https://")):
        return f"/vsicurl/{source}"
    return source


def open_dataset(path: str, source: str) -> Any:
    """A rasterio dataset.

    Raises:
        InputError: there is no such file, it is empty, or GDAL does not recognise it.
    """
    try:
        return rasterio.open(path)
    except (RasterioError, ValueError, TypeError) as error:
        raise _cannot_open(source, error) from error


def refuse_unusable(dataset: Any, source: str) -> None:
    """Raises InputError or GeometryError for what a person has to convert first."""
    if dataset.count == 0:
        if dataset.subdatasets:
            listed = ", ".join(dataset.subdatasets[:3])
            left = len(dataset.subdatasets) - 3
            more = f" and {left} more" if left > 0 else ""
            raise InputError(
                f"{source}: a container of several rasters; export one of them first, "
                f"gdal_translate SUBDATASET one.tif: {listed}{more}"
            )
        raise InputError(f"{source}: holds no raster band; give the raster itself")
    if dataset.transform == Affine.identity():
        if dataset.gcps[0]:
            raise GeometryError(
                f"{source}: is located by ground control points only; "
                "warp it first: gdalwarp -t_srs EPSG:4326 IN OUT.tif"
            )
        if dataset.rpcs:
            raise GeometryError(
                f"{source}: is located by RPCs only; warp it first: gdalwarp -rpc IN OUT.tif"
            )


def damaged(source: str, error: Exception) -> InputError:
    """One line for a read that failed half-way."""
    return InputError(
        f"{source}: cannot be read, the file is damaged or cut short, or the connection was "
        f"lost; fetch it again ({_cause(error)})"
    )


def _cannot_open(source: str, error: Exception) -> InputError:
    file = Path(source)
    local = not source.startswith("/vsi") and "://" not in source
    if local and not file.exists():
        return InputError(f"{source}: there is no such file")
    if local and file.is_file() and file.stat().st_size == 0:
        return InputError(f"{source}: the file is empty; fetch it again")
    if local:
        return InputError(
            f"{source}: is not a raster that GDAL can open, or it is damaged; "
            f"check it with gdalinfo ({_cause(error)})"
        )
    return InputError(f"{source}: cannot be opened; check the address ({_cause(error)})")


def _cause(error: BaseException) -> str:
    """The innermost library message, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:200]


def _has_mask(dataset: Any, indexes: tuple[int, ...]) -> bool:
    transparent = ColorInterp.alpha in dataset.colorinterp
    flags = [dataset.mask_flag_enums[i - 1] for i in indexes]
    return transparent or any(MaskFlags.all_valid not in found for found in flags)


def window_of(region: Region) -> Window:
    """A region as rasterio's window."""
    (top, left), (rows, columns) = region.start, region.shape
    return Window(left, top, columns, rows)
