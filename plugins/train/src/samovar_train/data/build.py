"""Builds the pack that a recipe asks for, once, from the data folder and from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from samovar_train.data.aerial import aerial_scene
from samovar_train.data.catalogue import shared_data
from samovar_train.data.echoes import blob_scene, echo_scene
from samovar_train.data.networks import network_scene
from samovar_train.data.packing import Item, Pack, write_pack
from samovar_train.data.phantoms import phantom_section
from samovar_train.data.pseudo import pseudo_objects
from samovar_train.data.sections import crescent_section, ct_section
from samovar_train.data.sources import banepa_items, pair_items, volume_items
from samovar_train.data.unlabelled import unlabelled_items

CT_SETS = frozenset(
    {
        "msd_spleen_ct",
        "nih_pancreas_ct",
        "msd_hepatic_vessel_ct",
        "aorta_ct",
        "chd68_heart_ct",
        "msd_lung_tumour_ct",
    }
)


def training_items(
    data: Path, seed: int, scenes: dict[str, int], pseudo: dict[str, float] | None = None
) -> Iterator[Item]:
    """Labelled items, objects found on the same pictures and on unlabelled ones, generated scenes.

    Without `pseudo` (ways of :func:`samovar_train.data.pseudo.pseudo_objects`) regions of even
    intensity are found, and only on the labelled pictures.
    """
    ways = pseudo or {"levels": 1.0}
    if pseudo:
        for number, item in enumerate(unlabelled_items(data, seed)):
            found = pseudo_objects(item.image, np.random.default_rng([seed, 23, number]), ways)
            item.labels, item.objects = found
            item.source = f"unlabelled_{item.domain}"
            yield item
    for item in pair_items(data):
        yield item
        if item.source == "dsb2018_nuclei":
            continue
        repeats = 3 if item.source in CT_SETS else 1
        for k in range(repeats):
            stem_key = sum(ord(c) * (i + 1) for i, c in enumerate(item.source + item.stem))
            rng = np.random.default_rng([seed, 7, stem_key, k])
            labels, table = pseudo_objects(item.image, rng, ways)
            name = "pseudo_ct" if item.source in CT_SETS else f"pseudo_{item.domain}"
            yield Item(
                name,
                f"{item.source}/{item.stem}/{k}",
                item.image,
                labels,
                table,
                item.domain,
                "pseudo",
            )
    yield from banepa_items(data)
    yield from volume_items(data)
    makers = {
        "generated_ct": ct_section,
        "generated_aerial": aerial_scene,
        "generated_blobs": blob_scene,
        "generated_echoes": echo_scene,
        "generated_crescents": crescent_section,
        "generated_networks": network_scene,
        "generated_phantoms": phantom_section,
    }
    for number, (name, make) in enumerate(makers.items()):
        for i in range(scenes.get(name, 0)):
            item = make(np.random.default_rng([seed, 11, number, i]))
            item.stem = str(i)
            yield item


def build_pack(
    folder: Path,
    data: Path | None,
    seed: int,
    scenes: dict[str, int],
    pseudo: dict[str, float] | None = None,
) -> Pack:
    """The pack in `folder`, built there first if it is missing or was built otherwise."""
    about: dict[str, Any] = {"seed": seed, "scenes": dict(sorted(scenes.items())), "format": 1}
    if pseudo:
        about["pseudo"] = dict(sorted(pseudo.items()))
    if (folder / "index.json").is_file():
        pack = Pack(folder)
        if pack.about == about:
            return pack
    write_pack(folder, training_items(shared_data(data), seed, scenes, pseudo), about)
    return Pack(folder)
