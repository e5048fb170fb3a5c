"""Pictures without labels: slices of volumes and windows of rasters that may be trained on.

What is in them is found by :mod:`samovar_train.data.pseudo`. A raster with one band, three or more
becomes grey or three of its bands (an RGB picture its own), stretched as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar_train.data.catalogue import read_manifest
from samovar_train.data.packing import Item, to_uint8
from samovar_train.data.sources import read_volume

VOLUMES = (".nii", ".nii.gz", ".nrrd", ".mha", ".dcm")
RASTERS = (".tif", ".tiff")
LABELS = ("label", "mask", "seg", "gt", "cmap", "building")
"""In the name of a file or of a folder in the set: it holds labels, not pictures."""
LABELLED = frozenset({"fair_banepa_oam"})
"""Rasters that are read with their labels; a part of their rows is held back."""
SIDE = 640
"""Rows and columns of a raster's windows."""
MOST_WINDOWS = 12
PER_VOLUME = 8


def unlabelled_items(data: Path, seed: int) -> Iterator[Item]:
    """Pictures of every `train: true` set of volumes or rasters, without objects as yet."""
    for d in read_manifest(data)["datasets"]:
        folder = data / d["path"]
        if not d["train"] or d["kind"] not in ("volumes", "rasters") or folder.name in LABELLED:
            continue
        rasters = d["kind"] == "rasters"
        held_back = set(d.get("validation") or ())
        for file in pictures_in(folder, RASTERS if rasters else VOLUMES):
            if stem_of(file) in held_back:
                continue
            name = file.relative_to(folder).as_posix()
            read = windows_of(file, seed) if rasters else sections_of(file)
            domain = "remote_sensing" if rasters else "medical"
            for where, image in read:
                labels = np.zeros(image.shape[:2], np.uint8)
                yield Item(folder.name, f"{name}/{where}", image, labels, [], domain, "pseudo")


def stem_of(file: Path) -> str:
    return file.name.split(".", 1)[0]


def pictures_in(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files with one of the suffixes, less those that hold labels, in order."""

    def is_picture(file: Path) -> bool:
        name = file.relative_to(folder).as_posix().lower()
        return name.endswith(suffixes) and not any(word in name for word in LABELS)

    return sorted(f for f in folder.rglob("*") if f.is_file() and is_picture(f))


def sections_of(file: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Evenly spread sections across the axis of fewest voxels, by their place."""
    volume = read_volume(file)
    volume = volume[None] if volume.ndim == 2 else volume
    if volume.ndim != 3 or min(sorted(volume.shape)[1:]) < 64:
        return
    shown = to_uint8(volume.astype(np.float32) - float(volume.min()))
    axis = int(np.argmin(volume.shape))
    count = volume.shape[axis]
    for i in np.unique(np.linspace(0, count - 1, PER_VOLUME + 2).astype(int)[1:-1]):
        yield f"{axis}/{i}", np.ascontiguousarray(np.take(shown, i, axis))


def windows_of(file: Path, seed: int) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Windows of a raster, at random places where it is large, by their corner.

    Windows that are mostly without data are left out.
    """
    import rasterio
    from rasterio.windows import Window

    with rasterio.open(file) as scene:
        if min(scene.height, scene.width) < 128:
            return
        rows, columns = (range(0, max(1, n - SIDE // 2), SIDE) for n in scene.shape)
        places = [(y, x) for y in rows for x in columns]
        rng = np.random.default_rng([seed, 19, *scene.shape])
        for i in sorted(rng.permutation(len(places))[:MOST_WINDOWS]):
            y, x = places[i]
            window = Window(x, y, min(SIDE, scene.width - x), min(SIDE, scene.height - y))
            image = as_picture(scene.read(window=window))
            if image is not None:
                yield f"y{y}x{x}", image


def as_picture(bands: NDArray[Any]) -> NDArray[np.uint8] | None:
    """`(bands, H, W)` of any type → `(H, W)` or `(H, W, 3)`; None where there is little to see."""
    values = np.abs(bands) if np.iscomplexobj(bands) else bands
    if len(values) > 4:
        values = values[[3, 2, 1]]  # red, green, blue, in the order in which satellites list them
    values = values[:3] if len(values) >= 3 else values[:1]
    values = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if (values == 0).all(0).mean() > 0.4 or values.std() == 0:
        return None
    plain = bands.dtype == np.uint8
    shown = values.astype(np.uint8) if plain else to_uint8(values - min(0.0, float(values.min())))
    return shown[0] if len(shown) == 1 else np.ascontiguousarray(shown.transpose(1, 2, 0))
