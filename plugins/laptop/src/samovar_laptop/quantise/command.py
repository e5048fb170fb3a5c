"""``samovar quantize``: a bundle with int8 graphs beside its own, and the record of their gate.

``--method bf16`` records the gate of what a runtime converts on loading.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from samovar.bundle import Bundle
from samovar.bundle_files import check_new_folder, new_folder
from samovar.bundle_precisions import CONVERTED
from samovar.errors import UsageError
from samovar_laptop.quantise.report import Report, done, say

if TYPE_CHECKING:
    from samovar.bundle_precisions import Gate
    from samovar_laptop.quantise.calibrate import Calibration
    from samovar_laptop.quantise.ptq import Recipe
    from samovar_laptop.quantise.samples import Source

METHODS = ("ptq", "qat", *CONVERTED)
GAIN = 1.05
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
    weight_bits: int = 7,
    keep: Sequence[str] | None = None,
    attention: str = "float",
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
    from samovar_laptop.quantise.ptq import Recipe
    from samovar_laptop.quantise.samples import find_sources

    kept, roles = tuple(keep or ()), tuple(role or ())
    recipe = Recipe(
        samples, percentile, hard_samples, weight_bits, kept, attention, roles, threads, seed
    )
    _check(recipe, method, minutes, limit)
    if not data or not output:
        missing = "--data" if not data else "--output"
        raise UsageError(f"samovar quantize needs {missing}: see samovar quantize --help")
    check_new_folder(output)
    if method in CONVERTED:
        from samovar_laptop.quantise.convert import convert

        return convert(
            find_bundle(bundle, accept_license or ()), find_sources(data), method, Path(output),
            gated=not no_gate, limit=limit, threads=threads, as_json=json,
        )  # fmt: skip
    onnx_package()
    if method == "qat":
        from samovar_laptop.quantise.qat import library

        library()
    found = find_bundle(bundle, accept_license or ())
    recipe = replace(recipe, roles=_roles(found, roles))
    job = _Job(found, find_sources(data), recipe, method, minutes, bool(role))
    return job.run(Path(output), not no_gate, limit, json)


def _check(recipe: Recipe, method: str, minutes: float, limit: int) -> None:
    """Raises UsageError for the first option that makes no sense."""
    from samovar_laptop.quantise.attention import WAYS

    bits, percentile = recipe.bits, recipe.percentile
    for good, words in (
        (method in METHODS, f"--method is {method!r}: give {', '.join(METHODS)}"),
        (bits in (7, 8), f"--weight-bits is {bits}: give 7, or 8 for CPUs with VNNI alone"),
        (50 < percentile <= 100, f"--percentile is {percentile:g}: give more than 50, up to 100"),
        (recipe.samples > 0, f"--samples is {recipe.samples}: give 1 or more"),
        (recipe.attention in WAYS,
         f"--attention is {recipe.attention!r}: give {', '.join(WAYS)}"),
        (limit >= 0, f"--limit is {limit}: give 0 or more"),
        (minutes > 0, f"--minutes is {minutes:g}: give more than 0"),
    ):  # fmt: skip
        if not good:
            raise UsageError(words)


def _roles(bundle: Bundle, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Those asked for, or all that can be in int8. Raises UsageError."""
    from samovar_laptop.quantise.ptq import ROLES

    can = tuple(role for role in ROLES if role in bundle.roles)
    for role in asked:
        if role not in can:
            raise UsageError(f"--role {role}: the bundle can have {', '.join(can)} in int8")
    return asked or can


def find_bundle(name: str, accepted: Sequence[str]) -> Bundle:
    """The verified bundle of a model's name or folder. Raises UsageError when it has none."""
    from samovar.catalogue import look_up
    from samovar.models import load_model

    with load_model(name, runtime="onnxruntime", accept_license=accepted):
        pass  # licence and files are in order, and the graphs load
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
        self.notes: list[str] = []

    def run(self, target: Path, gated: bool, limit: int, as_json: bool) -> int:
        from samovar_laptop.quantise import output, ptq, speed
        from samovar_laptop.quantise.prepare import written_out_gelu

        precision = output.PRECISION
        with new_folder(target) as folder:
            calibrations = ptq.calibrate(self.bundle, self.sources, self.recipe, say)
            left = {role: dict(c.places.left) for role, c in calibrations.items()}
            self.notes += [
                f"{role}: GELU is written out with Erf, so little is gained: export with opset 20"
                for role, c in calibrations.items()
                if written_out_gelu(c.graph)
            ]
            graphs = self.worthwhile(calibrations, ptq.models(calibrations, self.recipe))
            if self.method == "qat":
                graphs |= self.trained({r: calibrations[r] for r in graphs})
            output.write_bundle(self.bundle, graphs, folder)
            verdict = self.judged(folder, limit) if gated else None
            roles = Bundle.read(folder).precisions[precision].roles
            pairs = speed.compare(folder, precision)
            output.add_record(folder, verdict, self.made())
        done()
        left = {role: nodes for role, nodes in left.items() if role in roles}
        report = Report(target, self.bundle.precision, precision, pairs, verdict, left, self.notes)
        typer.echo(report.json() if as_json else report.text())
        return 0

    def worthwhile(
        self, calibrations: Mapping[str, Calibration], graphs: dict[str, Any]
    ) -> dict[str, Any]:
        """Without a decoder that int8 does not make faster, unless it was asked for by name."""
        from samovar_laptop.quantise import ptq

        kept = {}
        for role, model in graphs.items():
            if role != "encoder" and not self.insisted:
                gain = ptq.gains(calibrations[role], model, 1)
                if gain < GAIN:
                    self.notes.append(f"{role} stays in float: in int8 it is × {gain:.2f} as fast")
                    continue
            kept[role] = model
        return kept

    def trained(self, calibrations: Mapping[str, Calibration]) -> dict[str, Any]:
        from samovar_laptop.quantise import qat

        graphs, lines = qat.tuned(
            self.bundle, self.sources, self.recipe, calibrations, self.minutes, say
        )
        self.notes += lines
        return graphs

    def judged(self, folder: Path, limit: int) -> Gate:
        """The verdict; where a decoder is what fails it, on the encoder alone."""
        from samovar_laptop.quantise import gate as gates
        from samovar_laptop.quantise import output

        own, precision = self.bundle.precision, output.PRECISION

        def measure(name: str) -> gates.Found:
            return gates.measure(
                folder, name, self.sources, limit=limit, threads=self.recipe.threads, progress=say
            )

        before = measure(own)
        verdict = gates.judge(before, measure(precision), own, precision)
        roles = [r for r in Bundle.read(folder).precisions[precision].roles if r != "encoder"]
        if verdict.passed or not roles or self.insisted or self.method == "qat":
            return verdict
        for role in roles:
            output.drop_role(folder, role)
        self.notes.append(f"{', '.join(roles)} back in float: int8 did not pass the gate with them")
        return gates.judge(before, measure(precision), own, precision)

    def made(self) -> dict[str, Any]:
        """How the graphs were made, for ``bundle.json``."""
        recipe = {k: v for k, v in asdict(self.recipe).items() if k != "threads"}
        return {
            "method": self.method,
            **recipe,
            "sets": [s.where.name for s in self.sources],
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        }
