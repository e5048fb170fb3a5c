"""Embeddings kept for the next question: bounded in memory, on disk when they do not fit."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import threading
from collections import OrderedDict
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np

from samovar.embedding import Embedding
from samovar.image import Image
from samovar.intensity import Intensity
from samovar.view import View

_tokens: WeakKeyDictionary[Image, int] = WeakKeyDictionary()
_numbers = itertools.count()


def cache_key(weights: str, image: Image, intensity: Intensity, view: View) -> str:
    """Names one embedding: same weights, same opened image, same intensity step, same pixels."""
    token = _tokens.setdefault(image, next(_numbers))
    limits = [(s.channel, s.low, s.high) for s in intensity.channels]
    return f"{weights}:{token}:{limits}:{view.region}:{view.size}"


class EmbeddingCache:
    """Least recently used embeddings, by key.

    Args:
        memory: bytes kept in memory; what falls out goes to disk.
        disk: bytes kept in a temporary folder, removed with the cache; 0 for none.
    """

    def __init__(self, memory: int = 256 << 20, disk: int = 2 << 30) -> None:
        self._limits = (memory, disk)
        self._hot: OrderedDict[str, Embedding] = OrderedDict()
        self._cold: OrderedDict[str, tuple[Embedding, int]] = OrderedDict()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> Embedding | None:
        with self._lock:
            found = self._hot.get(key)
            if found is not None:
                self._hot.move_to_end(key)
                return found
            cold = self._cold.get(key)
            if cold is None:
                return None
            self._cold.move_to_end(key)
            return cold[0]

    def put(self, key: str, embedding: Embedding) -> None:
        with self._lock:
            self._hot[key] = embedding
            self._hot.move_to_end(key)
            while len(self._hot) > 1 and self._bytes() > self._limits[0]:
                self._spill(*self._hot.popitem(last=False))

    def clear(self) -> None:
        with self._lock:
            self._hot.clear()
            self._cold.clear()
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None

    def __len__(self) -> int:
        return len(self._hot) + sum(key not in self._hot for key in self._cold)

    def _bytes(self) -> int:
        return sum(e.nbytes for e in self._hot.values())

    def _spill(self, key: str, embedding: Embedding) -> None:
        if self._limits[1] < embedding.nbytes or key in self._cold:
            return
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(
                prefix="samovar-", ignore_cleanup_errors=True
            )
        self._files += 1
        arrays = {}
        for name, array in embedding.arrays.items():
            path = Path(self._folder.name) / f"{self._files}-{name}.npy"
            np.save(path, array)
            arrays[name] = np.load(path, mmap_mode="r")
        self._cold[key] = (Embedding(arrays, embedding.fit, embedding.model), self._files)
        while sum(e.nbytes for e, _ in self._cold.values()) > self._limits[1]:
            _, (old, number) = self._cold.popitem(last=False)
            names = list(old.arrays)
            del old
            for name in names:
                with contextlib.suppress(OSError):  # a reader may still hold the map open
                    (Path(self._folder.name) / f"{number}-{name}.npy").unlink(missing_ok=True)
