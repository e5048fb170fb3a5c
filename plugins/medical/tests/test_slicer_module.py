"""samovar as a module of 3D Slicer: what it announces is what it takes."""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree

import pytest

from samovar.cli.main import main as samovar
from samovar_medical import slicer_module
from samovar_medical.slicer_module import description, launcher, main


def test_the_xml_announces_what_the_program_takes(capsys):
    assert main(["--xml"]) == 0
    root = ElementTree.fromstring(capsys.readouterr().out)
    assert root.tag == "executable"
    for tag in ("category", "title", "description", "version", "license", "contributor"):
        assert root.find(tag).text
    taken = {a.dest: a for a in slicer_module._parser()._actions}
    indices, flags = {}, set()
    for parameter in root.iter():
        name = parameter.find("name")
        if name is None:
            continue
        flag = parameter.find("longflag")
        if flag is not None:
            assert flag.text in taken[name.text].option_strings
            flags.add(name.text)
        else:
            indices[name.text] = int(parameter.find("index").text)
        assert parameter.find("label").text
        assert parameter.find("description").text
    assert indices == {"input": 0, "output": 1}
    assert flags == set(taken) - {"input", "output", "help", "xml"}
    assert root.find(".//pointfile").get("coordinateSystem") == "lps"
    assert root.find(".//region").get("coordinateSystem") == "lps"


def test_the_launcher_starts_it_without_slicers_environment(tmp_path, capsys):
    assert samovar(["slicer-module", str(tmp_path / "mod")]) == 0
    assert "Additional module paths" in capsys.readouterr().out
    script = tmp_path / "mod" / "Samovar.py"
    assert script.read_text().startswith("#!")
    assert (tmp_path / "mod" / "Samovar.xml").read_text(encoding="utf-8") == description()
    foreign = {"PYTHONHOME": "/nowhere", "LD_LIBRARY_PATH": "/nowhere", "PATH": "/usr/bin:/bin"}
    # Slicer's own Python would have its home; this one must do without
    start = f"import os, runpy; os.environ.update({foreign!r}); runpy.run_path({str(script)!r})"
    code = f"import sys; sys.argv = ['Samovar.py', '--xml']; {start}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stdout == description(), ran.stderr


def test_a_python_that_is_gone_is_said(tmp_path):
    script = tmp_path / "Samovar.py"
    script.write_text(launcher(str(tmp_path / "no" / "python")))
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "run samovar slicer-module again" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "required"),
        (["in.nrrd", "out.nrrd"], "nothing says what to look for"),
        (["in.nrrd", "out.nrrd", "--roi", "1,2,3"], "cx,cy,cz,rx,ry,rz"),
        (["in.nrrd", "out.nrrd", "--roi", "1,2,3,4,5,6"], "there is no such file"),
        (["in.nrrd", "out.nrrd", "--threads", "many"], "threads"),
    ],
)
def test_bad_input_is_one_line(arguments, word, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert word in said
    assert len(said.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_it_segments(volume, tmp_path, capsys, geometry, monkeypatch):
    """The world box that Slicer hands over reaches the pipeline; labels and table are written."""
    import samovar as api
    from samovar.objects import Objects

    asked = {}

    def segment(image, **options):
        asked.update(options)
        options["progress"](type("P", (), {"done": 1, "total": 2})())
        from found_objects import RECORD, found, organ_and_lesion

        organ, _ = organ_and_lesion(image.grid.shape)
        return Objects(image.grid, (found(1, organ, "ROI 1"),), RECORD, image)

    monkeypatch.setattr(api, "segment", segment)
    out, table = tmp_path / "out.nrrd", tmp_path / "m.csv"
    arguments = [volume(".nrrd"), str(out), "--roi", "10,20,30,1,2,3", "--measurements", str(table)]
    assert main(arguments) == 0
    assert asked["boxes"] == {"ROI 1": (9, 18, 27, 11, 22, 33)}
    assert asked["space"] == "world"
    assert "<filter-progress>0.500</filter-progress>" in capsys.readouterr().out
    assert geometry.read_nrrd_by_hand(out)[0].max() == 1
    assert table.exists()
