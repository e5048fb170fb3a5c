"""Bad input: one clear line that names the file and the remedy, exit code 2, nothing left behind.

Runs the installed plugins and the bundled model, as a newcomer would.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

nibabel = pytest.importorskip("nibabel")
rasterio = pytest.importorskip("rasterio")
pytest.importorskip("samovar_laptop")
pytest.importorskip("samovar_medical")
pytest.importorskip("samovar_geo")
pytest.importorskip("samovar_selfprompt")

BOX3 = "4,4,1,12,12,5"
BOX2 = "4,4,20,20"


def volume(folder: Path, name: str = "ct.nii.gz", pixels=None, affine=None) -> Path:
    if pixels is None:
        z, y, x = np.indices((8, 20, 24))
        inside = (z - 4) ** 2 + (y - 10) ** 2 + (x - 12) ** 2 < 25
        pixels = np.where(inside, 60, -900).astype(np.int16).T
    image = nibabel.Nifti1Image(pixels, np.diag([1.5, 1.5, 3, 1]) if affine is None else affine)
    nibabel.save(image, folder / name)
    return folder / name


def edited(folder: Path, edit: Callable[[bytearray], None], name: str = "ct.nii") -> Path:
    """A NIfTI whose header was changed byte by byte."""
    path = volume(folder, name)
    content = bytearray(path.read_bytes())
    edit(content)
    path.write_bytes(content)
    return path


def sized(*dimensions: int) -> Callable[[Path], Path]:
    """Makes a NIfTI whose header has these dimensions."""
    eight = (*dimensions, *(1 for _ in range(8 - len(dimensions))))
    return lambda folder: edited(folder, lambda c: struct.pack_into("<8h", c, 40, *eight))


def flatten_affine(content: bytearray) -> None:
    """sform with two equal columns, no qform."""
    struct.pack_into("<2h", content, 252, 0, 1)
    struct.pack_into("<12f", content, 280, *([1, 1, 0, 0] * 3))


def scene(folder: Path, name: str = "scene.tif", crs: str | None = "EPSG:32645") -> Path:
    pixels = np.random.default_rng(1).integers(0, 255, (3, 40, 50), dtype=np.uint8)
    profile = {"driver": "GTiff", "width": 50, "height": 40, "count": 3, "dtype": "uint8"}
    if crs is not None:
        profile |= {"crs": crs, "transform": rasterio.transform.from_origin(5e5, 3e6, 0.5, 0.5)}
    with rasterio.open(folder / name, "w", **profile) as target:
        target.write(pixels)
    return folder / name


def picture(folder: Path, name: str = "x.png") -> Path:
    pixels = np.random.default_rng(2).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(folder / name)
    return folder / name


def cut(path: Path, share: float = 0.5) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def filled(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def gzip_cut_inside(folder: Path) -> Path:
    whole = volume(folder, "whole.nii").read_bytes()
    (folder / "whole.nii").unlink()
    return filled(folder, "ct.nii.gz", gzip.compress(whole[: len(whole) // 2]))


TEXT = b"this is not an image\n"
DICOM = b"\0" * 128 + b"DICM" + b"\0" * 64

INPUTS = {
    "missing nifti": (lambda d: d / "ct.nii.gz", BOX3, "there is no such file"),
    "missing tif": (lambda d: d / "x.tif", BOX2, "there is no such file"),
    "missing folder": (lambda d: d / "absent" / "x.png", BOX2, "no folder"),
    **{
        f"empty {name}": (lambda d, n=name: filled(d, n, b""), box, "is empty (0 bytes)")
        for name, box in (("ct.nii", BOX3), ("ct.nii.gz", BOX3), ("x.png", BOX2), ("x.tif", BOX2))
    },
    **{
        f"text {name}": (lambda d, n=name: filled(d, n, TEXT), box, message)
        for name, box, message in (
            ("ct.nii", BOX3, "is not a NIfTI file"),
            ("ct.nii.gz", BOX3, "is not a NIfTI file"),
            ("ct.nrrd", BOX3, "is not a NRRD file"),
            ("ct.mha", BOX3, "is not a MetaImage file"),
            ("x.png", BOX2, "is no picture"),
            ("x.jpg", BOX2, "is no picture"),
            ("x.tif", BOX2, "is not a raster"),
            ("x.vrt", BOX2, "is not a raster"),
            ("x.txt", BOX2, "is a text file, not an image"),
        )
    },
    "truncated nifti": (lambda d: cut(volume(d, "ct.nii")), BOX3, "is truncated"),
    "truncated gzip": (lambda d: cut(volume(d)), BOX3, "is truncated"),
    "truncated inside gzip": (gzip_cut_inside, BOX3, "is truncated"),
    "header cut": (lambda d: cut(volume(d, "ct.nii"), 0.01), BOX3, "is truncated"),
    "truncated png": (lambda d: cut(picture(d)), BOX2, "cut short"),
    "truncated jpg": (lambda d: cut(picture(d, "x.jpg")), BOX2, "cut short"),
    "truncated tif": (lambda d: cut(scene(d)), BOX2, "cut short"),
    "nan in affine": (
        lambda d: edited(d, lambda c: struct.pack_into("<f", c, 280, float("nan"))),
        BOX3,
        "affine holds NaN",
    ),
    "affine of two equal axes": (lambda d: edited(d, flatten_affine), BOX3, "cannot be inverted"),
    "zero size": (sized(3, 0, 20, 8), BOX3, "is empty"),
    "negative size": (sized(3, -5, 20, 8), BOX3, "is empty"),
    "absurd size": (sized(3, 32000, 32000, 32000), BOX3, "the header is damaged"),
    "absurd number of axes": (sized(99, 2, 2, 2), BOX3, "the header is damaged"),
    "four dimensions": (
        lambda d: volume(d, "bold.nii.gz", np.zeros((6, 6, 6, 3), np.int16)),
        BOX3,
        "one volume is needed",
    ),
    "nothing but nan": (
        lambda d: volume(d, "ct.nii.gz", np.full((24, 20, 8), np.nan, np.float32)),
        BOX3,
        "are NaN",
    ),
    "dicom file": (lambda d: filled(d, "IM1", DICOM), BOX3, "is not a DICOM file"),
    "dicom folder": (lambda d: filled(d, "IM1", DICOM).parent, BOX3, "is not a DICOM file"),
    "prompts as image": (lambda d: filled(d, "b.json", b"[[1,2,3,4]]"), BOX2, "--prompts"),
}


def check(ran, folder: Path, names: str, message: str = "") -> None:
    """Exit code 2, one line with the name and the message, and nothing new in the folder."""
    assert ran.code == 2, ran
    assert ran.out == ""
    assert len(ran.err.strip().splitlines()) == 1, ran.err
    assert "Traceback" not in ran.err
    assert "internal error" not in ran.err
    assert names in ran.err
    assert message in ran.err
    assert len(ran.err) < 400, "one line, not a page"
    left = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
    assert not left, left


@pytest.fixture
def out(tmp_path):
    """Where results would go; has to stay empty."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("case", INPUTS)
def test_input(case, samovar, tmp_path, out):
    make, box, message = INPUTS[case]
    place = tmp_path / "in"
    place.mkdir()
    path = make(place)
    suffix = ".nii.gz" if box == BOX3 else ".png"
    ran = samovar(
        "segment", path, "--box", box, "-o", out / f"o{suffix}", "--manifest", out / "m.json",
        "--preview", out / "p.png",
    )  # fmt: skip
    check(ran, out, path.name, message)
    informed = samovar("info", path)
    assert informed.code in (0, 2)
    assert "Traceback" not in informed.err
    assert "internal error" not in informed.err


def test_libraries_do_not_talk_over_it(tmp_path, out):
    """In a process of its own, where their warnings and C code could write to the console."""
    for path in (scene(tmp_path, crs=None), cut(scene(tmp_path, "cut.tif")), cut(volume(tmp_path))):
        command = [sys.executable, "-m", "samovar", "segment", path, "--box", BOX2, "--world"]
        done = subprocess.run([*command, "-o", out / "o.tif"], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1, done.stderr


PROMPTS = {
    "outside": ("90,90,99,99", "lies outside the image"),
    "negative": ("-9,-9,-3,-3", "lies outside the image"),
    "inverted": ("20,20,4,4", "is inverted or empty"),
    "empty": ("4,4,4,20", "is inverted or empty"),
    "nan": ("nan,4,20,20", "NaN"),
    "infinite": ("4,4,20,inf", "NaN or infinity"),
    "three numbers": ("4,4,20", "3 numbers"),
    "six numbers": ("4,4,0,20,20,1", "6 numbers"),
    "letters": ("a,b,c,d", "is not a list of numbers"),
}


@pytest.mark.parametrize("case", PROMPTS)
@pytest.mark.parametrize("make", [picture, scene])
def test_box(case, make, samovar, tmp_path, out):
    text, message = PROMPTS[case]
    ran = samovar("segment", make(tmp_path), "--box", text, "-o", out / "o.tif")
    check(ran, out, "box", message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--box", "4,4,20,20"], "6: x0,y0,z0,x1,y1,z1"),
        (["--box", "4,4,1,12,12,1"], "is inverted or empty"),
        (["--box", "4,4,90,12,12,99"], "lies outside the image"),
        (["--point", "4,4"], "2 numbers, this image takes 3"),
        (["--point", "4,4,99"], "lies outside the image"),
        (["--point", "4,4,4:-"], "only negative"),
        (["--world", "crs", "--box", BOX3], "write --world lps or ras"),
        (["--world", "--box", "900,900,900,990,990,990"], "lies outside the image"),
    ],
)
def test_prompts_of_a_volume(samovar, tmp_path, out, arguments, message):
    ran = samovar("segment", volume(tmp_path), *arguments, "-o", out / "o.nii.gz")
    check(ran, out, "ct.nii.gz" if "only" not in message else "", message)


def test_world_without_a_crs(samovar, tmp_path, out):
    for path in (scene(tmp_path, crs=None), picture(tmp_path)):
        ran = samovar("segment", path, "--world", "--box", BOX2, "-o", out / "o.tif")
        check(ran, out, path.name, "assign a CRS")


@pytest.mark.parametrize(
    ("make", "given"), [(volume, volume), (scene, scene), (picture, picture), (scene, picture)]
)
def test_image_given_as_prompts(samovar, tmp_path, out, make, given):
    (tmp_path / "p").mkdir()
    wrong = given(tmp_path / "p")
    ran = samovar("segment", make(tmp_path), "--prompts", wrong, "--json", "-q")
    assert json.loads(ran.out)["exit_code"] == 2
    check(type(ran)(ran.code, "", ran.err), out, wrong.name, "label")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.json", b"{"),
        ("p.json", b""),
        ("p.json", b"[[1, 2, 3]]"),
        ("p.json", b"[[90, 90, 99, 99]]"),
        ("p.csv", b"a,b\n1,2\n"),
        ("p.npz", b"PK"),
        ("p.gpkg", TEXT),
        ("p.geojson", b"{"),
        ("p.geojson", b'{"type": "FeatureCollection", "features": []}'),
        ("p.doc", TEXT),
        ("p.nii.gz", TEXT),
        ("p.png", TEXT),
        ("absent.json", None),
    ],
)
def test_prompt_files(samovar, tmp_path, out, name, content):
    if content is not None:
        filled(tmp_path, name, content)
    ran = samovar("segment", scene(tmp_path), "--prompts", tmp_path / name, "-o", out / "o.tif")
    check(ran, out, name)


@pytest.mark.parametrize(
    ("make", "box", "name", "message"),
    [
        (volume, BOX3, "o.gpkg", ".nii"),
        (volume, BOX3, "o.xyz", ".nii"),
        (volume, BOX3, "o", "without a suffix"),
        (scene, BOX2, "o.nii.gz", ".gpkg"),
        (scene, BOX2, "o.png", ".tif"),
        (picture, BOX2, "o.gpkg", ".png"),
        (picture, BOX2, "absent/o.png", "there is no folder"),
    ],
)
def test_outputs(samovar, tmp_path, out, make, box, name, message):
    ran = samovar("segment", make(tmp_path), "--box", box, "-o", out / name)
    check(ran, out, name, message)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(samovar, tmp_path, out):
    path = picture(tmp_path)
    out.chmod(0o500)
    ran = samovar("segment", path, "--box", BOX2, "-o", out / "o.png")
    check(ran, out, "o.png", "cannot be written to")


def test_input_as_output(samovar, tmp_path, out):
    path = scene(tmp_path)
    before = path.read_bytes()
    ran = samovar("segment", path, "--box", BOX2, "-o", path)
    check(ran, out, "scene.tif", "is the input itself")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "tinny"], "'tinny'; nearest: tiny"),
        (["--model", "./absent"], "no such folder"),
        (["--model", "samovar-laptop/tinny"], "nearest"),
        (["--runtime", "onnxrt"], "nearest: onnxruntime"),
        (["--precision", "int3"], "int3"),
        (["--device", "cuda:99"], "cuda:99"),
        (["--threads", "0"], "--threads"),
    ],
)
def test_models_and_machines(samovar, tmp_path, out, arguments, message):
    ran = samovar("segment", picture(tmp_path), "--box", BOX2, "-o", out / "o.png", *arguments)
    check(ran, out, "", message)


@pytest.mark.parametrize("generator", ["gird", "grid:pints=3", "grid:points=x", ":points=3"])
def test_generators(samovar, tmp_path, out, generator):
    ran = samovar("segment", picture(tmp_path), "--auto", generator, "-o", out / "o.png")
    check(ran, out, "", "")
    assert "grid" in ran.err or "names nothing" in ran.err


class TestTamperedModel:
    @pytest.fixture
    def bundle(self, tmp_path):
        """A copy of the bundled model, to be spoiled."""
        from samovar.catalogue import look_up

        folder = tmp_path / "model"
        shutil.copytree(look_up("tiny").folder, folder)
        return folder

    def run(self, samovar, tmp_path, out, bundle):
        return samovar(
            "segment", picture(tmp_path), "--box", BOX2, "-o", out / "o.png", "--model", bundle
        )

    def test_the_copy_works(self, samovar, tmp_path, out, bundle):
        assert self.run(samovar, tmp_path, out, bundle).code == 0

    def test_graph_changed(self, samovar, tmp_path, out, bundle):
        graph = max(bundle.glob("*.onnx"), key=lambda p: p.stat().st_size)
        content = bytearray(graph.read_bytes())
        content[len(content) // 2] ^= 1
        graph.write_bytes(content)
        check(self.run(samovar, tmp_path, out, bundle), out, graph.name)
        ran = samovar("models", "verify", bundle)
        check(ran, out, graph.name)

    def test_graph_missing(self, samovar, tmp_path, out, bundle):
        graph = next(bundle.glob("*.onnx"))
        graph.unlink()
        check(self.run(samovar, tmp_path, out, bundle), out, graph.name)

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', '{"schema": 99}'])
    def test_record_broken(self, samovar, tmp_path, out, bundle, text):
        (bundle / "bundle.json").write_text(text, "utf-8")
        check(self.run(samovar, tmp_path, out, bundle), out, "bundle.json")

    def test_record_names_a_file_outside(self, samovar, tmp_path, out, bundle):
        record = json.loads((bundle / "bundle.json").read_text("utf-8"))
        name = next(iter(record["files"]))
        record["files"][f"../{name}"] = record["files"].pop(name)
        record["roles"] = {k: f"../{v}" if v == name else v for k, v in record["roles"].items()}
        (bundle / "bundle.json").write_text(json.dumps(record), "utf-8")
        shutil.copy(bundle / name, tmp_path / name)
        check(self.run(samovar, tmp_path, out, bundle), out, "bundle.json")
