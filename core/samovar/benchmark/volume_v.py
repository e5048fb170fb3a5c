"""The volume benchmark: 13 objects of 35 slices in a CT of 64 × 512², each factor apart.

Costs of a slice and of an object-slice are measured in one process, taking turns; what a whole
volume costs in somebody's way of working is their sum over its slices and object-slices, and is
said to be. The bundled model's whole runs are measured as they are, in processes of their own.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from samovar.benchmark import volume_inputs as inputs
from samovar.benchmark.compare import Case, case_record, take_turns
from samovar.benchmark.machine import load_average
from samovar.benchmark.measure import BenchmarkError, Measurement, measure
from samovar.benchmark.process import pinned, run_case
from samovar.benchmark.report import new_record

NAME = "volume-v"
TITLE = "A whole volume: 64 × 512², 13 objects of 35 slices"
ABOUT = (
    "CPU seconds, one thread, instruction set capped at AVX2. The yardstick is the way of working"
    " of the laptop challenge's baseline: the LiteMedSAM architecture in torch, single precision,"
    " every object encoding each of its slices anew and decoding all of a 64 × 64 embedding. It is"
    " run with our own module and generated weights (cost does not depend on them) on a sample of"
    " object-slices, and scaled to 455 (13 objects) and 35 (one object); so are the other lines of"
    " that architecture, to 64 slices encoded once and 455 object-slices decoded. The boxes are"
    " places, not anatomy. `tiny` is measured as whole runs of `samovar segment`, everything"
    " included: starting, reading, writing."
)
SLICES, OBJECTS, DEPTH = 64, 13, 35
WAYS = (
    ("the baseline's way (yardstick)", "torch", "torch", False),
    ("+ shared embeddings", "torch", "torch", True),
    ("+ OpenVINO f32 (fair yardstick)", "same", "same", True),
    ("+ region decode", "same", "same, region", True),
    ("`tiny`, sum of its parts", "tiny", "tiny", True),
    ("`tiny`, region decode", "tiny", "tiny, region", True),
    ("`tiny`, int8", "tiny, int8", "tiny, int8", True),
)
"""What is done; whose encoder; whose decoder; whether an embedding is shared."""
IMPORTS = "import torch, monai"
FIRST = 20
Say = Callable[[str], None]


def run_volume_v(rounds: int, model: str = "tiny", progress: Say | None = None) -> dict[str, Any]:
    """Measures everything.

    Raises:
        BenchmarkError: no sample data, or a case fails.
    """
    say = progress if progress is not None else lambda text: None
    source, before = inputs.volume_v(), load_average()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        say("costs of a slice")
        costs = _costs(source, folder, rounds)
        cases = _cases(source, folder, model)
        measured = take_turns(cases, rounds, run=_run, progress=lambda n, i: say(f"{n}, round {i}"))
        for case in _single(folder, model):
            say(case.name)
            cases.append(case)
            measured[case.name] = [_run(case)]
        labels = _labels(folder / "many.nii.gz")
    whole = {c.name: float(np.median([m.cpu_s for m in measured[c.name]])) for c in cases}
    return new_record(
        NAME, TITLE, ABOUT, rounds, before,
        costs=costs,
        tables=[_table(costs, whole)],
        notes=[*_notes(costs, whole, measured), f"{MANY}: {labels} labels in the file."],
        cases=[case_record(_without_places(case), measured) for case in cases],
    )  # fmt: skip


ALL, ONE = "`tiny`, 13 objects", "`tiny`, one object"
MASK, TORCH = "first mask: one object, 20 slices", f"`{IMPORTS}`"
LARGE, MANY = "300 × 512², 13 objects through it", "260 objects"


def _cases(source: inputs.VolumeV, folder: Path, model: str) -> list[Case]:
    every = inputs.write_prompts(source.boxes, folder / "v.json")
    one = inputs.write_prompts(source.boxes[:1], folder / "v1.json")
    short = inputs.write_first_slices(source.path, FIRST, folder / "short.nii.gz")
    box = [*source.boxes[0][:2], 0, *source.boxes[0][3:5], FIRST]
    few = inputs.write_prompts([box], folder / "short.json")
    out = folder / "out.nii.gz"
    return [
        Case(ALL, _segment(source.path, every, out, model), 1),
        Case(ONE, _segment(source.path, one, out, model), 1),
        Case(MASK, _segment(short, few, out, model), 1, baseline=TORCH),
        Case(TORCH, (), 1, code=IMPORTS, note="nothing else: what others load first"),
    ]


def _single(folder: Path, model: str) -> list[Case]:
    """Cases for their memory or their labels, run once."""
    large, tubes = inputs.write_large(folder / "large.nii.gz")
    many, balls = inputs.write_many(folder / "balls.nii.gz")
    long = inputs.write_prompts(tubes, folder / "tubes.json")
    all_of_them = inputs.write_prompts(balls, folder / "balls.json")
    return [
        Case(LARGE, _segment(large, long, folder / "large-out.nii.gz", model, "default"), 1,
             note="generated; once, for its memory; the default runtime"),
        Case(MANY, _segment(many, all_of_them, folder / "many.nii.gz", model, "default"), 1,
             note="generated balls in one volume; once; the default runtime"),
    ]  # fmt: skip


def _segment(
    volume: Path, prompts: Path, out: Path, model: str, runtime: str = "openvino"
) -> tuple[str, ...]:
    return (
        "segment", str(volume), "--prompts", str(prompts), "-o", str(out), "--model", model,
        "--modality", "ct", "--threads", "1", "--runtime", runtime,
    )  # fmt: skip


def _without_places(case: Case) -> Case:
    """As the page shows it, without a machine's own paths."""
    return replace(case, shown=tuple(Path(a).name if "/" in a else a for a in case.arguments))


def _run(case: Case) -> Measurement:
    return measure(case.arguments, code=case.code, environment=pinned("AVX2"))


def _costs(source: inputs.VolumeV, folder: Path, rounds: int) -> dict[str, Any]:
    boxes = folder / "boxes.json"
    boxes.write_text(json.dumps(source.boxes), encoding="utf-8")
    try:
        return run_case(
            "samovar.benchmark.volume_case", source.path, boxes, rounds,
            environment=pinned("AVX2"),
        )  # fmt: skip
    except BenchmarkError as error:
        raise BenchmarkError(f"the costs of a slice could not be measured: {error}") from error


def seconds(
    costs: Mapping[str, list[float]], encoder: str, decoder: str, shared: bool, objects: int
) -> list[float]:
    """CPU seconds of a volume, round by round: its encodings and its decodings.

    Args:
        costs: CPU milliseconds by name.
        shared: an embedding is made once a slice, not once an object and slice.
        objects: 1, or all of them, whose slices together are all of the volume's.
    """
    asked = objects * DEPTH
    encoded = (SLICES if objects > 1 else DEPTH) if shared else asked
    encode, decode = costs[f"{encoder} encode"], costs[f"{decoder} decode"]
    return [(encoded * e + asked * d) / 1000 for e, d in zip(encode, decode, strict=True)]


def _table(costs: Mapping[str, Any], whole: Mapping[str, float]) -> dict[str, Any]:
    rows = []
    base = {n: seconds(costs["cpu_ms"], *WAYS[0][1:], n) for n in (1, OBJECTS)}
    for title, encoder, decoder, shared in WAYS:
        if not {f"{encoder} encode", f"{decoder} decode"} <= set(costs["cpu_ms"]):
            continue
        own = {n: seconds(costs["cpu_ms"], encoder, decoder, shared, n) for n in base}
        encode = np.median(costs["cpu_ms"][f"{encoder} encode"])
        decode = np.median(costs["cpu_ms"][f"{decoder} decode"])
        cells = [title, f"{encode:.0f}", f"{decode:.1f}"]
        for n in base:
            ratio = np.median(np.array(base[n]) / np.array(own[n]))
            cells += [f"{np.median(own[n]):.1f}", f"{ratio:.1f}"]
        rows.append(cells)
    last = ["`tiny`, whole runs", "", ""]
    for n, name in ((1, ONE), (OBJECTS, ALL)):
        last += [f"{whole[name]:.1f}", f"{np.median(base[n]) / whole[name]:.1f}"]
    return {
        "title": "Factor by factor",
        "about": "Milliseconds a slice and an object-slice; seconds of the volume; times less than"
        " the yardstick.",
        "columns": [
            "way of working", "encode ms", "decode ms", "one object s", "×", "13 objects s", "×",
        ],
        "rows": [*rows, last],
    }  # fmt: skip


def _notes(
    costs: Mapping[str, Any], whole: Mapping[str, float], measured: Mapping[str, Any]
) -> list[str]:
    cpu = costs["cpu_ms"]
    yardstick = float(np.median(seconds(cpu, *WAYS[0][1:], OBJECTS)))
    fair = float(np.median(seconds(cpu, *WAYS[2][1:], OBJECTS)))
    notes = [f"`tiny` on V: {yardstick / whole[ALL]:.0f} × less than the yardstick (goal 100), "
             f"{fair / whole[ALL]:.1f} × less than the fair one (goal 12)."]  # fmt: skip
    if "same, region decode" in cpu:
        same = float(np.median(seconds(cpu, *WAYS[3][1:], OBJECTS)))
        notes.insert(0, f"Same architecture and weights: {yardstick / same:.1f} × less (goal 8).")
    for name, goal in ((ALL, 500), (LARGE, 600)):
        peak = max((m.peak_rss_mb or 0.0) for m in measured[name])
        notes.append(f"{name}: peak memory {peak:.0f} MiB (goal {goal} MB).")
    notes.append(
        f"From process start to the first written mask: {whole[MASK]:.1f} CPU s, "
        f"`{IMPORTS}` {whole[TORCH]:.1f}."
    )
    notes += [f"{name}: the model has no such graphs yet" for name in costs.get("missing", ())]
    return notes


def _labels(file: Path) -> int:
    from samovar.formats import open_image

    with open_image(str(file)) as image:
        return int(np.count_nonzero(np.unique(image.read())))
