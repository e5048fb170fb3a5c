"""``samovar runtimes``: what could run models here, what is missing, what was timed."""

from __future__ import annotations

from typing import Any

from samovar.errors import SamovarError
from samovar.plugins import registry
from samovar.reporting import print_json, print_table, say
from samovar.runtimes import by_preference, missing_modules
from samovar.specs import RuntimeSpec


def run_runtimes(*, json: bool = False) -> int:
    """Prints one row a runtime. Always 0: a missing one is no failure."""
    rows = [_row(spec) for spec in by_preference(registry().specs("runtime"))]
    if json:
        print_json({"runtimes": rows})
        return 0
    if not rows:
        say("no runtime is installed: pip install samovar-laptop brings one")
        return 0
    cells = [
        [
            row["name"],
            ", ".join(row["devices"]),
            ", ".join(row["precisions"]),
            row["problem"] or "ready",
        ]
        for row in rows
    ]
    print_table(("runtime", "devices", "precisions", "state"), cells)
    return 0


def _row(spec: RuntimeSpec) -> dict[str, Any]:
    missing = missing_modules(spec)
    devices: tuple[str, ...] = ()
    problem = f"missing: pip install {' '.join(missing)}" if missing else ""
    if not missing:
        try:
            devices = registry().load(spec).devices()
        except SamovarError as error:
            problem = str(error)
    return {
        "name": spec.canonical,
        "summary": spec.summary,
        "devices": list(devices),
        "precisions": list(spec.precisions),
        "problem": problem,
    }
