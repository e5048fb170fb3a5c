"""Ranges: what values a tensor takes, and the 8-bit scale that follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 4096
PERCENTILE = 99.99


@dataclass(frozen=True)
class Scale:
    """Per-tensor, asymmetric, unsigned: value ≈ ``(q - zero) * step``, q in 0…255."""

    step: float
    zero: int

    @classmethod
    def of(cls, low: float, high: float) -> Scale:
        """The scale that covers a range and represents 0 exactly, as padding and ReLU need it."""
        low, high = min(0.0, low), max(0.0, high)
        step = float(np.float32(max((high - low) / 255, 1e-8)))
        return cls(step, int(np.clip(round(-low / step), 0, 255)))

    @property
    def range(self) -> tuple[float, float]:
        return -self.zero * self.step, (255 - self.zero) * self.step

    def rounded(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """What is left of values after rounding to this scale."""
        q = np.clip(np.rint(values / self.step) + self.zero, 0, 255)
        return ((q - self.zero) * self.step).astype(np.float32)


@dataclass
class Histogram:
    """Values of one tensor over many runs, in bins that widen as larger values come."""

    low: float = 0.0
    high: float = 0.0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def add(self, values: NDArray[np.float32]) -> None:
        flat = values.reshape(-1)
        low, high = float(flat.min(initial=0.0)), float(flat.max(initial=0.0))
        if low < self.low or high > self.high:
            self._widen(min(low, self.low), max(high, self.high))
        width = self.high - self.low
        if width > 0:
            place = ((flat - self.low) * (BINS / width)).astype(np.int32)
            self.counts += np.bincount(np.minimum(place, BINS - 1), minlength=BINS)

    def _widen(self, low: float, high: float) -> None:
        old = self._centres()
        counts, self.counts = self.counts, np.zeros(BINS, np.int64)
        self.low, self.high = low, high
        if counts.any():
            place = ((old - low) * (BINS / (high - low))).astype(np.int32)
            np.add.at(self.counts, np.clip(place, 0, BINS - 1), counts)

    def _centres(self) -> NDArray[np.float64]:
        return self.low + (np.arange(BINS) + 0.5) * ((self.high - self.low) / BINS)

    def scale(self, percentile: float = PERCENTILE) -> Scale:
        """The scale that covers ``percentile`` of the values; half of the rest is cut on each side.

        A side on which no values lie (after ReLU) is not cut.
        """
        total = int(self.counts.sum())
        if total == 0:
            return Scale.of(self.low, self.high)
        cut = (1 - percentile / 100) * total
        sides = 2 if self.low < 0 < self.high else 1
        below = np.cumsum(self.counts)
        edges = self.low + np.arange(BINS + 1) * ((self.high - self.low) / BINS)
        first = int(np.searchsorted(below, cut / sides, side="right"))
        last = int(np.searchsorted(below, total - cut / sides, side="left"))
        low = edges[first] if self.low < 0 else self.low
        high = edges[min(last + 1, BINS)] if self.high > 0 else self.high
        return Scale.of(float(low), float(high))


def scales(histograms: Mapping[str, Histogram], percentile: float = PERCENTILE) -> dict[str, Scale]:
    return {name: histogram.scale(percentile) for name, histogram in histograms.items()}


def channel_steps(weights: NDArray[np.float32], axis: int, bits: int = 8) -> NDArray[np.float32]:
    """Step of each output channel: symmetric, signed, the largest weight is the largest number."""
    others = tuple(i for i in range(weights.ndim) if i != axis)
    largest = np.abs(weights).max(axis=others)
    return np.maximum(largest / (2 ** (bits - 1) - 1), 1e-8).astype(np.float32)


def rounded_weights(
    weights: NDArray[np.float32], steps: NDArray[np.float32], axis: int, bits: int = 8
) -> NDArray[np.int8]:
    """The integers nearest to the weights."""
    shape = [1] * weights.ndim
    shape[axis] = -1
    limit = 2 ** (bits - 1) - 1
    return np.clip(np.rint(weights / steps.reshape(shape)), -limit, limit).astype(np.int8)
