"""The doctor: each plugin is imported in a process of its own, with a time limit.

A plugin that hangs or ends the process when imported cannot be caught from inside; from outside it
can be named. Also found: heavy libraries imported at discovery, and targets that are not there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from samovar.discovery import HOST, blocked_by, find_candidates
from samovar.plugins import Registry
from samovar.specs import EncoderSpec, RuntimeSpec, Spec

HEAVY = (
    "torch",
    "monai",
    "peft",
    "transformers",
    "onnxruntime",
    "openvino",
    "rasterio",
    "SimpleITK",
    "nibabel",
    "napari",
)
"""Libraries that a plugin's entry module must not import."""

SLOW_SECONDS = 2.0
MARK = "samovar-doctor:"


@dataclass(frozen=True)
class Report:
    """What the doctor found in one distribution; healthy when ``findings`` is empty."""

    distribution: str
    version: str
    summary: str
    findings: tuple[str, ...] = ()
    blockable: bool = True


def examine_all(timeout: float = 20.0) -> Iterator[Report]:
    """Examine every distribution with a plugin, one after the other."""
    candidates, problems = find_candidates()
    for problem in problems:
        yield Report(problem.distribution, "?", "", (f"damaged metadata: {problem.cause}",), False)
    for name in sorted({c.distribution for c in candidates}):
        version = next(c.version for c in candidates if c.distribution == name)
        variable = blocked_by(name)
        if variable:
            yield Report(name, version, f"blocked by {variable}")
        else:
            yield examine(name, version, timeout)


def examine(distribution: str, version: str, timeout: float) -> Report:
    """Import one distribution's plugin in a process of its own."""
    environment = {
        **os.environ,
        "SAMOVAR_PLUGINS": distribution,
        "SAMOVAR_DISABLE_PLUGINS": "" if distribution == HOST else HOST,
        "SAMOVAR_STRICT_PLUGINS": "",
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    command = [sys.executable, "-m", "samovar.doctor", distribution]
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        finding = f"hangs: its import had not ended after {timeout:g} s"
        return Report(distribution, version, "", (finding,), distribution != HOST)
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        if line.startswith(MARK):
            answer = json.loads(line.removeprefix(MARK))
            findings = tuple(answer["findings"])
            return Report(distribution, version, answer["summary"], findings, distribution != HOST)
    last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"])[-1]
    finding = f"ends the process when it is imported (exit code {done.returncode}: {last})"
    return Report(distribution, version, "", (finding,), distribution != HOST)


def examine_here(distribution: str) -> dict[str, object]:
    """Discover one distribution in this process, which ought to be a fresh one."""
    before = set(sys.modules)
    started = time.perf_counter()
    found = Registry.discover()
    seconds = time.perf_counter() - started
    findings = [p.cause for p in found.problems if p.distribution == distribution]
    specs = [s for s in found.specs() if s.distribution == distribution]
    heavy = [m for m in HEAVY if m in sys.modules and m not in before]
    if heavy:
        findings.append(
            f"imports {', '.join(heavy)} when discovered: import it in the function that needs it"
        )
    if seconds > SLOW_SECONDS:
        findings.append(f"takes {seconds:.1f} s to import: every command waits for it")
    for spec in specs:
        findings += _target_findings(spec)
    summary = f"{len(specs)} specs in {seconds * 1000:.0f} ms"
    return {"summary": summary, "findings": findings}


def _target_findings(spec: Spec) -> Iterator[str]:
    module = spec.target.partition(":")[0]
    if module and not _importable(module):
        yield f"{spec.kind} {spec.name!r}: its target module {module!r} is not there"
    if isinstance(spec, EncoderSpec) and not spec.runs:
        module = spec.builder.partition(":")[0]
        if not _importable(module):
            yield f"{spec.kind} {spec.name!r}: its builder module {module!r} is not there"
    if isinstance(spec, RuntimeSpec):
        for name in spec.requires:
            if not _importable(name):
                yield f"{spec.kind} {spec.name!r} needs the module {name!r}: pip install {name}"


def _importable(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


if __name__ == "__main__":
    print(MARK + json.dumps(examine_here(sys.argv[1])))  # noqa: T201
