"""What a written label image says of where it came from. No patient data, no paths, no dates."""

from __future__ import annotations

import json
from typing import Any

from samovar.manifest import DISCLAIMER
from samovar.objects import Objects

_MODEL_KEYS = ("name", "version", "weights_sha256")


def provenance_line(objects: Objects) -> str:
    """One line of JSON: samovar's version, the model and its weights hash, the disclaimer.

    ``asked`` says who chose the objects: ``prompts``, or the name of a generator.
    """
    origin = objects.provenance
    line: dict[str, Any] = {"software": f"samovar {origin.get('samovar', '')}".strip()}
    asked = origin.get("generator") or ("prompts" if origin.get("prompts") else "")
    line |= {"asked": asked} if asked else {}
    model = origin.get("model")
    if isinstance(model, dict):
        kept = {k: model[k] for k in _MODEL_KEYS if isinstance(model.get(k), str)}
        line |= {"model": kept} if kept else {}
    return json.dumps(line | {"notice": DISCLAIMER}, ensure_ascii=True, sort_keys=True)


def provenance_of(line: str) -> dict[str, Any] | None:
    """What :func:`provenance_line` says, as the provenance of objects; None for other text."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    software = said.get("software", "") if isinstance(said, dict) else ""
    model = said.get("model") if isinstance(said, dict) else None
    if not str(software).startswith("samovar") or not isinstance(model, dict):
        return None
    asked = str(said.get("asked") or "prompts")
    return {
        "samovar": str(software).removeprefix("samovar").strip(),
        "notice": DISCLAIMER,
        "model": model,
        "generator": None if asked == "prompts" else asked,
    }
