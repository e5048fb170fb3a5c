"""Discovery: whatever a plugin does, it is named, and it takes nobody down with it."""

from __future__ import annotations

import json
import sys

import pytest

from samovar.errors import DependencyError, PluginError, UsageError
from samovar.plugins import Registry, registry
from samovar.specs import FormatSpec

GOOD = """
    from samovar import hookimpl
    from samovar.specs import PromptGeneratorSpec
    PLUGIN_API = (1, 0)

    @hookimpl
    def samovar_prompt_generators():
        return [PromptGeneratorSpec(name="{name}", target="nowhere:Thing")]
"""


def good(name: str) -> str:
    return GOOD.format(name=name)


FAILURES = {
    "raises at import": ("1 / 0", "import", "ZeroDivisionError"),
    "exits at import": ("import sys; sys.exit(3)", "import", "sys.exit(3)"),
    "base exception": ("raise BaseException('boo')", "import", "boo"),
    "syntax error": ("def", "import", "SyntaxError"),
    "missing dependency": ("import no_such_library_x", "import", "'no_such_library_x'"),
    "no api": ("x = 1", "api", "sets no PLUGIN_API"),
    "newer major": ("PLUGIN_API = (2, 0)", "api", "upgrade samovar"),
    "newer minor": ("PLUGIN_API = (1, 99)", "api", "upgrade samovar"),
    "older major": ("PLUGIN_API = (0, 9)", "api", "upgrade the plugin"),
    "odd api": ("PLUGIN_API = '1.0'", "api", "not a pair of whole numbers"),
    "no hook": ("PLUGIN_API = (1, 0)", "register", "implements no hook"),
    "unmarked hook": (
        "PLUGIN_API = (1, 0)\ndef samovar_formats():\n    return []",
        "register",
        "samovar_formats lacks the marker",
    ),
    "unknown hook": (
        "from samovar import hookimpl\nPLUGIN_API = (1, 0)\n"
        "@hookimpl\ndef samovar_format():\n    return []",
        "register",
        "did you mean 'samovar_formats'",
    ),
    "hook with arguments": (
        "from samovar import hookimpl\nPLUGIN_API = (1, 0)\n"
        "@hookimpl\ndef samovar_formats(host):\n    return []",
        "register",
        "cannot be registered",
    ),
}

HOOKS = {
    "raises": ("raise RuntimeError('inside')", "hook", "samovar_formats raised RuntimeError"),
    "exits": ("raise SystemExit(1)", "hook", "samovar_formats raised SystemExit"),
    "None": ("return None", "spec", "returned None, not a list of FormatSpec"),
    "a string": ("return 'nifti'", "spec", "returned a str"),
    "a generator": ("yield 1", "spec", "returned a generator"),
    "numbers": ("return [1]", "spec", "a list with an int in it"),
    "another kind": ("return [CommandSpec(name='x', target='a:b')]", "spec", "a CommandSpec"),
    "a bad name": (
        "return [FormatSpec(name='My Format', target='a:b', reads=True)]",
        "spec",
        "lower-case",
    ),
    "a bad target": ("return [FormatSpec(name='x', target='a.b', reads=True)]", "spec", "'a.b'"),
    "no ability": ("return [FormatSpec(name='x', target='a:b')]", "spec", "neither reads"),
    "a bad suffix": (
        "return [FormatSpec(name='x', target='a:b', reads=True, suffixes=('NII',))]",
        "spec",
        "start with a dot",
    ),
    "a bad option": (
        "return [FormatSpec(name='x', target='a:b', reads=True, options=('--x',))]",
        "spec",
        "holds a str among its OptionSpecs",
    ),
    "options that are no tuple": (
        "return [FormatSpec(name='x', target='a:b', reads=True, options=None)]",
        "spec",
        "options is None, not a tuple",
    ),
    "a summary that is no text": (
        "return [FormatSpec(name='x', target='a:b', reads=True, summary=3)]",
        "spec",
        "summary is an int, not a str",
    ),
    "a name that is no text": (
        "return [FormatSpec(name=None, target='a:b', reads=True)]",
        "spec",
        "name is None, not a str",
    ),
    "suffixes that are no texts": (
        "return [FormatSpec(name='x', target='a:b', reads=True, suffixes=(1,))]",
        "spec",
        "cannot be understood",
    ),
    "an option that is a keyword": (
        "return [FormatSpec(name='x', target='a:b', reads=True,"
        " options=(OptionSpec('--class', ''),))]",
        "spec",
        "no name that Python allows",
    ),
    "an option without dashes": (
        "return [FormatSpec(name='x', target='a:b', reads=True, options=(OptionSpec('c', ''),))]",
        "spec",
        "not of the form '--some-name'",
    ),
    "an option of a strange type": (
        "return [FormatSpec(name='x', target='a:b', reads=True,"
        " options=(OptionSpec('--c', '', list),))]",
        "spec",
        "type must be str, int, float or bool",
    ),
    "an option of the host": (
        "return [FormatSpec(name='x', target='a:b', reads=True,"
        " options=(OptionSpec('--help', ''),))]",
        "spec",
        "is the host's own",
    ),
    "one option twice": (
        "return [FormatSpec(name='x', target='a:b', reads=True,"
        " options=(OptionSpec('--c', ''),) * 2)]",
        "spec",
        "more than one option or argument 'c'",
    ),
    "one name twice": (
        "return [FormatSpec(name='x', target='a:b', reads=True)] * 2",
        "spec",
        "more than once",
    ),
}


def problem_of(distribution: str, found: Registry | None = None):
    problems = [p for p in (found or registry()).problems if p.distribution == distribution]
    assert len(problems) == 1, problems
    return problems[0]


@pytest.mark.parametrize("case", FAILURES)
def test_failure_is_named_and_contained(site, case):
    code, stage, cause = FAILURES[case]
    site.install("broken-one", code, version="3.2")
    site.install("well-behaved", good("steady"))
    problem = problem_of("broken-one")
    assert (problem.version, problem.stage) == ("3.2", stage)
    assert cause in problem.cause
    assert "broken-one 3.2" in str(problem)
    assert "\n" not in str(problem)
    assert registry().find("prompt-generator", "steady").distribution == "well-behaved"
    assert registry().find("format", "picture").distribution == "samovar"


@pytest.mark.parametrize("case", HOOKS)
def test_hook_that_answers_nonsense(site, case):
    body, stage, cause = HOOKS[case]
    site.install(
        "broken-one",
        f"""
    from samovar import hookimpl
    from samovar.specs import CommandSpec, FormatSpec, OptionSpec, PromptGeneratorSpec
    PLUGIN_API = (1, 0)

    @hookimpl
    def samovar_formats():
        {body}

    @hookimpl
    def samovar_prompt_generators():
        return [PromptGeneratorSpec(name="other-hook", target="a:b")]
    """,
    )
    problem = problem_of("broken-one")
    assert problem.stage == stage
    assert cause in problem.cause
    # its other hook is called all the same
    assert registry().find("prompt-generator", "other-hook").distribution == "broken-one"
    assert not [s for s in registry().specs("format") if s.distribution == "broken-one"]


def test_good_specs_of_a_list_survive_a_bad_one(site):
    site.install(
        "half-good",
        """
    from samovar import hookimpl
    from samovar.specs import FormatSpec
    PLUGIN_API = (1, 0)

    @hookimpl
    def samovar_formats():
        return [FormatSpec(name="fine", target="a:b", reads=True), None]
    """,
    )
    assert "None" in problem_of("half-good").cause
    assert registry().find("format", "fine").canonical == "half-good/fine"


def test_keyboard_interrupt_is_not_swallowed(site):
    site.install("slow-one", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        registry()


def test_requires_dist_is_checked_before_import(site):
    site.install("too-new", "raise AssertionError('imported')", requires=("samovar>=99",))
    problem = problem_of("too-new")
    assert problem.stage == "requires"
    assert "needs samovar>=99" in problem.cause
    assert "too_new" not in sys.modules


@pytest.mark.parametrize(
    "requires",
    [
        (),
        ("numpy",),
        ("samovar",),
        ("Samovar>=0.1,<0.2; python_version >= '3.11'",),
        ("samovar>=99; extra == 'later'",),
        ("samovar>=99; python_version < '3'",),
    ],
)
def test_requirements_that_hold(site, requires):
    site.install("well-behaved", good("steady"), requires=requires)
    assert registry().find("prompt-generator", "steady")


def test_invalid_requirement(site):
    site.install("odd-one", good("x"), requires=("samovar >>> 1",))
    assert problem_of("odd-one").stage == "requires"


def test_dangling_entry_point(site):
    site.install("dangling", entry_points={"main": "no_such_module_x.plugin"})
    assert "no_such_module_x.plugin" in problem_of("dangling").cause
    site.install("dangling-too", "x = 1", entry_points={"main": "dangling_too:absent"})
    assert "absent" in problem_of("dangling-too", Registry.discover()).cause


def test_entry_point_may_name_an_object(site):
    site.install(
        "with-object",
        """
    from samovar import hookimpl
    from samovar.specs import PromptGeneratorSpec
    PLUGIN_API = (1, 0)

    class Plugin:
        @hookimpl
        def samovar_prompt_generators(self):
            return (PromptGeneratorSpec(name="inside", target="a:b"),)

    plugin = Plugin()
    """,
        entry_points={"main": "with_object:plugin"},
    )
    assert registry().find("prompt-generator", "inside")
    assert not registry().problems


def test_one_entry_point_name_in_two_distributions(site):
    site.install("first-maker", good("one"), entry_points={"segment": "first_maker"})
    site.install("second-maker", good("two"), entry_points={"segment": "second_maker"})
    names = {s.canonical for s in registry().specs("prompt-generator")}
    assert {"first-maker/one", "second-maker/two"} <= names
    assert not registry().problems


def test_one_module_in_two_distributions(site):
    site.install("first-maker", good("one"), module="same_module")
    site.install("second-maker", entry_points={"main": "same_module"})
    assert "registered already" in problem_of("second-maker").cause
    assert registry().find("prompt-generator", "one").distribution == "first-maker"


def test_ambiguous_short_name_lists_both(site):
    site.install("b-maker", good("same"))
    site.install("a-maker", good("same"))
    with pytest.raises(UsageError, match="ambiguous: write a-maker/same or b-maker/same"):
        registry().find("prompt-generator", "same")
    assert registry().find("prompt-generator", "b-maker/same").distribution == "b-maker"
    assert registry().find("prompt-generator", "B_Maker/same").distribution == "b-maker"


def test_unknown_name_gives_the_nearest(site):
    site.install("a-maker", good("hierarchical"))
    with pytest.raises(UsageError, match=r"no prompt generator 'hierarchic'; nearest: hierarchic"):
        registry().find("prompt-generator", "hierarchic")
    site.install("broken-one", "1 / 0")
    with pytest.raises(UsageError, match=r"broken-one has problems"):
        Registry.discover().find("prompt-generator", "zzz")


def test_nothing_of_a_kind_says_where_to_get_it(site, monkeypatch):
    site.install("b-maker", good("steady"))
    monkeypatch.setenv("SAMOVAR_PLUGINS", "samovar")
    message = r"no plugin offers one: pip install samovar-laptop \(blocked: b-maker"
    with pytest.raises(UsageError, match=message):
        registry().find("encoder", "tiny")


def test_distribution_found_twice_counts_once(site, tmp_path, monkeypatch):
    site.install("well-behaved", good("steady"))
    again = type(site)(tmp_path / "again")
    again.folder.mkdir()
    again.install("Well.Behaved", good("steady"), module="well_behaved")
    monkeypatch.syspath_prepend(again.folder)
    assert len([p for p in registry().plugins if p.distribution == "well-behaved"]) == 1
    assert not registry().problems


def test_printing_at_import_does_not_reach_standard_output(site, capsys):
    site.install("chatty", "print('hello from import')\n" + good("talk").replace("\n    ", "\n"))
    assert registry().find("prompt-generator", "talk")
    said = capsys.readouterr()
    assert said.out == ""
    assert "hello from import" in said.err


class TestEnvironment:
    @pytest.fixture(autouse=True)
    def _three(self, site):
        site.install("a-maker", good("one"))
        site.install("b-maker", good("two"))
        site.install("broken-one", "1 / 0")

    def states(self) -> dict[str, str]:
        return {p.distribution: p.state for p in Registry.discover().plugins}

    def test_allow_list(self, monkeypatch):
        monkeypatch.setenv("SAMOVAR_PLUGINS", "A_Maker")
        states = self.states()
        assert (states["a-maker"], states["b-maker"]) == ("loaded", "blocked")
        assert states["broken-one"] == "blocked"
        assert states["samovar"] == "loaded"

    def test_allow_list_names_what_is_absent(self, monkeypatch):
        monkeypatch.setenv("SAMOVAR_PLUGINS", "a-maker,misspelt")
        assert problem_of("misspelt", Registry.discover()).stage == "metadata"

    def test_block_list_wins(self, monkeypatch):
        monkeypatch.setenv("SAMOVAR_PLUGINS", "a-maker")
        monkeypatch.setenv("SAMOVAR_DISABLE_PLUGINS", "a.maker, broken_one")
        assert self.states()["a-maker"] == "blocked"
        assert not Registry.discover().problems

    def test_strict(self, monkeypatch):
        assert registry().problems
        monkeypatch.setenv("SAMOVAR_STRICT_PLUGINS", "1")
        with pytest.raises(PluginError, match=r"broken-one 1\.0.*ZeroDivisionError"):
            registry()
        assert registry(allow_problems=True).problems
        monkeypatch.setenv("SAMOVAR_STRICT_PLUGINS", "0")
        assert registry().problems


class TestLoad:
    def spec(self, target: str) -> FormatSpec:
        return FormatSpec(name="x", target=target, reads=True, distribution="some-maker")

    def test_target_is_called_with_options(self, site):
        site.install("some-maker", "def make(**options):\n    return options")
        assert Registry().load(self.spec("some_maker:make"), a=1) == {"a": 1}

    @pytest.mark.parametrize(
        ("code", "kind", "message"),
        [
            ("import no_such_library_x", DependencyError, "pip install --upgrade some-maker"),
            ("1 / 0", PluginError, "some-maker/x cannot be loaded.*ZeroDivisionError"),
            ("def other(): ...", PluginError, "has no attribute 'make'"),
            ("def make():\n    raise ValueError('odd')", PluginError, "failed to start.*odd"),
            ("def make():\n    raise SystemExit", PluginError, "failed to start: SystemExit"),
            ("def make(surprise): ...", PluginError, "surprise"),
        ],
    )
    def test_failures_name_the_distribution(self, site, code, kind, message):
        site.install("some-maker", code)
        with pytest.raises(kind, match=message) as caught:
            Registry().load(self.spec("some_maker:make"))
        assert "some-maker" in str(caught.value)

    def test_target_that_is_not_there(self):
        with pytest.raises(PluginError, match="is not there"):
            Registry().load(self.spec("no_such_module_x.deep:make"))

    def test_registering_an_object(self, site):
        site.install("some-maker", good("mine"))
        found = Registry()
        found.register(__import__("some_maker"), "My_Maker")
        assert found.find("prompt-generator", "mine").canonical == "my-maker/mine"
        found.register(object(), "nothing")
        assert problem_of("nothing", found).stage == "api"


class TestPluginsList:
    def test_json_is_json_and_nothing_else(self, site, samovar):
        site.install("chatty", "print('noise')\n1 / 0")
        ran = samovar("plugins", "list", "--json")
        document = json.loads(ran.out)
        assert ran.code == 0
        (problem,) = document["problems"]
        assert problem["distribution"] == "chatty"
        states = {p["distribution"]: p["state"] for p in document["plugins"]}
        assert (states["chatty"], states["samovar"]) == ("failed", "loaded")

    def test_table(self, site, samovar):
        site.install("broken-one", "1 / 0")
        ran = samovar("plugins", "list")
        assert ran.code == 0
        assert "label-png" in ran.out
        assert "ZeroDivisionError" in ran.err

    def test_strict_exit_code(self, site, samovar, monkeypatch):
        site.install("broken-one", "1 / 0")
        monkeypatch.setenv("SAMOVAR_STRICT_PLUGINS", "1")
        assert samovar("plugins", "list").code == 1
        ran = samovar("models", "list", "--json")
        assert ran.code == 1
        assert "broken-one" in json.loads(ran.out)["error"]


class TestDoctor:
    def findings(self, samovar, *more: object) -> dict[str, list[str]]:
        ran = samovar("plugins", "doctor", "--json", *more)
        assert ran.code == 0
        return {r["distribution"]: r["findings"] for r in json.loads(ran.out)["plugins"]}

    @pytest.fixture(autouse=True)
    def _only_these(self, site, monkeypatch):
        monkeypatch.setenv("SAMOVAR_PLUGINS", "ends-it,hangs,heavy-one,well-behaved")

    def test_what_cannot_be_caught_from_inside(self, site, samovar, monkeypatch):
        site.install("ends-it", "import os; os._exit(7)")
        site.install("hangs", "import time; time.sleep(60)")
        monkeypatch.setenv("SAMOVAR_PLUGINS", "ends-it,hangs")
        findings = self.findings(samovar, "--timeout", "3")
        assert "ends the process" in findings["ends-it"][0]
        assert "exit code 7" in findings["ends-it"][0]
        assert "hangs" in findings["hangs"][0]

    def test_heavy_imports_and_missing_targets(self, site, samovar):
        site.install("napari", "PLUGIN_API = (1, 0)", entry_points={})
        site.install("heavy-one", "import napari\n" + good("x").replace("\n    ", "\n"))
        findings = self.findings(samovar)
        assert any("imports napari" in f for f in findings["heavy-one"])
        assert any("'nowhere' is not there" in f for f in findings["heavy-one"])

    def test_strict_exit_code_and_remedy(self, site, samovar, monkeypatch):
        site.install("heavy-one", "1 / 0")
        monkeypatch.setenv("SAMOVAR_STRICT_PLUGINS", "1")
        ran = samovar("plugins", "doctor")
        assert ran.code == 1
        assert "SAMOVAR_DISABLE_PLUGINS=heavy-one" in ran.out
