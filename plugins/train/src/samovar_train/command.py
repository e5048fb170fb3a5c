"""``samovar train RECIPE``."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from samovar.errors import InputError


def train(recipe: str, fresh: bool = False) -> int:
    """Run a recipe and say where its checkpoint lies.

    Args:
        recipe: path of a TOML file.
        fresh: start anew instead of going on from the run's last checkpoint.

    Raises:
        InputError: there is no such file, or it is not a recipe.
    """
    if not Path(recipe).is_file():
        raise InputError(f"{recipe}: no such recipe: see plugins/train/recipes for examples")
    from samovar_train.recipe import load_recipe

    try:
        loaded = load_recipe(recipe)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{recipe}: not a recipe ({error}): compare it with tiny.toml") from error
    from samovar_train.loop import run

    checkpoint = run(loaded, resume=not fresh)
    sys.stderr.write(f"checkpoint: {checkpoint}\n")
    return 0
