"""The registry as a Markdown table: ``python -m samovar_encoders.table [RECORD.json …]``.

The records are those of benchmarks (:mod:`samovar_encoders.speeds`); the speeds come from them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from .model_record import ModelRecord
from .registry import RECORDS
from .speeds import Speed, fastest, read_speeds


def status(rules: ModelRecord) -> str:
    """*parity* (upstream's numbers are reproduced), *keys only*, or *not yet*; and what runs it
    where that is not the host with a bundle of an encoder and a decoder."""
    compared = "parity" if rules.has_fixture else "keys only"
    found = compared if rules.parity else "not yet"
    if rules.can_be_bundle:
        return found
    return f"{found}, segmenter" if rules.segmenter else f"{found}, no bundle"


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


def table(speeds: Sequence[Speed] = ()) -> str:
    """One row a model."""
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
            fastest(speeds, rules.name, "encoder"),
            fastest(speeds, rules.name, "decoder"),
            prompts,
            rules.code_licence,
            rules.weights_licence,
            status(rules),
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    speeds, told = read_speeds([Path(name) for name in sys.argv[1:]])
    measured = f"Speeds: {'; '.join(told)}; empty where not measured." if told else ""
    sys.stdout.write(
        "# Models\n\nMade from the registry by `python -m samovar_encoders.table`; do not edit. "
        "*parity*: upstream's input, embedding, masks and qualities are reproduced with "
        "deterministic weights; *keys only*: its tensors' names and shapes; *not yet*: built as "
        "published, compared with nothing; *segmenter*: imported and run as all others, but as a "
        "whole, without an encoder and a decoder apart; *no bundle*: runs in torch alone. "
        f"{measured}\n\n" + table(speeds)
    )
