"""``samovar train RECIPE``."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from samovar.bundle_files import check_new_folder
from samovar.errors import InputError


class RecipeError(ValueError):
    """A recipe that cannot be read as one."""


def run_recipe(recipe: Path, resume: bool = True) -> Path:
    """Distil where the recipe has stages, train otherwise; returns the last checkpoint's path."""
    with recipe.open("rb") as file:
        distils = "stages" in tomllib.load(file)
    if distils:
        from samovar_train.distil.recipe import load_distil_recipe

        try:
            distillation = load_distil_recipe(recipe)
        except ValueError as error:
            raise RecipeError(error) from error
        from samovar_train.distil.loop import run_distillation

        return run_distillation(distillation, resume)
    from samovar_train.recipe import load_recipe

    try:
        loaded = load_recipe(recipe)
    except ValueError as error:
        raise RecipeError(error) from error
    from samovar_train.loop import run

    return run(loaded, resume)


def train(recipe: str, fresh: bool = False, export: str | None = None) -> int:
    """Run a recipe and say where its checkpoint lies.

    Args:
        recipe: path of a TOML file.
        fresh: start anew instead of going on from the run's last checkpoint.
        export: folder that the trained model is written to, as a bundle.

    Raises:
        InputError: there is no such file, or it is not a recipe.
        OutputError: the folder for the bundle cannot be written, or is not empty.
    """
    if export is not None:
        check_new_folder(export)
    if not Path(recipe).is_file():
        raise InputError(f"{recipe}: no such recipe: see plugins/train/recipes for examples")
    try:
        checkpoint = run_recipe(Path(recipe), resume=not fresh)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, RecipeError) as error:
        raise InputError(f"{recipe}: not a recipe ({error}): compare it with tiny.toml") from error
    sys.stderr.write(f"checkpoint: {checkpoint}\n")
    if export is not None:
        from samovar_train.finished import export_run

        sys.stdout.write(f"{export_run(checkpoint, Path(export))}\n")
    return 0
