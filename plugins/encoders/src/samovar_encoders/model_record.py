"""The record of one system: what it is, how it wants its input, where it comes from.

Frozen, read without importing torch. ``builder`` (``"module:function"``) makes the module with
freshly initialised weights; upstream's key names are its state dict's.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .rules import Normalise, Output, PromptFrame, Resize

if TYPE_CHECKING:
    from torch import Tensor

    from .model import PromptableModel


# SAM's own rules are the defaults
_RESIZE, _NORMALISE, _FRAME, _OUTPUT = Resize(), Normalise(), PromptFrame(), Output()


@dataclass(frozen=True)
class ModelRecord:
    """One checkpoint format of one system."""

    name: str
    """What ``samovar models import --as`` takes."""
    system: str
    builder: str
    citation: str
    architecture: str = ""
    encode_size: int = 1024
    grid: int = 64
    """Side of the embedding."""
    resize: Resize = _RESIZE
    normalise: Normalise = _NORMALISE
    frame: PromptFrame = _FRAME
    output: Output = _OUTPUT
    code_licence: str = "Apache-2.0"
    weights_licence: str = "Apache-2.0"
    checkpoints: tuple[str, ...] = ()
    """File names as upstream publishes them; several are loaded together."""
    wrappers: tuple[str, ...] = ()
    """Keys under which a checkpoint may hold its state dict; the first that is there counts."""
    prefixes: tuple[str, ...] = ("module.",)
    """Cut off the front of every key when all keys have it."""
    renaming: str = ""
    """``"module:function"`` that brings the keys and shapes of a file to those of the module."""
    optional_keys: tuple[str, ...] = ()
    """Beginnings of keys that a checkpoint may lack or have too many."""
    modalities: tuple[str, ...] = ("rgb",)
    dimensions: int = 2
    homepage: str = ""
    parity: str = ""
    """Folder with upstream's key layout, and fixtures if any; empty when there is none."""
    has_fixture: bool = True
    """Upstream's numbers were recorded; otherwise only keys and shapes are checked."""
    note: str = ""
    segmenter: str = ""
    """``"module:Class"`` that runs it as a whole, by :class:`samovar.protocols.Segmenter`; of
    systems that no bundle of an encoder and a decoder can express."""
    lora_targets: tuple[str, ...] = ("attn.qkv", "attn.proj")
    """Ends of the names of the encoder's layers that low-rank adapters go to."""

    @property
    def region_tokens(self) -> int:
        """Side of the square of cells that the region decoder looks at: a quarter of the grid's."""
        return self.grid // 4

    @property
    def stride(self) -> int:
        """Units of the prompt frame that a cell of the embedding is wide."""
        return self.frame.size // self.grid

    @property
    def can_be_bundle(self) -> bool:
        """Pictures and prompts in: what a bundle of three graphs can express."""
        return self.dimensions == 2 and bool(self.frame.kinds)

    def build(self) -> PromptableModel:
        """The torch module, randomly initialised, in train mode."""
        return _named(self.builder)()

    def renamed(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """One file's tensors under the module's keys."""
        return _named(self.renaming)(state) if self.renaming else state


def _named(path: str) -> Any:
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)
