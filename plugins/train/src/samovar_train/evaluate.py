"""Quick figures while training and after it: pairs sets, the CT volume, the Banepa rows.

Pictures go the host's road: longest side to 512 (Pillow bilinear, which averages when it shrinks),
padded at the bottom and the right, logits back to the picture's own pixels, the model's threshold.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from samovar.bundle import Bundle
from samovar_train.data.catalogue import PairSet, pair_sets
from samovar_train.data.sources import read_pair
from samovar_train.model.region import GRID, window_of
from samovar_train.model.tiny import Tiny, normalise

Array = NDArray[Any]
TAPS = ("image_embeddings", "features_s8", "features_s4")


class Model(Protocol):
    """Encodes a prepared picture and decodes N prompts; numpy in and out."""

    threshold: float  # logits above it are mask
    side: int  # of the square that a picture is put into

    def encode(self, image: Array) -> tuple[Array, ...]: ...

    def decode(self, taps: tuple[Array, ...], prompts: dict[str, Array]) -> tuple[Array, Array]: ...

    def decode_region(
        self, taps: tuple[Array, ...], prompts: dict[str, Array]
    ) -> tuple[Array, Array]: ...


class TorchModel:
    """A `Tiny` in evaluation mode (a copy: the original keeps training)."""

    def __init__(self, model: Tiny, threshold: float = 0.0):
        self.threshold, self.side = threshold, model.choice.frame
        self.model = copy.deepcopy(model).eval()

    @torch.no_grad()
    def encode(self, image: Array) -> tuple[Array, ...]:
        return tuple(t.numpy() for t in self.model.encoder(torch.from_numpy(image)))

    @torch.no_grad()
    def decode(self, taps: tuple[Array, ...], prompts: dict[str, Array]) -> tuple[Array, Array]:
        tensors = {k: torch.from_numpy(v) for k, v in prompts.items()}
        masks, quality = self.model.decode(tuple(torch.from_numpy(t) for t in taps), tensors)  # type: ignore[arg-type]
        return masks.numpy(), quality.numpy()

    @torch.no_grad()
    def decode_region(
        self, taps: tuple[Array, ...], prompts: dict[str, Array]
    ) -> tuple[Array, Array]:
        masks, quality = self.model.decoder_roi(
            *(torch.from_numpy(t) for t in taps), *(torch.from_numpy(p) for p in prompts.values())
        )
        return masks.numpy(), quality.numpy()


class OnnxModel:
    """The exported bundle in ONNX Runtime, in its own precision or in another that it has."""

    def __init__(self, folder: Path, threads: int = 2, precision: str | None = None):
        import onnxruntime as ort

        bundle = Bundle.load(folder)
        bundle = bundle if precision is None else bundle.in_precision(precision)
        self.threshold, self.side = bundle.mask_threshold, bundle.preparation.encode_size[0]
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self.encoder, self.prompt, self.decoder, self.region = (
            ort.InferenceSession(str(bundle.graph(n)), options, providers=["CPUExecutionProvider"])
            for n in ("encoder", "prompt_encoder", "mask_decoder", "decoder_roi")
        )

    def encode(self, image: Array) -> tuple[Array, ...]:
        return tuple(self.encoder.run(list(TAPS), {"image": image}))

    def decode(self, taps: tuple[Array, ...], prompts: dict[str, Array]) -> tuple[Array, Array]:
        sparse, dense = self.prompt.run(["sparse_embeddings", "dense_embeddings"], prompts)
        feeds = dict(zip(TAPS, taps, strict=True)) | {
            "sparse_embeddings": sparse,
            "dense_embeddings": dense,
        }
        masks, quality = self.decoder.run(["low_res_masks", "iou_predictions"], feeds)
        return masks, quality

    def decode_region(
        self, taps: tuple[Array, ...], prompts: dict[str, Array]
    ) -> tuple[Array, Array]:
        feeds = dict(zip(TAPS, taps, strict=True)) | prompts
        masks, quality = self.region.run(["low_res_masks", "iou_predictions"], feeds)
        return masks, quality


class Picture:
    """One picture, encoded at `side` px or the model's own; prompts and masks in its own pixels."""

    def __init__(self, model: Model, image: Array, side: int | None = None):
        side = side or model.side
        self.model, self.side = model, side
        rgb = np.repeat(image[..., None], 3, -1) if image.ndim == 2 else image
        self.height, self.width = rgb.shape[:2]
        self.scale = side / max(self.height, self.width)
        self.h, self.w = (max(1, int(v * self.scale + 0.5)) for v in (self.height, self.width))
        resized = Image.fromarray(rgb).resize((self.w, self.h), Image.Resampling.BILINEAR)
        content = normalise(torch.from_numpy(np.asarray(resized).copy()).permute(2, 0, 1)[None])
        frame = F.pad(content, (0, side - self.w, 0, side - self.h))
        self.taps = model.encode(frame.numpy())

    def predict(
        self,
        boxes: Array | None = None,
        points: Array | None = None,
        labels: Array | None = None,
        prior: Array | None = None,
    ) -> tuple[NDArray[np.bool_], Array, Array]:
        """Masks `(N, H, W)`, quality `(N,)`, chosen low-resolution logits `(N, 1, side/4, side/4)`.

        `boxes` `(N, 4)` x0, y0, x1, y1; `points` `(N, P, 2)` x, y with `labels` `(N, P)`; `prior`
        `(N, 1, side/4, side/4)` logits. A lone point takes the mask of best quality, else mask 0.
        """
        logits, quality, chosen = self.logits(boxes, points, labels, prior)
        return logits > self.model.threshold, quality, chosen

    def logits(
        self,
        boxes: Array | None = None,
        points: Array | None = None,
        labels: Array | None = None,
        prior: Array | None = None,
    ) -> tuple[Array, Array, Array]:
        """What :meth:`predict` thresholds: `(N, H, W)` float32, and the rest of its answer."""
        ratio = np.array([self.w / self.width, self.h / self.height], np.float32)
        parts, kinds = [], []
        if boxes is not None:
            parts.append(np.asarray(boxes, np.float32).reshape(-1, 2, 2) * ratio)
            kinds.append(np.tile(np.float32([2, 3]), (len(parts[-1]), 1)))
        if points is not None and labels is not None:
            parts.append(np.asarray(points, np.float32) * ratio)
            kinds.append(np.asarray(labels, np.float32))
        coords, tokens = np.concatenate(parts, 1), np.concatenate(kinds, 1)
        n = len(coords)
        given = prior is not None
        prompts = {
            "point_coords": coords,
            "point_labels": tokens,
            "mask_input": np.asarray(prior, np.float32)
            if given
            else np.zeros((n, 1, self.side // 4, self.side // 4), np.float32),
            "has_mask_input": np.full((n, 1), float(given), np.float32),
        }
        masks, quality = self.model.decode(self.taps, prompts)
        lone = not given and boxes is None and tokens.shape[1] == 1
        best = quality.argmax(1) if lone else np.zeros(n, int)
        chosen = masks[np.arange(n), best][:, None]
        frame = F.interpolate(torch.from_numpy(chosen), (self.side, self.side), mode="bilinear")[
            :, :, : self.h, : self.w
        ]
        own = F.interpolate(frame, (self.height, self.width), mode="bilinear", antialias=False)
        return own[:, 0].numpy(), quality[np.arange(n), best], chosen

    def predict_region(self, boxes: Array) -> tuple[NDArray[np.bool_], Array]:
        """Masks `(N, H, W)` and quality `(N,)` of boxes, by the region decoder."""
        logits, quality = self.region_logits(boxes)
        return logits > self.model.threshold, quality

    def region_logits(self, boxes: Array) -> tuple[Array, Array]:
        """What :meth:`predict_region` thresholds, minus infinity outside the windows."""
        ratio = np.array([self.w / self.width, self.h / self.height] * 2, np.float32)
        framed = torch.from_numpy(np.asarray(boxes, np.float32) * ratio)
        windows, n = window_of(framed), len(framed)
        prompts = {
            "windows": windows.numpy(),
            "point_coords": framed.reshape(n, 2, 2).numpy(),
            "point_labels": np.tile(np.float32([2, 3]), (n, 1)),
            "mask_input": np.zeros((n, 1, GRID, GRID), np.float32),
            "has_mask_input": np.zeros((n, 1), np.float32),
        }
        logits, quality = self.model.decode_region(self.taps, prompts)
        x = torch.arange(self.width, dtype=torch.float32) + 0.5
        y = torch.arange(self.height, dtype=torch.float32) + 0.5
        found = np.full((n, self.height, self.width), -np.inf, np.float32)
        for i, window in enumerate(windows):
            low, size = window[:2], window[2:] - window[:2]
            u = (x * float(ratio[0]) - low[0]) / size[0] * 2 - 1
            v = (y * float(ratio[1]) - low[1]) / size[1] * 2 - 1
            grid = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1)[None]
            own = F.grid_sample(
                torch.from_numpy(logits[i : i + 1]),
                grid,
                padding_mode="border",
                align_corners=False,
            )
            inside = (u.abs() <= 1)[None, :] & (v.abs() <= 1)[:, None]
            found[i][inside.numpy()] = own[0, 0][inside].numpy()
        return found, quality[:, 0]


def dice(a: Array, b: Array) -> float:
    total = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / total if total else 1.0


def iou(a: Array, b: Array) -> float:
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else 1.0


def prompted_objects(
    mask: Array, instances: bool, most: int = 8, least: int = 100
) -> list[NDArray[np.bool_]]:
    """Objects of a label image: instances, or connected components a class; largest first."""
    from scipy import ndimage

    found = []
    for value in np.unique(mask[mask > 0]):
        own = mask == value
        parts, count = (own.astype(int), 1) if instances else ndimage.label(own)
        found += [parts == i for i in range(1, count + 1)]
    found = [f for f in found if f.sum() >= least]
    return sorted(found, key=lambda f: -int(f.sum()))[:most]


def bounds(mask: NDArray[np.bool_]) -> Array:
    """Box x0, y0, x1, y1 (max exclusive) of a mask."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([xs[0], ys[0], xs[-1] + 1, ys[-1] + 1], np.float32)


def pairs_dice(
    model: Model, pairs: PairSet, stems: list[str], prompt: str = "box"
) -> list[tuple[float, float]]:
    """(Dice, predicted quality minus IoU) of every object in the named pictures."""
    from scipy import ndimage

    out = []
    for stem in stems:
        image, mask = read_pair(pairs, stem)
        objects = prompted_objects(mask, pairs.instances)
        if not objects:
            continue
        picture = Picture(model, image)
        if prompt == "box":
            found, quality, _ = picture.predict(boxes=np.stack([bounds(o) for o in objects]))
        elif prompt == "region":
            found, quality = picture.predict_region(np.stack([bounds(o) for o in objects]))
        else:
            centres = []
            for o in objects:
                depth = ndimage.distance_transform_edt(np.pad(o, 1))[1:-1, 1:-1]
                y, x = np.unravel_index(int(depth.argmax()), depth.shape)
                centres.append([[x + 0.5, y + 0.5]])
            found, quality, _ = picture.predict(
                points=np.array(centres), labels=np.ones((len(objects), 1))
            )
        out += [
            (dice(f, o), float(q) - iou(f, o))
            for f, o, q in zip(found, objects, quality, strict=True)
        ]
    return out


def inscribed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The ellipse in a mask's box: what a box tells by itself."""
    x0, y0, x1, y1 = bounds(mask).tolist()
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    u = (2 * x + 1 - x0 - x1) / (x1 - x0)
    v = (2 * y + 1 - y0 - y1) / (y1 - y0)
    filled: NDArray[np.bool_] = u * u + v * v <= 1
    return filled


def ellipse_dice(pairs: PairSet, stems: list[str]) -> list[tuple[float, float]]:
    """As :func:`pairs_dice`, of ellipses; they expect nothing of themselves."""
    objects = [
        o for stem in stems for o in prompted_objects(read_pair(pairs, stem)[1], pairs.instances)
    ]
    return [(dice(inscribed(o), o), 0.0) for o in objects]


def validation_dice(
    model: Model | None, data: Path, per_set: int | None = None, prompt: str = "box"
) -> dict[str, float]:
    """Mean over sets of mean Dice a domain, on validation stems of the training sets.

    `prompt`: `box` (mask decoder), `region` (the same boxes, region decoder) or a centre point.
    Without a model it is that of the ellipses in the boxes.
    """
    by_domain: dict[str, list[float]] = {"medical": [], "remote_sensing": []}
    errors: list[float] = []
    for pairs in pair_sets(data):
        if not pairs.train or pairs.thin:
            continue
        stems = list(pairs.validation)[:per_set]
        rows = pairs_dice(model, pairs, stems, prompt) if model else ellipse_dice(pairs, stems)
        if rows:
            by_domain[pairs.domain].append(float(np.mean([r[0] for r in rows])))
            errors += [abs(r[1]) for r in rows]
    figures = {k: float(np.mean(v)) for k, v in by_domain.items()}
    return figures | {"quality_error": float(np.mean(errors))}
