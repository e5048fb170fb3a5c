"""A trained `tiny` → four ONNX graphs and a `bundle.json`.

BatchNorm is folded first; initialisers keep the names of the parameters, so that weights go back
and forth. Every graph is checked against torch in ONNX Runtime before the bundle is complete.
"""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from samovar_train.model.choice import Choice
from samovar_train.model.encoder import ConvBN, count_macs
from samovar_train.model.region import GRID, MARGIN, window_of
from samovar_train.model.repvit import Branches
from samovar_train.model.tiny import FRAME, MEAN, STD, Tiny

OPSET = 20
TOLERANCE = 1e-4
INPUTS = {
    "encoder": ["image"],
    "prompt_encoder": ["point_coords", "point_labels", "mask_input", "has_mask_input"],
    "mask_decoder": [
        "image_embeddings",
        "features_s8",
        "features_s4",
        "sparse_embeddings",
        "dense_embeddings",
    ],
    "decoder_roi": [
        "image_embeddings",
        "features_s8",
        "features_s4",
        "windows",
        "point_coords",
        "point_labels",
        "mask_input",
        "has_mask_input",
    ],
}
OUTPUTS = {
    "encoder": ["image_embeddings", "features_s8", "features_s4"],
    "prompt_encoder": ["sparse_embeddings", "dense_embeddings"],
    "mask_decoder": ["low_res_masks", "iou_predictions"],
    "decoder_roi": ["low_res_masks", "iou_predictions"],
}
DYNAMIC = {
    "image": {0: "batch"}, "point_coords": {0: "prompts", 1: "points"},
    "point_labels": {0: "prompts", 1: "points"}, "mask_input": {0: "prompts"},
    "has_mask_input": {0: "prompts"}, "sparse_embeddings": {0: "prompts", 1: "points"},
    "dense_embeddings": {0: "prompts"}, "low_res_masks": {0: "prompts"},
    "iou_predictions": {0: "prompts"}, "windows": {0: "prompts"},
}  # fmt: skip


class ExportError(RuntimeError):
    """The exported graph does not do what the torch module does."""


def fold(model: Tiny) -> Tiny:
    """A copy in evaluation mode: BatchNorms and branches folded into their convolutions."""
    folded = copy.deepcopy(model).eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for module in folded.modules():
        if isinstance(module, ConvBN):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)  # type: ignore[arg-type]
            del module.bn
    branched = [name for name, module in folded.named_modules() if isinstance(module, Branches)]
    for name in branched:
        folded.set_submodule(name, folded.get_submodule(name).folded())  # type: ignore[operator]
    return folded


def sample_prompts(n: int, p: int, seed: int = 0, frame: int = FRAME) -> dict[str, Tensor]:
    """N boxes with p - 2 further points and a prior on every second one."""
    g = torch.Generator().manual_seed(seed)
    coords = torch.rand(n, p, 2, generator=g) * frame
    coords[:, :2] = coords[:, :2].sort(dim=1).values
    labels = torch.randint(-1, 2, (n, p), generator=g).float()
    labels[:, 0], labels[:, 1] = 2, 3
    return {
        "point_coords": coords,
        "point_labels": labels,
        "mask_input": torch.randn(n, 1, frame // 4, frame // 4, generator=g) * 4,
        "has_mask_input": (torch.arange(n) % 2).float()[:, None],
    }


def example_inputs(model: Tiny, role: str, n: int, p: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Inputs of one graph, made by the graphs before it."""
    g = torch.Generator().manual_seed(seed)
    frame = model.choice.frame
    if role == "encoder":
        return (torch.randn(n, 3, frame, frame, generator=g),)
    prompts = tuple(sample_prompts(n, p, seed, frame).values())
    if role == "prompt_encoder":
        return prompts
    with torch.no_grad():
        taps = model.encoder(torch.randn(1, 3, frame, frame, generator=g))
        if role == "mask_decoder":
            return (*taps, *model.prompt_encoder(*prompts))
        coords, labels, mask, given = prompts
        windows = window_of(coords[:, :2].flatten(1))
        return (*taps, windows, coords, labels, mask[:, :, :GRID, :GRID], given)


def export_graph(model: Tiny, role: str, path: Path) -> None:
    """Write one graph of a folded model and check it. Raises ExportError where they disagree."""
    import onnx

    module: nn.Module = getattr(model, role)
    names = INPUTS[role] + OUTPUTS[role]
    with warnings.catch_warnings():
        # sizes of feature maps become constants, as they should
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        torch.onnx.export(
            module,
            example_inputs(model, role, 2 if role == "encoder" else 3, 4),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=INPUTS[role],
            output_names=OUTPUTS[role],
            dynamic_axes={k: v for k, v in DYNAMIC.items() if k in names}
            | ({k: {0: "batch"} for k in OUTPUTS[role]} if role == "encoder" else {}),
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.EVAL,
        )
    graph = onnx.load(str(path))
    graph = tidy(graph)
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, str(path))
    difference = parity(model, role, path)
    if difference > TOLERANCE:
        raise ExportError(
            f"{path.name} differs from torch by {difference:.2e}, more than {TOLERANCE}"
        )


def tidy(graph: Any) -> Any:
    """Without the exporter's document strings and paths: the same weights give the same bytes."""
    graph.producer_name, graph.producer_version, graph.doc_string = "samovar-train", "", ""
    for node in graph.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    return graph


def parity(model: Tiny, role: str, path: Path) -> float:
    """Largest difference to torch, relative to the output's largest value, over several shapes."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for n, p in ((1, 2), (5, 3)) if role != "encoder" else ((1, 0), (2, 0)):
        inputs = example_inputs(model, role, n, max(p, 2), seed=n)
        with torch.no_grad():
            wanted = getattr(model, role)(*inputs)
        got = session.run(
            OUTPUTS[role], {k: v.numpy() for k, v in zip(INPUTS[role], inputs, strict=True)}
        )
        for a, b in zip(wanted, got, strict=True):
            scale = max(1.0, float(a.abs().max()))
            worst = max(worst, float(np.abs(a.numpy() - b).max()) / scale)
    return worst


def digest(path: Path) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}


def describe(model: Tiny, folder: Path, card: dict[str, Any]) -> dict[str, Any]:
    """The `bundle.json` of graphs in a folder; `card` adds or replaces keys."""
    files = {f"{role}.onnx": digest(folder / f"{role}.onnx") for role in INPUTS}
    frame = model.choice.frame
    blank = torch.zeros(1, 3, frame, frame)
    embedding, s8, s4 = model.encoder(blank)
    macs = count_macs(model.encoder, blank)
    return {
        "schema": 1,
        "name": "tiny",
        "version": "0.1.0",
        "roles": {role: f"{role}.onnx" for role in INPUTS},
        "files": files,
        "encode_size": [frame, frame],
        "prompt_frame": [frame, frame],
        "prompt_coordinates": "continuous",
        "resize": {
            "policy": "pad",
            "interpolation": "bilinear-antialias",
            "rounding": "half-up",
            "pad_value": 0.0,
        },
        "normalisation": {"kind": "mean-std", "mean": list(MEAN), "std": list(STD)},
        "channel_order": "RGB",
        "embedding": {"name": "image_embeddings", "shape": list(embedding.shape[1:])},
        "taps": {"features_s8": list(s8.shape[1:]), "features_s4": list(s4.shape[1:])},
        "mask_size": [frame // 4, frame // 4],
        "mask_selection": {"box": "first", "point": "best-quality"},
        "prompts": {"kinds": ["box", "point", "negative-point", "mask"], "max_points": None},
        "mask_threshold": 0.0,
        "roi": {
            "policy": "stretch",
            "mask_size": [GRID, GRID],
            "margin": MARGIN,
            "prompt_kinds": ["box", "point", "negative-point", "mask"],
            "default": True,
            "follows": True,
            "refines": True,
        },
        "precision": "fp32",
        "parameters": sum(p.numel() for p in model.parameters()),
        "encoder_gmac": round(macs / 1e9, 3),
    } | card


def export_bundle(model: Tiny, folder: str | Path, card: dict[str, Any] | None = None) -> Path:
    """Export into a folder, graphs first and `bundle.json` last; returns its path."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    folded = fold(model)
    for role in INPUTS:
        part = folder / f"{role}.part.onnx"
        export_graph(folded, role, part)
        part.replace(folder / f"{role}.onnx")
    out = folder / "bundle.json"
    part = folder / "bundle.json.part"
    part.write_text(
        json.dumps(describe(folded, folder, card or {}), indent=1, ensure_ascii=False) + "\n"
    )
    part.replace(out)
    return out


def load_checkpoint(path: str | Path) -> tuple[Tiny, dict[str, Any]]:
    """The averaged model of a checkpoint, and what else the checkpoint says (step, seed, …).

    A checkpoint of before there was a region decoder leaves that one untrained.
    """
    state = torch.load(path, weights_only=True)
    model = Tiny(Choice(**state.pop("choice", {})))
    weights = state.pop("ema")
    older = not any(key.startswith("decoder_roi.") for key in weights)
    model.load_state_dict(weights, strict=not older)
    for key in ("model", "optimiser", "rng"):
        state.pop(key, None)
    return model.eval(), state
