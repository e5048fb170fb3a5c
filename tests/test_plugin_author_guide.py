"""The guide's plugin, written from the guide's own page, is discovered and segments a picture."""

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


def install(folder: Path) -> None:
    """Write the page's files and what an installer would write beside them."""
    pages = re.findall(r"`([\w./]+)`:\n\n```\w+\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    assert [name for name, _ in pages] == [
        "pyproject.toml",
        "samovar_brightest/__init__.py",
        "samovar_brightest/generator.py",
    ]
    for name, text in pages:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    project = tomllib.loads(pages[0][1])["project"]
    ((group, points),) = project["entry-points"].items()
    info = folder / "samovar_brightest-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        + "".join(f"Requires-Dist: {r}\n" for r in project["dependencies"])
    )
    (info / "entry_points.txt").write_text(
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items())
    )


def test_the_page_is_a_working_plugin(tmp_path):
    install(tmp_path)
    picture = np.zeros((60, 80), np.uint8)
    picture[5:15, 10:30] = 200
    picture[40:50, 60:70] = 250
    picture[30:35, 5:9] = 90
    Image.fromarray(picture).save(tmp_path / "spots.png")
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", SEGMENT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [200, 100]
