"""MetaImage: volumes in, labels out with the direction, origin and spacing that came in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from samovar.errors import InputError
from samovar.image import Image
from samovar.objects import Objects
from samovar.prompts import Prompts
from samovar_medical.itk import (
    LARGEST_HEADER,
    TextHeader,
    open_itk,
    require_header,
    require_one_volume,
)
from samovar_medical.label_boxes import prompts_from_labels
from samovar_medical.label_names import names_from_segments, segment_fields
from samovar_medical.modality import modality_of, sidecar_modality
from samovar_medical.provenance import provenance_line
from samovar_medical.volume import VolumeImage

_ITEM_BYTES = {
    "MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_UINT": 4,
    "MET_LONG": 4, "MET_ULONG": 4, "MET_LONG_LONG": 8, "MET_ULONG_LONG": 8, "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}  # fmt: skip
_PLACES = ("TransformMatrix", "Rotation", "Orientation"), ("Offset", "Position", "Origin")


class MetaImageFormat:
    """Reads volumes and label prompts, writes label images."""

    def open(self, path: str, **options: Any) -> VolumeImage:
        """Open one volume: raw voxels are memory-mapped, packed ones are unpacked here, once.

        Raises:
            InputError: not MetaImage, damaged, truncated, 4-D, several values a voxel, NaN or
                infinite.
            GeometryError: a direction that cannot be inverted, or is sheared.
        """
        header = read_header(path)
        snippet = f"s.WriteImage(s.ReadImage('{Path(path).as_posix()}')[:, :, :, 0], 'one.mha')"
        require_one_volume(path, header.sizes, snippet)
        info: dict[str, Any] = {
            "modality": modality_of(header.fields.get("Modality")) or sidecar_modality(path),
            "native": {},
        }
        return open_itk(path, "metaimage", header, info, names_from_segments(header.fields))

    def read_prompts(self, path: str, image: Image, **options: Any) -> Prompts:
        """The boxes of a label image's objects; see :func:`prompts_from_labels`."""
        with self.open(path) as labels:
            return prompts_from_labels(labels, image)

    def write(self, objects: Objects, path: Path, image: Image, **options: Any) -> None:
        """Write the label image, compressed, smallest unsigned type."""
        import SimpleITK as sitk

        labels = sitk.GetImageFromArray(objects.labels())
        own = image.info.native.get("itk") if objects.grid == image.grid else None
        grid = objects.grid
        direction, spacing, origin = own or (
            grid.direction.ravel().tolist(), grid.spacing, grid.affine[:3, 3].tolist(),
        )  # fmt: skip
        labels.SetDirection(direction)
        labels.SetSpacing(spacing)
        labels.SetOrigin(origin)
        for key, value in segment_fields(objects).items():
            labels.SetMetaData(key, value)
        labels.SetMetaData("Comment", provenance_line(objects))
        try:
            sitk.WriteImage(labels, str(path), True)
        except RuntimeError as error:
            raise OSError(f"SimpleITK could not write {path.name}") from error


def read_header(path: str) -> TextHeader:
    """The header of a MetaImage file, whole or detached.

    Raises:
        InputError: not MetaImage, a field is missing or makes no sense, or the voxels are not all
            there.
    """
    with Path(path).open("rb") as opened:
        head = opened.read(LARGEST_HEADER)
    fields, offset = _lines(head)
    if "NDims" not in fields or "DimSize" not in fields:
        raise InputError(
            f"{path}: is not a MetaImage file, whatever its name says: check what it is"
        )
    try:
        sizes = tuple(int(v) for v in fields["DimSize"].split())
        kind, data = fields["ElementType"].upper(), fields["ElementDataFile"]
        channels = int(fields.get("ElementNumberOfChannels", "1"))
        packed = fields.get("CompressedData", "False").lower() in ("true", "1")
        if int(fields["NDims"]) != len(sizes):
            raise ValueError("NDims and DimSize disagree")
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: its MetaImage header is damaged ({error}): export it again"
        ) from error
    if kind not in _ITEM_BYTES:
        raise InputError(f"{path}: its voxels are of type {kind!r}: save it as numbers first")
    several = data.split()[:1] == ["LIST"] or "%" in data
    local = data.upper() == "LOCAL"
    file = Path(path) if local else None if several else Path(path).parent / data
    header = TextHeader(
        fields, sizes, _ITEM_BYTES[kind] * max(1, channels), file, offset if local else 0,
        "gzip" if packed else "raw" if "HeaderSize" not in fields else "unchecked",
        _notes(fields), _dtype(kind, fields) if channels <= 1 else "",
    )  # fmt: skip
    require_header(path, header)
    return header


def _dtype(kind: str, fields: dict[str, str]) -> str:
    """numpy's name of the type; empty unless the header says that the voxels are binary."""
    if fields.get("BinaryData", "").lower() not in ("true", "1"):
        return ""
    swapped = fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False"))
    letter = {"MET_FLOAT": "f", "MET_DOUBLE": "f"}.get(kind) or ("u" if kind[4] == "U" else "i")
    return f"{'>' if swapped.lower() in ('true', '1') else '<'}{letter}{_ITEM_BYTES[kind]}"


def _lines(head: bytes) -> tuple[dict[str, str], int]:
    """Fields up to ``ElementDataFile``, and where local voxels start."""
    fields: dict[str, str] = {}
    at = 0
    while at < len(head):
        end = head.find(b"\n", at)
        end = end if end >= 0 else len(head)
        key, equals, value = head[at:end].decode("utf-8", "replace").partition("=")
        at = end + 1
        if not equals:
            break
        fields[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            break
    return fields, at


def _notes(fields: dict[str, str]) -> tuple[str, ...]:
    if any(any(name in fields for name in names) for names in _PLACES):
        return ()
    return (
        "its header has no orientation: left and right are unknown, its axes are taken as left, "
        "posterior, superior",
    )
