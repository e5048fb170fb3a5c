"""``samovar models``: list, info, verify. Plugins add more, ``models bundle`` for one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from samovar.plugins import registry
from samovar.reporting import print_json, print_line, print_table, say

NAMES = ("list", "info", "verify")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")]
Model = Annotated[str, typer.Argument(metavar="NAME|PATH", help="Model, or folder of a bundle.")]


def attach(group: typer.Typer) -> None:
    """Add the host's commands to the group."""
    group.command("list")(list_command)
    group.command("info")(info_command)
    group.command("verify")(verify_command)


def list_command(json: AsJson = False) -> int:
    """List every installed model: what it is for, its prompts and its licence."""
    from samovar.catalogue import list_models

    registry()
    listings = list_models()
    if json:
        print_json({"models": [_plain(asdict(one)) for one in listings]})
        return 0
    if not listings:
        say("no model is installed: pip install samovar-laptop brings one")
    rows = [
        [
            one.name,
            one.version,
            ", ".join(one.modalities),
            ", ".join(one.prompt_kinds) or ("none" if one.whole else ""),
            "" if one.whole else "×".join(map(str, one.encode_size)),
            None if one.parameters is None else f"{one.parameters / 1e6:.1f} M",
            one.weights_licence + (" (needs --accept-license)" if one.needs_consent else ""),
            one.problem or one.summary,
        ]
        for one in listings
    ]
    columns = ("model", "version", "modalities", "prompts", "size", "parameters", "weights", "")
    if rows:
        print_table(columns, rows)
    return 0


def info_command(model: Model, json: AsJson = False) -> int:
    """Say everything that a model says of itself."""
    from samovar.catalogue import describe_model

    one = describe_model(model)
    record = {**_plain(asdict(one)), **_plain(dict(one.record))}
    record.pop("record", None)
    if record.pop("whole"):
        record.pop("encode_size")
        record.setdefault("kind", "segmenter")
    if timed := _timed_here(record.get("weights_sha256", "")):
        record["timed_here"] = timed
    if json:
        print_json(record)
        return 0
    _print_record(record)
    if one.problem:
        say(f"this model cannot be used: {one.problem}")
    return 0


def _timed_here(weights: str) -> list[dict[str, Any]]:
    """What ``--runtime auto`` remembers of the model on this machine, for each set of options."""
    from samovar.choice import pick
    from samovar.timings import kept

    found = []
    for identity, timings in kept():
        if weights and weights in dict(identity.get("weights", {})).values():
            chosen = pick(timings.results).name
            entry = {"chosen": chosen, "threads": identity.get("threads")}
            found.append({**entry, "why": timings.sentence(chosen)})
    return found


def verify_command(model: Model, json: AsJson = False) -> int:
    """Check every file of a model against the hashes of its bundle."""
    from samovar.catalogue import verify_model

    bundle = verify_model(model)
    files = {name: file.sha256 for name, file in bundle.files.items()}
    if json:
        print_json({"model": bundle.name, "ok": True, "files": files})
        return 0
    for name, digest in files.items():
        print_line(f"{digest}  {name}")
    print_line(f"{bundle.name} {bundle.version}: all {len(files)} files are as they should be")
    return 0


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _print_record(record: dict[str, Any], indent: str = "") -> None:
    for key, value in record.items():
        if value in (None, "", [], {}, False):
            continue
        # a file's name is no word of ours to be spelt out
        label = indent + (key if "." in key else key.replace("_", " "))
        if isinstance(value, dict):
            print_line(f"{label}:")
            _print_record(value, indent + "  ")
        elif isinstance(value, list) and any(isinstance(v, dict) for v in value):
            print_line(f"{label}:")
            for item in value:
                print_line(f"{indent}  - {_in_line(item)}")
        else:
            print_line(f"{label}: {_in_line(value)}")


def _in_line(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{k.replace('_', ' ')}: {_in_line(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(_in_line(v) for v in value)
    return str(value)
