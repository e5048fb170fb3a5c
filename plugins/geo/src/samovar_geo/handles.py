"""Dataset handles: GDAL's are for one thread at a time, images for many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from rasterio.errors import RasterioError

from samovar.errors import InputError
from samovar_geo.opening import damaged, gdal, is_remote, open_dataset


class Handles:
    """Open datasets of one raster, lent to one thread each.

    Args:
        path: what GDAL opens.
        source: what the user calls it.
    """

    def __init__(self, path: str, source: str) -> None:
        self._path, self._source = path, source
        self._remote = is_remote(path)
        self._lock = Lock()
        self._idle: list[Any] = []
        self._closed = False

    @contextmanager
    def borrow(self) -> Iterator[Any]:
        """A dataset that nobody else uses meanwhile; library errors become ours.

        Raises:
            InputError: the file is damaged, the connection was lost, or all is closed.
        """
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

    @contextmanager
    def once(self) -> Iterator[Any]:
        """A dataset of its own, closed afterwards: with it goes what GDAL remembers of all blocks.

        Raises:
            InputError: as :meth:`borrow`.
        """
        try:
            with gdal(remote=self._remote), open_dataset(self._path, self._source) as dataset:
                yield dataset
        except RasterioError as error:
            raise damaged(self._source, error) from error

    def close(self) -> None:
        """Let go of all; those that are lent are closed when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for dataset in idle:
            dataset.close()

    def _give_back(self, dataset: Any) -> None:
        if dataset is None:
            return
        with self._lock:
            if not self._closed:
                self._idle.append(dataset)
                return
        dataset.close()
