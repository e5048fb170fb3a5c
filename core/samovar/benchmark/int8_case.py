"""One case of the benchmark of int8, in a process of its own.

``python -m samovar.benchmark.int8_case MODEL ROUNDS PICTURES INT8_FOLDER RESULT``
"""

from __future__ import annotations

import sys
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.benchmark.generated import generated_bundle
from samovar.benchmark.process import answer
from samovar.benchmark.runtime_case import compared
from samovar.bundle import Bundle
from samovar.catalogue import look_up
from samovar.choice import workload
from samovar.errors import DependencyError, UsageError
from samovar.models import load_model
from samovar.plugins import registry
from samovar.prompts import Prompts
from samovar.runtimes import usable_runtimes
from samovar.specs import EncoderSpec, RuntimeSpec

PRECISIONS = ("fp32", "int8")
BOXES = 10
GEMM = (1024, 1152, 128)
"""Rows, depth, columns: the product that a 3 × 3 convolution of 128 channels at 32 × 32 is."""
TURNS = 20


def main(argv: list[str]) -> int:
    """Measures, and writes the result as JSON."""
    model, rounds, pictures, folder, result = argv

    def case() -> dict[str, Any]:
        return measure(bundle_of(model, Path(pictures), Path(folder)), int(rounds))

    return answer(case, result)


def bundle_of(model: str, pictures: Path, folder: Path) -> Bundle:
    """A bundle with int8 graphs: the model's own, or made now in ``folder``.

    Raises:
        UsageError: nobody can quantise.
    """
    if folder.is_dir():
        return Bundle.load(folder)
    found = look_up(model)
    if found.folder is not None:
        bundle = Bundle.load(found.folder)
        if "int8" in bundle.precisions:
            return bundle
    else:
        assert isinstance(found.spec, EncoderSpec)
        bundle = generated_bundle(found.spec)
    spec = registry().find("command", "quantize")
    registry().resolve(spec)(
        bundle=str(bundle.folder), data=[str(pictures)], output=str(folder), role=["encoder"],
        samples=2, no_gate=True, threads=1, json=True,
    )  # fmt: skip
    return Bundle.load(folder)


def measure(bundle: Bundle, rounds: int) -> dict[str, Any]:
    """Encoder graphs alone, and the way from pixels to masks, in every runtime."""
    rate = gemm_rate()
    rows: list[dict[str, Any]] = []
    instruction_set = ""
    for runtime in usable_runtimes("int8", bundle.in_precision("int8").suffixes):
        row, instruction_set = _encoder(bundle, runtime, rounds)
        if bundle.encoder_gmac and runtime.name == "onnxruntime":
            row["gmac_s"] = bundle.encoder_gmac / (row["int8_ms"] / 1000)
            row["share"] = row["gmac_s"] / rate
        rows += [row, _job(bundle, runtime, rounds)]
    if not rows:
        raise UsageError("no installed runtime runs int8")
    return {"rows": rows, "gemm_gmac_s": rate, "instruction_set": instruction_set}


def _encoder(bundle: Bundle, runtime: RuntimeSpec, rounds: int) -> tuple[dict[str, Any], str]:
    machine = registry().load(runtime)
    size = bundle.preparation.encode_size
    picture = np.random.default_rng(0).normal(0, 1, (1, 3, *size)).astype(np.float32)
    works = {}
    told = ""
    for precision in PRECISIONS:
        path = bundle.in_precision(precision).graph("encoder")
        graph = machine.load(path, threads=1, precision=precision)
        works[precision] = partial(graph.run, {next(iter(graph.inputs)): picture})
        told = graph.info.instruction_set
    return _row(runtime.name, "encoder", compared(works, rounds, PRECISIONS[0])), told


def _job(bundle: Bundle, runtime: RuntimeSpec, rounds: int) -> dict[str, Any]:
    picture, prompts = workload(bundle, BOXES)
    models = {
        p: load_model(bundle.folder, runtime=runtime.canonical, precision=p, threads=1)
        for p in PRECISIONS
    }
    works = {p: partial(_whole, model, picture, prompts) for p, model in models.items()}
    return _row(runtime.name, "job", compared(works, rounds, PRECISIONS[0]))


def _whole(model: Any, picture: NDArray[np.float32], prompts: Prompts) -> object:
    return model.decoder.decode(model.encode([picture])[0], prompts)


def _row(runtime: str, stage: str, times: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "runtime": runtime,
        "stage": stage,
        "fp32_ms": times["fp32"]["cpu_ms"],
        "int8_ms": times["int8"]["cpu_ms"],
        "ratio": times["int8"]["ratio"],
    }


def gemm_rate() -> float:
    """Multiply-accumulates a nanosecond of a bare uint8 × int8 product in ONNX Runtime.

    Raises:
        DependencyError: onnx or onnxruntime is missing.
    """
    try:
        onnx, ort = import_module("onnx"), import_module("onnxruntime")
    except ImportError as error:
        raise DependencyError("this benchmark needs onnx: pip install onnx") from error
    rows, depth, columns = GEMM
    make, kinds = onnx.helper, onnx.TensorProto
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (depth, columns)).astype(np.int8)
    graph = make.make_graph(
        [make.make_node("MatMulInteger", ["a", "w"], ["c"])],
        "gemm",
        [make.make_tensor_value_info("a", kinds.UINT8, [rows, depth])],
        [make.make_tensor_value_info("c", kinds.INT32, [rows, columns])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 20)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feeds = {"a": rng.integers(0, 256, (rows, depth)).astype(np.uint8)}
    best = float("inf")
    for _ in range(TURNS):
        started = time.process_time()
        for _ in range(5):  # one alone is shorter than some systems' clocks tick
            session.run(None, feeds)
        best = min(best, (time.process_time() - started) / 5)
    return rows * depth * columns / max(best, 1e-9) / 1e9


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
