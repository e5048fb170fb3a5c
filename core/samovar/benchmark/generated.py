"""Generated weights: a model's cost can be measured without anybody's checkpoint.

Every tensor is drawn from a stream that its own key seeds, scaled so that activations stay in a
normal range (no denormal numbers, no infinities, which would make timings wrong). Such a model
segments nothing; every report that uses one says so.
"""

from __future__ import annotations

import re
import shutil
import sys
import zlib
from importlib import import_module, metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.architectures import build_architecture
from samovar.bundle import Bundle
from samovar.errors import DependencyError, SamovarError
from samovar.folders import as_file_name, cache_folder
from samovar.plugins import registry
from samovar.protocols import Architecture
from samovar.specs import EncoderSpec

_KEPT = ("pixel_mean", "pixel_std")
_UNIT = re.compile(
    r"(point_embeddings(\.\d+)?|invalid_points|bbox_\w+_embeddings)\.weight$"
    r"|_embed\.weight$|_tokens?\.weight$|(^|\.)(hf_token|cls_token|no_mem_embed|no_obj_ptr)"
    r"|gaussian_matrix"
)
_SCALES = (
    (re.compile(r"attention_biases|relative_position_bias_table"), 0.0, 0.5),
    (re.compile(r"rel_pos"), 0.0, 0.05),
    (re.compile(r"pos_embed|position_embed"), 0.0, 0.1),
    (re.compile(r"gamma|layer_scale|(^|\.)ls\d?(\.|$)"), 0.1, 0.02),
    (_UNIT, 0.0, 1.0),
    # RepViT adds its token mixers to the stream: at full scale it would grow from block to block
    (re.compile(r"token_mixer\.0\.bn\.weight$"), 0.75, 0.075),
    (re.compile(r"token_mixer\.conv1?\.bn\.weight$"), 0.5, 0.05),
)
"""Pattern of a key, mean and standard deviation; the first that matches counts."""


def value(key: str, shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    """The tensor of a key."""
    stream = np.random.Generator(np.random.PCG64([seed, zlib.crc32(key.encode())]))
    z = stream.standard_normal(shape, dtype=np.float32)
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "running_mean":
        return np.float32(0.1) * z
    if leaf == "running_var":
        return 1 + np.float32(0.1) * np.abs(z)
    for pattern, mean, deviation in _SCALES:
        if pattern.search(key):
            return np.float32(mean) + np.float32(deviation) * z
    if leaf == "bias" or (len(shape) <= 1 and leaf != "weight"):
        return np.float32(0.02) * z
    if len(shape) <= 1:
        return 1 + np.float32(0.1) * z
    return z * np.float32((np.prod(shape) / shape[0]) ** -0.5)


def generated_architecture(spec: EncoderSpec, seed: int = 0) -> Architecture:
    """The torch side of a model, filled with generated weights.

    Raises:
        DependencyError: torch, or something else that building takes, is not installed.
        PluginError: the plugin fails.
    """
    made = build_architecture(spec.canonical)
    torch: Any = import_module("torch")
    with torch.no_grad():
        for key, tensor in made.module.state_dict().items():
            if tensor.is_floating_point() and key.rsplit(".", 1)[-1] not in _KEPT:
                tensor.copy_(torch.from_numpy(value(key, tuple(tensor.shape), seed)))
    made.module.eval()  # modules that cache in eval() have to see the new weights
    return made


def generated_bundle(spec: EncoderSpec) -> Bundle:
    """A model with generated weights as a bundle in the cache folder, exported where not there.

    Raises:
        DependencyError, PluginError: as :func:`generated_architecture`.
        SamovarError: it cannot be exported.
    """
    folder = cache_folder() / "generated" / as_file_name(f"{spec.canonical}-{_version(spec)}")
    try:
        return Bundle.load(folder)
    except SamovarError:
        shutil.rmtree(folder, ignore_errors=True)  # not there yet, or damaged
    architecture = generated_architecture(spec)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        return architecture.export(folder)
    except ModuleNotFoundError as error:
        raise DependencyError(
            f"{spec.canonical}: exporting needs {error.name}: pip install {error.name}"
        ) from error


def main(names: list[str]) -> int:
    """``python -m samovar.benchmark.generated NAME``: makes the bundle and prints its folder."""
    try:
        for name in names:
            sys.stdout.write(f"{generated_bundle(registry().find('encoder', name)).folder}\n")
    except SamovarError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def _version(spec: EncoderSpec) -> str:
    try:
        return metadata.version(spec.distribution)
    except metadata.PackageNotFoundError:
        return "0"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
