"""Meshes: closed surfaces as binary STL or as OBJ, in LPS millimetres."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from samovar.errors import OutputError
from samovar.image import Image
from samovar.manifest import DISCLAIMER
from samovar.objects import Objects, SegmentedObject
from samovar_medical.dicom_output import require_found
from samovar_medical.label_names import one_line
from samovar_medical.surfaces import Surface, surface_of

SPACE = "SPACE=LPS"
"""By which 3D Slicer knows the axes; it takes files without it for LPS as well."""

_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])


class StlFormat:
    """Writes one binary STL with the surfaces of all objects; it has no names."""

    def write(self, objects: Objects, path: Path, image: Image, **options: Any) -> None:
        """Write every object's surface, one after the other.

        Raises:
            OutputError: the image has no millimetres, or nothing was found.
        """
        header = f"{SPACE} samovar, {DISCLAIMER}".encode("ascii", "replace")
        count = 0
        with path.open("wb") as file:
            file.write(header[:80].ljust(80, b"\0") + b"\0\0\0\0")
            for _, surface in _surfaces(objects, image, "STL"):
                file.write(_triangles(surface).tobytes())
                count += len(surface.faces)
            file.seek(80)
            file.write(np.uint32(count).astype("<u4").tobytes())


class ObjFormat:
    """Writes one OBJ with a named group for each object."""

    def write(self, objects: Objects, path: Path, image: Image, **options: Any) -> None:
        """Write every object's surface as a group of its name.

        Raises:
            OutputError: the image has no millimetres, or nothing was found.
        """
        first = 1
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.write(f"# {SPACE}\n# samovar, {DISCLAIMER}; millimetres\n")
            for item, surface in _surfaces(objects, image, "OBJ"):
                file.write(f"o {_word(item)}\n")
                np.savetxt(file, surface.vertices, fmt="v %.4f %.4f %.4f")
                np.savetxt(file, surface.faces + first, fmt="f %d %d %d")
                first += len(surface.vertices)


def _surfaces(
    objects: Objects, image: Image, kind: str
) -> Iterator[tuple[SegmentedObject, Surface]]:
    if image.grid.frame.kind != "lps":
        raise OutputError(f"{image.info.source}: has no millimetres, which a mesh needs")
    for item in require_found(objects, kind):
        yield item, surface_of(item, image.grid)


def _triangles(surface: Surface) -> np.ndarray[Any, Any]:
    corners = surface.vertices[surface.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    table = np.zeros(len(corners), dtype=_TRIANGLE)
    table["normal"] = normals / np.where(lengths > 0, lengths, 1.0)
    table["corners"] = corners
    return table


def _word(item: SegmentedObject) -> str:
    """A name without blanks, which OBJ does not allow."""
    return re.sub(r"\s+", "_", one_line(item.name)) or f"object_{item.id}"
