"""``samovar``: builds the command line from the host and its plugins, and turns errors into codes.

0 done · 1 something failed, the rest is there · 2 bad input or usage, nothing written · 130
cancelled. No traceback unless ``--debug``, which may stand anywhere.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer

import samovar
from samovar.cli import info, models, plugins, segment
from samovar.cli.plugin_commands import attach_commands
from samovar.cli.prompt_arguments import WORLDS
from samovar.discovery import one_line
from samovar.errors import SamovarError
from samovar.plugins import Registry, registry
from samovar.privacy import hide
from samovar.reporting import print_line, report_error, results_kept_clean, say

HELP = (
    "Promptable segmentation of CT and MRI volumes and of satellite or aerial rasters, on a "
    "laptop CPU. Research use only, not a medical device."
)


USAGE = 2
CANCELLED = 130
_CANCELLED_LINE = "cancelled: nothing more was written"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments without the program's name; default: those of the process.

    Returns:
        The exit code.
    """
    arguments, debug = prepare(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    _make_streams_tolerant(as_json)
    with warnings.catch_warnings():
        if not debug and not sys.warnoptions:
            # of libraries to programmers; what the user has to know is said in errors
            warnings.simplefilter("ignore")
        return _run(arguments, debug, as_json)


def _run(arguments: list[str], debug: bool, as_json: bool) -> int:
    try:
        app = build_app(Registry() if _without_plugins(arguments) else None)
        answer = app(args=arguments, prog_name="samovar", standalone_mode=False)
        if answer == CANCELLED:
            # typer's own answer to an interrupt, in place of the exception
            return report_error(_CANCELLED_LINE, CANCELLED, as_json=as_json)
        return answer if isinstance(answer, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return report_error(_CANCELLED_LINE, CANCELLED, as_json=as_json)
    except SamovarError as error:
        _trace(debug)
        return report_error(str(error), error.exit_code, as_json=as_json)
    except Exception as error:
        _trace(debug)
        usage = _usage_message(error)
        if usage is not None:
            return report_error(f"{usage} (samovar --help)", USAGE, as_json=as_json)
        hint = "" if debug else "; run it again with --debug, and report it"
        return report_error(f"internal error: {one_line(error)}{hint}", 1, as_json=as_json)


def prepare(argv: Sequence[str]) -> tuple[list[str], bool]:
    """Take ``--debug`` out, wherever it stands, and give a bare ``--world`` its value."""
    arguments: list[str] = []
    rest = list(argv)
    ended = rest.index("--") if "--" in rest else len(rest)
    for place, word in enumerate(rest):
        if place < ended and word == "--debug":
            continue
        arguments.append(word)
        following = rest[place + 1] if place + 1 < len(rest) else ""
        if place < ended and word == "--world" and following not in WORLDS:
            # typer has no options whose value may be left out
            arguments[-1] = "--world=auto"
    return arguments, "--debug" in rest[:ended]


def build_app(found: Registry | None = None) -> typer.Typer:
    """The whole command line: the host's commands, then those of plugins.

    Args:
        found: default: everything installed, problems allowed (commands decide about them).
    """
    plugins_found = registry(allow_problems=True) if found is None else found
    app = _group(HELP)
    app.callback(invoke_without_command=True)(_root)
    groups = {
        "models": _group("List, inspect and verify models."),
        "plugins": _group("List plugins and find out what is wrong with them."),
    }
    segment.attach(app, plugins_found)
    info.attach(app, plugins_found)
    models.attach(groups["models"])
    plugins.attach(groups["plugins"])
    taken = {"segment", "info", *(f"models {n}" for n in models.NAMES)}
    taken |= {f"plugins {n}" for n in plugins.NAMES}
    for name, group in groups.items():
        app.add_typer(group, name=name)
    attach_commands(app, groups, plugins_found, taken, _group)
    return app


def _group(text: str) -> typer.Typer:
    group = typer.Typer(
        help=text,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    group.callback(invoke_without_command=True)(_help_if_unfinished)
    return group


def _help_if_unfinished(context: typer.Context) -> None:
    """A group without a command gets its help, as an error."""
    if context.invoked_subcommand is None:
        with results_kept_clean():
            # rich prints it, plain typer returns it
            say(context.get_help())
        raise typer.Exit(USAGE)


def _show_version(wanted: bool) -> None:
    if wanted:
        print_line(f"samovar {samovar.__version__}")
        raise typer.Exit


def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Say the version and stop."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")
    ] = False,
) -> None:
    _help_if_unfinished(context)


def _without_plugins(arguments: Sequence[str]) -> bool:
    """The doctor looks at plugins from outside, so that one that hangs does not hang it too."""
    words = [a for a in arguments if not a.startswith("-")]
    return words[:2] == ["plugins", "doctor"] or list(arguments) == ["--version"]


def _usage_message(error: Exception) -> str | None:
    """What typer says of a wrong command line, or None for any other error.

    Its exceptions share no public base across versions; what they share is this method.
    """
    message: Any = getattr(error, "format_message", None)
    if not callable(message) or not hasattr(error, "exit_code"):
        return None
    return str(message())


def _make_streams_tolerant(as_json: bool) -> None:
    """A console that cannot show a character shows another; JSON is UTF-8 everywhere."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):
            if as_json and stream is sys.stdout:
                stream.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
            else:
                stream.reconfigure(errors="replace")  # type: ignore[union-attr]


def _trace(debug: bool) -> None:
    if debug:
        sys.stderr.write(hide(traceback.format_exc()))


if __name__ == "__main__":
    sys.exit(main())
