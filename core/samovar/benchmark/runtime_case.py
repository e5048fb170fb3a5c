"""One case of the runtimes' benchmark, in a process of its own.

``python -m samovar.benchmark.runtime_case speed|region MODEL ROUNDS RESULT``
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from samovar.benchmark.family_case import role_feeds
from samovar.benchmark.float_rate import float_rate
from samovar.benchmark.generated import generated_architecture, generated_bundle
from samovar.benchmark.graph_sizes import gmac
from samovar.benchmark.process import answer
from samovar.bundle import Bundle
from samovar.catalogue import look_up
from samovar.choice import workload
from samovar.errors import UsageError
from samovar.evaluation.metrics import iou
from samovar.models import load_model
from samovar.plugins import registry
from samovar.prompts import Prompts
from samovar.protocols import Architecture, Runtime
from samovar.runtimes import usable_runtimes
from samovar.specs import EncoderSpec

BOXES = 64
BF16 = "openvino, bf16"
Work = Callable[[], object]


def main(argv: list[str]) -> int:
    """Measures, and writes the result as JSON."""
    kind, name, rounds, result = argv
    case = _speed if kind == "speed" else _region
    return answer(partial(case, name, int(rounds)), result)


def _speed(name: str, rounds: int) -> dict[str, Any]:
    """Encoder and decoder of one model in torch and in every runtime."""
    spec: EncoderSpec = registry().find("encoder", name)
    bundle = generated_bundle(spec)
    architecture = generated_architecture(spec)
    import_module("torch").set_num_threads(1)
    found: dict[str, Any] = {"encoder_gmac": round(_encoder_gmac(bundle), 2)}
    for label, role in (("encoder", "encoder"), ("decoder", "mask_decoder")):
        works, told = _works(architecture, bundle, role)
        found[label] = compared(works, rounds, "torch")
        found["instruction_set"] = told
    runtimes = usable_runtimes(bundle.precision, bundle.suffixes)
    found["float_gmac_s"] = {r.name: round(float_rate(registry().load(r)), 1) for r in runtimes}
    if BF16 in found["encoder"]:
        found["bf16_iou"] = round(_agreement(bundle), 4)
    return found


def _encoder_gmac(bundle: Bundle) -> float:
    runtime: Runtime = registry().load(registry().find("runtime", "onnxruntime"))
    return gmac(bundle.graph("encoder"), role_feeds(bundle, runtime)["encoder"], runtime)


def _agreement(bundle: Bundle) -> float:
    """Mean IoU of masks with the encoder in bf16 with those in single precision."""
    picture, prompts = workload(bundle, 8)
    licence = (bundle.name,)
    masks = []
    for precision in ("fp32", "bf16"):
        with load_model(
            bundle.folder, runtime="openvino", precision=precision, threads=1,
            region_decode="off", accept_license=licence,
        ) as model:  # fmt: skip
            masks.append(model.decoder.decode(model.encode([picture])[0], prompts).masks)
    return float(np.mean([iou(a, b) for a, b in zip(*masks, strict=True)]))


def _works(architecture: Architecture, bundle: Bundle, role: str) -> tuple[dict[str, Work], str]:
    """The same arrays through torch and through every runtime; and what the last one runs on."""
    torch: Any = import_module("torch")
    arrays = architecture.samples(role, 1, 2)
    feeds = dict(zip(architecture.names(role)[0], (a.numpy() for a in arrays), strict=True))
    module = architecture.role(role)

    def plain() -> object:
        with torch.inference_mode():
            return module(*arrays)

    works: dict[str, Work] = {"torch": plain}
    told = ""
    for runtime in usable_runtimes(bundle.precision, bundle.suffixes):
        graph = registry().load(runtime).load(bundle.graph(role), threads=1)
        given = {name: feeds[name] for name in graph.inputs}
        works[runtime.name] = lambda graph=graph, given=given: graph.run(given)  # type: ignore[misc]
        told = graph.info.instruction_set
    if role == "encoder":
        works |= _in_bf16(bundle, feeds)
    return works, told


def _in_bf16(bundle: Bundle, feeds: Mapping[str, Any]) -> dict[str, Work]:
    """The encoder as a runtime converts it on loading; nothing where the processor cannot."""
    for runtime in usable_runtimes("bf16", bundle.suffixes, required=False):
        try:
            graph = (
                registry().load(runtime).load(bundle.graph("encoder"), threads=1, precision="bf16")
            )
        except UsageError:
            continue
        return {BF16: partial(graph.run, {name: feeds[name] for name in graph.inputs})}
    return {}


def compared(works: Mapping[str, Work], rounds: int, base: str) -> dict[str, dict[str, Any]]:
    """CPU seconds of each, taking turns after one turn that is not counted.

    Returns, by name: ``cpu_ms`` (the best round: other work on the machine only ever adds),
    ``all_ms``, and ``ratio``, ``base``'s best round divided by its own.
    """
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(-1, rounds):
        for name in list(works) if number % 2 == 0 else list(works)[::-1]:
            started = time.process_time()
            works[name]()
            if number >= 0:
                taken[name].append(1000 * (time.process_time() - started))
    return {
        name: {
            "cpu_ms": round(min(own), 2),
            "all_ms": [round(v, 2) for v in own],
            "ratio": round(min(taken[base]) / min(own), 3),
        }
        for name, own in taken.items()
    }


def _region(name: str, rounds: int) -> dict[str, Any]:
    """64 boxes one by one, together, and through region decode, in every runtime."""
    spec: EncoderSpec = registry().find("encoder", name)
    folder = look_up(name).folder
    bundle = generated_bundle(spec) if folder is None else Bundle.load(folder)
    if bundle.roi is None:
        raise UsageError("its bundle has no region decoder")
    runtimes = usable_runtimes(bundle.precision, bundle.suffixes)
    return {"runtimes": [_region_in(runtime.canonical, bundle, rounds) for runtime in runtimes]}


def _region_in(runtime: str, bundle: Bundle, rounds: int) -> dict[str, Any]:
    full, region = (
        load_model(
            bundle.folder, runtime=runtime, threads=1, region_decode=use,
            accept_license=(bundle.name,),
        )
        for use in ("off", "on")
    )  # fmt: skip
    picture, prompts = workload(bundle, BOXES)
    [embedding] = full.encode([picture])
    single = [Prompts((p,)) for p in prompts]
    theirs = full.decoder.decode(embedding, prompts).masks
    ours = region.decoder.decode(embedding, prompts).masks
    works: dict[str, Work] = {
        "one by one": lambda: [full.decoder.decode(embedding, p) for p in single],
        "together": lambda: full.decoder.decode(embedding, prompts),
        "region": lambda: region.decoder.decode(embedding, prompts),
    }
    times = compared(works, rounds, "one by one")
    return {
        "runtime": full.runtime_info.runtime,
        "one_by_one_s": times["one by one"]["cpu_ms"] / 1000,
        "together_s": times["together"]["cpu_ms"] / 1000,
        "region_s": times["region"]["cpu_ms"] / 1000,
        "ratio": times["region"]["ratio"],
        "iou": float(np.mean([iou(a, b) for a, b in zip(ours, theirs, strict=True)])),
        "boxes": BOXES,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
