"""Embeddings kept for the next question: a byte budget in memory, deflated files beyond it.

What falls out of memory is written to a temporary folder: byte by byte plane, so that the bytes
that say little (signs and exponents) shrink to what they say; what comes back is the same to the
last bit. Files are memory-mapped when they are read.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import tempfile
import threading
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from samovar.embedding import Embedding, Fit
from samovar.image import Image
from samovar.intensity import Intensity
from samovar.view import View

_tokens: WeakKeyDictionary[Image, int] = WeakKeyDictionary()
_numbers = itertools.count()
_SAMPLE = 1 << 16
_WORTH = 0.9
"""A plane is deflated when a sample of it shrinks below this share of itself."""


def cache_key(weights: str, image: Image, intensity: Intensity, view: View) -> str:
    """Names one embedding: same weights, same opened image, same intensity step, same pixels."""
    token = _tokens.setdefault(image, next(_numbers))
    limits = [(s.channel, s.low, s.high) for s in intensity.channels]
    return f"{weights}:{token}:{limits}:{view.region}:{view.size}"


class EmbeddingCache:
    """Least recently used embeddings, by key.

    Args:
        memory: bytes kept in memory; what falls out goes to disk. One embedding always may stay.
        disk: bytes of files in a temporary folder, removed with the cache; 0 for none.
    """

    def __init__(self, memory: int = 128 << 20, disk: int = 4 << 30) -> None:
        self._limits = (memory, disk)
        self._hot: OrderedDict[str, Embedding] = OrderedDict()
        self._cold: OrderedDict[str, _Spilled] = OrderedDict()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files = itertools.count()
        self._lock = threading.Lock()

    def get(self, key: str) -> Embedding | None:
        """The embedding, read-only; from disk it comes back into memory."""
        with self._lock:
            found = self._hot.get(key)
            if found is not None:
                self._hot.move_to_end(key)
                return found
            cold = self._cold.get(key)
            if cold is None:
                return None
            self._cold.move_to_end(key)
            found = cold.read()
            self._keep(key, found)
            return found

    def put(self, key: str, embedding: Embedding) -> None:
        with self._lock:
            self._keep(key, embedding)

    def clear(self) -> None:
        """Forget everything, files too."""
        with self._lock:
            self._hot.clear()
            self._cold.clear()
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None

    def __len__(self) -> int:
        return len(self._hot) + sum(key not in self._hot for key in self._cold)

    @property
    def nbytes(self) -> tuple[int, int]:
        """Bytes in memory and on disk."""
        hot = sum(e.nbytes for e in self._hot.values())
        return hot, sum(c.nbytes for c in self._cold.values())

    def _keep(self, key: str, embedding: Embedding) -> None:
        self._hot[key] = embedding
        self._hot.move_to_end(key)
        while len(self._hot) > 1 and self.nbytes[0] > self._limits[0]:
            self._spill(*self._hot.popitem(last=False))

    def _spill(self, key: str, embedding: Embedding) -> None:
        if self._limits[1] <= 0 or key in self._cold:
            return
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(
                prefix="samovar-", ignore_cleanup_errors=True
            )
        path = Path(self._folder.name) / str(next(self._files))
        with contextlib.suppress(OSError):  # a full disk: it is encoded again when it is needed
            self._cold[key] = _Spilled.write(path, embedding)
        while self._cold and self.nbytes[1] > self._limits[1]:
            _, oldest = self._cold.popitem(last=False)
            with contextlib.suppress(OSError):
                oldest.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Plane:
    """Every fourth byte (of float32) of one array, as it lies in the file."""

    start: int
    stop: int
    deflated: bool


@dataclass(frozen=True)
class _Spilled:
    """An embedding in a file."""

    path: Path
    nbytes: int
    arrays: Mapping[str, tuple[tuple[int, ...], np.dtype[np.float32], tuple[_Plane, ...]]]
    fit: Fit
    model: str

    @classmethod
    def write(cls, path: Path, embedding: Embedding) -> _Spilled:
        """Raises OSError when the disk refuses."""
        arrays, place = {}, 0
        with path.open("wb") as file:
            for name, array in embedding.arrays.items():
                planes = []
                for plane in _planes(array):
                    data, deflated = _packed(plane)
                    file.write(data)
                    planes.append(_Plane(place, place + len(data), deflated))
                    place += len(data)
                arrays[name] = (array.shape, array.dtype, tuple(planes))
        return cls(path, place, arrays, embedding.fit, embedding.model)

    def read(self) -> Embedding:
        arrays = {}
        with (
            self.path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as content,
        ):
            for name, (shape, dtype, planes) in self.arrays.items():
                array = np.empty(shape, dtype)
                for target, plane in zip(_planes(array), planes, strict=True):
                    with content[plane.start : plane.stop] as part:
                        data = zlib.decompress(part) if plane.deflated else bytes(part)
                    target[:] = np.frombuffer(data, np.uint8)
                array.setflags(write=False)
                arrays[name] = array
        return Embedding(arrays, self.fit, self.model)


def _planes(array: NDArray[np.float32]) -> NDArray[np.uint8]:
    """``(itemsize, n)``: the bytes of all numbers, the first of each, then the second …"""
    bytes_of = np.ascontiguousarray(array).view(np.uint8) if array.size else np.empty(0, np.uint8)
    return bytes_of.reshape(-1, array.dtype.itemsize).T


def _packed(plane: NDArray[np.uint8]) -> tuple[bytes, bool]:
    data = plane.tobytes()
    sample = data[:_SAMPLE]
    if len(zlib.compress(sample, 1)) > _WORTH * len(sample):
        return data, False
    return zlib.compress(data, 1), True
