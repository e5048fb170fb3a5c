"""Functions for typer whose parameters come from specs: the options and commands of plugins."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, get_type_hints

import typer
from rich.markup import escape

from samovar.plugins import Problem, Registry
from samovar.specs import ArgumentSpec, CommandSpec, OptionSpec, Spec

Function = Callable[..., Any]


def option_parameter(option: OptionSpec, panel: str | None = None) -> inspect.Parameter:
    """A keyword parameter that typer shows as ``option``."""
    kind: Any = list[option.type] if option.multiple else option.type  # type: ignore[name-defined]
    if option.type is not bool or option.multiple:
        kind = kind | None
    shown = option.default not in (None, "", False)
    info = typer.Option(
        *([option.name, option.short] if option.short else [option.name]),
        help=escape(option.help),
        metavar=option.metavar,
        show_default=shown,
        rich_help_panel=panel,
    )
    default = bool(option.default) if option.type is bool else option.default
    return inspect.Parameter(
        option.key,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, info],
    )


def argument_parameter(argument: ArgumentSpec) -> inspect.Parameter:
    """A keyword parameter that typer shows as a positional argument."""
    kind: Any = list[argument.type] if argument.multiple else argument.type  # type: ignore[name-defined]
    info = typer.Argument(help=escape(argument.help), metavar=argument.name, show_default=False)
    default: Any = inspect.Parameter.empty
    if not argument.required:
        kind, default = kind | None, None
    return inspect.Parameter(
        argument.key,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, info],
    )


def with_parameters(function: Function, parameters: Sequence[inspect.Parameter]) -> Function:
    """``function`` as seen by typer: with these parameters, passed on as keywords."""

    def call(**values: Any) -> Any:
        return function(**values)

    call.__name__ = getattr(function, "__name__", "command")
    call.__doc__ = function.__doc__
    call.__signature__ = inspect.Signature(list(parameters))  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    return call


def extended(function: Function, parameters: Sequence[inspect.Parameter]) -> Function:
    """``function(…, **more)`` as seen by typer: its own parameters, then ``parameters``."""
    hints = get_type_hints(function, include_extras=True)
    own = [
        p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for p in inspect.signature(function).parameters.values()
        if p.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    return with_parameters(function, [*own, *parameters])


def command_function(registry: Registry, spec: CommandSpec) -> Function:
    """The command of a plugin: its target is imported when it is called."""

    def call(**values: Any) -> int | None:
        target = registry.resolve(spec)
        answer = target(**values)
        return answer if isinstance(answer, int) and not isinstance(answer, bool) else None

    call.__name__ = spec.name.replace(" ", "_").replace("-", "_")
    call.__doc__ = spec.help or spec.summary
    parameters = [argument_parameter(a) for a in spec.arguments]
    parameters += [option_parameter(o) for o in spec.options]
    return with_parameters(call, parameters)


def shared_options(
    registry: Registry, specs: Iterable[Spec], taken: Iterable[str]
) -> list[inspect.Parameter]:
    """One parameter for every option that ``specs`` declare, in a help panel a distribution.

    An option of the host's name, or declared with different types, is left out and reported as a
    problem of the distributions that declare it.
    """
    declared: dict[str, list[tuple[Spec, OptionSpec]]] = {}
    for spec in specs:
        for option in spec.options:
            declared.setdefault(option.key, []).append((spec, option))
    reserved = set(taken)
    parameters = []
    for key, owners in sorted(declared.items()):
        shapes = {(o.type, o.multiple) for _, o in owners}
        if key in reserved or len(shapes) > 1:
            why = "the host's own" if key in reserved else "declared with different types"
            names = " and ".join(sorted({s.canonical for s, _ in owners}))
            for name in sorted({s.distribution for s, _ in owners}):
                cause = f"option {owners[0][1].name} of {names} is left out: it is {why}"
                registry.report(Problem(name, "", "", "option", cause))
            continue
        panel = f"Options of {', '.join(sorted({s.distribution for s, _ in owners}))}"
        parameters.append(option_parameter(owners[0][1], panel))
    return parameters
