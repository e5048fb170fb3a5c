"""Layouts: unpacked archives of public sets → folders that evaluation and training read.

Pictures become ``images/*.png`` and ``masks/*.png`` (a label a pixel; instances where the set has
them), volumes ``images/*.nii.gz`` and ``labels/*.nii.gz``. The manifest above names the set.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samovar_datasets.atomic import replacing
from samovar_datasets.fetching import FetchError
from samovar_datasets.public_sets import PublicSet

MANIFEST = "MANIFEST.json"
KEPT_BACK = 5
"""One case in so many, by the CRC of its stem, is kept for validation."""


@dataclass(frozen=True)
class Layout:
    """How a set's archives are turned: returns the names of its labels by value."""

    kind: str
    convert: Callable[[Path, Path], dict[str, str]]
    instances: bool = False


def build_set(which: PublicSet, unpacked: Path, data: Path) -> Path:
    """Convert into ``data/NAME`` and enter it into ``data/MANIFEST.json``; returns the folder.

    Raises:
        FetchError: the archive does not hold what it should; nothing is left behind.
    """
    layout, folder = LAYOUTS[which.layout], data / which.name
    temporary = data / f".{which.name}-part"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        classes = layout.convert(unpacked, temporary)
        text = json.dumps(classes, indent=1)
        (temporary / "classes.json").write_text(text, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    enter(which, layout, classes, folder, data)
    return folder


def enter(
    which: PublicSet, layout: Layout, classes: dict[str, str], folder: Path, data: Path
) -> None:
    """Add or replace the set's entry in the manifest."""
    file = data / MANIFEST
    manifest: dict[str, Any] = {"about": "fetched by samovar_datasets", "datasets": []}
    if file.is_file():
        manifest = json.loads(file.read_text(encoding="utf-8"))
    labels = folder / ("masks" if layout.kind == "pairs" else "labels")
    stems = sorted(p.name.removesuffix(".png").removesuffix(".nii.gz") for p in labels.iterdir())
    manifest["datasets"] = [d for d in manifest["datasets"] if d["path"] != which.name]
    manifest["datasets"].append(
        {
            "path": which.name,
            "kind": layout.kind,
            "domain": which.domain,
            "modality": which.modality,
            "train": True,
            "instances": layout.instances,
            "licence": which.licence,
            "source": f"{which.title}; {which.citation}",
            "classes": classes,
            "validation": [s for s in stems if zlib.crc32(s.encode()) % KEPT_BACK == 0],
        }
    )
    with replacing(file) as part:
        Path(part).write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")


def msd(unpacked: Path, folder: Path) -> dict[str, str]:
    """Medical Segmentation Decathlon: ``dataset.json``, ``imagesTr``, ``labelsTr``.

    Of several channels the first is taken.
    """
    task = _only(unpacked, "dataset.json").parent
    said = json.loads((task / "dataset.json").read_text(encoding="utf-8"))
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for label in sorted((task / "labelsTr").glob("[!.]*.nii.gz")):
        image = task / "imagesTr" / label.name
        if not image.is_file():
            raise FetchError(f"{task} has a label without an image: {label.name}")
        shutil.copyfile(label, folder / "labels" / label.name)
        _first_channel(image, folder / "images" / label.name)
    return {str(k): str(v) for k, v in said["labels"].items()}


def _first_channel(source: Path, target: Path) -> None:
    import nibabel as nib

    image = nib.load(source)
    if len(image.shape) == 3:
        shutil.copyfile(source, target)
    else:
        data = np.asanyarray(image.dataobj[..., 0])
        nib.save(nib.Nifti1Image(data, image.affine), target)


def totalsegmentator(unpacked: Path, folder: Path) -> dict[str, str]:
    """One folder a subject: ``ct.nii.gz`` and a binary mask a structure in ``segmentations``.

    Structures are numbered by the alphabet; where two overlap, the later shows.
    """
    import nibabel as nib

    scans = sorted(unpacked.rglob("ct.nii.gz"))
    if not scans:
        raise FetchError(f"{unpacked} holds no ct.nii.gz")
    found = {p.name for s in scans for p in (s.parent / "segmentations").glob("*.nii.gz")}
    names = sorted(n.removesuffix(".nii.gz") for n in found)
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for scan in scans:
        reference = nib.load(scan)
        labels = np.zeros(reference.shape, np.uint8)
        for value, name in enumerate(names, start=1):
            mask = scan.parent / "segmentations" / f"{name}.nii.gz"
            if mask.is_file():
                labels[np.asanyarray(nib.load(mask).dataobj) > 0] = value
        stem = f"{scan.parent.name}.nii.gz"
        shutil.copyfile(scan, folder / "images" / stem)
        nib.save(nib.Nifti1Image(labels, reference.affine), folder / "labels" / stem)
    return {"0": "background"} | {str(i): n for i, n in enumerate(names, start=1)}


def dsb2018(unpacked: Path, folder: Path) -> dict[str, str]:
    """One folder a picture: ``images/ID.png`` and a binary mask a nucleus in ``masks``."""
    pictures = sorted(unpacked.rglob("images/*.png"))
    if not pictures:
        raise FetchError(f"{unpacked} holds no images/*.png")
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for picture in pictures:
        with Image.open(picture) as image:
            rgb = image.convert("RGB")
        labels = np.zeros((rgb.height, rgb.width), np.uint16)
        for i, mask in enumerate(sorted((picture.parent.parent / "masks").glob("*.png")), start=1):
            with Image.open(mask) as nucleus:
                labels[np.asarray(nucleus.convert("L")) > 0] = i
        rgb.save(folder / "images" / picture.name)
        Image.fromarray(labels).save(folder / "masks" / picture.name)
    return {"0": "background", "*": "nucleus"}


def spacenet1(unpacked: Path, folder: Path) -> dict[str, str]:
    """``3band/3band_NAME.tif`` and ``geojson/Geo_NAME.geojson``: a number a building."""
    import rasterio
    from rasterio.features import rasterize

    for name in ("images", "masks"):
        (folder / name).mkdir()
    count = 0
    for scene in sorted(unpacked.rglob("3band_*.tif")):
        stem = scene.stem.removeprefix("3band_")
        outlines = next(iter(unpacked.rglob(f"Geo_{stem}.geojson")), None)
        if outlines is None:
            continue
        shapes = list(_polygons(outlines))
        if not shapes:
            continue
        with rasterio.open(scene) as raster:
            pixels = _display(raster.read())
            numbered = [(shape, i) for i, shape in enumerate(shapes, start=1)]
            labels = rasterize(numbered, raster.shape, transform=raster.transform, dtype="uint16")
        Image.fromarray(pixels).save(folder / "images" / f"{stem}.png")
        Image.fromarray(labels).save(folder / "masks" / f"{stem}.png")
        count += 1
    if not count:
        raise FetchError(f"{unpacked} holds no 3band_*.tif with outlines of buildings")
    return {"0": "background", "*": "building"}


def _polygons(file: Path) -> Iterator[dict[str, Any]]:
    for feature in json.loads(file.read_text(encoding="utf-8"))["features"]:
        geometry = feature.get("geometry")
        if geometry and geometry["type"] in ("Polygon", "MultiPolygon") and geometry["coordinates"]:
            yield geometry


def _display(bands: NDArray[Any]) -> NDArray[np.uint8]:
    """``(3, rows, columns)`` of any depth → ``(rows, columns, 3)`` uint8, percentiles 1 and 99."""
    if bands.dtype == np.uint8:
        return np.ascontiguousarray(bands.transpose(1, 2, 0))
    low, high = np.percentile(bands, [1, 99])
    share = np.clip((bands.astype(np.float32) - low) / max(float(high - low), 1e-6), 0, 1)
    return np.ascontiguousarray((share * 255).astype(np.uint8).transpose(1, 2, 0))


def _only(folder: Path, name: str) -> Path:
    found = sorted(p for p in folder.rglob(name) if not p.name.startswith("._"))
    if not found:
        raise FetchError(f"{folder} holds no {name}: not the archive that was expected")
    return found[0]


LAYOUTS = {
    "msd": Layout("volumes", msd),
    "totalsegmentator": Layout("volumes", totalsegmentator),
    "dsb2018": Layout("pairs", dsb2018, instances=True),
    "spacenet1": Layout("pairs", spacenet1, instances=True),
}
