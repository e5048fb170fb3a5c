"""What this distribution offers. Imports nothing heavy."""

from __future__ import annotations

from samovar import hookimpl
from samovar.specs import ArgumentSpec, CommandSpec, OptionSpec

PLUGIN_API = (1, 0)


class ModelOption(OptionSpec):
    """``--as``, whose own keyword Python does not allow."""

    @property
    def key(self) -> str:
        return "model"


@hookimpl
def samovar_commands() -> list[CommandSpec]:
    return [
        CommandSpec(
            name="models import",
            target="samovar_encoders.command:import_models",
            summary="Make a bundle of an official checkpoint of the SAM family",
            help=(
                "Reads a checkpoint as the field publishes it (a state dict or safetensors; "
                "pickled objects are refused), exports its graphs to ONNX, compares them with "
                "torch and writes a bundle that runs without torch."
            ),
            arguments=(
                ArgumentSpec(
                    "CHECKPOINT",
                    "the checkpoint; several files where a model has several",
                    multiple=True,
                ),
            ),
            options=(
                ModelOption("--as", "which model it is: mobile-sam, medsam …", metavar="NAME"),
                OptionSpec("--output", "new folder for the bundle", metavar="DIR", short="-o"),
                OptionSpec("--model-version", "version of the bundle", default="0.1.0"),
            ),
            code_licence="Apache-2.0",
        ),
        CommandSpec(
            name="models pull",
            target="samovar_encoders.pull_command:pull",
            summary="Fetch published weights of the SAM family, hash-checked, into the cache",
            help=(
                "Fetches the official checkpoint of a model into the cache folder "
                "(SAMOVAR_CACHE sets it), goes on where a cut happened, and checks size and "
                "hash; a file whose hash nobody published is pinned at first use. Without NAME "
                "it lists what there is. Nothing else in samovar fetches weights."
            ),
            arguments=(ArgumentSpec("NAME", "mobile-sam, medsam …", required=False),),
            options=(
                OptionSpec(
                    "--accept-license",
                    "accept restricted weights, by model or licence; remembered",
                    multiple=True,
                    metavar="ID",
                ),
                OptionSpec(
                    "--repin", "trust a file that differs from the one pinned at first use", bool
                ),
                OptionSpec("--json", "print JSON, nothing else", bool),
            ),
            code_licence="Apache-2.0",
        ),
    ]
