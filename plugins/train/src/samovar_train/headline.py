"""Two figures that `tiny` must reach on data it never saw: a CT volume and a drone mosaic.

`python -m samovar_train.headline CHECKPOINT_OR_BUNDLE` prints them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samovar_train.data.catalogue import BANEPA_TRAIN_ROWS, shared_data
from samovar_train.data.sources import read_volume
from samovar_train.evaluate import Model, OnnxModel, Picture, TorchModel, bounds, dice, iou

ORGANS = {"spleen": 1, "kidney_right": 2, "kidney_left": 3, "liver": 5, "aorta": 52}
Array = NDArray[Any]


def windowed(hu: Array, level: float = 40.0, width: float = 400.0) -> NDArray[np.uint8]:
    """HU → 0-255 in a radiological window."""
    share = np.clip((hu - (level - width / 2)) / width, 0, 1)
    return (share * 255 + 0.5).astype(np.uint8)


def propagate(
    pictures: list[Picture],
    box: tuple[int, int, int, int, int, int],
    policy: str = "prior",
    margin: float = 0.15,
) -> NDArray[np.bool_]:
    """A 3-D box x0, y0, z0, x1, y1, z1 segmented from its middle slice outwards.

    Policies for the slices after the middle one: `box` repeats the box alone; `prior` adds the
    previous mask's logits; `follow` also narrows the box to the previous mask's bounds, widened
    by `margin` of their size and kept inside the 3-D box.
    """
    x0, y0, z0, x1, y1, z1 = box
    shape = (len(pictures), pictures[0].height, pictures[0].width)
    volume = np.zeros(shape, bool)
    extent = np.array([x0, y0, x1, y1], np.float32)
    middle = (z0 + z1 - 1) // 2
    found, _, start = pictures[middle].predict(boxes=extent[None])
    volume[middle] = found[0]
    for direction in (1, -1):
        logits, previous = start, volume[middle]
        z = middle + direction
        while z0 <= z < z1:
            own = extent
            if policy == "follow" and previous.any():
                b = bounds(previous)
                grow = margin * np.array([b[2] - b[0], b[3] - b[1]] * 2) + 1
                own = b + grow * np.array([-1, -1, 1, 1])
                own = np.concatenate(
                    [np.maximum(own[:2], extent[:2]), np.minimum(own[2:], extent[2:])]
                )
            prior = None if policy == "box" or not previous.any() else logits
            found, _, logits = pictures[z].predict(boxes=own[None].astype(np.float32), prior=prior)
            volume[z] = previous = found[0]
            z += direction
    return volume


def ct_organs(
    model: Model, data: Path, policies: tuple[str, ...] = ("box", "prior", "follow")
) -> dict[str, Any]:
    """Dice by organ and policy on the 3 mm CT of TotalSegmentator (silver labels)."""
    folder = data / "volumes" / "totalsegmentator_ref"
    volume = read_volume(folder / "example_ct.nii.gz")
    labels = read_volume(folder / "example_seg_fast_force_split.nii.gz")
    z_used = np.flatnonzero(np.isin(labels, list(ORGANS.values())).any((1, 2)))
    pictures: list[Any] = [None] * len(volume)
    for z in range(z_used[0], z_used[-1] + 1):
        pictures[z] = Picture(model, windowed(volume[z]))
    pictures = [p or pictures[z_used[0]] for p in pictures]
    out: dict[str, Any] = {}
    for policy in policies:
        scores = {}
        for name, value in ORGANS.items():
            target = labels == value
            zs, ys, xs = (np.flatnonzero(target.any(a)) for a in ((1, 2), (0, 2), (0, 1)))
            box = (xs[0], ys[0], zs[0], xs[-1] + 1, ys[-1] + 1, zs[-1] + 1)
            scores[name] = round(
                dice(propagate(pictures, tuple(int(v) for v in box), policy), target), 4
            )  # type: ignore[arg-type]
        out[policy] = scores | {"mean": round(float(np.mean(list(scores.values()))), 4)}
    return out


def banepa_buildings(model: Model, data: Path, tile: int = 512, least: int = 100) -> dict[str, Any]:
    """Mean IoU by box of buildings in mosaic rows >= 2560, in 512-px tiles at native resolution."""
    import rasterio
    from rasterio.windows import Window

    folder = data / "rasters" / "fair_banepa_oam"
    scores, errors = [], []
    with (
        rasterio.open(folder / "derived_mosaic_5632x4096.tif") as scene,
        rasterio.open(folder / "derived_mosaic_5632x4096_buildings.tif") as buildings,
    ):
        for y in range(BANEPA_TRAIN_ROWS, scene.height - tile + 1, tile):
            for x in range(0, 3072 - tile + 1, tile):
                window = Window(x, y, tile, tile)
                parts, _ = ndimage.label(buildings.read(1, window=window) > 0)
                objects = [parts == i for i in range(1, parts.max() + 1)]
                objects = [o for o in objects if o.sum() >= least]
                if not objects:
                    continue
                picture = Picture(
                    model, np.ascontiguousarray(scene.read(window=window).transpose(1, 2, 0))
                )
                found, quality, _ = picture.predict(boxes=np.stack([bounds(o) for o in objects]))
                own = [iou(f, o) for f, o in zip(found, objects, strict=True)]
                scores += own
                errors += [abs(float(q) - s) for q, s in zip(quality, own, strict=True)]
    return {
        "iou": round(float(np.mean(scores)), 4),
        "objects": len(scores),
        "quality_error": round(float(np.mean(errors)), 4),
    }


def open_model(path: str | Path) -> Model:
    """A checkpoint (`.pt`, its averaged weights) or a bundle's folder."""
    path = Path(path)
    if path.is_dir():
        return OnnxModel(path)
    from samovar_train.export import load_checkpoint

    return TorchModel(load_checkpoint(path)[0])


if __name__ == "__main__":
    subject, root = open_model(sys.argv[1]), shared_data()
    sys.stdout.write(
        json.dumps(
            {"ct": ct_organs(subject, root), "banepa": banepa_buildings(subject, root)}, indent=1
        )
    )
