"""Bootstrap: how sure a mean is, from resampling whole images.

Objects of one image are alike, so images are drawn, not objects. A set's mean is the mean over its
objects; the mean of a group of sets is the mean over sets, each counting the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 1000
LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Sampled:
    """Means of named measures, and the same means in every draw."""

    means: Mapping[str, float]
    draws: Mapping[str, NDArray[np.float64]]
    """Name → ``(DRAWS,)``."""
    images: int
    """Largest count of images in one set: a single image says nothing of the spread."""

    def interval(self, name: str, minus: str | None = None) -> list[float] | None:
        """95 % interval of a mean, or of the difference of two; None from single images."""
        if self.images < 2:
            return None
        values = self.draws[name] - (self.draws[minus] if minus is not None else 0.0)
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(values, [tail, 1 - tail])
        return [float(low), float(high)]


def sample_set(
    name: str, images: Sequence[str], values: Mapping[str, Sequence[float]], seed: int = 0
) -> Sampled:
    """Means over the objects of a set.

    Args:
        name: of the set; seeds its draws.
        images: the image of each object.
        values: measure → one value an object; measures with NaN are left out.
    """
    keys, rows = np.unique(np.asarray(images), return_inverse=True)
    counts = np.bincount(rows, minlength=len(keys)).astype(np.float64)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    weights = rng.multinomial(len(keys), np.full(len(keys), 1 / len(keys)), size=DRAWS)
    totals = weights @ counts
    means, draws = {}, {}
    for measure, column in values.items():
        array = np.asarray(column, dtype=np.float64)
        if np.isnan(array).any():
            continue
        means[measure] = float(array.mean())
        draws[measure] = (weights @ np.bincount(rows, array, minlength=len(keys))) / totals
    return Sampled(means, draws, len(keys))


def mean_of_sets(sets: Sequence[Sampled]) -> Sampled:
    """The mean over sets, of the measures that all of them have."""
    shared = [m for m in sets[0].means if all(m in s.means for s in sets)]
    return Sampled(
        {m: float(np.mean([s.means[m] for s in sets])) for m in shared},
        {m: np.mean([s.draws[m] for s in sets], axis=0) for m in shared},
        max(s.images for s in sets),
    )
