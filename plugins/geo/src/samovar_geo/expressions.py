"""What ``--bands`` may say beside numbers: names, indices and decibels.

``4,3,2`` · ``B08,B04,B03`` · ``nir,red,green`` · ``ndvi,4,3`` · ``nd:4:1`` (normalised difference)
· ``ratio:VH:VV`` · ``db:VV`` · ``sar`` (both polarisations and their difference in dB)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samovar.errors import UsageError

ROLES = {
    "sentinel-2": {"blue": "2", "green": "3", "red": "4", "rededge": "5", "nir": "8",
                   "swir1": "11", "swir2": "12"},
    "landsat 8/9": {"blue": "2", "green": "3", "red": "4", "nir": "5", "swir1": "6", "swir2": "7"},
}  # fmt: skip
INDICES = {
    "ndvi": ("nir", "red"), "ndre": ("nir", "rededge"), "gndvi": ("nir", "green"),
    "ndwi": ("green", "nir"), "mndwi": ("green", "swir1"), "ndmi": ("nir", "swir1"),
    "ndbi": ("swir1", "nir"), "nbr": ("nir", "swir2"), "ndsi": ("green", "swir1"),
}  # fmt: skip
"""Normalised differences (a − b) / (a + b), by the bands that they are of."""
CO, CROSS = ("vv", "hh"), ("vh", "hv")


@dataclass(frozen=True)
class Channel:
    """One channel: a band, or something reckoned from two."""

    name: str
    bands: tuple[int, ...]
    """Numbers from 1."""
    kind: str = "band"
    """``band``, ``nd``, ``ratio``, ``db`` or ``db-difference``."""


@dataclass(frozen=True)
class Names:
    """What the bands of a raster are called."""

    count: int
    described: Sequence[str]
    """Description of each band, or empty."""
    colours: Sequence[str]
    """``red``, ``nir`` … or empty."""

    def find(self, word: str) -> int | None:
        """The band of that number, description, colour or role; None: there is none."""
        if not word:
            return None
        if word.isdigit():
            return int(word) if 1 <= int(word) <= self.count else None
        wanted = word.lower()
        for names in (self.described, self.colours):
            short = [name.lower() for name in names]
            if wanted in short:
                return short.index(wanted) + 1
        numbers = [_number(name) for name in self.described]
        if _number(word) and _number(word) in numbers:
            return numbers.index(_number(word)) + 1
        number = ROLES.get(self.sensor, {}).get(wanted)
        return numbers.index(number) + 1 if number in numbers else None

    @property
    def sensor(self) -> str:
        """Whose bands the descriptions are, by their numbers; empty when not known."""
        numbers = {_number(name) for name in self.described}
        if {"2", "3", "4"} <= numbers and numbers & {"8", "8A", "11", "12"}:
            return "sentinel-2"
        if {"2", "3", "4", "5"} <= numbers:
            return "landsat 8/9"
        return ""


def parse_bands(text: str, names: Names, source: str) -> tuple[Channel, ...]:
    """``--bands`` as channels.

    Raises:
        UsageError: a band or index that this raster does not have, with what it has.
    """
    words = [word.strip() for word in str(text).split(",")]
    channels: list[Channel] = []
    for word in words:
        channels += (
            _sar(names, source) if word.lower() == "sar" else [_channel(word, names, source)]
        )
    return tuple(channels)


def _channel(word: str, names: Names, source: str) -> Channel:
    kind, *arguments = word.split(":")
    kind = kind.lower()
    if not arguments and kind in INDICES:
        a, b = (_band(role, names, source, f"--bands {word}") for role in INDICES[kind])
        return Channel(kind, (a, b), "nd")
    if kind in ("nd", "ratio") and len(arguments) == 2:
        a, b = (_band(name, names, source, f"--bands {word}") for name in arguments)
        return Channel(word, (a, b), kind)
    if kind == "db" and len(arguments) == 1:
        return Channel(word, (_band(arguments[0], names, source, f"--bands {word}"),), "db")
    if arguments:
        raise UsageError(f"--bands {word}: write nd:A:B, ratio:A:B or db:A")
    number = _band(word, names, source, f"--bands {word}")
    described = names.described[number - 1] or names.colours[number - 1]
    return Channel(described or f"band {number}", (number,))


def _sar(names: Names, source: str) -> list[Channel]:
    both = []
    for kinds in (CO, CROSS):
        found = [n for n in (names.find(k) for k in kinds) if n is not None]
        both += found[:1]
    if not both:
        if names.count > 2:
            raise UsageError(
                f"--bands sar: {source} names no polarisation; say which band is which: "
                "--bands db:1,db:2"
            )
        both = list(range(1, names.count + 1))
    channels = [Channel(f"db:{names.described[n - 1] or n}", (n,), "db") for n in both]
    if len(both) == 2:
        channels.append(Channel("co/cross dB", (both[0], both[1]), "db-difference"))
    return channels


def _band(word: str, names: Names, source: str, what: str) -> int:
    number = names.find(word)
    if number is not None:
        return number
    known = [name for name in (*names.described, *names.colours) if name]
    called = f", called {', '.join(dict.fromkeys(known))}" if known else ""
    raise UsageError(
        f"{what}: {source} has bands 1…{names.count}{called}; write them such as "
        f"4,3,2, or an index: {', '.join(INDICES)}, nd:A:B, ratio:A:B, db:A, sar"
    )


def _number(name: str) -> str:
    """``B08``, ``SR_B8``, ``B8A`` → ``8``, ``8``, ``8A``; anything else → empty."""
    text = name.upper().removeprefix("SR_")
    digits = text.removeprefix("B").lstrip("0")
    core = digits.removesuffix("A")
    return digits if text.startswith("B") and core.isdigit() else ""


def reckon(
    channels: Sequence[Channel],
    block: NDArray[np.floating],
    order: Sequence[int],
    log: float | None,
) -> NDArray[np.float32]:
    """``(bands, y, x)`` real values of the bands in ``order`` → ``(channels, y, x)``.

    What cannot be reckoned (0 / 0, the logarithm of nothing) is NaN.

    Args:
        log: factor of the logarithm for dB: 20 for amplitudes, 10 for powers; None when the values
            are in dB already.
    """
    at = {band: i for i, band in enumerate(order)}
    planes = [block[i].astype(np.float32) for i in range(len(order))]
    result = np.empty((len(channels), *block.shape[1:]), dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        for i, channel in enumerate(channels):
            a, b = planes[at[channel.bands[0]]], planes[at[channel.bands[-1]]]
            if channel.kind == "nd":
                plane = (a - b) / (a + b)
            elif channel.kind == "ratio":
                plane = a / b
            elif channel.kind == "db":
                plane = _decibel(a, log)
            elif channel.kind == "db-difference":
                plane = _decibel(a, log) - _decibel(b, log)
            else:
                plane = a
            result[i] = np.where(np.isfinite(plane), plane, np.nan)
    return result


def _decibel(plane: NDArray[np.float32], log: float | None) -> NDArray[np.float32]:
    if log is None:
        return plane
    return np.asarray(log * np.log10(np.where(plane > 0, plane, np.nan)), dtype=np.float32)
