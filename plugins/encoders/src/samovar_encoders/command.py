"""``samovar models import CHECKPOINT … --as NAME -o DIR``."""

from __future__ import annotations

from collections.abc import Sequence

from samovar.errors import DependencyError, UsageError

from .model_record import ModelRecord
from .registry import RECORDS, record


def import_models(
    *,
    checkpoint: Sequence[str],
    model: str | None = None,
    output: str | None = None,
    model_version: str = "0.1.0",
) -> None:
    """Import, export, verify, write, and say what was done.

    Raises:
        UsageError: an option is missing.
        DependencyError: torch or the exporter is not installed.
        CheckpointError, ExportError, OutputError: as :func:`importing.import_bundle` does.
    """
    if not model:
        raise UsageError(f"say which model it is with --as: {', '.join(RECORDS)}")
    if not output:
        raise UsageError("name a new folder for the bundle with -o DIR")
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise DependencyError(
            f"importing a checkpoint needs {error.name}: pip install 'samovar-encoders[torch]'"
        ) from error
    import typer

    from .importing import import_bundle

    bundle = import_bundle(checkpoint, model, output, model_version)
    worst = max(bundle.validation["onnx_against_torch"].values())
    typer.echo(f"{output}: {bundle.name} {bundle.version}, {bundle.parameters:,} parameters")
    typer.echo(f"graphs agree with torch within {worst:.1e} of each output's largest value")
    typer.echo(f"licence of the weights: {bundle.weights_licence or 'not stated'}")
    typer.echo(f"next: samovar segment {_question(record(model))} --model {output}")


def _question(rules: ModelRecord) -> str:
    """What to ask a model, on the command line."""
    if rules.dimensions == 3:
        return "VOLUME -o OUT --point X,Y,Z" if rules.frame.kinds else "VOLUME -o OUT"
    return "PICTURE -o OUT --box X0,Y0,X1,Y1"
