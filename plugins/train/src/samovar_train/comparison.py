"""A comparison of encoders: which there are, and their training in turns, so that none is ahead.

Every candidate sees the same batches (same seed, same pack) for the same number of steps. Prompt
encoder and decoders all start with the weights of one trained model, since a decoder that knows
what a box means lets an encoder learn from its first step; encoders start from nothing.
"""

from __future__ import annotations

import json
import time
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from torch import nn

from samovar.architectures import build_architecture
from samovar.catalogue import look_up
from samovar.errors import InputError
from samovar_train.course import save_checkpoint
from samovar_train.data.build import build_pack
from samovar_train.loop import train
from samovar_train.model.choice import Choice
from samovar_train.recipe import Recipe, parse_recipe


@dataclass(frozen=True)
class Candidate:
    """One encoder. Those that are not `trained` are measured for what they cost, no more."""

    choice: Choice
    trained: bool = True

    @property
    def name(self) -> str:
        return f"{self.choice.encoder}-{self.choice.activation}-{self.choice.frame}"


@dataclass(frozen=True)
class Comparison:
    """What a comparison's recipe says. Paths are relative to its `root`.

    - `training`: a recipe without `model` and `sizes`, which are the candidates' own
    - `decoders`: the model whose prompt encoder and decoders all start with
    - `turn`: steps that a candidate trains before it is the next one's turn
    - `minutes`: training ends with the last whole round of turns that began within this time
    - `per_set`: validation pictures a set; `samples`: pictures that int8 is calibrated with;
      `rounds`: how often each graph is timed
    - `note`: what a reader of the page should know
    - `output`: the page; the figures lie beside it as JSON
    """

    path: Path
    training: Recipe
    candidates: tuple[Candidate, ...]
    output: Path
    decoders: str = "tiny"
    note: str = ""
    turn: int = 20
    minutes: float | None = None
    per_set: int = 3
    samples: int = 32
    rounds: int = 15

    def folder(self, candidate: Candidate) -> Path:
        return self.training.run / candidate.name

    def recipe(self, candidate: Candidate) -> Recipe:
        """The training run of one candidate."""
        return replace(
            self.training,
            name=candidate.name,
            run=self.folder(candidate),
            model=candidate.choice,
            sizes=((0.0, (candidate.choice.frame,)),),
            init=self.training.run / "decoders.pt",
        )


def load_comparison(path: str | Path) -> Comparison:
    """Read a comparison's recipe. Raises ValueError that says what is wrong."""
    path = Path(path).resolve()
    raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    root = (path.parent / raw.pop("root", ".")).resolve()
    missing = [k for k in ("training", "candidates", "output") if not raw.get(k)]
    if missing:
        raise ValueError(f"{path}: missing {missing}")
    training = parse_recipe({"model": {}, **raw.pop("training")}, path, root)
    candidates = []
    for row in raw.pop("candidates"):
        trained = bool(row.pop("trained", True))
        try:
            candidates.append(Candidate(Choice(**row), trained))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: candidate {len(candidates)}: {error}") from error
    if training.processes != 1:
        raise ValueError(f"{path}: training: a comparison runs in one process")
    try:
        output = root / raw.pop("output")
        return Comparison(path, training, tuple(candidates), output, **raw)
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from error


def write_decoders(comparison: Comparison) -> Path:
    """A checkpoint of all parameters of `decoders` but the encoder's: what every run starts from.

    Buffers (positions, which depend on the frame) are left out.

    Raises:
        InputError: the model has no graphs, or is of another architecture than `tiny`.
    """
    out = comparison.training.run / "decoders.pt"
    if out.is_file():
        return out
    folder = look_up(comparison.decoders).folder
    architecture = build_architecture("tiny")
    if folder is None:
        raise InputError(f"{comparison.decoders} has no graphs to take decoders from")
    architecture.load([folder])
    named = cast(nn.Module, architecture.module).named_parameters()
    weights = {k: v.detach().clone() for k, v in named if not k.startswith("encoder.")}
    out.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(out, {"ema": weights})
    return out


def take_turns(comparison: Comparison) -> dict[str, dict[str, float]]:
    """Train all candidates, turn by turn; called again it goes on.

    Returns steps and CPU seconds by candidate, as `turns.json` in the run's folder has them.
    """
    training = comparison.training
    write_decoders(comparison)
    build_pack(training.pack, training.data, training.seed, training.scenes, training.pseudo)
    record = training.run / "turns.json"
    done = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    started = time.monotonic()
    for until in [*range(comparison.turn, training.steps, comparison.turn), training.steps]:
        for candidate in (c for c in comparison.candidates if c.trained):
            row = done.setdefault(candidate.name, {"steps": 0, "cpu_seconds": 0.0})
            if row["steps"] >= until:
                continue
            clock = time.process_time()
            train(comparison.recipe(candidate), validate=False, workers=0, until=until)
            row["steps"] = until
            row["cpu_seconds"] = round(row["cpu_seconds"] + time.process_time() - clock, 1)
            write_json(record, done)
        if comparison.minutes and time.monotonic() - started > 60 * comparison.minutes:
            break
    return cast(dict[str, dict[str, float]], done)


def write_json(file: Path, content: Any) -> None:
    """Written beside, then renamed."""
    part = file.with_name(file.name + ".part")
    part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(file)
