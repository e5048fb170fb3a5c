"""Label rasters: cloud-optimised GeoTIFFs of object numbers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from samovar.errors import UsageError
from samovar.grid import Region
from samovar.image import Image
from samovar.masks import PixelMask
from samovar.objects import Objects, SegmentedObject
from samovar.protocols import StreamHead
from samovar.room import require_room
from samovar_geo.georeference import corner_transform, raster_crs
from samovar_geo.opening import gdal
from samovar_geo.provenance import record
from samovar_geo.raster import window_of
from samovar_geo.virtual import narrowed

BLOCK = 512
STRIP_PIXELS = 2**22
"""Pixels painted at once."""
DRAFT = ".draft.tif"
RANKS = ".ranks"


class LabelGeoTiff:
    """Writes label rasters."""

    def check(self, image: Image, **options: Any) -> None:
        """Refuse ``--dst-crs``: labels stay on the pixels that they are labels of."""
        if options.get("dst_crs"):
            raise UsageError(
                "--dst-crs is for polygons; a label raster stays on the raster's own pixels "
                "(gdalwarp -r near moves it)"
            )

    def stream(self, head: StreamHead, path: Path, image: Image, **options: Any) -> LabelSink:
        """A sink for one label raster. Raises OSError when the file cannot be written."""
        return LabelSink(head, path, image)

    def write(self, objects: Objects, path: Path, image: Image, **options: Any) -> None:
        """The label image in the raster's own transform and CRS, as a COG of what was asked for.

        Deflated blocks of 512, nodata 0, overviews by mode, uint8, 16 or 32 as the ids need.
        Memory does not grow with the raster. Where objects overlap, the smaller one shows.

        Raises:
            OSError: the disk is full or the file cannot be written.
        """
        sink = LabelSink(StreamHead(objects.grid, objects.provenance), path, image)
        try:
            for item in objects:
                sink.add(item)
            sink.close()
        except BaseException:
            sink.abort()
            raise


class LabelSink:
    """Paints objects into a sparse draft as they come; the draft becomes a COG at the end."""

    def __init__(self, head: StreamHead, path: Path, image: Image) -> None:
        self._head, self._path, self._image = head, path, image
        self._draft_file = path.with_name(path.name + DRAFT)
        self._highest = 1
        rows, columns = head.grid.shape
        profile: dict[str, Any] = {
            "driver": "GTiff",
            "width": columns,
            "height": rows,
            "count": 1,
            "dtype": "uint32",
            "crs": raster_crs(head.grid),
            "transform": corner_transform(head.grid, image),
            "nodata": 0,
            "tiled": True,
            "blockxsize": BLOCK,
            "blockysize": BLOCK,
            "bigtiff": "YES",
            "sparse_ok": True,
        }
        with gdal(), as_os_error():
            self._draft = rasterio.open(self._draft_file, "w+", **profile)
        self._ranks = _Ranks(path.with_name(path.name + RANKS))

    def add(self, item: SegmentedObject) -> None:
        """Paint one object. Raises OSError: the disk is full."""
        if item.empty:
            return
        self._highest = max(self._highest, item.id)
        if not self._head.semantic:
            self._ranks.put(item.id, item.pixels, item.score)
        with gdal(), as_os_error():
            for piece in item.pieces():
                for part in _strips(piece):
                    self._paint(part, item.id)

    def advance(self, row: int) -> None:
        """Nothing to do: the draft lies on disk."""

    def close(self) -> None:
        """Turn the draft into the file. Raises OSError when it cannot be written."""
        dtype = np.min_scalar_type(self._highest)
        tags = record(self._head.provenance)
        with gdal(), as_os_error():
            self._draft.update_tags(
                TIFFTAG_SOFTWARE=tags.pop("SOFTWARE"),
                **{f"SAMOVAR_{k}": v for k, v in tags.items()},
            )
            self._draft.set_band_description(1, "class" if self._head.semantic else "object")
            self._draft.close()
            # GDAL writes blocks late, and closes without a word where they do not fit
            require_room(self._draft_file)
            _to_cog(self._draft_file, self._path, dtype, self._image.shown)
            require_room(self._path)
        self.abort()

    def abort(self) -> None:
        with suppress(RasterioError):
            self._draft.close()
        self._ranks.close()
        for left in (self._draft_file, self._draft_file.with_name(self._draft_file.name + ".vrt")):
            with suppress(OSError):
                left.unlink()

    def _paint(self, mask: PixelMask, id: int) -> None:
        window = window_of(mask.region)
        there = self._draft.read(1, window=window)
        inside = mask.inside
        if not self._head.semantic and (there[inside] > 0).any():
            inside = inside & self._ranks.shows(id, there, inside)
        there[inside] = id
        self._draft.write(there, 1, window=window)


class _Ranks:
    """Which of two objects shows: the smaller; of equally large ones that of the higher score,
    then that of the lower number. Kept on disk."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._base = sqlite3.connect(file, isolation_level=None)
            self._base.executescript(
                "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
                "CREATE TABLE ranks (id INTEGER PRIMARY KEY, pixels INT, score REAL)"
            )
        except sqlite3.Error as error:
            raise OSError(f"{file}: cannot be written ({error})") from error

    def put(self, id: int, pixels: int, score: float) -> None:
        try:
            self._base.execute("INSERT OR REPLACE INTO ranks VALUES (?, ?, ?)", (id, pixels, score))
        except sqlite3.Error as error:
            raise OSError(f"{self._file}: cannot be written ({error})") from error

    def shows(self, id: int, there: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Where ``id`` comes before what is there."""
        mine = self._rank(id)
        covered = [int(v) for v in np.unique(there[inside]) if v and self._rank(int(v)) < mine]
        return ~np.isin(there, covered)

    def _rank(self, id: int) -> tuple[float, float, int]:
        row = self._base.execute("SELECT pixels, score FROM ranks WHERE id = ?", (id,)).fetchone()
        return (row[0], -row[1], id) if row else (float("inf"), 0.0, id)

    def close(self) -> None:
        self._base.close()
        with suppress(OSError):
            self._file.unlink()


def _to_cog(draft: Path, path: Path, dtype: np.dtype[Any], shown: Region) -> None:
    """A COG of the narrowest type, of the part that was asked for, overviews by mode."""
    options = {
        "driver": "COG",
        "COMPRESS": "DEFLATE",
        "PREDICTOR": "YES",
        "BLOCKSIZE": str(BLOCK),
        "OVERVIEW_RESAMPLING": "MODE",
        "BIGTIFF": "IF_SAFER",
        "SPARSE_OK": "YES",
    }
    with rasterio.open(draft) as whole:
        text = narrowed(whole, draft, str(dtype), shown)
    with rasterio.open(text) as view:
        rasterio.shutil.copy(view, path, **options)


class as_os_error:
    """Whatever GDAL says of a file that cannot be written becomes an OSError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, RasterioError):
            raise OSError(" ".join(str(error).split())) from error


def _strips(piece: PixelMask) -> Iterator[PixelMask]:
    """The mask in bands of rows of at most STRIP_PIXELS."""
    (top, left), (bottom, right) = piece.region.start, piece.region.stop
    tall = max(1, STRIP_PIXELS // max(1, right - left))
    for row in range(top, bottom, tall):
        stop = min(row + tall, bottom)
        yield PixelMask(Region((row, left), (stop, right)), piece.inside[row - top : stop - top])
