"""samovar: promptable segmentation of volumes and rasters on a laptop CPU, open to plugins.

>>> import samovar                                            # doctest: +SKIP
>>> image = samovar.open("ct.nii.gz")                         # doctest: +SKIP
>>> objects = samovar.segment(image, boxes={"liver": (60, 40, 20, 180, 150, 70)})
...                                                           # doctest: +SKIP
>>> objects.save("liver.nii.gz")                              # doctest: +SKIP

Research use only, not a medical device.
"""

from __future__ import annotations

from samovar.hookspecs import PLUGIN_API, hookimpl

__version__ = "0.1.0"

__all__ = ["PLUGIN_API", "__version__", "hookimpl"]
