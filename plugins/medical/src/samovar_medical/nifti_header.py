"""NIfTI headers, read with distrust: what they promise is checked before anything is allocated."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.errors import GeometryError, InputError
from samovar.grid import LPS_FROM_RAS
from samovar_medical.inflate import unpacked
from samovar_medical.label_names import names_from_caret
from samovar_medical.volume import require_bytes, require_plausible

FloatArray = NDArray[np.float64]

DTYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4",
    1024: "i8", 1280: "u8",
}  # fmt: skip
"""Data types that hold one real number a voxel, by NIfTI code."""

_OTHER_TYPES = {
    1: "one bit a voxel", 32: "complex", 128: "RGB colour", 1536: "128-bit floats",
    1792: "complex", 2048: "complex", 2304: "RGBA colour",
}  # fmt: skip
_MM_PER_UNIT = {1: 1000.0, 3: 0.001}
_UNIT_NAMES = {1: "metres", 3: "micrometres"}
_LARGEST_EXTENSIONS = 1 << 24
_FARTHEST = 1 << 40
"""Byte at which no header's voxels start; NaN is refused with it."""

_DISAGREEMENT = 0.1
"""Voxels by which sform and qform may differ at a corner before it is said."""


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """A header that can be relied on."""

    native: Any
    """nibabel's header object, exactly as in the file."""
    compressed: bool
    shape: tuple[int, int, int]
    """x, y, z."""
    dtype: np.dtype[Any]
    """Of the stored values, with the file's byte order."""
    offset: int
    slope: float
    intercept: float
    affine: FloatArray
    """4×4, index x, y, z → LPS millimetres."""
    label_names: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What had to be assumed, for a person."""

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(path: str) -> NiftiHeader:
    """Header of a ``.nii`` or ``.nii.gz`` file (told apart by content).

    Raises:
        InputError: not NIfTI, damaged, truncated, 4-D, or without one real number a voxel.
        GeometryError: an affine that is missing its numbers.
    """
    with Path(path).open("rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
    head = _read_head(path, compressed, 544)
    header = _parse(path, head)
    shape = _shape(path, header)
    dtype = _dtype(path, header)
    offset = _offset(path, header)
    slope, intercept = _rescale(path, header)
    promised = require_plausible(path, shape, dtype.itemsize)
    size = Path(path).stat().st_size
    require_bytes(path, promised, size if compressed else size - offset, compressed=compressed)
    ras, notes = choose_affine(path, header, shape)
    names = _label_names(path, head, header, compressed, offset)
    return NiftiHeader(
        header, compressed, shape, dtype, offset, slope, intercept, LPS_FROM_RAS @ ras, names, notes
    )


def _read_head(path: str, compressed: bool, length: int) -> bytes:
    if not compressed:
        with Path(path).open("rb") as file:
            return file.read(length)
    head = b""
    for piece in unpacked(path, Path(path), 0, length):
        head += piece
        if len(head) >= length:
            break
    return head[:length]


def _parse(path: str, head: bytes) -> Any:
    """nibabel's header object of the right version and byte order, unchecked."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    if not head:
        raise InputError(f"{path}: is empty: copy or export it again")
    for kind, length, magic_at in ((Nifti1Header, 348, 344), (Nifti2Header, 540, 4)):
        for order, word in (("<", "little"), (">", "big")):
            if int.from_bytes(head[:4], word) != length:  # type: ignore[arg-type]
                continue
            if len(head) < length:
                raise InputError(f"{path}: is truncated inside its header: copy it again")
            magic = head[magic_at : magic_at + 4]
            if magic[:3] in (b"ni1", b"ni2"):
                raise InputError(
                    f"{path}: is the header of a NIfTI pair (.hdr/.img): save it as one .nii file"
                )
            if magic[:3] not in (b"n+1", b"n+2"):
                raise InputError(
                    f"{path}: is not NIfTI (an Analyze file without orientation?): convert it"
                )
            return kind(head[:length], endianness=order, check=False)
    raise InputError(f"{path}: is not a NIfTI file, whatever its name says: check what it is")


def _shape(path: str, header: Any) -> tuple[int, int, int]:
    """x, y, z; two dimensions become one slice, trailing ones of length 1 are dropped."""
    ndim = int(header["dim"][0])
    if not 1 <= ndim <= 7:
        raise InputError(f"{path}: its header has {ndim} dimensions: the header is damaged")
    dims = [int(n) for n in header["dim"][1 : ndim + 1]]
    require_plausible(path, dims, 1)
    if ndim == 1:
        raise InputError(f"{path}: is one-dimensional ({dims[0]} values), not a volume")
    if math.prod(dims[3:]) > 1:
        text, name = "×".join(str(n) for n in dims), Path(path).as_posix()
        raise InputError(
            f"{path}: has {ndim} dimensions ({text}), one volume is needed: take one, e.g. "
            f"python -c \"import nibabel as n; n.save(n.load('{name}').slicer[..., 0], "
            "'one.nii.gz')\""
        )
    x, y, z = (*dims, 1)[:3]
    return x, y, z


def _dtype(path: str, header: Any) -> np.dtype[Any]:
    code = int(header["datatype"])
    if code in DTYPES:
        return np.dtype(str(header.endianness) + DTYPES[code])
    what = _OTHER_TYPES.get(code, f"of the unknown type {code}")
    raise InputError(
        f"{path}: its voxels are {what}: convert it to one real number a voxel (integers or "
        "float32) first"
    )


def _offset(path: str, header: Any) -> int:
    least = 352 if int(header["sizeof_hdr"]) == 348 else 544
    value = float(header["vox_offset"])
    if value == 0:  # some writers leave it out; the magic says that the data follow
        return least
    if not least <= value < _FARTHEST or value != int(value):
        raise InputError(
            f"{path}: its header says that the voxels start at byte {value:g}: it is damaged"
        )
    return int(value)


def _rescale(path: str, header: Any) -> tuple[float, float]:
    """Slope and intercept; a slope of 0 or NaN means none, as the standard has it."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not math.isfinite(slope) or slope == 0:
        return 1.0, 0.0
    if not math.isfinite(intercept):
        raise InputError(f"{path}: its rescale intercept is {intercept}: repair the header")
    return slope, intercept


def choose_affine(
    path: str, header: Any, shape: tuple[int, int, int]
) -> tuple[FloatArray, tuple[str, ...]]:
    """Index x, y, z → RAS millimetres: the sform if it has a code, else the qform, else pixdim.

    Returns:
        4×4 affine, and what a person has to be told about it.
    """
    notes: list[str] = []
    scode, qcode = int(header["sform_code"]), int(header["qform_code"])
    if scode > 0:
        affine = _sform(header)
        if qcode > 0:
            notes += _disagreement(header, affine, shape)
    elif qcode > 0:
        affine = _qform(path, header)
    else:
        affine = np.asarray(header.get_base_affine(), dtype=np.float64)
        notes.append(
            "its header has no orientation (sform and qform codes are 0): left and right are "
            "unknown, positions in millimetres are a convention"
        )
    unit = int(header["xyzt_units"]) & 7
    if unit in _MM_PER_UNIT:
        affine = np.diag([_MM_PER_UNIT[unit]] * 3 + [1.0]) @ affine
        notes.append(f"its unit is {_UNIT_NAMES[unit]}: converted to millimetres")
    if not np.isfinite(affine).all():
        raise GeometryError(f"{path}: its affine holds NaN or infinity: repair the header")
    return affine, tuple(notes)


def _sform(header: Any) -> FloatArray:
    rows = [np.array(header[f"srow_{axis}"], dtype=np.float64) for axis in "xyz"]
    return np.vstack([*rows, [0.0, 0.0, 0.0, 1.0]])


def _qform(path: str, header: Any) -> FloatArray:
    from nibabel.quaternions import fillpositive, quat2mat

    try:
        quaternion = [float(header[f"quatern_{c}"]) for c in "bcd"]
        rotation = quat2mat(fillpositive(quaternion, w2_thresh=-1e-5))
    except ValueError as error:
        raise GeometryError(
            f"{path}: its qform is not a rotation (and it has no sform): repair the header"
        ) from error
    zooms = np.array(header["pixdim"][1:4], dtype=np.float64)
    zooms[2] *= -1.0 if float(header["pixdim"][0]) < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = rotation * zooms
    affine[:3, 3] = [float(header[f"qoffset_{axis}"]) for axis in "xyz"]
    return affine


def _disagreement(header: Any, sform: FloatArray, shape: tuple[int, int, int]) -> list[str]:
    try:
        qform = _qform("", header)
    except GeometryError:
        return []
    corners = np.array([[*c, 1.0] for c in np.ndindex(2, 2, 2)])
    corners[:, :3] *= np.array(shape) - 1
    apart = float(np.linalg.norm(corners @ (sform - qform).T, axis=1).max())
    voxel = float(np.linalg.norm(sform[:3, :3], axis=0).min())
    if not apart > _DISAGREEMENT * voxel:
        return []
    return [f"its sform and qform place it up to {apart:.3g} mm apart: the sform is used"]


def _label_names(
    path: str, head: bytes, header: Any, compressed: bool, offset: int
) -> dict[int, str]:
    """Names out of a Caret label table in the header's extensions."""
    start = int(header["sizeof_hdr"]) + 4
    if len(head) < start or head[start - 4] == 0 or not 0 < offset - start < _LARGEST_EXTENSIONS:
        return {}
    block = _read_head(path, compressed, offset)[start:]
    if b"CaretExtension" not in block:
        return {}
    return names_from_caret(block.decode("utf-8", errors="replace"))
