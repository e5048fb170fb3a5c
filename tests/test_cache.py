import numpy as np

from samovar.cache import EmbeddingCache
from samovar.embedding import Embedding, Fit


def embedding(value: float) -> Embedding:
    fit = Fit((4, 4), (4, 4), (4, 4), (4, 4))
    return Embedding({"image_embeddings": np.full((1, 250), value, np.float32)}, fit, "m")


def test_what_falls_out_of_memory_comes_back_from_disk():
    cache = EmbeddingCache(memory=2500, disk=10_000)
    for i in range(5):
        cache.put(f"k{i}", embedding(i))
    for i in range(5):
        found = cache.get(f"k{i}")
        assert found is not None
        assert (found.arrays["image_embeddings"] == i).all()
    assert sum(isinstance(cache.get(f"k{i}").arrays["image_embeddings"], np.memmap)
               for i in range(5)) == 3
    cache.clear()
    assert len(cache) == 0


def test_both_budgets_are_kept():
    cache = EmbeddingCache(memory=1000, disk=2000)
    for i in range(6):
        cache.put(f"k{i}", embedding(i))
    assert len(cache) == 3
    assert cache.get("k0") is None
    assert cache.get("k5") is not None
    no_disk = EmbeddingCache(memory=1000, disk=0)
    no_disk.put("a", embedding(1))
    no_disk.put("b", embedding(2))
    assert no_disk.get("a") is None
