"""``samovar models bundle``: a bundle of somebody's own graphs, inferred, tried and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import typer

from samovar.bundle import Bundle
from samovar.decoding import SamDecoder
from samovar.encoding import BundleEncoder, ModelEncoder
from samovar.errors import BundleError, UsageError
from samovar.faces import RegionFace
from samovar.graphs import external_files
from samovar.masks import WindowLogits
from samovar.prompts import Prompt, Prompts
from samovar.resize import Normalisation, Preparation, Resize
from samovar.roi import RoiRule
from samovar.selection import Selection
from samovar_laptop.inference import (
    EncoderShapes,
    Graphs,
    encode_size,
    encoder_shapes,
    load_graphs,
    mask_size,
)
from samovar_laptop.region_inference import infer_rule

NORMALISATIONS: Mapping[str, Mapping[str, Any]] = {
    "sam": {},
    "imagenet": {},
    "half": {"mean": [127.5] * 3, "std": [127.5] * 3},
    "unit": {"mean": [0.0] * 3, "std": [255.0] * 3},
    "minmax": {"kind": "min-max"},
    "none": {"kind": "none"},
}
"""Names of ``--normalisation``; ``sam`` is ImageNet's mean and deviation in units of 0…255."""

BOX = (96.0, 60.0, 224.0, 180.0)
"""x0, y0, x1, y1 of the ellipse in the trial picture of 240 rows and 320 columns."""
SPOT = (140.0, 104.0, 172.0, 132.0)
"""Of a smaller one, for the region decoder."""
CENTRE = ((BOX[0] + BOX[2] - 1) / 2, (BOX[1] + BOX[3] - 1) / 2)


def bundle(
    *,
    encoder: str | None = None,
    decoder: str | None = None,
    output: str | None = None,
    prompt_encoder: str | None = None,
    decoder_roi: str | None = None,
    threads: int | None = None,
    **stated: Any,
) -> None:
    """Make a bundle and say what was inferred; see the options in ``plugin.py``.

    Raises:
        UsageError: an option is missing or makes no sense.
        BundleError: a graph is broken, or the trial run fails.
        OutputError: the folder is there already, or cannot be written.
    """
    needed = {"--encoder": encoder, "--decoder": decoder, "--output": output}
    missing = [option for option, value in needed.items() if not value]
    if not (encoder and decoder and output):
        raise UsageError(f"samovar models bundle needs {', '.join(missing)}")
    paths = Path(encoder), Path(decoder), Path(prompt_encoder) if prompt_encoder else None
    region = Path(decoder_roi) if decoder_roi else None
    graphs = load_graphs(*paths, threads, region)
    record, shapes = _record(graphs, Path(output), stated)
    trial = _try(graphs, record)
    if trial.masks > 1 and not stated.get("mask_selection"):
        selection = Selection("first", "best-reading" if trial.masks == 4 else "best-quality")
        record = replace(record, mask_selection=selection)
        trial = _try(graphs, record)
    agreement = None if region is None else _agreement(graphs, record)
    saved = record.save(output, _sources(graphs))
    for line in _report(saved, shapes, trial, stated):
        typer.echo(line)
    if saved.roi is not None and agreement is not None:
        typer.echo(_region_line(saved.roi, agreement))


def _record(
    graphs: Graphs, output: Path, stated: Mapping[str, Any]
) -> tuple[Bundle, EncoderShapes]:
    """The bundle as far as the graphs and the options tell."""
    size = encode_size(
        graphs.loaded["encoder"],
        graphs.paths["encoder"],
        _pair(stated, "encode_size"),
    )
    shapes = encoder_shapes(graphs, size)
    frame = mask_size(graphs, shapes.shape, _pair(stated, "mask_size"))
    kinds = ["box", "point", "negative-point"]
    if "mask_input" in graphs.prompt_side.inputs:
        kinds.append("mask")
    try:
        preparation = _preparation(size, stated)
        selection = Selection.parse(_selection(stated.get("mask_selection") or "first"))
    except ValueError as error:
        raise UsageError(f"{error}") from error
    record = Bundle(
        name=stated.get("name") or output.name,
        version=stated.get("model_version") or "0.1.0",
        roles={role: f"{role}.onnx" for role in graphs.paths},
        files={},
        preparation=preparation,
        embedding_shape=shapes.shape,
        mask_size=frame,
        embedding_name=shapes.embedding,
        taps=shapes.taps,
        mask_selection=selection,
        prompt_kinds=tuple(kinds),
        modalities=tuple(stated.get("modality") or ()),
        code_licence=stated.get("code_license") or "",
        weights_licence=stated.get("weights_license") or "",
        intended_use=stated.get("intended_use") or "",
        provenance={"made_by": "samovar models bundle"},
    )
    if "decoder_roi" in graphs.paths:
        margin = stated.get("roi_margin")
        rule = infer_rule(
            graphs.loaded["decoder_roi"],
            graphs.paths["decoder_roi"],
            record,
            RoiRule.margin if margin is None else _margin(margin),
        )
        record = replace(record, roi=rule)
    elif stated.get("roi_margin") is not None:
        raise UsageError("--roi-margin is about --decoder-roi, which was not given")
    return record, shapes


def _margin(value: float) -> float:
    if not 0 <= value < 10:
        raise UsageError(f"--roi-margin is {value:g}: give a share of a box's size, 0.25 say")
    return float(value)


def _preparation(size: tuple[int, int], stated: Mapping[str, Any]) -> Preparation:
    """Raises ValueError for a choice that there is not."""
    named = stated.get("normalisation") or "sam"
    if named not in NORMALISATIONS:
        raise ValueError(f"--normalisation is {named!r}, not one of {', '.join(NORMALISATIONS)}")
    order, coordinates = stated.get("channel_order") or "RGB", stated.get("coordinates") or "scaled"
    if order not in ("RGB", "BGR"):
        raise ValueError(f"--channel-order is {order!r}, not RGB or BGR")
    if coordinates not in ("scaled", "continuous"):
        raise ValueError(f"--coordinates is {coordinates!r}, not scaled or continuous")
    resize = Resize.parse(
        {
            "policy": stated.get("resize") or "pad",
            "interpolation": stated.get("interpolation") or "bilinear-antialias",
        }
    )
    normalisation = Normalisation.parse(NORMALISATIONS[named])
    frame = _pair(stated, "prompt_frame") or size
    return Preparation(size, frame, coordinates, resize, normalisation, order)


@dataclass(frozen=True)
class _Trial:
    """What the bundle answered on the generated picture."""

    masks: int
    """Answers an object."""
    quality: float
    iou: float
    """With the ellipse that the box was drawn around."""


def _try(graphs: Graphs, record: Bundle) -> _Trial:
    """Encode a picture of a bright ellipse, ask for it by box and by point, check what comes."""
    encoder = BundleEncoder(record, graphs.loaded["encoder"])
    face = graphs.face(record.mask_size, record.taps)
    counted = _Counting(face)
    decoder = SamDecoder(record, counted)
    picture, truth = _ellipse()
    [embedding] = ModelEncoder(encoder, record.preparation, record.name).encode([picture])
    asked = Prompt(1, box=BOX), Prompt(2, points=(CENTRE,), labels=(1,))
    masks = decoder.decode(embedding, Prompts(asked))
    if counted.size != record.mask_size:
        raise BundleError(
            f"{graphs.paths['encoder'].parent}: the decoder answers in {counted.size} logits, not "
            f"{record.mask_size}: add --mask-size {counted.size[0]},{counted.size[1]}"
        )
    answer = np.zeros(truth.shape, dtype=bool)
    answer[masks.masks[0].region.slices] = masks.masks[0].inside
    union = np.count_nonzero(answer | truth)
    iou = np.count_nonzero(answer & truth) / union
    return _Trial(counted.masks, float(masks.quality[0]), float(iou))


def _agreement(graphs: Graphs, record: Bundle) -> float | None:
    """IoU of the full decoding and that over a window, of a small bright spot; None where a
    window of this rule does not hold it."""
    encoder = BundleEncoder(record, graphs.loaded["encoder"])
    face = graphs.face(record.mask_size, record.taps)
    region = RegionFace(graphs.loaded["decoder_roi"], record.taps)
    picture, _ = _ellipse(SPOT)
    [embedding] = ModelEncoder(encoder, record.preparation, record.name).encode([picture])
    asked = Prompts((Prompt(1, box=SPOT),))
    over_window = SamDecoder(record, face, region).decode(embedding, asked)
    if not isinstance(over_window.low_res[0], WindowLogits):
        return None
    masks = [d.masks[0] for d in (over_window, SamDecoder(record, face).decode(embedding, asked))]
    filled = np.zeros((2, *picture.shape[1:]), dtype=bool)
    for place, mask in zip(filled, masks, strict=True):
        place[mask.region.slices] = mask.inside
    either = np.count_nonzero(filled.any(axis=0))
    return float(np.count_nonzero(filled.all(axis=0)) / either) if either else 1.0


def _region_line(rule: RoiRule, agreement: float | None) -> str:
    how = f"{rule.tokens}×{rule.tokens} encoder cells" if rule.policy == "tokens" else "stretched"
    said = (
        "a small spot did not fit into a window"
        if agreement is None
        else f"IoU with the full decoding of a small spot {agreement:.2f}"
    )
    return (
        f"region decoder: windows {how}, logits {rule.mask_size[0]}×{rule.mask_size[1]}, margin "
        f"{rule.margin:g}; {said}; used with --region-decode on"
    )


class _Counting:
    """A face that remembers the shape of its answers."""

    def __init__(self, face: Any) -> None:
        self._face = face
        self.kinds, self.batch, self.tokens = face.kinds, face.batch, face.tokens
        self.masks, self.size = 0, (0, 0)

    def answer(self, embedding: Any, asked: Any) -> Any:
        logits, quality = self._face.answer(embedding, asked)
        self.masks, self.size = logits.shape[1], tuple(logits.shape[2:])
        return logits, quality


def _ellipse(box: tuple[float, float, float, float] = BOX) -> tuple[Any, Any]:
    """A bright ellipse on dark ground: picture ``(3, 240, 320)`` 0…255, and its pixels."""
    x0, y0, x1, y1 = box
    y, x = np.mgrid[:240, :320] + 0.5
    truth = ((2 * x - x0 - x1) / (x1 - x0)) ** 2 + ((2 * y - y0 - y1) / (y1 - y0)) ** 2 < 1
    grain = np.random.default_rng(0).normal(0, 6, truth.shape)
    plane = np.clip(np.where(truth, 190, 60) + grain, 0, 255).astype(np.float32)
    return np.repeat(plane[None], 3, axis=0), truth


def _sources(graphs: Graphs) -> dict[str, Path]:
    """File in the bundle → where it is, external tensor files included."""
    sources = {f"{role}.onnx": path for role, path in graphs.paths.items()}
    for path in graphs.paths.values():
        for location in sorted(external_files(path)):
            file = path.parent / location
            if sources.setdefault(location, file).resolve() != file.resolve():
                raise BundleError(
                    f"{path}: another graph has a file {location!r} too: export the graphs with "
                    "their weights inside"
                )
    return sources


def _report(
    saved: Bundle, shapes: EncoderShapes, trial: _Trial, stated: Mapping[str, Any]
) -> list[str]:
    p = saved.preparation
    kind = "SAM's single export" if saved.classic else "prompt encoder and mask decoder"
    taps = ", ".join(f"{k} {list(v)}" for k, v in shapes.taps.items()) or "none"
    lines = [
        f"{saved.folder}: bundle {saved.name} {saved.version}, weights {saved.weights_hash[:12]}",
        f"read from the graphs: input {p.encode_size[0]}×{p.encode_size[1]}, embedding "
        f"{list(shapes.shape)}, taps {taps}, {kind}, {trial.masks} mask(s) of "
        f"{saved.mask_size[0]}×{saved.mask_size[1]}, prompts {', '.join(saved.prompt_kinds)}",
        f"taken for granted: resize {p.resize.policy} {p.resize.interpolation}, normalisation "
        f"{stated.get('normalisation') or 'sam'}, {p.channel_order}, coordinates "
        f"{p.prompt_coordinates}, mask selection {saved.mask_selection.document()}",
        f"trial on a generated ellipse: IoU {trial.iou:.2f}, predicted {trial.quality:.2f}",
    ]
    if trial.iou < 0.5:
        lines.append("  far from the ellipse: check --normalisation, --resize and --channel-order")
    if not saved.weights_licence:
        lines.append("licence of the weights: unknown; state it with --weights-license")
    return lines


def _selection(text: str) -> Any:
    """``first``, or ``box=first,point=best-quality``."""
    if "=" not in text:
        return text
    return dict(part.strip().split("=", 1) for part in text.split(",") if "=" in part)


def _pair(stated: Mapping[str, Any], key: str) -> tuple[int, int] | None:
    text = stated.get(key)
    if not text:
        return None
    parts: Sequence[str] = str(text).lower().replace("x", ",").split(",")
    if len(parts) != 2 or not all(p.strip().isdecimal() and int(p) > 0 for p in parts):
        raise UsageError(f"--{key.replace('_', '-')} is {text!r}: write ROWS,COLUMNS, 1024,1024")
    return int(parts[0]), int(parts[1])
