"""The registry: what all installed plugins offer, found by name, loaded on first use.

>>> from samovar.plugins import registry
>>> spec = registry().find("format", "picture")
>>> spec.canonical
'samovar/picture'

Environment: ``SAMOVAR_PLUGINS=a,b`` allow-lists distributions, ``SAMOVAR_DISABLE_PLUGINS=a,b``
blocks them, ``SAMOVAR_STRICT_PLUGINS=1`` turns any problem into a failure.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import reduce
from threading import RLock
from typing import Any, Literal

import pluggy
from packaging.utils import canonicalize_name

from samovar import hookspecs
from samovar.discovery import (
    Candidate,
    Problem,
    Rejected,
    blocked_by,
    check_api,
    collect,
    find_candidates,
    load_plugin,
    names_in,
    one_line,
)
from samovar.errors import DependencyError, PluginError, SamovarError
from samovar.naming import choose
from samovar.specs import Spec

__all__ = ["Plugin", "Problem", "Registry", "registry", "reset", "strict"]


@dataclass(frozen=True)
class Plugin:
    """One entry point of one distribution, and what became of it."""

    distribution: str
    version: str
    entry_point: str
    state: Literal["loaded", "failed", "blocked"]
    reason: str = ""
    """Why it is blocked, or its first problem."""
    specs: tuple[Spec, ...] = ()


class Registry:
    """Specs of every plugin, and the problems met on the way."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(hookspecs.hookspec.project_name)
        self._manager.add_hookspecs(hookspecs)
        self._plugins: list[Plugin] = []
        self._problems: list[Problem] = []

    @classmethod
    def discover(cls) -> Registry:
        """A registry of everything installed, environment variables honoured. Never raises."""
        found = cls()
        candidates, problems = find_candidates()
        found._problems += problems
        for candidate in candidates:
            found._admit(candidate)
        known = {c.distribution for c in candidates}
        for name in sorted(names_in("SAMOVAR_PLUGINS") - known):
            cause = "is named by SAMOVAR_PLUGINS but has no samovar plugin installed"
            found._problems.append(Problem(name, "", "", "metadata", cause))
        return found

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """Every entry point met: loaded, failed or blocked."""
        return tuple(self._plugins)

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self._problems)

    def specs(self, kind: str | None = None) -> tuple[Any, ...]:
        """Specs of a kind (``"encoder"``, ``"format"`` …) or of all, sorted by canonical name."""
        found = [s for p in self._plugins for s in p.specs if kind is None or s.kind == kind]
        return tuple(sorted(found, key=lambda s: s.canonical))

    def find(self, kind: str, name: str) -> Any:
        """The spec that a short or canonical name means.

        Raises:
            UsageError: unknown (with the nearest names) or ambiguous (with all canonical names).
        """
        return choose(self.specs(kind), kind, name, self._hint())

    def _hint(self) -> str:
        """Why a name that ought to be there might be missing."""
        broken = sorted({p.distribution for p in self._problems})
        blocked = sorted({p.distribution for p in self._plugins if p.state == "blocked"})
        hint = f" ({', '.join(broken)} has problems: samovar plugins list)" if broken else ""
        return hint + (f" (blocked: {', '.join(blocked)})" if blocked else "")

    def load(self, spec: Spec, **options: Any) -> Any:
        """Import the target of ``spec`` and call it with ``options``.

        Raises:
            DependencyError: the target imports something that is not installed.
            PluginError: it fails in any other way; the message names the distribution.
        """
        target = self.resolve(spec)
        try:
            with redirect_stdout(sys.stderr):
                return target(**options)
        except (SamovarError, KeyboardInterrupt):
            raise
        except ModuleNotFoundError as error:
            raise _missing(spec, error) from error
        except BaseException as error:
            raise PluginError(f"{spec.canonical} failed to start: {one_line(error)}") from error

    def resolve(self, spec: Spec) -> Any:
        """Import and return the target of ``spec`` without calling it. Raises as :meth:`load`."""
        module_name, _, attributes = spec.target.partition(":")
        try:
            with redirect_stdout(sys.stderr):
                module = importlib.import_module(module_name)
                return reduce(getattr, attributes.split("."), module)
        except KeyboardInterrupt:
            raise
        except ModuleNotFoundError as error:
            raise _missing(spec, error) from error
        except BaseException as error:
            raise PluginError(
                f"{spec.canonical} cannot be loaded from {spec.target!r}: {one_line(error)}"
            ) from error

    def register(self, plugin: object, distribution: str = "local", version: str = "0") -> None:
        """Add a module or object with hooks (tests, notebooks). Its problems are recorded."""
        name = f"registered-{len(self._plugins)}"
        candidate = Candidate(canonicalize_name(distribution), version, name, "")
        try:
            check_api(plugin)
        except Rejected as error:
            self._fail(candidate, error)
        else:
            self._add(candidate, plugin)

    def report(self, problem: Problem) -> None:
        """Record a problem that showed itself after discovery. Recorded once."""
        if problem not in self._problems:
            self._problems.append(problem)

    def _admit(self, candidate: Candidate) -> None:
        variable = blocked_by(candidate.distribution)
        if variable:
            self._note(candidate, "blocked", f"by {variable}")
            return
        try:
            plugin = load_plugin(candidate)
        except Rejected as error:
            self._fail(candidate, error)
        else:
            self._add(candidate, plugin)

    def _add(self, candidate: Candidate, plugin: object) -> None:
        specs, problems = collect(self._manager, plugin, candidate)
        taken = {(s.kind, s.canonical) for p in self._plugins for s in p.specs}
        for spec in [s for s in specs if (s.kind, s.canonical) in taken]:
            specs.remove(spec)
            cause = f"{spec.kind} {spec.name!r} is listed by another of its entry points too"
            problems.append(candidate.problem("spec", cause))
        self._problems += problems
        failed = problems and not specs
        reason = problems[0].cause if problems else ""
        self._note(candidate, "failed" if failed else "loaded", reason, tuple(specs))

    def _fail(self, candidate: Candidate, error: Rejected) -> None:
        self._problems.append(candidate.problem(error.stage, error.cause))
        self._note(candidate, "failed", error.cause)

    def _note(
        self,
        candidate: Candidate,
        state: Literal["loaded", "failed", "blocked"],
        reason: str = "",
        specs: tuple[Spec, ...] = (),
    ) -> None:
        c = candidate
        self._plugins.append(Plugin(c.distribution, c.version, c.entry_point, state, reason, specs))


def _missing(spec: Spec, error: ModuleNotFoundError) -> SamovarError:
    wanted = error.name or ""
    module_name = spec.target.partition(":")[0]
    if wanted and (module_name == wanted or module_name.startswith(wanted + ".")):
        return PluginError(f"{spec.canonical}: its target {spec.target!r} is not there")
    return DependencyError(
        f"{spec.canonical} needs the module {wanted!r}: pip install --upgrade {spec.distribution}"
    )


def strict() -> bool:
    """Whether SAMOVAR_STRICT_PLUGINS asks that a broken plugin be a failure."""
    return os.environ.get("SAMOVAR_STRICT_PLUGINS", "").lower() not in ("", "0", "false", "no")


_lock = RLock()
_registry: Registry | None = None


def registry(*, allow_problems: bool | None = None) -> Registry:
    """The process-wide registry, discovered on the first call.

    Args:
        allow_problems: default: as SAMOVAR_STRICT_PLUGINS says.

    Raises:
        PluginError: a plugin is broken and problems are not allowed.
    """
    global _registry
    with _lock:
        if _registry is None:
            _registry = Registry.discover()
        found = _registry
    if found.problems and not (not strict() if allow_problems is None else allow_problems):
        more = len(found.problems) - 1
        rest = f" (and {more} more: samovar plugins list)" if more else ""
        raise PluginError(f"SAMOVAR_STRICT_PLUGINS is set and {found.problems[0]}{rest}")
    return found


def reset() -> None:
    """Forget what was discovered; the next :func:`registry` looks again. For tests."""
    global _registry
    with _lock:
        _registry = None
