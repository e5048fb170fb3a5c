"""Recipes: everything that decides what training does, in one TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from samovar_train.data.pseudo import check_ways
from samovar_train.data.sampling import PromptMix, RegionMix
from samovar_train.model.choice import Choice


@dataclass(frozen=True)
class Recipe:
    """A training run. Unknown keys are an error; paths are relative to the recipe's `root`.

    - `minutes`: a time budget: the run ends, its learning rate annealed, at `steps` or at this many
      minutes of training in all, whichever comes first. A run that ends by time is not repeatable
      to the bit; one that ends by steps is
    - `sizes`: `[[first share of the steps, frame side or sides to draw from], …]`
    - `images`: pictures a step, over all `processes`, each of which takes `threads` threads
    - `prompts`, `regions`: objects a picture that the mask decoder and the region decoder are asked
    - `init`: a checkpoint whose averaged weights a new run starts from
    - `weights`: how often each source of the pack is drawn (`default` for the rest)
    - `prompt_mix`, `region_mix`: what the mask decoder and the region decoder are prompted with
    - `parts`: which of encoder, prompt_encoder, mask_decoder, decoder_roi learn (default: all);
      the others stay as `init` left them
    - `elastic`: share of the views that are bent by a smooth random field
    - `model`: the encoder (`encoder`, `activation`, `frame`); by default the bundled model's
    - `pseudo`: the ways in which objects are found where there are no labels (`levels`,
      `superpixels`, `felzenszwalb`, `watershed`), as relative weights; with it unlabelled volumes
      and rasters are in the pack, too (sources `unlabelled_medical`, `unlabelled_remote_sensing`)
    - `scenes`: how many generated scenes of each kind the pack holds
    """

    name: str
    seed: int
    steps: int
    pack: Path
    run: Path
    data: Path | None = None
    init: Path | None = None
    images: int = 10
    prompts: int = 5
    regions: int = 8
    rate: float = 1.5e-3
    warmup: int = 200
    elastic: float = 0.15
    weight_decay: float = 0.02
    ema: float = 0.998
    second_round: float = 0.45
    threads: int = 1
    processes: int = 1
    checkpoint_minutes: float = 3.0
    validate_minutes: float = 10.0
    minutes: float | None = None
    sizes: tuple[tuple[float, tuple[int, ...]], ...] = ((0.0, (512,)),)
    scenes: dict[str, int] = field(default_factory=dict)
    pseudo: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    prompt_mix: PromptMix = field(default_factory=PromptMix)
    region_mix: RegionMix = field(default_factory=RegionMix)
    parts: tuple[str, ...] = ()
    model: Choice = field(default_factory=Choice)

    def sizes_in_steps(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        return tuple((int(share * self.steps), sides) for share, sides in self.sizes)


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe. Raises ValueError that names the key that is wrong, and the ones there are."""
    path = Path(path).resolve()
    raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    return parse_recipe(raw, path, (path.parent / raw.pop("root", ".")).resolve())


def parse_recipe(raw: dict[str, Any], path: Path, root: Path) -> Recipe:
    """The recipe in a table of the file `path`. Raises ValueError, as :func:`load_recipe`."""
    known = {f.name for f in fields(Recipe)}
    unknown = sorted(set(raw) - known)
    if unknown:
        raise ValueError(
            f"{path}: unknown keys {unknown}; a recipe may hold {sorted(known)} and root"
        )
    missing = [k for k in ("name", "seed", "steps", "pack", "run") if k not in raw]
    if missing:
        raise ValueError(f"{path}: missing keys {missing}")
    for key in ("pack", "run", "data", "init"):
        if raw.get(key) is not None:
            raw[key] = root / raw[key]
    if "sizes" in raw:
        raw["sizes"] = tuple(
            (float(a), tuple(b) if isinstance(b, list) else (int(b),)) for a, b in raw["sizes"]
        )
    if any(side % 32 for _, sides in raw.get("sizes", ()) for side in sides):
        raise ValueError(f"{path}: frame sides in sizes must be multiples of 32")
    raw["prompt_mix"] = PromptMix(**raw.get("prompt_mix", {}))
    raw["region_mix"] = RegionMix(**raw.get("region_mix", {}))
    raw["parts"] = tuple(raw.get("parts", ()))
    try:
        check_ways(raw.get("pseudo", {}))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    try:
        raw["model"] = Choice(**raw.get("model", {}))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: model: {error}") from error
    return Recipe(**raw)
