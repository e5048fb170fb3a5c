"""Objects without labels: regions of even intensity, found classically, on training pictures.

A promptable model must outline what it has never been told about. Regions of a smoothed and
quantised picture that are compact enough stand in for such objects, as the self-supervised
stage of one-shot segmenters does with superpixels (Ouyang et al. 2020, arXiv:2007.09886). Beside
quantised levels there are superpixels (SLIC, Achanta et al. 2012), the graph-based regions of
Felzenszwalb and Huttenlocher 2004, and the basins of a watershed of the gradient (Vincent and
Soille 1991), all of scikit-image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samovar_train.data.packing import number_objects

Table = list[tuple[int, int, int, int, int, int]]
MOST = 12
RING = 4
"""Pixels around a region that it is compared with."""
CONTRAST = 8.0
"""Least difference of grey levels, of 255, to that ring."""


def even_regions(
    image: NDArray[np.uint8], rng: np.random.Generator, most: int = MOST
) -> tuple[NDArray[Any], Table]:
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


def superpixels(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.int64]:
    """SLIC: 20 to 80 cells of even colour and compact shape."""
    from skimage.segmentation import slic

    reach = 100 if image.ndim == 3 else 1  # of the values that SLIC works on: Lab, or 0 to 1
    found: NDArray[np.int64] = slic(
        image,
        n_segments=int(rng.integers(20, 80)),
        compactness=float(np.exp(rng.uniform(*np.log([0.03, 0.2])))) * reach,
        sigma=rng.uniform(0.5, 2.0),
        channel_axis=-1 if image.ndim == 3 else None,
        start_label=1,
    )
    return found


def felzenszwalb(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.int64]:
    """Regions whose inner differences are smaller than those to their neighbours."""
    from skimage.segmentation import felzenszwalb as graph_based

    found: NDArray[np.int64] = graph_based(
        image,
        scale=float(np.exp(rng.uniform(np.log(80), np.log(600)))),
        sigma=rng.uniform(0.6, 2.0),
        min_size=max(24, image.shape[0] * image.shape[1] // 1500),
        channel_axis=-1 if image.ndim == 3 else None,
    )
    return found + 1


def watershed(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.int64]:
    """Basins of the gradient's magnitude, flooded from wherever it is low."""
    from skimage.segmentation import watershed as flood

    grey = image.astype(np.float32) if image.ndim == 2 else image.astype(np.float32).mean(-1)
    sigma = rng.uniform(0.004, 0.012) * max(grey.shape)
    steep = ndimage.gaussian_gradient_magnitude(grey, max(1.0, sigma))
    low = steep < np.quantile(steep, rng.uniform(0.3, 0.7))
    seeds, _ = ndimage.label(ndimage.binary_opening(low, iterations=2))
    found: NDArray[np.int64] = flood(steep, seeds)
    return found


def compact(
    image: NDArray[np.uint8],
    regions: NDArray[np.int64],
    rng: np.random.Generator,
    most: int = MOST,
) -> tuple[NDArray[Any], Table]:
    """At most `most` of the regions that could be objects.

    They are neither tiny nor the ground, fill their bounds well enough, and differ by
    :data:`CONTRAST` from what is around them: cells of even ground do not.
    """
    grey = image.astype(np.float32) if image.ndim == 2 else image.astype(np.float32).mean(-1)
    kept = np.zeros(regions.shape, np.int32)
    whole, count = regions.size, 0
    windows = ndimage.find_objects(regions)
    for value in rng.permutation(len(windows)):
        window = windows[value]
        if window is None or count == most:
            continue
        part = regions[window] == value + 1
        area, (height, width) = int(part.sum()), part.shape
        touches = height >= regions.shape[0] - 2 or width >= regions.shape[1] - 2
        if touches or not 8e-4 * whole <= area <= 0.25 * whole or area < 0.42 * part.size:
            continue
        wide = tuple(slice(max(0, w.start - RING), w.stop + RING) for w in window)
        inside = regions[wide] == value + 1
        ring = ndimage.binary_dilation(inside, iterations=RING) & ~inside
        if abs(float(grey[wide][inside].mean() - grey[wide][ring].mean())) < CONTRAST:
            continue
        count += 1
        kept[window][part] = count
    return number_objects(kept, instances=True)


WAYS: dict[str, Callable[..., NDArray[np.int64]]] = {
    "superpixels": superpixels,
    "felzenszwalb": felzenszwalb,
    "watershed": watershed,
}
"""Name → what cuts a picture into regions numbered from 1; `levels` is :func:`even_regions`."""


def pseudo_objects(
    image: NDArray[np.uint8], rng: np.random.Generator, ways: Mapping[str, float]
) -> tuple[NDArray[Any], Table]:
    """Objects found in one of the ways, drawn by their weights; `levels` is one of them."""
    names = sorted(ways)
    shares = np.array([ways[n] for n in names], float)
    way = str(rng.choice(names, p=shares / shares.sum()))
    if way == "levels":
        return even_regions(image, rng)
    return compact(image, WAYS[way](image, rng), rng)


def check_ways(ways: Mapping[str, float]) -> None:
    """Raises ValueError for a way that there is not, or for weights that are none."""
    known = {"levels", *WAYS}
    if unknown := sorted(set(ways) - known):
        raise ValueError(f"pseudo names {unknown}: there are {sorted(known)}")
    if ways and (min(ways.values()) < 0 or sum(ways.values()) <= 0):
        raise ValueError("weights in pseudo are not negative, and not all 0")
