"""Phantoms on disk: NIfTI images and labels, boxes as JSON prompts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar_datasets.atomic import replacing
from samovar_datasets.phantoms import Phantom

_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_phantom(phantom: Phantom, folder: Path, stem: str) -> dict[str, Path]:
    """Write ``STEM.nii.gz``, ``STEM_labels.nii.gz``, ``STEM_classes.json``; returns their paths.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {
        "image": folder / f"{stem}.nii.gz",
        "labels": folder / f"{stem}_labels.nii.gz",
        "classes": folder / f"{stem}_classes.json",
    }
    note = f"samovar {phantom.modality} phantom {phantom.seed}"
    write_nifti(phantom.image, phantom.affine, paths["image"], note)
    write_nifti(phantom.labels, phantom.affine, paths["labels"], note)
    write_json({str(k): v for k, v in phantom.classes.items()}, paths["classes"])
    return paths


def write_nifti(
    array: NDArray[Any], affine: NDArray[np.float64], path: Path, note: str = ""
) -> None:
    """Write a ``(z, y, x)`` array with its LPS affine (index x, y, z → mm) as NIfTI.

    sform and qform are both set, in RAS as the format has it, with millimetres as the unit.
    """
    import nibabel

    image = nibabel.Nifti1Image(array.transpose(2, 1, 0), _RAS @ affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = note.encode()[:79]
    image.set_sform(_RAS @ affine, 1)
    image.set_qform(_RAS @ affine, 1)
    with replacing(path) as temporary:
        nibabel.save(image, temporary)


def write_box_prompts(
    boxes: Mapping[str, list[int]], path: Path, more: Mapping[str, list[list[int]]] | None = None
) -> None:
    """Write index boxes as samovar's JSON prompts; ``more``: boxes on key slices, by name."""
    objects: list[dict[str, Any]] = [{"name": name, "box": box} for name, box in boxes.items()]
    for item in objects:
        if more and item["name"] in more:
            item["boxes"] = more[item["name"]]
    write_json({"space": "index", "objects": objects}, path)


def write_json(document: Any, path: Path) -> None:
    """Write a JSON document, whole or not at all."""
    with replacing(path) as temporary:
        Path(temporary).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
