from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine

from samovar.errors import InputError, OutputError, PromptError, UsageError
from samovar.formats import open_image, read_prompts, write_objects, writer_for
from samovar.plugins import registry
from samovar_geo import plugin

HEAVY = ("rasterio", "pyogrio", "shapely", "pyproj", "numpy", "torch")


def test_entry_module_is_light():
    code = f"import samovar_geo.plugin, sys; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_target_loads():
    own = [s for s in registry().specs("format") if s.distribution == "samovar-geo"]
    assert {s.name for s in own} == {s.name for s in plugin.samovar_formats()}
    for spec in own:
        loaded = registry().load(spec)
        assert not spec.reads or hasattr(loaded, "open")
        assert not spec.writes or hasattr(loaded, "write")
        assert not spec.reads_prompts or hasattr(loaded, "read_prompts")


def test_rasters_come_to_this_plugin(make_raster):
    path = make_raster(np.ones((3, 40, 60), np.uint8))
    with open_image(path, bands="3,2") as image:
        assert (image.info.format, image.info.native["bands"]) == ("raster", (3, 2))
    with pytest.raises(UsageError, match="bands 1…3"):
        open_image(path, bands="9")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_refusals_are_final(make_raster):
    """The host's own picture reader must not open what this plugin refuses."""
    points = [GroundControlPoint(r, c, 10 + c, 50 - r) for r, c in ((0, 0), (0, 9), (9, 0))]
    path = make_raster(np.ones((10, 10), np.uint8), transform=None, crs="EPSG:4326", gcps=points)
    with pytest.raises(InputError, match="gdalwarp"):
        open_image(path)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_damage_is_not_glossed_over(share, make_raster, tmp_path):
    """Nor may it show half of a file that was cut short."""
    noise = np.random.default_rng(0).integers(0, 255, (3, 300, 300)).astype(np.uint8)
    make_raster(noise, compress="deflate")
    whole = (tmp_path / "scene.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"cut\.tif"):
        open_image(tmp_path / "cut.tif")


def test_outputs_through_the_host(make_raster, open_raster, build_objects, tmp_path):
    image = open_raster(make_raster(np.ones((40, 60), np.uint8)))
    objects = build_objects(image.grid, np.eye(40, 60))
    for name in ("o.tif", "o.gpkg", "o.geojson", "o.geojsonl"):
        write_objects(objects, tmp_path / name, image)
        assert (tmp_path / name).stat().st_size
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {"scene.tif", "o.tif", "o.gpkg", "o.geojson", "o.geojsonl"}


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_pictures_have_labels_but_no_polygons(make_raster, open_raster, build_objects, tmp_path):
    pixels = np.ones((40, 60), np.uint8)
    image = open_raster(make_raster(pixels, crs=None, transform=Affine.identity()))
    write_objects(build_objects(image.grid, np.eye(40, 60)), tmp_path / "o.tif", image)
    for name in ("o.gpkg", "o.geojson"):
        with pytest.raises(OutputError, match="picture"):
            writer_for(tmp_path / name, image)


def test_an_image_is_no_prompt_and_prompts_are_no_image(make_raster, open_raster, tmp_path):
    image = open_raster(make_raster(np.ones((40, 60), np.uint8)))
    other = make_raster(np.full((3, 40, 60), 9, np.uint8), name="rgb.tif")
    with pytest.raises(PromptError, match=r"rgb\.tif"):
        read_prompts(other, image)
    (tmp_path / "p.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(InputError, match="--prompts"):
        open_image(tmp_path / "p.geojson")
