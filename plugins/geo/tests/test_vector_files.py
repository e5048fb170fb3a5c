"""What analysts do with the files: add layers, reproject, stream, open while another has them."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import tracemalloc
from contextlib import closing
from dataclasses import replace

import numpy as np
import pyogrio
import pytest
import shapely
from rasterio.transform import Affine

from samovar.errors import OutputError, UsageError
from samovar.formats import check_writer, write_objects, writer_for
from samovar.identity import name_of
from samovar.masks import PixelMask
from samovar.objects import Objects, SegmentedObject
from samovar.protocols import StreamHead, StreamWriter
from samovar_geo.vectors import FlatGeobuf, GeoJson, GeoJsonSeq, GeoPackage, GeoParquet

WRITERS = {
    "o.gpkg": GeoPackage, "o.fgb": FlatGeobuf, "o.parquet": GeoParquet, "o.geojson": GeoJson,
    "o.geojsonl": GeoJsonSeq,
}  # fmt: skip
PROJJSON_TYPES = {"GeographicCRS", "ProjectedCRS", "BoundCRS", "DerivedProjectedCRS"}


@pytest.fixture
def field(make_raster, open_raster, build_objects):
    """A raster covered by three objects without a gap, one of them in a hole of another."""

    def make(crs="EPSG:32645", transform=Affine(0.5, 0, 340000, 0, -0.5, 3060000), side=60):
        image = open_raster(make_raster(np.ones((side, side), np.uint8), crs=crs,
                                        transform=transform))  # fmt: skip
        yy, xx = np.mgrid[:side, :side]
        hole = (yy - side // 3) ** 2 + (xx - side // 3) ** 2 < (side // 6) ** 2
        left = (xx < side // 2 + np.round(5 * np.sin(yy / 5))) & ~hole
        return image, build_objects(image.grid, left, hole, ~left & ~hole, score=0.75)

    return make


def shapes_of(path):
    """Geometries of a file, by whatever reads it."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return shapely.from_wkb(pq.read_table(path)["geometry"].to_pylist())
    layer = "objects" if path.suffix == ".gpkg" else None
    return shapely.from_wkb(pyogrio.raw.read(path, layer=layer)[2])


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("simplify", [None, 1.0])
@pytest.mark.parametrize("turn", [0, 25])
def test_no_gap_and_no_sliver(name, simplify, turn, field, tmp_path):
    """Reprojected, turned or simplified: what covered the raster covers it still."""
    transform = Affine(0.5, 0, 340000, 0, -0.5, 3060000) @ Affine.rotation(turn)
    image, objects = field(transform=transform)
    given = {"simplify": simplify}
    if name in ("o.gpkg", "o.fgb", "o.parquet"):
        given["dst_crs"] = "EPSG:3857"
    WRITERS[name]().write(objects, tmp_path / name, image, **given)
    shapes = shapes_of(tmp_path / name)
    assert len(shapes) == 3
    assert all(shape.is_valid for shape in shapes)
    union = shapely.union_all(shapes)
    assert shapely.get_num_interior_rings(union) == 0
    total = sum(shape.area for shape in shapes)
    # the overlap of all with all is what the sum exceeds the union by
    assert total == pytest.approx(union.area, rel=1e-9)


@pytest.mark.parametrize("name", WRITERS)
def test_streamed_is_written(name, field, tmp_path):
    """A file that grows with the run is the file that is written at once; a spool is not left."""
    image, objects = field()
    writer = WRITERS[name]()
    assert isinstance(writer, StreamWriter)
    writer.write(objects, tmp_path / f"whole-{name}", image)
    head = StreamHead(objects.grid, objects.provenance)
    sink = writer.stream(head, tmp_path / f"grown-{name}", image)
    for item in objects:
        sink.add(item)
        sink.advance(item.region.start[0])
    sink.close()
    a, b = (tmp_path / f"{how}-{name}" for how in ("whole", "grown"))
    if name == "o.gpkg":
        for path in (a, b):
            assert len(pyogrio.raw.read(path, layer="objects")[2]) == 3
        columns = [pyogrio.raw.read(path, layer="objects")[3] for path in (a, b)]
        assert all((x == y).all() for x, y in zip(*columns, strict=True))
    else:
        assert a.read_bytes() == b.read_bytes()
    sink = writer.stream(head, tmp_path / f"left-{name}", image)
    sink.add(objects.items[0])
    sink.abort()
    assert {p.name.split("-")[0] for p in tmp_path.glob("*-*")} == {"whole", "grown"}


@pytest.mark.parametrize("name", ["o.gpkg", "o.geojsonl", "o.parquet", "o.fgb"])
def test_memory_does_not_grow_with_the_objects(
    name, make_raster, open_raster, tmp_path, monkeypatch
):
    """36 bytes a pixel of accumulators, and every polygon in a list: not here."""
    from samovar_geo import borders, geoparquet, spool, vectors

    monkeypatch.setattr(borders, "CACHE_BYTES", 1 << 16)

    monkeypatch.setattr(vectors, "BATCH", 20)
    monkeypatch.setattr(spool, "PENDING", 20)
    monkeypatch.setattr(geoparquet, "ROW_GROUP", 20)
    image = open_raster(make_raster(np.ones((8, 8), np.uint8)))
    comb = np.zeros((3, 200), dtype=bool)
    comb[0], comb[1:, ::2] = True, True
    item = SegmentedObject.from_mask(1, PixelMask.of(comb))
    peaks = []
    for count in (40, 160):
        sink = WRITERS[name]().stream(
            StreamHead(image.grid, {}), tmp_path / f"{count}-{name}", image
        )
        tracemalloc.start()
        for i in range(count):
            place = item.region.shift((5 * i, 0))
            sink.add(replace(item, id=i + 1, region=place, measures={"pixels": 400}))
        sink.close()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.25 * peaks[0]


def test_other_layers_stay(field, tmp_path):
    image, objects = field()
    path = tmp_path / "o.gpkg"
    write_objects(objects, path, image)
    write_objects(Objects(objects.grid, objects.items[:1], {}), path, image, layer="roofs")
    write_objects(Objects(objects.grid, objects.items[:2], {}), path, image, layer="objects")
    layers = {str(n): k for n, k in pyogrio.list_layers(path)}
    assert {"objects", "roofs"} <= set(layers)
    assert len(pyogrio.raw.read(path, layer="roofs")[2]) == 1
    assert len(pyogrio.raw.read(path, layer="objects")[2]) == 2
    with closing(sqlite3.connect(path)) as base:
        styles = base.execute(
            "SELECT f_table_name, useAsDefault FROM layer_styles ORDER BY 1"
        ).fetchall()
        columns = [row[1] for row in base.execute("PRAGMA table_info(objects)")]
        fids = base.execute("SELECT fid, id FROM objects").fetchall()
        orphans = base.execute(
            "SELECT count(*) FROM gpkg_metadata WHERE id NOT IN"
            " (SELECT md_file_id FROM gpkg_metadata_reference)"
        ).fetchone()[0]
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert styles == [("objects", 1), ("roofs", 1)]
    assert columns[:3] == ["fid", "geom", "id"]
    assert [f for f, _ in fids] == [1, 2]
    assert orphans == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.gpkg", "scene.tif"]


def test_what_others_did_meanwhile_stays(field, tmp_path):
    """A run takes hours; layers that were edited in them are not put back."""
    image, objects = field()
    path = tmp_path / "o.gpkg"
    write_objects(objects, path, image, layer="mine")
    writer, part = GeoPackage(), tmp_path / ".o.part.gpkg"
    writer.prepare(path, part)
    sink = writer.stream(StreamHead(objects.grid, {}), part, image, layer="found")
    sink.add(objects.items[0])
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("UPDATE layer_styles SET description = 'edited' WHERE f_table_name = 'mine'")
    sink.close()
    part.replace(path)
    with closing(sqlite3.connect(path)) as base:
        kept = base.execute("SELECT description FROM layer_styles WHERE f_table_name = 'mine'")
        assert kept.fetchone() == ("edited",)
        assert base.execute("SELECT count(*) FROM found").fetchone() == (1,)


def test_the_users_own_style_stays_the_default(field, tmp_path):
    image, objects = field()
    path = tmp_path / "o.gpkg"
    write_objects(objects, path, image)
    with closing(sqlite3.connect(path)) as base, base:
        base.execute(
            "INSERT INTO layer_styles (f_table_name, styleName, styleQML, useAsDefault)"
            " VALUES ('objects', 'mine', '<qgis/>', 1)"
        )
        base.execute("UPDATE layer_styles SET useAsDefault = 0 WHERE styleName = 'samovar'")
    write_objects(objects, path, image)
    with closing(sqlite3.connect(path)) as base:
        rows = dict(base.execute("SELECT styleName, useAsDefault FROM layer_styles").fetchall())
    assert rows == {"mine": 1, "samovar": 0}


def test_the_style_is_xml_that_names_every_symbol():
    from xml.etree import ElementTree

    from samovar_geo.style import QML

    root = ElementTree.fromstring(re.sub(r"^<!DOCTYPE[^>]*>", "", QML))
    renderer = root.find("renderer-v2")
    assert renderer.get("attr") == "uncertainty"
    asked = {r.get("symbol") for r in renderer.find("ranges")}
    assert asked == {s.get("name") for s in renderer.find("symbols")}


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_file_that_qgis_has_open(mode, field, tmp_path):
    """Refused before any work, in one line; another process holds it, as QGIS would."""
    image, objects = field()
    path = tmp_path / "o.gpkg"
    write_objects(objects, path, image)
    code = (
        "import sqlite3, sys\n"
        "base = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        f"base.execute('PRAGMA journal_mode={mode}')\n"
        f"base.execute('BEGIN {'IMMEDIATE' if mode == 'DELETE' else ''}')\n"
        "base.execute('SELECT count(*) FROM objects').fetchone()\n"
        "print('open', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as other:  # fmt: skip
        assert other.stdout.readline() == "open\n"
        with pytest.raises(OutputError, match=r"o\.gpkg: is open in another program"):
            check_writer(writer_for(path, image), image, path)
        with pytest.raises(OutputError, match="another program"):
            write_objects(objects, path, image)
        other.stdin.close()
    write_objects(objects, path, image)
    assert {p.name for p in tmp_path.iterdir()} == {"o.gpkg", "scene.tif"}


def test_what_is_no_geopackage_is_not_overwritten(field, tmp_path):
    image, objects = field()
    (tmp_path / "o.gpkg").write_bytes(b"a letter to my bank " * 100)
    with pytest.raises(OutputError, match="is not a GeoPackage"):
        write_objects(objects, tmp_path / "o.gpkg", image)
    with closing(sqlite3.connect(tmp_path / "p.gpkg")) as base, base:
        base.execute("CREATE TABLE accounts (money INT)")
    with pytest.raises(OutputError, match="no GeoPackage"):
        write_objects(objects, tmp_path / "p.gpkg", image)
    with pytest.raises(OutputError, match="keeps such names"):
        write_objects(objects, tmp_path / "q.gpkg", image, layer="gpkg_contents")


def test_replaces(field, tmp_path):
    image, objects = field()
    path = tmp_path / "o.gpkg"
    write_objects(objects, path, image, layer="mine")
    assert GeoPackage().replaces(path, layer="mine")
    assert GeoPackage().replaces(path, layer="Mine")
    assert not GeoPackage().replaces(path, layer="yours")
    assert FlatGeobuf().replaces(tmp_path / "o.fgb")


def test_refused_before_any_work(make_raster, open_raster, tmp_path):
    """A raster without CRS has no lon/lat: known before the first tile, not after the last."""
    image = open_raster(make_raster(np.ones((40, 60), np.uint8), crs=None))
    for name in ("o.geojson", "o.geojsonl"):
        with pytest.raises(OutputError, match="gdal_edit"):
            check_writer(writer_for(tmp_path / name, image), image, tmp_path / name)
    path = tmp_path / "o.gpkg"
    with pytest.raises(OutputError, match="--dst-crs EPSG:3857"):
        check_writer(writer_for(path, image), image, path, dst_crs="EPSG:3857")
    with pytest.raises(UsageError, match="metres above 0"):
        check_writer(writer_for(path, image), image, path, simplify=-1.0)
    there = open_raster(make_raster(np.ones((4, 4), np.uint8), name="there.tif"))
    with pytest.raises(UsageError, match="always lon/lat"):
        GeoJson().check(there, dst_crs="EPSG:3857")
    GeoJson().check(there, dst_crs="EPSG:4326")
    with pytest.raises(UsageError, match="not a coordinate reference system"):
        GeoPackage().check(there, dst_crs="EPSG:none")
    spec = writer_for(tmp_path / "o.tif", there)
    with pytest.raises(UsageError, match="own pixels"):
        check_writer(spec, there, tmp_path / "o.tif", dst_crs="EPSG:3857")


@pytest.mark.parametrize("crs", ["EPSG:32645", None])
def test_geoparquet_says_what_it_is(crs, field, tmp_path):
    """By hand, what the GeoParquet 1.1 schema requires."""
    import pyarrow.parquet as pq

    image, objects = field(crs=crs)
    GeoParquet().write(objects, tmp_path / "o.parquet", image)
    file = pq.ParquetFile(tmp_path / "o.parquet")
    record = json.loads(file.metadata.metadata[b"geo"])
    assert set(record) == {"version", "primary_column", "columns"}
    assert record["version"] == "1.1.0"
    column = record["columns"][record["primary_column"]]
    assert column["encoding"] == "WKB"
    pattern = r"^(GeometryCollection|(Multi)?(Point|LineString|Polygon))( Z)?$"
    assert all(re.match(pattern, kind) for kind in column["geometry_types"])
    assert len(column["geometry_types"]) == len(set(column["geometry_types"]))
    assert column["edges"] in ("planar", "spherical")
    table = file.read()
    shapes = shapely.from_wkb(table["geometry"].to_pylist())
    assert {shape.geom_type for shape in shapes} == set(column["geometry_types"])
    np.testing.assert_allclose(column["bbox"], shapely.total_bounds(shapes))
    for side, path in column["covering"]["bbox"].items():
        assert path == ["bbox", side]
        values = [row[side] for row in table["bbox"].to_pylist()]
        np.testing.assert_allclose(values, shapely.bounds(shapes)[
            :, ["xmin", "ymin", "xmax", "ymax"].index(side)])  # fmt: skip
    if crs is None:
        assert column["crs"] is None
    else:
        assert column["crs"]["type"] in PROJJSON_TYPES
        assert column["crs"]["id"] == {"authority": "EPSG", "code": 32645}
    assert b"samovar:software" in file.metadata.metadata


def test_row_groups(make_raster, open_raster, tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    from samovar_geo import geoparquet

    monkeypatch.setattr(geoparquet, "ROW_GROUP", 1000)
    image = open_raster(make_raster(np.ones((8, 8), np.uint8)))
    one = SegmentedObject.from_mask(1, PixelMask.of(np.ones((2, 2), dtype=bool)))
    items = tuple(replace(one, id=i + 1, measures={"pixels": 4}) for i in range(2500))
    GeoParquet().write(Objects(image.grid, items), tmp_path / "o.parquet", image)
    file = pq.ParquetFile(tmp_path / "o.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [
        1000, 1000, 500,
    ]  # fmt: skip


def test_attributes(field, tmp_path):
    image, objects = field()
    items = [replace(o, views=("r0c0", "r0c1"), class_id=3) for o in objects]
    made = Objects(objects.grid, tuple(items), {"model": {"name": "samovar-laptop/tiny"}})
    GeoJson().write(made, tmp_path / "o.geojson", image)
    row = json.loads((tmp_path / "o.geojson").read_text())["features"][0]["properties"]
    assert list(row) == [
        "id", "label", "name", "class", "score", "uncertainty", "pixels", "area_m2", "perimeter_m",
        "tile", "model",
    ]  # fmt: skip
    assert (row["class"], row["tile"], row["model"]) == (3, "r0c0", "samovar-laptop/tiny")


def test_ids_are_made_of_pixels_and_labels_count(field, tmp_path):
    image, objects = field()
    named = [replace(o, key=f"{o.id:016x}") for o in objects]
    GeoPackage().write(Objects(objects.grid, tuple(named)), tmp_path / "a.gpkg", image)
    # whoever comes by without a name gets the one that a run would have given
    turned = [replace(o, id=100 - o.id) for o in objects]
    GeoPackage().write(Objects(objects.grid, tuple(turned)), tmp_path / "b.gpkg", image)
    found = {}
    for name in ("a", "b"):
        with closing(sqlite3.connect(tmp_path / f"{name}.gpkg")) as base:
            columns = [row[1] for row in base.execute("PRAGMA table_info(objects)")]
            found[name] = list(base.execute("SELECT id, label FROM objects ORDER BY fid"))
        assert columns[2:5] == ["id", "label", "name"]
    assert found["a"] == [(o.key, o.id) for o in named]
    assert found["b"] == [(name_of(o), 100 - o.id) for o in objects]


def test_simplified_outlines_have_the_size_that_is_drawn(field, tmp_path):
    """A staircase is up to 41 % longer than the line that it stands for."""
    from pyproj import Geod

    image, objects = field()
    for name, simplify in (("a.geojson", None), ("b.geojson", 1.0)):
        GeoJson().write(objects, tmp_path / name, image, simplify=simplify)
    raw, smooth = (
        json.loads((tmp_path / n).read_text())["features"][1] for n in ("a.geojson", "b.geojson")
    )
    assert smooth["properties"]["perimeter_m"] < 0.92 * raw["properties"]["perimeter_m"]
    for feature in (raw, smooth):
        area, length = Geod(ellps="WGS84").geometry_area_perimeter(
            shapely.geometry.shape(feature["geometry"])
        )
        assert feature["properties"]["area_m2"] == pytest.approx(abs(area), rel=1e-4)
        assert feature["properties"]["perimeter_m"] == pytest.approx(length, rel=1e-4)


def test_regularised(make_raster, open_raster, build_objects, turned_house, tmp_path):
    image = open_raster(make_raster(np.ones((90, 90), np.uint8)))
    mask, _ = turned_house(30)
    made = build_objects(image.grid, mask)
    GeoPackage().write(made, tmp_path / "o.gpkg", image, regularize=True)
    (shape,) = shapes_of(tmp_path / "o.gpkg")
    assert shapely.get_num_coordinates(shape) == 7


def test_geoparquet_comes_back_as_prompts(field, tmp_path):
    from samovar.formats import read_prompts

    image, objects = field()
    write_objects(objects, tmp_path / "o.parquet", image, dst_crs="EPSG:4326")
    prompts = read_prompts(tmp_path / "o.parquet", image)
    expected = [[*o.region.start[::-1], *o.region.stop[::-1]] for o in objects]
    np.testing.assert_allclose([p.box for p in prompts], expected, atol=1e-3)
    assert prompts.objects[0].attributes["label"] == 1
    assert prompts.objects[0].attributes["id"] == name_of(objects.items[0])


@pytest.mark.parametrize("crs", ["EPSG:32645", None])
@pytest.mark.parametrize("name", ["o.gpkg", "o.fgb", "o.parquet"])
def test_a_file_without_objects_has_the_columns_of_one_with_objects(name, crs, field, tmp_path):
    image, objects = field(crs=crs)
    columns = []
    for folder, items in (("full", objects.items), ("empty", ())):
        path = tmp_path / folder / name
        path.parent.mkdir()
        WRITERS[name]().write(Objects(objects.grid, items, objects.provenance, image), path, image)
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            schema = pq.read_schema(path)
            columns.append([(f.name, str(f.type)) for f in schema])
        else:
            layer = "objects" if path.suffix == ".gpkg" else None
            told = pyogrio.read_info(path, layer=layer)
            columns.append(list(zip(told["fields"], told["dtypes"], strict=True)))
    assert columns[0] == columns[1]
    names = [column for column, _ in columns[0]]
    assert ("area_m2" in names) == ("perimeter_m" in names) == (crs is not None)
    assert "pixels" in names
