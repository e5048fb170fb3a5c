"""Pictures of the generators, for the documentation and for whoever wants to judge them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samovar_datasets.atomic import replacing
from samovar_datasets.phantoms import Phantom, ct_phantom, mr_phantom
from samovar_datasets.scenes import CLASSES, Scene
from samovar_datasets.spectra import BANDS

Picture = NDArray[np.uint8]
_COLOURS = {
    "building": (230, 60, 50),
    "field": (235, 200, 70),
    "road": (120, 120, 125),
    "water": (60, 120, 220),
    "tree": (50, 150, 70),
}


def write_pictures(folder: Path) -> list[Path]:
    """Write ``phantom-*.png`` and ``scene-*.png``; returns their paths.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    makers = {
        "phantom-ct": ct_picture,
        "phantom-mr": mr_picture,
        "scene-rgb": scene_picture,
        "scene-truth": truth_picture,
        "scene-bands": bands_picture,
    }
    paths = []
    for name, make in makers.items():
        path = folder / f"{name}.png"
        with replacing(path) as temporary:
            Image.fromarray(make()).save(temporary, format="PNG", optimize=True)
        paths.append(path)
    return paths


def ct_picture(seed: int = 1) -> Picture:
    """Six axial slices in the soft-tissue window, three with outlines; a coronal one."""
    patient = ct_phantom(seed, (60, 236, 304))
    gray = _windowed(patient.image, 40, 400)
    slices = [50, 43, 38, 33, 28, 8]
    tiles = [_rgb(gray[k]) for k in slices]
    tiles[3:] = [
        _outlined(t, patient.labels[k]) for t, k in zip(tiles[3:], slices[3:], strict=True)
    ]
    axial = _rows(tiles, 3)
    coronal = _coronal(patient, gray, 112, axial.shape[0])
    return np.hstack([axial, coronal])


def mr_picture(seed: int = 1) -> Picture:
    """Six slices of the head, from the vertex to the cerebellum, three with the labels."""
    head = mr_phantom(seed)
    gray = np.clip(head.image / np.percentile(head.image, 98) * 255, 0, 255).astype(np.uint8)
    slices = [25, 20, 16, 16, 12, 6]
    tiles = [_rgb(gray[k]) for k in slices]
    tiles[3:] = [_filled(t, head.labels[k]) for t, k in zip(tiles[3:], slices[3:], strict=True)]
    return _rows(tiles, 3)


def scene_picture(seed: int = 17) -> Picture:
    """The demo's scene at half its size."""
    scene = Scene(seed, (1280, 1280), 0.3)
    return _half(scene.read(0, 0, 1280, 1280).transpose(1, 2, 0))


def truth_picture(seed: int = 17) -> Picture:
    """The classes of the same scene, with every instance's border."""
    scene = Scene(seed, (1280, 1280), 0.3)
    classes = scene.classes(0, 0, 1280, 1280)
    picture = np.full((1280, 1280, 3), 235, np.uint8)
    picture[~scene.valid(0, 0, 1280, 1280)] = 0
    for value, name in CLASSES.items():
        picture[classes == value] = _COLOURS[name]
    labels = scene.labels(0, 0, 1280, 1280).astype(np.int64)
    picture[_borders(labels)] = 20
    return _half(picture)


def bands_picture(seed: int = 23) -> Picture:
    """True colour, near-infrared false colour, shortwave infrared, at 1 m."""
    scene = Scene(seed, (384, 384), 1.0, bands=13, bits=16)
    data = scene.read(0, 0, 384, 384).astype(np.float32) / 10000
    index = {name: k for k, name in enumerate(BANDS)}
    tiles = []
    composites = {("B4", "B3", "B2"): 0.3, ("B8", "B4", "B3"): 0.5, ("B12", "B8", "B4"): 0.45}
    for names, white in composites.items():
        shown = np.clip(data[[index[n] for n in names]] / white, 0, 1) ** 0.7 * 255
        tiles.append(shown.astype(np.uint8).transpose(1, 2, 0))
    return np.hstack(tiles)


def _windowed(image: NDArray[Any], level: float, width: float) -> Picture:
    return np.clip((image - (level - width / 2)) / width * 255, 0, 255).astype(np.uint8)


def _rgb(gray: Picture) -> Picture:
    return np.repeat(gray[..., None], 3, axis=2)


def _rows(tiles: list[Picture], across: int) -> Picture:
    rows = [np.hstack(tiles[i : i + across]) for i in range(0, len(tiles), across)]
    return np.vstack(rows)


def _coronal(patient: Phantom, gray: Picture, row: int, height: int) -> Picture:
    plane = gray[::-1, row]
    aspect = patient.spacing[2] / patient.spacing[0]
    wide = round(height / (plane.shape[0] * aspect) * plane.shape[1])
    picture = Image.fromarray(plane).resize((wide, height), Image.Resampling.BICUBIC)
    return _rgb(np.asarray(picture))


def _palette(values: NDArray[Any]) -> Picture:
    turn = np.modf(np.asarray(values) * 0.6180339)[0][..., None] + np.array([0, 1 / 3, 2 / 3])
    return (140 + 110 * np.cos(2 * np.pi * turn)).astype(np.uint8)


def _borders(labels: NDArray[Any]) -> NDArray[np.bool_]:
    edge = np.zeros(labels.shape, bool)
    edge[1:] |= labels[1:] != labels[:-1]
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    return edge


def _outlined(picture: Picture, labels: NDArray[Any]) -> Picture:
    edge = _borders(labels) & (labels > 0)
    result = picture.copy()
    result[edge] = _palette(labels)[edge]
    return result


def _filled(picture: Picture, labels: NDArray[Any]) -> Picture:
    result = picture.astype(np.float32)
    named = labels > 0
    result[named] = 0.5 * result[named] + 0.5 * _palette(labels)[named]
    return result.astype(np.uint8)


def _half(picture: Picture) -> Picture:
    rows, columns = picture.shape[0] // 2, picture.shape[1] // 2
    mean = picture.reshape(rows, 2, columns, 2, 3).mean(axis=(1, 3))
    return np.rint(mean).astype(np.uint8)
