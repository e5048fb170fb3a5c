"""``samovar segment`` on many studies, with a model that cannot be wrong."""

from __future__ import annotations

import csv
import json

import numpy as np
import PIL.Image
import pytest

from oracle import OracleModel


@pytest.fixture
def model(site, monkeypatch):
    monkeypatch.setenv("SAMOVAR_PLUGINS", "samovar,samovar-selfprompt")
    monkeypatch.setattr("samovar.cli.segment_batch._loaded", {})
    made = OracleModel()
    made.loads = 0

    def load(name, **options):
        made.loads += 1
        return made

    monkeypatch.setattr("samovar.models.load_model", load)
    return made


@pytest.fixture
def studies(tmp_path):
    paths = []
    for place, value in (("a/x.png", 40), ("b/x.png", 80), ("c.png", 120)):
        pixels = np.zeros((40, 60), np.uint8)
        pixels[5:15, 10:30] = value
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(pixels).save(path)
        paths.append(path)
    return paths


BOX = ("--box", "a=10,5,30,15")


def labels(path) -> int:
    return int((np.asarray(PIL.Image.open(path)) == 1).sum())


def test_every_study_gets_its_outputs_and_the_model_is_loaded_once(
    model, studies, samovar, tmp_path
):
    out = tmp_path / "out"
    ran = samovar("segment", *studies, *BOX, "--out-dir", out, "--preview", "{name}.view.png")
    assert ran.code == 0, ran.err
    assert model.loads == 1
    for name in ("a_x", "b_x", "c"):
        assert labels(out / f"{name}_seg.png") == 200
        assert (out / f"{name}.view.png").is_file()
        manifest = json.loads((out / f"{name}.json").read_text())
        assert manifest["objects"][0]["name"] == "a"
    rows = list(csv.DictReader((out / "summary.csv").open()))
    assert [(r["name"], r["status"], r["objects"]) for r in rows] == [
        ("a_x", "done", "1"), ("b_x", "done", "1"), ("c", "done", "1"),
    ]  # fmt: skip
    assert ran.out.splitlines()[-1] == f"wrote {out}"


def test_one_bad_study_is_reported_and_the_others_are_done(model, studies, samovar, tmp_path):
    studies[1].write_text("no picture")
    out = tmp_path / "out"
    ran = samovar("segment", *studies, *BOX, "--out-dir", out, "-o", "{number}.png")
    assert ran.code == 1
    assert "1 of 3 studies failed" in ran.err
    assert "Traceback" not in ran.err
    assert labels(out / "0001.png") == labels(out / "0003.png") == 200
    assert not (out / "0002.png").exists()
    (failed,) = [r for r in csv.DictReader((out / "summary.csv").open()) if r["status"] == "failed"]
    assert failed["name"] == "b_x"
    assert "x.png" in failed["message"]


def test_resume_does_what_is_left_and_what_changed(model, studies, samovar, tmp_path):
    out = tmp_path / "out"
    arguments = ("segment", *studies, *BOX, "--out-dir", out)
    keep = studies[1].read_bytes()
    studies[1].write_text("no picture")
    assert samovar(*arguments).code == 1
    studies[1].write_bytes(keep)
    assert "--resume" in samovar(*arguments).err
    model.decoded = 0
    ran = samovar(*arguments, "--resume", "--json")
    assert (ran.code, model.decoded) == (0, 1)
    said = json.loads(ran.out)
    assert [s["status"] for s in said["studies"]] == ["done before", "done", "done before"]
    model.decoded = 0
    assert samovar(*arguments, "--resume", "--modality", "gray").code == 0
    assert model.decoded == 3
    assert samovar(*arguments, "--overwrite").code == 0


def test_a_table_says_more_of_each_study(model, studies, samovar, tmp_path):
    table = tmp_path / "jobs.csv"
    table.write_text(
        'input,name,box,output\na/x.png,one,"a=10,5,30,15; b=0,0,5,5",{name}.png\n'
        'b/x.png,two,"10,5,20,15",\nmissing.png,three,"1,1,2,2",\n'
    )
    out = tmp_path / "out"
    ran = samovar("segment", "--jobs", table, "--out-dir", out)
    assert ran.code == 1
    assert labels(out / "one.png") == 200
    assert labels(out / "two_seg.png") == 100
    rows = {r["name"]: r for r in csv.DictReader((out / "summary.csv").open())}
    assert (rows["one"]["objects"], rows["one"]["empty"]) == ("2", "1")
    assert rows["three"]["status"] == "failed"


def test_an_interrupt_keeps_what_was_finished(model, studies, samovar, tmp_path, monkeypatch):
    decode = model.decode

    def interrupt(embedding, prompts):
        if model.decoded == 2:
            raise KeyboardInterrupt
        return decode(embedding, prompts)

    monkeypatch.setattr(model, "decode", interrupt)
    out = tmp_path / "out"
    ran = samovar("segment", *studies, *BOX, "--out-dir", out)
    assert ran.code == 130
    assert labels(out / "b_x_seg.png") == 200
    assert len((out / "summary.csv").read_text().splitlines()) == 3
    monkeypatch.setattr(model, "decode", decode)
    assert samovar("segment", *studies, *BOX, "--out-dir", out, "--resume").code == 0
    assert model.decoded == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "need --out-dir"),
        (("--out-dir", "o", "-o", "same.png"), "put {name} or {number}"),
        (("--out-dir", "o", "-o", "x/{name}.png"), "without folder"),
        (("--out-dir", "o", "--manifest", "m.json"), "--manifest"),
        (("--out-dir", "o", "--extend", "l.png"), "--extend"),
        (("--out-dir", "o", "--jobs", "j.csv"), "not both"),
        (("--out-dir", "a/x.png"), "cannot be made"),
    ],
)
def test_bad_usage(model, studies, samovar, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    ran = samovar("segment", *studies, *BOX, *arguments)
    assert ran.code == 2
    assert message in ran.err
    assert len(ran.err.splitlines()) == 1


def test_nothing_to_look_for_is_said_before_any_study(model, studies, samovar, tmp_path):
    ran = samovar("segment", *studies, "--out-dir", tmp_path / "o")
    assert ran.code == 2
    assert "--box" in ran.err
    assert samovar("segment", *BOX, "-o", "x.png").code == 2


@pytest.mark.slow
def test_studies_are_spread_over_workers(samovar, studies, tmp_path):
    pytest.importorskip("distributed")
    pytest.importorskip("samovar_laptop")
    studies[1].write_text("no picture")
    out = tmp_path / "out"
    ran = samovar(
        "segment", *studies, *BOX, "--out-dir", out, "--scheduler", "local:2", "--threads", "1"
    )
    assert ran.code == 1, ran.err
    alone = tmp_path / "alone"
    assert samovar("segment", *studies, *BOX, "--out-dir", alone, "--threads", "1").code == 1
    for name in ("a_x_seg.png", "c_seg.png"):
        assert (out / name).read_bytes() == (alone / name).read_bytes()
    rows = {r["name"]: r["status"] for r in csv.DictReader((out / "summary.csv").open())}
    assert rows == {"a_x": "done", "b_x": "failed", "c": "done"}
