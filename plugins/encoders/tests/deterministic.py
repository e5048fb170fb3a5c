"""Deterministic weights and pictures of the parity fixtures: a formula, not a file."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from samovar.benchmark.generated import value


def fill(module: nn.Module, seed: int = 0) -> nn.Module:
    """Overwrite every floating tensor of the state dict, then ``eval()``."""
    with torch.no_grad():
        for key, tensor in module.state_dict().items():
            if not tensor.is_floating_point():
                tensor.zero_()
            elif key.rsplit(".", 1)[-1] not in ("pixel_mean", "pixel_std"):
                tensor.copy_(torch.from_numpy(np.asarray(value(key, tuple(tensor.shape), seed))))
    return module.eval()


def picture(seed: int, height: int, width: int) -> np.ndarray:
    """``(height, width, 3)`` uint8: waves, an ellipse and noise."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    noise = np.random.Generator(np.random.PCG64([seed, 777]))
    out = np.empty((height, width, 3), np.uint8)
    for c in range(3):
        v = 120 + 45 * np.sin(2 * np.pi * ((2 + c) * x / width + 0.17 * seed))
        v = v + 35 * np.cos(2 * np.pi * (3 - c) * y / height + 0.5 * c + seed)
        ellipse = ((x - 0.45 * width) / (0.2 * width)) ** 2
        ellipse = ellipse + ((y - 0.5 * height) / (0.27 * height)) ** 2 < 1
        v = v + 40 * ellipse
        out[..., c] = np.clip(np.floor(v) + noise.integers(-12, 13, (height, width)), 0, 255)
    return out


def volume(seed: int, size: int = 128) -> np.ndarray:
    """``(size, size, size)`` int16 for the 3-D models."""
    d, h, w = np.mgrid[0:size, 0:size, 0:size] / size
    v = 100 + 60 * np.sin(2 * np.pi * (2 * d + 0.13 * seed)) + 50 * np.cos(2 * np.pi * (3 * h + w))
    v = v + 40 * np.sin(2 * np.pi * (2 * w - d) + seed)
    v = v + 120 * (((d - 0.5) / 0.25) ** 2 + ((h - 0.45) / 0.2) ** 2 + ((w - 0.55) / 0.3) ** 2 < 1)
    noise = np.random.Generator(np.random.PCG64([seed, 778]))
    return (np.floor(v) + noise.integers(-15, 16, (size, size, size))).astype(np.int16)
