"""``samovar segment`` on pictures, with a model that cannot be wrong."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image
import pytest

from oracle import OracleModel


@pytest.fixture
def model(site, monkeypatch):
    """Replaces every model; ``model.asked`` tells what it was asked."""
    monkeypatch.setenv("SAMOVAR_PLUGINS", "samovar,samovar-selfprompt")
    made = OracleModel()
    made.loaded = {}

    def load(name, **options):
        made.loaded = {"name": name, **options}
        return made

    monkeypatch.setattr("samovar.api.load_model", load)
    return made


@pytest.fixture
def picture(tmp_path):
    pixels = np.zeros((40, 60), np.uint8)
    pixels[5:15, 10:30] = 50
    pixels[20:35, 35:55] = 90
    path = tmp_path / "x.png"
    PIL.Image.fromarray(pixels).save(path)
    return path


BOXES = ("--box", "a=10,5,30,15", "--box", "35,20,55,35")


def test_main_job(model, picture, samovar, tmp_path):
    out, preview, manifest = tmp_path / "o.png", tmp_path / "p.png", tmp_path / "m.json"
    ran = samovar(
        "segment", picture, *BOXES, "-o", out, "--preview", preview, "--manifest", manifest
    )
    assert ran.code == 0, ran.err
    labels = np.asarray(PIL.Image.open(out))
    expected = np.zeros((40, 60), int)
    expected[5:15, 10:30], expected[20:35, 35:55] = 1, 2
    assert np.array_equal(labels, expected)
    assert [line.split() for line in ran.out.splitlines()] == [
        ["label", "name", "pixels", "score"],
        ["1", "a", "200", "1.000"],
        ["2", "300", "1.000"],
        ["wrote", str(out)],
        ["wrote", str(preview)],
        ["wrote", str(manifest)],
    ]
    assert PIL.Image.open(preview).size[0] > 10
    record = json.loads(manifest.read_text("utf-8"))
    assert record["notice"] == "research use only, not a medical device"
    assert [p["box"] for p in record["prompts"]] == [[10, 5, 30, 15], [35, 20, 55, 35]]
    assert record["outputs"] == ["o.png"]
    assert [o["pixels"] for o in record["objects"]] == [200, 300]
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_json_is_json_and_nothing_else(model, picture, samovar, tmp_path, monkeypatch):
    original = model.encode
    monkeypatch.setattr(model, "encode", lambda p: (print("library noise"), original(p))[1])
    ran = samovar("segment", picture, *BOXES, "-o", tmp_path / "o.png", "--json")
    document = json.loads(ran.out)
    assert [o["pixels"] for o in document["objects"]] == [200, 300]
    assert document["outputs"] == [str(tmp_path / "o.png")]
    assert "library noise" in ran.err


def test_quiet(model, picture, samovar, tmp_path):
    ran = samovar("segment", picture, *BOXES, "-o", tmp_path / "o.png", "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


@pytest.mark.parametrize(
    ("licence", "said"),
    [
        ("CC-BY-NC-4.0", "licence of the weights: CC-BY-NC-4.0 (not for commercial use)"),
        ("Apache-2.0", ""),
        ("unknown", ""),
    ],
)
def test_a_restriction_of_the_weights_is_said(
    model, picture, samovar, tmp_path, monkeypatch, licence, said
):
    about = {**model.describe(), "licence": {"code": "MIT", "weights": licence}}
    monkeypatch.setattr(model, "describe", lambda: about)
    ran = samovar("segment", picture, *BOXES, "-o", tmp_path / "o.png")
    assert ran.code == 0
    assert [line for line in ran.err.splitlines() if "licence" in line] == ([said] if said else [])


def test_model_gets_what_was_asked(model, picture, samovar):
    ran = samovar(
        "segment", picture, "--point", "n=12,8", "--point", "n=50,30:-", "--json",
        "--model", "other", "--threads", "3", "--runtime", "r", "--precision", "int8",
        "--device", "cuda:0", "--accept-license", "other", "--region-decode", "on",
    )  # fmt: skip
    assert ran.code == 0
    assert model.loaded == {
        "name": "other", "threads": 3, "runtime": "r", "precision": "int8", "device": "cuda:0",
        "accept_license": ("other",), "region_decode": "on",
    }  # fmt: skip
    assert model.asked[0].points == ((12, 8), (50, 30))
    assert model.asked[0].labels == (1, 0)


def test_prompt_file_and_label_image(model, picture, samovar, tmp_path):
    file = tmp_path / "p.json"
    file.write_text('[{"name": "a", "box": [10, 5, 30, 15], "ward": "B2"}]', "utf-8")
    first = samovar("segment", picture, "--prompts", file, "-o", tmp_path / "o.png", "--json")
    (row,) = json.loads(first.out)["objects"]
    assert (row["pixels"], row["ward"]) == (200, "B2")
    again = samovar("segment", picture, "--prompts", tmp_path / "o.png", "--json")
    assert json.loads(again.out)["objects"][0]["bounds"] == [10, 5, 30, 15]


def test_generator_with_options(model, picture, samovar):
    pytest.importorskip("samovar_selfprompt")
    ran = samovar("segment", picture, "--auto", "grid:points=8,smallest=10", "--json", "--debug")
    assert ran.code == 0, ran.err
    assert sorted(o["pixels"] for o in json.loads(ran.out)["objects"])[-2:] == [200, 300]


def test_long_tables_are_cut_on_the_console_only(model, picture, samovar, monkeypatch):
    monkeypatch.setattr("samovar.cli.segment_run.SHOWN", 1)
    ran = samovar("segment", picture, *BOXES, "--manifest", picture.parent / "m.json")
    assert "and 1 more of 2 objects" in ran.err
    assert len(ran.out.splitlines()) == 3
    ran = samovar("segment", picture, *BOXES, "--json")
    assert len(json.loads(ran.out)["objects"]) == 2


def test_nothing_found_is_said(model, picture, samovar):
    ran = samovar("segment", picture, "--box", "e=0,0,3,3", "--manifest", picture.parent / "m.json")
    assert ran.code == 0
    assert "nothing was found for object 1 (e)" in ran.err


def test_failing_writer_leaves_nothing(model, picture, samovar, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("samovar.preview.save_preview", fail)
    out = tmp_path / "o.png"
    ran = samovar("segment", picture, *BOXES, "-o", out, "--preview", tmp_path / "p.png")
    assert ran.code == 2
    assert "p.png: cannot be written (No space left on device)" in ran.err
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["x.png"]


def test_interrupt_while_segmenting(model, picture, samovar, tmp_path, monkeypatch):
    def interrupt(pictures):
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "encode", interrupt)
    ran = samovar("segment", picture, *BOXES, "-o", tmp_path / "o.png")
    assert ran.code == 130
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["x.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing says what to look for"),
        (["--box", "1,1,5,5", "--auto", "grid"], "not both"),
        (["--world", "--auto", "grid"], "--world is about --box and --point"),
        (["--box", "1,1,5,5", "--window", "40/400"], "40/400"),
        (["--box", "1,1,5,5", "--modality", "xray"], "xray"),
        (["--auto", "gird"], "no prompt generator 'gird'; nearest: grid"),
        (["--auto", "grid:pionts=3"], "has no option 'pionts' (did you mean 'points'?)"),
        (["--auto", "grid:points=many"], "points='many' is not a whole number"),
        (["--auto", "grid:points=-1"], "points"),
        (["--box", "1,1,5,5", "--world"], "neither"),
        (["--box", "1,1,5,5", "--preview", "p.jpg"], "a preview is a PNG"),
        (["--box", "1,1,5,5", "--manifest", "absent/m.json"], "there is no folder absent"),
        (["--box", "1,1,5,5", "--reader", "pcture"], "no format 'pcture'; nearest: picture"),
        (["--box", "1,1,5,5", "-o", "./o.png"], "is given twice"),
    ],
)
def test_bad_usage(model, picture, samovar, arguments, message, monkeypatch, tmp_path):
    pytest.importorskip("samovar_selfprompt")
    monkeypatch.chdir(tmp_path)
    ran = samovar("segment", picture, "-o", "o.png", *arguments)
    assert ran.code == 2
    assert message in ran.err
    assert len(ran.err.splitlines()) == 1
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["x.png"]
    assert model.loaded == {}


def test_nothing_would_be_written(model, picture, samovar):
    ran = samovar("segment", picture, "--box", "1,1,5,5")
    assert ran.code == 2
    assert "nothing would be written" in ran.err


def test_extending_leaves_what_is_labelled(model, picture, samovar, tmp_path):
    before = np.zeros((40, 60), np.uint8)
    before[:10, :20] = 1
    labels = tmp_path / "labels.png"
    PIL.Image.fromarray(before).save(labels)
    ran = samovar("segment", picture, *BOXES, "-o", labels, "--extend", labels)
    assert ran.code == 0, ran.err
    expected = np.zeros((40, 60), int)
    expected[5:15, 10:30], expected[20:35, 35:55] = 2, 3
    expected[:10, :20] = 1
    assert np.array_equal(np.asarray(PIL.Image.open(labels)), expected)
    assert "50 pixels of new objects lie in existing ones" in ran.err


def test_extending_labels_of_another_image(model, picture, samovar, tmp_path):
    labels = tmp_path / "labels.png"
    PIL.Image.fromarray(np.ones((40, 61), np.uint8)).save(labels)
    before = labels.read_bytes()
    ran = samovar("segment", picture, *BOXES, "-o", labels, "--extend", labels)
    assert (ran.code, model.asked) == (2, [])
    assert "is not on the grid" in ran.err
    assert labels.read_bytes() == before


def test_one_file_an_object(model, picture, samovar, tmp_path):
    out, manifest = tmp_path / "o.png", tmp_path / "m.json"
    ran = samovar(
        "segment", picture, *BOXES, "-o", out, "--split-labels", "--manifest", manifest, "--json"
    )
    assert ran.code == 0, ran.err
    names = ["o_a.png", "o_2.png"]
    assert json.loads(ran.out)["outputs"] == [str(tmp_path / n) for n in names]
    assert json.loads(manifest.read_text("utf-8"))["outputs"] == names
    assert not out.exists()
    for name, value, pixels in zip(names, (1, 2), (200, 300), strict=True):
        labels = np.asarray(PIL.Image.open(tmp_path / name))
        assert set(np.unique(labels)) == {0, value}
        assert np.count_nonzero(labels) == pixels


def test_a_format_by_name(model, picture, samovar, tmp_path):
    out = tmp_path / "o.png"
    ran = samovar("segment", picture, *BOXES, "-o", f"label-png:{out}")
    assert ran.code == 0, ran.err
    assert out.exists()
    ran = samovar("segment", picture, *BOXES, "-o", f"label-png:{tmp_path / 'o.tif'}")
    assert ran.code == 2
    assert "label-png writes .png" in ran.err
