import numpy as np
import pytest
from scipy import ndimage

from oracle import OracleModel
from samovar import api
from samovar.cache import EmbeddingCache
from samovar.errors import Cancelled, PluginError, PromptError, UsageError
from samovar.executor import CancelToken
from samovar.grid import Frame, Grid
from samovar.image import ArrayImage
from samovar.intensity import choose_intensity
from samovar.objects import Objects
from samovar.pipeline import Job, segment_image
from samovar.prompts import Prompt, Prompts


def job(image, model=None, prompts=None, **fields) -> Job:
    model = model or OracleModel()
    return Job(image, model, choose_intensity(image, "gray"), prompts, **fields)


def boxes_of(labels: np.ndarray) -> Prompts:
    found = []
    for id, block in enumerate(ndimage.find_objects(labels), start=1):
        low, high = [s.start for s in block][::-1], [s.stop for s in block][::-1]
        found.append(Prompt(id, box=(*low, *high)))
    return Prompts(tuple(found))


def balls(shape=(24, 60, 70)) -> np.ndarray:
    z, y, x = np.indices(shape)
    labels = np.zeros(shape, dtype=np.uint8)
    for id, (cz, cy, cx, r) in enumerate([(8, 20, 20, 7), (14, 40, 50, 9), (20, 10, 60, 3)], 1):
        labels[(z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 <= r * r] = id
    return labels


def rectangles(side: int, rng: np.random.Generator, largest: int = 120) -> np.ndarray:
    labels = np.zeros((side, side), dtype=np.uint8)
    id = 0
    for _ in range(60):
        h, w = rng.integers(3, largest, 2)
        y, x = rng.integers(0, side - h), rng.integers(0, side - w)
        # A gap of two pixels: objects that touch would be one to anybody.
        if not labels[max(0, y - 2) : y + h + 2, max(0, x - 2) : x + w + 2].any():
            id += 1
            labels[y : y + h, x : x + w] = id
    return labels


class Everything:
    """A perfect prompt generator: one point on every label that the picture shows."""

    def propose(self, view, embedding, prior, context):
        if context.round:
            return None
        picture = np.rint(context.picture[0]).astype(int)
        found = []
        for value in np.unique(picture[picture > 0]):
            parts, n = ndimage.label(picture == value)
            for part in range(1, n + 1):
                y, x = (int(v[0]) for v in np.nonzero(parts == part))
                found.append(Prompt(len(found) + 1, points=((x, y),), labels=(1,)))
        return Prompts(tuple(found)) if found else None

    def select(self, masks):
        return range(len(masks))


@pytest.mark.parametrize("axis_order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_a_volume_comes_back_voxel_by_voxel(axis_order):
    labels = np.ascontiguousarray(balls().transpose(axis_order))
    grid = Grid(labels.shape, np.diag([1, 1, 2.5, 1]), Frame.lps())
    items = segment_image(job(ArrayImage(labels, grid), prompts=boxes_of(labels)))
    assert np.array_equal(Objects(grid, items).labels(), labels)
    assert items[0].measures["volume_ml"] == pytest.approx((labels == 1).sum() * 2.5 / 1000)


def test_each_slice_is_encoded_once_a_sweep_and_untouched_slices_never():
    labels, model = balls(), OracleModel()
    image = ArrayImage(labels, Grid(labels.shape, np.eye(4), Frame.lps()))
    segment_image(job(image, model, boxes_of(labels)))
    touched = labels.any(axis=(1, 2)).sum()
    assert touched <= model.encoded <= 2 * touched
    model.encoded = 0
    segment_image(job(image, model, boxes_of(labels), cache=EmbeddingCache()))
    assert model.encoded == touched


def test_points_alone_follow_an_object_through_its_slices_and_stop():
    labels, model = balls(), OracleModel()
    image = ArrayImage(labels, Grid(labels.shape, np.eye(4), Frame.lps()))
    prompts = Prompts((Prompt(1, points=((20, 20, 8),), labels=(1,)),))
    (item,) = segment_image(job(image, model, prompts))
    assert item.region.start[0] == 1
    assert item.region.stop[0] == 16
    assert np.array_equal(Objects(image.grid, (item,)).labels() == 1, labels == 1)
    assert model.encoded < 24


def test_a_raster_of_many_tiles_comes_back_pixel_by_pixel():
    labels = rectangles(1500, np.random.default_rng(3), largest=300)
    image = ArrayImage(labels)
    items = segment_image(job(image, prompts=boxes_of(labels)))
    assert np.array_equal(Objects(image.grid, items).labels(), labels)


def test_unprompted_objects_are_joined_across_tiles_never_split_or_doubled():
    for seed in range(5):
        labels = rectangles(1500, np.random.default_rng(seed))
        image = ArrayImage(labels)
        items = segment_image(job(image, generator=Everything()))
        assert len(items) == labels.max()
        found = Objects(image.grid, items).labels()
        pairs = {(int(a), int(b)) for a, b in zip(labels.ravel(), found.ravel(), strict=True)}
        assert len(pairs) == labels.max() + 1
        assert np.array_equal(found > 0, labels > 0)


def test_unprompted_objects_are_joined_across_slices():
    labels = balls()
    image = ArrayImage(labels, Grid(labels.shape, np.eye(4), Frame.lps()))
    items = segment_image(job(image, generator=Everything()))
    assert len(items) == 3
    assert np.array_equal(Objects(image.grid, items).labels() > 0, labels > 0)


def test_tiles_without_data_never_reach_the_model():
    labels = rectangles(1500, np.random.default_rng(0))
    valid = np.zeros(labels.shape, dtype=bool)
    valid[:200, :200] = True
    model = OracleModel()
    segment_image(job(ArrayImage(labels, valid=valid), model, generator=Everything()))
    assert model.encoded == 1


def test_one_pixel_objects_land_on_their_pixel():
    labels = np.zeros((40, 50), dtype=np.uint8)
    labels[17, 23] = 9
    image = ArrayImage(labels)
    (item,) = segment_image(job(image, prompts=Prompts((Prompt(1, box=(23, 17, 24, 18)),))))
    assert item.region.start == (17, 23)
    assert item.pixels == 1


def test_objects_that_are_not_found_are_there_and_empty():
    image = ArrayImage(np.zeros((40, 40), dtype=np.uint8))
    (item,) = segment_image(job(image, prompts=Prompts((Prompt(1, "nothing", (1, 1, 9, 9)),))))
    assert item.empty
    assert item.score == 0


def test_prompt_kinds_that_the_model_does_not_take_are_refused():
    model = OracleModel()
    model.prompt_kinds = frozenset({"box"})
    prompts = Prompts((Prompt(1, points=((1, 1),), labels=(1,)),))
    with pytest.raises(PromptError, match="does not take point"):
        segment_image(job(ArrayImage(np.zeros((9, 9), np.uint8)), model, prompts))


def test_neither_prompts_nor_generator_is_refused():
    with pytest.raises(UsageError, match="--auto"):
        segment_image(job(ArrayImage(np.zeros((9, 9), np.uint8))))


def test_a_generator_without_end_is_stopped_by_name_of_its_rule():
    class Endless(Everything):
        def propose(self, view, embedding, prior, context):
            return Prompts((Prompt(1, points=((1, 1),), labels=(1,)),))

    with pytest.raises(PluginError, match="None when it is done"):
        segment_image(job(ArrayImage(np.ones((9, 9), np.uint8)), generator=Endless()))


def test_a_cancelled_generator_leaves_the_objects_of_the_finished_slices():
    labels, token = balls(), CancelToken()
    grid = Grid(labels.shape, np.diag([1, 1, 2, 1]), Frame.lps())

    def tick(progress):
        if progress.done == 12:
            token.cancel()

    with pytest.raises(Cancelled) as stopped:
        segment_image(
            job(ArrayImage(labels, grid), generator=Everything(), cancel=token, progress=tick)
        )
    labels[12:] = 0
    assert np.array_equal(Objects(grid, stopped.value.finished).labels(), labels)


def test_progress_ends_at_the_total_and_cancel_stops():
    labels = balls()
    image = ArrayImage(labels, Grid(labels.shape, np.eye(4), Frame.lps()))
    ticks = []
    segment_image(job(image, prompts=boxes_of(labels), progress=ticks.append))
    assert ticks[-1].done == ticks[-1].total
    assert [t.done for t in ticks] == sorted(t.done for t in ticks)
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        segment_image(job(image, prompts=boxes_of(labels), cancel=token))


def test_a_cache_that_is_shared_never_mixes_up_images_or_intensities():
    cache = EmbeddingCache()
    first, second = balls(), balls()[:, ::-1].copy()
    grid = Grid(first.shape, np.eye(4), Frame.lps())
    for labels in (first, second):
        items = segment_image(job(ArrayImage(labels, grid), prompts=boxes_of(labels), cache=cache))
        assert np.array_equal(Objects(grid, items).labels(), labels)
    image, model = ArrayImage(first, grid), OracleModel()
    for window in ("L127.5W255", "L100W255"):
        step = choose_intensity(image, "gray", [window])
        segment_image(Job(image, model, step, boxes_of(first), cache=cache))
    assert model.encoded == 2 * first.any(axis=(1, 2)).sum()


def test_a_file_that_was_opened_here_is_closed_whatever_goes_wrong(monkeypatch):
    image = ArrayImage(balls())
    closed = []
    monkeypatch.setattr(image, "close", lambda: closed.append(True))
    monkeypatch.setattr("samovar.api.open_image", lambda path: image)
    with pytest.raises(PromptError):
        api.segment("ct.nii.gz", boxes=[(5, 5, 5, 1, 1, 1)], model=OracleModel())
    assert closed == [True]
    api.segment(image, boxes=[(1, 1, 1, 9, 9, 9)], model=OracleModel())
    assert closed == [True]
