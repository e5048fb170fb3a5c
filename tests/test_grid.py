import numpy as np
import pytest

from samovar.errors import GeometryError
from samovar.grid import Frame, Grid, Region


def oblique() -> Grid:
    angle = np.deg2rad(25)
    rotation = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([0.8, 0.8, 3.0])
    affine[:3, 3] = [-100, 40, 7]
    return Grid((12, 20, 30), affine, Frame.lps())


def test_index_and_world_are_inverse():
    grid = oblique()
    points = np.random.default_rng(0).uniform(0, 20, (50, 3))
    assert np.allclose(grid.to_index(grid.to_world(points)), points, atol=1e-9)
    assert grid.spacing == pytest.approx((0.8, 0.8, 3.0))


def test_integer_index_is_the_pixel_centre():
    grid = Grid((4, 5), np.array([[2.0, 0, 10], [0, -2.0, 50], [0, 0, 1]]), Frame.from_crs("X"))
    assert grid.to_world([0, 0]) == pytest.approx([10, 50])
    # The box of pixel (0, 0) reaches half a pixel to every side of that centre.
    assert grid.box_to_world((0, 0, 1, 1)) == pytest.approx((9, 49, 11, 51))


def test_world_box_and_back_is_the_same_box():
    grid = Grid((9, 9, 9), np.diag([-1.5, 2.0, -3.0, 1.0]), Frame.lps())
    box = (1, 2, 3, 5, 7, 8)
    assert grid.box_to_index(grid.box_to_world(box)) == pytest.approx(box)


def test_box_with_wrong_count_is_refused():
    with pytest.raises(GeometryError, match="6 numbers"):
        oblique().box_to_world((0, 0, 1, 1))


@pytest.mark.parametrize(
    ("affine", "match"),
    [
        (np.zeros((4, 4)), "inverted"),
        (np.full((4, 4), np.nan), "NaN"),
        (np.eye(3), "4×4"),
        (np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], float), "inverted"),
    ],
)
def test_bad_affines_are_refused(affine, match):
    with pytest.raises(GeometryError, match=match):
        Grid((3, 3, 3), affine, Frame.lps())


def test_empty_grid_is_refused():
    with pytest.raises(GeometryError, match="empty"):
        Grid((0, 3, 3), np.eye(4))


def test_slice_axis_is_the_coarsest_else_superior_inferior():
    assert oblique().slice_axis() == 0
    coarse_x = Grid((9, 9, 9), np.diag([5.0, 1, 1, 1]), Frame.lps())
    assert coarse_x.slice_axis() == 2
    # Isotropic, with superior-inferior along the array's middle axis.
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0]])
    assert Grid((9, 9, 9), affine, Frame.lps()).slice_axis() == 1
    # A single slice is looked at as a whole, whatever its spacing and direction.
    assert Grid((9, 9, 1), affine, Frame.lps()).slice_axis() == 2
    assert Grid((9, 1, 9), np.diag([5.0, 1, 1, 1]), Frame.lps()).slice_axis() == 1


def test_regions():
    a, b = Region((0, 0), (4, 6)), Region((2, 5), (9, 9))
    assert a.intersect(b) == Region((2, 5), (4, 6))
    assert a.union(b) == Region((0, 0), (9, 9))
    assert a.intersect(Region((7, 7), (8, 8))).empty
    assert a.contains(Region((1, 1), (4, 6)))
    assert not a.contains(b)
    assert Region((2, 5), (4, 6)).within(a) == (slice(2, 4), slice(5, 6))
