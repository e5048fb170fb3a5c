"""Efficiency of one model in one runtime and precision, in a process of its own.

``python -m samovar.benchmark.family_case REQUEST RESULT``: JSON, and a file for JSON. The
process is fresh, so its peak memory is the model's (and Python's).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.benchmark.graph_sizes import gmac, parameters
from samovar.benchmark.process import answer
from samovar.bundle import Bundle
from samovar.choice import workload
from samovar.embedding import Embedding
from samovar.errors import SamovarError
from samovar.evaluation.pictures import decode_all
from samovar.faces import EMBEDDING
from samovar.models import Model, load_model
from samovar.plugins import registry
from samovar.prompts import Prompt
from samovar.protocols import Graph, Runtime

QUICK_POINTS = 64
"""With ``quick``, so many points of an everything grid are decoded, and the time is scaled."""


@dataclass(frozen=True)
class Request:
    """What is measured, and how."""

    source: str
    """Name or folder of a model."""
    runtime: str = "default"
    precision: str = "auto"
    threads: int = 1
    prompts: tuple[int, ...] = (1, 10, 100)
    grids: tuple[int, ...] = (16, 32)
    rounds: int = 3
    quick: bool = False
    accept: tuple[str, ...] = ()


def main(argv: list[str]) -> int:
    """Measures, and writes the result."""
    request, result = argv
    asked = json.loads(request)
    lists = {key: tuple(asked[key]) for key in ("prompts", "grids", "accept")}
    return answer(partial(measure, Request(**{**asked, **lists})), result)


def measure(request: Request) -> dict[str, Any]:
    """Everything about one model's cost. Times are seconds of CPU and of wall, best of rounds."""
    started = time.perf_counter()
    model = load_model(
        request.source, runtime=request.runtime, precision=request.precision,
        threads=request.threads, accept_license=request.accept,
    )  # fmt: skip
    loaded = time.perf_counter() - started
    bundle = model.bundle
    if bundle is None:
        raise SamovarError(f"{request.source} is code of its plugin, not a bundle: not measured")
    picture, _ = workload(bundle, 1)
    encode = best(lambda: model.encode([picture]), request.rounds, warm=True)
    [embedding] = model.encode([picture])
    decode = {}
    for count in request.prompts:
        asked = workload(bundle, count)[1].objects
        rounds = request.rounds if count <= 10 else 1
        decode[count] = best(
            lambda asked=asked: decode_all(model.decoder, embedding, asked),  # type: ignore[misc]
            rounds,
            warm=count <= 10,
        )
    memory = peak_mib()
    everything = {
        side: _everything(model, embedding, side, request.quick) for side in request.grids
    }
    return {
        "request": asdict(request),
        "model": model.describe(),
        "load_s": round(loaded, 3),
        "encode": encode,
        "decode": decode,
        "everything": everything,
        "peak_mib": memory,
        **sizes(bundle),
    }


def best(work: Callable[[], object], rounds: int, warm: bool = False) -> dict[str, float]:
    """``cpu_s`` and ``wall_s`` of the best of ``rounds``."""
    if warm:
        work()
    taken = []
    for _ in range(rounds):
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        taken.append((time.process_time() - cpu, time.perf_counter() - wall))
    return {
        "cpu_s": round(min(c for c, _ in taken), 5),
        "wall_s": round(min(w for _, w in taken), 5),
    }


def _everything(model: Model, embedding: Embedding, side: int, quick: bool) -> dict[str, Any]:
    """One point at each node of a ``side`` × ``side`` lattice, decoded; nothing is filtered."""
    rows, columns = embedding.fit.picture
    at = (np.arange(side) + 0.5) / side
    points = [(float(x * columns), float(y * rows)) for y in at for x in at]
    decoded = points[: QUICK_POINTS if quick else None]
    prompts = [Prompt(i, points=(p,), labels=(1,)) for i, p in enumerate(decoded, start=1)]
    if not {"point"} <= model.decoder.prompt_kinds:
        return {"points": 0}

    def work() -> None:
        for start in range(0, len(prompts), 64):  # masks of a whole lattice would not fit
            decode_all(model.decoder, embedding, prompts[start : start + 64])

    taken = best(work, 1)
    scale = len(points) / len(decoded)
    return {
        "points": len(points),
        "decoded": len(decoded),
        **{key: round(value * scale, 4) for key, value in taken.items()},
    }


def sizes(bundle: Bundle) -> dict[str, Any]:
    """Parameters and multiply-accumulates of the graphs; None where they cannot be counted."""
    roles = [role for role in bundle.roles if role != "decoder_roi"]  # the same weights again
    counted = {role: parameters(bundle.graph(role)) for role in roles}
    found: dict[str, Any] = {
        "parameters": sum(counted.values()), "encoder_gmac": None, "decoder_gmac": None
    }  # fmt: skip
    try:
        runtime: Runtime = registry().load(registry().find("runtime", "onnxruntime"))
        feeds = role_feeds(bundle, runtime)
        macs = {role: gmac(bundle.graph(role), own, runtime) for role, own in feeds.items()}
    except SamovarError as error:
        return {**found, "gmac_problem": str(error)}
    found["encoder_gmac"] = round(macs.pop("encoder"), 4)
    found["decoder_gmac"] = round(sum(macs.values()), 5)
    return found


def role_feeds(bundle: Bundle, runtime: Runtime) -> dict[str, Mapping[str, NDArray[Any]]]:
    """One picture and one box, as the graphs of a bundle take them."""
    known: dict[str, NDArray[Any]] = {
        EMBEDDING: np.zeros((1, *bundle.embedding_shape), np.float32),
        **{name: np.zeros((1, *shape), np.float32) for name, shape in bundle.taps.items()},
        "point_coords": np.array([[[8.0, 8.0], [64.0, 64.0]]], np.float32),
        "point_labels": np.array([[2, 3]], np.int64),
        "mask_input": np.zeros((1, 1, *bundle.mask_size), np.float32),
        "has_mask_input": np.zeros((1, 1), np.float32),
        "orig_im_size": np.array(bundle.preparation.encode_size, np.float32),
    }
    found: dict[str, Mapping[str, NDArray[Any]]] = {}
    for role in ("encoder", "prompt_encoder", "mask_decoder", "decoder"):
        if role not in bundle.roles or (role == "decoder" and "mask_decoder" in bundle.roles):
            continue
        graph: Graph = runtime.load(bundle.graph(role), threads=1)
        if role == "encoder":
            [name] = graph.inputs
            found[role] = {name: np.zeros((1, 3, *bundle.preparation.encode_size), np.float32)}
            continue
        feeds = {name: known[name] for name in graph.inputs}
        if len(graph.inputs.get("has_mask_input", ())) == 1:
            feeds["has_mask_input"] = feeds["has_mask_input"][0]
        if role == "prompt_encoder":
            known |= graph.run(feeds)
        found[role] = feeds
    return found


def peak_mib() -> float | None:
    """Largest resident set of this process so far; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
