"""The hooks. Each returns a list of frozen specs; nothing heavy is imported to answer.

Declare the entry point ``[project.entry-points."samovar.plugins"] name = "package.module"``, set
``PLUGIN_API = (1, 0)`` in that module, and mark functions with ``samovar.hookimpl``.
"""

from __future__ import annotations

import pluggy

from samovar.specs import (
    AdapterSpec,
    CommandSpec,
    DecoderSpec,
    EncoderSpec,
    FormatSpec,
    PromptGeneratorSpec,
    RuntimeSpec,
    SegmenterSpec,
)

PLUGIN_API = (1, 0)
ENTRY_POINT_GROUP = "samovar.plugins"

hookspec = pluggy.HookspecMarker("samovar")
hookimpl = pluggy.HookimplMarker("samovar")


@hookspec
def samovar_encoders() -> list[EncoderSpec]:
    """Image view → Embedding (+ feature taps)."""
    return []


@hookspec
def samovar_prompt_generators() -> list[PromptGeneratorSpec]:
    """(view, embedding, prior masks, context) → Prompts, or None when done."""
    return []


@hookspec
def samovar_adapters() -> list[AdapterSpec]:
    """Surgery on an encoder or decoder: attach, fit, merge, save."""
    return []


@hookspec
def samovar_decoders() -> list[DecoderSpec]:
    """(Embedding, Prompts) → Masks."""
    return []


@hookspec
def samovar_segmenters() -> list[SegmenterSpec]:
    """Models whose encoding depends on the prompt, or that are 3-D."""
    return []


@hookspec
def samovar_runtimes() -> list[RuntimeSpec]:
    """Run an exported graph; list what this machine has."""
    return []


@hookspec
def samovar_formats() -> list[FormatSpec]:
    """Readers and writers by suffix and by sniffing."""
    return []


@hookspec
def samovar_commands() -> list[CommandSpec]:
    """Command line subcommands, loaded when called."""
    return []
