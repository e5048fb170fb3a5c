"""Fields of ``bundle.json``, read with their types; errors name the field (ValueError)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from samovar.errors import BundleError

SCHEMA = 1
"""Of ``bundle.json``, of both kinds."""

T = TypeVar("T")
_MISSING: Any = object()


@dataclass(frozen=True)
class Fields:
    """A JSON object whose fields are asked for by type."""

    document: Mapping[str, Any]
    path: str = ""
    """Names of the enclosing fields with their dots."""

    def value(self, key: str, default: Any = _MISSING) -> Any:
        if key in self.document:
            return self.document[key]
        if default is _MISSING:
            raise ValueError(f"{self._name(key)} is missing")
        return default

    def text(self, key: str, default: Any = _MISSING) -> str:
        value = self.value(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, value, "a text")
        return value

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> Any:
        value = self.value(key, default)
        if value not in choices:
            raise self._wrong(key, value, "one of " + ", ".join(choices))
        return value

    def sha256(self, key: str) -> str:
        value = self.text(key).lower()
        if not re.fullmatch(r"[0-9a-f]{64}", value):
            raise self._wrong(key, value, "64 hexadecimal digits")
        return value

    def integer(self, key: str) -> int:
        value = self.value(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self._wrong(key, value, "a whole number")
        return value

    def flag(self, key: str) -> bool:
        value = self.value(key)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def number(self, key: str, default: float) -> float:
        value = self.value(key, default)
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not math.isfinite(value):
            raise self._wrong(key, value, "a number")
        return float(value)

    def optional_integer(self, key: str) -> int | None:
        return None if self.value(key, None) is None else self.integer(key)

    def optional_number(self, key: str) -> float | None:
        return None if self.value(key, None) is None else self.number(key, 0.0)

    def integers(self, key: str) -> tuple[int, ...]:
        value = self.value(key)
        good = isinstance(value, list) and all(
            isinstance(v, int) and not isinstance(v, bool) and v > 0 for v in value
        )
        if not good:
            raise self._wrong(key, value, "a list of positive whole numbers")
        return tuple(value)

    def pair(self, key: str, default: tuple[int, int] | None = None) -> tuple[int, int]:
        if default is not None and key not in self.document:
            return default
        values = self.integers(key)
        if len(values) != 2:
            raise self._wrong(key, list(values), "two whole numbers: rows, columns")
        return values[0], values[1]

    def names(self, key: str, default: Sequence[str]) -> tuple[str, ...]:
        value = self.value(key, list(default))
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise self._wrong(key, value, "a list of texts")
        return tuple(value)

    def mapping(self, key: str) -> dict[str, Any]:
        """A JSON object, empty when it is not there."""
        value = self.value(key, {})
        if not isinstance(value, dict):
            raise self._wrong(key, value, "an object")
        return value

    def object(self, key: str) -> Fields:
        return Fields(self.mapping(key), self._inside(key))

    def objects(self, key: str) -> dict[str, Fields]:
        """An object of objects."""
        inside = self.object(key)
        return {name: inside.object(name) for name in inside.document}

    def texts(self, key: str) -> dict[str, str]:
        """An object of texts."""
        inside = self.object(key)
        return {name: inside.text(name) for name in inside.document}

    def _inside(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _name(self, key: str) -> str:
        return f'"{self._inside(key)}"'

    def _wrong(self, key: str, value: Any, wanted: str) -> ValueError:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "…"
        return ValueError(f"{self._name(key)} is {shown}, not {wanted}")


def understood(
    document: Mapping[str, Any], source: str, maker: str, parse: Callable[[Fields], T]
) -> T:
    """What ``parse`` makes of a ``bundle.json`` whose schema this samovar knows.

    Args:
        source: named in errors.
        maker: the command that makes such bundles.

    Raises:
        BundleError: a newer schema, or a field that makes no sense.
    """
    schema = document.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise BundleError(
            f"{source}: the bundle has schema {schema}, this samovar reads up to {SCHEMA}: "
            "pip install --upgrade samovar"
        )
    try:
        if schema != SCHEMA:
            raise ValueError(f'"schema" is {schema!r}, not {SCHEMA}')
        return parse(Fields(document))
    except ValueError as error:
        raise BundleError(
            f"{source}: {error}: correct it, or make the bundle again with `{maker}`"
        ) from error
