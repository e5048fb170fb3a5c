"""Random numbers that depend on a place only, so that any block of a scene can be made alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_A = np.uint64(0xBF58476D1CE4E5B9)
_B = np.uint64(0x94D049BB133111EB)
_ALL = (1 << 64) - 1


def unit(seed: int, *keys: ArrayLike) -> Any:
    """Uniform numbers in [0, 1) for integer keys (broadcast together); the same for the same keys.

    A splitmix64 finaliser over the keys, one after the other.
    """
    if all(isinstance(key, int) for key in keys):
        return _unit_of_one(seed, keys)  # type: ignore[arg-type]
    with np.errstate(over="ignore"):
        state = np.uint64(seed & 0xFFFFFFFF)
        for key in keys:
            value = np.asarray(key, np.int64).astype(np.uint64)
            state = (state ^ value) * _A + _GOLDEN
            state = (state ^ (state >> np.uint64(30))) * _A
            state = (state ^ (state >> np.uint64(27))) * _B
            state = state ^ (state >> np.uint64(31))
        return (state >> np.uint64(11)).astype(np.float64) * (1.0 / (1 << 53))


def _unit_of_one(seed: int, keys: tuple[int, ...]) -> float:
    """The same in plain integers: many times faster for a single number."""
    state = seed & 0xFFFFFFFF
    for key in keys:
        state = ((state ^ (key & _ALL)) * int(_A) + int(_GOLDEN)) & _ALL
        state = ((state ^ (state >> 30)) * int(_A)) & _ALL
        state = ((state ^ (state >> 27)) * int(_B)) & _ALL
        state ^= state >> 31
    return (state >> 11) * (1.0 / (1 << 53))


def noise(seed: int, u: NDArray[Any], v: NDArray[Any], period: float) -> NDArray[np.float32]:
    """Smooth noise in about -1 … 1 with features of ``period`` (in the units of ``u``, ``v``)."""
    a, b = u / period, v / period
    i, j = np.floor(a), np.floor(b)
    s, t = a - i, b - j
    s, t = s * s * (3 - 2 * s), t * t * (3 - 2 * t)
    i0, j0 = i.astype(np.int64), j.astype(np.int64)
    if a.size > 4096:
        corner = _lattice(seed, i0, j0)
    else:
        corner = [unit(seed, i0 + p, j0 + q) for q in (0, 1) for p in (0, 1)]
    top = corner[0] + (corner[1] - corner[0]) * s
    bottom = corner[2] + (corner[3] - corner[2]) * s
    return ((top + (bottom - top) * t) * 2 - 1).astype(np.float32)


def _lattice(seed: int, i: NDArray[np.int64], j: NDArray[np.int64]) -> list[NDArray[Any]]:
    """The four corner values of each cell, hashing every lattice point once."""
    i_low, j_low = int(i.min()), int(j.min())
    columns = np.arange(i_low, int(i.max()) + 2)
    rows = np.arange(j_low, int(j.max()) + 2)
    table = unit(seed, columns[None, :], rows[:, None])
    i, j = i - i_low, j - j_low
    return [table[j + q, i + p] for q in (0, 1) for p in (0, 1)]
