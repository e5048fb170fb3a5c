"""The host's own plugin: plain pictures, label PNGs and prompt files. Light; targets load later."""

from __future__ import annotations

from samovar.benchmark.family_command import FAMILY_COMMAND
from samovar.evaluation.command import EVAL_COMMAND
from samovar.hookspecs import hookimpl
from samovar.specs import CommandSpec, FormatSpec, OptionSpec

PLUGIN_API = (1, 0)

_PNG = (0, b"\x89PNG\r\n\x1a\n")
_JPEG = (0, b"\xff\xd8\xff")
_BMP = (0, b"BM")
_TIFF = ((0, b"II*\0"), (0, b"MM\0*"))


_RUNTIMES = CommandSpec(
    name="runtimes",
    target="samovar.cli.runtimes:run_runtimes",
    summary="List the runtimes: their devices, their precisions, what is missing",
    help=(
        "List the runtimes in the order in which --runtime default takes them, with their devices "
        "on this machine, their precisions, and what to install where something is missing."
    ),
    options=(OptionSpec("--json", "print JSON, nothing else", bool, False),),
    code_licence="Apache-2.0",
)


@hookimpl
def samovar_commands() -> list[CommandSpec]:
    return [EVAL_COMMAND, FAMILY_COMMAND, _RUNTIMES]


@hookimpl
def samovar_formats() -> list[FormatSpec]:
    return [
        FormatSpec(
            name="picture",
            target="samovar.builtin.pictures:PictureReader",
            summary="PNG, JPEG, TIFF and BMP pictures",
            suffixes=(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"),
            reads=True,
            magic=(_PNG, _JPEG, _BMP, *_TIFF),
            code_licence="Apache-2.0",
        ),
        FormatSpec(
            name="label-png",
            target="samovar.builtin.label_png:LabelPng",
            summary="label image as PNG: 8 or 16 bits, the value is the object's number",
            suffixes=(".png",),
            writes=True,
            reads_prompts=True,
            domains=("picture",),
            magic=(_PNG,),
            code_licence="Apache-2.0",
        ),
        FormatSpec(
            name="prompt-json",
            target="samovar.builtin.prompt_json:JsonPrompts",
            summary="boxes and points as JSON",
            suffixes=(".json",),
            reads_prompts=True,
            code_licence="Apache-2.0",
        ),
        FormatSpec(
            name="prompt-csv",
            target="samovar.builtin.prompt_tables:CsvPrompts",
            summary="boxes and points as a table",
            suffixes=(".csv", ".tsv"),
            reads_prompts=True,
            code_licence="Apache-2.0",
        ),
        FormatSpec(
            name="prompt-npz",
            target="samovar.builtin.prompt_tables:NpzPrompts",
            summary="boxes and points as numpy arrays",
            suffixes=(".npz",),
            reads_prompts=True,
            code_licence="Apache-2.0",
        ),
    ]
