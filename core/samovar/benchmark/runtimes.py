"""The second benchmark: the same weights in samovar's runtimes and in plain torch.

Every model runs in a process of its own, once with the instruction set capped at AVX2 and once with
what the processor has. Within it torch and the runtimes take turns on the same arrays, one thread,
and CPU seconds count. The weights are generated: cost does not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from samovar.benchmark.machine import load_average
from samovar.benchmark.measure import BenchmarkError
from samovar.benchmark.process import CAPS, UNCAPPED, pinned, run_case
from samovar.benchmark.report import new_record
from samovar.benchmark.runtime_case import BF16

NAME = "runtimes"
TITLE = "Runtimes against torch"
ABOUT = (
    "The same weights (generated: cost does not depend on them) in samovar's runtimes and in our"
    " own torch modules, single precision, one thread, on the same arrays. CPU milliseconds are"
    " those of the best round; torch and the runtimes take turns. A ratio is torch's best round"
    " divided by the runtime's. Encoder: one picture. Decoder: one prompt through the mask decoder"
    " over the whole embedding. *Possible* is the encoder's ratio if all its"
    " multiply-accumulates ran at the rate of bare 3 × 3 convolutions in single precision, measured"
    " in the same run: what is asked beyond it takes int8 or bf16. In bf16 the"
    " encoder alone is converted; the IoU is of its masks with those in single precision, which for"
    " generated weights are noise around the threshold: a bundle's own gate decides"
    " (`samovar quantize --method bf16`)."
)
GOALS: Mapping[str, tuple[float, float]] = {
    "mobile-sam": (2.3, 3.0),
    "lite-medsam": (2.3, 3.0),
    "efficientvit-sam-l0": (1.8, 2.5),
    "repvit-sam": (1.8, 2.5),
    "sam-vit-b": (1.5, 1.5),
}
"""Asked of the encoder under AVX2 and with the best instruction set."""
SETS = ("AVX2", "best")
"""Instruction sets, in the order of the goals."""
REGION_MODELS = ("tiny", "mobile-sam")


def run_runtimes(
    rounds: int, models: Sequence[str] = (), progress: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Measures every model under every cap; a model that cannot be had is noted.

    Raises:
        BenchmarkError: nothing could be measured.
    """
    before, notes, found = load_average(), [], []
    for isa in SETS:
        for model in models or tuple(GOALS):
            if progress is not None:
                progress(f"{model}, {isa}")
            try:
                found.append(_case("speed", model, isa, rounds))
            except BenchmarkError as error:
                notes.append(f"{model}, {isa}: {error}")
    regions = []
    for model in REGION_MODELS:
        if progress is not None:
            progress(f"{model}, 64 boxes")
        try:
            case = _case("region", model, "best", rounds)
            regions += [{"model": model, "isa": "best", **row} for row in case["runtimes"]]
        except BenchmarkError as error:
            notes.append(f"{model}, 64 boxes: {error}")
    if not found:
        raise BenchmarkError("; ".join(notes))
    tables = [_table(isa, [f for f in found if f["isa"] == isa]) for isa in SETS]
    filled = [t for t in (*tables, _region_table(regions)) if t["rows"]]
    return new_record(
        NAME, TITLE, ABOUT, rounds, before,
        tables=filled, notes=notes, measured=found, regions=regions,
    )  # fmt: skip


def _case(kind: str, model: str, isa: str, rounds: int) -> dict[str, Any]:
    """One process. Raises BenchmarkError with its last line."""
    found = run_case("samovar.benchmark.runtime_case", kind, model, rounds, environment=pinned(isa))
    return {"model": model, "isa": isa, **found}


def _table(isa: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    runtimes = sorted({name for row in rows for name in row["decoder"] if name != "torch"})
    if CAPS[isa]:
        runtimes = [name for name in runtimes if name not in UNCAPPED]
        left = (
            "ONNX Runtime asks the processor itself and cannot be capped, so it is not here."
            " OpenVINO obeys but for the matrix products that it takes from MLAS."
        )
    else:
        left = ""
    columns = ["model", "torch encoder ms"]
    columns += [f"{name} encoder ms" for name in runtimes]
    columns += ["best encoder ×", "asked", "possible ×"]
    columns += [f"{BF16} ×"] if not CAPS[isa] else []
    columns += ["torch decoder ms", *(f"{name} decoder ms" for name in runtimes)]
    columns += ["best decoder ×"]
    cells = []
    for row in rows:
        goal = GOALS.get(row["model"])
        asked = "" if goal is None else f"{goal[SETS.index(isa)]:g}"
        line = [row["model"]]
        for role in ("encoder", "decoder"):
            line += [f"{row[role][name]['cpu_ms']:.1f}" for name in ("torch", *runtimes)]
            best = max(row[role][name]["ratio"] for name in runtimes)
            line += [f"{best:.2f}"]
            if role == "encoder":
                line += [asked, _possible(row, runtimes)]
                line += [_in_bf16(row)] if not CAPS[isa] else []
        cells.append(line)
    sets = sorted({row["instruction_set"] for row in rows})
    title = f"Capped at {isa}" if CAPS[isa] else "With what the processor has"
    return {"title": title, "about": f"{', '.join(sets)}. {left}".strip(), "columns": columns,
            "rows": cells}  # fmt: skip


def _possible(row: Mapping[str, Any], runtimes: Sequence[str]) -> str:
    """The ratio of a runtime that did everything at the rate of bare convolutions."""
    rates = [rate for name, rate in row.get("float_gmac_s", {}).items() if name in runtimes]
    if not rates or not row.get("encoder_gmac"):
        return ""
    least_ms = 1000 * row["encoder_gmac"] / max(rates)
    return f"{row['encoder']['torch']['cpu_ms'] / least_ms:.2f}"


def _in_bf16(row: Mapping[str, Any]) -> str:
    if BF16 not in row["encoder"]:
        return ""
    return f"{row['encoder'][BF16]['ratio']:.2f} (IoU {row['bf16_iou']:.3f})"


def _region_table(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    cells = [
        [r["model"], r["runtime"], f"{r['one_by_one_s']:.2f}", f"{r['together_s']:.2f}",
         f"{r['region_s']:.2f}", f"{r['ratio']:.1f}", "8", f"{r['iou']:.3f}"]
        for r in rows
    ]  # fmt: skip
    return {
        "title": "64 boxes on one picture",
        "about": "From one embedding to masks in the picture's pixels: decoded in full one by one,"
        " in full together, and over regions; CPU seconds. The ratio is one by one divided by"
        " regions. The last column is the mean IoU of the regions' masks with the full ones; with"
        " generated weights it means little, since such masks follow no object.",
        "columns": ["model", "runtime", "one by one s", "together s", "regions s", "×", "asked",
                    "IoU"],
        "rows": cells,
    }  # fmt: skip
