"""The training loop: bf16 on the CPU, seeded, resumable at any moment, with an averaged twin.

`run(recipe)` trains until the recipe's last step; killed and called again, it goes on from the
last checkpoint. The course of a run is in `train.csv` and `validation.csv` in its folder, as curves
in the SVGs beside them, and in `sample-STEP.png`.

With `processes = 2` each process takes one thread and its share of every batch, and gradients are
averaged once a step. On a machine that other work shares this is several times faster than two
threads in one process, which wait for each other thousands of times a step.
"""

from __future__ import annotations

import copy
import math
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from samovar.errors import InputError
from samovar_train.course import Log, save_checkpoint, say, write_curves
from samovar_train.data.batches import Batches
from samovar_train.data.build import build_pack
from samovar_train.model.choice import Choice
from samovar_train.model.tiny import Tiny
from samovar_train.recipe import Recipe, load_recipe
from samovar_train.samples import write_sample
from samovar_train.step import hold_still, training_step

FIGURES = (
    "loss", "mask", "iou", "iou_second", "quality",
    "region", "iou_region", "iou_region_second", "iou_region_followed", "quality_region",
)  # fmt: skip
"""What the log of a run shows of its steps."""


def learning_rate(recipe: Recipe, step: int, minutes: float = 0.0) -> float:
    """Linear warm-up, then a cosine down to a fiftieth at the last step (or minute)."""
    if step < recipe.warmup:
        return recipe.rate * (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    if recipe.minutes is not None:
        done = max(done, minutes / recipe.minutes)
    return recipe.rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


@torch.no_grad()
def average_into(twin: Tiny, model: Tiny, step: int, decay: float) -> None:
    """Exponential moving average of weights and BatchNorm statistics, shorter at the start."""
    keep = min(decay, (1 + step) / (10 + step))
    for a, b in zip(twin.state_dict().values(), model.state_dict().values(), strict=True):
        if a.is_floating_point():
            a.lerp_(b, 1 - keep)
        else:
            a.copy_(b)


def batches_from(
    dataset: Batches, start: int, steps: int, workers: int
) -> Iterator[dict[str, Tensor]]:
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=None,
        sampler=range(start, steps),
        num_workers=workers,
        prefetch_factor=6 if workers else None,
    )
    return iter(loader)


def optimiser_of(model: Tiny, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW; no decay on biases, norms and tokens."""
    learning = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in learning if p.ndim >= 2 and p.shape[0] > 5]
    others = [p for p in learning if not (p.ndim >= 2 and p.shape[0] > 5)]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98), eps=1e-6)


def run(
    recipe_path: str | Path | Recipe, resume: bool = True, validate: bool = True, workers: int = 1
) -> Path:
    """Train as the recipe says; returns the path of the last checkpoint.

    With `resume` an existing checkpoint in the run's folder is gone on from.
    """
    recipe = recipe_path if isinstance(recipe_path, Recipe) else load_recipe(recipe_path)
    build_pack(recipe.pack, recipe.data, recipe.seed, recipe.scenes, recipe.pseudo)
    if recipe.processes == 1:
        return train(recipe, resume, validate, workers)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.spawn(  # type: ignore[no-untyped-call]
        one_of_many, (port, recipe, resume, validate, workers), nprocs=recipe.processes
    )
    return recipe.run / "last.pt"


def one_of_many(
    rank: int, port: int, recipe: Recipe, resume: bool, validate: bool, workers: int
) -> None:
    """Entry of each process of a run that has several."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=recipe.processes
    )
    train(recipe, resume, validate, workers, rank)
    torch.distributed.destroy_process_group()


def average_gradients(model: Tiny, processes: int) -> None:
    """Mean of the gradients over all processes, in one exchange."""
    learning = [p for p in model.parameters() if p.requires_grad]
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in learning]
    flat = torch.cat([g.flatten() for g in gradients])
    torch.distributed.all_reduce(flat)
    flat /= processes
    parts = flat.split([g.numel() for g in gradients])
    for p, g, part in zip(learning, gradients, parts, strict=True):
        g.copy_(part.view_as(g))
        p.grad = g


def start_from(model: Tiny, checkpoint: Path) -> None:
    """Take the averaged weights of another run; layers that it lacks keep their own.

    Raises ValueError where the checkpoint has layers that the model lacks.
    """
    state = torch.load(checkpoint, weights_only=True)["ema"]
    unknown = sorted(set(state) - set(model.state_dict()))
    if unknown:
        raise ValueError(f"{checkpoint} is of another model: it has {unknown[:3]}")
    model.load_state_dict(state, strict=False)


def check_choice(checkpoint: Path, state: dict[str, Any], recipe: Recipe) -> None:
    """Raises InputError where a run's checkpoint is of another encoder than its recipe's."""
    was = Choice(**state.get("choice", {}))
    if was != recipe.model:
        raise InputError(
            f"{checkpoint} is of the encoder {was}, the recipe asks for {recipe.model}: "
            "give the recipe another run, or start anew with --fresh"
        )


def agreed_minutes(minutes: float) -> float:
    """The clock of rank 0, in every process."""
    if not torch.distributed.is_initialized():
        return minutes
    clock = torch.tensor([minutes], dtype=torch.float64)
    torch.distributed.broadcast(clock, 0)
    return float(clock)


def train(
    recipe: Recipe,
    resume: bool = True,
    validate: bool = True,
    workers: int = 1,
    rank: int = 0,
    until: int | None = None,
) -> Path:
    """What `run` does in one process; only rank 0 averages weights, logs, validates and saves.

    With `until` it stops before that step, to be gone on from.
    """
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    parent = os.getppid()
    recipe.run.mkdir(parents=True, exist_ok=True)
    dataset = Batches(
        recipe.pack,
        recipe.seed,
        recipe.sizes_in_steps(),
        recipe.images // recipe.processes,
        recipe.prompts,
        recipe.weights,
        recipe.prompt_mix,
        rank,
        recipe.regions,
        recipe.region_mix,
        recipe.elastic,
    )
    model = Tiny(recipe.model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.init is not None:
        start_from(model, recipe.init)
    hold_still(model, recipe.parts)
    twin = copy.deepcopy(model)
    optimiser = optimiser_of(model, recipe)
    checkpoint = recipe.run / "last.pt"
    step, minutes = 0, 0.0
    if resume and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        check_choice(checkpoint, state, recipe)
        model.load_state_dict(state["model"])
        twin.load_state_dict(state["ema"])
        optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["rng"])
        step, minutes = state["step"], state["minutes"]
    train_log = Log(
        recipe.run / "train.csv",
        ("step", "minutes", *FIGURES, "rate", "seconds"),
    )
    validation_log = Log(
        recipe.run / "validation.csv",
        (
            "step",
            "minutes",
            "medical",
            "remote_sensing",
            "quality_error",
            "region_medical",
            "region_remote_sensing",
            "region_quality_error",
        ),
    )
    model.train()
    hold_still(model, recipe.parts)
    started = saved = validated = time.monotonic()
    before = minutes
    window: list[dict[str, float]] = []
    window_start = time.monotonic()

    def save() -> None:
        save_checkpoint(
            checkpoint,
            {
                "model": model.state_dict(),
                "ema": twin.state_dict(),
                "optimiser": optimiser.state_dict(),
                "step": step,
                "minutes": minutes,
                "rng": torch.get_rng_state(),
                "name": recipe.name,
                "seed": recipe.seed,
                "choice": asdict(recipe.model),
            },
        )

    last = recipe.steps if until is None else min(until, recipe.steps)
    batch: dict[str, Tensor] | None = None
    for batch in batches_from(dataset, step, last, workers):
        if recipe.minutes is not None:
            minutes = agreed_minutes(before + (time.monotonic() - started) / 60)
            if minutes >= recipe.minutes:
                break
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe, step, minutes)
        optimiser.zero_grad(set_to_none=True)
        figures = training_step(model, batch, recipe, step)
        if recipe.processes > 1:
            if os.getppid() != parent:  # an orphan must not go on writing checkpoints
                raise SystemExit("the process that started this run is gone")
            average_gradients(model, recipe.processes)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimiser.step()
        step += 1
        if rank:
            continue
        average_into(twin, model, step, recipe.ema)
        now = time.monotonic()
        minutes = before + (now - started) / 60
        window.append(figures)
        if step % 20 == 0 or step == recipe.steps:
            means = {
                k: sum(f[k] for f in window if k in f) / max(1, sum(k in f for f in window))
                for k in FIGURES
            }
            train_log.add(
                step=step,
                minutes=f"{minutes:.2f}",
                rate=f"{optimiser.param_groups[0]['lr']:.2e}",
                seconds=f"{(now - window_start) / len(window):.3f}",
                **{k: f"{v:.4f}" for k, v in means.items()},
            )
            say(recipe.name, step, recipe.steps, minutes, means)
            window, window_start = [], time.monotonic()
        if now - saved > 60 * recipe.checkpoint_minutes:
            save()
            saved = time.monotonic()
        if validate and now - validated > 60 * recipe.validate_minutes:
            save()
            validation_log.add(
                step=step, minutes=f"{minutes:.2f}", **validation_figures(twin, recipe)
            )
            write_sample(recipe.run / f"sample-{step}.png", twin, batch)
            write_curves(recipe.run)
            validated = saved = window_start = time.monotonic()
    if rank:
        return checkpoint
    save()
    if validate:
        validation_log.add(step=step, minutes=f"{minutes:.2f}", **validation_figures(twin, recipe))
    if batch is not None:
        write_sample(recipe.run / f"sample-{step}.png", twin, batch)
    write_curves(recipe.run)
    return checkpoint


def validation_figures(twin: Tiny, recipe: Recipe) -> dict[str, str]:
    """Mean Dice by box a domain, on two held-back pictures of every training set."""
    from samovar_train.data.catalogue import shared_data
    from samovar_train.evaluate import TorchModel, validation_dice

    model, data = TorchModel(twin), shared_data(recipe.data)
    figures = validation_dice(model, data, per_set=2)
    region = validation_dice(model, data, per_set=2, prompt="region")
    figures |= {f"region_{k}": v for k, v in region.items()}
    return {k: f"{v:.4f}" for k, v in figures.items()}
