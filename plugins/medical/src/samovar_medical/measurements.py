"""Tables of measurements: CSV for spreadsheets, JSON for programs."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from samovar.image import Image
from samovar.manifest import DISCLAIMER, describe_grid, to_json
from samovar.objects import Objects
from samovar_medical.measuring import COLUMNS, measure, rounded


class CsvMeasurements:
    """Writes one row an object."""

    def write(self, objects: Objects, path: Path, image: Image, **options: Any) -> None:
        """Columns: label, name, those of :data:`COLUMNS`, score. Comma, UTF-8 with its mark."""
        # the mark is what spreadsheets know UTF-8 by
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            table = csv.DictWriter(file, ["label", "name", *COLUMNS, "score"])
            table.writeheader()
            table.writerows(rows(objects, image))


class JsonMeasurements:
    """Writes the same with the grid, the model and its weights' hash."""

    def write(self, objects: Objects, path: Path, image: Image, **options: Any) -> None:
        """``{"samovar", "notice", "model", "geometry", "objects": [row, …]}``."""
        record = objects.provenance
        document = {
            "samovar": record.get("samovar"),
            "notice": DISCLAIMER,
            "model": record.get("model"),
            "geometry": describe_grid(image.grid),
            "objects": rows(objects, image),
        }
        path.write_text(to_json(document), encoding="utf-8")


def rows(objects: Objects, image: Image) -> list[dict[str, Any]]:
    """One row an object, in their order; rounded."""
    return [
        {
            "label": item.id,
            "name": item.name,
            **rounded(measure(item, image)),
            "score": round(item.score, 4),
        }
        for item in objects
    ]
