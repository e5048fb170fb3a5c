"""Cases of the challenge "Segment Anything in Medical Images on Laptop" (CVPR 2024).

``imgs`` is uint8: ``(H, W, 3)`` or ``(H, W)`` of a picture, ``(D, H, W)`` or ``(D, H, W, 3)`` of a
volume; ``boxes`` has four or six columns, x first, maximum inclusive in x and y; ``spacing`` is in
millimetres, x first as SimpleITK gives it. What is written is ``segs``. Nothing is ever unpickled.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from samovar.errors import InputError
from samovar.grid import Frame, Grid
from samovar.image import ArrayImage, Image, ImageInfo
from samovar.objects import Objects
from samovar.plugins import registry
from samovar.prompts import Prompt, Prompts
from samovar_medical.volume import VolumeImage, require_plausible, warn

ZMax = Literal["inclusive", "exclusive"]

_MODALITIES = {
    "ct": "ct", "mr": "mr", "mri": "mr", "us": "us", "ultrasound": "us", "xray": "xr",
    "x-ray": "xr", "cxr": "xr", "mammo": "xr", "mammography": "xr", "pet": "pet",
    "fundus": "fundus", "microscope": "microscopy", "microscopy": "microscopy", "dermoscopy": "rgb",
    "endoscopy": "rgb", "oct": "gray",
}  # fmt: skip
"""The second word of a case's name, ``3DBox_CT_…``."""


@dataclass(frozen=True, eq=False)
class Case:
    """One case, checked."""

    path: Path
    imgs: NDArray[np.uint8]
    boxes: NDArray[np.float64] | None
    """``(n, 4)`` or ``(n, 6)`` as in the file."""
    spacing: tuple[float, float, float] | None
    """x, y, z in millimetres; None when the file does not say."""

    @property
    def volume(self) -> bool:
        """Whether ``imgs`` is a stack of slices."""
        if self.imgs.ndim != 3:
            return self.imgs.ndim == 4
        if self.boxes is not None:
            return int(self.boxes.shape[1]) == 6
        return self.path.name.upper().startswith("3D") or self.imgs.shape[2] != 3

    def image(self) -> Image:
        """The case as samovar's image; a volume's axes are taken as left, posterior, superior."""
        modality = modality_in(self.path.name)
        if not self.volume:
            info = ImageInfo(str(self.path), "picture", "npz", modality)
            colour = self.imgs.ndim == 3
            return ArrayImage(self.imgs, info=info, channels_last=colour)
        info = ImageInfo(str(self.path), "volume", "npz", modality)
        affine = np.diag([*(self.spacing or (1.0, 1.0, 1.0)), 1.0])
        grid = Grid(self.imgs.shape[:3], affine, Frame.lps())
        if self.imgs.ndim == 4:
            return ArrayImage(self.imgs, grid, info, channels_last=True)
        return VolumeImage(self.imgs, grid, info)

    def prompts(self, z_max: ZMax) -> Prompts:
        """One object a box, numbered from 1 in their order, in index coordinates.

        Args:
            z_max: whether the last slice of a 3-D box belongs to it.

        Raises:
            InputError: no boxes, or boxes that are not numbers.
        """
        if self.boxes is None:
            raise InputError(f"{self.path}: has no boxes: nothing says what to look for")
        half = self.boxes.shape[1] // 2
        high = np.ones(half)
        if half == 3:
            high[2] = float(z_max == "inclusive")
        found = []
        for i, box in enumerate(self.boxes, start=1):
            low, top = box[:half], np.maximum(box[half:] + high, box[:half] + 1)
            found.append(Prompt(i, "", tuple(float(v) for v in (*low, *top))))
        return Prompts(tuple(found), "index")


def holds_pictures(path: str) -> bool:
    """Whether an npz has the array ``imgs`` of a case: uint8, two axes or more."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return "imgs" in arrays and arrays["imgs"].dtype == np.uint8 and arrays["imgs"].ndim > 1
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile):
        return False


class NpzFormat:
    """Reads a case's image, writes ``segs``."""

    def open(self, path: str, **options: Any) -> Image:
        """The image of a case; ``boxes`` are given with ``--prompts``, or by the challenge.

        Raises:
            InputError: not an npz, pickled, without ``imgs``, or ``imgs`` of another kind.
        """
        case = read_case(path)
        if case.volume:
            said = ["the file has no spacing: 1 mm is assumed"] if case.spacing is None else []
            warn(path, [*said, "the file has no orientation: left and right are unknown"])
        return case.image()

    def read_prompts(self, path: str, image: Image, **options: Any) -> Prompts:
        """The boxes of a case, their last slice belonging to them.

        An npz without pictures is none: the host's own reader of prompts says what it holds.
        """
        if holds_pictures(path):
            return read_case(path).prompts("inclusive")
        prompts: Prompts = (
            registry()
            .load(registry().find("format", "samovar/prompt-npz"))
            .read_prompts(path, image, **options)
        )
        return prompts

    def write(self, objects: Objects, path: Path, image: Image, **options: Any) -> None:
        """``segs``: the label image, ``(D, H, W)`` or ``(H, W)``, smallest unsigned type."""
        with path.open("wb") as file:
            np.savez_compressed(file, segs=objects.labels())


def modality_in(name: str) -> str | None:
    """Modality by the second word of a case's name."""
    words = re.split(r"[_.]", name.lower())
    return _MODALITIES.get(words[1]) if len(words) > 2 else None


def read_case(path: str | Path) -> Case:
    """One case of the challenge.

    Raises:
        InputError: as :meth:`NpzFormat.open`.
    """
    path = Path(path)
    arrays = read_arrays(path, ("imgs", "boxes", "spacing"))
    if "imgs" not in arrays:
        raise InputError(f"{path}: has no array 'imgs': it is not a case of the challenge")
    imgs = arrays["imgs"]
    text = "×".join(str(n) for n in imgs.shape)
    shaped = imgs.ndim in (2, 3) or (imgs.ndim == 4 and imgs.shape[3] == 3)
    if imgs.dtype != np.uint8 or not shaped or not imgs.size:
        raise InputError(
            f"{path}: its imgs are {imgs.dtype} of {text}: they have to be uint8, (H, W, 3) or "
            "(D, H, W)"
        )
    return Case(path, imgs, _boxes(path, arrays), _spacing(path, arrays))


def read_arrays(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Those of ``names`` that an npz holds; what is stored as it is gets memory-mapped.

    Raises:
        InputError: damaged, or arrays of Python objects, which would have to be unpickled.
    """
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                member = f"{name}.npy"
                if member in archive.namelist():
                    found[name] = _array(path, archive, member)
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError) as error:
        raise InputError(
            f"{path}: is not an npz, or is damaged ({type(error).__name__}): copy it again"
        ) from error
    return found


def _array(path: Path, archive: zipfile.ZipFile, member: str) -> NDArray[Any]:
    from numpy.lib import format as npy

    info = archive.getinfo(member)
    with archive.open(member) as stream:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(stream)
        start = stream.tell()
        if dtype.hasobject:
            raise InputError(
                f"{path}: {member} holds Python objects, which would have to be unpickled: save "
                "it as plain arrays"
            )
        if not math.prod(shape):
            return np.empty(shape, dtype)
        promised = require_plausible(str(path), shape, dtype.itemsize) if shape else dtype.itemsize
        if promised > info.file_size - start:
            raise InputError(f"{path}: {member} is truncated: copy or export it again")
        if info.compress_type == zipfile.ZIP_STORED and shape:
            offset = _data_offset(path, info) + start
            order: Literal["F", "C"] = "F" if fortran else "C"
            return np.memmap(path, dtype, "r", offset, shape, order)
    with archive.open(member) as stream:
        return np.asarray(npy.read_array(stream, allow_pickle=False))


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    """Where a stored member begins: its local header has names of its own length."""
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        lengths = file.read(4)
    return (
        info.header_offset + 30 + sum(int.from_bytes(lengths[i : i + 2], "little") for i in (0, 2))
    )


def _boxes(path: Path, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float64] | None:
    if "boxes" not in arrays or not arrays["boxes"].size:
        return None
    boxes = np.atleast_2d(np.asarray(arrays["boxes"]))
    good = boxes.ndim == 2 and boxes.shape[1] in (4, 6) and boxes.dtype.kind in "uif"
    if not good or not np.isfinite(boxes.astype(np.float64)).all():
        text = "×".join(str(n) for n in boxes.shape)
        raise InputError(f"{path}: its boxes are {text}: they have to be n×4 or n×6 numbers")
    return boxes.astype(np.float64)


def _spacing(path: Path, arrays: Mapping[str, NDArray[Any]]) -> tuple[float, float, float] | None:
    if "spacing" not in arrays:
        return None
    try:
        values = [float(v) for v in np.asarray(arrays["spacing"]).ravel()]
    except (TypeError, ValueError):
        values = []
    if len(values) == 2:
        values.append(1.0)
    if len(values) != 3 or not all(math.isfinite(v) and v > 0 for v in values):
        raise InputError(f"{path}: its spacing is not three positive numbers: repair the file")
    return values[0], values[1], values[2]
