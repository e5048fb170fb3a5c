"""NIfTI: volumes in, labels out with the very header geometry that came in."""

from __future__ import annotations

import gzip
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from samovar.errors import InputError
from samovar.grid import LPS_FROM_RAS, Grid, Region
from samovar.image import Image, ImageInfo
from samovar.objects import Objects
from samovar.prompts import Prompts
from samovar_medical.inflate import unpacked
from samovar_medical.label_boxes import prompts_from_labels
from samovar_medical.label_names import CARET_ECODE, caret_table
from samovar_medical.modality import sidecar_modality
from samovar_medical.nifti_header import NiftiHeader, read_header
from samovar_medical.provenance import provenance_line
from samovar_medical.volume import VolumeImage, slabs, volume_grid, warn

MEMORY_LIMIT = 1 << 30
"""Unpacked bytes above which a compressed volume goes to a temporary file, not into memory."""

COMPRESSION = 4
_CODE_OF = {1: 2, 2: 512, 4: 768, 8: 1280}
_COMMENT_ECODE = 6
_INTENT_LABEL = 1002


class NiftiFormat:
    """Reads volumes and label prompts, writes label images."""

    def open(self, path: str, **options: Any) -> VolumeImage:
        """Open one volume.

        An uncompressed file is memory-mapped. A compressed one is unpacked once, here, in its own
        type: into memory, or into a temporary file when larger than :data:`MEMORY_LIMIT`.

        Raises:
            InputError: not NIfTI, damaged, truncated, 4-D, colour or complex, NaN or infinite.
            GeometryError: an affine that cannot be inverted, or is sheared.
        """
        header = read_header(path)
        grid = volume_grid(path, header.shape[::-1], header.affine)
        warn(path, header.notes)
        info = ImageInfo(
            source=path,
            domain="volume",
            format="nifti",
            modality=sidecar_modality(path),
            native={"nifti": header.native, "warnings": header.notes},
        )
        return VolumeImage(
            _unpack(path, header) if header.compressed else _map(path, header),
            grid,
            info,
            slope=header.slope,
            intercept=header.intercept,
            label_names=header.label_names,
        )

    def read_prompts(self, path: str, image: Image, **options: Any) -> Prompts:
        """The boxes of a label image's objects; see :func:`prompts_from_labels`."""
        with self.open(path) as labels:
            return prompts_from_labels(labels, image)

    def write(self, objects: Objects, path: Path, image: Image, **options: Any) -> None:
        """Write the label image, slab by slab, smallest unsigned type, slope 1.

        Sform, qform, their codes, pixdim and units are those of the input when it was NIfTI;
        otherwise both forms say where the input's grid lies, in scanner coordinates.
        """
        native = image.info.native.get("nifti")
        header = _own_header(native, objects) if native is not None else None
        if header is None or objects.grid != image.grid:
            header = _new_header(objects.grid)
        _describe(header, objects)
        extensions = _extension(_COMMENT_ECODE, provenance_line(objects))
        if len(objects):
            extensions += _extension(CARET_ECODE, caret_table(objects))
        start = int(header["sizeof_hdr"]) + 4
        header["vox_offset"] = start + len(extensions)
        dtype = objects.label_dtype.newbyteorder("<")
        with _output(path) as file:
            file.write(header.binaryblock + b"\1\0\0\0" + extensions)
            for part in slabs(objects.grid.shape):
                region = objects.grid.region
                region = Region((part.start, *region.start[1:]), (part.stop, *region.stop[1:]))
                file.write(np.ascontiguousarray(objects.labels(region), dtype=dtype).data)


def _map(path: str, header: NiftiHeader) -> NDArray[Any]:
    return np.memmap(path, header.dtype, "r", header.offset, header.shape[::-1])


def _unpack(path: str, header: NiftiHeader) -> NDArray[Any]:
    """Voxels of a compressed file, read to the end of the stream so that its checksum is seen."""
    if header.nbytes > MEMORY_LIMIT:
        with tempfile.TemporaryFile() as file:
            file.truncate(header.nbytes)
            values: NDArray[Any] = np.memmap(file, np.uint8, "r+", 0, (header.nbytes,))
    else:
        values = np.empty(header.nbytes, dtype=np.uint8)
    filled, skip = 0, header.offset
    for piece in unpacked(path, Path(path), 0, header.offset + header.nbytes):
        part = piece[skip : skip + header.nbytes - filled]
        values[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
        filled, skip = filled + len(part), max(0, skip - len(piece))
    if filled < header.nbytes:
        raise InputError(
            f"{path}: is truncated: its header promises {header.nbytes} bytes of voxels, "
            f"{filled} are there: copy or export it again"
        )
    return values.view(header.dtype).reshape(header.shape[::-1])


@contextmanager
def _output(path: Path) -> Iterator[IO[bytes]]:
    """A file, compressed when its name ends in .gz; the same content gives the same bytes."""
    with path.open("wb") as raw:
        if not path.name.lower().endswith(".gz"):
            yield raw
            return
        with gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as packed:
            yield packed  # type: ignore[misc]


def _own_header(native: Any, objects: Objects) -> Any:
    """The input's header with what belongs to its voxels or its patient taken out."""
    header = native.as_byteswapped("<")
    two = int(header["dim"][0]) == 2
    header["dim"][0] = 2 if two else 3
    header["dim"][3 + (not two) :] = 1
    for name in ("cal_min", "cal_max", "intent_p1", "intent_p2", "intent_p3"):
        header[name] = 0
    for name in ("descrip", "aux_file", "db_name"):
        if name in header:
            header[name] = b""
    return header


def _new_header(grid: Grid) -> Any:
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    kind = Nifti2Header if max(grid.shape) > np.iinfo(np.int16).max else Nifti1Header
    header = kind(endianness="<")
    header.set_data_shape(grid.shape[::-1])
    affine = LPS_FROM_RAS @ grid.affine
    header.set_sform(affine, code=1)
    header.set_qform(affine, code=1)
    header["pixdim"][1:4] = grid.spacing
    header.set_xyzt_units("mm")
    return header


def _describe(header: Any, objects: Objects) -> None:
    size = objects.label_dtype.itemsize
    header["datatype"], header["bitpix"] = _CODE_OF[size], 8 * size
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["intent_code"] = _INTENT_LABEL
    header["intent_name"] = b"labels"
    header["descrip"] = b"samovar labels, research use only"
    header["magic"] = b"n+1" if int(header["sizeof_hdr"]) == 348 else b"n+2"


def _extension(code: int, text: str) -> bytes:
    """Size, code and text, padded to a multiple of 16 bytes."""
    content = text.encode("utf-8")
    length = -(-(8 + len(content)) // 16) * 16
    return struct.pack("<ii", length, code) + content.ljust(length - 8, b"\0")
