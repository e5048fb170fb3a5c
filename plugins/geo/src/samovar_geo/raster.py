"""Rasters: any GDAL-readable source, read by windows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.transform import Affine
from rasterio.windows import Window

from samovar.errors import GeometryError, UsageError
from samovar.grid import Frame, Grid, Region
from samovar.image import Domain, Image, ImageInfo
from samovar.masks import PixelMask
from samovar.objects import SegmentedObject
from samovar.stretch import parse_stretch
from samovar_geo import joining, sentinel
from samovar_geo.area import Area, Wanted, find_area
from samovar_geo.bands import Bands, choose_bands
from samovar_geo.emptiness import missing_blocks
from samovar_geo.georeference import centre_affine, frame_of, is_georeferenced
from samovar_geo.handles import Handles
from samovar_geo.layout import blocks_of
from samovar_geo.measures import Ellipsoid
from samovar_geo.opening import gdal_path, is_remote, keep, refuse_unusable

SAMPLE = 512
"""Side of the coarse picture that a scene's values are sampled from."""
SAMPLE_WINDOWS = 8
"""Windows along each axis, where no overview makes a coarse picture cheap."""
CHEAP_PIXELS = 2**24
"""Scenes of at most this are read whole for a sample."""
FINEST, COARSEST = 0.01, 100.0
"""How far --gsd may be from the raster's own pixels."""


@dataclass(frozen=True)
class RasterOptions:
    """How a raster is to be looked at; see the command line's help."""

    bands: str | None = None
    stretch: str | None = None
    bbox: str | None = None
    bbox_crs: str | None = None
    aoi: str | None = None
    aoi_layer: str | None = None
    gsd: float | None = None
    scl_mask: str | None = None

    @property
    def area(self) -> Wanted:
        return Wanted(self.bbox, self.bbox_crs, self.aoi, self.aoi_layer)


class RasterReader:
    """Opens rasters: files, ``/vsi…`` paths and URLs, several as one, Sentinel-2 products."""

    def __init__(self, **options: Any) -> None:
        self._options = options

    def open(self, path: str, **options: Any) -> RasterImage:
        """A raster, its pixels unread.

        Args:
            path: whatever GDAL opens; ``http(s)://`` goes through ``/vsicurl/``;
                ``mosaic:A|B``, ``stack:A|B``; a SAFE folder.
            options: fields of :class:`RasterOptions`.

        Raises:
            InputError: GDAL cannot open it, it is damaged, or it is a container of rasters.
            GeometryError: it has ground control points only, or a transform without an inverse.
            UsageError: an option does not fit the raster.
        """
        given = {k: v for k, v in (self._options | options).items() if v is not None}
        return RasterImage(str(path), RasterOptions(**given))


class RasterImage(Image):
    """A raster whose windows are read when asked for.

    Several threads may read at once: each uses a handle of its own while it reads.
    """

    def __init__(self, source: str, options: RasterOptions | str | None = None) -> None:
        if not isinstance(options, RasterOptions):
            options = RasterOptions(bands=options)
        self._source = source
        path = _virtual_path(source, options)
        self._remote = is_remote(path)
        self._handles = Handles(path, source)
        self._ellipsoid: Ellipsoid | None = None
        if options.stretch is not None:
            parse_stretch(options.stretch)
        self.stretch = options.stretch
        with self._handles.borrow() as dataset:
            self._describe(dataset, options)
            if not self._remote:
                self._probe(dataset)

    def _describe(self, dataset: Any, options: RasterOptions) -> None:
        refuse_unusable(dataset, self._source)
        self._bands: Bands = choose_bands(dataset, options.bands, self._source)
        self._valid_by_mask = _has_mask(dataset, self._bands.indexes)
        self._valid_by_value = self._bands.dtype.kind == "f"
        domain: Domain = "raster" if is_georeferenced(dataset) else "picture"
        frame = frame_of(dataset.crs) if domain == "raster" else Frame.index()
        whole = self._grid(dataset.transform, (dataset.height, dataset.width), domain, frame)
        transform, shape = self._scaled(whole, dataset.transform, options.gsd)
        self._area: Area | None = None
        cut = Region((0, 0), shape)
        if options.area:
            crs = CRS.from_user_input(frame.crs) if frame.crs else None
            self._area = find_area(options.area, transform, shape, crs, self._source)
            cut = self._area.cut
            self.origin = cut.start
        self._cut = cut
        if cut.start != (0, 0):
            transform = transform * Affine.translation(cut.start[1], cut.start[0])
        self.grid = self._grid(transform, cut.shape, domain, frame)
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
                "transform": tuple(transform)[:6],
                "crs_wkt": dataset.crs.to_wkt() if dataset.crs else None,
                "bands": self._bands.indexes,
                "band_count": dataset.count,
                "stored_dtype": dataset.dtypes[self._bands.indexes[0] - 1],
                "block_shape": dataset.block_shapes[0],
                "overviews": tuple(dataset.overviews(1)),
            },
        )
        self._missing = missing_blocks(dataset, self._bands.indexes, self._remote)
        self.blocks = blocks_of(dataset, self._bands.indexes, self._scale)

    def _grid(
        self, transform: Affine, shape: tuple[int, ...], domain: Domain, frame: Frame
    ) -> Grid:
        affine = np.eye(3) if domain == "picture" else centre_affine(transform)
        try:
            return Grid(shape, affine, frame)
        except GeometryError as error:
            raise GeometryError(f"{self._source}: {error}") from None

    def _scaled(
        self, whole: Grid, transform: Affine, gsd: float | None
    ) -> tuple[Affine, tuple[int, int]]:
        """Transform and shape at ``gsd`` metres a pixel on the ground, in both directions."""
        rows, columns = whole.shape
        self._scale = (1.0, 1.0)
        if gsd is None:
            return transform, (rows, columns)
        ellipsoid = Ellipsoid(whole)
        if not ellipsoid.known:
            raise UsageError(
                f"--gsd {gsd:g}: {self._source} has no CRS, so nobody knows how long its pixels "
                "are; assign one first (gdal_edit.py -a_srs EPSG:… FILE)"
            )
        x, y = ellipsoid.pixel_metres(columns / 2, rows / 2)
        if not (gsd > 0 and FINEST <= gsd / max(x, y) <= COARSEST):
            raise UsageError(
                f"--gsd {gsd:g}: {self._source} has pixels of {x:.3g} × {y:.3g} m; give a size "
                f"between {FINEST * max(x, y):.3g} and {COARSEST * max(x, y):.3g} m"
            )
        new = max(1, round(rows * y / gsd)), max(1, round(columns * x / gsd))
        self._scale = rows / new[0], columns / new[1]
        return transform * Affine.scale(self._scale[1], self._scale[0]), new

    def _probe(self, dataset: Any) -> None:
        """Read one pixel of the last block: a file that was cut short fails here, not hours on."""
        window = Window(dataset.width - 1, dataset.height - 1, 1, 1)
        self._read(dataset, window, (1, 1), Resampling.nearest)

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
        with self._handles.borrow() as dataset:
            block = self._read(
                dataset, self._window(region), shape, self._method(dataset, region, shape)
            )
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
        return self._valid_window(self._window(region), tuple(size or region.shape))

    def _valid_window(self, window: Window, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        inside = np.ones(shape, dtype=bool)
        with self._handles.borrow() as dataset:
            if self._valid_by_mask:
                masks = dataset.read_masks(
                    self._bands.indexes,
                    window=window,
                    out_shape=(len(self._bands.indexes), *shape),
                    resampling=Resampling.nearest,
                )
                inside &= (masks > 0).any(axis=0)
            if self._valid_by_value:
                block = self._read(dataset, window, shape, Resampling.nearest)
                inside &= np.isfinite(self._bands.apply(block)).all(axis=0)
        return inside

    def blank(self, region: Region) -> bool:
        """Whether a region lies outside the area of interest, or in blocks that hold nothing."""
        whole = region.shift(self._cut.start)
        if self._area is not None and not self._area.touches(whole):
            return True
        if self._missing is None:
            return False
        window = self._window(region)
        start = int(window.row_off), int(window.col_off)
        stop = (
            int(np.ceil(window.row_off + window.height)),
            int(np.ceil(window.col_off + window.width)),
        )
        return self._missing.all(Region(start, stop), self._handles.once)

    def wanted(self, mask: PixelMask) -> bool:
        """Whether an object was asked for: one of its pixels lies in the area of interest."""
        if self._area is None:
            return True
        return self._area.holds(PixelMask(mask.region.shift(self._cut.start), mask.inside))

    def beyond(self, shape: Any) -> bool:
        """Whether a shape in corner coordinates lies outside the area of interest."""
        if self._area is None:
            return False
        offset = np.array(self._cut.start[::-1], dtype=np.float64)
        return not shapely.intersects(
            self._area.shape, shapely.transform(shape, lambda points: points + offset)
        )

    @property
    def shown(self) -> Region:
        """The part of the grid that was asked for, without its margin."""
        if self._area is None:
            return self.grid.region
        return self._area.window.shift(tuple(-v for v in self._cut.start))

    def sample(self) -> NDArray[Any]:
        """``(channels, n)`` valid values from all over the *whole* scene, for its stretch.

        Through an overview where there is one, else from windows on a regular lattice: a scene
        larger than memory is never read whole. The area of interest has no say in it.
        """
        with self._handles.borrow() as dataset:
            rows, columns = dataset.height, dataset.width
            coarse = dataset.overviews(self._bands.indexes[0]) or rows * columns <= CHEAP_PIXELS
            averaged = self._averages(dataset)
        if coarse:
            size = min(SAMPLE, rows), min(SAMPLE, columns)
            return self._values(Window(0, 0, columns, rows), size, averaged)
        side = SAMPLE // SAMPLE_WINDOWS
        starts = [
            [int(v) for v in np.linspace(0, max(0, n - side), SAMPLE_WINDOWS)]
            for n in (rows, columns)
        ]
        size = min(side, rows), min(side, columns)
        parts = [
            self._values(Window(x, y, size[1], size[0]), size, False)
            for y in starts[0]
            for x in starts[1]
        ]
        return np.concatenate(parts, axis=1)

    def _values(self, window: Window, size: tuple[int, int], averaged: bool) -> NDArray[Any]:
        method = Resampling.average if averaged else Resampling.nearest
        with self._handles.borrow() as dataset:
            block = self._bands.apply(self._read(dataset, window, size, method))
        flat = block.reshape(block.shape[0], -1)
        if not (self._valid_by_mask or self._valid_by_value):
            return flat
        return np.asarray(flat[:, self._valid_window(window, size).ravel()])

    def measure(self, segmented: SegmentedObject) -> dict[str, float]:
        """``pixels``, and with a CRS ``area_m2`` and ``perimeter_m`` on its ellipsoid."""
        sizes: dict[str, float] = {"pixels": segmented.pixels}
        if self.grid.frame.kind == "crs":
            if self._ellipsoid is None:
                self._ellipsoid = Ellipsoid(self.grid, self)
            sizes |= self._ellipsoid.measure(segmented)
        return sizes

    def keep_blocks(self, nbytes: int) -> None:
        """GDAL's block cache grows to ``nbytes``, unless GDAL_CACHEMAX is set."""
        keep(self._handles, nbytes)

    def close(self) -> None:
        keep(self._handles, 0)
        self._handles.close()

    def _window(self, region: Region) -> Window:
        """A region of the grid in the file's own pixels; fractions where --gsd changed them."""
        (top, left), (rows, columns) = region.shift(self._cut.start).start, region.shape
        sy, sx = self._scale
        return Window(left * sx, top * sy, columns * sx, rows * sy)

    def _method(self, dataset: Any, region: Region, shape: tuple[int, ...]) -> Resampling:
        if (shape == region.shape and self._scale == (1.0, 1.0)) or not self._averages(dataset):
            return Resampling.nearest
        finer = self._scale[0] * region.shape[0] / shape[0] < 1
        return Resampling.bilinear if finer else Resampling.average

    def _averages(self, dataset: Any) -> bool:
        """Whether values may be averaged: colour numbers and complex samples may not."""
        stored = str(dataset.dtypes[self._bands.indexes[0] - 1])
        return self._bands.palette is None and not stored.startswith("complex")

    def _read(
        self, dataset: Any, window: Window, shape: tuple[int, ...], method: Resampling
    ) -> NDArray[Any]:
        indexes = self._bands.indexes
        if len({dataset.dtypes[i - 1] for i in indexes}) > 1:
            # rasterio reads bands of one type at a time
            return np.stack(
                [
                    dataset.read(i, window=window, out_shape=shape, resampling=method)
                    for i in indexes
                ]
            )
        block: NDArray[Any] = dataset.read(
            indexes, window=window, out_shape=(len(indexes), *shape), resampling=method
        )
        return block


def window_of(region: Region) -> Window:
    """A region as rasterio's window."""
    (top, left), (rows, columns) = region.start, region.shape
    return Window(left, top, columns, rows)


def _virtual_path(source: str, options: RasterOptions) -> str:
    """What GDAL opens: a path, or the text of a virtual raster."""
    if source.startswith(joining.MOSAIC):
        members = joining.look_at(joining.split_members(source))
        return joining.mosaic(members, source).xml()
    if source.startswith(joining.STACK):
        return joining.stack(joining.look_at(joining.split_members(source))).xml()
    if sentinel.is_product(source) and Path(source).exists():
        return sentinel.open_product(source, options.scl_mask).xml()
    if options.scl_mask:
        raise UsageError(f"--scl-mask is for Sentinel-2 products (.SAFE); {source} is none")
    return gdal_path(source)


def _has_mask(dataset: Any, indexes: tuple[int, ...]) -> bool:
    transparent = ColorInterp.alpha in dataset.colorinterp
    flags = [dataset.mask_flag_enums[i - 1] for i in indexes]
    return transparent or any(MaskFlags.all_valid not in found for found in flags)
