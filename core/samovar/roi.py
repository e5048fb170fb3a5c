"""Region of interest: deciding which part of a picture a prompt's own, cheaper decoding looks at.

A bundle may have a ``decoder_roi``: a graph that answers over a *window* around a box instead of
over the whole encoder square. Its cost depends on the window's cells alone, and a small object
gets as many of them as a large one. Windows are x0, y0, x1, y1, edges in the prompt frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from samovar.bundle_fields import Fields
from samovar.embedding import Fit
from samovar.errors import UsageError
from samovar.prompt_tokens import BOX_HIGH, BOX_LOW, POSITIVE, Tokens
from samovar.prompts import Prompt

Policy = Literal["stretch", "tokens"]
USES = ("auto", "off", "on")
"""``auto``: where the bundle says that its agreement with the full decoding was measured;
``on``: wherever it can be used; ``off``: never."""
SMALLEST = 1.0
"""A box narrower than this in the prompt frame gets the window of one that is as wide."""


@dataclass(frozen=True)
class RoiRule:
    """What a bundle says of its ``decoder_roi``.

    With ``stretch`` the window is the box grown by ``margin`` times its width or height on each
    side; it may reach outside the picture. With ``tokens`` it is a square of ``tokens`` encoder
    cells of ``stride`` frame units, snapped to them; a box that does not fit with its margin is
    decoded in full.
    """

    mask_size: tuple[int, int]
    """Rows and columns of the logits over a window."""
    policy: Policy = "stretch"
    margin: float = 0.25
    tokens: int = 0
    stride: int = 16
    prompt_kinds: tuple[str, ...] = ("box",)
    """Prompts with anything else are decoded in full; so are those without a box."""
    default: bool = False
    """Used unless somebody says no: set only where the agreement was measured."""
    follows: bool = True
    """Whether an object that is followed from slice to slice is decoded over windows too: a box
    and the previous slice's mask, without points. Otherwise such prompts are decoded in full."""
    refines: bool = False
    """Whether what points alone found is looked at once more: over a window around it, with the
    full decoding's answer as prior and the points as they are."""

    @classmethod
    def parse(cls, fields: Fields) -> RoiRule:
        """From the ``roi`` of ``bundle.json``. Raises ValueError naming the field."""
        policy = fields.choice("policy", ("stretch", "tokens"), "stretch")
        margin = fields.number("margin", 0.25)
        tokens = fields.integer("tokens") if policy == "tokens" else 0
        stride = fields.optional_integer("stride") or 16
        kinds = fields.names("prompt_kinds", ("box",))
        if margin < 0:
            raise ValueError('"roi.margin" is negative')
        if policy == "tokens" and tokens < 1:
            raise ValueError('"roi.tokens" is 0: a window has at least one')
        if "box" not in kinds:
            raise ValueError('"roi.prompt_kinds" lacks "box", around which a window is laid')
        default = fields.flag("default") if "default" in fields.document else False
        follows = fields.flag("follows") if "follows" in fields.document else True
        refines = fields.flag("refines") if "refines" in fields.document else False
        size = fields.pair("mask_size")
        return cls(size, policy, margin, tokens, stride, kinds, default, follows, refines)

    def document(self) -> dict[str, Any]:
        """What ``bundle.json`` holds."""
        tokens = {"tokens": self.tokens, "stride": self.stride} if self.policy == "tokens" else {}
        return {
            "policy": self.policy,
            "mask_size": list(self.mask_size),
            "margin": self.margin,
            **tokens,
            "prompt_kinds": list(self.prompt_kinds),
            "default": self.default,
            "follows": self.follows,
            "refines": self.refines,
        }

    def window(self, prompt: Prompt, tokens: Tokens, fit: Fit) -> NDArray[np.float32] | None:
        """Where to look for an object, ``(4,)``; None where it has to be decoded in full.

        Args:
            prompt: says of what kinds it is.
            tokens: its points and box in the prompt frame.
            fit: how the picture lies in the encoder's square.
        """
        if prompt.box is None or not prompt.kinds <= set(self.prompt_kinds):
            return None
        if prompt.mask is not None and not prompt.points and not self.follows:
            return None
        box = np.concatenate([tokens.coords[tokens.labels == k][0] for k in (BOX_LOW, BOX_HIGH)])
        window = self._around(box.astype(np.float64), fit)
        if window is None:
            return None
        wanted = tokens.coords[tokens.labels == POSITIVE]
        inside = (wanted >= window[:2]) & (wanted <= window[2:])
        return window if inside.all() else None

    def _around(self, box: NDArray[np.float64], fit: Fit) -> NDArray[np.float32] | None:
        low, high = box[:2], box[2:]
        reach = np.maximum(high - low, SMALLEST) * (0.5 + self.margin)
        grown = np.concatenate([(low + high) / 2 - reach, (low + high) / 2 + reach])
        if self.policy == "stretch":
            return grown.astype(np.float32)
        cells = np.array(fit.frame[::-1]) // self.stride
        first = np.clip(np.floor(grown[:2] / self.stride), 0, cells)
        last = np.clip(np.ceil(grown[2:] / self.stride), 0, cells)
        if (last - first > self.tokens).any() or (cells < self.tokens).any():
            return None
        start = np.floor((first + last - self.tokens) / 2)
        start = np.clip(start, 0, cells - self.tokens)
        return np.concatenate([start, start + self.tokens]).astype(np.float32) * self.stride


def wanted(use: str, rule: RoiRule | None, model: str) -> bool:
    """Whether to load the ``decoder_roi`` of a bundle.

    Args:
        use: one of :data:`USES`.
        rule: what its bundle says, None where it has none.
        model: its name, for errors.

    Raises:
        UsageError: not one of the words, or ``on`` for a bundle that has no such graph.
    """
    if use not in USES:
        raise UsageError(f"--region-decode is {use!r}: give one of {', '.join(USES)}")
    if use == "on" and rule is None:
        raise UsageError(
            f"model {model!r} has no region-of-interest decoder: leave --region-decode at auto"
        )
    return rule is not None and (use == "on" or (use == "auto" and rule.default))
