"""A trained `tiny` becomes the bundled model: `python -m samovar_train.release RECIPE … -o FOLDER`.

The recipes are those of the stages, in order; the last one's run is exported. The threshold of each
decoder's masks is chosen on validation pictures, and what was measured there is written down:
Dice by box for either decoder, and by the size of the encoder's input.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from samovar_train.data.catalogue import pair_sets, shared_data
from samovar_train.data.sources import read_pair
from samovar_train.evaluate import Picture, TorchModel, bounds, dice, prompted_objects
from samovar_train.export import export_bundle, load_checkpoint
from samovar_train.model.encoder import count_macs
from samovar_train.model.tiny import FRAME, Tiny
from samovar_train.provenance import card
from samovar_train.recipe import Recipe, load_recipe

THRESHOLDS = tuple(float(t) for t in np.arange(-1.5, 0.76, 0.25))
SIDES = (288, 416, FRAME)
"""Inputs of about 0.5, 1.0 and 1.5 GMAC."""
PER_SET = 4
"""Validation pictures a set that thresholds and sizes are measured on."""

DECODERS = ("mask_decoder", "decoder_roi")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m samovar_train.release")
    parser.add_argument("recipes", nargs="+", type=Path, help="of the stages, in order")
    parser.add_argument("--output", "-o", required=True, type=Path, help="folder of the bundle")
    parser.add_argument("--note", default="", help="what a reader of the card should know")
    parser.add_argument("--version", default="0.2.0")
    parser.add_argument("--curves", type=Path, help="CSV of the course of all stages")
    options = parser.parse_args(argv)
    stages = [load_recipe(path) for path in options.recipes]
    if options.curves:
        write_curves(stages, options.curves)
    model, state = load_checkpoint(stages[-1].run / "last.pt")
    data = shared_data(stages[-1].data)
    full, region = choose_thresholds(model, data)
    shift_region(model, full - region)
    by_size = {side: measure(model, data, [full], side)[0] for side in SIDES}
    figures = {
        "protocol": f"box from the label; at most {PER_SET} validation pictures a set, 8 objects a "
        "picture; mean over sets of mean Dice; thin sets left out. The mask thresholds were chosen "
        "on the same pictures",
        "thresholds": {"mask_decoder": full, "decoder_roi": region},
        "by_input": [
            {"side": side, "encoder_gmac": gmac(model, side), **scores}
            for side, scores in by_size.items()
        ],
    }
    content = card(stages[-1], state, data, figures, options.version)
    content["mask_threshold"] = full
    content["provenance"] |= course_of(options.recipes, stages)
    if options.note:
        content["provenance"]["note"] = options.note
    sys.stdout.write(f"{export_bundle(model, options.output, content)}\n")
    return 0


def course_of(paths: Sequence[Path], stages: Sequence[Recipe]) -> dict[str, Any]:
    """Steps and minutes of every stage and of all together."""
    rows = []
    for path, recipe in zip(paths, stages, strict=True):
        _, state = load_checkpoint(recipe.run / "last.pt")
        rows.append(
            {
                "recipe": f"plugins/train/recipes/{path.name}",
                "steps": state["step"],
                "minutes": round(state["minutes"], 1),
            }
        )
    return {
        "stages": rows,
        "recipe": rows[-1]["recipe"],
        "steps": sum(r["steps"] for r in rows),
        "minutes": round(sum(r["minutes"] for r in rows), 1),
    }


def write_curves(stages: Sequence[Recipe], file: Path, every: int = 100) -> None:
    """IoU while training and Dice by box on validation, against the steps of all stages together.

    By the region decoder where a stage trains one, else by the mask decoder.
    """
    rows: list[dict[str, Any]] = []
    before = minutes = 0.0
    for recipe in stages:
        _, state = load_checkpoint(recipe.run / "last.pt")
        prefix = "region_" if recipe.regions else ""
        own: list[dict[str, Any]] = []
        for row in read_log(recipe.run / "train.csv"):
            if int(row["step"]) % every == 0:
                value = row.get("iou_region" if recipe.regions else "iou")
                own.append(course_row(row, training_iou=value))
        for row in read_log(recipe.run / "validation.csv"):
            dice_by = {d: row.get(prefix + d) for d in ("medical", "remote_sensing")}
            own.append(course_row(row, **dice_by))
        own = [r for r in own if r["step"] <= state["step"]]
        for row in sorted(own, key=lambda r: r["step"]):
            row["step"] += int(before)
            row["minutes"] = round(row["minutes"] + minutes, 2)
            rows.append(row)
        before, minutes = before + state["step"], minutes + state["minutes"]
    with file.open("w", newline="", encoding="utf-8") as out:
        names = ("step", "minutes", "medical", "remote_sensing", "training_iou")
        writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_log(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def course_row(row: dict[str, str], **values: str | None) -> dict[str, Any]:
    """Step and minutes of a logged row, and some of its figures."""
    told = {k: v for k, v in values.items() if v}
    return {"step": int(row["step"]), "minutes": float(row["minutes"]), **told}


def choose_thresholds(model: Tiny, data: Path) -> tuple[float, float]:
    """The logit above which Dice by box is best, of the mask decoder and of the region decoder."""
    scores = measure(model, data, THRESHOLDS)
    best = []
    for decoder in DECODERS:
        means = [float(np.mean(list(s[decoder].values()))) for s in scores]
        best.append(THRESHOLDS[int(np.argmax(means))])
    return best[0], best[1]


@torch.no_grad()
def shift_region(model: Tiny, shift: float) -> None:
    """Move the region decoder's logits, so that one threshold serves both decoders."""
    bias = model.decoder_roi.mask.bias
    assert bias is not None
    bias += shift


def measure(
    model: Tiny, data: Path, thresholds: Sequence[float], side: int = FRAME
) -> list[dict[str, dict[str, float]]]:
    """Dice by box, decoder and domain, at each threshold, with pictures scaled to `side`."""
    taught = TorchModel(model)
    totals: list[dict[str, dict[str, list[float]]]] = [
        {decoder: {} for decoder in DECODERS} for _ in thresholds
    ]
    for pairs in pair_sets(data):
        if not pairs.train or pairs.thin:
            continue
        rows = []  # an object: Dice by decoder and threshold
        for stem in list(pairs.validation)[:PER_SET]:
            image, mask = read_pair(pairs, stem)
            objects = prompted_objects(mask, pairs.instances)
            if not objects:
                continue
            picture = Picture(taught, image, side)
            boxes = np.stack([bounds(o) for o in objects])
            logits = picture.logits(boxes=boxes)[0], picture.region_logits(boxes)[0]
            rows += [
                [[dice(values[i] > t, o) for t in thresholds] for values in logits]
                for i, o in enumerate(objects)
            ]
        if rows:
            for decoder, row in zip(DECODERS, np.mean(rows, 0), strict=True):
                for total, value in zip(totals, row, strict=True):
                    total[decoder].setdefault(pairs.domain, []).append(float(value))
    return [
        {d: {k: round(float(np.mean(v)), 4) for k, v in own.items()} for d, own in total.items()}
        for total in totals
    ]


def gmac(model: Tiny, side: int) -> float:
    return round(count_macs(model.encoder, torch.zeros(1, 3, side, side)) / 1e9, 3)


if __name__ == "__main__":
    sys.exit(main())
