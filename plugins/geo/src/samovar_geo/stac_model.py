"""``samovar models export-stac``: a model as a STAC Item (Machine Learning Model extension)."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samovar.catalogue import Listing, describe_model
from samovar.errors import UsageError
from samovar.file_checks import require_writable
from samovar.manifest import to_json
from samovar.staging import stage

STAC_VERSION = "1.1.0"
MLM = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
WORLD = [-180.0, -90.0, 180.0, 90.0]
SHA256_MULTIHASH = "1220"


def export_stac(name: str, output: str | None = None) -> int:
    """Write the Item of a model, to standard output unless a file is named.

    Raises:
        UsageError: there is no such model, or it is not a bundle.
        OutputError: the file cannot be written.
    """
    listing = describe_model(name)
    text = to_json(model_item(listing))
    if output is None:
        sys.stdout.write(text)
        return 0
    path = Path(output)
    require_writable(path)
    stage(path, "models export-stac", lambda part: part.write_text(text, encoding="utf-8")).commit()
    sys.stdout.write(f"wrote {path}\n")
    return 0


def model_item(listing: Listing) -> dict[str, Any]:
    """The Item as plain values. Raises UsageError for a model without a bundle."""
    record = listing.record
    if not record or "roles" not in record:
        raise UsageError(
            f"{listing.name}: has no bundle here, and a STAC Item describes its files; fetch it "
            "first (samovar models pull, samovar models import)"
        )
    short = listing.name.rpartition("/")[2]
    provenance = record.get("provenance", {})
    made = f"{provenance.get('date', '1970-01-01')}T00:00:00Z"
    west, south, east, north = WORLD
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [MLM, FILE],
        "id": f"{short}-{listing.version or 'unversioned'}",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": WORLD,
        "properties": {
            # a model is made on a day, and may be used on pictures of any
            "datetime": None,
            "start_datetime": "1900-01-01T00:00:00Z",
            "end_datetime": "9999-12-31T23:59:59Z",
            "created": made,
            "description": listing.summary,
            "license": listing.weights_licence or "other",
            "mlm:name": _name(short),
            "mlm:architecture": str(record.get("architecture", "SAM")),
            "mlm:tasks": ["instance-segmentation"],
            "mlm:framework": "ONNX",
            "mlm:total_parameters": int(listing.parameters or 0),
            "mlm:pretrained": True,
            "mlm:accelerator": None,
            "mlm:input": [_input(record, listing)],
            "mlm:output": [_output(record)],
            "mlm:hyperparameters": {
                "prompt_kinds": list(listing.prompt_kinds),
                "mask_threshold": record.get("mask_threshold", 0.0),
                "precision": record.get("precision", "fp32"),
            },
        },
        "links": [],
        "assets": {role: _asset(role, file, record) for role, file in record["roles"].items()},
    }


def _name(text: str) -> str:
    """What the schema takes for a name: a letter first, then letters, digits, ``_ . -``."""
    name = re.sub(r"[^a-zA-Z0-9_.-]", "-", text).strip("-_.")
    return name if name[:1].isalpha() else f"model-{name}"


def _input(record: Mapping[str, Any], listing: Listing) -> dict[str, Any]:
    rows, columns = listing.encode_size
    norm = record.get("normalisation", {})
    scaling = None
    if norm.get("kind") == "mean-std":
        scaling = [
            {"type": "z-score", "mean": float(mean), "stddev": float(std)}
            for mean, std in zip(norm["mean"], norm["std"], strict=True)
        ]
    return {
        "name": "three bands, 0 to 255 after the scene's stretch, order "
        + str(record.get("channel_order", "RGB")),
        "bands": [],
        "input": {
            "shape": [-1, 3, rows, columns],
            "dim_order": ["batch", "channel", "height", "width"],
            "data_type": "float32",
        },
        "value_scaling": scaling,
        "resize_type": "pad" if record.get("resize", {}).get("policy") == "pad"
        else "interpolation-linear",
    }  # fmt: skip


def _output(record: Mapping[str, Any]) -> dict[str, Any]:
    rows, columns = record.get("mask_size", (256, 256))
    return {
        "name": "one mask a prompt, logits",
        "tasks": ["instance-segmentation"],
        "result": {
            "shape": [-1, 1, int(rows), int(columns)],
            "dim_order": ["batch", "channel", "height", "width"],
            "data_type": "float32",
        },
        "classification:classes": [],
    }


def _asset(role: str, file: str, record: Mapping[str, Any]) -> dict[str, Any]:
    stated = record.get("files", {}).get(file, {})
    asset: dict[str, Any] = {
        "href": f"./{file}",
        "type": "application/octet-stream; framework=onnx",
        "title": role.replace("_", " "),
        "roles": ["mlm:model", "mlm:weights", "data"],
        "mlm:artifact_type": "onnx",
    }
    if "sha256" in stated:
        asset["file:checksum"] = SHA256_MULTIHASH + stated["sha256"]
    if "bytes" in stated:
        asset["file:size"] = int(stated["bytes"])
    return asset
