"""Discovery: from installed distributions to specs, each plugin in isolation.

A plugin that fails is recorded as a :class:`Problem` with its distribution and the cause; it takes
down neither the host nor another plugin. What it prints goes to standard error.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
import types
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from typing import Any, Literal

import pluggy
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

import samovar
from samovar import hookspecs
from samovar.naming import did_you_mean
from samovar.registration import HOOK_KINDS, check_specs
from samovar.specs import Spec

HOST = "samovar"
Stage = Literal["metadata", "requires", "import", "api", "register", "hook", "spec", "option"]


@dataclass(frozen=True)
class Problem:
    """Something wrong with a plugin, and whose it is."""

    distribution: str
    version: str
    entry_point: str
    stage: Stage
    cause: str

    def __str__(self) -> str:
        who = f"{self.distribution} {self.version}".strip()
        where = f" (entry point {self.entry_point!r})" if self.entry_point else ""
        return f"{who}{where}: {self.cause}"


@dataclass(frozen=True)
class Candidate:
    """One entry point of one distribution, not yet imported."""

    distribution: str
    version: str
    entry_point: str
    value: str
    """``package.module`` or ``package.module:object``."""
    requires: tuple[str, ...] = ()

    def problem(self, stage: Stage, cause: str) -> Problem:
        return Problem(self.distribution, self.version, self.entry_point, stage, cause)


class Rejected(Exception):
    """A candidate that cannot be loaded; carries why. Never leaves this module."""

    def __init__(self, stage: Stage, cause: str) -> None:
        super().__init__(cause)
        self.stage: Stage = stage
        self.cause = cause


def one_line(error: BaseException) -> str:
    """``"ValueError: what it said"``, on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def find_candidates() -> tuple[list[Candidate], list[Problem]]:
    """Every entry point of the group ``samovar.plugins``, sorted; nothing is imported.

    A distribution that is on the path twice counts once, the first found (as import does).
    """
    candidates: list[Candidate] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        try:
            entry_points = distribution.entry_points.select(group=hookspecs.ENTRY_POINT_GROUP)
            if not entry_points:
                continue
            name = canonicalize_name(distribution.metadata["Name"])
            if name in seen:
                continue
            seen.add(name)
            requires = tuple(distribution.requires or ())
            version = distribution.version or "?"
        except Exception as error:
            where = str(getattr(distribution, "_path", "a distribution"))
            problems.append(Problem(where, "", "", "metadata", one_line(error)))
            continue
        for entry_point in entry_points:
            candidates.append(
                Candidate(name, version, entry_point.name, entry_point.value, requires)
            )
    candidates.sort(key=lambda c: (c.distribution != HOST, c.distribution, c.entry_point, c.value))
    return candidates, problems


def blocked_by(distribution: str) -> str | None:
    """Name of the environment variable that keeps a distribution out, or None.

    The host's own plugin is no subject of the allow-list, only of the block-list.
    """
    if distribution in names_in("SAMOVAR_DISABLE_PLUGINS"):
        return "SAMOVAR_DISABLE_PLUGINS"
    allowed = names_in("SAMOVAR_PLUGINS")
    if allowed and distribution not in allowed and distribution != HOST:
        return "SAMOVAR_PLUGINS"
    return None


def names_in(variable: str) -> set[str]:
    """Distribution names in a comma separated environment variable, normalised."""
    names = os.environ.get(variable, "").split(",")
    return {canonicalize_name(n.strip()) for n in names if n.strip()}


def load_plugin(candidate: Candidate) -> object:
    """Import one candidate, checking its requirements before and its API after.

    Raises:
        Rejected: with the stage and the cause.
    """
    _check_requires(candidate)
    plugin = _import(candidate)
    check_api(plugin)
    return plugin


def _check_requires(candidate: Candidate) -> None:
    for text in candidate.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise Rejected("requires", f"Requires-Dist {text!r} is invalid: {error}") from error
        if canonicalize_name(requirement.name) != HOST:
            continue
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        if not requirement.specifier.contains(samovar.__version__, prereleases=True):
            raise Rejected(
                "requires",
                f"needs samovar{requirement.specifier}, this is samovar {samovar.__version__}: "
                f"install versions of samovar and {candidate.distribution} that go together",
            )


def _import(candidate: Candidate) -> object:
    module_name, _, attributes = candidate.value.partition(":")
    module_name = module_name.strip()
    try:
        with redirect_stdout(sys.stderr):
            plugin: object = importlib.import_module(module_name)
            for attribute in filter(None, attributes.strip().split(".")):
                plugin = getattr(plugin, attribute)
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing and (module_name == missing or module_name.startswith(missing + ".")):
            cause = f"its entry point names the module {module_name!r}, which is not there"
        else:
            cause = f"imports {missing!r}, which is not installed: reinstall the distribution"
        raise Rejected("import", cause) from error
    except AttributeError as error:
        raise Rejected("import", f"cannot import {candidate.value!r}: {error}") from error
    except SystemExit as error:
        raise Rejected("import", f"calls sys.exit({error.code!r}) when imported") from error
    except BaseException as error:
        raise Rejected("import", f"cannot be imported: {one_line(error)}") from error
    return plugin


def check_api(plugin: object) -> None:
    """Refuse a plugin whose PLUGIN_API is missing, of another major or of a newer minor.

    Raises:
        Rejected: stage ``"api"``.
    """
    declared = getattr(plugin, "PLUGIN_API", None)
    if declared is None and not isinstance(plugin, types.ModuleType):
        module = sys.modules.get(getattr(plugin, "__module__", None) or type(plugin).__module__)
        declared = getattr(module, "PLUGIN_API", None)
    ours = hookspecs.PLUGIN_API
    if declared is None:
        raise Rejected("api", f"sets no PLUGIN_API: add PLUGIN_API = {ours} to its entry module")
    if (
        not isinstance(declared, tuple | list)
        or len(declared) != 2
        or not all(type(n) is int for n in declared)
    ):
        raise Rejected("api", f"PLUGIN_API is {declared!r}, not a pair of whole numbers: {ours}")
    major, minor = declared
    if major != ours[0] or minor > ours[1]:
        newer = (major, minor) > ours
        raise Rejected(
            "api",
            f"speaks plugin API {major}.{minor}, this samovar speaks {ours[0]}.{ours[1]}: "
            + ("upgrade samovar" if newer else "upgrade the plugin"),
        )


def collect(
    manager: pluggy.PluginManager, plugin: object, candidate: Candidate
) -> tuple[list[Spec], list[Problem]]:
    """Register one plugin and call its hooks, each on its own."""
    specs: list[Spec] = []
    problems = [candidate.problem("register", cause) for cause in _unmarked(plugin)]
    try:
        manager.register(plugin, name=f"{candidate.distribution}:{candidate.entry_point}")
        implementations = list(_implementations(manager, plugin))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return [], [*problems, candidate.problem("register", _registration_cause(error))]
    if not implementations and not problems:
        problems.append(candidate.problem("register", "implements no hook of samovar"))
    for hook, implementation in implementations:
        try:
            found = _call(hook, implementation)
        except Rejected as error:
            problems.append(candidate.problem(error.stage, error.cause))
            continue
        kept, causes = check_specs(hook, found)
        specs += [replace(s, distribution=candidate.distribution) for s in kept]
        problems += [candidate.problem("spec", cause) for cause in causes]
    return specs, problems


def _registration_cause(error: BaseException) -> str:
    if isinstance(error, ValueError) and "already registered" in str(error):
        return "its module is registered already, by another entry point"
    return f"cannot be registered: {one_line(error)}"


def _implementations(
    manager: pluggy.PluginManager, plugin: object
) -> Iterator[tuple[str, pluggy.HookImpl]]:
    for caller in manager.get_hookcallers(plugin) or ():
        for implementation in caller.get_hookimpls():
            if implementation.plugin is plugin:
                yield caller.name, implementation


def _call(hook: str, implementation: pluggy.HookImpl) -> Any:
    if hook not in HOOK_KINDS:
        raise Rejected(
            "register", f"implements {hook}, which is no hook{did_you_mean(hook, HOOK_KINDS)}"
        )
    if implementation.hookwrapper or implementation.wrapper:
        raise Rejected("register", f"{hook} is a wrapper: samovar's hooks are plain functions")
    try:
        with redirect_stdout(sys.stderr):
            return implementation.function()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise Rejected("hook", f"{hook} raised {one_line(error)}") from error


def _unmarked(plugin: object) -> Iterator[str]:
    """Functions that look like hooks but lack the marker: the commonest slip of an author."""
    for hook in HOOK_KINDS:
        function = getattr(plugin, hook, None)
        if callable(function) and not hasattr(function, "samovar_impl"):
            yield f"{hook} lacks the marker @samovar.hookimpl"
