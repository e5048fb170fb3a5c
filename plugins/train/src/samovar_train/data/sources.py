"""Readers of the training sets: each yields `Item`s, and none of them yields held-back data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samovar_train.data.catalogue import (
    BANEPA_TRAIN_ROWS,
    PairSet,
    hippocampus_training_cases,
    pair_sets,
    read_manifest,
    trainable,
)
from samovar_train.data.packing import Item, number_objects, to_uint8


def read_pair(pairs: PairSet, stem: str) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Image `(H, W)` or `(H, W, 3)` uint8, and the label PNG as it is stored."""
    with Image.open(pairs.image(stem)) as picture:
        image = np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))
    if (
        image.ndim == 3
        and (image[..., 0] == image[..., 1]).all()
        and (image[..., 1] == image[..., 2]).all()
    ):
        image = image[..., 0]
    with Image.open(pairs.mask(stem)) as picture:
        mask = np.asarray(picture)
    return image, mask


def pair_items(data: Path) -> Iterator[Item]:
    """Training stems of all `train: true` pairs sets."""
    for pairs in pair_sets(data):
        for stem in pairs.training_stems():
            image, mask = read_pair(pairs, stem)
            labels, table = number_objects(mask, pairs.instances)
            yield Item(pairs.name, stem, image, labels, table, pairs.domain)


def banepa_items(data: Path, tile: int = 640, step: int = 320) -> Iterator[Item]:
    """Overlapping windows of the labelled part of the mosaic, rows below 2560 only."""
    folder = data / "rasters" / "fair_banepa_oam"
    if not trainable(data, folder.name):
        return
    import rasterio
    from rasterio.windows import Window

    labelled_columns = 3072
    with (
        rasterio.open(folder / "derived_mosaic_5632x4096.tif") as scene,
        rasterio.open(folder / "derived_mosaic_5632x4096_buildings.tif") as buildings,
    ):
        for y in range(0, BANEPA_TRAIN_ROWS - tile + 1, step):
            for x in range(0, labelled_columns - tile + 1, step):
                window = Window(x, y, tile, tile)
                image = np.ascontiguousarray(scene.read(window=window).transpose(1, 2, 0))
                labels, table = number_objects(
                    (buildings.read(1, window=window) > 0).astype(np.uint8)
                )
                yield Item("fair_banepa_oam", f"y{y}x{x}", image, labels, table, "remote_sensing")


def slices_of(
    source: str,
    stem: str,
    volume: NDArray[Any],
    labels: NDArray[Any],
    per_axis: int,
    axes: tuple[int, ...] = (0, 1, 2),
) -> Iterator[Item]:
    """Evenly spread slices that show labels, along each of the axes."""
    image = to_uint8(volume.astype(np.float32))
    for axis in axes:
        shown = np.flatnonzero((labels > 0).any(axis=tuple(a for a in range(3) if a != axis)))
        if shown.size == 0:
            continue
        picks = np.unique(shown[np.linspace(0, shown.size - 1, per_axis + 2).astype(int)[1:-1]])
        for i in picks:
            part = np.ascontiguousarray(np.take(labels, i, axis).astype(np.int32))
            numbered, table = number_objects(part)
            yield Item(
                source,
                f"{stem}/{axis}/{i}",
                np.ascontiguousarray(np.take(image, i, axis)),
                numbered,
                table,
            )


def read_volume(path: Path) -> NDArray[Any]:
    """Array z, y, x of any file SimpleITK reads."""
    import SimpleITK as sitk

    array: NDArray[Any] = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    return array


SPECIAL = frozenset({"msd_hippocampus", "voxelmorph_scan", "sct_testing_data", "pyradiomics_cases"})
"""Volumes of the sample data with a layout, or with slices, of their own."""


def manifest_volumes(data: Path, per_axis: int = 4) -> Iterator[Item]:
    """Slices of every `train: true` volumes set with `images/` and `labels/`, as they are fetched.

    Stems in the entry's `validation` are held back.
    """
    for d in read_manifest(data)["datasets"]:
        folder = data / d["path"]
        if d["kind"] != "volumes" or not d["train"] or folder.name in SPECIAL:
            continue
        for label in sorted((folder / "labels").glob("*.nii.gz")):
            stem, image = label.name.removesuffix(".nii.gz"), folder / "images" / label.name
            if stem in (d.get("validation") or ()) or not image.is_file():
                continue
            volume, labels = read_volume(image), read_volume(label)
            yield from slices_of(folder.name, stem, volume, labels, per_axis)


def volume_items(data: Path) -> Iterator[Item]:
    """Slices of the `train: true` labelled volumes."""
    yield from manifest_volumes(data)
    volumes = data / "volumes"
    if trainable(data, "msd_hippocampus"):
        folder = volumes / "msd_hippocampus"
        for stem in hippocampus_training_cases(data):
            image = read_volume(folder / "images" / f"{stem}.nii.gz")
            labels = read_volume(folder / "labels" / f"{stem}.nii.gz")
            yield from slices_of("msd_hippocampus", stem, image, labels, per_axis=2)
    if trainable(data, "voxelmorph_scan"):
        scan = np.load(volumes / "voxelmorph_scan" / "test_scan.npz")
        yield from slices_of("voxelmorph_scan", "scan", scan["vol"] * 255, scan["seg"], per_axis=36)
    if trainable(data, "sct_testing_data"):
        folder = volumes / "sct_testing_data"
        for image_name, label_name, flat in (
            ("t2/t2", "t2/t2_seg-manual", False),
            ("t1/t1w", "t1/t1w_seg-manual", False),
            ("t2s/t2s", "t2s/t2s_seg", True),
            ("t2s/t2s", "t2s/t2s_gmseg_manual", True),
            ("t2s/t2s_uncropped", "t2s/t2s_uncropped_gmseg_manual", True),
            ("mt/mt1", "mt/mt1_seg", True),
        ):
            image = read_volume(folder / f"{image_name}.nii.gz")
            labels = read_volume(folder / f"{label_name}.nii.gz")
            axes = (0,) if flat else (0, 1, 2)
            yield from slices_of("sct_testing_data", label_name, image, labels, 10, axes)
    if trainable(data, "pyradiomics_cases"):
        folder = volumes / "pyradiomics_cases"
        for image_name, label_name in (
            ("brain1_image", "brain1_label"),
            ("brain2_image", "brain2_label"),
            ("breast1_image", "breast1_label"),
            ("prostate_phantom_subvolume", "prostate_phantom_subvolume-label"),
        ):
            image = read_volume(folder / f"{image_name}.nrrd")
            labels = read_volume(folder / f"{label_name}.nrrd")
            yield from slices_of("pyradiomics_cases", image_name, image, labels, 8, (0,))
