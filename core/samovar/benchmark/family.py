"""The family's benchmark: cost of every model, accuracy of those that have weights.

Cost is measured in a process of its own for each model, runtime and precision. A model that is
registered without weights is exported with generated ones (:mod:`samovar.benchmark.generated`):
its cost is real, and nothing is said of its accuracy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from samovar.benchmark.family_accuracy import Labelled, Protocols, measure_accuracy
from samovar.benchmark.family_case import Request
from samovar.benchmark.machine import circumstances, load_average
from samovar.benchmark.process import run_case, run_module
from samovar.catalogue import look_up
from samovar.errors import SamovarError, UsageError
from samovar.models import load_model
from samovar.plugins import registry
from samovar.specs import EncoderSpec, SegmenterSpec

Say = Callable[[str], None]


@dataclass(frozen=True)
class Subject:
    """One model of the benchmark."""

    name: str
    source: str
    """What ``load_model`` takes; empty: to be exported with generated weights."""
    note: str = ""
    """Why it cannot be measured; empty: it can."""

    @property
    def weights(self) -> str:
        return "its own" if self.source else "generated"


def subjects(names: Sequence[str]) -> list[Subject]:
    """The models that are named, or all that are registered.

    Raises:
        UsageError: an unknown name. BundleError: a folder without a bundle.
    """
    if not names:
        return [_subject(spec) for spec in registry().specs("encoder")]
    found = []
    for name in names:
        what = look_up(name)
        if isinstance(what.spec, SegmenterSpec):
            why = "a segmenter: it has no encoder and decoder apart"
            found.append(Subject(what.spec.canonical, "", why))
        elif what.spec is not None:
            found.append(_subject(what.spec))
        else:
            found.append(Subject(str(what.folder and what.folder.name), name))
    return found


def _subject(spec: EncoderSpec) -> Subject:
    if spec.bundle:
        return Subject(spec.canonical, spec.canonical)
    if spec.target:
        return Subject(spec.canonical, "", "code of its plugin, not a bundle")
    if spec.dimensions == 3:
        return Subject(spec.canonical, "", "works on whole volumes: it has no graphs of pictures")
    if not spec.prompt_kinds:
        return Subject(spec.canonical, "", "takes no prompts: it has no decoder to ask")
    return Subject(spec.canonical, "")


def run_family(
    chosen: Sequence[Subject],
    asked: Request,
    settings: Sequence[tuple[str, str]],
    sets: Sequence[Labelled] = (),
    protocols: Protocols | None = None,
    say: Say = lambda line: None,
) -> dict[str, Any]:
    """Measures everything; what fails is noted, and the rest goes on.

    Args:
        asked: for every model; ``source``, ``runtime`` and ``precision`` are filled in.
        settings: pairs of runtime and precision.
        sets, protocols: for the accuracy of models with weights of their own; none: left out.

    Raises:
        UsageError: nothing could be measured.
    """
    before = load_average()
    efficiency: list[dict[str, Any]] = []
    accuracy: list[dict[str, Any]] = []
    notes = [f"{s.name}: not measured: {s.note}" for s in chosen if s.note]
    for subject in (s for s in chosen if not s.note):
        try:
            source = subject.source or _export(subject.name, say)
        except SamovarError as error:
            notes.append(f"{subject.name}: not measured: {error}")
            continue
        for runtime, precision in settings:
            request = replace(asked, source=source, runtime=runtime, precision=precision)
            if not subject.source:  # nobody's weights are in it
                request = replace(request, accept=(*asked.accept, subject.name.split("/")[-1]))
            label = f"{subject.name}, {runtime}, {precision}"
            say(label)
            try:
                efficiency.append(_row(subject, _case(request)))
            except SamovarError as error:
                notes.append(f"{label}: {error}")
                continue
            if subject.source and sets and protocols is not None:
                say(f"{label}: accuracy")
                rows, failures = _accuracy(subject, request, sets, protocols)
                accuracy += rows
                notes += failures
    if not efficiency:
        raise UsageError("no model could be measured: " + "; ".join(notes))
    return {
        "name": "family",
        **circumstances(before),
        "asked": asdict(asked),
        "protocols": None if protocols is None else asdict(protocols),
        "efficiency": efficiency,
        "accuracy": accuracy,
        "notes": notes,
    }


def _export(name: str, say: Say) -> str:
    """The folder of a model with generated weights, made in a process of its own."""
    say(f"{name}: exporting with generated weights, once")
    return run_module("samovar.benchmark.generated", name).strip().splitlines()[-1]


def _case(request: Request) -> dict[str, Any]:
    return run_case("samovar.benchmark.family_case", json.dumps(asdict(request)))


def _row(subject: Subject, measured: dict[str, Any]) -> dict[str, Any]:
    """One row of the efficiency table; milliseconds and seconds are of CPU, wall beside them."""
    model, request = measured["model"], measured["request"]
    encode, decode = measured["encode"], measured["decode"]
    fewest = min(decode, key=int)
    row: dict[str, Any] = {
        "model": subject.name,
        "weights": subject.weights,
        "weights_sha256": model["weights_sha256"],
        "runtime": model["runtime"]["name"],
        "runtime_version": model["runtime"]["version"],
        "precision": model["runtime"]["precision"],
        "instruction_set": model["runtime"]["instruction_set"],
        "threads": request["threads"],
        "encode_size": "×".join(map(str, model["encode_size"])),
        "parameters": measured["parameters"],
        "encoder_gmac": measured["encoder_gmac"],
        "decoder_gmac": measured["decoder_gmac"],
        "load_s": measured["load_s"],
        "peak_mib": measured["peak_mib"],
    }
    for clock in ("cpu", "wall"):
        one = encode[f"{clock}_s"]
        row[f"encoder_ms_{clock}"] = round(1000 * one, 2)
        row[f"decoder_ms_per_prompt_{clock}"] = round(
            1000 * decode[fewest][f"{clock}_s"] / int(fewest), 2
        )
        for count, own in decode.items():
            row[f"total_ms_{count}_{clock}"] = round(1000 * (one + own[f"{clock}_s"]), 2)
        for side, own in measured["everything"].items():
            known = own.get(f"{clock}_s")
            row[f"everything_{side}_s_{clock}"] = None if known is None else round(one + known, 3)
        row[f"images_per_s_{clock}"] = round(1 / (one + decode[fewest][f"{clock}_s"]), 3)
    scaled = [o for o in measured["everything"].values() if o.get("decoded") != o["points"]]
    row["everything_scaled"] = bool(scaled and request["quick"])
    return row


def _accuracy(
    subject: Subject, request: Request, sets: Sequence[Labelled], protocols: Protocols
) -> tuple[list[dict[str, Any]], list[str]]:
    with load_model(
        request.source, runtime=request.runtime, precision=request.precision,
        threads=request.threads, accept_license=request.accept,
    ) as model:  # fmt: skip
        rows, failures = measure_accuracy(model, sets, protocols)
        info = model.runtime_info
        about = {"model": subject.name, "weights_sha256": model.weights_hash,
                 "runtime": info.runtime, "precision": info.precision}  # fmt: skip
    return [{**about, **row} for row in rows], [f"{subject.name}: {f}" for f in failures]
