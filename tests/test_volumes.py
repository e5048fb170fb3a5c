from dataclasses import replace

import numpy as np
import pytest

from oracle import OracleModel
from samovar.chains import Following
from samovar.errors import Cancelled
from samovar.grid import Frame, Grid
from samovar.image import ArrayImage
from samovar.intensity import choose_intensity
from samovar.job import Job
from samovar.objects import Objects
from samovar.prompts import Prompt, Prompts
from samovar.volumes import segment_volume

GRID = Grid((20, 24, 28), np.eye(4), Frame.lps())


def ball() -> np.ndarray:
    z, y, x = np.indices(GRID.shape)
    return ((z - 9) ** 2 + (y - 11) ** 2 + (x - 13) ** 2 <= 36).astype(np.uint8)


def job(model=None, prompt=None, **fields) -> Job:
    image = ArrayImage(ball(), GRID)
    prompt = Prompt(1, "ball", box=(7, 5, 3, 20, 18, 16)) if prompt is None else prompt
    model = OracleModel() if model is None else model
    return Job(image, model, choose_intensity(image, "gray"), Prompts((prompt,)), **fields)


class WrongAlongZ(OracleModel):
    """Finds a corner too many on every slice that is cut along z."""

    def decode(self, embedding, prompts):
        masks = super().decode(embedding, prompts)
        if embedding.fit.picture != (24, 28):
            return masks
        grown = []
        for mask in masks.masks:
            picture = np.zeros((24, 28), dtype=bool)
            picture[mask.region.slices] = mask.inside
            picture[5:8, 7:10] = True
            grown.append(type(mask).of(picture))
        return type(masks)(masks.ids, tuple(grown), masks.quality, masks.low_res, masks.stability)


def test_three_axes_agree_on_what_is_there():
    (item,) = segment_volume(job(following=Following(consensus=True)))
    assert np.array_equal(Objects(GRID, (item,)).labels(), ball())
    assert {key[0] for key in item.views} == {"x", "y", "z"}
    assert item.uncertainty == pytest.approx(0)
    assert item.name == "ball"


def test_two_axes_outvote_the_third():
    model = WrongAlongZ()
    (alone,) = segment_volume(job(model))
    assert not np.array_equal(Objects(GRID, (alone,)).labels(), ball())
    (voted,) = segment_volume(job(model, following=Following(consensus=True)))
    assert np.array_equal(Objects(GRID, (voted,)).labels(), ball())
    assert voted.uncertainty > 0.05


def test_a_click_is_put_to_the_vote_too():
    click = Prompt(1, points=((13, 11, 9),), labels=(1,))
    (item,) = segment_volume(job(prompt=click, following=Following(consensus=True)))
    assert np.array_equal(Objects(GRID, (item,)).labels(), ball())


def test_nothing_is_voted_on_where_nothing_was_found():
    nothing = Prompt(1, box=(0, 0, 0, 3, 3, 3))
    (item,) = segment_volume(job(prompt=nothing, following=Following(consensus=True)))
    assert item.empty


def test_an_interrupt_keeps_the_objects_that_were_finished():
    class Interrupted(OracleModel):
        def decode(self, embedding, prompts):
            if self.decoded > 12:
                raise KeyboardInterrupt
            return super().decode(embedding, prompts)

    image = ArrayImage(ball(), GRID)
    prompts = Prompts((Prompt(1, box=(7, 5, 9, 20, 18, 12)), Prompt(2, box=(7, 5, 3, 20, 18, 16))))
    way = Following(anchor="middle")
    one = Job(image, Interrupted(), choose_intensity(image, "gray"), prompts, following=way)
    with pytest.raises(Cancelled) as stopped:
        segment_volume(one)
    assert [o.id for o in stopped.value.finished] == [1]
    whole = Job(image, OracleModel(), choose_intensity(image, "gray"), prompts, following=way)
    by_id = {o.id: o for o in segment_volume(whole)}
    for item in stopped.value.finished:
        assert item.bits == by_id[item.id].bits


@pytest.mark.parametrize(("axes", "kept"), [(1, []), (2, []), (3, [1])])
def test_an_interrupted_vote_keeps_what_all_three_axes_have_seen(monkeypatch, axes, kept):
    from samovar import volumes

    prompts = Prompts((Prompt(1, box=(7, 5, 6, 20, 18, 13)), Prompt(2, box=(7, 5, 3, 20, 18, 16))))
    voting = replace(job(WrongAlongZ(), following=Following(consensus=True)), prompts=prompts)
    whole = segment_volume(voting)
    follow, followed = volumes._followed, []

    def stopping(one):
        """The user interrupts in this axis, when its first object is finished."""
        followed.append(follow(one))
        if len(followed) == axes:
            cancelled = Cancelled("cancelled")
            cancelled.finished = followed[-1][:1]
            raise cancelled
        return followed[-1]

    monkeypatch.setattr(volumes, "_followed", stopping)
    with pytest.raises(Cancelled) as stopped:
        segment_volume(voting)
    assert [o.id for o in stopped.value.finished] == kept
    assert [o.bits for o in stopped.value.finished] == [whole[i - 1].bits for i in kept]
    assert followed[0][0].bits != whole[0].bits


def test_every_touched_slice_is_encoded_once_however_little_memory_there_is(monkeypatch):
    from samovar import volumes
    from samovar.cache import EmbeddingCache

    made = []

    def small():
        made.append(EmbeddingCache(memory=1))
        return made[-1]

    monkeypatch.setattr(volumes, "EmbeddingCache", small)
    model = OracleModel()
    box = Prompt(1, box=(7, 5, 3, 20, 18, 16))
    image = ArrayImage(ball(), GRID)
    prompts = Prompts(
        (box, Prompt(2, box=(7, 5, 6, 20, 18, 13)), Prompt(3, box=(1, 1, 3, 5, 5, 9)))
    )
    items = segment_volume(Job(image, model, choose_intensity(image, "gray"), prompts))
    assert model.encoded == 13
    assert np.array_equal(items[0].window(GRID.region), ball() == 1)
    assert len(made[0]) == 0


def test_260_objects_are_260_labels():
    labels = np.zeros((12, 140, 140), dtype=np.uint16)
    boxes = []
    for i in range(260):
        y, x = 2 + 8 * (i // 17), 2 + 8 * (i % 17)
        labels[3:9, y : y + 5, x : x + 5] = 1 + i % 255
        boxes.append(Prompt(i + 1, box=(x, y, 3, x + 5, y + 5, 9)))
    grid = Grid(labels.shape, np.eye(4), Frame.lps())
    image = ArrayImage(labels.astype(np.uint8), grid)
    model = OracleModel()
    items = segment_volume(
        Job(image, model, choose_intensity(image, "gray"), Prompts(tuple(boxes)))
    )
    found = Objects(grid, items).labels()
    assert found.dtype == np.uint16
    assert np.array_equal(np.unique(found), np.arange(261))
    assert np.array_equal(found > 0, labels > 0)
    assert model.encoded == 6
