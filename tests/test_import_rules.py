"""Who may import whom, read from the sources of the whole repository without running them."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
HEAVY = {
    "torch", "monai", "peft", "transformers", "onnxruntime", "openvino", "rasterio", "SimpleITK",
    "nibabel", "napari", "pydicom", "highdicom", "pyogrio", "shapely", "geopandas", "onnx", "cv2",
    "torchvision", "timm",
}  # fmt: skip
NEVER = {"torchvision", "timm"}
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "misc"}
PUBLIC_BY_PROTOCOL = "train"
"""The one plugin that is a library too, which others may import."""
OPTIONAL_IN_HOST = {"monai": "core/samovar/evaluation", "cv2": "core/samovar/evaluation"}
"""Extras of the evaluation, imported inside functions."""


def sources(*places: str) -> list[Path]:
    found = []
    for place in places:
        folder = REPOSITORY / place
        found += [p for p in sorted(folder.rglob("*.py")) if not _ignored(p)]
    return found


def _ignored(path: Path) -> bool:
    parts = path.relative_to(REPOSITORY).parts
    return any(
        p in {".venv", ".runs", "build", "__pycache__"} or p.endswith(".egg-info") for p in parts
    )


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def imports(tree: ast.AST) -> Iterator[tuple[str, str, int]]:
    """(module, imported name or "", line) of every import, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, "", node.lineno
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                yield node.module or "", alias.name, node.lineno


def module_level(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """Imports that run when the module is imported (not those under TYPE_CHECKING)."""

    def walk(body: list[ast.stmt]) -> Iterator[ast.stmt]:
        for node in body:
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield from walk(node.orelse)
                continue
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            yield node
            for field in ("body", "orelse", "finalbody"):
                yield from walk(getattr(node, field, []))
            for handler in getattr(node, "handlers", []):
                yield from walk(handler.body)

    for node in walk(tree.body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports(node)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def plugins() -> dict[str, str]:
    """Import name → folder, of each first-party plugin."""
    found = {}
    for file in sorted(REPOSITORY.glob("plugins/*/pyproject.toml")):
        for package in sorted((file.parent / "src").glob("samovar_*")):
            if (package / "__init__.py").is_file():
                found[package.name] = name_of(file.parent)
    return found


HOST = sources("core")
PLUGIN_SOURCES = [p for folder in plugins().values() for p in sources(f"{folder}/src")]
EVERYTHING = sources("core", "plugins", "datasets", "napari_plugin", "docs")


def test_there_is_something_to_look_at():
    assert len(HOST) > 20
    assert "samovar_laptop" in plugins()


@pytest.mark.parametrize("path", HOST, ids=name_of)
def test_host_imports_no_plugin_and_nothing_heavy(path):
    for module, _, line in imports(parse(path)):
        top = module.partition(".")[0]
        where = f"{name_of(path)}:{line} imports {module}"
        assert not top.startswith("samovar_"), where
        if top in HEAVY:
            allowed = OPTIONAL_IN_HOST.get(top, "\0")
            assert name_of(path).startswith(allowed), where
    for module, _, line in module_level(parse(path)):
        assert module.partition(".")[0] not in HEAVY, f"{name_of(path)}:{line} imports {module}"


@pytest.mark.parametrize("path", PLUGIN_SOURCES, ids=name_of)
def test_plugin_imports_the_host_and_itself(path):
    own = next(name for name, folder in plugins().items() if name_of(path).startswith(folder + "/"))
    for module, name, line in imports(parse(path)):
        top = module.partition(".")[0]
        where = f"{name_of(path)}:{line} imports {module} {name}"
        if top.startswith("samovar_"):
            assert top in (own, f"samovar_{PUBLIC_BY_PROTOCOL}", "samovar_datasets"), where
        if top == "samovar":
            private = [part for part in (*module.split("."), name) if part.startswith("_")]
            assert not private or private == ["__version__"], where
            assert module.split(".")[1:2] not in (["cli"], ["builtin"]), where


@pytest.mark.parametrize("path", PLUGIN_SOURCES, ids=name_of)
def test_only_train_and_encoders_reach_for_torch(path):
    """Torch is needed to train, adapt and import checkpoints, never to segment."""
    folder = name_of(path).split("/")[1]
    if folder in {"laptop", "medical", "geo"}:
        tops = {m.partition(".")[0] for m, _, _ in imports(parse(path))}
        assert not tops & {"torch", "monai", "peft", "transformers"}, name_of(path)


def entry_modules() -> list[Path]:
    found = []
    for file in [
        REPOSITORY / "pyproject.toml",
        *sorted(REPOSITORY.glob("plugins/*/pyproject.toml")),
    ]:
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
        root = file.parent / ("core" if file.parent == REPOSITORY else "src")
        for value in project.get("entry-points", {}).get("samovar.plugins", {}).values():
            stem = root.joinpath(*value.partition(":")[0].split("."))
            package = stem / "__init__.py"
            found.append(package if package.is_file() else stem.with_suffix(".py"))
    return found


@pytest.mark.parametrize("path", entry_modules(), ids=name_of)
def test_entry_modules_import_only_what_is_light(path):
    light = {
        "samovar", "samovar.specs", "samovar.hookspecs", "samovar.evaluation.command",
        "samovar.benchmark.family_command", "__future__",
    }  # fmt: skip
    own = {m for m, _, _ in imports(parse(path)) if m.startswith("samovar_")}
    for module, name, line in module_level(parse(path)):
        where = f"{name_of(path)}:{line} imports {module} {name}"
        assert module in light | own or module in {"collections.abc", "typing", "importlib"}, where
    assert "PLUGIN_API" in path.read_text(encoding="utf-8"), f"{name_of(path)} sets no PLUGIN_API"


@pytest.mark.parametrize("path", EVERYTHING, ids=name_of)
def test_names_come_from_the_vocabulary(path):
    names = {p.lower() for p in (path.stem, *path.relative_to(REPOSITORY).parts[:-1])}
    assert not names & FORBIDDEN_NAMES, name_of(path)


@pytest.mark.parametrize(
    "path",
    # tests may pickle, to prove that it is refused
    [p for p in EVERYTHING if "tests" not in p.relative_to(REPOSITORY).parts],
    ids=name_of,
)
def test_nothing_unpickles(path):
    tree = parse(path)
    tops = {m.partition(".")[0] for m, _, _ in imports(tree)}
    assert not tops & {"dill", "cloudpickle", "joblib"}, name_of(path)
    assert not tops & NEVER, name_of(path)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        where = f"{name_of(path)}:{node.lineno}"
        called = ast.unparse(node.func)
        assert called not in {"pickle.load", "pickle.loads", "pickle.Unpickler"}, where
        for keyword in node.keywords:
            constant = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
            assert not (keyword.arg == "allow_pickle" and constant is True), where
            assert not (keyword.arg == "weights_only" and constant is False), where


def test_the_rules_bite():
    bad = ast.parse("import torch\ndef f():\n    import samovar_geo.x\n")
    assert [m for m, _, _ in imports(bad)] == ["torch", "samovar_geo.x"]
    assert [m for m, _, _ in module_level(bad)] == ["torch"]
    hidden = ast.parse("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n")
    assert [m for m, _, _ in module_level(hidden)] == ["typing"]
