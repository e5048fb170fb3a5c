"""samovar: promptable segmentation of volumes and rasters on a laptop CPU, open to plugins.

>>> import samovar
>>> image = samovar.open("ct.nii.gz")                                      # doctest: +SKIP
>>> objects = samovar.segment(image, boxes={"liver": (60, 40, 20, 180, 150, 70)})  # doctest: +SKIP
>>> objects.save("liver.nii.gz")                                           # doctest: +SKIP

Research use only, not a medical device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar.hookspecs import PLUGIN_API, hookimpl

if TYPE_CHECKING:
    from samovar.api import load_model, make_prompts, open, segment, segment_to
    from samovar.tile_options import TileOptions

__version__ = "0.1.0"

__all__ = [
    "PLUGIN_API",
    "TileOptions",
    "__version__",
    "hookimpl",
    "load_model",
    "make_prompts",
    "open",
    "segment",
    "segment_to",
]


def __getattr__(name: str) -> Any:
    # Plugins import samovar at discovery: the pipeline is imported when it is first asked for.
    if name in ("load_model", "make_prompts", "open", "segment", "segment_to"):
        from samovar import api

        return getattr(api, name)
    if name == "TileOptions":
        from samovar.tile_options import TileOptions

        return TileOptions
    raise AttributeError(f"module 'samovar' has no attribute {name!r}")
