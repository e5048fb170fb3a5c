"""A checkpoint that the field already has → a samovar bundle that runs without torch."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from samovar.bundle import Bundle
from samovar.errors import UsageError
from samovar.resize import Normalisation, Preparation, PromptScale
from samovar.resize import Resize as HostResize
from samovar.roi import RoiRule
from samovar.segmenter_bundle import SegmenterBundle
from samovar.selection import Selection

from .checkpoint import Imported, load_weights
from .export import export_role
from .model import EMBEDDING, PromptableModel
from .model_record import ModelRecord
from .registry import record
from .roles import roles_of

INTERPOLATION = {
    "pillow-bilinear": ("bilinear-antialias", True),
    "pillow-bicubic": ("bicubic-antialias", True),
    "opencv-area": ("area", True),
    "opencv-nearest": ("nearest", True),
    "linear": ("bilinear", False),
    "linear-uint8": ("bilinear", True),
    "triangle": ("bilinear-antialias", False),
    "spline-cubic": ("spline-cubic", True),
}
"""The host's rule for each of upstream's kernels, and whether it works in whole grey levels."""


def import_checkpoint(paths: Sequence[str | Path], name: str) -> Imported:
    """The torch module called ``name`` with the weights of ``paths``.

    Raises:
        UnknownModel: no such name.
        CheckpointError: a file that cannot be read, or is another model; keys are listed.
    """
    if not paths:
        raise UsageError("no checkpoint given: name at least one file")
    return load_weights(record(name), paths)


def import_bundle(
    paths: Sequence[str | Path], name: str, folder: str | Path, version: str = "0.1.0"
) -> Bundle | SegmenterBundle:
    """Import, export the graphs, verify them against torch, write the bundle.

    Raises:
        UsageError: a model that nothing here runs but torch.
        CheckpointError, ExportError, OutputError: as their parts do.
    """
    refuse_what_cannot_be_a_bundle(record(name))
    return write_bundle(import_checkpoint(paths, name), folder, version)


def refuse_what_cannot_be_a_bundle(rules: ModelRecord) -> None:
    """Raises UsageError for a model that neither the host nor a segmenter runs."""
    if not (rules.can_be_bundle or rules.segmenter):
        raise UsageError(
            f"{rules.name} takes no prompts, so it cannot be a bundle: build it with "
            "samovar_encoders.importing.import_checkpoint"
        )


def write_bundle(
    imported: Imported, folder: str | Path, version: str = "0.1.0"
) -> Bundle | SegmenterBundle:
    """Export, verify and write a model that is already in memory."""
    rules, model = imported.record, imported.module
    with tempfile.TemporaryDirectory() as scratch:
        differences = {
            role: export_role(model, rules, role, Path(scratch) / f"{role}.onnx")
            for role in roles_of(rules)
        }
        sources = {path.name: path for path in sorted(Path(scratch).iterdir())}
        made = describe if rules.can_be_bundle else describe_segmenter
        return made(imported, differences, version).save(folder, sources)


def describe(imported: Imported, differences: dict[str, float], version: str) -> Bundle:
    """``bundle.json`` of a model; files and their hashes are added on writing."""
    rules, model = imported.record, imported.module
    shapes = model.feature_shapes(rules.grid)
    side = 4 * rules.grid
    return Bundle(
        name=rules.name,
        version=version,
        roles={role: f"{role}.onnx" for role in roles_of(rules)},
        files={},
        preparation=preparation(rules),
        embedding_shape=shapes.pop(EMBEDDING),
        taps=shapes,
        mask_size=(side, side),
        mask_selection=selection(rules),
        prompt_kinds=prompt_kinds(rules),
        max_points=rules.frame.max_points,
        roi=region_rule(rules),
        modalities=rules.modalities,
        parameters=sum(p.numel() for p in model.parameters()),
        code_licence=rules.code_licence,
        weights_licence=rules.weights_licence,
        intended_use=f"{rules.system} as published; not a medical device",
        provenance=provenance(imported),
        validation=validation(differences),
    )


def describe_segmenter(
    imported: Imported, differences: dict[str, float], version: str
) -> SegmenterBundle:
    """``bundle.json`` of a model that a segmenter of this plugin runs."""
    rules = imported.record
    return SegmenterBundle(
        name=rules.name,
        version=version,
        segmenter=f"samovar-encoders/{rules.name}",
        roles={role: f"{role}.onnx" for role in roles_of(rules)},
        modalities=rules.modalities,
        parameters=sum(p.numel() for p in imported.module.parameters()),
        code_licence=rules.code_licence,
        weights_licence=rules.weights_licence,
        intended_use=f"{rules.system} as published; not a medical device",
        provenance=provenance(imported),
        validation=validation(differences),
    )


def validation(differences: dict[str, float]) -> dict[str, Any]:
    """How far the graphs are from torch."""
    return {"onnx_against_torch": {k: float(f"{v:.1e}") for k, v in differences.items()}}


def region_rule(rules: ModelRecord) -> RoiRule:
    """The window of ``decoder_roi``; not used unless asked for, since real weights may differ."""
    side = 4 * rules.region_tokens
    return RoiRule(
        (side, side), "tokens", 0.25, rules.region_tokens, rules.stride, prompt_kinds(rules)
    )


def preparation(rules: ModelRecord) -> Preparation:
    """The host's rules for the picture."""
    interpolation, whole_levels = INTERPOLATION[rules.resize.kernel]
    resize = HostResize(
        policy="pad" if rules.resize.policy == "longest" else "stretch",
        interpolation=interpolation,  # type: ignore[arg-type]
        rounding="half-up" if rules.resize.rounding == "nearest" else "floor",
        whole_levels=whole_levels,
    )
    encode, frame = rules.encode_size, rules.frame.size
    scale: PromptScale = "longest-side" if rules.frame.scale[:9] == "isotropic" else "frame"
    return Preparation(
        (encode, encode), (frame, frame), "scaled", resize, normalisation(rules), "RGB", scale
    )


def normalisation(rules: ModelRecord) -> Normalisation:
    """In units of 0…255."""
    rule = rules.normalise
    if rule.kind == "minmax":
        return Normalisation("min-max")
    if rule.kind == "standardise":
        return Normalisation("mean-std", rule.mean, rule.std)
    return Normalisation(
        "mean-std", tuple(255 * v for v in rule.mean), tuple(255 * v for v in rule.std)
    )


def selection(rules: ModelRecord) -> Selection:
    """Which mask upstream's predictor keeps, by situation."""
    if rules.output.selection == "first-token":
        return Selection("first")
    if rules.output.selection == "stability":
        return Selection("stability")
    if rules.frame.padding == "six":
        return Selection("best-reading")
    if rules.frame.padding == "never":
        return Selection("best-quality")
    if rules.name in ("tiny-sam", "sam-med2d"):
        return Selection("best-reading")
    return Selection("first", point="best-reading")


def prompt_kinds(rules: ModelRecord) -> tuple[str, ...]:
    """What a user may give."""
    return tuple(
        kind for kind in ("box", "point", "negative-point", "mask") if kind in rules.frame.kinds
    )


def provenance(imported: Imported) -> dict[str, Any]:
    """Where the weights came from."""
    rules = imported.record
    return {
        "system": rules.system,
        "architecture": f"samovar-encoders/{rules.name.replace('+', '-plus')}",
        "citation": rules.citation,
        "homepage": rules.homepage,
        "checkpoints": [
            {"name": s.name, "sha256": s.sha256, "bytes": s.bytes} for s in imported.sources
        ],
        "torch": torch.__version__,
    }


__all__ = [
    "Imported",
    "PromptableModel",
    "import_bundle",
    "import_checkpoint",
    "write_bundle",
]
