"""Scenes on disk: tiled GeoTIFF or COG written block by block, outlines, box prompts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from samovar_datasets.atomic import replacing
from samovar_datasets.painting import CLASSES
from samovar_datasets.scenes import Scene, Truth
from samovar_datasets.spectra import band_names
from samovar_datasets.volume_files import write_json

BLOCK = 512


def write_scene(
    scene: Scene,
    folder: Path,
    stem: str = "scene",
    *,
    overviews: bool = True,
    cog: bool = False,
    classes: bool = True,
    vectors: bool = True,
) -> dict[str, Path]:
    """Write a scene and its truth in one pass over its blocks; memory does not grow with size.

    ``STEM.tif`` (pixels), ``STEM_labels.tif`` (instances, uint32), ``STEM_classes.tif`` (uint8),
    ``STEM_truth.gpkg`` (outlines in the scene's CRS). Blocks without data take no room.

    Raises:
        OSError: the folder cannot be made or written.
    """
    import rasterio

    folder.mkdir(parents=True, exist_ok=True)
    paths = {"image": folder / f"{stem}.tif", "labels": folder / f"{stem}_labels.tif"}
    if classes:
        paths["classes"] = folder / f"{stem}_classes.tif"
    drafts = {
        name: path.with_name(f".{os.getpid()}-draft-{path.name}") for name, path in paths.items()
    }
    try:
        # a fixed, small block cache: the default is a share of the machine's memory
        with rasterio.Env(GDAL_CACHEMAX=64, SPARSE_OK_OVERVIEW=True):
            _write_blocks(scene, drafts)
            for name, draft in drafts.items():
                if overviews and not cog:
                    _add_overviews(draft, "average" if name == "image" else "nearest")
                _finish(draft, paths[name], cog, overviews)
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
    if vectors:
        paths["truth"] = folder / f"{stem}_truth.gpkg"
        write_truth(scene, paths["truth"])
    return paths


def write_truth(scene: Scene, path: Path) -> None:
    """Write every object's outline as GeoPackage, in the scene's CRS."""
    import pyogrio.raw
    import shapely

    truth = list(scene.truth())
    shapes = [shapely.Polygon(scene.to_world(t.outline)) for t in truth]
    fields = ["id", "class", "cover", "roof", "height"]
    data: list[Any] = [
        np.array([t.id for t in truth], np.int64),
        np.array([t.kind for t in truth], object),
        np.array([t.attributes.get("cover", t.attributes.get("material")) for t in truth], object),
        np.array([t.attributes.get("roof") for t in truth], object),
        np.array([t.attributes.get("height", np.nan) for t in truth], float),
    ]
    with replacing(path) as temporary:
        pyogrio.raw.write(
            temporary,
            shapely.to_wkb(shapes),
            data,
            fields,
            driver="GPKG",
            layer="truth",
            geometry_type="Polygon",
            crs=scene.crs,
        )


def write_box_features(scene: Scene, objects: Iterable[Truth], path: Path) -> int:
    """Write objects' bounding boxes, in pixels, as GeoJSON polygons in lon/lat; their number."""
    from rasterio.warp import transform

    values = {name: value for value, name in CLASSES.items()}
    features = []
    for number, thing in enumerate(objects, start=1):
        (c0, r0), (c1, r1) = thing.outline.min(axis=0), thing.outline.max(axis=0)
        ring = np.array([[c0, r0], [c1, r0], [c1, r1], [c0, r1], [c0, r0]])
        x, y = scene.to_world(ring).T
        lon, lat = transform(scene.crs, "EPSG:4326", x.tolist(), y.tolist())
        corners = [[round(a, 9), round(b, 9)] for a, b in zip(lon, lat, strict=True)]
        properties = {"name": f"{thing.kind}-{number}", "class": values[thing.kind]}
        properties["truth"] = thing.id
        geometry = {"type": "Polygon", "coordinates": [corners]}
        features.append({"type": "Feature", "properties": properties, "geometry": geometry})
    write_json({"type": "FeatureCollection", "features": features}, path)
    return len(features)


def _write_blocks(scene: Scene, drafts: dict[str, Path]) -> None:
    import rasterio
    from rasterio.windows import Window

    rows, columns = scene.size
    opened = {}
    try:
        for name, draft in drafts.items():
            opened[name] = rasterio.open(draft, "w", **_profile(scene, name))
        for index, text in enumerate(band_names(scene.bands), start=1):
            opened["image"].set_band_description(index, text)
        for row in range(0, rows, BLOCK):
            for column in range(0, columns, BLOCK):
                place = (row, column, min(BLOCK, rows - row), min(BLOCK, columns - column))
                if scene.empty(*place):
                    continue
                window = Window(column, row, place[3], place[2])
                opened["image"].write(scene.read(*place), window=window)
                opened["labels"].write(scene.labels(*place), 1, window=window)
                if "classes" in opened:
                    opened["classes"].write(scene.classes(*place), 1, window=window)
    finally:
        for dataset in opened.values():
            dataset.close()


def _profile(scene: Scene, name: str) -> dict[str, Any]:
    from rasterio.transform import Affine

    image = name == "image"
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "width": scene.size[1],
        "height": scene.size[0],
        "count": scene.bands if image else 1,
        "dtype": {"image": f"uint{scene.bits}", "labels": "uint32", "classes": "uint8"}[name],
        "crs": scene.crs,
        "transform": Affine(*scene.transform),
        "nodata": 0,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
        "predictor": 2,
        "sparse_ok": True,
        "bigtiff": "if_safer",
    }
    if image and scene.bands >= 3 and scene.bands < 13 and scene.bits == 8:
        profile["photometric"] = "RGB"
    return profile


def _add_overviews(path: Path, resampling: str) -> None:
    import rasterio
    from rasterio.enums import Resampling

    with rasterio.open(path, "r+") as dataset:
        longest = max(dataset.width, dataset.height)
        factors = [2**n for n in range(1, 12) if longest / 2**n >= BLOCK / 2]
        if factors:
            dataset.build_overviews(factors, Resampling[resampling])


def _finish(draft: Path, path: Path, cog: bool, overviews: bool) -> None:
    if not cog:
        draft.replace(path)
        return
    from rasterio.shutil import copy

    with replacing(path) as temporary:
        copy(
            str(draft), temporary, driver="COG", compress="deflate", predictor="yes",
            blocksize=BLOCK, sparse_ok=True, bigtiff="if_safer",
            overviews="auto" if overviews else "none",
        )  # fmt: skip
