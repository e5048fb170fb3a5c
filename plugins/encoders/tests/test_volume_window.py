"""The cube that a 3-D model sees: the same whatever way the volume is stored, and back again."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from samovar.errors import InputError
from samovar.grid import LPS_FROM_RAS, Frame, Grid, Region
from samovar.image import ArrayImage, Image, ImageInfo
from samovar.masks import PixelMask
from samovar_encoders.volume_window import Window, lattices


def ras(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
    """A grid whose x, y, z point right, front and up, its middle at the origin."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * s for n, s in zip(shape[::-1], spacing, strict=True)]
    return Grid(shape, LPS_FROM_RAS @ affine, Frame.lps())


def stored(values: np.ndarray, grid: Grid, order, flips) -> ArrayImage:
    """The same volume with its array axes in another order, some of them reversed."""
    steps = tuple(slice(None, None, -1 if f else 1) for f in flips)
    array = values.transpose(order)[steps]
    affine = np.eye(4)
    for new in range(3):  # array axis of the new volume
        old, index = order[new], 2 - new
        column = grid.affine[:3, 2 - old]
        affine[:3, index] = -column if flips[new] else column
    start = np.zeros(3)
    for new in range(3):
        if flips[new]:
            start[2 - order[new]] = values.shape[order[new]] - 1
    affine[:3, 3] = grid.to_world(start)
    return ArrayImage(array, Grid(array.shape, affine, Frame.lps()))


def box_of(grid: Grid, low, high) -> tuple[float, ...]:
    """An index box whose corners are positions in the world."""
    corners = grid.to_index([low, high])
    return (*(corners.min(axis=0) + 0.5), *(corners.max(axis=0) + 0.5))


ORIENTATIONS = [(o, f) for o in permutations(range(3)) for f in product((False, True), repeat=3)]


def test_what_the_model_sees_does_not_depend_on_how_a_volume_is_stored() -> None:
    rng = np.random.default_rng(0)
    grid = ras((20, 30, 36), (0.8, 1.1, 3.0))
    values = rng.normal(100, 20, grid.shape).astype(np.float32)
    low, high = (-6.0, -3.0, -9.0), (4.2, 9.3, 6.1)
    logits = rng.normal(0, 1, (8, 8, 8)).astype(np.float32)
    cubes, masks = [], []
    for order, flips in ORIENTATIONS:
        image = stored(values, grid, order, flips)
        window = Window.around(lattices(image.grid, 1.5, "v"), box_of(image.grid, low, high), 16)
        cubes.append(window.read(image))
        mask = window.lay(logits, image.grid)
        whole = np.zeros(image.grid.shape, bool)
        whole[mask.region.slices] = mask.inside
        whole = whole[tuple(slice(None, None, -1 if f else 1) for f in flips)]
        masks.append(whole.transpose(np.argsort(order)))
    assert len(cubes) == 48
    for cube, mask in zip(cubes, masks, strict=True):
        np.testing.assert_allclose(cube, cubes[0], atol=1e-3)
        assert np.array_equal(mask, masks[0])
    assert masks[0].any()


def test_axes_run_right_front_up() -> None:
    grid = ras((4, 6, 8), (1.5, 1.5, 1.5))
    values = np.zeros(grid.shape, np.float32)
    values[1, 2, 3] = 7  # z, y, x
    window = Window.around(lattices(grid, 1.5, "v"), (0, 0, 0, 8, 6, 4), 8)
    cube = window.read(ArrayImage(values, grid))
    assert np.argwhere(cube == 7).tolist() == [list(window.cell_of((3, 2, 1)))]
    assert window.cell_of((3, 2, 1)) == (3, 3, 3)
    assert (cube[:, 0] == 0).all(), "beyond the volume"


def test_a_click_lies_in_the_cell_behind_the_middle_as_upstream_crops() -> None:
    grid = ras((128, 128, 128), (1.5, 1.5, 1.5))
    laid = lattices(grid, 1.5, "v")
    assert Window.around(laid, (0, 0, 0, 128, 128, 128), 128).first == (0, 0, 0)
    click = (64, 57, 70)
    around = Window.around(laid, (*click, *(v + 1 for v in click)), 128)
    assert around.first == (0, -7, 6)
    assert around.cell_of(click) == (64, 64, 64)


def test_a_spacing_off_by_rounding_loses_no_cell() -> None:
    grid = ras((128, 128, 128), (1.4999999, 1.5000001, 1.5))
    assert [one.count for one in lattices(grid, 1.5, "v")] == [128] * 3


def test_slabs_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    grid = ras((40, 50, 60), (0.7, 0.7, 1.0))
    image = ArrayImage(rng.normal(0, 1, grid.shape).astype(np.float32), grid)
    window = Window.around(lattices(grid, 1.5, "v"), (5, 5, 5, 50, 40, 30), 32)
    cube, logits = window.read(image), rng.normal(0, 1, (8, 8, 8)).astype(np.float32)
    mask = window.lay(logits, grid)
    monkeypatch.setattr("samovar_encoders.volume_window.SLAB_BYTES", 20_000)
    assert np.array_equal(window.read(image), cube)
    again = window.lay(logits, grid)
    assert again.region == mask.region
    assert np.array_equal(again.inside, mask.inside)


class Endless(Image):
    """A volume far larger than memory; remembers how much was read at a time."""

    channels, dtype = 1, np.dtype(np.int16)

    def __init__(self, grid: Grid) -> None:
        self.grid, self.info = grid, ImageInfo("endless", "volume", "made")
        self.read_bytes: list[int] = []

    def read(self, region=None, *, size=None):
        block = np.ones((1, *region.shape), np.int16)
        self.read_bytes.append(block.nbytes)
        return block


def test_a_volume_of_any_size_is_read_around_the_prompt_alone() -> None:
    grid = ras((3000, 3000, 3000), (0.8, 0.8, 0.8))
    image = Endless(grid)
    middle = (1500, 1500, 1500, 1520, 1520, 1520)
    cube = Window.around(lattices(grid, 1.5, "v"), middle, 128).read(image)
    assert (cube == 1).all()
    assert max(image.read_bytes) <= 40 << 20
    assert sum(image.read_bytes) <= 1.1 * 2 * 241**3, "192 mm and no more"


def test_masks_are_torch_s_enlarged_logits_where_cells_are_voxels() -> None:
    grid = ras((32, 32, 32), (1.5, 1.5, 1.5))
    logits = np.random.default_rng(2).normal(0, 1, (8, 8, 8)).astype(np.float32)
    window = Window.around(lattices(grid, 1.5, "v"), (0, 0, 0, 32, 32, 32), 32)
    mask = window.lay(logits, grid)
    ours = np.zeros(grid.shape, bool)
    ours[mask.region.slices] = mask.inside
    large = F.interpolate(torch.from_numpy(logits)[None, None], scale_factor=4, mode="trilinear")
    sure = large[0, 0].abs().numpy() > 1e-5
    assert np.array_equal(ours.transpose(2, 1, 0)[sure], (large[0, 0] > 0).numpy()[sure])


def test_a_painted_mask_is_taken_nearest_as_torch_does() -> None:
    grid = ras((32, 32, 32), (1.5, 1.5, 1.5))
    inside = np.random.default_rng(3).random((32, 32, 32)) > 0.5
    window = Window.around(lattices(grid, 1.5, "v"), (0, 0, 0, 32, 32, 32), 32)
    painted = [PixelMask(Region((z, 0, 0), (z + 1, 32, 32)), inside[z : z + 1]) for z in range(32)]
    ours = window.coarse(painted, 8)
    volume = torch.from_numpy(inside.transpose(2, 1, 0).astype(np.float32))[None, None]
    assert np.array_equal(ours, F.interpolate(volume, size=(8, 8, 8))[0, 0].numpy())


def test_a_mask_that_the_window_cuts_is_known() -> None:
    grid = ras((40, 20, 20), (1.5, 1.5, 1.5))
    window = Window.around(lattices(grid, 1.5, "v"), (5, 5, 15, 15, 15, 25), 16)
    full = window.lay(np.ones((8, 8, 8), np.float32), grid)
    assert full.region == Region((12, 2, 2), (28, 18, 18))
    assert window.cuts(full)
    ball = np.full((8, 8, 8), -1, np.float32)
    ball[3:5, 3:5, 3:5] = 1
    assert not window.cuts(window.lay(ball, grid))
    small = ras((16, 16, 16), (1.5, 1.5, 1.5))
    held = Window.around(lattices(small, 1.5, "v"), (0, 0, 0, 16, 16, 16), 16)
    assert not held.cuts(held.lay(np.ones((8, 8, 8), np.float32), small)), "the volume ends there"


def test_a_window_beside_the_volume_is_empty() -> None:
    grid = ras((8, 8, 8), (1.5, 1.5, 1.5))
    window = Window(lattices(grid, 1.5, "v"), (50, 0, 0), 8)
    assert not window.read(ArrayImage(np.ones(grid.shape), grid)).any()
    assert window.lay(np.ones((8, 8, 8), np.float32), grid).empty


def test_a_volume_without_millimetres_is_refused() -> None:
    with pytest.raises(InputError, match="has no millimetres"):
        lattices(Grid((4, 4, 4), np.eye(4)), 1.5, "v.npy")
