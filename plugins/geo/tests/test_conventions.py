"""Where analysts live: rasterio's command line, QGIS, STAC catalogues."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import types
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from samovar.cli.tile_report import failure_lines
from samovar.errors import OutputError, UsageError
from samovar.formats import check_writer, write_objects, writer_for
from samovar.tiles import Failed
from samovar_geo import qgis_install, stac_model
from samovar_geo.stac_item import PROCESSING

DATETIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"
MEDIA = r"^[a-z]+/[a-z0-9.+*-]+(; [a-z-]+=[a-z-]+)*$"


def check_item(item):
    """By hand, what the STAC 1.1 Item schema requires."""
    assert item["type"] == "Feature"
    assert re.match(r"^1\.\d+\.\d+", item["stac_version"])
    assert all(e.startswith("https://") for e in item["stac_extensions"])
    assert isinstance(item["id"], str) and item["id"]
    assert item["geometry"]["type"] in ("Polygon", "MultiPolygon")
    assert len(item["bbox"]) == 4
    properties = item["properties"]
    if properties["datetime"] is None:
        assert re.match(DATETIME, properties["start_datetime"])
        assert re.match(DATETIME, properties["end_datetime"])
    else:
        assert re.match(DATETIME, properties["datetime"])
    for link in item["links"]:
        assert link["rel"] and link["href"]
    for asset in item["assets"].values():
        assert asset["href"]
        assert re.match(MEDIA, asset["type"])
        assert isinstance(asset["roles"], list)


@pytest.fixture
def found(make_raster, open_raster, build_objects):
    image = open_raster(make_raster(np.ones((3, 40, 60), np.uint8)))
    mask = np.zeros((40, 60), dtype=bool)
    mask[5:20, 10:30] = True
    made = build_objects(image.grid, mask)
    record = {
        "samovar": "0.1.0", "plugins": {"samovar-geo": "0.1.0"}, "created": "now",
        "model": {"name": "samovar-laptop/tiny"}, "prompts": [{"id": 1}],
    }  # fmt: skip
    return image, type(made)(made.grid, made.items, record)


def test_the_item_of_a_run(found, tmp_path):
    from samovar.protocols import StreamHead
    from samovar_geo.stac_item import StacItem

    image, objects = found
    outputs = (tmp_path / "o.gpkg", tmp_path / "o.tif", tmp_path / "o.stac.json")
    sink = StacItem().stream(
        StreamHead(objects.grid, objects.provenance), tmp_path / "o.stac.json", image,
        outputs=outputs, stac_model="models/tiny.json",
    )  # fmt: skip
    for item in objects:
        sink.add(item)
    sink.close()
    item = json.loads((tmp_path / "o.stac.json").read_text(encoding="utf-8"))
    check_item(item)
    assert PROCESSING in item["stac_extensions"]
    properties = item["properties"]
    assert properties["processing:software"] == {"samovar": "0.1.0", "samovar-geo": "0.1.0"}
    assert re.match(DATETIME, properties["processing:datetime"])
    assert properties["processing:expression"]["format"] == "samovar-manifest"
    assert "prompts" not in properties["processing:expression"]["expression"]
    assert (properties["proj:code"], properties["proj:shape"]) == ("EPSG:32616", [40, 60])
    raster, model = (link for link in item["links"] if link["rel"] == "derived_from")
    assert raster["href"] == "scene.tif"
    assert model["mlm:name"] == "tiny"
    assert {a["href"] for a in item["assets"].values()} == {"./o.gpkg", "./o.tif"}
    west, south, east, north = item["bbox"]
    assert -85 < west < east < -84
    assert 33 < south < north < 34


def test_the_item_through_the_command_line(make_raster, tmp_path, monkeypatch):
    """The host tells the writer of the other outputs."""
    from samovar import streams
    from samovar.protocols import StreamHead

    image = __import__("samovar").open(make_raster(np.ones((3, 40, 60), np.uint8)))
    paths = [tmp_path / "o.gpkg", tmp_path / "o.stac.json"]
    outputs = [(p, writer_for(p, image)) for p in paths]
    running = streams.Streams(outputs, StreamHead(image.grid, {}), image, {})
    staged, _ = running.finish(None)
    for one in staged:
        one.commit()
    item = json.loads(paths[1].read_text(encoding="utf-8"))
    assert [a["href"] for a in item["assets"].values()] == ["./o.gpkg"]
    image.close()


def test_no_item_without_a_place_on_earth(make_raster, open_raster, tmp_path):
    image = open_raster(make_raster(np.ones((40, 60), np.uint8), crs=None))
    path = tmp_path / "o.stac.json"
    with pytest.raises(OutputError, match="where on earth"):
        check_writer(writer_for(path, image), image, path)


def test_the_item_of_a_model(tmp_path, capsys):
    """By hand, what the MLM schema requires."""
    assert stac_model.export_stac("tiny", str(tmp_path / "tiny.json")) == 0
    item = json.loads((tmp_path / "tiny.json").read_text(encoding="utf-8"))
    check_item(item)
    assert stac_model.MLM in item["stac_extensions"]
    properties = item["properties"]
    for field in ("mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output"):
        assert properties[field]
    assert re.match(r"^[a-zA-Z][a-zA-Z0-9_.-]+[a-zA-Z0-9]$", properties["mlm:name"])
    assert set(properties["mlm:tasks"]) <= {"instance-segmentation", "segmentation"}
    assert isinstance(properties["mlm:total_parameters"], int)
    for entry, key in ((properties["mlm:input"][0], "input"),
                       (properties["mlm:output"][0], "result")):  # fmt: skip
        shape = entry[key]
        assert len(shape["shape"]) == len(shape["dim_order"])
        assert all(isinstance(n, int) and n >= -1 for n in shape["shape"])
        assert len(set(shape["dim_order"])) == len(shape["dim_order"])
        assert shape["data_type"] == "float32"
    assert properties["mlm:input"][0]["bands"] == []
    models = [a for a in item["assets"].values() if "mlm:model" in a["roles"]]
    assert models
    for asset in models:
        assert asset["mlm:artifact_type"] == "onnx"
        # sha2-256 as a multihash
        assert re.match(r"^1220[0-9a-f]{64}$", asset["file:checksum"])
    capsys.readouterr()
    assert stac_model.export_stac("tiny") == 0
    assert json.loads(capsys.readouterr().out) == item
    with pytest.raises(UsageError):
        stac_model.export_stac("no-such-model")


def test_rio_knows_the_command():
    """Registered under rasterio's own group; what it runs is the host's command line."""
    (entry,) = metadata.entry_points(group="rasterio.rio_plugins", name="samovar")
    command = entry.load()
    assert command.name == "samovar"
    code = (
        "import samovar_geo.rio, sys; print([m for m in ('numpy', 'rasterio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_rio_passes_everything_on(monkeypatch):
    from samovar_geo import rio
    from samovar_geo.rio import samovar

    seen = []

    def run_module(name, run_name):
        seen.append([name, *sys.argv[1:]])
        sys.exit(2)

    monkeypatch.setattr(rio.runpy, "run_module", run_module)
    monkeypatch.setattr(sys, "argv", sys.argv)
    for words in (["a.tif", "--box", "1,2,3,4", "-o", "o.gpkg"], []):
        with pytest.raises(SystemExit) as stop:
            samovar.main(words, standalone_mode=False)
        assert stop.value.code == 2
    assert seen == [
        ["samovar", "segment", "a.tif", "--box", "1,2,3,4", "-o", "o.gpkg"],
        ["samovar", "segment", "--help"],
    ]


class Feedback:
    def __init__(self, cancelled=False):
        self.said, self.progress, self.cancelled = [], [], cancelled

    def pushInfo(self, text):
        self.said.append(text)

    pushCommandInfo = reportError = pushInfo

    def setProgress(self, value):
        self.progress.append(value)

    def isCanceled(self):
        return self.cancelled


@pytest.fixture
def qgis(monkeypatch):
    """The script, imported where a stand-in for QGIS gives parameters back as they were given."""

    class Algorithm:
        def addParameter(self, parameter):
            self.__dict__.setdefault("added", []).append(parameter)

    def given(name):
        return lambda self, parameters, key, *_: parameters.get(key) or {
            "String": "", "Bool": False, "Double": 0.0}.get(name)  # fmt: skip

    for name in ("String", "Bool", "Double", "RasterLayer", "OutputLayer", "File", "Extent",
                 "CompatibleSourceLayerPath"):  # fmt: skip
        setattr(Algorithm, f"parameterAs{name}", given(name))
    core = types.ModuleType("qgis.core")
    parameter = type("Parameter", (), {"Double": 1, "__init__": lambda self, name, *a, **k:
                                       setattr(self, "name", name)})  # fmt: skip
    tree = ast.parse(qgis_install.script())
    (wanted,) = (n for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == "qgis.core")
    for alias in wanted.names:
        setattr(core, alias.name, parameter)
    core.QgsProcessingAlgorithm = Algorithm
    core.QgsProcessing = types.SimpleNamespace(TypeVectorPolygon=2, TypeVectorPoint=0)
    core.QgsProcessingException = type("QgsProcessingException", (Exception,), {})
    monkeypatch.setitem(sys.modules, "qgis", types.ModuleType("qgis"))
    monkeypatch.setitem(sys.modules, "qgis.core", core)
    module = types.ModuleType("samovar_segment")
    exec(compile(qgis_install.script(), "samovar_segment.py", "exec"), module.__dict__)
    module.failure = core.QgsProcessingException
    return module


class Raster:
    def source(self):
        return "/data/my scene.tif"

    def crs(self):
        return "EPSG:32645"


def asked(**more):
    return {"INPUT": Raster(), "OUTPUT": "/tmp/out.gpkg", "PROGRAM": "/opt/samovar", **more}


def test_qgis_asks_for_what_samovar_takes(qgis, monkeypatch):
    commands = []
    monkeypatch.setattr(qgis, "run", lambda command, feedback: commands.append(command))
    algorithm = qgis.SamovarSegment()
    algorithm.initAlgorithm()
    assert {p.name for p in algorithm.added} >= {"INPUT", "PROMPTS", "AUTO", "OUTPUT", "PROGRAM"}
    box = types.SimpleNamespace(isNull=lambda: False, xMinimum=lambda: 1, yMinimum=lambda: 2,
                                xMaximum=lambda: 3, yMaximum=lambda: 4.5)  # fmt: skip
    answer = algorithm.processAlgorithm(
        asked(PROMPTS="/data/h.gpkg|layername=roofs", BANDS="4,3,2", EXTENT=box, SIMPLIFY=0.5,
              REGULARIZE=True, MORE='--threads 2 --aoi "C:\\my area.gpkg"'), None, Feedback(),
    )  # fmt: skip
    assert answer == {"OUTPUT": "/tmp/out.gpkg"}
    assert commands == [[
        "/opt/samovar", "segment", "/data/my scene.tif", "-o", "/tmp/out.gpkg",
        "--prompts", "/data/h.gpkg", "--prompt-layer", "roofs", "--model", "tiny", "--overwrite",
        "--bands", "4,3,2", "--bbox", "1.0,2.0,3.0,4.5", "--simplify", "0.5", "--regularize",
        "--threads", "2", "--aoi", "C:\\my area.gpkg",
    ]]  # fmt: skip


def test_its_options_are_the_command_lines(qgis):
    """Whatever the script may say, ``samovar segment`` understands."""
    from samovar_geo import plugin

    host = (Path(__import__("samovar").__file__).parent / "cli" / "segment.py").read_text()
    ours = {o.name for s in plugin.samovar_formats() for o in s.options}
    said = set(re.findall(r'"(--[a-z-]+)"', qgis_install.script()))
    assert said
    assert all(option in ours or f'"{option}"' in host for option in said)


def test_qgis_wants_prompts_or_a_generator(qgis, monkeypatch):
    commands = []
    monkeypatch.setattr(qgis, "run", lambda command, feedback: commands.append(command))
    algorithm = qgis.SamovarSegment()
    for wrong in (asked(), asked(PROMPTS="p.gpkg", AUTO="grid")):
        with pytest.raises(qgis.failure, match="one of the two"):
            algorithm.processAlgorithm(wrong, None, Feedback())
    algorithm.processAlgorithm(asked(AUTO="grid"), None, Feedback())
    assert commands[0][5:7] == ["--auto", "grid"]
    assert "--overwrite" in commands[0]
    algorithm.processAlgorithm(asked(AUTO="grid", MORE="--resume"), None, Feedback())
    assert "--resume" in commands[1]
    assert "--overwrite" not in commands[1], "the two exclude each other"
    monkeypatch.setattr(qgis.shutil, "which", lambda name: None)
    monkeypatch.delenv("SAMOVAR_PROGRAM", raising=False)
    with pytest.raises(qgis.failure, match="not on the path"):
        algorithm.processAlgorithm(asked(AUTO="grid", PROGRAM=None), None, Feedback())


def test_a_program_of_its_own(qgis, monkeypatch):
    """Progress and the last line come through; QGIS's Python and GDAL do not."""
    monkeypatch.setenv("PYTHONHOME", "/usr/share/qgis/python")
    feedback = Feedback()
    code = (
        "import os, sys; print('segmenting 3/12, 1.0/s, 9 s left', file=sys.stderr);"
        "print('home', os.environ.get('PYTHONHOME')); sys.exit({})"
    )
    qgis.run([sys.executable, "-c", code.format(0)], feedback)
    assert feedback.progress == [25.0]
    assert feedback.said[-1] == "home None"
    with pytest.raises(qgis.failure, match="home None"):
        qgis.run([sys.executable, "-c", code.format(1)], feedback)
    line = "\n".join(failure_lines([Failed("r1c1", "the tea is cold")]))
    qgis.run([sys.executable, "-c", f"print({line!r}); {code.format(1)}"], feedback)
    assert "1 tile failed, the rest is written" in feedback.said[-1]
    with pytest.raises(qgis.failure, match="home None"):
        qgis.run([sys.executable, "-c", code.format(2)], feedback)
    with pytest.raises(qgis.failure, match="Cancelled"):
        qgis.run([sys.executable, "-c", code.format(0)], Feedback(cancelled=True))
    with pytest.raises(qgis.failure, match="cannot be started"):
        qgis.run(["/no/such/program"], feedback)


def test_the_script_is_shipped(tmp_path, capsys):
    assert qgis_install.qgis_script() == 0
    assert Path(capsys.readouterr().out.strip()).is_file()
    assert qgis_install.qgis_script(str(tmp_path)) == 0
    text = (tmp_path / "samovar_segment.py").read_text(encoding="utf-8")
    # QGIS 3.22 brings Python 3.9
    ast.parse(text, feature_version=(3, 9))
    with pytest.raises(OutputError, match="processing/scripts"):
        qgis_install.qgis_script(str(tmp_path / "none"))


def test_items_are_written_with_the_rest(found, tmp_path):
    image, objects = found
    write_objects(objects, tmp_path / "o.stac.json", image)
    check_item(json.loads((tmp_path / "o.stac.json").read_text(encoding="utf-8")))
