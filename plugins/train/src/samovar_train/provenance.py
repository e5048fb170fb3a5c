"""What a bundle says about where it comes from: data with licences, recipe, intended use."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from samovar_train.data.catalogue import read_manifest
from samovar_train.recipe import Recipe

INTENDED_USE = (
    "Promptable segmentation of medical slices and overhead images for research, teaching and "
    "measured annotation work, with a person looking at every mask. Research use only, not a "
    "medical device: it must not inform diagnosis or treatment."
)
LICENCE = {
    "code": "Apache-2.0",
    "weights": "CC-BY-SA-4.0",
    "note": (
        "Trained from scratch on openly licensed data. Among the sources are CC BY-SA 4.0 (Medical "
        "Segmentation Decathlon) and ODbL (OpenStreetMap building outlines, contributors of "
        "OpenStreetMap); the weights are given under CC BY-SA 4.0 to honour share-alike, with the "
        "attributions listed in provenance.data."
    ),
}
MODALITIES = ["ct", "mr", "us", "xr", "pet", "rgb", "ms", "sar", "microscopy"]
VOLUME_SOURCES = ("msd_hippocampus", "voxelmorph_scan", "sct_testing_data", "pyradiomics_cases")
RASTER_SOURCES = ("fair_banepa_oam",)


def training_sources(data: Path, unlabelled: bool = False) -> list[dict[str, str]]:
    """Name, licence and origin of every set that was trained on, at wish without its labels too."""
    rows = []
    for d in read_manifest(data)["datasets"]:
        name = Path(d["path"]).name
        used = d["train"] and (
            d["kind"] == "pairs"
            or (d["kind"] == "volumes" and name in VOLUME_SOURCES)
            or (d["kind"] == "rasters" and name in RASTER_SOURCES)
            or (unlabelled and d["kind"] in ("volumes", "rasters"))
        )
        if used and name not in {r["name"] for r in rows}:
            origin = "; ".join(str(d[k]) for k in ("source", "repo") if d.get(k))
            rows.append({"name": name, "licence": d["licence"], "source": origin})
    return rows


def card(
    recipe: Recipe,
    state: dict[str, Any],
    data: Path,
    validation: dict[str, Any],
    version: str = "0.1.0",
) -> dict[str, Any]:
    """Keys that `export_bundle` adds to what the graphs say by themselves."""
    return {
        "version": version,
        "modalities": MODALITIES,
        "licence": LICENCE,
        "intended_use": INTENDED_USE,
        "provenance": {
            "recipe": f"plugins/train/recipes/{recipe.name}.toml",
            "seed": state["seed"],
            "steps": state["step"],
            "steps_planned": recipe.steps,
            "minutes": round(state["minutes"], 1),
            "hardware": "2 CPU cores, bf16 autocast, no GPU",
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "generated": dict(recipe.scenes),
            "data": training_sources(data, bool(recipe.pseudo)),
        },
        "validation": validation,
    }
