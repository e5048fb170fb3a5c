"""Prompt generators: prompts that come from the image itself."""

from __future__ import annotations

from samovar import hookimpl
from samovar.specs import OptionSpec, PromptGeneratorSpec

PLUGIN_API = (1, 0)


@hookimpl
def samovar_prompt_generators() -> list[PromptGeneratorSpec]:
    return [
        PromptGeneratorSpec(
            name="grid",
            target="samovar_selfprompt.grid:GridGenerator",
            summary="A grid of points; masks kept by quality, stability and suppression",
            code_licence="Apache-2.0",
            options=(
                OptionSpec("--points", "points along the longer side of a view", int, 16),
                OptionSpec("--quality", "least predicted IoU of a mask that is kept", float, 0.6),
                OptionSpec("--stability", "least stability of a mask that is kept", float, 0.5),
                OptionSpec("--suppress", "IoU above which the worse mask goes", float, 0.5),
                OptionSpec("--largest", "largest share of a view that a mask may fill", float, 0.5),
                OptionSpec("--smallest", "least pixels of a mask", int, 25),
            ),
        )
    ]
