"""Training batches: a pure function of (seed, step, rank), so that a resumed run goes on alike.

`Batches[step]` is computed in a worker process; nothing here imports monai.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samovar_train.data.augment import (
    PAD_COLOUR,
    crop_window,
    elastic,
    recolour,
    resize_to_frame,
    rotate,
)
from samovar_train.data.packing import Item, Pack
from samovar_train.data.sampling import (
    ObjectView,
    PromptMix,
    RegionMix,
    draw_prompt,
    draw_region,
    visible_objects,
)
from samovar_train.model.region import GRID, MARGIN


class Batches(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Maps a step to its batch.

    A batch of B images with K prompts each (N = B * K, prompts of one image are neighbours):

    - `image` `(B, 3, S, S)` uint8, RGB, padded at the bottom and the right
    - `target` `(N, S/4, S/4)` uint8, coverage times 255
    - `point_coords` `(N, P, 2)`, `point_labels` `(N, P)` float32
    - `mask_input` `(N, 1, S/4, S/4)` float32 logits, `has_mask_input` `(N, 1)`
    - `single` `(N,)` bool: prompted by nothing but one positive point

    and of R prompts an image for the region decoder (M = B * R), over their own windows:

    - `windows` `(M, 4)` float32; `region_target` `(M, GRID, GRID)` uint8; `region_coords`,
      `region_labels`, `region_mask` `(M, 1, GRID, GRID)`, `region_has_mask`
    """

    def __init__(
        self,
        pack: str | Path,
        seed: int,
        sizes: tuple[tuple[int, tuple[int, ...]], ...],
        images: int,
        prompts: int,
        weights: Mapping[str, float],
        mix: PromptMix | None = None,
        rank: int = 0,
        regions: int = 0,
        region_mix: RegionMix | None = None,
        elastic: float = 0.0,
    ):
        self.regions, self.elastic = regions, elastic
        self.folder = Path(pack)
        self.seed, self.sizes, self.rank = seed, sizes, rank
        self.images, self.prompts = images, prompts
        self.weights, self.mix = dict(weights), mix or PromptMix()
        self.region_mix = region_mix or RegionMix()
        self.pack: Pack | None = None

    def open(self) -> Pack:
        """The pack and the tables made from it; on first use, in the process that needs them."""
        if self.pack is None:
            self.pack = Pack(self.folder)
            by_source: dict[str, list[int]] = {}
            for i, row in enumerate(self.pack.rows):
                by_source.setdefault(row["source"], []).append(i)
            unknown = set(self.weights) - set(by_source) - {"default"}
            if unknown:
                raise KeyError(f"the recipe weights sources that the pack lacks: {sorted(unknown)}")
            default = self.weights.get("default", 1.0)
            self.members = [np.array(v) for v in by_source.values()]
            shares = np.array([self.weights.get(s, default) for s in by_source], float)
            self.shares = shares / shares.sum()
            self.noise = np.random.default_rng(1).standard_normal(1 << 20).astype(np.float32)
        return self.pack

    def size_at(self, step: int) -> int:
        """Frame side at a step, the same in every process.

        `sizes` lists (first step, sides to draw from), ascending by step.
        """
        sides = [sides for first, sides in self.sizes if step >= first][-1]
        return int(np.random.default_rng([self.seed, 5, step]).choice(sides))

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        pack = self.open()
        size = self.size_at(step)
        rng = np.random.default_rng([self.seed, 3, step, self.rank])
        slots = int(rng.choice([2, 3, 6], p=[0.5, 0.25, 0.25]))
        examples: list[dict[str, NDArray[Any]]] = []
        while len(examples) < self.images:
            members = self.members[rng.choice(len(self.members), p=self.shares)]
            item = pack[int(members[rng.integers(members.size)])]
            example = self.example(rng, item, size, slots)
            if example is not None:
                examples.append(example)
        batch = {}
        for key in examples[0]:
            stack = np.stack if key == "image" else np.concatenate
            batch[key] = torch.from_numpy(stack([e[key] for e in examples]))
        return batch

    def example(
        self, rng: np.random.Generator, item: Item, size: int, slots: int
    ) -> dict[str, NDArray[Any]] | None:
        """One picture and its K prompts, or None where the crop shows no object."""
        classes = np.array([o[0] for o in item.objects])
        chosen = rng.choice(np.unique(classes))
        own = np.flatnonzero(classes == chosen)
        areas = np.sqrt([item.objects[i][1] for i in own])
        anchor = int(rng.choice(own, p=areas / areas.sum()))
        y0, x0, y1, x1 = crop_window(rng, item.labels.shape, item.objects[anchor][2:], size)  # type: ignore[arg-type]
        image, labels = np.asarray(item.image[y0:y1, x0:x1]), np.asarray(item.labels[y0:y1, x0:x1])
        if rng.random() < 0.22:
            degrees = rng.uniform(-180, 180) if rng.random() < 0.5 else rng.normal(0, 12)
            image, labels = rotate(np.ascontiguousarray(image), labels, degrees)
        if self.elastic and rng.random() < self.elastic:
            image, labels = elastic(rng, image, labels)
        quarter = int(rng.integers(4)) if rng.random() < 0.6 else 0
        image, labels = np.rot90(image, quarter), np.rot90(labels, quarter)
        if rng.random() < 0.5:
            image, labels = image[:, ::-1], labels[:, ::-1]
        image, labels = np.ascontiguousarray(image), np.ascontiguousarray(labels)
        scale = size / max(labels.shape)
        shown = visible_objects(labels, 48 * (size / 512) ** 2 / scale**2)
        if shown.size == 0:
            return None
        views = self.choose(rng, item, labels, shown, anchor + 1, scale, size)
        medical = item.domain == "medical" and item.image.ndim == 2
        content, (h, w) = resize_to_frame(rng, image, size, coarse=0.35 if medical else 0.15)
        frame = np.empty((size, size, 3), np.uint8)
        frame[:] = PAD_COLOUR
        frame[:h, :w] = recolour(rng, content, self.noise)
        grid, n = size // 4, self.prompts
        out: dict[str, NDArray[Any]] = {
            "image": np.ascontiguousarray(frame.transpose(2, 0, 1)),
            "target": np.empty((n, grid, grid), np.uint8),
            "point_coords": np.empty((n, slots, 2), np.float32),
            "point_labels": np.empty((n, slots), np.float32),
            "mask_input": np.zeros((n, 1, grid, grid), np.float32),
            "has_mask_input": np.zeros((n, 1), np.float32),
            "single": np.zeros(n, np.bool_),
        }
        for k in range(n):
            view = views[k % len(views)]
            prompt, kind = draw_prompt(rng, view, slots, self.mix)
            out["target"][k] = (view.soft * 255).astype(np.uint8)
            out["point_coords"][k], out["point_labels"][k] = prompt.padded(slots)
            if prompt.prior is not None:
                out["mask_input"][k, 0], out["has_mask_input"][k] = prompt.prior, 1
            out["single"][k] = kind == "point"
        return out | self.region_prompts(rng, views, slots)

    def region_prompts(
        self, rng: np.random.Generator, views: list[ObjectView], slots: int
    ) -> dict[str, NDArray[Any]]:
        """What the region decoder is asked about one picture."""
        n = self.regions
        out: dict[str, NDArray[Any]] = {
            "windows": np.empty((n, 4), np.float32),
            "region_target": np.empty((n, GRID, GRID), np.uint8),
            "region_coords": np.empty((n, slots, 2), np.float32),
            "region_labels": np.empty((n, slots), np.float32),
            "region_mask": np.zeros((n, 1, GRID, GRID), np.float32),
            "region_has_mask": np.zeros((n, 1), np.float32),
        }
        for k in range(n):
            prompt, window, soft = draw_region(
                rng, views[k % len(views)], slots, self.mix, MARGIN, GRID, self.region_mix
            )
            out["windows"][k] = window
            out["region_target"][k] = (soft * 255).astype(np.uint8)
            out["region_coords"][k], out["region_labels"][k] = prompt.padded(slots)
            if prompt.prior is not None:
                out["region_mask"][k, 0], out["region_has_mask"][k] = prompt.prior, 1
        return out

    def choose(
        self,
        rng: np.random.Generator,
        item: Item,
        labels: NDArray[Any],
        shown: NDArray[np.int64],
        anchor: int,
        scale: float,
        size: int,
    ) -> list[ObjectView]:
        """The objects asked about: the anchor, others, at times a class or a part of an object."""
        order = list(rng.permutation(shown))
        if anchor in order:
            order.remove(anchor)
            order.insert(0, anchor)
        views = []
        for number in order[: max(self.prompts, self.regions)]:
            mask = labels == number
            draw = rng.random()
            if item.kind == "real" and draw < 0.06:  # the whole class
                own = item.objects[int(number) - 1][0]
                same = [i + 1 for i, o in enumerate(item.objects) if o[0] == own]
                if 1 < len(same) < 40:
                    mask = np.isin(labels, same)
            elif draw > 0.96:  # what a box cuts out of a large thing
                rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
                if rows.size * scale > 60 and columns.size * scale > 60:
                    cut = np.zeros_like(mask)
                    ys = np.sort(rng.choice(rows, 2))
                    xs = np.sort(rng.choice(columns, 2))
                    cut[ys[0] : ys[1] + 1, xs[0] : xs[1] + 1] = True
                    if (mask & cut).sum() * scale**2 > 400:
                        mask = mask & cut
            views.append(ObjectView(mask, scale, size))
        return views
