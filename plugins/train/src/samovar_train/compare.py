"""`python -m samovar_train.compare RECIPE`: encoders trained alike, exported, timed and scored.

Killed and called again it goes on. When training is over, each candidate becomes a bundle; its
encoder is quantised (post-training, percentile ranges) by the `quantize` command of whichever
distribution offers one; both graphs are timed in every runtime that there is, one thread, taking
turns; and both are asked for masks by box on validation pictures.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch

from samovar.benchmark.int8_case import measure
from samovar.bundle import Bundle
from samovar.errors import InputError, SamovarError
from samovar.plugins import registry
from samovar_train.comparison import Candidate, Comparison, load_comparison, take_turns, write_json
from samovar_train.comparison_page import comparison_page
from samovar_train.data.catalogue import shared_data
from samovar_train.evaluate import OnnxModel, validation_dice
from samovar_train.export import export_bundle, load_checkpoint
from samovar_train.model.cost import multiply_accumulates
from samovar_train.model.tiny import Tiny

INTEGER = frozenset({"QLinearConv", "QLinearMatMul", "QGemm", "MatMulIntegerToFloat"})
FLOAT = frozenset({"Conv", "FusedConv", "MatMul", "FusedMatMul", "Gemm"})


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m samovar_train.compare")
    parser.add_argument("recipe", type=Path, help="as plugins/train/recipes/compare_encoders.toml")
    parser.add_argument("--page", action="store_true", help="only the page, from its JSON file")
    options = parser.parse_args(argv)
    try:
        if not options.recipe.is_file():
            raise InputError(f"{options.recipe}: no such recipe")
        try:
            comparison = load_comparison(options.recipe)
        except ValueError as error:
            raise InputError(str(error)) from error
        if not options.page:
            compare(comparison)
        write_page(comparison)
    except SamovarError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{comparison.output}\n")
    return 0


def compare(comparison: Comparison) -> None:
    """Train, then measure one candidate after the other; the JSON file grows with each."""
    turns = take_turns(comparison)
    torch.set_num_threads(1)
    told = about(comparison)
    rows: list[dict[str, Any]] = []
    for candidate in comparison.candidates:
        if candidate.trained and candidate.name not in turns:
            continue
        rows.append({**measured(comparison, candidate), **turns.get(candidate.name, {})})
        write_json(comparison.output.with_suffix(".json"), {**told, "rows": rows})
        write_page(comparison)


def about(comparison: Comparison) -> dict[str, Any]:
    """What a reader of the figures must know."""
    training = comparison.training
    floor = validation_dice(None, shared_data(training.data), comparison.per_set)
    return {
        "recipe": f"plugins/train/recipes/{comparison.path.name}",
        "note": comparison.note,
        "seed": training.seed,
        "steps_planned": training.steps,
        "images": training.images,
        "regions": training.regions,
        "decoders": comparison.decoders,
        "ellipse": {k: v for k, v in floor.items() if k != "quality_error"},
        "per_set": comparison.per_set,
        "samples": comparison.samples,
    }


def measured(comparison: Comparison, candidate: Candidate) -> dict[str, Any]:
    """Size, time and, where it was trained, Dice of one candidate; kept in its folder."""
    folder = comparison.folder(candidate)
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "measured.json"
    if kept.is_file():
        found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    data = shared_data(comparison.training.data)
    bundle = exported(comparison, candidate)
    quantised = quantise(bundle, folder / "int8", data, comparison.samples)
    row = {**sizes(candidate), **times(quantised, comparison.rounds)}
    if candidate.trained:
        for precision in ("fp32", "int8"):
            model = OnnxModel(quantised, threads=1, precision=precision)
            row[precision] = validation_dice(model, data, comparison.per_set, "region")
    write_json(kept, row)
    return row


def exported(comparison: Comparison, candidate: Candidate) -> Path:
    """The candidate as a bundle: as trained, or as its seed makes it."""
    folder = comparison.folder(candidate)
    if candidate.trained:
        model, _ = load_checkpoint(folder / "last.pt")
    else:
        torch.manual_seed(comparison.training.seed)
        model = Tiny(candidate.choice).eval()
    export_bundle(model, folder / "bundle", {"name": candidate.name})
    return folder / "bundle"


def quantise(bundle: Path, out: Path, data: Path, samples: int) -> Path:
    """The bundle with an int8 encoder beside its own: percentile ranges, no gate."""
    if not out.is_dir():
        command = registry().resolve(registry().find("command", "quantize"))
        with redirect_stdout(sys.stderr):
            command(
                bundle=str(bundle), data=[str(data / "MANIFEST.json")], output=str(out),
                role=["encoder"], samples=samples, no_gate=True, threads=1,
            )  # fmt: skip
    return out


def sizes(candidate: Candidate) -> dict[str, Any]:
    """Parameters with and without decoders, and the encoder's multiply-accumulates."""
    choice = candidate.choice
    model = Tiny(choice).eval()
    picture = torch.zeros(1, 3, choice.frame, choice.frame)
    return {
        "name": candidate.name,
        "encoder": choice.encoder,
        "activation": choice.activation,
        "frame": choice.frame,
        "trained": candidate.trained,
        "parameters": sum(p.numel() for p in model.parameters()),
        "encoder_parameters": sum(p.numel() for p in model.encoder.parameters()),
        "encoder_gmac": round(multiply_accumulates(model.encoder, picture) / 1e9, 3),
    }


def times(folder: Path, rounds: int) -> dict[str, Any]:
    """CPU milliseconds of the encoder by runtime, fp32 and int8; and what is left in float."""
    bundle = Bundle.load(folder)
    found = measure(bundle, rounds)
    rows = {r["runtime"]: r for r in found["rows"] if r["stage"] == "encoder"}
    return {
        "times": rows,
        "gemm_gmac_s": found["gemm_gmac_s"],
        "instruction_set": found["instruction_set"],
        "products": products(bundle.in_precision("int8").graph("encoder")),
    }


def products(graph: Path) -> dict[str, int]:
    """Weighted nodes of a graph once ONNX Runtime has optimised it: `integer` and `float`."""
    import onnx
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        options.log_severity_level = 4
        ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(options.optimized_model_filepath).graph
    constants = {t.name for t in nodes.initializer}
    kinds = Counter(
        "integer" if n.op_type in INTEGER else "float"
        for n in nodes.node
        if n.op_type in INTEGER or (n.op_type in FLOAT and n.input[1] in constants)
    )
    return {"integer": kinds["integer"], "float": kinds["float"]}


def write_page(comparison: Comparison) -> None:
    """The page, from the JSON file beside it. Raises InputError where there is none."""
    figures = comparison.output.with_suffix(".json")
    if not figures.is_file():
        raise InputError(f"{figures} is missing: run the comparison without --page first")
    text = comparison_page(json.loads(figures.read_text(encoding="utf-8")))
    comparison.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
