"""Which bands of a raster are looked at, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from samovar_geo.expressions import Channel, Names, parse_bands, reckon

RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
POLARISATIONS = {"VV", "VH", "HH", "HV"}
LOOK = 256
"""Side of the coarse picture by which it is told whether values are in dB already."""


@dataclass(frozen=True, eq=False)
class Bands:
    """The chosen bands of one raster."""

    indexes: tuple[int, ...]
    """Those that are read, counted from 1, as GDAL does."""
    names: tuple[str, ...]
    """One a channel that comes out."""
    dtype: np.dtype[Any]
    """Of what :meth:`apply` returns."""
    modality: str | None
    """``rgb``, ``ms`` or ``sar`` when the metadata says so."""
    palette: NDArray[np.uint8] | None = None
    """``(colours, 3)``: one band of indices becomes three channels."""
    scale: NDArray[np.float32] | None = None
    """``(bands, 2)`` factor and offset to real values."""
    reckoned: tuple[Channel, ...] = ()
    """Channels that are more than a band; empty when none is."""
    log: float | None = None
    """See :func:`samovar_geo.expressions.reckon`."""

    @property
    def channels(self) -> int:
        return 3 if self.palette is not None else len(self.names)

    def apply(self, block: NDArray[Any]) -> NDArray[Any]:
        """``(bands, y, x)`` as stored → ``(channels, y, x)`` real values.

        Palettes become colours, complex samples their magnitude, scale and offset are applied,
        indices and decibels reckoned.
        """
        if self.palette is not None:
            index = np.clip(block[0].astype(np.intp), 0, len(self.palette) - 1)
            return np.ascontiguousarray(np.moveaxis(self.palette[index], -1, 0))
        if np.iscomplexobj(block):
            block = np.abs(block)
        if self.scale is not None:
            factor, offset = self.scale.T[:, :, None, None]
            block = block * factor + offset
        if self.reckoned:
            return reckon(self.reckoned, block, self.indexes, self.log)
        return block.astype(self.dtype, copy=False)


def choose_bands(dataset: Any, wanted: str | None, source: str) -> Bands:
    """What the user asked for (see :mod:`samovar_geo.expressions`), else what a person would.

    Without a wish: the bands of red, green and blue colour interpretation; all when there are
    at most three; true colour when the bands bear Sentinel-2 names; else the first three. Alpha
    bands are never channels.

    Raises:
        UsageError: the wish names a band that this raster does not have.
    """
    colours = list(dataset.colorinterp)
    data = [i for i in dataset.indexes if colours[i - 1] is not ColorInterp.alpha]
    names = Names(
        dataset.count,
        [text or "" for text in dataset.descriptions],
        [c.name if c in RGB or c.name == "nir" else "" for c in colours],
    )
    if wanted:
        channels = parse_bands(wanted, names, source)
    else:
        channels = tuple(Channel(_name(names, i), (i,)) for i in _default(names, data, colours))
    plain = all(channel.kind == "band" for channel in channels)
    if plain:
        indexes = tuple(channel.bands[0] for channel in channels)
    else:
        indexes = tuple(dict.fromkeys(b for channel in channels for b in channel.bands))
    return _described(dataset, indexes, channels, plain, colours, len(data))


def _described(
    dataset: Any,
    indexes: tuple[int, ...],
    channels: tuple[Channel, ...],
    plain: bool,
    colours: list[ColorInterp],
    data: int,
) -> Bands:
    palette = None
    if plain and len(indexes) == 1 and colours[indexes[0] - 1] is ColorInterp.palette:
        palette = _palette(dataset.colormap(indexes[0]))
    scale = np.array(
        [(dataset.scales[i - 1], dataset.offsets[i - 1]) for i in indexes], dtype=np.float32
    )
    rescaled = palette is None and bool((scale != np.array([1, 0])).any())
    stored = np.result_type(*(_dtype(dataset.dtypes[i - 1]) for i in indexes))
    if palette is not None:
        dtype = np.dtype(np.uint8)
    else:
        dtype = _real(stored, rescaled) if plain else np.dtype(np.float32)
    names = tuple(channel.name for channel in channels)
    decibel = any(channel.kind.startswith("db") for channel in channels)
    described = tuple(dataset.descriptions[i - 1] or "" for i in indexes)
    modality = _modality(stored, [colours[i - 1] for i in indexes], described, data, palette)
    return Bands(
        indexes=indexes,
        names=("red", "green", "blue") if palette is not None else names,
        dtype=dtype,
        modality=modality if plain else ("sar" if decibel else "ms"),
        palette=palette,
        scale=scale if rescaled else None,
        reckoned=() if plain else channels,
        log=_log_factor(dataset, indexes, stored) if decibel else None,
    )


def _log_factor(dataset: Any, indexes: tuple[int, ...], stored: np.dtype[Any]) -> float | None:
    """20 for amplitudes (complex, or counts), 10 for powers, None when some are negative: dB."""
    if stored.kind != "f":
        return 20.0
    shape = tuple(min(LOOK, n) for n in (dataset.height, dataset.width))
    look = dataset.read(indexes, out_shape=(len(indexes), *shape), masked=True)
    values = look.compressed()
    return None if (values[np.isfinite(values)] < 0).any() else 10.0


def _default(names: Names, data: list[int], colours: list[ColorInterp]) -> tuple[int, ...]:
    if all(colour in colours for colour in RGB):
        return tuple(colours.index(colour) + 1 for colour in RGB)
    if len(data) <= 3:
        return tuple(data)
    if names.sensor == "sentinel-2":
        found = [names.find(word) for word in ("red", "green", "blue")]
        return tuple(n for n in found if n is not None)
    return tuple(data[:3])


def _name(names: Names, index: int) -> str:
    colour = names.colours[index - 1]
    return names.described[index - 1] or (colour if colour != "nir" else "") or f"band {index}"


def _palette(colormap: dict[int, tuple[int, ...]]) -> NDArray[np.uint8]:
    table = np.zeros((max(colormap) + 1, 3), dtype=np.uint8)
    for value, colour in colormap.items():
        table[value] = colour[:3]
    return table


def _dtype(name: str) -> np.dtype[Any]:
    # GDAL's complex integers have no numpy type; rasterio reads them as complex64
    return np.dtype("complex64" if name == "complex_int16" else name)


def _real(stored: np.dtype[Any], rescaled: bool) -> np.dtype[Any]:
    if stored.kind == "c":
        return np.dtype(np.float64 if stored.itemsize > 8 else np.float32)
    if rescaled and stored.kind != "f":
        return np.dtype(np.float32)
    return stored


def _modality(
    stored: np.dtype[Any],
    colours: list[ColorInterp],
    names: tuple[str, ...],
    bands: int,
    palette: NDArray[np.uint8] | None,
) -> str | None:
    if stored.kind == "c" or {name.upper() for name in names} <= POLARISATIONS:
        return "sar"
    if palette is not None or set(RGB) <= set(colours):
        return "rgb"
    return "ms" if bands > 3 else None
