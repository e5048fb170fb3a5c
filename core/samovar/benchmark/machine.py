"""The machine a benchmark ran on: what is needed to judge a figure, and nothing private."""

from __future__ import annotations

import datetime
import os
import platform
from importlib import metadata
from typing import Any

from samovar.processor import instruction_set, processor_name

PACKAGES = ("samovar", "samovar-laptop", "numpy", "onnxruntime", "openvino", "torch")


def describe_machine() -> dict[str, Any]:
    """System, processor, cores, instruction sets, load and versions."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "instruction_sets": instruction_set().split("+"),
        "python": platform.python_version(),
        "versions": {name: v for name in PACKAGES if (v := _version(name))},
    }


def circumstances(before: float | None) -> dict[str, Any]:
    """When and where something was measured, and how busy it was there.

    Args:
        before: :func:`load_average` when it began.
    """
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "load": [before, load_average()],
        "machine": describe_machine(),
    }


def load_average() -> float | None:
    """Processes that wanted a core over the last minute; None where the system does not tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
