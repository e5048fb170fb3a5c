"""Segmenters for tests: one that reads its answers off the values, one that needs no prompts."""

from __future__ import annotations

import numpy as np

from samovar.masks import PixelMask
from samovar.protocols import SegmenterAnswer


class Reader:
    """The object at a point, or in a box, are the pixels of the value that is there."""

    def segment(self, image, prompts, context):
        values = image.read()[0]
        for done, prompt in enumerate(prompts):
            context.check()
            place = prompt.points[0] if prompt.points else _middle(prompt.box)
            at = tuple(int(np.floor(v + 0.5)) for v in place[::-1])
            mask = PixelMask.of(values == values[at])
            yield SegmenterAnswer(prompt.id, mask, 0.8, 0.5, attributes={"value": int(values[at])})
            context.progress(done + 1, len(prompts))


class Everything:
    """Every value above zero is a class of its own."""

    def segment(self, image, prompts, context):
        assert prompts is None
        values = image.read()[0]
        for value in np.unique(values[values > 0]):
            mask = PixelMask.of(values == value)
            number = int(value)
            yield SegmenterAnswer(number, mask, 1.0, name=f"class {number}", class_id=number)


class FromGraphs:
    """Asks its graph for the threshold above which everything is the object."""

    def __init__(self, graphs, settings):
        self.graphs, self.settings, self.closed = graphs, settings, False

    def segment(self, image, prompts, context):
        values = image.read()[0]
        [above] = self.graphs["encoder"].run({})["threshold"]
        for prompt in prompts:
            mask = PixelMask.of(values > above + self.settings["offset"])
            yield SegmenterAnswer(prompt.id, mask, 1.0)

    def close(self):
        self.closed = True


def _middle(box):
    half = len(box) // 2
    return tuple((a + b - 1) / 2 for a, b in zip(box[:half], box[half:], strict=True))
