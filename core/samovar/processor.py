"""Processor: its name, cores and vector instructions, as the system tells them; never invented."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

NOTABLE = (
    "sse4_2", "avx", "avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16",
    "amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip
"""Instruction sets that decide how fast a network runs, in the names of Linux."""

_WINDOWS = {10: "sse3", 38: "sse4_2", 39: "avx", 40: "avx2", 41: "avx512f", 43: "asimddp"}
_MAC_ARM = {
    "hw.optional.arm.FEAT_DotProd": "asimddp",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_BF16": "bf16",
}
_CPUINFO = Path("/proc/cpuinfo")


@cache
def processor_name() -> str:
    """Model name (``AMD EPYC``, ``Apple M2``); empty where the system does not tell."""
    try:
        if sys.platform == "linux":
            text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
            return cpuinfo_field(text, "model name") or platform.processor()
        if sys.platform == "darwin":
            return _sysctl("machdep.cpu.brand_string")
    except (OSError, subprocess.SubprocessError):
        pass
    return platform.processor()


@cache
def instruction_set() -> str:
    """Notable instruction sets, joined by ``+`` (``avx2+fma+avx512f``).

    Where the system does not tell: the processor's name, else ``unknown``.
    """
    found = _flags()
    notable = [name for name in NOTABLE if name in found]
    return "+".join(notable) or processor_name() or "unknown"


@cache
def cores() -> int:
    """Physical cores that this process may use; logical ones where the system does not tell."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(usable or 1, _physical() or usable or 1))


def _flags() -> set[str]:
    try:
        if sys.platform == "linux":
            return cpuinfo_flags(_CPUINFO.read_text(encoding="utf-8", errors="replace"))
        if sys.platform == "darwin":
            return _mac_flags()
        if sys.platform == "win32":
            present = ctypes.windll.kernel32.IsProcessorFeaturePresent
            return {name for number, name in _WINDOWS.items() if present(number)}
    except (OSError, AttributeError, subprocess.SubprocessError):
        pass
    return set()


def cpuinfo_flags(text: str) -> set[str]:
    """Flags of the first processor in the text of ``/proc/cpuinfo`` (x86 and ARM)."""
    return set(cpuinfo_field(text, "flags", "features").split())


def cpuinfo_field(text: str, *names: str) -> str:
    """The first field of one of these names in the text of ``/proc/cpuinfo``; empty: none."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() in names:
            return value.strip()
    return ""


def cpuinfo_cores(text: str) -> int | None:
    """Physical cores in the text of ``/proc/cpuinfo``; None where it does not number them."""
    found, package = set(), ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "physical id":
            package = value.strip()
        elif key.strip() == "core id":
            found.add((package, value.strip()))
    return len(found) or None


def _physical() -> int | None:
    try:
        if sys.platform == "linux":
            return cpuinfo_cores(_CPUINFO.read_text(encoding="utf-8", errors="replace"))
        if sys.platform == "darwin":
            return int(_sysctl("hw.physicalcpu"))
    except (OSError, ValueError, subprocess.SubprocessError):
        pass
    return None


def _mac_flags() -> set[str]:
    if platform.machine() == "arm64":
        return {"asimd"} | {name for key, name in _MAC_ARM.items() if _sysctl(key) == "1"}
    words = f"{_sysctl('machdep.cpu.features')} {_sysctl('machdep.cpu.leaf7_features')}"
    return {w.lower().replace("avx1.0", "avx").replace(".", "_") for w in words.split()}


def _sysctl(key: str) -> str:
    done = subprocess.run(["sysctl", "-n", key], capture_output=True, text=True, timeout=5)
    return done.stdout.strip()
