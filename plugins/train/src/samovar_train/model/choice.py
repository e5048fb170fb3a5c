"""Which encoder a model has: those that were compared, by name, size and activation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from samovar_train.model.efficientvit import efficientvit
from samovar_train.model.encoder import Encoder
from samovar_train.model.pyramid import ACTIVATIONS
from samovar_train.model.repvit import repvit
from samovar_train.model.tinyvit import tinyvit

FRAMES = (256, 512)


@dataclass(frozen=True)
class Choice:
    """The encoder of a model; what a recipe's `[model]` holds. The default is today's `tiny`.

    - `encoder`: a key of :data:`ENCODERS`
    - `activation`: `relu`, `gelu` or `hardswish`
    - `frame`: rows and columns of the square that a picture is put into, 256 or 512
    """

    encoder: str = "tiny"
    activation: str = "relu"
    frame: int = 512

    def __post_init__(self) -> None:
        for key, value, known in (
            ("encoder", self.encoder, tuple(ENCODERS)),
            ("activation", self.activation, ENCODERS.get(self.encoder, ENCODERS["tiny"])[0]),
            ("frame", self.frame, FRAMES),
        ):
            if value not in known:
                words = ", ".join(map(str, known))
                raise ValueError(f"{key} of {self.encoder!r} is {value!r}: there is {words}")

    def build(self) -> nn.Module:
        """The encoder, freshly initialised; at most 1.5 GMAC at its frame."""
        return ENCODERS[self.encoder][1](self)


ANY = tuple(ACTIVATIONS)


def _tiny(choice: Choice) -> nn.Module:
    return Encoder() if choice.frame == 512 else Encoder(widths=(40, 80, 144, 240, 288))


def _repvit(choice: Choice) -> nn.Module:
    if choice.frame == 512:
        return repvit((32, 64, 128, 256), (1, 3, 9, 2), choice.activation)
    return repvit((64, 128, 256, 320), (2, 4, 9, 2), choice.activation)


def _efficientvit(choice: Choice) -> nn.Module:
    if choice.frame == 512:
        return efficientvit((24, 48, 96, 192), (1, 2, 3, 3), choice.activation)
    return efficientvit((56, 112, 192, 256), (1, 3, 4, 2), choice.activation)


def _tinyvit(choice: Choice) -> nn.Module:
    if choice.frame == 512:
        return tinyvit((24, 64, 128, 192), (1, 1, 3, 2), choice.activation)
    return tinyvit((56, 128, 192, 320), (1, 2, 4, 2), choice.activation)


ENCODERS: dict[str, tuple[tuple[str, ...], Callable[[Choice], nn.Module]]] = {
    "tiny": (("relu",), _tiny),
    "repvit": (ANY, _repvit),
    "efficientvit": (ANY, _efficientvit),
    "tinyvit": (ANY, _tinyvit),
}
"""Name → activations it can have, and what builds it."""
