"""Which bands of a raster are looked at, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from samovar.errors import UsageError

RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
POLARISATIONS = {"VV", "VH", "HH", "HV"}


@dataclass(frozen=True, eq=False)
class Bands:
    """The chosen bands of one raster."""

    indexes: tuple[int, ...]
    """Counted from 1, as GDAL does."""
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

    @property
    def channels(self) -> int:
        return 3 if self.palette is not None else len(self.indexes)

    def apply(self, block: NDArray[Any]) -> NDArray[Any]:
        """``(bands, y, x)`` as stored → ``(channels, y, x)`` real values.

        Palettes become colours, complex samples their magnitude, scale and offset are applied.
        """
        if self.palette is not None:
            index = np.clip(block[0].astype(np.intp), 0, len(self.palette) - 1)
            return np.ascontiguousarray(np.moveaxis(self.palette[index], -1, 0))
        if np.iscomplexobj(block):
            block = np.abs(block)
        if self.scale is not None:
            factor, offset = self.scale.T[:, :, None, None]
            block = block * factor + offset
        return block.astype(self.dtype, copy=False)


def choose_bands(dataset: Any, wanted: str | None, source: str) -> Bands:
    """The bands that the user asked for (``"4,3,2"``), else those a person would look at.

    Without a wish: the bands of red, green and blue colour interpretation; all when there are
    at most three; true colour when the bands bear Sentinel-2 names; else the first three. Alpha
    bands are never channels.

    Raises:
        UsageError: the wish is not a list of bands of this raster.
    """
    colours = list(dataset.colorinterp)
    data = [i for i in dataset.indexes if colours[i - 1] is not ColorInterp.alpha]
    indexes = _parse(wanted, dataset.count, source) if wanted else _default(dataset, data, colours)
    palette = None
    if len(indexes) == 1 and colours[indexes[0] - 1] is ColorInterp.palette:
        palette = _palette(dataset.colormap(indexes[0]))
    scale = np.array(
        [(dataset.scales[i - 1], dataset.offsets[i - 1]) for i in indexes], dtype=np.float32
    )
    rescaled = palette is None and bool((scale != np.array([1, 0])).any())
    stored = np.result_type(*(_dtype(dataset.dtypes[i - 1]) for i in indexes))
    dtype = np.dtype(np.uint8) if palette is not None else _real(stored, rescaled)
    names = tuple(_name(dataset, colours, i) for i in indexes)
    return Bands(
        indexes=indexes,
        names=("red", "green", "blue") if palette is not None else names,
        dtype=dtype,
        modality=_modality(stored, [colours[i - 1] for i in indexes], names, len(data), palette),
        palette=palette,
        scale=scale if rescaled else None,
    )


def _parse(wanted: str, count: int, source: str) -> tuple[int, ...]:
    try:
        indexes = tuple(int(part) for part in str(wanted).split(","))
    except ValueError:
        raise UsageError(f"--bands {wanted}: give band numbers from 1, such as 4,3,2") from None
    if any(not 1 <= i <= count for i in indexes):
        raise UsageError(f"--bands {wanted}: {source} has bands 1…{count}")
    return indexes


def _default(dataset: Any, data: list[int], colours: list[ColorInterp]) -> tuple[int, ...]:
    if all(colour in colours for colour in RGB):
        return tuple(colours.index(colour) + 1 for colour in RGB)
    if len(data) <= 3:
        return tuple(data)
    names = [(text or "").upper().lstrip("B").lstrip("0") for text in dataset.descriptions]
    if {"2", "3", "4", "8A"} <= set(names):
        return tuple(names.index(band) + 1 for band in ("4", "3", "2"))
    return tuple(data[:3])


def _name(dataset: Any, colours: list[ColorInterp], index: int) -> str:
    described = dataset.descriptions[index - 1]
    if described:
        return str(described)
    colour = colours[index - 1]
    return colour.name if colour in RGB else f"band {index}"


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
