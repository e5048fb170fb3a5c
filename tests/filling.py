"""Runs a command onto disks of growing size until one holds its output; Linux, in a namespace.

Run as a program under ``unshare -rm``: ``python filling.py JSON`` with the fields of :class:`Plan`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from killing import PRELOADED, attempt, ended

SMALLEST, LARGEST = 4 << 10, 64 << 20


@dataclass(frozen=True)
class Plan:
    """What is run onto the disk that is mounted at ``disk``: ``-o DISK/NAME`` is added."""

    disk: str
    command: list[str]
    names: list[str]
    """Outputs that are tried one after the other."""


def tried(plan: Plan, name: str) -> list[dict[str, Any]]:
    """What happened each time, until the disk was large enough; it grows, what is on it stays."""
    disk, said, told = Path(plan.disk), Path(f"{plan.disk}.said"), []
    size, code, how = SMALLEST, 1, ""
    while code != 0 and size <= LARGEST:
        mount = ["mount", "-t", "tmpfs", "-o", f"{how}size={size}", "none", str(disk)]
        subprocess.run(mount, check=True)
        code = ended(attempt([*plan.command, "-o", str(disk / name)], said, None))
        told.append({
            "size": size, "code": code, "said": said.read_text(),
            "left": sorted(p.name for p in disk.iterdir()),
        })  # fmt: skip
        size, how = size * 4, "remount,"
    if code == 0:
        shutil.copy(disk / name, disk.parent / name)
    subprocess.run(["umount", disk], check=True)
    return told


if __name__ == "__main__":
    given = Plan(**json.loads(sys.argv[1]))
    for module in PRELOADED:
        __import__(module)
    print(json.dumps({name: tried(given, name) for name in given.names}))
