"""Sentinel-2 products: a SAFE folder (or its zip) as one raster at 10 m.

Bands of 10, 20 and 60 m are stacked on the 10 m grid. Values become reflectances by the product's
own quantification value and radiometric offset (−1000 since baseline 04.00), so that scenes before
and after January 2022 agree. Where the scene classification says cloud, shadow or defect there is
no data.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from samovar.errors import InputError, UsageError
from samovar_geo.joining import look_at, stack
from samovar_geo.virtual import Placed, Virtual

BANDS = ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B8A", "B11", "B12", "B01", "B09", "B10")
"""In the order of the raster: 10 m first."""
PHYSICAL = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11",
            "B12")  # fmt: skip
"""By the ``band_id`` of the metadata."""
UNUSABLE = (0, 1, 3, 8, 9, 10)
"""Scene classes without data: none, saturated, cloud shadow, medium and high cloud, cirrus."""
CLASSES = 12
_BAND_FILE = re.compile(r"_(B\d{1,2}A?|SCL)(?:_(10|20|60)m)?\.(?:jp2|tif)$", re.I)
_METADATA = re.compile(r"(^|/)MTD_MSIL(1C|2A)\.xml$", re.I)


def is_product(source: str) -> bool:
    """Whether a path is a SAFE folder, its zip, or its main metadata file."""
    name = source.rstrip("/\\").lower()
    return name.endswith((".safe", ".safe.zip", "mtd_msil2a.xml", "mtd_msil1c.xml"))


def open_product(source: str, scl_mask: str | None = None) -> Virtual:
    """The product as a virtual raster.

    Args:
        scl_mask: scene classes that count as no data, ``"3,8,9"``, or ``"none"``.

    Raises:
        InputError: it is no whole Sentinel-2 product.
        UsageError: ``scl_mask`` is not a list of classes.
    """
    classes = parse_classes(scl_mask)
    files, prefix = _files(source)
    metadata = [name for name in files if _METADATA.search(name)]
    if not metadata:
        raise InputError(f"{source}: holds no MTD_MSIL1C.xml or MTD_MSIL2A.xml: it is not a whole "
                         "Sentinel-2 product; fetch it again")  # fmt: skip
    quantification, offsets = _radiometry(_text(source, metadata[0]), source)
    finest = _finest(files)
    if not finest.keys() & set(BANDS):
        raise InputError(f"{source}: holds no image band (GRANULE/*/IMG_DATA): fetch it again")
    order = [band for band in BANDS if band in finest]
    virtual = stack(look_at([prefix + finest[band] for band in order]), order)
    bands = tuple(
        replace(
            band, scale=1 / quantification, offset=offsets.get(band.name, 0.0) / quantification,
            nodata=0.0,
        )
        for band in virtual.bands
    )  # fmt: skip
    mask: tuple[Placed, ...] = ()
    if "SCL" in finest and classes:
        (scl,) = look_at([prefix + finest["SCL"]])
        table = ",".join(f"{c}:{0 if c in classes else 255}" for c in range(CLASSES))
        mask = (
            Placed(
                scl.path, 1, (scl.width, scl.height), (0, 0, virtual.width, virtual.height),
                lookup=table,
            ),
        )  # fmt: skip
    elif scl_mask and classes:
        raise UsageError(f"--scl-mask {scl_mask}: {source} has no scene classification (Level-1C)")
    return replace(virtual, bands=bands, mask=mask)


def parse_classes(text: str | None) -> frozenset[int]:
    """``--scl-mask``. Raises UsageError."""
    if text is None:
        return frozenset(UNUSABLE)
    if text.strip().lower() == "none":
        return frozenset()
    try:
        found = frozenset(int(part) for part in text.split(","))
    except ValueError:
        found = frozenset({-1})
    if not found <= set(range(CLASSES)):
        raise UsageError(f"--scl-mask {text}: give classes 0…11 such as 3,8,9,10, or none")
    return found


def _files(source: str) -> tuple[list[str], str]:
    """Names inside the product, and what makes each a path for GDAL."""
    path = Path(source)
    if path.name.lower().startswith("mtd_msil"):
        path = path.parent
    if path.is_dir():
        names = [p.relative_to(path).as_posix() for p in sorted(path.rglob("*")) if p.is_file()]
        return names, path.as_posix() + "/"
    if not path.is_file():
        raise InputError(f"{source}: there is no such file or folder")
    try:
        with zipfile.ZipFile(path) as archive:
            return sorted(archive.namelist()), f"/vsizip/{path.as_posix()}/"
    except zipfile.BadZipFile as error:
        raise InputError(f"{source}: is not a zip archive, or it is damaged") from error


def _text(source: str, name: str) -> bytes:
    path = Path(source)
    if path.name.lower().startswith("mtd_msil"):
        path = path.parent
    if path.is_dir():
        return (path / name).read_bytes()
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def _radiometry(text: bytes, source: str) -> tuple[float, dict[str, float]]:
    """Quantification value, and offset by band."""
    if b"<!ENTITY" in text:
        raise InputError(f"{source}: its metadata declares entities, which no product does")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"{source}: its metadata is damaged ({error})") from error
    quantification, offsets = 10_000.0, {}
    for element in root.iter():
        tag = element.tag.rpartition("}")[2]
        if tag in ("BOA_QUANTIFICATION_VALUE", "QUANTIFICATION_VALUE") and element.text:
            quantification = float(element.text)
        if tag in ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET") and element.text:
            number = int(element.get("band_id", "-1"))
            if 0 <= number < len(PHYSICAL):
                offsets[PHYSICAL[number]] = float(element.text)
    return quantification, offsets


def _finest(files: list[str]) -> dict[str, str]:
    """For each band its file of finest resolution."""
    found: dict[str, tuple[int, str]] = {}
    for name in files:
        match = _BAND_FILE.search(name)
        if match is None or "IMG_DATA" not in name:
            continue
        band = match[1].upper()
        resolution = int(match[2] or 0)
        if band not in found or resolution < found[band][0]:
            found[band] = (resolution, name)
    return {band: name for band, (_, name) in found.items()}
