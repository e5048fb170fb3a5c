"""``samovar quantize``: a bundle with int8 graphs beside its own, and the record of their gate."""

from __future__ import annotations

import datetime
import json as json_module
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from samovar.errors import UsageError

if TYPE_CHECKING:
    from samovar.bundle import Bundle
    from samovar.bundle_precisions import Gate
    from samovar_laptop.quantise.ptq import Recipe
    from samovar_laptop.quantise.samples import Source
    from samovar_laptop.quantise.speed import Pair

METHODS = ("ptq", "qat")
GAIN = 1.1
"""A decoder is kept in int8 where that makes it faster by this factor."""


def quantize(
    *,
    bundle: str,
    method: str = "ptq",
    data: Sequence[str] | None = None,
    output: str | None = None,
    role: Sequence[str] | None = None,
    samples: int = 64,
    percentile: float = 99.99,
    hard_samples: bool = False,
    weight_bits: int = 8,
    keep: Sequence[str] | None = None,
    minutes: float = 10.0,
    no_gate: bool = False,
    limit: int = 0,
    threads: int | None = None,
    seed: int = 0,
    json: bool = False,
    accept_license: Sequence[str] | None = None,
) -> int:
    """Quantise a bundle; see the options in ``plugin.py``.

    Returns:
        0; also where the gate was not passed: the bundle is written, int8 is not its default.

    Raises:
        UsageError, InputError, BundleError, OutputError: nothing was written.
        DependencyError: onnx is missing, or torch for ``--method qat``.
    """
    from samovar_laptop.quantise.graph import onnx_package
    from samovar_laptop.quantise.output import check_target
    from samovar_laptop.quantise.ptq import ROLES, Recipe
    from samovar_laptop.quantise.samples import find_sources

    if method not in METHODS:
        raise UsageError(f"--method is {method!r}: give ptq or qat")
    if not data or not output:
        missing = "--data" if not data else "--output"
        raise UsageError(f"samovar quantize needs {missing}: see samovar quantize --help")
    if weight_bits not in (7, 8):
        raise UsageError(f"--weight-bits is {weight_bits}: give 8, or 7 for CPUs without VNNI")
    if not 50 < percentile <= 100:
        raise UsageError(f"--percentile is {percentile:g}: give more than 50, up to 100")
    if samples < 1:
        raise UsageError(f"--samples is {samples}: give 1 or more")
    onnx_package()
    check_target(Path(output))
    found = find_bundle(bundle, accept_license or ())
    roles = tuple(role or ()) or tuple(r for r in ROLES if r in found.roles)
    strange = [r for r in roles if r not in ROLES or r not in found.roles]
    if strange:
        can = [r for r in ROLES if r in found.roles]
        raise UsageError(f"--role {strange[0]}: the bundle can have {', '.join(can)} in int8")
    recipe = Recipe(
        samples, percentile, hard_samples, weight_bits, tuple(keep or ()), roles, threads, seed
    )
    sources = find_sources(data)
    job = _Job(found, sources, recipe, method, minutes, bool(role))
    return job.run(Path(output), not no_gate, limit, json)


def find_bundle(name: str, accepted: Sequence[str]) -> Bundle:
    """The verified bundle of a model's name or folder. Raises UsageError when it has none."""
    from samovar.models import load_model, look_up

    with load_model(name, runtime="onnxruntime", accept_license=accepted):
        pass  # licence and files are in order, and the graphs load
    from samovar.bundle import Bundle

    folder = look_up(name).folder
    if folder is None:
        raise UsageError(f"model {name!r} has no graphs to quantise: import it as a bundle first")
    return Bundle.load(folder)


class _Job:
    def __init__(
        self,
        bundle: Bundle,
        sources: list[Source],
        recipe: Recipe,
        method: str,
        minutes: float,
        insisted: bool,
    ) -> None:
        self.bundle, self.sources, self.recipe = bundle, sources, recipe
        self.method, self.minutes, self.insisted = method, minutes, insisted

    def run(self, target: Path, gated: bool, limit: int, as_json: bool) -> int:
        from samovar_laptop.quantise import gate as gates
        from samovar_laptop.quantise import output, ptq, speed

        own, precision = self.bundle.precision, output.PRECISION
        with output.staged(target) as folder:
            calibrations = ptq.calibrate(self.bundle, self.sources, self.recipe, say)
            left = {r: dict(c.places.left) for r, c in calibrations.items()}
            graphs = ptq.models(calibrations, self.recipe)
            output.write_bundle(self.bundle, graphs, folder)
            pairs = speed.compare(folder, precision)
            verdict = None
            if gated:
                verdict = gates.measure(
                    folder, precision, own, self.sources,
                    limit=limit, threads=self.recipe.threads, progress=say,
                )  # fmt: skip
            output.add_record(folder, verdict, self.made(pairs))
        done()
        report = Report(target, own, precision, pairs, verdict, left)
        typer.echo(report.json() if as_json else report.text())
        return 0

    def made(self, pairs: list[Pair]) -> dict[str, Any]:
        """How the graphs were made, for ``bundle.json``."""
        recipe = {k: v for k, v in asdict(self.recipe).items() if k != "threads"}
        return {
            "method": self.method,
            **recipe,
            "sets": [s.where.name for s in self.sources],
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        }


class Report:
    """What is printed at the end."""

    def __init__(
        self,
        target: Path,
        own: str,
        precision: str,
        pairs: list[Pair],
        verdict: Gate | None,
        left: dict[str, dict[str, str]],
    ) -> None:
        self.target, self.own, self.precision = target, own, precision
        self.pairs, self.verdict, self.left = pairs, verdict, left

    def text(self) -> str:
        from samovar_laptop.quantise import gate as gates
        from samovar_laptop.quantise import speed

        lines = []
        for role, nodes in self.left.items():
            lines += [f"{role}: {node} stays in float: {why}" for node, why in nodes.items()]
        lines += speed.lines(self.pairs, self.own, self.precision, 1)
        if self.verdict is None:
            lines.append(f"gate: not asked; {self.precision} runs only with --precision int8")
        else:
            lines += gates.lines(self.verdict, self.own, self.precision)
            word = "passed" if self.verdict.passed else "NOT passed"
            lines.append(f"gate: {word} ({self.verdict.rule})")
        lines.append(f"{self.target}")
        return "\n".join(lines)

    def json(self) -> str:
        return json_module.dumps(
            {
                "bundle": str(self.target),
                "speed": [asdict(p) for p in self.pairs],
                "gate": None if self.verdict is None else self.verdict.document(),
                "left_in_float": self.left,
            },
            indent=1,
            ensure_ascii=False,
        )


def say(line: str) -> None:
    """Progress, over itself on a terminal's standard error; silent elsewhere."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{line}")


def done() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
