"""Options that plugins declare: from text to typed values, and who takes which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from samovar.errors import UsageError
from samovar.naming import did_you_mean
from samovar.specs import OptionSpec, Spec

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def split_selector(text: str) -> tuple[str, dict[str, str]]:
    """``"grid:points=16,overlap=0.5"`` → ``("grid", {"points": "16", "overlap": "0.5"})``.

    A key without a value is a switch: ``"grid:boxes"`` → ``{"boxes": "true"}``. A piece without
    ``=`` after the first belongs to the list before it: ``bands=4,3,2``.

    Raises:
        UsageError: no name, or an empty key.
    """
    name, _, rest = text.partition(":")
    name = name.strip()
    if not name:
        raise UsageError(f"{text!r} names nothing: write NAME or NAME:key=value,key=value")
    values: dict[str, str] = {}
    last = ""
    for piece in filter(None, (p.strip() for p in rest.split(","))):
        key, equals, value = piece.partition("=")
        if equals or not last:
            last = key.strip().replace("-", "_")
            values[last] = value.strip() if equals else "true"
        else:
            values[last] += f",{piece}"
        if not last:
            raise UsageError(f"{text!r} has a value without a key: write key=value")
    return name, values


def typed_options(spec: Spec, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values for the options of ``spec``: text is converted, what was not given gets its default.

    Raises:
        UsageError: an option that the spec does not have (with the nearest), or a value of the
            wrong type.
    """
    known = {option.key: option for option in spec.options}
    for key in given:
        if key not in known:
            names = ", ".join(sorted(known)) or "it has none"
            hint = did_you_mean(key, known) or f" (options: {names})"
            raise UsageError(f"{spec.canonical} has no option {key!r}{hint}")
    return {
        key: _typed(spec, option, given[key]) if key in given else option.default
        for key, option in known.items()
    }


def accepted_options(spec: Spec, given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``given`` that ``spec`` declares, typed; None means not given."""
    keys = {option.key for option in spec.options}
    mine = {key: value for key, value in given.items() if key in keys and value is not None}
    declared = {option.key: option for option in spec.options}
    return {key: _typed(spec, declared[key], value) for key, value in mine.items()}


def owners_of(key: str, specs: Iterable[Spec]) -> list[str]:
    """Canonical names of the specs that declare an option."""
    return sorted({s.canonical for s in specs for o in s.options if o.key == key})


def _typed(spec: Spec, option: OptionSpec, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if option.multiple:
        return [_convert(spec, option, part.strip()) for part in value.split(",")]
    return _convert(spec, option, value)


def _convert(spec: Spec, option: OptionSpec, text: str) -> Any:
    if option.type is bool:
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
    else:
        try:
            return option.type(text)
        except ValueError:
            pass
    word = {int: "a whole number", float: "a number", bool: "yes or no"}.get(option.type, "text")
    raise UsageError(f"{spec.canonical}: {option.key}={text!r} is not {word}")
