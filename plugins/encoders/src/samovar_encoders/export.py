"""ONNX graphs of a model's roles, verified against the torch module that they came from."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .errors import ExportError
from .model import PromptableModel
from .model_record import ModelRecord
from .roles import names_of, role_module, sample_inputs

OPSET = 20
TOLERANCE = 2e-4
"""Largest difference to torch, relative to the output's largest value (or to 1)."""
DYNAMIC: dict[str, dict[int, str]] = {
    "point_coords": {0: "prompts", 1: "points"},
    "point_labels": {0: "prompts", 1: "points"},
    "mask_input": {0: "prompts"},
    "has_mask_input": {0: "prompts"},
    "windows": {0: "prompts"},
    "sparse_embeddings": {0: "prompts", 1: "tokens"},
    "dense_embeddings": {0: "prompts"},
    "low_res_masks": {0: "prompts"},
    "iou_predictions": {0: "prompts"},
}
CASES = ((1, 2), (2, 3), (5, 2))
"""Numbers of prompts and of points at which a graph is compared with torch."""


def export_role(model: PromptableModel, record: ModelRecord, role: str, path: Path) -> float:
    """Write one graph and compare it with torch. Returns the largest relative difference.

    Raises:
        ExportError: the graph does not agree with torch.
    """
    import onnx

    inputs, outputs = names_of(model, record, role)
    with warnings.catch_warnings():  # the tracer's about sizes, which are constants here
        warnings.simplefilter("ignore")
        torch.onnx.export(
            role_module(model, record, role),
            sample_inputs(model, record, role, 2, 3),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=inputs,
            output_names=outputs,
            dynamic_axes={name: DYNAMIC[name] for name in (*inputs, *outputs) if name in DYNAMIC},
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.EVAL,
        )
    _tidy(onnx, path)
    difference = disagreement(model, record, role, path)
    if not difference <= TOLERANCE:
        raise ExportError(
            f"{path.name} differs from torch by {difference:.1e}, more than {TOLERANCE}: "
            "report this with the versions of torch and onnxruntime"
        )
    return difference


def _tidy(onnx: Any, path: Path) -> None:
    """The checkpoint's names for initialisers, no paths: the same weights give the same bytes."""
    # tensors that the exporter put beside a graph of 2 GB or more stay there
    graph = onnx.load(str(path), load_external_data=False)
    graph.producer_name, graph.producer_version, graph.doc_string = "samovar-encoders", "", ""
    names = {tensor.name for tensor in graph.graph.initializer}
    renamed = {name: name.removeprefix("model.") for name in names}
    for tensor in graph.graph.initializer:
        tensor.name = renamed[tensor.name]
    _rename(graph.graph, renamed)
    if not any(tensor.external_data for tensor in graph.graph.initializer):
        onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def _rename(graph: Any, renamed: Mapping[str, str]) -> None:
    """Inputs of nodes, those of subgraphs too."""
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
        for i, name in enumerate(node.input):
            node.input[i] = renamed.get(name, name)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, renamed)


def disagreement(model: PromptableModel, record: ModelRecord, role: str, path: Path) -> float:
    """Largest difference between a graph and torch, relative to each output's largest value."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs, outputs = names_of(model, record, role)
    module, worst = role_module(model, record, role), 0.0
    for prompts, points in CASES if role != "encoder" else CASES[:1]:
        arrays = sample_inputs(model, record, role, prompts, points, seed=prompts)
        with torch.no_grad():
            wanted = module(*arrays)
        feeds = {n: a.numpy() for n, a in zip(inputs, arrays, strict=True)}
        got = session.run(outputs, {i.name: feeds[i.name] for i in session.get_inputs()})
        for ours, theirs in zip(wanted, got, strict=True):
            scale = max(1.0, float(ours.abs().max()))
            worst = max(worst, float(np.abs(ours.numpy() - theirs).max()) / scale)
    return worst
