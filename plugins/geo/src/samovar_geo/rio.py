"""``rio samovar``: the command line under rasterio's own, for those who live there."""

from __future__ import annotations

import runpy
import sys

import click


@click.command(
    "samovar",
    short_help="Segment a raster with samovar.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def samovar(arguments: tuple[str, ...]) -> None:
    """Segment rasters: what ``samovar segment`` takes.

    rio samovar scene.tif --prompts houses.gpkg -o houses_out.gpkg
    """
    sys.argv = ["samovar", "segment", *(arguments or ("--help",))]
    runpy.run_module("samovar", run_name="__main__")
