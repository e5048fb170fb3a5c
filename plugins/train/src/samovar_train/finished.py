"""A finished run as a bundle, whatever the recipe was: trained, distilled or pruned."""

from __future__ import annotations

from pathlib import Path

import torch

from samovar.bundle_files import new_folder


def export_run(checkpoint: Path, folder: Path) -> Path:
    """The averaged model of a supervised run, or the student of a distillation, as a bundle.

    The folder is there when all graphs have been compared with torch, or not at all.

    Raises:
        OutputError: there is something in the folder already, or it cannot be written.
        InputError: the checkpoint's student is not registered here, or is another one.
    """
    with new_folder(folder) as made:
        distilled = "student" in torch.load(checkpoint, map_location="cpu", weights_only=True)
        (export_student if distilled else export_trained)(checkpoint, made)
    return folder


def export_trained(checkpoint: Path, folder: Path) -> None:
    """What `samovar train` learned from labels."""
    from samovar_train.export import export_bundle, load_checkpoint

    model, state = load_checkpoint(checkpoint)
    export_bundle(model, folder, {"name": state["name"]})


def export_student(checkpoint: Path, folder: Path) -> None:
    """The student of a distillation; pruned where it was."""
    from samovar_train.distil.learner import build

    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    learner = build(state["student"], checkpoint)
    learner.module.eval()
    learner.architecture.export(folder)
