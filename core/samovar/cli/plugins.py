"""``samovar plugins``: what is installed, and what is wrong with it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from samovar.plugins import Plugin, Registry, registry, strict
from samovar.reporting import print_json, print_line, print_table, say
from samovar.specs import FormatSpec, Spec

NAMES = ("list", "doctor")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")]


def attach(group: typer.Typer) -> None:
    """Add the host's commands to the group."""
    group.command("list")(list_command)
    group.command("doctor")(doctor_command)


def list_command(json: AsJson = False) -> int:
    """List plugins, what they offer, and the problems met."""
    found = registry(allow_problems=True)
    if json:
        print_json(as_record(found))
    else:
        rows = [[p.distribution, p.version, _state(p), offers(p.specs)] for p in found.plugins]
        print_table(("distribution", "version", "state", "offers"), rows)
        for problem in found.problems:
            say(f"problem: {problem}")
        if found.problems:
            say("samovar plugins doctor looks closer")
    return 1 if found.problems and strict() else 0


def _state(plugin: Plugin) -> str:
    if plugin.state == "blocked":
        return f"blocked {plugin.reason}"
    return plugin.state + (", with problems" if plugin.state == "loaded" and plugin.reason else "")


def offers(specs: tuple[Spec, ...]) -> str:
    """``"format: nifti, nrrd; model: tiny"``."""
    by_kind: dict[str, list[str]] = {}
    for spec in specs:
        by_kind.setdefault(spec.kind, []).append(spec.name)
    return "; ".join(f"{kind}: {', '.join(sorted(names))}" for kind, names in by_kind.items())


def as_record(found: Registry) -> dict[str, Any]:
    """What ``plugins list --json`` prints."""
    return {
        "plugins": [
            {**asdict(p), "specs": [_spec_record(s) for s in p.specs]} for p in found.plugins
        ],
        "problems": [asdict(p) for p in found.problems],
    }


def _spec_record(spec: Spec) -> dict[str, Any]:
    record: dict[str, Any] = {
        "kind": spec.kind,
        "name": spec.name,
        "canonical": spec.canonical,
        "summary": spec.summary,
        "options": [o.name for o in spec.options],
        "code_licence": spec.code_licence,
    }
    if isinstance(spec, FormatSpec):
        flags = {"reads": spec.reads, "writes": spec.writes, "prompts": spec.reads_prompts}
        record |= {"suffixes": list(spec.suffixes), **flags}
    return record


def doctor_command(
    json: AsJson = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="S", help="Seconds that a plugin may take.")
    ] = 20.0,
) -> int:
    """Import each plugin in a process of its own and say what is wrong and what to do.

    Finds plugins that hang, end the process, import heavy libraries or name targets that are not
    there. Exit code 1 under SAMOVAR_STRICT_PLUGINS=1 when something is wrong.
    """
    from samovar.doctor import examine_all

    reports = []
    for report in examine_all(timeout):
        reports.append(report)
        if json:
            continue
        who = f"{report.distribution} {report.version}"
        if not report.findings:
            print_line(f"ok      {who}: {report.summary}")
        for finding in report.findings:
            print_line(f"problem {who}: {finding}")
        if report.findings and report.blockable:
            name = report.distribution
            print_line(f"        to do without it: SAMOVAR_DISABLE_PLUGINS={name}")
    wrong = any(r.findings for r in reports)
    if json:
        print_json({"plugins": [asdict(r) for r in reports], "ok": not wrong})
    return 1 if wrong and strict() else 0
