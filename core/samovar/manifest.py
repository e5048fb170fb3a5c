"""The manifest: everything that one has to know to get the same masks again."""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from samovar.chains import Following
from samovar.grid import Grid
from samovar.image import Image
from samovar.intensity import Intensity
from samovar.masks import PixelMask
from samovar.prompts import Prompt, Prompts

DISCLAIMER = "research use only, not a medical device"


def build_manifest(
    image: Image,
    intensity: Intensity,
    model: Mapping[str, Any],
    prompts: Prompts | None,
    generator: str | None,
    following: Following | None = None,
) -> dict[str, Any]:
    """JSON-able record of one run: versions, model and weights hash, runtime, prompts, geometry."""
    return {
        "samovar": metadata.version("samovar"),
        "notice": DISCLAIMER,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "platform": {"system": platform.system(), "machine": platform.machine(),
                     "python": platform.python_version()},
        "plugins": _plugins(),
        "input": {"format": image.info.format, "domain": image.info.domain,
                  "channels": image.channels, "dtype": str(image.dtype),
                  "notes": list(image.info.native.get("warnings", ()))},
        "geometry": describe_grid(image.grid),
        "intensity": intensity.describe(),
        "model": dict(model),
        "generator": generator,
        "following": (following or Following()).describe(image.grid),
        "prompts": None if prompts is None else [describe_prompt(p) for p in prompts],
    }


def describe_grid(grid: Grid) -> dict[str, Any]:
    """Shape, affine, spacing and frame as plain numbers and strings."""
    return {
        "shape": list(grid.shape),
        "axis_order": "z,y,x" if grid.ndim == 3 else "y,x",
        "affine_xyz": grid.affine.tolist(),
        "spacing_xyz": list(grid.spacing),
        "frame": grid.frame.kind,
        "crs": grid.frame.crs,
        "unit": grid.frame.unit,
        "pixel_anchor": "centre",
    }


def describe_prompt(prompt: Prompt) -> dict[str, Any]:
    """A prompt in index coordinates; arrays are named by their shape only."""
    arrays = {
        kind: list(array.shape)
        for kind in ("mask", "sparse", "dense")
        if (array := getattr(prompt, kind)) is not None
    }
    return {
        "id": prompt.id,
        "name": prompt.name,
        "box": None if prompt.box is None else list(prompt.box),
        "points": [list(p) for p in prompt.points],
        "labels": list(prompt.labels),
        **({"key_boxes": [list(b) for b in prompt.key_boxes]} if prompt.key_boxes else {}),
        **({"painted": [_bounds(m) for m in prompt.painted]} if prompt.painted else {}),
        **({} if prompt.anchor is None else {"anchor": prompt.anchor}),
        **arrays,
    }


def _bounds(mask: PixelMask) -> list[int]:
    return [*mask.region.start[::-1], *mask.region.stop[::-1]]


def to_json(value: Any) -> str:
    """Stable, human-readable JSON of a manifest or a table."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=_plain, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path | datetime.date):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} does not belong in a manifest")


def _plugins() -> dict[str, str]:
    from samovar.plugins import registry

    names = {spec.distribution for spec in registry().specs()}
    found = {}
    for name in sorted(names):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found
