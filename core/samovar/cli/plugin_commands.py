"""Commands that plugins bring: ``samovar adapt``, ``samovar models import``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import typer
from rich.markup import escape

from samovar.cli.signatures import Function, command_function
from samovar.discovery import one_line
from samovar.errors import UsageError
from samovar.plugins import Problem, Registry
from samovar.specs import CommandSpec


def attach_commands(
    app: typer.Typer,
    groups: dict[str, typer.Typer],
    registry: Registry,
    taken: Iterable[str],
    make_group: Callable[[str], typer.Typer],
) -> None:
    """Add every command of every plugin; names of two words nest.

    A name that two distributions use, or that is the host's, works in its canonical form only
    (``samovar DISTRIBUTION/NAME``); the short one then says so.
    """
    specs: list[CommandSpec] = list(registry.specs("command"))
    counts = Counter(s.name for s in specs)
    first_words = {s.name.split()[0] for s in specs if " " in s.name} | set(groups)
    reserved = set(taken)
    asked_twice = set()
    for spec in specs:
        try:
            function = command_function(registry, spec)
        except Exception as error:
            cause = f"command {spec.name!r} cannot be offered: {one_line(error)}"
            registry.report(Problem(spec.distribution, "", "", "option", cause))
            continue
        if spec.name in reserved or spec.name in first_words:
            cause = f"command {spec.name!r} is taken: call it as samovar {canonical_word(spec)}"
            registry.report(Problem(spec.distribution, "", "", "option", cause))
            _add(app, canonical_word(spec), function, spec)
        elif counts[spec.name] > 1:
            _add(app, canonical_word(spec), function, spec)
            asked_twice.add(spec.name)
        else:
            _add_named(app, groups, spec.name, function, spec, make_group)
    for name in sorted(asked_twice):
        choices = [s for s in specs if s.name == name]
        _add_named(app, groups, name, _ambiguous(name, choices), choices[0], make_group, True)


def canonical_word(spec: CommandSpec) -> str:
    """``distribution/name`` as one word."""
    return spec.canonical.replace(" ", "-")


def _add_named(
    app: typer.Typer,
    groups: dict[str, typer.Typer],
    name: str,
    function: Function,
    spec: CommandSpec,
    make_group: Callable[[str], typer.Typer],
    hidden: bool = False,
) -> None:
    group, space, last = name.rpartition(" ")
    if space and group not in groups:
        groups[group] = make_group(f"Commands about {group}.")
        app.add_typer(groups[group], name=group)
    _add(groups[group] if space else app, last, function, spec, hidden)


def _add(
    app: typer.Typer, name: str, function: Function, spec: CommandSpec, hidden: bool = False
) -> None:
    text = escape(spec.help or spec.summary)
    lenient = {"allow_extra_args": True, "ignore_unknown_options": True} if hidden else {}
    app.command(
        name,
        help=f"{text}\n\n(from {spec.distribution})",
        short_help=escape(spec.summary) or None,
        hidden=hidden,
        context_settings=lenient,
    )(function)


def _ambiguous(name: str, specs: list[CommandSpec]) -> Function:
    def call() -> None:
        choices = " or ".join(f"samovar {canonical_word(s)}" for s in specs)
        raise UsageError(f"the command {name!r} is ambiguous: write {choices}")

    return call
