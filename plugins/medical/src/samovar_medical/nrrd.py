"""NRRD: volumes in, labels out with the space and directions that came in."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from samovar.errors import InputError
from samovar.grid import Grid, Region
from samovar.image import Image
from samovar.objects import Objects
from samovar.prompts import Prompts
from samovar_medical.codes import parse_codes
from samovar_medical.itk import (
    LARGEST_HEADER,
    TextHeader,
    open_itk,
    require_header,
    require_one_volume,
)
from samovar_medical.label_boxes import prompts_from_labels
from samovar_medical.label_names import names_from_segments, one_line, segment_fields
from samovar_medical.modality import modality_of, sidecar_modality
from samovar_medical.provenance import provenance_line
from samovar_medical.volume import VolumeImage, slabs

COMPRESSION = 4

_ITEM_BYTES = {
    1: ("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"),
    2: ("short", "short int", "signed short", "signed short int", "int16", "int16_t", "ushort",
        "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    4: ("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t",
        "float"),
    8: ("longlong", "long long", "long long int", "signed long long", "signed long long int",
        "int64", "int64_t", "ulonglong", "unsigned long long", "unsigned long long int", "uint64",
        "uint64_t", "double"),
}  # fmt: skip
_SIZE_OF = {name: size for size, names in _ITEM_BYTES.items() for name in names}
_KEPT = (
    "space", "space dimension", "space directions", "space origin", "space units", "spacings",
    "axis mins", "axis maxs", "centers", "centerings", "kinds", "units",
)  # fmt: skip
"""Geometry that goes from the input to the labels word for word."""

_PATIENT = {
    "left-posterior-superior", "lps", "right-anterior-superior", "ras",
    "left-anterior-superior", "las",
}  # fmt: skip
_TYPE = {1: "unsigned char", 2: "unsigned short", 4: "unsigned int", 8: "unsigned long long int"}


class NrrdFormat:
    """Reads volumes and label prompts."""

    def open(self, path: str, **options: Any) -> VolumeImage:
        """Open one volume: raw voxels are memory-mapped, packed ones are unpacked here, once.

        Raises:
            InputError: not NRRD, damaged, truncated, 4-D, several values a voxel, NaN or infinite.
            GeometryError: directions that cannot be inverted, or are sheared.
        """
        header = read_header(path)
        snippet = f"s.WriteImage(s.ReadImage('{Path(path).as_posix()}')[:, :, :, 0], 'one.nrrd')"
        kinds = header.fields.get("kinds", "").split()
        if not kinds or kinds[0] in ("domain", "space", "???", "none"):
            require_one_volume(path, header.sizes, snippet)
        code = header.extra.get("Modality") or header.extra.get("modality")
        info = {
            "modality": modality_of(code) or sidecar_modality(path),
            "native": {"nrrd": {k: v for k, v in header.fields.items() if k in _KEPT}}
            if len(header.sizes) == 3
            else {},
        }
        return open_itk(path, "nrrd", header, info, names_from_segments(header.extra))

    def read_prompts(self, path: str, image: Image, **options: Any) -> Prompts:
        """The boxes of a label image's objects; see :func:`prompts_from_labels`."""
        with self.open(path) as labels:
            return prompts_from_labels(labels, image)


class NrrdLabels:
    """Writes label images."""

    def check(self, image: Image, *, code: Sequence[str] = (), **options: Any) -> None:
        """Refuse malformed codes before anything was segmented. Raises UsageError."""
        parse_codes(code)

    def write(
        self, objects: Objects, path: Path, image: Image, *, code: Sequence[str] = (), **_: Any
    ) -> None:
        """Write the label image, gzipped slab by slab, smallest unsigned type.

        The space, directions and origin are those of the input, word for word, when it was NRRD;
        names, colours and codes go into the fields by which 3D Slicer opens a segmentation.

        Args:
            code: ``LABEL=SCHEME:VALUE:MEANING`` each.

        Raises:
            UsageError: a code that is malformed, or for an object that is not there.
        """
        kept = image.info.native.get("nrrd")
        geometry = kept if kept and objects.grid == image.grid else _geometry(objects.grid)
        dtype = objects.label_dtype
        lines = [
            "NRRD0005",
            f"type: {_TYPE[dtype.itemsize]}",
            "dimension: 3",
            "sizes: " + " ".join(str(n) for n in objects.grid.shape[::-1]),
            *(f"{key}: {geometry[key]}" for key in _KEPT if key in geometry),
            *(["endian: little"] if dtype.itemsize > 1 else []),
            "encoding: gzip",
            *(f"{k}:={v}" for k, v in segment_fields(objects, code).items()),
            f"samovar:={one_line(provenance_line(objects))}",
        ]
        with path.open("wb") as raw:
            raw.write(("\n".join(lines) + "\n\n").encode("utf-8"))
            with gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as packed:
                for part in slabs(objects.grid.shape):
                    whole = objects.grid.region
                    region = Region((part.start, *whole.start[1:]), (part.stop, *whole.stop[1:]))
                    block = objects.labels(region)
                    packed.write(np.ascontiguousarray(block, dtype=dtype.newbyteorder("<")).data)


def read_header(path: str) -> TextHeader:
    """The header of a NRRD file, whole or detached.

    Raises:
        InputError: not NRRD, a field is missing or makes no sense, or the voxels are not all there.
    """
    with Path(path).open("rb") as opened:
        head = opened.read(LARGEST_HEADER)
    if head[:4] != b"NRRD":
        raise InputError(f"{path}: is not a NRRD file, whatever its name says: check what it is")
    fields, extra, offset = _lines(path, head)
    try:
        sizes = tuple(int(v) for v in fields["sizes"].split())
        kind, encoding = fields["type"].lower(), fields["encoding"].lower()
        skipped = "byte skip" in fields or "line skip" in fields
        if int(fields["dimension"]) != len(sizes):
            raise ValueError("dimension and sizes disagree")
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: its NRRD header is damaged ({error}): export it again"
        ) from error
    if kind not in _SIZE_OF:
        raise InputError(f"{path}: its voxels are of type {kind!r}: save it as numbers first")
    data = fields.get("data file", fields.get("datafile"))
    file: Path | None = Path(path)
    if data is not None:
        several = data.split()[:1] == ["LIST"] or "%" in data
        file, offset = (None if several else Path(path).parent / data), 0
    known = {"gz": "gzip", "gzip": "gzip", "raw": "raw"}
    header = TextHeader(
        fields, sizes, _SIZE_OF[kind], file, offset,
        "unchecked" if skipped else known.get(encoding, encoding), _notes(fields),
        _dtype(kind, fields), extra,
    )  # fmt: skip
    require_header(path, header)
    return header


def _dtype(kind: str, fields: dict[str, str]) -> str:
    """numpy's name of the type; empty when bytes could be in either order and nothing says so."""
    size = _SIZE_OF[kind]
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "").lower(), "")
    if size > 1 and not order:
        return ""
    unsigned = kind.startswith("u")
    return f"{order}{'f' if kind in ('float', 'double') else 'u' if unsigned else 'i'}{size}"


def _lines(path: str, head: bytes) -> tuple[dict[str, str], dict[str, str], int]:
    """Fields, key/value pairs, and where the voxels start."""
    fields: dict[str, str] = {}
    extra: dict[str, str] = {}
    at = 0
    while True:
        end = head.find(b"\n", at)
        if end < 0 and len(head) == LARGEST_HEADER:
            raise InputError(f"{path}: its NRRD header has no end: the file is damaged")
        line = head[at : end if end >= 0 else len(head)].decode("utf-8", "replace").rstrip("\r")
        at = end + 1 if end >= 0 else len(head)
        if not line or line.lower().startswith("data file: list"):
            break
        if not line.startswith("#"):
            key, pair, value = line.partition(":=")
            if pair:
                extra[key] = value
            elif ": " in line:
                key, _, value = line.partition(": ")
                fields[key.lower()] = value.strip()
        if end < 0:
            break
    if line.lower().startswith("data file: list"):
        fields["data file"] = "LIST"
    return fields, extra, at


def _notes(fields: dict[str, str]) -> tuple[str, ...]:
    space = fields.get("space", "").lower()
    if space in _PATIENT:
        return ()
    said = f"its space is {space!r}" if space else "its header names no space"
    return (f"{said}: left and right are unknown, its axes are taken as left, posterior, superior",)


def _geometry(grid: Grid) -> dict[str, str]:
    def vector(values: Any) -> str:
        return "(" + ",".join(repr(float(v)) for v in values) + ")"

    return {
        "space": "left-posterior-superior",
        "space directions": " ".join(vector(grid.affine[:3, i]) for i in range(3)),
        "space origin": vector(grid.affine[:3, 3]),
        "kinds": "domain domain domain",
    }
