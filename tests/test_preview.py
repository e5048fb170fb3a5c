import numpy as np
from PIL import Image as PillowImage

from samovar.grid import Frame, Grid
from samovar.image import ArrayImage
from samovar.masks import PixelMask
from samovar.objects import Objects, SegmentedObject
from samovar.preview import PANEL, colour, save_preview


def test_scene_outlines_lie_on_the_objects(tmp_path):
    picture = np.full((300, 400), 100, np.uint8)
    mask = np.zeros(picture.shape, bool)
    mask[50:150, 100:250] = True
    image = ArrayImage(picture)
    item = SegmentedObject.from_mask(
        1, PixelMask.of(mask), name="house", score=0.9, measures={"pixels": 15000}
    )
    save_preview(Objects(image.grid, (item,)), tmp_path / "p.png", image)
    shown = np.asarray(PillowImage.open(tmp_path / "p.png"))
    assert shown.shape[0] >= 300
    assert shown.shape[1] > 400
    assert tuple(shown[50, 175]) == colour(1)
    assert tuple(shown[20, 20]) == (100, 100, 100)
    assert tuple(shown[100, 175]) != (100, 100, 100)


def test_volumes_hang_with_patient_right_on_screen_left_whatever_the_axes(tmp_path):
    # A bright block at the patient's right (-x in LPS), anterior (-y).
    x, y, _ = np.meshgrid(np.arange(20), np.arange(30), np.arange(8), indexing="ij")
    world = np.where((x < 8) & (y < 10), 1000, 0).astype(np.int16)
    for order in [(2, 1, 0), (2, 0, 1)]:
        for flips in [(1, 1), (-1, 1), (1, -1), (-1, -1)]:
            values = world.transpose(order)[:, :: flips[0], :: flips[1]]
            affine = np.zeros((4, 4))
            affine[3, 3] = 1
            affine[2, 2] = 3.0
            for index_axis, array_axis in ((0, 2), (1, 1)):
                flip = flips[array_axis - 1]
                affine[order[array_axis], index_axis] = flip
                if flip < 0:
                    affine[order[array_axis], 3] = values.shape[array_axis] - 1
            grid = Grid(values.shape, affine, Frame.lps())
            image = ArrayImage(np.ascontiguousarray(values), grid)
            save_preview(Objects(grid, ()), tmp_path / "v.png", image)
            shown = np.asarray(PillowImage.open(tmp_path / "v.png").convert("L")).astype(int)
            width = round(PANEL * 20 / 30)
            panel = shown[:PANEL, :width]
            quarter = panel[20 : PANEL // 4, : width // 4].mean()
            opposite = panel[-PANEL // 4 :, -width // 4 :].mean()
            assert quarter > 200 > 50 > opposite


def test_empty_objects_are_named_as_not_found(tmp_path):
    image = ArrayImage(np.zeros((64, 64), np.uint8))
    item = SegmentedObject.from_mask(1, PixelMask.of(np.zeros((64, 64), bool)), name="nothing")
    save_preview(Objects(image.grid, (item,)), tmp_path / "p.png", image)
    assert PillowImage.open(tmp_path / "p.png").size[0] > 64
