"""Plain pictures through Pillow: PNG, JPEG, TIFF without georeference, BMP; 8 and 16 bits."""

from __future__ import annotations

import warnings
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray

from samovar.errors import InputError
from samovar.grid import Grid, Region
from samovar.image import ArrayImage, Image, ImageInfo

_CHANNELS: dict[str, tuple[str, ...]] = {
    "1": ("grey",),
    "L": ("grey",),
    "LA": ("grey",),
    "I": ("grey",),
    "F": ("grey",),
    "RGB": ("red", "green", "blue"),
}
_DTYPES = {"I": np.dtype(np.int32), "F": np.dtype(np.float32)}
_ROTATED = {5, 6, 7, 8}
"""EXIF orientations that swap rows and columns."""
_ORIENTATION_TAG = 0x0112


class PictureReader:
    """Opens a picture; pixels are decoded at the first read and kept."""

    def open(self, path: str, **options: Any) -> Image:
        """Header of the picture at ``path``.

        Raises:
            InputError: not a picture, damaged, of several pages, or too large to decode safely.
        """
        with opened(path) as picture:
            try:
                pages = getattr(picture, "n_frames", 1) if picture.format == "TIFF" else 1
                columns, rows = picture.size
                turned = _orientation(picture)
            except Exception as error:
                raise _damaged(path, error) from error
            if pages > 1:
                raise InputError(
                    f"{path}: holds {pages} pages: save the one you mean as a picture of its own"
                )
            shape = (columns, rows) if turned in _ROTATED else (rows, columns)
            return Picture(path, shape, picture.mode, picture.format or "picture", turned)


class Picture(Image):
    """A picture in index coordinates, shown as its EXIF orientation says.

    ``read`` gives 1 channel (grey; uint8, uint16, int32 or float32) or 3 (red, green, blue;
    uint8). Palettes and CMYK become RGB. Fully transparent pixels are not valid.
    """

    def __init__(
        self, path: str, shape: tuple[int, int], mode: str, kind: str, orientation: int = 1
    ) -> None:
        grey = (mode in _CHANNELS and mode != "RGB") or mode.startswith("I;16")
        names = _CHANNELS["L" if grey else "RGB"]
        self.grid = Grid(shape, np.eye(3))
        self.info = ImageInfo(
            path, "picture", "samovar/picture", channel_names=names, native={"kind": kind}
        )
        self.channels = len(names)
        self.dtype = (
            np.dtype(np.uint16)
            if mode.startswith("I;16")
            else _DTYPES.get(mode, np.dtype(np.uint8))
        )
        self._path = path
        self._orientation = orientation
        self._decoded: ArrayImage | None = None
        self._lock = Lock()

    def read(
        self, region: Region | None = None, *, size: tuple[int, ...] | None = None
    ) -> NDArray[Any]:
        block = self._pixels().read(region)
        if size is None or size == block.shape[1:]:
            return block
        return np.stack([_averaged(plane, size) for plane in block])

    def valid(
        self, region: Region | None = None, *, size: tuple[int, ...] | None = None
    ) -> NDArray[np.bool_] | None:
        return self._pixels().valid(region, size=size)

    def close(self) -> None:
        self._decoded = None

    def _pixels(self) -> ArrayImage:
        with self._lock:
            if self._decoded is None:
                pixels, valid = decode(self._path, self._orientation)
                last = pixels.ndim == 3
                self._decoded = ArrayImage(
                    pixels, self.grid, self.info, channels_last=last, valid=valid
                )
            return self._decoded


def decode(path: str, orientation: int = 1) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Pixels ``(rows, columns)`` or ``(rows, columns, 3)``, and which are not transparent.

    Args:
        orientation: EXIF's number from the header; 1: as stored.

    Raises:
        InputError: the file is damaged or too large.
    """
    with opened(path) as picture:
        try:
            picture.load()
            upright = picture if orientation == 1 else PIL.ImageOps.exif_transpose(picture)
            mode = upright.mode
            valid = None
            if mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
                alpha = np.asarray(upright.convert("RGBA"))[..., 3]
                valid = None if alpha.all() else alpha > 0
            if mode == "1" or mode == "LA":
                upright = upright.convert("L")
            elif mode not in _CHANNELS and not mode.startswith("I;16"):
                upright = upright.convert("RGB")
            pixels = np.asarray(upright)
        except MemoryError as error:
            raise InputError(f"{path}: does not fit into this machine's memory") from error
        except Exception as error:
            raise _damaged(path, error) from error
    if mode.startswith("I;16"):
        pixels = pixels.astype(np.uint16)
    return pixels, valid


def opened(path: str) -> PIL.Image.Image:
    """The picture's header; Pillow's refusals in one line.

    Raises:
        InputError: not a picture, damaged, or too large to decode safely.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            return PIL.Image.open(Path(path))
    except PIL.Image.DecompressionBombError as error:
        raise InputError(
            f"{path}: too many pixels for a plain picture: convert it to GeoTIFF, which is read "
            "by windows (samovar-geo)"
        ) from error
    except PIL.UnidentifiedImageError as error:
        raise InputError(
            f"{path}: is no picture that can be read, or is damaged: open it in a viewer and "
            "export it again"
        ) from error
    except Exception as error:
        raise _damaged(path, error) from error


def _damaged(path: str, error: Exception) -> InputError:
    return InputError(
        f"{path}: the picture is damaged or cut short ({error}): copy or export it again"
    )


def _orientation(picture: PIL.Image.Image) -> int:
    """EXIF orientation of the header, without decoding; Pillow turns TIFFs by itself."""
    if picture.format == "TIFF":
        return 1
    # the method of the base class: that of PNG decodes the picture to look behind it
    return int(PIL.Image.Image.getexif(picture).get(_ORIENTATION_TAG) or 1)


def _averaged(plane: NDArray[Any], size: tuple[int, ...]) -> NDArray[Any]:
    """``(rows, columns)`` → ``size``, each new pixel the mean of those that it covers."""
    picture = PIL.Image.fromarray(plane.astype(np.float32))
    small = np.asarray(picture.resize((size[1], size[0]), PIL.Image.Resampling.BOX))
    if np.issubdtype(plane.dtype, np.integer):
        small = np.rint(small)
    return small.astype(plane.dtype)
