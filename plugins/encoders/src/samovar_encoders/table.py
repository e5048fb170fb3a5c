"""The registry as a Markdown table: ``python -m samovar_encoders.table [family.json]``.

``family.json`` is what ``samovar bench family`` writes; the speeds come from it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from .registry import RECORDS, ModelRecord


def status(rules: ModelRecord) -> str:
    """*parity* (upstream's numbers are reproduced), *keys only*, or *not yet*; and *no bundle*."""
    compared = "parity" if rules.has_fixture else "keys only"
    found = compared if rules.parity else "not yet"
    return found if rules.can_be_bundle else f"{found}, no bundle"


def size_and_cost(rules: ModelRecord) -> tuple[float, float]:
    """Millions of parameters, and encoder GMAC by torch's counter (attention products included).

    Shapes alone are computed: the model is built on the meta device.
    """
    with torch.device("meta"), torch.no_grad():
        model = rules.build().eval()
        side = rules.encode_size
        picture = torch.empty(
            (1, 1, side, side, side) if rules.dimensions == 3 else (1, 3, side, side)
        )
        with FlopCounterMode(display=False) as counter:
            model.encode(picture)
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    return parameters, counter.get_total_flops() / 2e9


def fastest(record: Mapping[str, Any], name: str, figure: str) -> str:
    """``585 (openvino)``: the fastest runtime's CPU milliseconds; empty where not measured."""
    spec = name.replace("+", "-plus")
    measured = [
        (row[figure], row["runtime"])
        for row in record.get("efficiency", ())
        if row["model"].rpartition("/")[2] == spec
    ]
    if not measured:
        return ""
    figure_ms, runtime = min(measured)
    return f"{figure_ms:.0f} ({runtime})"


def conditions(record: Mapping[str, Any]) -> str:
    """Under which the speeds were measured; empty without any."""
    if not record:
        return "No speeds were measured. "
    machine = record["machine"]
    return (
        f"Speeds: CPU milliseconds of the fastest runtime, {record['asked']['threads']} thread, "
        f"single precision, on {machine['processor']} ({', '.join(machine['instruction_sets'])}), "
        f"{record['created'][:10]}, by `samovar bench family` with generated weights; empty where "
        "not measured. "
    )


def table(record: Mapping[str, Any] | None = None) -> str:
    """One row a model; speeds from the family's benchmark."""
    speeds = record or {}
    rows = [
        "| `--as` | system | architecture | input | M parameters | encoder GMAC | encoder ms "
        "| decoder ms a prompt | prompts | code | weights | status |",
        "|---|---|---|---|---:|---:|---:|---:|---|---|---|---|",
    ]
    for rules in RECORDS.values():
        parameters, gmac = size_and_cost(rules)
        prompts = ", ".join(rules.frame.kinds) or "none"
        cells = (
            f"`{rules.name}`",
            f"[{rules.system}]({rules.homepage})",
            rules.architecture,
            f"{rules.encode_size}" + ("³" if rules.dimensions == 3 else "²"),
            f"{parameters:.1f}",
            f"{gmac:.1f}",
            fastest(speeds, rules.name, "encoder_ms_cpu"),
            fastest(speeds, rules.name, "decoder_ms_per_prompt_cpu"),
            prompts,
            rules.code_licence,
            rules.weights_licence,
            status(rules),
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    found = json.loads(file.read_text(encoding="utf-8")) if file and file.is_file() else {}
    sys.stdout.write(
        "# Models\n\nMade from the registry by `python -m samovar_encoders.table`; do not edit. "
        "*parity*: upstream's input, embedding, masks and qualities are reproduced with "
        "deterministic weights; *keys only*: its tensors' names and shapes; *not yet*: built as "
        "published, compared with nothing; *no bundle*: prompt-free or of volumes, so it runs in "
        "torch alone. " + conditions(found) + "\n\n" + table(found)
    )
