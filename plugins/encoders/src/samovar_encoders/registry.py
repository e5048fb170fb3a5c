"""Every system of the plugin, by name; read without importing torch."""

from __future__ import annotations

from .errors import UnknownModel
from .medical_records import MEDICAL
from .model_record import ModelRecord
from .natural_records import NATURAL

RECORDS: dict[str, ModelRecord] = {record.name: record for record in (*NATURAL, *MEDICAL)}
"""All records by name."""


def record(name: str) -> ModelRecord:
    """The record called ``name``. Raises UnknownModel, listing the names."""
    try:
        return RECORDS[name]
    except KeyError:
        raise UnknownModel(
            f"no model is called {name!r}; choose one of {', '.join(sorted(RECORDS))}"
        ) from None


__all__ = ["RECORDS", "ModelRecord", "record"]
