"""What a hook may return: the checks that a spec has to pass before it is registered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from samovar.naming import NAME, TARGET
from samovar.specs import (
    AdapterSpec,
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
        found = list(_complaints(item))
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


def _complaints(spec: Spec) -> Iterator[str]:
    words = spec.name.split(" ") if isinstance(spec.name, str) else []
    allowed = 2 if isinstance(spec, CommandSpec) else 1
    if not 1 <= len(words) <= allowed or not all(NAME.fullmatch(w) for w in words):
        yield "a name is lower-case letters, digits and . _ - between them"
    bundle = spec.bundle if isinstance(spec, EncoderSpec) else ""
    if not bundle and not (isinstance(spec.target, str) and TARGET.fullmatch(spec.target)):
        yield f"target {spec.target!r} is not 'package.module:Name'"
    yield from _option_complaints(spec)
    if isinstance(spec, FormatSpec):
        yield from _format_complaints(spec)


def _option_complaints(spec: Spec) -> Iterator[str]:
    for option in spec.options:
        if not isinstance(option, OptionSpec):
            yield f"its options hold {_article(option)}, not an OptionSpec"
        elif not option.name.startswith("--") or not option.key.isidentifier():
            yield f"option {option.name!r} is not of the form '--some-name'"
        elif option.type not in (str, int, float, bool):
            yield f"option {option.name}: type must be str, int, float or bool"


def _format_complaints(spec: FormatSpec) -> Iterator[str]:
    if not (spec.reads or spec.writes or spec.reads_prompts):
        yield "neither reads, nor writes, nor reads prompts"
    for suffix in spec.suffixes:
        if not suffix.startswith(".") or suffix != suffix.lower():
            yield f"suffix {suffix!r} must be lower case and start with a dot"
    if spec.writes and not spec.suffixes:
        yield "writes but names no suffix"
