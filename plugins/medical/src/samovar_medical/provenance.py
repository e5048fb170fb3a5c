"""What a written label image says of where it came from. No patient data, no paths, no dates."""

from __future__ import annotations

import json
from typing import Any

from samovar.manifest import DISCLAIMER
from samovar.objects import Objects

_MODEL_KEYS = ("name", "version", "weights_hash", "sha256", "precision")


def provenance_line(objects: Objects) -> str:
    """One line of JSON: samovar's version, the model and its weights hash, the disclaimer."""
    origin = objects.provenance
    line: dict[str, Any] = {"software": f"samovar {origin.get('samovar', '')}".strip()}
    model = origin.get("model")
    if isinstance(model, dict):
        kept = {k: model[k] for k in _MODEL_KEYS if isinstance(model.get(k), str)}
        line |= {"model": kept} if kept else {}
    return json.dumps(line | {"notice": DISCLAIMER}, ensure_ascii=True, sort_keys=True)
