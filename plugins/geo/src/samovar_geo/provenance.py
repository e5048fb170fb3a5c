"""The manifest inside the files that are written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import samovar
from samovar.manifest import DISCLAIMER, to_json

LEFT_OUT = {"prompts", "created", "platform"}
"""Parts of the manifest that stay out of files. A hundred thousand boxes do not belong in a header,
and the same masks should be the same bytes, whenever and on however many threads they were made."""

SOFTWARE = f"samovar {samovar.__version__}"


def model_name(provenance: Mapping[str, Any]) -> str:
    """Name of the model that made the objects; empty when nobody said."""
    model = provenance.get("model", "")
    return str(model.get("name", "")) if isinstance(model, Mapping) else str(model)


def record(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Tags for a file: software, notice, and the manifest as JSON, less :data:`LEFT_OUT`."""
    kept: dict[str, Any] = {k: v for k, v in provenance.items() if k not in LEFT_OUT}
    if isinstance(kept.get("model"), Mapping):
        kept["model"] = {k: v for k, v in kept["model"].items() if k != "threads"}
    tags = {"SOFTWARE": SOFTWARE, "NOTICE": DISCLAIMER}
    if kept:
        tags["MANIFEST"] = json.dumps(json.loads(to_json(kept)), ensure_ascii=False)
    return tags


def sentence(provenance: Mapping[str, Any]) -> str:
    """One line for formats that hold a description only."""
    model = model_name(provenance)
    return f"{SOFTWARE}{f', model {model}' if model else ''}; {DISCLAIMER}"
