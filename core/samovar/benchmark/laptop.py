"""The benchmark of the laptop's job: one picture and ten boxes, the bundled model beside MobileSAM.

Everything happens in one process an instruction set, one thread, in turns; CPU seconds count.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.benchmark.generated import generated_architecture, generated_bundle
from samovar.benchmark.machine import load_average
from samovar.benchmark.measure import BenchmarkError
from samovar.benchmark.process import CAPS, UNCAPPED, answer, pinned, run_case
from samovar.benchmark.report import new_record
from samovar.benchmark.runtime_case import Work, compared
from samovar.choice import workload
from samovar.errors import SamovarError, UsageError
from samovar.models import Model, load_model
from samovar.plugins import registry
from samovar.prompts import Prompts
from samovar.resize import prepare
from samovar.runtimes import usable_runtimes

NAME = "laptop"
MODULE = "samovar.benchmark.laptop"
TITLE = "One picture and ten boxes"
ABOUT = (
    "From a picture of 512 × 512 and ten boxes to ten masks in its pixels, one thread: the bundled"
    " model, our own MobileSAM module in torch (single precision, boxes batched), and the same"
    " module's graphs in samovar. MobileSAM has generated weights: cost does not depend on them."
    " CPU milliseconds are those of the best round; a ratio is torch's time divided by the row's,"
    " round by round, and its median."
)
OTHER = "mobile-sam"
TORCH = f"{OTHER}, torch"
GOALS = {"torch": 25.0, "graphs": 8.0}
"""Asked of the bundled model, against MobileSAM in torch and in graphs."""
SIDE, BOXES = 512, 10
SETS = ("AVX2", "best")
"""Instruction sets."""


def run_laptop(
    rounds: int, model: str = "tiny", progress: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Measures under each instruction set.

    Raises:
        BenchmarkError: nothing could be measured.
    """
    before, notes, tables, found = load_average(), [], [], {}
    for isa in SETS:
        if progress is not None:
            progress(isa)
        try:
            found[isa] = run_case(MODULE, isa, model, rounds, environment=pinned(isa))
        except BenchmarkError as error:
            notes.append(f"{isa}: {error}")
        else:
            tables.append(table(isa, found[isa]))
    if not tables:
        raise BenchmarkError("; ".join(notes))
    return new_record(
        NAME, TITLE, ABOUT, rounds, before, tables=tables, notes=notes, measured=found
    )


def table(isa: str, times: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A row a way of doing it, with the ratio to torch and to MobileSAM's quickest graphs."""
    graphs = [t["cpu_ms"] for name, t in times.items() if name.startswith(OTHER) and name != TORCH]
    rows = [
        [
            name,
            f"{t['cpu_ms']:.0f}",
            f"{t['ratio']:.1f}",
            f"{min(graphs) / t['cpu_ms']:.1f}" if graphs else "",
        ]
        for name, t in times.items()
    ]
    goals = f"Asked of the bundled model: × {GOALS['torch']:g} and × {GOALS['graphs']:g}."
    if CAPS[isa]:
        goals += " ONNX Runtime asks the processor itself and cannot be capped: not here."
    columns = ["", "CPU ms", "× torch", f"× {OTHER}'s graphs"]
    return {"title": f"Instruction set: {isa}", "about": goals, "columns": columns, "rows": rows}


def measure(isa: str, model: str, rounds: int) -> dict[str, Any]:
    """All ways of doing it, in turns."""
    spec = registry().find("encoder", OTHER)
    graphs = generated_bundle(spec)
    picture, prompts = _job(model)
    works: dict[str, Work] = {TORCH: _torch(generated_architecture(spec), picture, prompts)}
    for name, source in ((OTHER, graphs.folder), (model, model)):
        for precision in ("fp32", "int8"):
            for label, loaded in _models(source, precision, capped=bool(CAPS[isa])):
                works[f"{name}, {precision}, {label}"] = partial(_whole, loaded, picture, prompts)
    return compared(works, rounds, TORCH)


def _job(name: str) -> tuple[NDArray[np.float32], Prompts]:
    """The picture and the boxes."""
    with load_model(name, threads=1) as model:
        if model.bundle is None or model.bundle.preparation.encode_size != (SIDE, SIDE):
            raise UsageError(f"{name} is no bundle that takes pictures of {SIDE} × {SIDE}")
        return workload(model.bundle, BOXES)


def _models(source: Any, precision: str, capped: bool) -> list[tuple[str, Model]]:
    """The model in every runtime that has the precision; none where its bundle lacks it."""
    found = []
    for runtime in usable_runtimes(precision, (".onnx",)):
        if capped and runtime.name in UNCAPPED:
            continue
        try:
            model = load_model(source, runtime=runtime.canonical, precision=precision, threads=1)
        except SamovarError:
            continue
        found.append((runtime.name, model))
    return found


def _whole(model: Model, picture: NDArray[np.float32], prompts: Prompts) -> object:
    return model.decoder.decode(model.encode([picture])[0], prompts)


def _torch(architecture: Any, picture: NDArray[np.float32], prompts: Prompts) -> Work:
    """The same in torch: prepare, encode, decode all boxes at once, masks at the picture's size."""
    torch: Any = import_module("torch")
    torch.set_num_threads(1)
    roles = {role: architecture.role(role) for role in architecture.roles}
    wanted = architecture.names("prompt_encoder")[0]

    def work() -> object:
        with torch.inference_mode():
            batch, fits = prepare([picture], architecture.preparation)
            features = roles["encoder"](torch.from_numpy(batch))
            scale = np.array(fits[0].scale * 2)
            boxes = np.array([p.box for p in prompts]) * scale
            n, grid = len(boxes), 4 * features[0].shape[-1]
            feeds = {
                "point_coords": torch.from_numpy(boxes.reshape(n, 2, 2).astype(np.float32)),
                "point_labels": torch.tensor([[2.0, 3.0]]).expand(n, 2),
                "mask_input": torch.zeros(n, 1, grid, grid),
                "has_mask_input": torch.zeros(n, 1),
            }
            sparse, dense = roles["prompt_encoder"](*(feeds[name] for name in wanted))
            masks, _ = roles["mask_decoder"](*features, sparse, dense)
            large = torch.nn.functional.interpolate(masks[:, :1], (SIDE, SIDE), mode="bilinear")
            return (large > 0).numpy()

    return work


def main(argv: list[str]) -> int:
    """One case, in this process: ``ISA MODEL ROUNDS RESULT``."""
    isa, model, rounds, result = argv
    return answer(partial(measure, isa, model, int(rounds)), result)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
