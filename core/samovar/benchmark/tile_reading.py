"""How much of a file is read to look at every tile of it once."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from samovar.formats import open_image
from samovar.lattice import Lattice, Tiling
from samovar.swaths import swath_of

_COUNTERS = Path("/proc/self/io")
TILES = {"tiled": True, "blockxsize": 512, "blockysize": 512}
LAYOUTS: dict[str, tuple[int, int, int, dict[str, Any]]] = {
    "tiles of 512": (4000, 4000, 3, TILES),
    "tiles of 512, wide": (6000, 32_000, 3, TILES),
    "lines": (4000, 4000, 3, {}),
    "lines, wide": (2000, 32_000, 3, {}),
}
"""Rows, columns, bands, and how the TIFF is stored."""


def reading(folder: Path, progress: Callable[[str], Any]) -> dict[str, Any]:
    """A table of bytes read in bytes of the file, as the host reads and row by row."""
    rows = []
    for name, (high, wide, bands, options) in LAYOUTS.items():
        progress(name)
        path = _written(folder / "layout.tif", high, wide, bands, options)
        size = path.stat().st_size
        ours, before = _read(path, True), _read(path, False)
        told = ["not known" if n is None else f"{n / size:.2f}" for n in (ours, before)]
        rows.append([name, f"{wide} × {high} × {bands}", f"{size / 2**20:.0f}", *told])
        path.unlink()
    return {
        "title": "What is read of a file",
        "about": "Deflated TIFFs, every tile looked at once. Row by row: with the same tiles and a "
        "block cache of 32 MB.",
        "columns": ["stored in", "size", "MiB", "times read", "row by row"],
        "rows": rows,
    }


def _written(path: Path, high: int, wide: int, bands: int, options: dict[str, Any]) -> Path:
    """Noise of two bits a pixel."""
    rasterio = import_module("rasterio")
    window = import_module("rasterio.windows").Window
    rng = np.random.default_rng(0)
    with rasterio.open(
        path, "w", driver="GTiff", height=high, width=wide, count=bands, dtype="uint8",
        crs="EPSG:32645", transform=rasterio.Affine(0.5, 0, 300_000, 0, -0.5, 3_000_000),
        compress="deflate", zlevel=1, **options,
    ) as dataset:  # fmt: skip
        for row in range(0, high, 512):
            rows = min(512, high - row)
            noise = rng.integers(0, 4, (bands, rows, wide), dtype=np.uint8)
            dataset.write(noise, window=window(0, row, wide, rows))
    return path


def _read(path: Path, in_swaths: bool) -> int | None:
    """Bytes that looking at every tile took; None where the system does not count them."""
    with open_image(str(path)) as image:
        lattice, together = Lattice.of(image, Tiling()), 1
        if in_swaths:
            swath = swath_of(lattice, image.blocks)
            image.keep_blocks(swath.kept)
            together = swath.rows
        begun = _counted()
        for _, view in lattice.occupied(image.blank, together):
            image.valid(view.region)
            image.read(view.region)
        ended = _counted()
    return None if begun is None or ended is None else ended - begun


def _counted() -> int | None:
    """Bytes that this process has read from files so far, as Linux counts them."""
    if not _COUNTERS.is_file():
        return None
    return int(_COUNTERS.read_text(encoding="ascii").split()[1])
