"""Opening rasters: GDAL's settings, and one clear line for what cannot be opened."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine

from samovar.errors import GeometryError, InputError

CACHE_BYTES = 32 * 2**20
"""GDAL's block cache, where the user has not set GDAL_CACHEMAX. Its own default is 5 % of RAM.

Enough for the blocks that a tile shares with its neighbours in most files; whoever reads a scene
says what more is worth keeping (:func:`keep`)."""

warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
# GDAL's own words would reach the screen beside ours
logging.getLogger("rasterio").addHandler(logging.NullHandler())


_kept: WeakKeyDictionary[object, int] = WeakKeyDictionary()
_lock = Lock()


def keep(reader: object, nbytes: int) -> None:
    """Blocks of so many bytes are worth keeping as long as ``reader`` lives.

    There is one cache a process: it is as large as the largest that is asked for, so that a writer
    with few wishes does not empty a reader's.
    """
    with _lock:
        _kept[reader] = nbytes


def cache_bytes() -> int:
    """Size of the block cache now."""
    with _lock:
        return max([CACHE_BYTES, *_kept.values()])


@contextmanager
def gdal(*, remote: bool = False) -> Iterator[None]:
    """GDAL with a bounded block cache, and without directory listings of web servers."""
    options: dict[str, Any] = {}
    if "GDAL_CACHEMAX" not in os.environ:
        options["GDAL_CACHEMAX"] = cache_bytes()
    if "GDAL_BAND_BLOCK_CACHE" not in os.environ:
        # GDAL's other way takes eight bytes for every block of a file, read or not
        options["GDAL_BAND_BLOCK_CACHE"] = "HASHSET"
    if remote:
        options["GDAL_DISABLE_READDIR_ON_OPEN"] = "EMPTY_DIR"
        # a server that stumbles is asked again
        options["GDAL_HTTP_MAX_RETRY"] = "3"
        options["GDAL_HTTP_RETRY_DELAY"] = "1"
    with rasterio.Env(**options):
        yield


def gdal_path(source: str) -> str:
    """What GDAL is given: URLs go through ``/vsicurl/``, so that only windows are fetched."""
    if source.startswith(("http://", "https://")):
        return f"/vsicurl/{source}"
    return source


def is_remote(path: str) -> bool:
    """Whether ``path`` is behind a network, or inside another file."""
    return path.startswith(("/vsi", "s3:", "gs:", "az:"))


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
