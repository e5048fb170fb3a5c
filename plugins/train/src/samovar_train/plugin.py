"""What this distribution offers: the command ``train``. Imports nothing heavy."""

from __future__ import annotations

from samovar import hookimpl
from samovar.specs import ArgumentSpec, CommandSpec, OptionSpec

PLUGIN_API = (1, 0)


@hookimpl
def samovar_commands() -> list[CommandSpec]:
    return [
        CommandSpec(
            name="train",
            target="samovar_train.command:train",
            summary="Train a promptable model by a recipe, or go on training it.",
            help="Train a promptable model by a recipe (TOML), or go on from its last checkpoint.",
            arguments=(ArgumentSpec("RECIPE", "recipe, as plugins/train/recipes/tiny.toml"),),
            options=(
                OptionSpec("--fresh", "start anew, whatever the run's folder holds", bool),
                OptionSpec("--export", "new folder for the model, as a bundle", metavar="DIR"),
            ),
            code_licence="Apache-2.0",
        )
    ]
