"""Architectures: the torch side of a model, reached by hook and imported on first use.

A bundle is what runs. To train a model, adapt or quantise it, its torch modules are needed too: an
:class:`~samovar.specs.EncoderSpec` names their ``builder``, so that nobody has to import the plugin
that has them. Some specs have nothing else: architectures that come without weights.

>>> from samovar.architectures import build_architecture
>>> architecture = build_architecture("mobile-sam")                 # doctest: +SKIP
>>> architecture.load(["mobile_sam.pt"])                            # doctest: +SKIP
>>> encoder = architecture.role("encoder")                          # doctest: +SKIP
>>> bundle = architecture.export("my-mobile-sam")                   # doctest: +SKIP
"""

from __future__ import annotations

from dataclasses import replace

from samovar.errors import PluginError, UsageError
from samovar.naming import did_you_mean
from samovar.plugins import registry
from samovar.protocols import Architecture
from samovar.specs import EncoderSpec


def architecture_specs() -> tuple[EncoderSpec, ...]:
    """Every model whose torch side some plugin offers, by canonical name."""
    return tuple(spec for spec in registry().specs("encoder") if spec.builder)


def build_architecture(name: str) -> Architecture:
    """The torch side of a model, freshly initialised, in evaluation mode.

    Args:
        name: of its spec, short or canonical.

    Raises:
        UsageError: an unknown name, or a model that offers no torch side.
        DependencyError: torch is not installed.
        PluginError: its plugin fails to build it, or builds something else.
    """
    spec: EncoderSpec = registry().find("encoder", name)
    if not spec.builder:
        names = [s.name for s in architecture_specs()]
        hint = did_you_mean(spec.name, names) or f" (those that do: {', '.join(names) or 'none'})"
        raise UsageError(f"{spec.canonical} offers no torch modules to train or adapt{hint}")
    built = registry().load(replace(spec, target=spec.builder, options=()))
    if not isinstance(built, Architecture):
        raise PluginError(
            f"{spec.canonical}: its builder {spec.builder!r} made a {type(built).__name__} without "
            "what samovar.protocols.Architecture asks for"
        )
    return built


__all__ = ["Architecture", "architecture_specs", "build_architecture"]
