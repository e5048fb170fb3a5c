import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from samovar.cache import EmbeddingCache
from samovar.embedding import Embedding, Fit

FIT = Fit((4, 4), (4, 4), (4, 4), (4, 4))


def embedding(value: float) -> Embedding:
    return Embedding({"image_embeddings": np.full((1, 250), value, np.float32)}, FIT, "m")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def files(folder: Path) -> list[int]:
    return [f.stat().st_size for f in folder.rglob("*") if f.is_file()]


def test_what_falls_out_of_memory_comes_back_from_disk():
    cache = EmbeddingCache(memory=2500, disk=10_000)
    for i in range(5):
        cache.put(f"k{i}", embedding(i))
    for i in range(5):
        found = cache.get(f"k{i}")
        assert found is not None
        assert (found.arrays["image_embeddings"] == i).all()
        assert found.fit == FIT
        assert cache.nbytes[0] <= 2500
    cache.clear()
    assert len(cache) == 0


def test_it_comes_back_to_the_last_bit_and_takes_less_room(folder):
    rng = np.random.default_rng(0)
    arrays = {
        "image_embeddings": rng.normal(size=(1, 64, 32, 32)).astype(np.float32),
        "tap": np.maximum(rng.normal(size=(1, 16, 33, 31)), 0).astype(np.float32),
        "odd": np.array([[np.inf, -0.0, np.nan, 1e-45]], np.float32),
        "none": np.zeros((1, 0), np.float32),
    }
    cache = EmbeddingCache(memory=1, disk=1 << 30)
    cache.put("a", Embedding(arrays, FIT, "m"))
    cache.put("b", embedding(1))
    found = cache.get("a")
    for name, array in arrays.items():
        assert found.arrays[name].tobytes() == array.tobytes()
        assert found.arrays[name].shape == array.shape
        assert not found.arrays[name].flags.writeable
    assert sum(files(folder)) < 0.9 * sum(a.nbytes for a in arrays.values())


def test_both_budgets_are_kept(folder):
    rng = np.random.default_rng(0)
    cache = EmbeddingCache(memory=1000, disk=2500)
    for i in range(9):
        noise = rng.integers(0, 2**32, (1, 250), dtype=np.uint32).view(np.float32)
        cache.put(f"k{i}", Embedding({"image_embeddings": noise}, FIT, "m"))
        assert cache.nbytes[0] <= 1000
        assert sum(files(folder)) <= 2500
    assert len(cache) == 3
    assert cache.get("k0") is None
    assert cache.get("k8") is not None
    no_disk = EmbeddingCache(memory=1000, disk=0)
    no_disk.put("a", embedding(1))
    no_disk.put("b", embedding(2))
    assert no_disk.get("a") is None


def test_a_file_is_written_once(folder):
    cache = EmbeddingCache(memory=1, disk=1 << 20)
    for _ in range(3):
        for key in "ab":
            if cache.get(key) is None:
                cache.put(key, embedding(1))
    assert len(files(folder)) == 2


def test_files_go_with_the_cache_and_are_for_nobody_else(folder):
    cache = EmbeddingCache(memory=1, disk=1 << 20)
    for key in "ab":
        cache.put(key, embedding(1))
    (place,) = folder.iterdir()
    if os.name == "posix":
        assert place.stat().st_mode & 0o077 == 0
    cache.clear()
    assert list(folder.iterdir()) == []


def test_a_disk_that_refuses_is_no_failure(folder, monkeypatch):
    def refuse(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr("samovar.cache._Spilled.write", refuse)
    cache = EmbeddingCache(memory=1, disk=1 << 20)
    for key in "ab":
        cache.put(key, embedding(1))
    assert cache.get("a") is None
    assert cache.get("b") is not None
