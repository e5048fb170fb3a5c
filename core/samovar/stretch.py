"""``--stretch``: the limits between which a raster's values become grey levels, as users say it.

Percentiles of the whole scene (``2,98``), limits (``0:3000``, or one pair a channel
``0:3000,0:2500,0:2000``), or ``none``: values are grey levels 0…255 already.
"""

from __future__ import annotations

from dataclasses import dataclass

from samovar.errors import UsageError


@dataclass(frozen=True)
class Wish:
    """What ``--stretch`` asked for; exactly one is set."""

    percentiles: tuple[float, float] | None = None
    limits: tuple[tuple[float, float], ...] = ()


def parse_stretch(text: str) -> Wish:
    """The text as a wish.

    Raises:
        UsageError: it is none of the forms.
    """
    words = [word.strip() for word in text.split(",")]
    try:
        if text.strip().lower() == "none":
            return Wish(limits=((0.0, 255.0),))
        if any(":" in word for word in words):
            pairs = [word.split(":") for word in words]
            limits = tuple((float(low), float(high)) for low, high in pairs)
            if len(limits) <= 3 and all(low < high for low, high in limits):
                return Wish(limits=limits)
        else:
            low, high = (float(word) for word in words)
            if 0 <= low < high <= 100:
                return Wish(percentiles=(low, high))
    except ValueError:
        pass
    raise UsageError(
        f"--stretch {text}: write percentiles as 2,98, limits as 0:3000 (one for all, or one a "
        "channel), or none"
    )
