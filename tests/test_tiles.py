import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from samovar import tiles
from samovar.errors import Cancelled, InputError, PluginError
from samovar.executor import CancelToken
from samovar.grid import Region
from samovar.image import ArrayImage
from samovar.intensity import choose_intensity
from samovar.job import Job
from samovar.lattice import Lattice, Tiling
from samovar.ledger import Ledger
from samovar.masks import PixelMask
from samovar.prompts import Prompt, Prompts
from samovar.swaths import Swath
from samovar.tiles import Kept, TileRun, run_tiles, segment_tiles
from scenes import ColourModel, EveryColour, coloured, result, scene, shapes, truth

SMALL = Tiling(largest=32, side=128)


def job(image: ArrayImage, model: ColourModel | None = None, **fields) -> Job:
    fields.setdefault("generator", EveryColour())
    return Job(image, model or ColourModel(), choose_intensity(image, "rgb"), **fields)


random_scenes = given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(30, 400),
    columns=st.integers(30, 400),
    origin=st.tuples(st.integers(0, 300), st.integers(0, 300)),
    largest=st.integers(1, 64),
    side=st.sampled_from([48, 64, 100, 128, 160]),
)
fast = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@fast
@random_scenes
def test_no_object_is_split_merged_lost_or_doubled(seed, rows, columns, origin, largest, side):
    rng = np.random.default_rng(seed)
    labels = shapes(rng, rows, columns, min(largest, rows, columns), count=25)
    items = segment_tiles(job(scene(labels, origin)), TileRun(Tiling(largest, side)))
    assert result(items) == truth(labels)
    assert [o.id for o in items] == list(range(1, len(items) + 1))
    assert len({o.key for o in items}) == len(items)


@pytest.mark.slow
@settings(fast, max_examples=2000)
@random_scenes
def test_no_object_is_split_merged_lost_or_doubled_in_many_scenes(
    seed, rows, columns, origin, largest, side
):
    rng = np.random.default_rng(seed)
    labels = shapes(rng, rows, columns, min(largest, rows, columns), count=60)
    items = segment_tiles(job(scene(labels, origin)), TileRun(Tiling(largest, side)))
    assert result(items) == truth(labels)


@settings(fast, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), side=st.sampled_from([48, 64, 100]))
def test_objects_far_beyond_the_declared_size_are_still_one(seed, side):
    rng = np.random.default_rng(seed)
    labels = shapes(rng, 350, 300, largest=280, count=12)
    items = segment_tiles(job(scene(labels)), TileRun(Tiling(8, side)))
    assert result(items) == truth(labels)


def river(rows: int, columns: int) -> np.ndarray:
    """One winding object from corner to corner, and small ones beside it."""
    labels = np.zeros((rows, columns), dtype=np.int64)
    y = np.arange(rows)
    x = (columns / 2 + columns / 3 * np.sin(y / 60)).astype(int)
    for width in range(-6, 7):
        labels[y, np.clip(x + width, 0, columns - 1)] = 1
    labels[10:20, 5:9] = 2
    labels[rows - 20 : rows - 10, columns - 9 : columns - 5] = 3
    return labels


def test_a_river_is_one_object_kept_in_pieces_on_disk(monkeypatch):
    monkeypatch.setattr("samovar.assembly.WHOLE_PIXELS", 10_000)
    monkeypatch.setattr("samovar.assembly.PIECE", 100)
    monkeypatch.setattr("samovar.frontier.BUDGET", 1_000)
    labels = river(900, 500)
    items = segment_tiles(job(scene(labels)), TileRun(SMALL))
    assert result(items) == truth(labels)
    assert sum(len(list(o.pieces())) > 5 for o in items) == 1


def test_results_do_not_depend_on_the_extent():
    labels = shapes(np.random.default_rng(5), 700, 700, 30, 120)
    full = segment_tiles(job(scene(labels)), TileRun(SMALL))
    top, left = 130, 170
    part = segment_tiles(job(scene(labels[top:600, left:650], (top, left))), TileRun(SMALL))
    inside = Region((top + 1, left + 1), (599, 649))
    wanted = {o.key for o in full if inside.contains(o.region)}
    assert len(wanted) > 20
    assert wanted <= {o.key for o in part}


def test_only_tiles_that_hold_data_are_read_or_encoded():
    labels = shapes(np.random.default_rng(0), 600, 600, 30, 60)
    valid = np.zeros(labels.shape, dtype=bool)
    valid[:100, :100] = True
    read = []

    class Watched(ArrayImage):
        def read(self, region=None, *, size=None):
            if size is None:
                read.append(region)
            return super().read(region, size=size)

        def blank(self, region):
            return region.start[0] > 300

    image = Watched(np.zeros((600, 600), np.uint8), valid=valid)
    image.origin = (0, 0)
    model = ColourModel()
    segment_tiles(job(image, model), TileRun(SMALL))
    assert model.encoded == 4  # 224 pixels of two tiles a side see the corner's 100
    assert len(read) == 4


def test_two_tiles_a_side_where_they_suffice():
    model = ColourModel()
    side = 2 * SMALL.tile - 2 * SMALL.halo
    labels = np.ones((side, side), dtype=np.int64)
    segment_tiles(job(scene(labels), model), TileRun(SMALL))
    assert model.encoded == 4


class Slow(EveryColour):
    """Takes longest for the tiles that come first."""

    def propose(self, view, embedding, prior, context):
        if not context.round:
            time.sleep(0.05 / (1 + view.region.start[0] + view.region.start[1]))
        return super().propose(view, embedding, prior, context)


def seen_of(items) -> list:
    return [
        (o.id, o.key, o.region, o.bits, o.score, o.uncertainty, o.views, dict(o.measures))
        for o in items
    ]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_result_is_the_same_for_any_number_of_workers_and_order_of_completion(workers):
    labels = shapes(np.random.default_rng(1), 500, 500, 60, 80)
    one = segment_tiles(job(scene(labels)), TileRun(SMALL))
    many = segment_tiles(job(scene(labels), generator=Slow()), TileRun(SMALL, workers=workers))
    assert seen_of(many) == seen_of(one)
    assert not [t for t in threading.enumerate() if t.name.startswith("samovar-")]


@pytest.mark.parametrize("prompted", [False, True])
def test_in_swaths_tiles_are_read_column_by_column_and_the_result_is_the_same(
    prompted, monkeypatch
):
    labels = shapes(np.random.default_rng(1), 704, 512, 60, 80)
    base = job(scene(labels))
    if prompted:
        prompts = Prompts(
            tuple(
                Prompt(int(v), points=(tuple(map(float, np.argwhere(labels == v)[0][::-1])),),
                       labels=(1,))
                for v in np.unique(labels[labels > 0])
            )
        )  # fmt: skip
        base = replace(base, generator=None, prompts=prompts)
    kept = []
    base.image.keep_blocks = kept.append
    wanted = segment_tiles(base, TileRun(SMALL))
    monkeypatch.setattr(tiles, "swath_of", lambda lattice, blocks: Swath(3, 12345))
    read, told = [], []
    real = base.image.read

    def noted(region=None, *, size=None):
        read.append(region.start)
        return real(region, size=size)

    base.image.read = noted
    found = segment_tiles(replace(base, progress=told.append), TileRun(SMALL))
    assert kept[-1] == 12345
    assert seen_of(found) == seen_of(wanted)
    assert read != sorted(read)
    high = 3 * SMALL.stride
    assert read == sorted(read, key=lambda place: (place[0] // high, place[1]))
    done = [tick.done for tick in told]
    assert done == sorted(done)
    assert done[-1] == told[-1].total


def test_reading_encoding_and_handing_over_go_on_at_the_same_time():
    """Each waits for the next to begin, which it would not if they took turns."""
    labels = shapes(np.random.default_rng(2), 900, 300, 30, 80)
    read_on, handing, encoded_on = threading.Event(), threading.Event(), threading.Event()
    waited = []

    class Watched(ArrayImage):
        reads = 0

        def read(self, region=None, *, size=None):
            self.reads += 1
            if self.reads > 1:
                read_on.set()
            return super().read(region, size=size)

    class Waiting(ColourModel):
        def encode(self, pictures):
            if not self.encoded:
                waited.append(read_on.wait(20))
            if handing.is_set():
                encoded_on.set()
            return super().encode(pictures)

    class Taker(Kept):
        def add(self, item):
            if not handing.is_set():
                handing.set()
                waited.append(encoded_on.wait(20))
            super().add(item)

    image = Watched(coloured(labels).transpose(1, 2, 0), channels_last=True)
    image.origin = (0, 0)
    intensity = choose_intensity(image, "rgb")
    image.reads = 0
    run_tiles(Job(image, Waiting(), intensity, generator=EveryColour()), TileRun(SMALL), Taker())
    assert waited == [True, True]


def test_what_crosses_a_tile_is_handed_over_early():
    """Objects leave while later tiles have not been looked at: the frontier is bounded."""
    labels = shapes(np.random.default_rng(2), 1500, 200, 30, 150)
    events = []

    class Watch(EveryColour):
        def propose(self, view, embedding, prior, context):
            if not context.round:
                events.append(("tile", view.region.start[0]))
            return super().propose(view, embedding, prior, context)

    class Taker:
        def add(self, item):
            events.append(("object", item.region.start[0]))

        def advance(self, row):
            events.append(("row", row))

    run_tiles(job(scene(labels), generator=Watch()), TileRun(SMALL), Taker())
    row = 0
    for kind, value in events:
        if kind == "row":
            assert value >= row
            row = value
        elif kind == "object":
            assert value >= row
    assert row == 1500
    first = next(i for i, e in enumerate(events) if e[0] == "object")
    assert sum(e[0] == "tile" for e in events[first:]) > 10


class Broken(EveryColour):
    """Fails in some tiles, the first ``times`` times."""

    def __init__(self, tiles: set[str], times: int = 99) -> None:
        self.left = dict.fromkeys(tiles, times)

    def propose(self, view, embedding, prior, context):
        if self.left.get(view.key, 0) > 0:
            self.left[view.key] -= 1
            raise RuntimeError("the tea is cold")
        return super().propose(view, embedding, prior, context)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr("samovar.tiles.PAUSE_S", 0)


def test_a_tile_that_fails_is_tried_again():
    labels = shapes(np.random.default_rng(3), 400, 400, 30, 60)
    items = segment_tiles(job(scene(labels), generator=Broken({"r1c1"}, 2)), TileRun(SMALL))
    assert result(items) == truth(labels)


def test_a_tile_that_fails_for_good_is_noted_and_the_rest_is_there(tmp_path):
    labels = shapes(np.random.default_rng(3), 400, 400, 30, 60)
    kept = Kept()
    with Ledger(tmp_path / "a.ledger") as ledger:
        run = TileRun(SMALL, tolerant=True, ledger=ledger)
        (failed,) = run_tiles(job(scene(labels), generator=Broken({"r1c1"})), run, kept)
        assert failed.tile == "r1c1"
        assert "the tea is cold" in failed.message
        assert ledger.failures() == [("r1c1", failed.message, 3)]
        core = Lattice((400, 400), (0, 0), SMALL).tile(1, 1).core
        away = {k: v for k, v in truth(labels).items() if Region(*k).intersect(core).empty}
        assert away.items() <= result(kept.items(None)).items()
        again = Kept()
        assert run_tiles(job(scene(labels)), run, again) == []
    assert result(again.items(None)) == truth(labels)


def test_an_intolerant_run_ends_with_the_first_failure():
    labels = shapes(np.random.default_rng(3), 400, 400, 30, 60)
    with pytest.raises(PluginError, match=r"tile r1c1: .*the tea is cold"):
        segment_tiles(job(scene(labels), generator=Broken({"r1c1"})), TileRun(SMALL))


def test_a_run_in_which_nothing_succeeds_is_stopped():
    labels = shapes(np.random.default_rng(3), 400, 400, 30, 60)
    everything = {f"r{r}c{c}" for r in range(9) for c in range(9)}
    broken = Broken(everything, 10**6)
    with pytest.raises(PluginError, match="the tea is cold"):
        segment_tiles(job(scene(labels), generator=broken), TileRun(SMALL, tolerant=True))
    tried = sum(10**6 - n for n in broken.left.values())
    assert tried < 3 * 16


def test_a_damaged_part_of_a_raster_costs_its_tiles_only():
    labels = shapes(np.random.default_rng(3), 400, 400, 30, 60)

    class Damaged(ArrayImage):
        def read(self, region=None, *, size=None):
            if region is not None and region.start == (192, 192):
                raise InputError("scene.tif: cannot be read")
            return super().read(region, size=size)

    whole = scene(labels)
    image = Damaged(whole.read().transpose(1, 2, 0), channels_last=True)
    image.origin = (0, 0)
    (failed,) = run_tiles(job(image), TileRun(SMALL, tolerant=True), Kept())
    assert failed.message == "scene.tif: cannot be read"


def test_cancel_stops_and_what_was_finished_is_kept(tmp_path):
    labels = shapes(np.random.default_rng(3), 400, 400, 30, 60)
    token, model = CancelToken(), ColourModel()

    def stop_soon(progress):
        if progress.done == 5:
            token.cancel()

    base = job(scene(labels), model)
    with Ledger(tmp_path / "a.ledger") as ledger:
        run = TileRun(SMALL, ledger=ledger)
        with pytest.raises(Cancelled):
            run_tiles(replace(base, cancel=token, progress=stop_soon), run, Kept())
        assert len(ledger) >= 5
        before, kept, done = model.encoded, Kept(), len(ledger)
        run_tiles(base, run, kept)
        assert model.encoded == before + len(Lattice((400, 400), (0, 0), SMALL)) - done
    assert seen_of(kept.items(None)) == seen_of(
        segment_tiles(job(scene(labels)), run=TileRun(SMALL))
    )


def test_prompts_that_fall_into_several_tiles_give_one_object_each():
    labels = shapes(np.random.default_rng(4), 500, 500, 90, 40)
    prompts, wanted = [], {}
    for number in np.unique(labels[labels > 0])[::-1]:
        ys, xs = np.nonzero(labels == number)
        box = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        inside = labels[box[1] : box[3], box[0] : box[2]]
        if np.bincount(inside[inside > 0]).argmax() == number:
            prompts.append(Prompt(len(prompts) + 1, f"n{number}", tuple(map(float, box))))
            wanted[len(prompts)] = labels == number
    given_ = Prompts(tuple(prompts))
    items = segment_tiles(
        job(scene(labels), prompts=given_, generator=None), TileRun(SMALL, workers=3)
    )
    assert [o.id for o in items] == [p.id for p in prompts]
    for item in items:
        assert np.array_equal(item.window(Region((0, 0), labels.shape)), wanted[item.id])


def test_semantic_results_are_one_object_where_instances_of_a_class_touch():
    labels = np.zeros((400, 300), dtype=np.int64)
    labels[50:350, 100:110] = 1
    labels[60:80, 110:200] = 2
    labels[200:220, 20:100] = 3
    labels[200:220, 150:160] = 4
    items = segment_tiles(job(scene(labels)), TileRun(SMALL, semantic=True))
    assert sorted(o.pixels for o in items) == [200, 3000 + 1800 + 1600]
    assert {o.id for o in items} == {1}
    union = np.zeros(labels.shape, dtype=bool)
    for item in items:
        union |= item.window(Region((0, 0), labels.shape))
    assert np.array_equal(union, labels > 0)


def test_semantic_results_carry_the_classes_of_their_prompts():
    labels = np.zeros((300, 300), dtype=np.int64)
    labels[10:40, 10:40], labels[40:60, 10:40], labels[40:60, 40:60] = 1, 2, 3
    prompts = Prompts(
        (
            Prompt(1, box=(10, 10, 40, 40), class_id=5),
            Prompt(2, box=(10, 40, 40, 60), class_id=5),
            Prompt(3, box=(40, 40, 60, 60), class_id=7),
        )
    )
    items = segment_tiles(
        job(scene(labels), prompts=prompts, generator=None), TileRun(SMALL, semantic=True)
    )
    assert {(o.id, o.class_id, o.pixels) for o in items} == {(5, 5, 1500), (7, 7, 400)}


class HalfBlind(EveryColour):
    """Does not see the objects of one number in tiles whose key is given."""

    def __init__(self, *tiles: str) -> None:
        self.tiles = tiles

    def propose(self, view, embedding, prior, context):
        found = super().propose(view, embedding, prior, context)
        return None if view.key in self.tiles else found


def iou(item, wanted: np.ndarray) -> float:
    found = item.window(Region((0, 0), wanted.shape))
    return np.count_nonzero(found & wanted) / np.count_nonzero(found | wanted)


def test_an_object_that_only_a_tile_edge_ends_is_looked_at_again_and_whole():
    labels = np.zeros((400, 400), dtype=np.int64)
    labels[100:140, 60:300] = 1  # the middle tiles see 96 to 224 and 192 to 320
    tiles = Lattice((400, 400), (0, 0), SMALL)
    blind = [v.key for v in tiles if v.region.start[1] in (96, 192)]
    image = scene(labels)
    items = segment_tiles(job(image, generator=HalfBlind(*blind)), TileRun(SMALL))
    (item,) = items
    assert iou(item, labels == 1) > 0.97  # its own view is a little coarser


def test_what_a_second_look_finds_is_given_once():
    labels = np.zeros((400, 400), dtype=np.int64)
    labels[100:140, 20:380] = 1
    tiles = Lattice((400, 400), (0, 0), SMALL)
    blind = [v.key for v in tiles if v.region.start[1] == 96]
    items = segment_tiles(job(scene(labels), generator=HalfBlind(*blind)), TileRun(SMALL))
    (item,) = items
    assert iou(item, labels == 1) > 0.97  # its own view is a little coarser


def test_what_a_second_look_does_not_find_is_dropped():
    labels = np.zeros((400, 400), dtype=np.int64)
    labels[100:140, 60:300] = 1

    class Changing(ColourModel):
        def decode(self, embedding, prompts):
            masks = super().decode(embedding, prompts)
            if embedding.fit.picture == (360, 360):
                return replace(masks, masks=(PixelMask.of(np.zeros((360, 360), bool)),))
            return masks

    tiles = Lattice((400, 400), (0, 0), SMALL)
    blind = [v.key for v in tiles if v.region.start[1] in (96, 192)]
    made = job(scene(labels), Changing(), generator=HalfBlind(*blind))
    everything = segment_tiles(made, TileRun(SMALL))
    assert len(everything) <= 1


@fast
@random_scenes
def test_a_perfect_model_is_never_asked_twice(seed, rows, columns, origin, largest, side):
    rng = np.random.default_rng(seed)
    labels = shapes(rng, rows, columns, min(largest, rows, columns), count=25)
    model = ColourModel()
    segment_tiles(job(scene(labels, origin), model), TileRun(Tiling(largest, side)))
    assert model.encoded == len(Lattice((rows, columns), origin, Tiling(largest, side)))
