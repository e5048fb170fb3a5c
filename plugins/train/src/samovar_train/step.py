"""One step of training: what a batch asks, how it is asked again, and the loss of the answers."""

from __future__ import annotations

import torch
from torch import Tensor

from samovar_train.following import carried_on
from samovar_train.losses import prompt_loss, region_loss
from samovar_train.model.tiny import Tiny, normalise
from samovar_train.recipe import Recipe

Taps = tuple[Tensor, Tensor, Tensor]


@torch.no_grad()
def corrective_points(
    logits: Tensor, target: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A point in what is wrong with `(N, 1, h, w)` logits: coords `(N, 1, 2)`, labels `(N, 1)`.

    Coordinates are in cells of the logits.

    Thick errors are likelier than rims. Where nothing is wrong the point lies on the object.
    """
    wanted = target > 0.5
    wrong = ((logits > 0) != wanted).float()
    depth = torch.nn.functional.avg_pool2d(wrong, 5, 1, 2)
    weight = (wrong * depth.pow(3)).flatten(1)
    fallback = target.flatten(1) + 1e-6
    weight = torch.where(weight.sum(1, keepdim=True) > 0, weight, fallback)
    index = torch.multinomial(weight, 1, generator=generator)  # (N, 1)
    width = logits.shape[-1]
    coords = torch.stack([index % width, index // width], dim=-1).float() + 0.5  # (N, 1, 2)
    labels = wanted.flatten(1).gather(1, index).float()
    return coords, labels


def training_step(
    model: Tiny, batch: dict[str, Tensor], recipe: Recipe, step: int
) -> dict[str, float]:
    """Forward and backward of one batch; leaves gradients in the model."""
    rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step + 500_000_000 * rank)
    again_too = torch.rand((), generator=torch.Generator().manual_seed(recipe.seed + 7 * step))
    image = normalise(batch["image"]).contiguous(memory_format=torch.channels_last)
    target = batch["target"].float()[:, None] / 255
    prompts = {
        k: batch[k] for k in ("point_coords", "point_labels", "mask_input", "has_mask_input")
    }
    per_image = target.shape[0] // image.shape[0]
    with torch.autocast("cpu", torch.bfloat16), torch.set_grad_enabled(learns(model.encoder)):
        embeddings: Taps = model.encoder(image)
    asks = bool(len(target)) and any(
        learns(p) for p in (model.encoder, model.prompt_encoder, model.mask_decoder)
    )
    if not asks:
        loss, figures = region_step(
            model, batch, embeddings, bool(again_too < recipe.second_round), generator
        )
        loss.backward()
        return figures | {"loss": float(loss.detach())}
    with torch.autocast("cpu", torch.bfloat16):
        repeated: Taps = tuple(t.repeat_interleave(per_image, 0) for t in embeddings)  # type: ignore[assignment]
        logits, quality = model.decode(repeated, prompts)
    logits, quality = logits.float(), quality.float()
    loss, figures = prompt_loss(logits, quality, target, batch["single"])
    if again_too < recipe.second_round:
        pick = torch.randperm(target.shape[0], generator=generator)[: target.shape[0] // 2]
        before = logits[pick, :1].detach().clamp(-16, 16)
        coords, labels = corrective_points(before, target[pick], generator)
        labels[torch.rand(labels.shape, generator=generator) < 0.15] = -1  # the mask alone
        again = {
            "point_coords": torch.cat([prompts["point_coords"][pick], coords * 4], 1),
            "point_labels": torch.cat([prompts["point_labels"][pick], labels], 1),
            "mask_input": before,
            "has_mask_input": torch.ones(len(pick), 1),
        }
        with torch.autocast("cpu", torch.bfloat16):
            logits, quality = model.decode(tuple(t[pick] for t in repeated), again)  # type: ignore[arg-type]
        none_single = torch.zeros(len(pick), dtype=torch.bool)
        second, second_figures = prompt_loss(
            logits.float(), quality.float(), target[pick], none_single
        )
        loss = loss + 0.6 * second
        figures["iou_second"] = second_figures["iou"]
    if len(batch["windows"]):
        region, region_figures = region_step(
            model, batch, embeddings, bool(again_too < recipe.second_round), generator
        )
        loss = loss + region
        figures |= region_figures
    loss.backward()
    figures["loss"] = float(loss.detach())
    return figures


def learns(part: torch.nn.Module) -> bool:
    """Whether training changes a part of the model."""
    return any(p.requires_grad for p in part.parameters())


def hold_still(model: Tiny, parts: tuple[str, ...]) -> None:
    """Let only these parts learn; the others keep their weights and their statistics.

    Raises ValueError for a part that the model lacks.
    """
    own = dict(model.named_children())
    if unknown := sorted(set(parts) - set(own)):
        raise ValueError(f"the recipe's parts name {unknown}: there are {sorted(own)}")
    for name, part in own.items():
        if parts and name not in parts:
            part.eval().requires_grad_(False)


def region_step(
    model: Tiny,
    batch: dict[str, Tensor],
    embeddings: Taps,
    again_too: bool,
    generator: torch.Generator,
) -> tuple[Tensor, dict[str, float]]:
    """Loss of the region decoder on a batch, with a corrective point for half of it at times."""
    windows = batch["windows"]
    target = batch["region_target"].float()[:, None] / 255
    coords, labels = batch["region_coords"], batch["region_labels"]
    given = batch["region_mask"], batch["region_has_mask"]
    with torch.autocast("cpu", torch.bfloat16):
        logits, quality = model.decoder_roi(*embeddings, windows, coords, labels, *given)
    logits = logits.float()
    loss, figures = region_loss(logits, quality.float(), target)
    if not again_too:
        return loss, figures
    images = embeddings[0].shape[0]
    each = len(windows) // images
    rows = torch.arange(images)[:, None] * each
    corrected = (rows + torch.arange(0, each, 2)).flatten()
    followed = (rows + torch.arange(1, each, 2)).flatten()
    answers = logits.detach().clamp(-16, 16)
    rounds = [corrective_round(corrected, answers, target, windows, coords, labels, generator)]
    if len(followed):
        rounds.append(followed_round(followed, answers, target, windows, generator))
    found = []
    for weight, prompts, wanted in rounds:
        with torch.autocast("cpu", torch.bfloat16):
            logits, quality = model.decoder_roi(*embeddings, *prompts)
        second, second_figures = region_loss(logits.float(), quality.float(), wanted)
        loss = loss + weight * second
        found.append(second_figures["iou_region"])
    figures["iou_region_second"] = found[0]
    figures["iou_region_followed"] = found[-1]
    return loss, figures


Prompts = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Windows, coordinates, labels, prior and whether there is one, as `RegionDecoder` takes them."""


def corrective_round(
    pick: Tensor,
    answers: Tensor,
    target: Tensor,
    windows: Tensor,
    coords: Tensor,
    labels: Tensor,
    generator: torch.Generator,
) -> tuple[float, Prompts, Tensor]:
    """Weight, prompts and target of asking again with the answer and a point in what is wrong."""
    at, kind = corrective_points(answers[pick], target[pick], generator)
    size = (windows[pick, 2:] - windows[pick, :2])[:, None]
    at = windows[pick, None, :2] + at / answers.shape[-1] * size
    kind[torch.rand(kind.shape, generator=generator) < 0.15] = -1  # the mask alone
    prompts = (
        windows[pick],
        torch.cat([coords[pick], at], 1),
        torch.cat([labels[pick], kind], 1),
        answers[pick],
        torch.ones(len(pick), 1),
    )
    return 0.4, prompts, target[pick]


def followed_round(
    pick: Tensor, answers: Tensor, target: Tensor, windows: Tensor, generator: torch.Generator
) -> tuple[float, Prompts, Tensor]:
    """Weight, prompts and target of following the answers to a next slice."""
    next_ = carried_on(answers[pick], target[pick], windows[pick], generator)
    prompts = (next_.windows, next_.coords, next_.labels, next_.prior, torch.ones(len(pick), 1))
    return 0.4, prompts, next_.target
