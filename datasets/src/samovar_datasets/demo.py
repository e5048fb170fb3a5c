"""The inputs of ``make demo``: one CT-like volume and one aerial scene, with boxes to ask for."""

from __future__ import annotations

from pathlib import Path

from samovar_datasets.abdomen import PROMPTED
from samovar_datasets.phantoms import ct_phantom
from samovar_datasets.raster_files import write_box_features, write_scene
from samovar_datasets.scenes import Scene, Truth
from samovar_datasets.volume_files import write_box_prompts, write_phantom

CT_SEED, CT_SHAPE = 1, (60, 128, 160)
KEY_SLICES = {"liver": (24, 32, 42), "spleen": (34, 40, 45), "aorta": (8, 30)}
"""Organs that taper or fork: their boxes are drawn on these slices too."""
SCENE_SEED, SCENE_SIZE, SCENE_GSD = 17, (1280, 1280), 0.3
_MOST = {"building": 32, "field": 4, "water": 2}


def write_demo_inputs(folder: str | Path) -> dict[str, Path]:
    """Write ct.nii.gz, ct_labels.nii.gz, ct_boxes.json, scene.tif, scene_labels.tif,
    scene_boxes.geojson and their companions; returns the paths by name.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder = Path(folder)
    patient = ct_phantom(CT_SEED, CT_SHAPE)
    volume = write_phantom(patient, folder, "ct")
    boxes = folder / "ct_boxes.json"
    keys = {n: [patient.slice_box(n, z) for z in places] for n, places in KEY_SLICES.items()}
    write_box_prompts(patient.boxes(PROMPTED), boxes, keys)
    scene = Scene(SCENE_SEED, SCENE_SIZE, SCENE_GSD)
    raster = write_scene(scene, folder, "scene")
    features = folder / "scene_boxes.geojson"
    write_box_features(scene, demo_objects(scene), features)
    return {
        "ct": volume["image"],
        "ct_labels": volume["labels"],
        "ct_classes": volume["classes"],
        "ct_boxes": boxes,
        "scene": raster["image"],
        "scene_labels": raster["labels"],
        "scene_classes": raster["classes"],
        "scene_truth": raster["truth"],
        "scene_boxes": features,
    }


def demo_objects(scene: Scene) -> list[Truth]:
    """Objects that lie wholly in the scene: some buildings, a few fields, the ponds."""
    rows, columns = scene.size
    chosen: list[Truth] = []
    left = dict(_MOST)
    for thing in scene.truth():
        low, high = thing.outline.min(axis=0), thing.outline.max(axis=0)
        whole = low.min() >= 0 and high[0] <= columns and high[1] <= rows
        if whole and left.get(thing.kind, 0) > 0 and _in_sight(scene, low, high):
            left[thing.kind] -= 1
            chosen.append(thing)
    return chosen


def _in_sight(scene: Scene, low: object, high: object) -> bool:
    (c0, r0), (c1, r1) = [[int(v) for v in p] for p in (low, high)]  # type: ignore[attr-defined]
    return bool(scene.valid(r0, c0, r1 - r0 + 1, c1 - c0 + 1).all())
