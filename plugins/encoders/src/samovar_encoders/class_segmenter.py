"""SAMed at work, without torch: a CT of the abdomen → eight organs, without a prompt.

As upstream's own test does (Zhang and Liu 2023, arXiv 2304.13785): Hounsfield values from −125 to
275 as 0…1, slice by slice along the third axis, rows and columns as they are stored, brought to 224
and then to 512 pixels by cubic splines, three times the same; the class of the largest logit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samovar.errors import InputError, PluginError
from samovar.grid import Region
from samovar.image import Image
from samovar.masks import PixelMask
from samovar.prompts import Prompts
from samovar.protocols import Graph, SegmenterAnswer, SegmenterContext

from .volume_window import linear_matrix

HOUNSFIELD = (-125.0, 275.0)
TRAINED, SIDE, MASK_SIDE = 224, 512, 128
"""Pixels of the training pictures, of the encoder's input, of the decoder's masks."""
ORGANS = (
    "spleen", "right kidney", "left kidney", "gallbladder", "liver", "stomach", "aorta", "pancreas",
)  # fmt: skip
"""Classes 1 to 8."""


class ClassSegmenter:
    """The :class:`samovar.protocols.Segmenter` of SAMed, over its two graphs."""

    def __init__(self, graphs: Mapping[str, Graph], settings: Mapping[str, Any]) -> None:
        self._encoder, self._decoder = graphs["encoder"], graphs["decoder"]
        cells = (np.arange(SIDE) + 0.5) * MASK_SIDE / SIDE - 0.5
        self._enlarge = linear_matrix(cells, MASK_SIDE)

    def segment(
        self, image: Image, prompts: Prompts | None, context: SegmenterContext
    ) -> Iterator[SegmenterAnswer]:
        """One object an organ that was found, numbered by its class.

        Raises:
            InputError: anything but a CT of one channel.
        """
        if context.intensity.modality != "ct" or image.channels != 1:
            raise InputError(
                f"{image.info.source}: SAMed takes a CT in Hounsfield units; this is "
                f"{context.intensity.modality} of {image.channels} channel(s): give a CT, or say "
                "--modality ct if it is one"
            )
        count = image.grid.shape[0]
        labels = np.zeros(image.grid.shape, dtype=np.uint8)
        quality: dict[int, list[float]] = {}
        for z in range(count):
            context.check()
            region = Region((z, 0, 0), (z + 1, *image.grid.shape[1:]))
            labels[z], sure = self.classes(image.read(region)[0, 0].astype(np.float32))
            for value in np.unique(labels[z]):
                quality.setdefault(int(value), []).append(float(sure[value]))
            context.progress(z + 1, count)
        for value, slices in enumerate(ndimage.find_objects(labels), start=1):
            if slices is not None:
                start = tuple(s.start for s in slices)
                mask = PixelMask.of(labels[slices] == value, start)
                name = ORGANS[value - 1] if value <= len(ORGANS) else f"class {value}"
                yield SegmenterAnswer(
                    value, mask, float(np.mean(quality[value])), name=name, class_id=value
                )

    def classes(self, values: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Hounsfield values of a slice → its classes, of its shape, and qualities ``(9,)``."""
        picture = prepared(values)
        out = self._encoder.run({"image": np.repeat(picture[None], 3, axis=0)[None]})
        out = self._decoder.run({"image_embeddings": out["image_embeddings"]})
        logits = out["low_res_masks"][0]
        if not np.isfinite(logits).all():
            raise PluginError("the model answered NaN or infinity")
        large = np.einsum("chw,Hh,Ww->cHW", logits, self._enlarge, self._enlarge, optimize=True)
        found = large.argmax(axis=0).astype(np.uint8)
        return zoomed(found, values.shape, order=0), out["iou_predictions"][0]


def prepared(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Hounsfield values ``(rows, columns)`` → ``(512, 512)`` in about 0…1."""
    low, high = HOUNSFIELD
    unit = (np.clip(values, low, high) - low) / (high - low)
    return zoomed(zoomed(unit, (TRAINED, TRAINED)), (SIDE, SIDE)).astype(np.float32)


def zoomed(plane: NDArray[Any], size: tuple[int, ...], order: int = 3) -> NDArray[Any]:
    """SciPy's zoom, which upstream takes; the plane itself where it has the size."""
    if plane.shape == tuple(size):
        return plane
    factors = [new / old for new, old in zip(size, plane.shape, strict=True)]
    return ndimage.zoom(plane, factors, order=order)
