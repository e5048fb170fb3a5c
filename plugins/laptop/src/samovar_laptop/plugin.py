"""What this distribution offers. Imports nothing heavy."""

from __future__ import annotations

from samovar import hookimpl
from samovar.specs import ArgumentSpec, CommandSpec, EncoderSpec, OptionSpec, RuntimeSpec

PLUGIN_API = (1, 0)

BUNDLE_OPTIONS = (
    OptionSpec("--encoder", "ONNX graph: picture to embedding (and taps)", metavar="ONNX"),
    OptionSpec(
        "--decoder",
        "ONNX graph: SAM's official decoder export, or a mask decoder beside --prompt-encoder",
        metavar="ONNX",
    ),
    OptionSpec("--prompt-encoder", "ONNX graph: prompts to embeddings", metavar="ONNX"),
    OptionSpec(
        "--decoder-roi",
        "ONNX graph: region decoder, which answers over windows; see docs/bundles.md",
        metavar="ONNX",
    ),
    OptionSpec(
        "--roi-margin", "share of a box's size that a window leaves around it; default 0.25", float
    ),
    OptionSpec("--output", "new folder for the bundle", metavar="DIR", short="-o"),
    OptionSpec("--name", "name of the model; default: the folder's"),
    OptionSpec("--model-version", "version of the model", default="0.1.0"),
    OptionSpec("--encode-size", "rows,columns where the encoder's input has dynamic axes"),
    OptionSpec("--resize", "pad (keeps the aspect ratio) or stretch", default="pad"),
    OptionSpec(
        "--interpolation",
        "bilinear-antialias, bilinear, area, bicubic or bicubic-antialias",
        default="bilinear-antialias",
    ),
    OptionSpec(
        "--normalisation",
        "sam and imagenet (the same mean and deviation), half (-1…1), unit (0…1), "
        "minmax (each picture to 0…1) or none (0…255)",
        default="sam",
    ),
    OptionSpec("--channel-order", "RGB or BGR", default="RGB"),
    OptionSpec(
        "--coordinates",
        "of prompts: scaled (as SAM) or continuous (pixel i covers i … i+1)",
        default="scaled",
    ),
    OptionSpec("--prompt-frame", "rows,columns of the prompts' coordinates; default: encode size"),
    OptionSpec("--mask-size", "rows,columns of the decoder's logits where its graph does not say"),
    OptionSpec(
        "--mask-selection",
        "first, best-quality, best-reading or stability; default: best-quality of several masks",
    ),
    OptionSpec("--modality", "one that the model knows: ct, mr, rgb …", multiple=True),
    OptionSpec("--code-license", "SPDX identifier of the graphs' code", default=""),
    OptionSpec("--weights-license", "SPDX identifier of the weights", default=""),
    OptionSpec("--intended-use", "one sentence on what the model is for", default=""),
    OptionSpec("--threads", "threads of the trial run", int),
)

QUANTIZE_OPTIONS = (
    OptionSpec(
        "--method",
        "ptq (int8, no torch), qat (int8, needs samovar-train) or bf16 (no new graphs, its gate)",
        default="ptq",
    ),
    OptionSpec(
        "--data",
        "labelled pictures: a MANIFEST.json, a set, or a folder of sets",
        multiple=True,
        metavar="PATH",
    ),
    OptionSpec("--output", "new folder for the bundle", metavar="DIR", short="-o"),
    OptionSpec(
        "--role",
        "graph to quantise: encoder, mask_decoder …; default: the encoder, and decoders that gain",
        multiple=True,
    ),
    OptionSpec("--samples", "pictures to calibrate with", int, 64),
    OptionSpec("--percentile", "of a tensor's values that its scale covers", float, 99.99),
    OptionSpec("--hard-samples", "calibrate with the pictures that rounding hurts most", bool),
    OptionSpec("--weight-bits", "7: exact on every CPU; 8: only on those with VNNI", int, 7),
    OptionSpec("--keep", "leave nodes in float whose name contains this", multiple=True),
    OptionSpec(
        "--attention",
        "float, uint8, or ptq4sam (one-humped keys, softmax in powers of two; slower)",
        default="float",
    ),
    OptionSpec("--minutes", "of training, with --method qat", float, 10.0),
    OptionSpec("--no-gate", "do not measure Dice; the precision then only runs on request", bool),
    OptionSpec("--limit", "measure at most this many pictures a set", int, 0),
    OptionSpec("--threads", "threads of ONNX Runtime", int),
    OptionSpec("--seed", "of the training", int, 0),
    OptionSpec("--json", "print the report as JSON", bool),
    OptionSpec("--accept-license", "accept a model's licence by name", multiple=True),
)


@hookimpl
def samovar_runtimes() -> list[RuntimeSpec]:
    return [
        RuntimeSpec(
            name="onnxruntime",
            target="samovar_laptop.onnx_runtime:OnnxRuntime",
            summary="ONNX Runtime: CPU, and whatever execution providers are installed",
            graph_suffixes=(".onnx",),
            precisions=("fp32", "fp16", "int8"),
            requires=("onnxruntime",),
            code_licence="Apache-2.0",
        ),
        RuntimeSpec(
            name="openvino",
            target="samovar_laptop.openvino_runtime:OpenvinoRuntime",
            summary="OpenVINO: CPU, and Intel's GPU and NPU where there is one",
            graph_suffixes=(".onnx",),
            precisions=("fp32", "bf16", "int8"),
            requires=("openvino",),
            code_licence="Apache-2.0",
        ),
    ]


@hookimpl
def samovar_encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="tiny",
            bundle="samovar_laptop:bundles/tiny",
            builder="samovar_train.architecture:tiny",
            summary="Small promptable model for medical and overhead images, runs on any CPU",
            code_licence="Apache-2.0",
            intended_use="research use only, not a medical device",
        )
    ]


@hookimpl
def samovar_commands() -> list[CommandSpec]:
    return [
        CommandSpec(
            name="models bundle",
            target="samovar_laptop.bundle_command:bundle",
            summary="Make a bundle of your own ONNX graphs, and try it",
            help=(
                "Makes a bundle of an encoder and a decoder in ONNX. Sizes, taps and the kind of "
                "decoder are read from the graphs; what they cannot say is asked for by an "
                "option. The bundle is run on a generated picture before it is written."
            ),
            options=BUNDLE_OPTIONS,
            code_licence="Apache-2.0",
        ),
        CommandSpec(
            name="quantize",
            target="samovar_laptop.quantise.command:quantize",
            summary="Add int8 graphs to a bundle, and measure what they cost and gain",
            help=(
                "Writes a bundle that has its graphs in int8 beside its own: calibrated on "
                "labelled pictures, timed, and measured by modality on pictures held back. int8 "
                "runs by default only where it passed."
            ),
            arguments=(ArgumentSpec("BUNDLE", "name of a model with graphs, or its folder"),),
            options=QUANTIZE_OPTIONS,
            code_licence="Apache-2.0",
        ),
    ]
