"""The command line as a whole: exit codes, ``--debug``, ``--json``, commands of plugins."""

from __future__ import annotations

import json

import pytest

import samovar as package
from samovar.cli.main import prepare
from samovar.errors import Cancelled, DependencyError, InputError, PluginError

COMMANDS = """
    import sys
    from samovar import hookimpl
    from samovar.specs import ArgumentSpec, CommandSpec, OptionSpec
    PLUGIN_API = (1, 0)

    @hookimpl
    def samovar_commands():
        return [
            CommandSpec(
                name="{name}",
                target="{module}:run",
                summary="Does [/bold] things",
                help="Does things to FILES.",
                arguments=(ArgumentSpec("FILES", "what to do it to", multiple=True),),
                options=(
                    OptionSpec("--how-often", "times", int, 2),
                    OptionSpec("--ratio", "a number", float),
                    OptionSpec("--loud", "a switch", bool, False),
                    OptionSpec("--tag", "repeatable", str, multiple=True),
                ),
            )
        ]

    def run(files, how_often, ratio, loud, tag):
        print("{module}", files, how_often, ratio, loud, tag)
        return how_often
"""


def install(site, distribution: str, name: str) -> None:
    module = distribution.replace("-", "_")
    site.install(distribution, COMMANDS.format(name=name, module=module))


class TestErrors:
    @pytest.fixture
    def fails(self, site, samovar, monkeypatch):
        """Runs a command that raises the error given."""

        def run(error: BaseException, *more: str):
            def raise_it(*_, **__):
                raise error

            monkeypatch.setattr("samovar.cli.info.open_image", raise_it)
            return samovar("info", "x.png", *more)

        return run

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (InputError("bad\n file"), 2),
            (PluginError("bad file"), 1),
            (DependencyError("bad file"), 2),
            (Cancelled("bad file"), 130),
        ],
    )
    def test_own_errors_are_one_line(self, fails, error, code):
        ran = fails(error)
        assert (ran.code, ran.out, ran.err) == (code, "", "samovar: bad file\n")

    def test_json_errors_are_json(self, fails):
        ran = fails(InputError("größer"), "--json")
        assert json.loads(ran.out) == {"error": "größer", "exit_code": 2}
        assert ran.err == "samovar: größer\n"

    def test_unexpected_errors_are_one_line_too(self, fails):
        ran = fails(ZeroDivisionError("division by zero"))
        assert ran.code == 1
        assert ran.err.startswith("samovar: internal error: ZeroDivisionError: division by zero")
        assert "--debug" in ran.err
        assert "Traceback" not in ran.err
        assert len(ran.err.splitlines()) == 1

    @pytest.mark.parametrize("error", [ZeroDivisionError("x"), InputError("x")])
    def test_debug_shows_the_traceback(self, fails, error):
        ran = fails(error, "--debug")
        assert "Traceback" in ran.err
        assert ran.out == ""

    def test_interrupt(self, fails):
        ran = fails(KeyboardInterrupt())
        assert ran.code == 130
        assert "cancelled" in ran.err
        assert "Traceback" not in ran.err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["sgment"], "Did you mean 'segment'"),
            (["info"], "Missing argument"),
            (["info", "a", "b"], "unexpected extra argument"),
            (["info", "a", "--colour"], "--colour"),
            (["segment", "a", "--threads", "many", "--box", "0,0,1,1"], "--threads"),
            (["models", "lst"], "Did you mean 'list'"),
        ],
    )
    def test_usage_errors(self, samovar, arguments, message):
        ran = samovar(*arguments)
        assert (ran.code, ran.out) == (2, "")
        assert message in ran.err
        assert len(ran.err.splitlines()) == 1
        as_json = samovar(*arguments, "--json")
        assert as_json.code == 2
        assert json.loads(as_json.out)["exit_code"] == 2


class TestRoot:
    def test_version(self, samovar):
        ran = samovar("--version")
        assert (ran.code, ran.out) == (0, f"samovar {package.__version__}\n")

    @pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["models", "-h"], ["segment", "-h"]])
    def test_help(self, samovar, arguments):
        ran = samovar(*arguments)
        assert ran.code == 0
        assert "Usage:" in ran.out

    @pytest.mark.parametrize("arguments", [[], ["models"], ["plugins"]])
    def test_unfinished_commands_get_help(self, samovar, arguments):
        ran = samovar(*arguments)
        assert (ran.code, ran.out) == (2, "")
        assert "Usage:" in ran.err

    def test_debug_and_world_are_prepared(self):
        assert prepare(["segment", "a", "--debug", "--world", "--box", "1"]) == (
            ["segment", "a", "--world=auto", "--box", "1"],
            True,
        )
        assert prepare(["segment", "--world", "ras", "a"]) == (
            ["segment", "--world", "ras", "a"],
            False,
        )
        assert prepare(["info", "--", "--debug"]) == (["info", "--", "--debug"], False)
        assert prepare(["segment", "a", "--world"])[0][-1] == "--world=auto"


class TestCommandsOfPlugins:
    def test_arguments_and_options(self, site, samovar):
        install(site, "maker-one", "polish")
        ran = samovar("polish", "a", "b", "--tag", "x", "--tag", "y", "--loud")
        assert ran.code == 2
        assert ran.out == "maker_one ['a', 'b'] 2 None True ['x', 'y']\n"
        ran = samovar("polish", "a", "--how-often", "0", "--ratio", "0.5")
        assert ran.code == 0
        assert "['a'] 0 0.5 False None" in ran.out
        assert samovar("polish").code == 2

    def test_help_survives_markup(self, site, samovar):
        install(site, "maker-one", "polish")
        ran = samovar("--help")
        assert ran.code == 0
        assert "[/bold]" in ran.out
        assert "from maker-one" in samovar("polish", "--help").out

    @pytest.mark.parametrize("name", ["models polish", "brand polish"])
    def test_two_words_nest(self, site, samovar, name):
        install(site, "maker-one", name)
        assert samovar(*name.split(), "a", "--how-often", "0").code == 0

    def test_ambiguous_names_list_both(self, site, samovar):
        install(site, "maker-one", "polish")
        install(site, "maker-two", "polish")
        ran = samovar("polish", "a", "--loud")
        assert ran.code == 2
        assert "write samovar maker-one/polish or samovar maker-two/polish" in ran.err
        assert "maker_two" in samovar("maker-two/polish", "a").out

    @pytest.mark.parametrize("name", ["segment", "plugins list", "models"])
    def test_the_hosts_own_names_stay(self, site, samovar, name):
        install(site, "maker-one", name)
        assert samovar("plugins", "list").code == 0
        assert "Segment an image" in samovar("segment", "--help").out
        word = "maker-one/" + name.replace(" ", "-")
        assert samovar(word, "a", "--how-often", "0").code == 0
        assert f"call it as samovar {word}" in samovar("plugins", "list").err

    def test_broken_command_names_its_distribution(self, site, samovar):
        code = COMMANDS.format(name="polish", module="maker_one").replace("maker_one:run", "a.b:c")
        site.install("maker-one", code)
        ran = samovar("polish", "a")
        assert ran.code == 1
        assert "maker-one/polish" in ran.err
        assert len(ran.err.splitlines()) == 1

    def test_errors_of_commands_keep_their_codes(self, site, samovar):
        body = "from samovar.errors import InputError\n        raise InputError('no good')"
        code = COMMANDS.format(name="polish", module="maker_one")
        code = code.replace('print("maker_one", files, how_often, ratio, loud, tag)', body)
        site.install("maker-one", code)
        ran = samovar("polish", "a")
        assert (ran.code, ran.err) == (2, "samovar: no good\n")


OPTIONS = """
    from samovar import hookimpl
    from samovar.specs import FormatSpec, OptionSpec
    PLUGIN_API = (1, 0)

    @hookimpl
    def samovar_formats():
        return [
            FormatSpec(
                name="made-format",
                target="a:b",
                suffixes=(".made",),
                reads=True,
                options=(OptionSpec({option}),),
            )
        ]
"""


class TestOptionsOfPlugins:
    def test_they_appear_with_their_plugin(self, site, samovar, monkeypatch):
        monkeypatch.setenv("COLUMNS", "120")
        site.install("maker-one", OPTIONS.format(option="'--slabs', 'which [slabs]'"))
        ran = samovar("segment", "--help")
        assert "--slabs" in ran.out
        assert "Options of maker-one" in ran.out
        assert "which [slabs]" in ran.out
        monkeypatch.setenv("SAMOVAR_DISABLE_PLUGINS", "maker-one")
        package.plugins.reset()
        assert "--slabs" not in samovar("segment", "--help").out

    def test_one_of_the_hosts_name_is_left_out(self, site, samovar):
        site.install("maker-one", OPTIONS.format(option="'--model', 'mine', int"))
        assert samovar("segment", "--help").code == 0
        assert "--model of maker-one/made-format is left out" in samovar("plugins", "list").err

    def test_different_types_are_left_out(self, site, samovar):
        site.install("maker-one", OPTIONS.format(option="'--slabs', '', int"))
        site.install("maker-two", OPTIONS.format(option="'--slabs', '', str"))
        assert "--slabs" not in samovar("segment", "--help").out
        err = samovar("plugins", "list").err
        assert "maker-one/made-format and maker-two/made-format" in err

    def test_the_same_option_of_two_plugins_is_one(self, site, samovar):
        site.install("maker-one", OPTIONS.format(option="'--slabs', 'which'"))
        site.install("maker-two", OPTIONS.format(option="'--slabs', 'which'"))
        assert samovar("segment", "--help").out.count("--slabs") == 1
