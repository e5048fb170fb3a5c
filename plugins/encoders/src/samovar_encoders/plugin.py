"""What this distribution offers. Imports nothing heavy."""

from __future__ import annotations

from samovar import hookimpl
from samovar.specs import ArgumentSpec, CommandSpec, EncoderSpec, OptionSpec, SegmenterSpec

from .architectures import function_name
from .model_record import ModelRecord
from .registry import RECORDS

PLUGIN_API = (1, 0)


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
                OptionSpec(
                    "--as", "which model it is: mobile-sam, medsam …", metavar="NAME", key="model"
                ),
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


@hookimpl
def samovar_encoders() -> list[EncoderSpec]:
    """The torch side of every system; none comes with weights."""
    return [_spec(record) for record in RECORDS.values()]


@hookimpl
def samovar_segmenters() -> list[SegmenterSpec]:
    """Those that no encoder and decoder can express; `models import` makes their bundles."""
    return [_segmenter(record) for record in RECORDS.values() if record.segmenter]


def _segmenter(record: ModelRecord) -> SegmenterSpec:
    return SegmenterSpec(
        name=record.name,
        target=record.segmenter,
        summary=f"{record.system}: {record.architecture}",
        graphs=("encoder", "decoder"),
        dimensions=(3,),
        modalities=record.modalities,
        # a box is asked for by a click at its centre, as upstream does
        prompt_kinds=("box", *record.frame.kinds) if record.frame.kinds else (),
        code_licence=record.code_licence,
        weights_licence=record.weights_licence,
        citation=record.citation,
    )


def _spec(record: ModelRecord) -> EncoderSpec:
    size, frame = record.encode_size, record.frame.size
    return EncoderSpec(
        name=record.name.replace("+", "-plus"),
        summary=f"{record.system}: {record.architecture}",
        builder=f"samovar_encoders.architectures:{function_name(record)}",
        dimensions=3 if record.dimensions == 3 else 2,
        modalities=record.modalities,
        prompt_kinds=record.frame.kinds,
        max_points=record.frame.max_points,
        encode_size=(size, size),
        prompt_frame=(frame, frame),
        lora_targets=record.lora_targets,
        code_licence=record.code_licence,
        weights_licence=record.weights_licence,
        citation=record.citation,
    )
