"""The machine a benchmark ran on: what is needed to judge a figure, and nothing private."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

INSTRUCTIONS = ("sse4_2", "avx", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd")
PACKAGES = ("samovar", "samovar-laptop", "numpy", "onnxruntime", "openvino")


def describe_machine() -> dict[str, Any]:
    """System, processor, cores, instruction sets, load and versions."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": _cpu_field("model name") or platform.processor(),
        "cores": os.cpu_count(),
        "instruction_sets": _instruction_sets(),
        "python": platform.python_version(),
        "versions": {name: v for name in PACKAGES if (v := _version(name))},
    }


def load_average() -> float | None:
    """Processes that wanted a core over the last minute; None where the system does not tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _instruction_sets() -> list[str]:
    flags = set((_cpu_field("flags") or _cpu_field("Features")).split())
    return [name for name in INSTRUCTIONS if name in flags]


def _cpu_field(name: str) -> str:
    file = Path("/proc/cpuinfo")
    if not file.is_file():
        return ""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
