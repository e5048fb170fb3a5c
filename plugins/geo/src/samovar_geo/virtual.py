"""Virtual rasters in memory: GDAL's VRT as text, opened as it is. Nothing is written anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from rasterio.transform import Affine

from samovar.grid import Region

GDAL_TYPES = {
    "uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "int16": "Int16", "uint32": "UInt32",
    "int32": "Int32", "uint64": "UInt64", "int64": "Int64", "float32": "Float32",
    "float64": "Float64", "complex64": "CFloat32", "complex128": "CFloat64",
    "complex_int16": "CInt16",
}  # fmt: skip


@dataclass(frozen=True)
class Placed:
    """Part of a band of a file, and where it comes to lie in the virtual raster."""

    path: str
    band: int | str
    """Counted from 1, or ``mask,1``."""
    size: tuple[int, int]
    """Width and height of the source."""
    target: tuple[float, float, float, float]
    """x, y, width, height in pixels of the virtual raster."""
    masked: bool = False
    """Only where the source's own mask says that there is data."""
    resampling: str = "nearest"
    lookup: str = ""
    """``0:0,3:255 …``: values are looked up."""
    nodata: float | None = None


@dataclass(frozen=True)
class VirtualBand:
    """One band: its sources, later ones on top."""

    dtype: str
    sources: tuple[Placed, ...]
    name: str = ""
    colour: str = ""
    nodata: float | None = None
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Virtual:
    """A raster made of others."""

    width: int
    height: int
    transform: Affine
    crs_wkt: str
    bands: tuple[VirtualBand, ...]
    mask: tuple[Placed, ...] = ()
    """Sources of the dataset mask."""

    def xml(self) -> str:
        """The VRT's text; rasterio opens it in place of a path."""
        gt = self.transform.to_gdal()
        lines = [
            f'<VRTDataset rasterXSize="{self.width}" rasterYSize="{self.height}">',
            f"<SRS>{escape(self.crs_wkt)}</SRS>" if self.crs_wkt else "",
            f"<GeoTransform>{', '.join(repr(float(v)) for v in gt)}</GeoTransform>",
            *(_band(i + 1, band) for i, band in enumerate(self.bands)),
        ]
        if self.mask:
            lines.append('<MaskBand><VRTRasterBand dataType="Byte">')
            lines += [_source(source) for source in self.mask]
            lines.append("</VRTRasterBand></MaskBand>")
        return "".join([*lines, "</VRTDataset>"])


def _band(number: int, band: VirtualBand) -> str:
    lines = [f'<VRTRasterBand dataType="{GDAL_TYPES[band.dtype]}" band="{number}">']
    if band.name:
        lines.append(f"<Description>{escape(band.name)}</Description>")
    if band.nodata is not None:
        lines.append(f"<NoDataValue>{band.nodata!r}</NoDataValue>")
    if band.colour:
        lines.append(f"<ColorInterp>{band.colour}</ColorInterp>")
    if band.offset:
        lines.append(f"<Offset>{band.offset!r}</Offset>")
    if band.scale != 1:
        lines.append(f"<Scale>{band.scale!r}</Scale>")
    return "".join([*lines, *map(_source, band.sources), "</VRTRasterBand>"])


def _source(source: Placed) -> str:
    plain = not (source.masked or source.lookup or source.nodata is not None)
    kind = "SimpleSource" if plain else "ComplexSource"
    width, height = source.size
    x, y, w, h = (repr(float(v)) for v in source.target)
    lines = [
        f"<{kind} resampling={quoteattr(source.resampling)}>",
        f'<SourceFilename relativeToVRT="0">{escape(source.path)}</SourceFilename>',
        f"<SourceBand>{source.band}</SourceBand>",
        f'<SrcRect xOff="0" yOff="0" xSize="{width}" ySize="{height}"/>',
        f'<DstRect xOff="{x}" yOff="{y}" xSize="{w}" ySize="{h}"/>',
    ]
    if source.masked:
        lines.append("<UseMaskBand>true</UseMaskBand>")
    if source.nodata is not None:
        lines.append(f"<NODATA>{source.nodata!r}</NODATA>")
    if source.lookup:
        lines.append(f"<LUT>{source.lookup}</LUT>")
    return "".join([*lines, f"</{kind}>"])


def narrowed(dataset: Any, path: Path, dtype: str, region: Region) -> str:
    """A region of the one band of ``dataset``, at ``path``, in a smaller type."""
    (top, left), (rows, columns) = region.start, region.shape
    size = dataset.width, dataset.height
    source = Placed(str(path), 1, size, (-left, -top, *size))
    band = VirtualBand(dtype, (source,), dataset.descriptions[0] or "", nodata=0.0)
    crs = dataset.crs.to_wkt() if dataset.crs else ""
    transform = dataset.transform
    if (top, left) != (0, 0):
        transform = transform * Affine.translation(left, top)
    whole = Virtual(columns, rows, transform, crs, (band,))
    tags = "".join(f"<MDI key={quoteattr(k)}>{escape(v)}</MDI>" for k, v in dataset.tags().items())
    return whole.xml().replace("<VRTRasterBand", f"<Metadata>{tags}</Metadata><VRTRasterBand", 1)
