"""The guide's plugins, written from the guide's own page, are discovered and segment a picture."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
from PIL import Image

GUIDE = Path(__file__).parents[1] / "docs" / "plugin-authors.md"

SEGMENT = """
import numpy as np, samovar
from oracle import OracleModel
from samovar.plugins import registry
assert not registry().problems, registry().problems
objects = samovar.segment("spots.png", model=OracleModel(), auto="brightest",
                          auto_options={"above": 180.0})
print([o.pixels for o in objects])
"""


SEGMENT_WHOLE = """
import sys
from samovar.plugins import registry
assert not registry().problems, registry().problems
from samovar.cli.main import main
code = main(["segment", "spots.png", "--model", "grow", "--point", "spot=12,8",
             "--point", "65,45", "-o", "grown.png", "--json"])
sys.exit(code)
"""


def install(folder: Path, plugin: str = "brightest") -> None:
    """Write the page's files and what an installer would write beside them."""
    pages = re.findall(r"`([\w./]+)`:\n\n```\w+\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    assert [name for name, _ in pages] == [
        "pyproject.toml",
        "samovar_brightest/__init__.py",
        "samovar_brightest/generator.py",
        "samovar_grow/__init__.py",
        "samovar_grow/segmenter.py",
    ]
    for name, text in pages:
        if name.startswith(f"samovar_{plugin}/"):
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    project = tomllib.loads(pages[0][1].replace("brightest", plugin))["project"]
    ((group, points),) = project["entry-points"].items()
    info = folder / f"samovar_{plugin}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        + "".join(f"Requires-Dist: {r}\n" for r in project["dependencies"])
    )
    (info / "entry_points.txt").write_text(
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items())
    )


def ran(folder: Path, code: str) -> str:
    """Standard output of ``code``, run where the plugin is installed, with a picture."""
    picture = np.zeros((60, 80), np.uint8)
    picture[5:15, 10:30] = 200
    picture[40:50, 60:70] = 250
    picture[30:35, 5:9] = 90
    Image.fromarray(picture).save(folder / "spots.png")
    path = os.pathsep.join([str(folder), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_is_a_working_plugin(tmp_path):
    install(tmp_path)
    assert json.loads(ran(tmp_path, SEGMENT)) == [200, 100]


def test_its_segmenter_works_too(tmp_path):
    install(tmp_path, "grow")
    objects = json.loads(ran(tmp_path, SEGMENT_WHOLE))["objects"]
    assert [(o["name"], o["pixels"]) for o in objects] == [("spot", 200), ("", 100)]
    grown = np.asarray(Image.open(tmp_path / "grown.png"))
    assert np.bincount(grown.ravel()).tolist() == [60 * 80 - 300, 200, 100]
