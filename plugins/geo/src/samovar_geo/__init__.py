"""samovar-geo: satellite and aerial rasters for samovar.

Reads any GDAL raster by windows, takes prompts from vector files and label rasters, and writes
label GeoTIFFs, GeoPackages and GeoJSON in the raster's own geometry.
"""

from __future__ import annotations

__version__ = "0.1.0"
