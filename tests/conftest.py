"""Fixtures that any test may use: sample data, made-up distributions, the command line."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from samovar import plugins, privacy

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def shared() -> Path:
    """The shared sample data; the test is skipped where it is absent."""
    place = Path(os.environ.get("SAMOVAR_SHARED", REPOSITORY.parent / "shared"))
    if not (place / "data" / "MANIFEST.json").is_file():
        pytest.skip(f"no shared sample data in {place}: set SAMOVAR_SHARED")
    return place


@pytest.fixture(autouse=True)
def _nobody_known() -> Iterator[None]:
    """Patients of one test are not hidden in the next."""
    privacy.forget()
    yield
    privacy.forget()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Consents and downloads of whoever runs the tests stay out of them."""
    monkeypatch.setenv("SAMOVAR_CACHE", str(tmp_path_factory.getbasetemp() / "samovar-cache"))


class Site:
    """A folder on the path into which made-up distributions are installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self,
        distribution: str,
        code: str = "",
        *,
        module: str | None = None,
        entry_points: dict[str, str] | None = None,
        requires: tuple[str, ...] = ("samovar>=0.1,<0.2",),
        version: str = "1.0",
    ) -> str:
        """Write ``code`` as a module and a dist-info beside it; returns the module's name."""
        module = module or distribution.replace("-", "_")
        if code:
            (self.folder / f"{module}.py").write_text(textwrap.dedent(code), encoding="utf-8")
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        head = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        lines = "".join(f"Requires-Dist: {r}\n" for r in requires)
        (info / "METADATA").write_text(head + lines, encoding="utf-8")
        given = {"main": module} if entry_points is None else entry_points
        points = "\n".join(f"{name} = {value}" for name, value in given.items())
        (info / "entry_points.txt").write_text(f"[samovar.plugins]\n{points}\n", encoding="utf-8")
        importlib.invalidate_caches()
        return module


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Installs made-up distributions for one test; real ones stay visible.

    Modules imported from it are forgotten at the end.
    """
    folder = tmp_path / "site"
    folder.mkdir()
    for variable in ("SAMOVAR_PLUGINS", "SAMOVAR_DISABLE_PLUGINS", "SAMOVAR_STRICT_PLUGINS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    plugins.reset()
    yield Site(folder)
    plugins.reset()
    for name in set(sys.modules) - before:
        source = getattr(sys.modules[name], "__file__", None) or ""
        if source.startswith(str(folder)):
            del sys.modules[name]


@dataclass(frozen=True)
class Ran:
    """What a command answered."""

    code: int
    out: str
    err: str


@pytest.fixture
def samovar(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs the command line in this process: ``samovar("info", path)``."""
    from samovar.cli.main import main

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run
