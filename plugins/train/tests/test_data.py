"""Objects, prompts, priors, batches: what the model is shown is what it is told it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from samovar_train.data.aerial import aerial_scene
from samovar_train.data.augment import crop_window, elastic, recolour, resize_to_frame, rotate
from samovar_train.data.batches import Batches
from samovar_train.data.build import build_pack
from samovar_train.data.echoes import blob_scene, echo_scene
from samovar_train.data.networks import network_scene
from samovar_train.data.packing import Pack, number_objects, write_pack
from samovar_train.data.phantoms import patient, phantom_section
from samovar_train.data.pseudo import check_ways, even_regions, pseudo_objects
from samovar_train.data.sampling import (
    ObjectView,
    PromptMix,
    draw_prompt,
    extent_box,
    jittered_box,
    perturbed_prior,
)
from samovar_train.data.sections import crescent_section, ct_section
from samovar_train.data.unlabelled import unlabelled_items


def disc(side: int = 100, radius: int = 20, centre: tuple[int, int] = (40, 60)) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.hypot(y - centre[0], x - centre[1]) < radius


def test_number_objects_splits_classes_into_components() -> None:
    classes = np.zeros((60, 60), np.uint8)
    classes[2:22, 2:22], classes[30:40, 30:40], classes[50:52, 50:52] = 1, 1, 1
    classes[22:30, 2:22] = 2
    labels, table = number_objects(classes)
    assert [(c, a) for c, a, *_ in table] == [(1, 400), (2, 160), (1, 100)]  # 4 px: speckle
    for number, (_, area, y0, x0, y1, x1) in enumerate(table, start=1):
        assert (labels == number).sum() == area == (labels[y0:y1, x0:x1] == number).sum()


def test_number_objects_keeps_instances_whole() -> None:
    instances = np.zeros((40, 40), np.uint16)
    instances[:10, :10] = instances[20:30, 20:30] = 700
    _, table = number_objects(instances, instances=True)
    assert [(c, a) for c, a, *_ in table] == [(1, 200)]


def test_pack_returns_what_was_written(tmp_path: Path) -> None:
    items = [blob_scene(np.random.default_rng(1)), aerial_scene(np.random.default_rng(2), 128)]
    assert write_pack(tmp_path, items, {"seed": 5}) == 2
    for item, back in zip(items, Pack(tmp_path), strict=True):
        assert np.array_equal(item.image, back.image) and np.array_equal(item.labels, back.labels)
        assert item.objects == back.objects and item.kind == back.kind


@pytest.mark.parametrize(
    "make", [ct_section, crescent_section, aerial_scene, blob_scene, echo_scene, network_scene]
)
def test_scenes_are_seeded_and_labelled(make) -> None:
    a, b = make(np.random.default_rng(4)), make(np.random.default_rng(4))
    assert np.array_equal(a.image, b.image) and np.array_equal(a.labels, b.labels)
    assert a.objects and a.image.dtype == np.uint8 and a.image.shape[:2] == a.labels.shape


@pytest.mark.parametrize("shape", [(120, 200), (1, 40), (64, 64)])
def test_elastic_bends_picture_and_labels_alike(shape: tuple[int, int]) -> None:
    """A picture that says where each pixel was, and labels that say it too, to the pixel."""
    h, w = shape
    y, x = np.mgrid[:h, :w]
    picture = np.stack([y + 1, x + 1, np.full(shape, 255)], -1).astype(np.uint8)
    labels = ((y + 1) * 256 + x + 1).astype(np.uint16)
    bent, back = elastic(np.random.default_rng(3), picture, labels)
    again = elastic(np.random.default_rng(3), picture, labels)
    assert bent.dtype == np.uint8 and back.dtype == np.uint16 and bent.shape == picture.shape
    assert np.array_equal(bent, again[0]) and np.array_equal(back, again[1])
    assert not np.array_equal(back, labels)
    inside = bent[..., 2] == 255  # no place outside the picture was mixed in
    assert inside.mean() > 0.6
    told = bent[..., 0].astype(int) * 256 + bent[..., 1]
    assert (told == back)[inside].mean() > 0.999  # but for places half-way between two pixels
    moved = np.hypot(bent[..., 0] - (y + 1.0), bent[..., 1] - (x + 1.0))[inside]
    assert moved.max() < max(shape) / 3 / 4 * 1.6 and moved.mean() > 0.3


def test_elastic_does_not_fold() -> None:
    """Along a row the places asked never turn back: a ramp stays a ramp."""
    ramp = np.tile(np.arange(250, dtype=np.uint8) + 1, (250, 1))
    picture = np.stack([ramp, ramp, np.full_like(ramp, 255)], -1)
    for seed in range(20):
        bent, labels = elastic(np.random.default_rng(seed), picture, ramp)
        assert labels.dtype == ramp.dtype
        inside = (bent[:, 1:, 2] == 255) & (bent[:, :-1, 2] == 255)
        assert np.diff(bent[..., 0].astype(int), axis=1)[inside].min() >= 0


def test_elastic_is_drawn_as_often_as_the_recipe_says(toy_pack: Path) -> None:
    def batch(share: float) -> np.ndarray:
        shown = Batches(toy_pack, 1, ((0, (64,)),), 4, 1, {}, elastic=share)[0]
        return np.asarray(shown["image"])

    plain = Batches(toy_pack, 1, ((0, (64,)),), 4, 1, {})[0]["image"]
    assert np.array_equal(batch(0.0), plain) and not np.array_equal(batch(1.0), plain)
    assert np.array_equal(batch(1.0), batch(1.0))


def test_even_regions_find_a_disc() -> None:
    image = np.full((200, 200), 60, np.uint8)
    mask = disc(200, 40, (100, 90))
    image[mask] = 180
    image = image + np.random.default_rng(0).integers(0, 9, image.shape).astype(np.uint8)
    labels, table = even_regions(image, np.random.default_rng(0))
    best = max(
        ((labels == i + 1) & mask).sum() / ((labels == i + 1) | mask).sum()
        for i in range(len(table))
    )
    assert best > 0.85


@pytest.mark.parametrize("scale", [512 / 100, 1.28])
def test_object_view_box_and_coverage(scale: float) -> None:
    mask = disc()
    view = ObjectView(mask, scale, int(100 * scale))
    ys, xs = np.nonzero(mask)
    wanted = scale * np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    assert np.allclose(view.box, wanted)
    assert view.soft.sum() * 16 == pytest.approx(mask.sum() * scale**2, rel=0.03)


def test_points_lie_where_they_say() -> None:
    rng = np.random.default_rng(0)
    mask, scale = disc(), 5.12
    view = ObjectView(mask, scale, 512)
    for _ in range(200):
        x, y = view.random_point(rng)
        assert mask[int(y / scale), int(x / scale)]
        outside = view.outside_point(rng)
        assert outside is not None and not mask[int(outside[1] / scale), int(outside[0] / scale)]
    x, y = view.inner_point()
    assert np.hypot(x / scale - 60, y / scale - 40) < 3


def test_prompts_fit_and_boxes_are_legal() -> None:
    rng = np.random.default_rng(1)
    view = ObjectView(disc(), 5.12, 512)
    kinds = set()
    for i in range(600):
        slots = (2, 3, 6)[i % 3]
        prompt, kind = draw_prompt(rng, view, slots, PromptMix())
        kinds.add(kind)
        assert len(prompt.labels) <= slots and len(prompt.coords) == len(prompt.labels)
        if 2 in prompt.labels:
            (x0, y0), (x1, y1) = prompt.coords[0], prompt.coords[1]
            assert 0 <= x0 < x1 <= 512 and 0 <= y0 < y1 <= 512 and prompt.labels[:2] == [2, 3]
        assert prompt.labels or prompt.prior is not None
        if kind == "point":
            assert prompt.labels == [1] and prompt.prior is None
    assert kinds == {"box", "extent", "box_points", "points", "point", "prior_box", "prior"}


def test_loose_boxes_contain_the_object() -> None:
    rng = np.random.default_rng(2)
    box = np.array([100.0, 120, 200, 260])
    mix = PromptMix(tight=0.0, loose=1.0)
    for _ in range(50):
        out = jittered_box(rng, box, 512, mix)
        assert (out[:2] <= box[:2]).all() and (out[2:] >= box[2:]).all()
        assert (np.abs(out - box) <= 0.2 * 140 + 1e-6).all()


def test_extent_boxes_contain_the_object_and_are_not_mostly_something_else() -> None:
    rng = np.random.default_rng(7)
    view = ObjectView(disc(), 5.12, 512)
    shares = []
    for _ in range(100):
        x0, y0, x1, y1 = extent_box(rng, view, 0.27)
        assert x0 <= view.box[0] and y0 <= view.box[1] and x1 >= view.box[2] and y1 >= view.box[3]
        shares.append(view.soft.sum() * 16 / ((x1 - x0) * (y1 - y0)))
    assert min(shares) >= 0.26 and np.std(shares) > 0.05


def test_prior_is_nearly_right_and_not_right() -> None:
    rng = np.random.default_rng(3)
    soft = ObjectView(disc(), 5.12, 512).soft
    overlaps = []
    for _ in range(100):
        prior = perturbed_prior(rng, soft)
        assert prior.shape == soft.shape and np.abs(prior).max() <= 16
        a, b = prior > 0, soft > 0.5
        overlaps.append((a & b).sum() / (a | b).sum())
    assert 0.5 < np.mean(overlaps) < 0.97


def test_crop_shows_the_anchor() -> None:
    rng = np.random.default_rng(4)
    for _ in range(200):
        y0, x0, y1, x1 = crop_window(rng, (300, 400), (100, 150, 140, 220), 512)
        assert 0 <= y0 < y1 <= 300 and 0 <= x0 < x1 <= 400
        assert max(y0, 100) < min(y1, 140) and max(x0, 150) < min(x1, 220)


def test_rotation_moves_picture_and_labels_alike() -> None:
    mask = disc(101, 18, (50, 75))
    image, labels = rotate(mask.astype(np.uint8) * 255, mask.astype(np.uint16), 40.0)
    assert labels.dtype == np.uint16
    assert ((image > 127) ^ (labels > 0)).mean() < 0.01


def test_resize_rounds_half_up_and_recolour_keeps_the_shape() -> None:
    rng = np.random.default_rng(5)
    content, (h, w) = resize_to_frame(rng, np.zeros((101, 122), np.uint8), 512, coarse=0.0)
    assert (h, w) == content.shape == (424, 512)
    noise = rng.standard_normal(1 << 19).astype(np.float32)
    for _ in range(20):
        out = recolour(rng, np.full((30, 40), 90, np.uint8), noise)
        assert out.shape == (30, 40, 3) and out.dtype == np.uint8


def test_batches_are_a_function_of_the_step(toy_pack: Path) -> None:
    make = lambda: Batches(toy_pack, 1, ((0, (128,)), (5, (160,))), 2, 3, {})  # noqa: E731
    a, b = make(), make()
    a[0]
    first, second = a[4], b[4]
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert first["image"].shape == (2, 3, 128, 128) and first["image"].dtype == torch.uint8
    assert first["target"].shape == (6, 32, 32) and a[5]["target"].shape == (6, 40, 40)
    assert (first["target"].flatten(1).sum(1) > 0).all()


def test_sides_are_drawn_alike_in_every_process(toy_pack: Path) -> None:
    sizes = ((0, (128,)), (10, (96, 128)))
    a, b = (Batches(toy_pack, 1, sizes, 1, 1, {}, rank=r) for r in (0, 1))
    sides = [a.size_at(step) for step in range(60)]
    assert sides == [b.size_at(step) for step in range(60)]
    assert set(sides[:10]) == {128} and set(sides[10:]) == {96, 128}


def test_unknown_source_in_weights_is_named(toy_pack: Path) -> None:
    with pytest.raises(KeyError, match="no_such_set"):
        Batches(toy_pack, 1, ((0, (128,)),), 1, 1, {"no_such_set": 2.0})[0]


def test_a_folder_of_ones_own_sets_can_be_trained_on(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    for name in ("images", "labels"):
        (tmp_path / "organs" / name).mkdir(parents=True)
    for stem in ("a", "b", "c"):
        labels = np.zeros((8, 30, 30), np.uint8)
        labels[2:6, 5:20, 8:22] = 1
        for name, array in (("images", labels * np.int16(90)), ("labels", labels)):
            file = tmp_path / "organs" / name / f"{stem}.nii.gz"
            sitk.WriteImage(sitk.GetImageFromArray(array), str(file))
    entry = {
        "path": "organs", "kind": "volumes", "domain": "medical", "modality": "CT", "train": True,
        "licence": "CC0", "classes": {"1": "organ"}, "validation": ["b"],
    }  # fmt: skip
    (tmp_path / "MANIFEST.json").write_text(json.dumps({"datasets": [entry]}))
    pack = build_pack(tmp_path / "pack", tmp_path, 1, {})
    assert {row["source"] for row in pack.rows} == {"organs"}
    assert {row["stem"].split("/")[0] for row in pack.rows} == {"a", "c"}


def test_phantom_sections_show_patients_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from samovar_datasets import demo, phantoms

    drawn: list[int] = []

    def small(seed: int, *_: object, **__: object) -> phantoms.Phantom:
        drawn.append(seed)
        return original(seed, (12, 40, 52))

    original = phantoms.ct_phantom
    monkeypatch.setattr(phantoms, "ct_phantom", small)
    monkeypatch.setattr("samovar_train.data.phantoms.ABDOMENS", 3)
    monkeypatch.setattr("samovar_train.data.phantoms.PATIENTS", 3)
    patient.cache_clear()
    items = [phantom_section(np.random.default_rng(seed)) for seed in range(12)]
    patient.cache_clear()
    assert len(drawn) == 3 and demo.CT_SEED not in drawn
    assert {item.image.shape for item in items} >= {(40, 52)}
    assert all(item.image.shape == item.labels.shape for item in items)
    assert max(len(item.objects) for item in items) > 3


@pytest.mark.parametrize("way", ["levels", "superpixels", "felzenszwalb", "watershed"])
@pytest.mark.parametrize("colour", [False, True])
def test_objects_are_found_in_every_way(way: str, colour: bool) -> None:
    """Discs on even ground: something like one of them is found, alike for a seed."""
    discs = [disc(160, 18, at) for at in ((40, 40), (40, 115), (115, 40), (115, 115))]
    image = np.full((160, 160), 70, np.uint8)
    for value, one in zip((120, 160, 200, 240), discs, strict=True):
        image[one] = value
    image = image + np.random.default_rng(0).integers(0, 7, image.shape).astype(np.uint8)
    if colour:
        image = np.stack([image, image, 255 - image], -1)
    best = 0.0
    for seed in range(3):
        labels, table = pseudo_objects(image, np.random.default_rng(seed), {way: 1.0})
        again, _ = pseudo_objects(image, np.random.default_rng(seed), {way: 1.0})
        assert np.array_equal(labels, again) and len(table) <= 12
        found = [labels == i + 1 for i in range(len(table))]
        best = max([best, *((f & d).sum() / (f | d).sum() for f in found for d in discs)])
    assert best > (0.35 if way == "superpixels" else 0.6)


def test_ways_are_checked() -> None:
    with pytest.raises(ValueError, match="snakes"):
        check_ways({"snakes": 1})
    with pytest.raises(ValueError, match="not all 0"):
        check_ways({"levels": 0.0})


def test_unlabelled_pictures_of_training_sets_are_found(tmp_path: Path) -> None:
    import rasterio
    import SimpleITK as sitk

    rng = np.random.default_rng(0)
    scans, scenes = tmp_path / "volumes" / "scans", tmp_path / "rasters" / "scenes"
    for folder in (scans, scenes, tmp_path / "rasters" / "kept"):
        folder.mkdir(parents=True)
    volume = sitk.GetImageFromArray(rng.integers(-1000, 900, (12, 96, 80)).astype(np.int16))
    for name in ("a.nii.gz", "held.nii.gz", "a_label.nii.gz"):
        sitk.WriteImage(volume, str(scans / name))
    shapes = {"one.tif": (1, 1000, 1000), "many.tif": (6, 300, 300), "small.tif": (3, 40, 300)}
    for name, shape in shapes.items():
        with rasterio.open(
            scenes / name, "w", driver="GTiff", count=shape[0], height=shape[1], width=shape[2],
            dtype="uint16",
        ) as out:  # fmt: skip
            out.write(rng.integers(1, 4000, shape).astype(np.uint16))
    sets = [("volumes", "volumes/scans", True), ("rasters", "rasters/scenes", True),
            ("rasters", "rasters/kept", False)]  # fmt: skip
    entries = [
        {"kind": k, "path": p, "train": t, "validation": ["held"], "licence": "CC0"}
        for k, p, t in sets
    ]
    (tmp_path / "MANIFEST.json").write_text(json.dumps({"datasets": entries}))
    items = list(unlabelled_items(tmp_path, 1))
    assert {i.source for i in items} == {"scans", "scenes"}
    assert {i.stem.split("/")[0] for i in items} == {"a.nii.gz", "one.tif", "many.tif"}
    sections = [i for i in items if i.domain == "medical"]
    assert len(sections) == 8 and all(i.image.shape == (96, 80) for i in sections)
    assert {i.image.ndim for i in items if "many" in i.stem} == {3}
    assert sum("one" in i.stem for i in items) == 4  # two rows and two columns of windows
    about = build_pack(tmp_path / "pack", tmp_path, 1, {}, {"levels": 1.0, "watershed": 1.0})
    assert {r["source"] for r in about.rows} <= {"unlabelled_medical", "unlabelled_remote_sensing"}
    assert len(about.rows) > 0 and about.about["pseudo"] == {"levels": 1.0, "watershed": 1.0}
