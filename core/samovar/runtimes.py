"""Runtimes: which of those installed runs a model, by request or by a stated order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.util import find_spec

from samovar.errors import DependencyError, UsageError
from samovar.plugins import registry
from samovar.specs import RuntimeSpec

PREFERENCE = ("onnxruntime", "openvino")
"""What ``default`` looks for first; then canonical names in order."""


def choose_runtime(name: str, precision: str, suffixes: Iterable[str]) -> RuntimeSpec:
    """The runtime for graphs of ``suffixes`` in ``precision``.

    Args:
        name: short or canonical name, or ``default``: the first of :func:`usable_runtimes`.

    Raises:
        UsageError: unknown, or it cannot do this precision or these graphs.
        DependencyError: it (or, by default, every one) needs something that is not installed.
    """
    wanted = tuple(suffixes)
    if name == "default":
        return usable_runtimes(precision, wanted)[0]
    offered = registry().specs("runtime")
    if not offered:
        raise _none_installed()
    spec: RuntimeSpec = registry().find("runtime", name)
    missing = missing_modules(spec)
    if missing:
        raise DependencyError(
            f"runtime {name!r} needs {', '.join(missing)}: pip install {' '.join(missing)}"
        )
    if not _can(spec, precision, wanted):
        raise UsageError(
            f"runtime {name!r} runs {', '.join(spec.graph_suffixes)} in "
            f"{', '.join(spec.precisions)}, the model needs {', '.join(wanted)} in {precision}: "
            "choose another --runtime or --precision"
        )
    return spec


def missing_modules(spec: RuntimeSpec) -> tuple[str, ...]:
    """Modules that the runtime requires and that are not installed; nothing is imported."""
    return tuple(m for m in spec.requires if find_spec(m.partition(".")[0]) is None)


def usable_runtimes(
    precision: str, suffixes: Iterable[str], *, required: bool = True
) -> list[RuntimeSpec]:
    """Installed runtimes for graphs of ``suffixes`` in ``precision``, in the order of preference.

    Raises:
        UsageError, DependencyError: there is none, and one is ``required``.
    """
    wanted = tuple(suffixes)
    offered: tuple[RuntimeSpec, ...] = registry().specs("runtime")
    usable = [s for s in offered if not missing_modules(s) and _can(s, precision, wanted)]
    if usable or not required:
        return by_preference(usable)
    if not offered or all(missing_modules(s) for s in offered):
        raise _none_installed()
    raise UsageError(
        f"no installed runtime runs {', '.join(wanted)} in {precision}; there are "
        f"{', '.join(s.canonical for s in offered)}: choose another --precision"
    )


def by_preference(specs: Iterable[RuntimeSpec]) -> list[RuntimeSpec]:
    """:data:`PREFERENCE` first, then by canonical name."""
    return sorted(specs, key=_rank)


def _rank(spec: RuntimeSpec) -> tuple[int, str]:
    known = PREFERENCE.index(spec.name) if spec.name in PREFERENCE else len(PREFERENCE)
    return known, spec.canonical


def _can(spec: RuntimeSpec, precision: str, suffixes: Sequence[str]) -> bool:
    return precision in spec.precisions and set(suffixes) <= set(spec.graph_suffixes)


def _none_installed() -> DependencyError:
    return DependencyError(
        "no runtime is installed that could run a model: pip install samovar-laptop"
    )
