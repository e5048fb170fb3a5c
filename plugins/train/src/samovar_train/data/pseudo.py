"""Objects without labels: regions of even intensity, found classically, on training pictures.

A promptable model must outline what it has never been told about. Regions of a smoothed and
quantised picture that are compact enough stand in for such objects, as the self-supervised
stage of one-shot segmenters does with superpixels (Ouyang et al. 2020, arXiv:2007.09886).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samovar_train.data.packing import number_objects


def even_regions(
    image: NDArray[np.uint8], rng: np.random.Generator, most: int = 12
) -> tuple[NDArray[Any], list[tuple[int, int, int, int, int, int]]]:
    """Numbered regions of `(H, W)` or `(H, W, 3)`, and their table (class 1)."""
    grey = image.astype(np.float32) if image.ndim == 2 else image.astype(np.float32).mean(-1)
    size = float(max(grey.shape))
    sigma = rng.uniform(0.002, 0.006) * size
    smooth = ndimage.gaussian_filter(grey, sigma)
    local = smooth - (0.5 * ndimage.gaussian_filter(grey, 0.15 * size) if rng.random() < 0.3 else 0)
    levels = int(rng.integers(4, 8))
    inside = local[smooth > 6] if (smooth > 6).mean() > 0.05 else local.ravel()
    cuts = np.quantile(inside, np.sort(rng.uniform(0.02, 0.98, levels)))
    quantised = np.digitize(local, cuts)
    regions = np.zeros(grey.shape, np.int32)
    count = 0
    radius = max(1, round(0.006 * size))
    ball = np.hypot(*np.mgrid[-radius : radius + 1, -radius : radius + 1]) <= radius
    for level in range(levels + 1):
        opened = ndimage.binary_opening(quantised == level, ball)
        parts, _ = ndimage.label(opened)
        for i, window in enumerate(ndimage.find_objects(parts), start=1):
            part = parts[window] == i
            height, width = part.shape
            area = int(part.sum())
            extent = area / (height * width)
            touches = height >= grey.shape[0] - 2 or width >= grey.shape[1] - 2
            if area < 0.0008 * grey.size or area > 0.25 * grey.size or extent < 0.42 or touches:
                continue
            part = ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(part, radius), ball))
            part = part[radius:-radius, radius:-radius]
            count += 1
            regions[window][part] = count
    if count > most:
        keep = rng.permutation(count)[:most] + 1
        regions[~np.isin(regions, keep)] = 0
    return number_objects(regions, instances=True)
