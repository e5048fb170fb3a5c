"""What a hook may return: the checks that a spec has to pass before it is registered."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import MISSING, fields
from keyword import iskeyword
from typing import Any

from samovar.naming import NAME, TARGET
from samovar.specs import (
    AdapterSpec,
    ArgumentSpec,
    CommandSpec,
    DecoderSpec,
    EncoderSpec,
    FormatSpec,
    OptionSpec,
    PromptGeneratorSpec,
    RuntimeSpec,
    SegmenterSpec,
    Spec,
)

HOOK_KINDS: dict[str, type[Spec]] = {
    "samovar_encoders": EncoderSpec,
    "samovar_prompt_generators": PromptGeneratorSpec,
    "samovar_adapters": AdapterSpec,
    "samovar_decoders": DecoderSpec,
    "samovar_segmenters": SegmenterSpec,
    "samovar_runtimes": RuntimeSpec,
    "samovar_formats": FormatSpec,
    "samovar_commands": CommandSpec,
}
"""Hook → the kind of spec that it lists."""

RESERVED_KEYS = ("help", "debug")
"""Options that every command has from the host."""


def check_specs(hook: str, answer: Any) -> tuple[list[Spec], list[str]]:
    """Split what ``hook`` returned into good specs and causes of complaint, one line each."""
    kind = HOOK_KINDS[hook]
    if not isinstance(answer, list | tuple):
        return [], [f"{hook} returned {_article(answer)}, not a list of {kind.__name__}"]
    good: list[Spec] = []
    causes: list[str] = []
    for item in answer:
        if not isinstance(item, kind):
            causes.append(f"{hook} returned a list with {_article(item)} in it: {kind.__name__}s")
            continue
        found = _all_complaints(item)
        causes += [f"{hook}: {item.kind} {item.name!r}: {cause}" for cause in found]
        if not found:
            good.append(item)
    counts = Counter(spec.name for spec in good)
    twice = [name for name, count in counts.items() if count > 1]
    causes += [f"{hook} lists {name!r} more than once: all are left out" for name in twice]
    return [spec for spec in good if spec.name not in twice], causes


def _article(value: Any) -> str:
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _all_complaints(spec: Spec) -> list[str]:
    """Every complaint; where a field has the wrong type, no further question is asked."""
    wrong = list(_type_complaints(spec))
    if wrong:
        return wrong
    try:
        return list(_complaints(spec))
    except Exception as error:
        return [f"cannot be understood: {type(error).__name__}: {error}"]


def _type_complaints(record: Any) -> Iterator[str]:
    """Fields whose value is not of the type of their default."""
    for field in fields(record):
        value = getattr(record, field.name)
        plain = field.default is not MISSING and field.default is not None
        wanted = type(field.default) if plain and field.name != "default" else None
        if field.name in ("name", "help"):
            wanted = str
        if wanted in (str, tuple, bool) and not isinstance(value, wanted):
            yield f"{field.name} is {_article(value)}, not a {wanted.__name__}"


def _complaints(spec: Spec) -> Iterator[str]:
    words = spec.name.split(" ")
    allowed = 2 if isinstance(spec, CommandSpec) else 1
    if not 1 <= len(words) <= allowed or not all(NAME.fullmatch(w) for w in words):
        yield "a name is lower-case letters, digits and . _ - between them"
    bundle, builder = (spec.bundle, spec.builder) if isinstance(spec, EncoderSpec) else ("", "")
    if builder and not TARGET.fullmatch(builder):
        yield f"builder {builder!r} is not 'package.module:Name'"
    wanted = spec.target or not (bundle or builder)
    if wanted and not TARGET.fullmatch(spec.target):
        yield f"target {spec.target!r} is not 'package.module:Name'"
    yield from _parameter_complaints(spec)
    if isinstance(spec, FormatSpec):
        yield from _format_complaints(spec)


def _parameter_complaints(spec: Spec) -> Iterator[str]:
    arguments = spec.arguments if isinstance(spec, CommandSpec) else ()
    keys: list[str] = []
    for kind, records in ((ArgumentSpec, arguments), (OptionSpec, spec.options)):
        for record in records:
            if not isinstance(record, kind):
                yield f"holds {_article(record)} among its {kind.__name__}s"
                continue
            wrong = list(_type_complaints(record))
            yield from (f"{kind.__name__} {record.name!r}: {cause}" for cause in wrong)
            if not wrong:
                keys.append(record.key)
                yield from _name_complaints(record)
    twice = sorted({key for key in keys if keys.count(key) > 1})
    yield from (f"has more than one option or argument {key!r}" for key in twice)


def _name_complaints(record: ArgumentSpec | OptionSpec) -> Iterator[str]:
    what = f"{type(record).__name__} {record.name!r}"
    if isinstance(record, OptionSpec):
        if not re.fullmatch(r"--[a-z0-9]+(-[a-z0-9]+)*", record.name):
            yield f"{what} is not of the form '--some-name'"
        if record.short and not re.fullmatch(r"-[a-zA-Z]", record.short):
            yield f"{what}: short is {record.short!r}, not of the form '-o'"
    if isinstance(record, OptionSpec) and record.key in RESERVED_KEYS:
        yield f"{what} is the host's own"
    if not record.key.isidentifier() or iskeyword(record.key):
        yield f"{what}: its keyword {record.key!r} is no name that Python allows"
    if record.type not in (str, int, float, bool):
        yield f"{what}: type must be str, int, float or bool"


def _format_complaints(spec: FormatSpec) -> Iterator[str]:
    if not (spec.reads or spec.writes or spec.reads_prompts):
        yield "neither reads, nor writes, nor reads prompts"
    for suffix in spec.suffixes:
        if not suffix.startswith(".") or suffix != suffix.lower():
            yield f"suffix {suffix!r} must be lower case and start with a dot"
    if spec.writes and not spec.suffixes:
        yield "writes but names no suffix"
