"""Structured pruning: hidden channels that matter least are taken out of a module, for good.

Hidden channels are those between two layers that nothing else sees: of an MLP, of the body of a
residual block. The width of what blocks hand to each other stays. Importance is SlimSAM's
disturbed Taylor expansion (Chen et al., arXiv:2312.05284): first order, of the difference between
the embedding and itself with noise added, since the difference to the embedding itself has no
gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

BETWEEN = (nn.BatchNorm2d, nn.ReLU, nn.GELU, nn.Hardswish, nn.SiLU, nn.Identity, nn.Dropout)
PAIRS = (("fc1", "fc2"), ("lin1", "lin2"))
LEAST = 4
"""Widths stay multiples of this, and at least it."""

Layer = nn.Linear | nn.Conv2d


@dataclass(frozen=True, eq=False)
class Hidden:
    """Channels between a producing and a consuming layer, with the norms between them."""

    name: str
    producer: Layer
    norms: tuple[nn.BatchNorm2d, ...]
    consumer: Layer

    @property
    def width(self) -> int:
        return int(self.producer.weight.shape[0])


def hidden_channels(module: nn.Module) -> Iterator[Hidden]:
    """All of a module's, in a fixed order."""
    for name, child in module.named_modules():
        for first, second in PAIRS:
            a, b = getattr(child, first, None), getattr(child, second, None)
            if fits(a, b):
                yield Hidden(f"{name}.{first}", a, (), b)  # type: ignore[arg-type]
        parent = name.rpartition(".")[0]
        nested = isinstance(module.get_submodule(parent), nn.Sequential) and bool(name)
        if type(child) is nn.Sequential and not nested:
            yield from in_sequence(name, child)


def in_sequence(name: str, sequence: nn.Sequential) -> Iterator[Hidden]:
    """Of layers that run one after the other, nested sequences included."""
    producer: tuple[str, Layer] | None = None
    norms: list[nn.BatchNorm2d] = []
    for path, leaf in leaves(name, sequence):
        if isinstance(leaf, (nn.Linear, nn.Conv2d)):
            if producer is not None and fits(producer[1], leaf):
                yield Hidden(producer[0], producer[1], tuple(norms), leaf)
            whole = not isinstance(leaf, nn.Conv2d) or leaf.groups == 1
            producer, norms = ((path, leaf) if whole else None), []
        elif isinstance(leaf, nn.BatchNorm2d):
            norms.append(leaf)
        elif not isinstance(leaf, BETWEEN):
            producer = None


def leaves(name: str, sequence: nn.Sequential) -> Iterator[tuple[str, nn.Module]]:
    for key, child in sequence.named_children():
        if isinstance(child, nn.Sequential):
            yield from leaves(f"{name}.{key}", child)
        else:
            yield f"{name}.{key}", child


def fits(producer: object, consumer: object) -> bool:
    """Whether the one's outputs are the other's inputs, of a kind that can be cut."""
    if isinstance(producer, nn.Linear) and isinstance(consumer, nn.Linear):
        return producer.out_features == consumer.in_features
    if isinstance(producer, nn.Conv2d) and isinstance(consumer, nn.Conv2d):
        whole = producer.groups == 1 and consumer.groups == 1
        return whole and producer.out_channels == consumer.in_channels
    return False


def importance(hidden: Hidden) -> Tensor:
    """First-order importance of each hidden channel `(width,)` from gradients that are there."""
    out = (hidden.producer.weight * grad(hidden.producer)).flatten(1).sum(1).abs()
    into = (hidden.consumer.weight * grad(hidden.consumer)).transpose(0, 1)
    return (out + into.flatten(1).sum(1).abs()).detach()


def grad(layer: Layer) -> Tensor:
    return torch.zeros_like(layer.weight) if layer.weight.grad is None else layer.weight.grad


def disturbed(embedding: Tensor, generator: torch.Generator, noise: float = 0.01) -> Tensor:
    """What is differentiated: squared distance of an embedding to itself, disturbed."""
    grain = torch.randn(embedding.shape, generator=generator) * noise
    return (embedding - (embedding + grain).detach()).square().sum()


def prune(module: nn.Module, share: float) -> dict[str, int]:
    """Take `share` of the hidden channels out, least important first; gradients must be there.

    Returns the widths left, by name: what :func:`shrink` needs to make an empty module alike.
    """
    widths = {}
    for hidden in list(hidden_channels(module)):
        left = max(LEAST, round(hidden.width * (1 - share) / LEAST) * LEAST)
        if left < hidden.width:
            keep = importance(hidden).topk(left).indices.sort().values
            cut(hidden, keep)
            widths[hidden.name] = left
    module.zero_grad(set_to_none=True)
    return widths


def shrink(module: nn.Module, widths: dict[str, int]) -> None:
    """Give a module the widths of a pruned one, before that one's weights are loaded."""
    for hidden in list(hidden_channels(module)):
        if hidden.name in widths:
            cut(hidden, torch.arange(widths[hidden.name]))


def widths_in(module: nn.Module, state: Mapping[str, Tensor]) -> dict[str, int]:
    """What :func:`shrink` needs for a module to take these weights: the widths that are smaller."""
    found = {}
    for hidden in hidden_channels(module):
        weight = state.get(f"{hidden.name.lstrip('.')}.weight")
        if weight is not None and weight.shape[0] < hidden.width:
            found[hidden.name] = int(weight.shape[0])
    return found


@torch.no_grad()
def cut(hidden: Hidden, keep: Tensor) -> None:
    """Leave only the channels in `keep`."""
    producer, consumer = hidden.producer, hidden.consumer
    producer.weight = nn.Parameter(producer.weight[keep].clone())
    if producer.bias is not None:
        producer.bias = nn.Parameter(producer.bias[keep].clone())
    consumer.weight = nn.Parameter(consumer.weight[:, keep].clone())
    for norm in hidden.norms:
        for key in ("weight", "bias"):
            setattr(norm, key, nn.Parameter(getattr(norm, key)[keep].clone()))
        for key in ("running_mean", "running_var"):
            setattr(norm, key, getattr(norm, key)[keep].clone())
        norm.num_features = len(keep)
    if isinstance(producer, nn.Linear) and isinstance(consumer, nn.Linear):
        producer.out_features = consumer.in_features = len(keep)
    elif isinstance(producer, nn.Conv2d) and isinstance(consumer, nn.Conv2d):
        producer.out_channels = consumer.in_channels = len(keep)
