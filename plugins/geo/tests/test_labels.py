"""GeoTIFFs that rasterio wrote are read by Pillow, tag by tag."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from PIL import Image as Pillow
from rasterio.transform import Affine

from samovar.formats import read_prompts
from samovar.objects import Objects
from samovar_geo import labels
from samovar_geo.labels import LabelGeoTiff

SCALE, TIEPOINT, MATRIX, NODATA, KEYS = 33550, 33922, 34264, 42113, 34735


def geokeys(tags) -> dict[int, int]:
    """Key → value of the GeoKey directory, where the value stands in the directory itself."""
    values = tags[KEYS]
    return {values[i]: values[i + 3] for i in range(4, len(values), 4) if values[i + 1] == 0}


def tiff_transform(tags) -> np.ndarray:
    """3×3 corner-anchored transform out of the raw tags of a TIFF."""
    if MATRIX in tags:
        m = np.array(tags[MATRIX]).reshape(4, 4)
        return m[np.ix_([0, 1, 3], [0, 1, 3])]
    (sx, sy, _), (i, j, _, x, y, _) = tags[SCALE], tags[TIEPOINT]
    return np.array([[sx, 0, x - i * sx], [0, -sy, y + j * sy], [0, 0, 1]])


@pytest.mark.parametrize(
    "name",
    ["utm north-up", "utm south-up", "utm rotated", "utm sheared", "web mercator", "lon/lat",
     "lon/lat south-up", "northing first", "feet"],
)  # fmt: skip
def test_one_pixel_lies_where_it_lay(
    name, geometries, make_raster, open_raster, build_objects, tmp_path
):
    crs, transform = geometries[name]
    image = open_raster(make_raster(np.ones((40, 60), np.uint8), crs=crs, transform=transform))
    mask = np.zeros((40, 60), dtype=bool)
    mask[7, 31] = True
    path = tmp_path / "labels.tif"
    LabelGeoTiff().write(build_objects(image.grid, mask), path, image)
    with Pillow.open(path) as written:
        assert np.argwhere(np.array(written)).tolist() == [[7, 31]]
        tags = dict(written.tag_v2)
    matrix = tiff_transform(tags)
    np.testing.assert_array_equal(matrix, np.array(transform).reshape(3, 3))
    centre = matrix @ (31.5, 7.5, 1)
    np.testing.assert_allclose(centre[:2], image.grid.to_world((31, 7)), rtol=1e-14)
    code = int(crs.split(":")[1])
    assert code in (geokeys(tags).get(3072), geokeys(tags).get(2048))
    assert tags[NODATA].strip("\0 ") == "0"


def test_grid_alone_gives_the_same_transform(make_raster, open_raster, build_objects, tmp_path):
    from samovar.image import ArrayImage, ImageInfo

    image = open_raster(make_raster(np.ones((40, 60), np.uint8)))
    plain = ArrayImage(np.ones((40, 60)), image.grid, ImageInfo("array", "raster", "array"))
    path = tmp_path / "labels.tif"
    LabelGeoTiff().write(build_objects(image.grid, np.ones((40, 60))), path, plain)
    with rasterio.open(path) as written:
        assert written.transform.almost_equals(Affine(0.5, 0, 733600, 0, -0.5, 3725140), 1e-9)
        assert written.crs == "EPSG:32616"


@pytest.mark.parametrize(("highest", "dtype"), [(255, "uint8"), (256, "uint16"), (70000, "uint32")])
def test_many_objects_do_not_overflow(
    highest, dtype, make_raster, open_raster, build_objects, tmp_path
):
    image = open_raster(make_raster(np.ones((4, 4), np.uint8)))
    one = build_objects(image.grid, np.eye(4)).items[0]
    path = tmp_path / "labels.tif"
    LabelGeoTiff().write(Objects(image.grid, (replace(one, id=highest),)), path, image)
    with rasterio.open(path) as written:
        assert written.dtypes == (dtype,)
        assert written.read(1).max() == highest


def test_painted_by_strips(make_raster, open_raster, build_objects, tmp_path, monkeypatch):
    monkeypatch.setattr(labels, "STRIP_PIXELS", labels.BLOCK**2)
    truth = np.random.default_rng(1).random((700, 1300)) < 0.3
    image = open_raster(make_raster(np.ones((700, 1300), np.uint8)))
    painted = []
    own = labels.LabelSink._paint
    monkeypatch.setattr(
        labels.LabelSink,
        "_paint",
        lambda self, m, i: (painted.append(m.inside.size), own(self, m, i)),
    )
    LabelGeoTiff().write(build_objects(image.grid, truth), tmp_path / "labels.tif", image)
    assert len(painted) == 4
    assert max(painted) <= labels.BLOCK**2
    with rasterio.open(tmp_path / "labels.tif") as written:
        np.testing.assert_array_equal(written.read(1), truth)
        assert written.block_shapes == [(512, 512)]
        assert written.compression.name == "deflate"
    assert [p.name for p in tmp_path.iterdir() if "labels" in p.name] == ["labels.tif"]


def test_a_cog_with_overviews_that_hold_labels_only(
    make_raster, open_raster, build_objects, tmp_path
):
    """An average of labels 1 and 3 would be a label 2 that nobody found."""
    image = open_raster(make_raster(np.ones((1500, 1500), np.uint8)))
    masks = np.zeros((2, 1500, 1500), dtype=bool)
    masks[0, :, :751] = masks[1, :, 751:] = True
    made = build_objects(image.grid, *masks)
    items = (made.items[0], replace(made.items[1], id=3))
    LabelGeoTiff().write(Objects(made.grid, items), tmp_path / "l.tif", image)
    with rasterio.open(tmp_path / "l.tif") as written:
        assert written.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert written.overviews(1)
        assert written.nodata == 0
    with rasterio.open(tmp_path / "l.tif", overview_level=0) as small:
        assert set(np.unique(small.read(1))) == {1, 3}


@pytest.mark.parametrize("turn", [1, -1])
def test_the_smaller_of_two_shows(turn, make_raster, open_raster, build_objects, tmp_path):
    """Whatever came first; of equally large ones the better one does."""
    image = open_raster(make_raster(np.ones((20, 20), np.uint8)))
    masks = np.zeros((4, 20, 20), dtype=bool)
    masks[0, 2:12, 2:12] = masks[1, 4:6, 4:6] = True
    masks[2, 14:18, 2:6] = masks[3, 16:20, 2:6] = True
    items = [replace(o, score=s) for o, s in zip(
        build_objects(image.grid, *masks), (0.9, 0.1, 0.5, 0.8), strict=True)]  # fmt: skip
    made = Objects(image.grid, tuple(items[::turn]))
    LabelGeoTiff().write(made, tmp_path / "l.tif", image)
    with rasterio.open(tmp_path / "l.tif") as written:
        np.testing.assert_array_equal(written.read(1), made.labels())


def test_provenance_is_the_same_for_the_same_masks(
    make_raster, open_raster, build_objects, tmp_path
):
    image = open_raster(make_raster(np.ones((4, 4), np.uint8)))
    made = build_objects(image.grid, np.eye(4))
    for name, threads in (("l.tif", 1), ("m.tif", 2)):
        model = {"name": "oracle", "threads": threads}
        record = {"model": model, "prompts": [{"id": 1}], "created": f"at {threads} o'clock"}
        LabelGeoTiff().write(Objects(made.grid, made.items, record), tmp_path / name, image)
    assert (tmp_path / "l.tif").read_bytes() == (tmp_path / "m.tif").read_bytes()
    with rasterio.open(tmp_path / "l.tif") as written:
        tags = written.tags()
    assert json.loads(tags["SAMOVAR_MANIFEST"]) == {"model": {"name": "oracle"}}
    assert "not a medical device" in tags["SAMOVAR_NOTICE"]
    assert tags["TIFFTAG_SOFTWARE"].startswith("samovar")


def test_labels_come_back_as_prompts(make_raster, open_raster, build_objects, tmp_path):
    image = open_raster(make_raster(np.ones((40, 60), np.uint8)))
    first, second = np.zeros((40, 60)), np.zeros((40, 60))
    first[2:5, 3:9] = second[20:40, 50:60] = 1
    made = build_objects(image.grid, first, second)
    LabelGeoTiff().write(made, tmp_path / "labels.tif", image)
    prompts = read_prompts(tmp_path / "labels.tif", image).to_index(image.grid)
    assert [p.id for p in prompts] == [1, 2]
    assert [[*p.box] for p in prompts] == [row["bounds"] for row in made.table()]


def test_labels_beyond_16_bits_come_back(make_raster, open_raster, build_objects, tmp_path):
    """A label raster whose own project cannot read it is of no use."""
    image = open_raster(make_raster(np.ones((40, 60), np.uint8)))
    mask = np.zeros((40, 60))
    mask[2:5, 3:9] = 1
    made = build_objects(image.grid, mask)
    large = Objects(made.grid, (replace(made.items[0], id=70_001),))
    LabelGeoTiff().write(large, tmp_path / "labels.tif", image)
    (prompt,) = read_prompts(tmp_path / "labels.tif", image).to_index(image.grid)
    assert prompt.box == (3, 2, 9, 5)


def test_unwritable(make_raster, open_raster, build_objects, tmp_path):
    image = open_raster(make_raster(np.ones((4, 4), np.uint8)))
    with pytest.raises(OSError, match="nowhere"):
        LabelGeoTiff().write(
            build_objects(image.grid, np.eye(4)), tmp_path / "nowhere" / "l.tif", image
        )
