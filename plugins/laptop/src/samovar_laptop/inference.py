"""Inference of a bundle's record from its graphs: sizes, taps, kind of decoder, mask frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from samovar.errors import BundleError, UsageError
from samovar.faces import (
    EMBEDDING,
    LOW_RES,
    PROMPT_INPUTS,
    WINDOWS,
    ClassicFace,
    Face,
    TwoFaces,
)
from samovar.protocols import Graph
from samovar_laptop.onnx_runtime import OnnxGraph, OnnxRuntime

LEARNED = ("sparse_embeddings", "dense_embeddings")


@dataclass(frozen=True)
class Graphs:
    """The graphs of a bundle in the making, and where they are now."""

    loaded: Mapping[str, OnnxGraph]
    """By role."""
    paths: Mapping[str, Path]
    """By role."""

    @property
    def classic(self) -> bool:
        return "decoder" in self.loaded

    @property
    def prompt_side(self) -> Graph:
        """The graph that takes points and masks."""
        return self.loaded["decoder" if self.classic else "prompt_encoder"]

    @property
    def mask_side(self) -> Graph:
        """The graph that takes the embedding and answers."""
        return self.loaded["decoder" if self.classic else "mask_decoder"]

    def face(self, mask_size: tuple[int, int], taps: Mapping[str, tuple[int, ...]]) -> Face:
        """The graphs as what answers prompts. Raises BundleError for strange inputs."""
        if self.classic:
            return ClassicFace(self.loaded["decoder"], mask_size, taps)
        return TwoFaces(self.loaded["prompt_encoder"], self.loaded["mask_decoder"], taps)


def load_graphs(
    encoder: Path,
    decoder: Path,
    prompt_encoder: Path | None,
    threads: int | None,
    decoder_roi: Path | None = None,
) -> Graphs:
    """Load the graphs and tell by their inputs which decoder this is.

    Raises:
        BundleError: a file is missing or no graph.
        UsageError: a prompt encoder is missing, or there is one too many.
    """
    runtime = OnnxRuntime()

    def load(path: Path) -> OnnxGraph:
        if not path.is_file():
            raise BundleError(f"{path}: no such file: name an exported ONNX graph")
        return runtime.load(path, threads=threads)

    answering = load(decoder)
    if "point_coords" in answering.inputs:
        if prompt_encoder is not None:
            raise UsageError(
                f"{decoder}: this decoder takes points itself (SAM's single export): "
                "leave --prompt-encoder out"
            )
        paths = {"encoder": encoder, "decoder": decoder}
    elif "sparse_embeddings" in answering.inputs:
        if prompt_encoder is None:
            raise UsageError(
                f"{decoder}: this mask decoder takes sparse_embeddings: "
                "add the graph that makes them with --prompt-encoder"
            )
        paths = {"encoder": encoder, "prompt_encoder": prompt_encoder, "mask_decoder": decoder}
    else:
        raise BundleError(
            f"{decoder}: neither SAM's export nor a mask decoder: its inputs are "
            f"{', '.join(answering.inputs)}, but point_coords or sparse_embeddings is expected"
        )
    if decoder_roi is not None:
        paths["decoder_roi"] = decoder_roi
    loaded = {r: answering if p is decoder else load(p) for r, p in paths.items()}
    return Graphs(loaded, paths)


def encode_size(encoder: OnnxGraph, path: Path, given: tuple[int, int] | None) -> tuple[int, int]:
    """Rows and columns of the encoder's input.

    Raises:
        BundleError: the input is not ``(B, 3, rows, columns)``.
        UsageError: its axes are dynamic and nothing was given, or they differ from what was.
    """
    if len(encoder.inputs) != 1:
        raise BundleError(
            f"{path}: an encoder has one input, the picture; this has {', '.join(encoder.inputs)}"
        )
    ((name, shape),) = encoder.inputs.items()
    if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
        raise BundleError(
            f"{path}: its input {name!r} has shape {list(shape)}; export it with "
            "(1, 3, rows, columns), channels first"
        )
    rows, columns = shape[2], shape[3]
    if isinstance(rows, int) and isinstance(columns, int):
        if given is not None and given != (rows, columns):
            raise UsageError(
                f"{path}: its input is {rows},{columns}, not {given[0]},{given[1]}: "
                "leave --encode-size out"
            )
        return rows, columns
    if given is None:
        raise UsageError(
            f"{path}: its input has dynamic rows and columns: add --encode-size ROWS,COLUMNS"
        )
    return given


@dataclass(frozen=True)
class EncoderShapes:
    """What a trial run of an encoder shows."""

    embedding: str
    """Its name for the embedding."""
    shape: tuple[int, ...]
    taps: Mapping[str, tuple[int, ...]]


def encoder_shapes(graphs: Graphs, size: tuple[int, int]) -> EncoderShapes:
    """Which output is the embedding, which are the taps that decoders ask for, and how large.

    Raises:
        BundleError: the decoder asks for what the encoder does not return, or it is unclear which
            output is the embedding.
    """
    encoder, path = graphs.loaded["encoder"], graphs.paths["encoder"]
    picture = np.zeros((1, 3, *size), dtype=np.float32)
    made = encoder.run({next(iter(encoder.inputs)): picture})
    known = {EMBEDDING, *PROMPT_INPUTS, *LEARNED, WINDOWS, "orig_im_size"}
    sides = [graphs.mask_side, *(g for r, g in graphs.loaded.items() if r == "decoder_roi")]
    wishes = dict.fromkeys(name for side in sides for name in side.inputs)
    taps = [name for name in wishes if name not in known]
    missing = [name for name in taps if name not in made]
    if missing:
        raise BundleError(
            f"{path}: the decoder asks for {', '.join(missing)}, which the encoder does not "
            f"return; it returns {', '.join(made)}"
        )
    rest = [name for name in made if name not in taps]
    wanted = graphs.mask_side.inputs[EMBEDDING]
    fitting = [name for name in rest if _fits(made[name].shape, wanted)]
    chosen = [EMBEDDING] if EMBEDDING in rest else fitting
    if len(chosen) != 1:
        raise BundleError(
            f"{path}: cannot tell which of {', '.join(rest)} is the embedding of shape "
            f"{list(wanted)}: name the encoder's output {EMBEDDING}"
        )
    shapes = {name: made[name].shape[1:] for name in taps}
    return EncoderShapes(chosen[0], made[chosen[0]].shape[1:], shapes)


def mask_size(
    graphs: Graphs, embedding: tuple[int, ...], given: tuple[int, int] | None
) -> tuple[int, int]:
    """Rows and columns of the decoder's logits: as given, as a graph declares, or 4 × embedding."""
    declared = [graphs.prompt_side.inputs.get("mask_input"), graphs.mask_side.outputs.get(LOW_RES)]
    for shape in declared:
        if given is None and shape is not None and len(shape) == 4:
            rows, columns = shape[2], shape[3]
            if isinstance(rows, int) and isinstance(columns, int):
                return rows, columns
    return given or (4 * embedding[-2], 4 * embedding[-1])


def _fits(shape: tuple[int, ...], declared: tuple[int | str | None, ...]) -> bool:
    same = zip(shape, declared, strict=False)
    return len(shape) == len(declared) and all(not isinstance(d, int) or d == n for n, d in same)
