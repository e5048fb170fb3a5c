"""Label PNGs: one number an object, 0 for background; out as results, in as prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from PIL.PngImagePlugin import PngInfo

from samovar.builtin.pictures import decode, opened
from samovar.errors import OutputError
from samovar.image import ArrayImage, Image, ImageInfo
from samovar.label_prompts import prompts_from_labels
from samovar.objects import Objects
from samovar.prompts import Prompts

PROVENANCE_KEYS = ("samovar", "notice", "intensity")


class LabelPng:
    """Writes objects as 8-bit (up to 255) or 16-bit (up to 65,535) grey PNG; reads them back."""

    def write(self, objects: Objects, path: Path, image: Image, **options: Any) -> None:
        """Label image of ``objects``; names and provenance go into the PNG's text.

        Raises:
            OutputError: an object's number exceeds 65,535.
        """
        labels = objects.labels()
        if labels.dtype.itemsize > 2:
            raise OutputError(
                f"{path.name}: a PNG holds numbers up to 65535, the highest here is "
                f"{max(o.id for o in objects)}: write .tif (samovar-geo)"
            )
        text = PngInfo()
        text.add_itxt("samovar", json.dumps(_provenance(objects), ensure_ascii=False))
        PIL.Image.fromarray(labels).save(path, format="PNG", pnginfo=text)

    def read_prompts(self, path: str, image: Image, **options: Any) -> Prompts:
        """The boxes of a label PNG's objects; numbers of a palette count, not its colours.

        Raises:
            PromptError: it is no label image, or not of this picture.
            InputError: it is damaged.
        """
        with opened(path) as picture:
            pixels = np.asarray(picture) if picture.mode == "P" else None
        if pixels is None:
            pixels, _ = decode(path)
        info = ImageInfo(path, "picture", "samovar/label-png")
        labels = ArrayImage(pixels, info=info, channels_last=pixels.ndim == 3)
        return prompts_from_labels(labels, image)


def _provenance(objects: Objects) -> dict[str, Any]:
    """What does not change from run to run, so that equal masks are equal files."""
    record = {k: objects.provenance[k] for k in PROVENANCE_KEYS if k in objects.provenance}
    model = objects.provenance.get("model", {})
    record["model"] = {k: model[k] for k in ("name", "version", "weights_sha256") if k in model}
    record["names"] = {str(o.id): o.name for o in objects if o.name}
    return record
