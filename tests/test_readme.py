"""The README's Python example, run as it stands on a generated volume."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_the_python_example_runs(tmp_path):
    for plugin in ("samovar_datasets", "samovar_medical", "samovar_laptop", "nibabel"):
        pytest.importorskip(plugin)
    import nibabel
    import numpy as np

    from samovar_datasets.phantoms import ct_phantom

    phantom = ct_phantom(1, (78, 160, 190))
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ phantom.affine
    nibabel.Nifti1Image(phantom.image.T, affine).to_filename(tmp_path / "ct.nii.gz")
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    name, volume, score = done.stdout.split()
    assert name == "liver"
    assert float(volume) > 0
    assert 0 < float(score) <= 1
    written = nibabel.load(tmp_path / "liver.nii.gz")
    assert written.shape == phantom.image.shape[::-1]
    assert np.allclose(written.affine, affine)
