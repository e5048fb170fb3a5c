"""What NRRD and MetaImage share: SimpleITK reads them after the header was checked.

Voxels that lie in the file as they are get memory-mapped: only what is looked at is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.errors import InputError
from samovar.image import ImageInfo
from samovar_medical.inflate import unpacked
from samovar_medical.volume import (
    VolumeImage,
    require_bytes,
    require_plausible,
    volume_grid,
    warn,
)

LARGEST_HEADER = 1 << 22


@dataclass(frozen=True)
class TextHeader:
    """A header of ``key: value`` or ``key = value`` lines, checked as far as it goes."""

    fields: dict[str, str]
    sizes: tuple[int, ...]
    """As stated, fastest axis first."""
    item_bytes: int
    data_file: Path | None
    """File with the voxels; None when they are spread over several."""
    data_offset: int
    encoding: str
    """``raw``, ``gzip``, or another one that cannot be checked beforehand."""
    notes: tuple[str, ...] = ()
    dtype: str = ""
    """numpy's name of the stored type, with its byte order; empty when it is not sure."""
    extra: dict[str, str] = field(default_factory=dict)


def require_header(path: str, header: TextHeader) -> None:
    """Refuse empty and absurd sizes, a missing data file, and one that is too short.

    Raises:
        InputError: naming what is wrong.
    """
    promised = require_plausible(path, header.sizes, header.item_bytes)
    if header.data_file is None:
        return
    if not header.data_file.is_file():
        raise InputError(
            f"{path}: its voxels are in {header.data_file.name}, which is not beside it: "
            "copy both files"
        )
    there = header.data_file.stat().st_size - header.data_offset
    if header.encoding in ("raw", "gzip"):
        require_bytes(path, promised, max(0, there), compressed=header.encoding == "gzip")
    if header.encoding == "gzip":
        _require_intact(path, header.data_file, header.data_offset, promised)


def _require_intact(path: str, file: Path, offset: int, promised: int) -> None:
    """Unpack once for the checksum: ITK passes over it and hands damaged voxels on."""
    if sum(len(piece) for piece in unpacked(path, file, offset, promised)) < promised:
        raise InputError(
            f"{path}: is truncated (its header promises {promised} bytes of voxels): copy or "
            "export it again"
        )


def require_one_volume(path: str, sizes: Sequence[int], snippet: str) -> None:
    """Refuse what is not one 3-D volume; axes of length 1 at the end are fine."""
    text = "×".join(str(n) for n in sizes)
    if len(sizes) < 3:
        raise InputError(
            f"{path}: is two-dimensional ({text}): save it as a volume of one slice, or as a PNG"
        )
    if any(n > 1 for n in sizes[3:]):
        raise InputError(
            f"{path}: has {len(sizes)} dimensions ({text}), one volume is needed: take one, e.g. "
            f'python -c "import SimpleITK as s; {snippet}"'
        )


def open_itk(
    path: str, format_name: str, header: TextHeader, info: dict[str, Any], names: dict[int, str]
) -> VolumeImage:
    """Read a volume whose header was found sound. The voxels are read once, in their own type.

    Args:
        info: ``modality`` and ``native`` of the image.
        names: label value → name.
    """
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(path)
    try:
        reader.ReadImageInformation()
        size = reader.GetSize()
        if len(size) > 3:
            reader.SetExtractSize([*size[:3], *([0] * (len(size) - 3))])
        mapped = _mapped(header)
        image: Any = reader if mapped is not None else reader.Execute()
    except RuntimeError as error:
        raise InputError(
            f"{path}: is damaged ({_cause(error)}): copy or export it again"
        ) from error
    if reader.GetNumberOfComponents() > 1:
        raise InputError(
            f"{path}: has {reader.GetNumberOfComponents()} values a voxel (colour, vectors "
            'or layers): take one, e.g. python -c "import SimpleITK as s; s.WriteImage('
            f"s.VectorIndexSelectionCast(s.ReadImage('{Path(path).as_posix()}'), 0), 'one.nrrd')\""
        )
    if reader.GetPixelID() in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
        raise InputError(f"{path}: its voxels are complex: convert it to its magnitude first")
    grid = volume_grid(path, image.GetSize()[:3][::-1], _affine(image))
    warn(path, header.notes)
    native = {
        **info["native"],
        "itk": (image.GetDirection(), image.GetSpacing(), image.GetOrigin()),
        "warnings": header.notes,
    }
    about = ImageInfo(path, "volume", format_name, info["modality"], native=native)
    values = mapped if mapped is not None else sitk.GetArrayViewFromImage(image)
    return VolumeImage(values, grid, about, label_names=names, keep=image)


def _mapped(header: TextHeader) -> NDArray[Any] | None:
    """``(z, y, x)`` voxels as they lie in the file; None when they have to be unpacked."""
    plain = header.encoding == "raw" and header.dtype and len(header.sizes) == 3
    if not plain or header.data_file is None:
        return None
    return np.memmap(
        header.data_file, header.dtype, "r", header.data_offset, tuple(header.sizes[::-1])
    )


def _affine(image: Any) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return affine


def _cause(error: RuntimeError) -> str:
    """The last line of ITK's message, without addresses and C++ files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1] if lines else "unknown cause"
    return last.split("): ", 1)[-1][:160].rstrip(".:")
