from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samovar.grid import Region
from samovar.image import ArrayImage, Blocks
from samovar.lattice import Lattice, Tiling, plan_prompted
from samovar.prompts import Prompt
from samovar.swaths import MOST_KEPT, SPARE, Swath, swath_of


def nothing_blank(region: Region) -> bool:
    return False


def times_read(lattice: Lattice, blocks: Blocks, swath: Swath) -> float:
    """How often a block is fetched by a cache that forgets what was used longest ago."""
    (high, wide), fetched = blocks.shape, 0
    room, kept = swath.kept // blocks.nbytes, OrderedDict()
    met = set()
    for _, view in lattice.occupied(nothing_blank, swath.rows):
        (y0, x0), (y1, x1) = view.region.start, view.region.stop
        for y in range(int(y0 // high), int((y1 - 1) // high) + 1):
            for x in range(int(x0 // wide), int((x1 - 1) // wide) + 1):
                if (y, x) in kept:
                    kept.move_to_end((y, x))
                    continue
                fetched += 1
                met.add((y, x))
                kept[y, x] = True
                if len(kept) > room:
                    kept.popitem(last=False)
    return fetched / len(met)


@pytest.mark.parametrize(
    ("shape", "blocks"),
    [
        ((20_000, 60_000), Blocks((512, 512), 3 * 512**2)),
        ((20_000, 60_000), Blocks((256, 256), 8 * 256**2)),
        ((10_980, 10_980), Blocks((1024, 1024), 6 * 1024**2)),
        ((6_000, 100_000), Blocks((1, 100_000), 300_000)),
        ((6_000, 9_000), Blocks((512, 512), 3 * 512**2)),
    ],
)  # fmt: skip
def test_a_file_is_read_once_or_nearly(shape, blocks):
    lattice = Lattice(shape)
    swath = swath_of(lattice, blocks)
    assert swath.kept <= MOST_KEPT
    assert times_read(lattice, blocks, swath) <= 1 + 1.2 * SPARE


def test_row_by_row_the_same_file_would_be_read_twice():
    lattice, blocks = Lattice((20_000, 60_000)), Blocks((512, 512), 3 * 512**2)
    wide = swath_of(lattice, blocks)
    assert wide.rows > 1
    assert times_read(lattice, blocks, Swath(1, wide.kept)) > 2


def test_memory_for_blocks_does_not_grow_with_the_scene():
    blocks = Blocks((512, 512), 512**2)
    kept = {swath_of(Lattice((n, n)), blocks).kept for n in (31_744, 100_352, 316_416)}
    assert len(kept) == 1


def test_lines_longer_than_memory_are_owned_up_to():
    swath = swath_of(Lattice((10_000, 600_000)), Blocks((1, 600_000), 600_000 * 6))
    assert swath.again > 100
    assert swath.kept == MOST_KEPT


def test_what_is_in_memory_already_is_looked_at_row_by_row():
    image = ArrayImage(np.zeros((4000, 4000), dtype=np.uint8))
    assert swath_of(Lattice.of(image, Tiling()), image.blocks).rows == 1


@given(
    st.integers(1, 4000), st.integers(1, 4000), st.integers(0, 2000), st.integers(0, 2000),
    st.integers(1, 12), st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_swaths_hold_the_same_tiles_in_their_places(rows, columns, y, x, together, seed):
    lattice = Lattice((rows, columns), (y, x))
    bare = set(np.random.default_rng(seed).permutation(len(lattice))[: len(lattice) // 2].tolist())
    empty = {view.region for i, view in enumerate(lattice) if i in bare}

    def blank(region: Region) -> bool:
        return region in empty

    plain = [view for _, view in lattice.occupied(blank)]
    found = list(lattice.occupied(blank, together))
    assert {v.key for _, v in found} == {v.key for v in plain}
    places = [place for place, _ in found]
    assert places == sorted(set(places))
    assert all(0 <= place < len(lattice) for place in places)
    # rows of one swath come before all of the next
    swaths = [int(v.key[1:].split("c")[0]) // together for _, v in found]
    assert swaths == sorted(swaths)


def test_prompted_views_go_by_swaths_too():
    image = ArrayImage(np.broadcast_to(np.uint8(0), (4000, 9000)))
    rng = np.random.default_rng(0)
    corners = rng.integers(0, [8900, 3900], (60, 2)).tolist()
    prompts = [Prompt(i + 1, box=(x, y, x + 30, y + 30)) for i, (x, y) in enumerate(corners)]
    plain = plan_prompted(image, prompts, Tiling())
    found = plan_prompted(image, prompts, Tiling(), together=4)
    assert {s.view.key: s.objects for s in found} == {s.view.key: s.objects for s in plain}
    order = [
        (s.view.region.start[0] // (4 * Tiling().stride), s.view.region.start[1]) for s in found
    ]
    assert order == sorted(order)
    assert [s.position for s in found] == list(range(len(found)))
