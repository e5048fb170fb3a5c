import numpy as np
import pytest

from oracle import OracleModel
from samovar.cache import EmbeddingCache
from samovar.chains import Following
from samovar.errors import Cancelled, PromptError, UsageError
from samovar.executor import CancelToken
from samovar.grid import Frame, Grid, Region
from samovar.image import ArrayImage
from samovar.intensity import choose_intensity
from samovar.job import Job
from samovar.masks import PixelMask
from samovar.objects import Objects
from samovar.prompts import Prompt, Prompts
from samovar.volume_session import VolumeSession

GRID = Grid((24, 60, 70), np.eye(4), Frame.lps())


def balls() -> np.ndarray:
    z, y, x = np.indices(GRID.shape)
    labels = np.zeros(GRID.shape, dtype=np.uint8)
    for id, (cz, cy, cx, r) in enumerate([(8, 20, 20, 7), (14, 40, 50, 9)], 1):
        labels[(z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 <= r * r] = id
    return labels


FIRST = Prompt(1, "first", box=(13, 13, 1, 28, 28, 16))
SECOND = Prompt(2, "second", box=(41, 31, 5, 60, 50, 24))


def job(labels: np.ndarray | None = None, model: OracleModel | None = None, **fields) -> Job:
    image = ArrayImage(balls() if labels is None else labels, GRID)
    model = OracleModel() if model is None else model
    return Job(image, model, choose_intensity(image, "gray"), **fields)


def session(*prompts: Prompt, **fields) -> tuple[VolumeSession, OracleModel]:
    model = OracleModel()
    following = Following(anchor="middle", **fields)
    work = VolumeSession(job(model=model, prompts=Prompts(prompts), following=following))
    work.update()
    return work, model


def labels_of(work: VolumeSession) -> np.ndarray:
    return Objects(GRID, work.objects()).labels()


def test_objects_come_back_and_every_touched_slice_is_encoded_once():
    work, model = session(FIRST, SECOND)
    assert np.array_equal(labels_of(work), balls())
    assert model.encoded == balls().any(axis=(1, 2)).sum()
    assert work.finished() == (1, 2)


def test_nothing_is_asked_twice():
    work, model = session(FIRST, SECOND)
    asked, encoded = model.decoded, model.encoded
    work.update()
    assert (model.decoded, model.encoded) == (asked, encoded)


def test_a_third_object_asks_about_itself_alone():
    work, model = session(FIRST)
    model.decoded = model.encoded = 0
    work.ask(Prompts((SECOND,)))
    work.update()
    assert model.decoded == 19
    assert model.encoded == 24 - 16
    assert np.array_equal(labels_of(work), balls())


def test_a_negative_point_redoes_its_slice_and_what_is_followed_from_it():
    work, model = session(FIRST, SECOND)
    model.decoded = model.encoded = 0
    work.correct(1, negative=[(1, 1, 12)])
    work.update()
    assert model.encoded == 0
    assert model.asked[-1].points == ((1, 1),)
    # the slice itself; the oracle's answer is what it was, so the ones after it are not asked
    assert model.decoded == 1


def test_a_correction_goes_on_as_far_as_it_changes_something():
    class Shrinking(OracleModel):
        """A negative point makes the mask one row smaller, and so does a prior that was."""

        def decode(self, embedding, prompts):
            answer = super().decode(embedding, prompts)
            for i, prompt in enumerate(prompts):
                spoilt = prompt.mask is not None and prompt.mask.max() > 0
                if 0 in prompt.labels or spoilt:
                    answer.low_res[i] = 1.0
            return answer

    model = Shrinking()
    way = Following(anchor="middle")
    work = VolumeSession(job(model=model, prompts=Prompts((FIRST, SECOND)), following=way))
    work.update()
    model.asked.clear()
    work.correct(1, negative=[(1, 1, 12)])
    work.update()
    assert len(model.asked) == 15 - 12 + 1  # z12 … z15, up from the key at z8
    afresh = VolumeSession(job(model=Shrinking(), prompts=work.prompts, following=way))
    afresh.update()
    assert np.array_equal(labels_of(work), labels_of(afresh))


def test_a_box_on_a_slice_redoes_only_the_half_way_to_its_neighbours():
    work, model = session(FIRST)
    model.asked.clear()
    work.correct(1, box=(12, 12, 14, 29, 29, 15))
    work.update()
    keys = [p for p in model.asked if p.mask is None]
    assert len(keys) == 1
    assert keys[0].box == (12, 12, 29, 29)
    # z12 and z13 are followed down from z14, z15 up; z9 … z11 stay with the box's own anchor z8
    assert 3 <= len(model.asked) <= 4
    other, _ = session(*work.prompts)
    assert np.array_equal(labels_of(work), labels_of(other))


def test_a_second_box_on_the_same_slice_replaces_the_first():
    work, _ = session(FIRST)
    for side in (29, 28):
        work.correct(1, box=(12, 12, 14, side, side, 15))
    (prompt,) = work.prompts
    assert prompt.key_boxes == ((12, 12, 14, 28, 28, 15),)
    with pytest.raises(PromptError, match="one slice"):
        work.correct(1, box=(12, 12, 14, 29, 29, 17))


def test_paint_is_the_answer_on_its_slice():
    work, model = session(FIRST)
    region = Region((10, 30, 30), (11, 34, 36))
    work.correct(1, painted=PixelMask(region, np.ones(region.shape, dtype=bool)))
    model.asked.clear()
    work.update()
    mask = work.mask(1, 10)
    assert mask is not None
    assert (mask.region.start, mask.region.stop) == ((30, 30), (34, 36))
    assert not any(p.box == (13, 13, 28, 28) and p.mask is None for p in model.asked[:1])


def test_a_corrected_object_is_not_finished_before_it_was_asked_again():
    work, _ = session(FIRST, SECOND)
    work.correct(1, negative=[(1, 1, 12)])
    assert work.finished() == (2,)
    work.update()
    assert work.finished() == (1, 2)


def test_an_object_can_be_forgotten():
    work, _ = session(FIRST, SECOND)
    work.forget(1)
    assert [o.id for o in work.objects()] == [2]
    with pytest.raises(PromptError, match="never asked"):
        work.mask(1, 8)


def test_points_and_flat_boxes_are_followed_until_the_object_ends():
    for prompt, extent in (
        (Prompt(1, points=((20, 20, 8),), labels=(1,)), "box"),
        (Prompt(1, box=(13, 13, 8, 28, 28, 9)), "auto"),
    ):
        work, model = session(prompt, extent=extent)
        assert np.array_equal(labels_of(work) == 1, balls() == 1)
        # one slice beyond each end has to be looked at, none further
        assert model.encoded == 15 + 2


def test_a_flat_box_without_auto_is_one_slice():
    work, model = session(Prompt(1, box=(13, 13, 8, 28, 28, 9)))
    assert model.encoded == 1
    assert np.array_equal(labels_of(work)[8] == 1, balls()[8] == 1)
    assert not labels_of(work)[9].any()


def test_key_slices_are_joined_by_what_lies_between():
    boxes = tuple((13.0, 13.0, z, 28.0, 28.0, z + 1.0) for z in (2, 8, 14))
    work, _ = session(Prompt(1, box=boxes[0], key_boxes=boxes[1:]))
    expected = balls() == 1
    expected[:2] = expected[15:] = False
    assert np.array_equal(labels_of(work) == 1, expected)


def test_any_axis_gives_the_same_object():
    for axis in ("x", "y", "z"):
        work, _ = session(FIRST, SECOND, axis=axis)
        assert work.objects()[0].views[0].startswith(axis)
        assert np.array_equal(labels_of(work), balls())


def test_what_was_answered_before_a_cancel_is_kept():
    token, model = CancelToken(), OracleModel()
    ticks = []

    def tick(progress):
        ticks.append(progress)
        if len(ticks) == 12:
            token.cancel()

    small = Prompt(1, box=(13, 13, 7, 28, 28, 9))
    prompts = Prompts((small, SECOND))
    way = Following(anchor="middle")
    work = VolumeSession(
        job(model=model, prompts=prompts, cancel=token, progress=tick, following=way)
    )
    with pytest.raises(Cancelled):
        work.update()
    assert work.finished() == (1,)
    assert ticks[-1].text.endswith("of 2 objects")
    asked = model.decoded
    token._event.clear()
    work.update()
    assert work.finished() == (1, 2)
    assert model.decoded == 2 + 19
    assert asked < model.decoded


def test_a_cache_shared_between_sessions_spares_the_encoder():
    cache, model = EmbeddingCache(), OracleModel()
    image = ArrayImage(balls(), GRID)
    for _ in range(2):
        one = Job(image, model, choose_intensity(image, "gray"), Prompts((FIRST,)), cache=cache)
        VolumeSession(one).update()
    assert model.encoded == 15


def test_pictures_have_no_slices():
    image = ArrayImage(np.zeros((9, 9), np.uint8))
    with pytest.raises(UsageError, match="volumes"):
        VolumeSession(Job(image, OracleModel(), choose_intensity(image, "gray")))
