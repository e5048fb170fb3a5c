"""The specs are light, complete and point at what is there."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from samovar.protocols import PromptReader, Reader, Writer
from samovar_medical.plugin import samovar_formats

SPECS = samovar_formats()


def test_nothing_heavy_is_imported():
    code = (
        "import sys, samovar_medical.plugin as p; p.samovar_formats(); "
        "heavy = ('nibabel', 'SimpleITK', 'scipy', 'pydicom', 'highdicom', 'skimage', 'torch'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
def test_targets_keep_their_promises(spec):
    module, _, name = spec.target.partition(":")
    made = getattr(importlib.import_module(module), name)()
    assert isinstance(made, Reader) == spec.reads
    if spec.reads_prompts:
        assert isinstance(made, PromptReader)
    if spec.writes:
        assert isinstance(made, Writer)


def test_each_suffix_is_claimed_once():
    for kind in ("reads", "writes", "reads_prompts"):
        claims = [s for p in SPECS if getattr(p, kind) and not p.by_name for s in p.suffixes]
        assert sorted(claims) == sorted(set(claims)), kind
    written = {s for spec in SPECS if spec.writes for s in spec.suffixes}
    assert written == {
        ".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha", ".dcm", ".stl", ".obj", ".csv", ".json",
        ".html", ".npz",
    }  # fmt: skip
