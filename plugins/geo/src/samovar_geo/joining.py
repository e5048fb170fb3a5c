"""Several rasters as one: ``mosaic:a.tif|b.tif`` side by side, ``stack:B04.tif|B11.tif`` bands.

Both are virtual rasters in memory; nothing is copied. Later files of a mosaic lie on top, where
they hold data. A stack is read at its finest resolution: what is coarser is interpolated, classes
are not.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from samovar.errors import GeometryError, InputError
from samovar_geo.opening import gdal, gdal_path, is_remote, open_dataset, refuse_unusable
from samovar_geo.virtual import Placed, Virtual, VirtualBand

MOSAIC, STACK = "mosaic:", "stack:"
SEPARATOR = "|"
SAME = 1e-3
"""Of a pixel: how much corners may differ and still be one grid."""
CLASSES = ("SCL", "CLASS", "MASK")
"""Band names whose values are classes, never interpolated."""


@dataclass(frozen=True, eq=False)
class Member:
    """What is known of one of several files."""

    path: str
    width: int
    height: int
    transform: Affine
    crs_wkt: str
    dtypes: tuple[str, ...]
    names: tuple[str, ...]
    colours: tuple[str, ...]
    nodata: tuple[float | None, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    masked: bool


def split_members(source: str) -> list[str]:
    """The files of ``mosaic:…`` or ``stack:…``; wildcards are expanded.

    Raises:
        InputError: there is none.
    """
    _, _, rest = source.partition(":")
    found: list[str] = []
    for part in filter(None, (p.strip() for p in rest.split(SEPARATOR))):
        hits = [part]
        if glob.has_magic(part):
            hits = sorted(glob.glob(part))  # noqa: PTH207 - pathlib takes no absolute patterns
        if not hits:
            raise InputError(f"{part}: no file has such a name")
        found += hits
    if not found:
        raise InputError(f"{source}: names no file; write {source[:7]}A.tif|B.tif")
    return found


def look_at(paths: Sequence[str]) -> list[Member]:
    """Opens each file once. Raises InputError or GeometryError naming the one that will not do."""
    members = []
    for source in paths:
        path = gdal_path(source)
        with gdal(remote=is_remote(path)), open_dataset(path, source) as dataset:
            refuse_unusable(dataset, source)
            members.append(_member(dataset, path))
    return members


def mosaic(members: Sequence[Member], source: str) -> Virtual:
    """Files side by side, on the grid of the first.

    Raises:
        GeometryError: they differ in CRS or direction, or one is turned.
        InputError: they differ in bands or types.
    """
    first = members[0]
    _refuse_turned(members)
    for other in members[1:]:
        _refuse_other_crs(first, other)
        if (len(other.dtypes), other.dtypes) != (len(first.dtypes), first.dtypes):
            raise InputError(
                f"{other.path}: has bands {', '.join(other.dtypes)}, {first.path} has "
                f"{', '.join(first.dtypes)}: the files of a mosaic have the same"
            )
    transform, width, height = _bounds(members, first.transform)
    targets = [_target(m, transform) for m in members]
    bands = tuple(
        VirtualBand(
            dtype,
            tuple(
                Placed(m.path, i + 1, (m.width, m.height), t, masked=m.masked)
                for m, t in zip(members, targets, strict=True)
            ),
            first.names[i], first.colours[i], None, first.scales[i], first.offsets[i],
        )
        for i, dtype in enumerate(first.dtypes)
    )  # fmt: skip
    mask = tuple(
        Placed(m.path, "mask,1", (m.width, m.height), t, nodata=0.0)
        for m, t in zip(members, targets, strict=True)
    )
    return Virtual(width, height, transform, first.crs_wkt, bands, mask)


def stack(members: Sequence[Member], names: Sequence[str] | None = None) -> Virtual:
    """Bands of several files at the finest resolution among them, over the first one's extent.

    Raises:
        GeometryError: they differ in CRS, are turned, or do not overlap the first.
    """
    _refuse_turned(members)
    for other in members[1:]:
        _refuse_other_crs(members[0], other)
    finest = min(members, key=lambda m: abs(m.transform.a))
    first = members[0]
    columns = round(first.width * abs(first.transform.a / finest.transform.a))
    rows = round(first.height * abs(first.transform.e / finest.transform.e))
    transform = Affine(
        finest.transform.a, 0, first.transform.c, 0, finest.transform.e, first.transform.f
    )
    bands, mask = [], []
    for k, member in enumerate(members):
        target = _target(member, transform)
        x, y, w, h = target
        if x >= columns or y >= rows or x + w <= 0 or y + h <= 0:
            raise GeometryError(f"{member.path}: does not overlap {first.path}")
        for i, dtype in enumerate(member.dtypes):
            name = names[k] if names is not None else member.names[i] or band_name(member.path)
            coarse = abs(w / member.width - 1) > SAME and name.upper() not in CLASSES
            bands.append(
                VirtualBand(
                    dtype,
                    (
                        Placed(
                            member.path, i + 1, (member.width, member.height), target,
                            resampling="bilinear" if coarse else "nearest",
                        ),
                    ),
                    name, "", member.nodata[i], member.scales[i], member.offsets[i],
                )
            )  # fmt: skip
        if member.masked and not mask:
            mask = [Placed(member.path, "mask,1", (member.width, member.height), target)]
    return Virtual(columns, rows, transform, first.crs_wkt, tuple(bands), tuple(mask))


def band_name(path: str) -> str:
    """``T32_B04_10m.jp2`` → ``B04``: the part of a file's name that names its band."""
    stem = Path(path).stem
    for part in reversed(stem.replace("-", "_").split("_")):
        text = part.upper()
        if text in ("SCL", "AOT", "WVP", "TCI") or (
            text.startswith("B") and text[1:].removesuffix("A").isdigit()
        ):
            return text
    return stem


def _member(dataset: Any, path: str) -> Member:
    data = [i for i in dataset.indexes if dataset.colorinterp[i - 1] is not ColorInterp.alpha]
    flags = [dataset.mask_flag_enums[i - 1] for i in data]
    return Member(
        path=path,
        width=dataset.width,
        height=dataset.height,
        transform=dataset.transform,
        crs_wkt=dataset.crs.to_wkt() if dataset.crs else "",
        dtypes=tuple(dataset.dtypes[i - 1] for i in data),
        names=tuple(dataset.descriptions[i - 1] or "" for i in data),
        colours=tuple(_colour(dataset.colorinterp[i - 1]) for i in data),
        nodata=tuple(dataset.nodatavals[i - 1] for i in data),
        scales=tuple(dataset.scales[i - 1] for i in data),
        offsets=tuple(dataset.offsets[i - 1] for i in data),
        masked=any("all_valid" not in {f.name for f in found} for found in flags),
    )


def _colour(found: ColorInterp) -> str:
    return found.name.capitalize() if found.name in ("red", "green", "blue", "gray") else ""


def _refuse_turned(members: Sequence[Member]) -> None:
    for member in members:
        if member.transform.b or member.transform.d:
            raise GeometryError(
                f"{member.path}: is turned against its CRS, and several rasters are joined on one "
                "upright grid: gdalwarp it first"
            )
        if member.transform.e * members[0].transform.e < 0:
            raise GeometryError(
                f"{member.path}: is south-up and {members[0].path} north-up, or the other way "
                "round: gdalwarp one of them first"
            )


def _refuse_other_crs(first: Member, other: Member) -> None:
    if other.crs_wkt != first.crs_wkt:
        from rasterio.crs import CRS

        a, b = (CRS.from_wkt(m.crs_wkt) if m.crs_wkt else None for m in (first, other))
        if a != b:
            raise GeometryError(
                f"{other.path}: is in {b or 'no CRS'} and {first.path} in {a or 'no CRS'}: bring "
                "them to one first, gdalwarp -t_srs EPSG:… IN OUT.tif"
            )


def _bounds(members: Sequence[Member], grid: Affine) -> tuple[Affine, int, int]:
    """The grid of the first file, extended over all."""
    targets = [_target(m, grid) for m in members]
    left = round(min(t[0] for t in targets))
    top = round(min(t[1] for t in targets))
    right = round(max(t[0] + t[2] for t in targets))
    bottom = round(max(t[1] + t[3] for t in targets))
    return grid * Affine.translation(left, top), right - left, bottom - top


def _target(member: Member, grid: Affine) -> tuple[float, float, float, float]:
    """Where a file lies on a grid, in its pixels; near whole numbers are whole."""
    x, y = ~grid * (member.transform.c, member.transform.f)
    width = member.width * member.transform.a / grid.a
    height = member.height * member.transform.e / grid.e
    near = [round(v) if abs(v - round(v)) < SAME else v for v in (x, y, width, height)]
    return near[0], near[1], near[2], near[3]
