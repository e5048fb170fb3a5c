"""Kit: what a worker needs to look at the tiles of a job, and what it does with it.

The image is opened there, under the same path or address; the model's bundle travels as bytes and
its hashes are checked where it is loaded.
"""

from __future__ import annotations

import atexit
import copy
import io
import shutil
import tempfile
import threading
import zipfile
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from secrets import token_hex
from typing import Any

from samovar.discovery import one_line
from samovar.errors import BundleError, PluginError, SamovarError, UsageError
from samovar.formats import open_image
from samovar.image import Opened
from samovar.intensity import Intensity
from samovar.job import Job, Recipe
from samovar.models import load_model
from samovar.plans import Step
from samovar.plugins import registry
from samovar.prompts import Prompts
from samovar.tiles import Look, look_at

UNPACKED = "samovar-bundle-"
"""Folders of bundles that were shipped."""


class WorkerDiffers(UsageError):
    """A worker whose weights or runtime are not those of the machine where the run began, or
    whose copy of the bundle is damaged."""

    worker = ""
    """Its address."""


@dataclass(frozen=True, eq=False)
class Kit:
    """What a worker needs to look at the tiles of one job."""

    opened: Opened
    intensity: dict[str, Any]
    prompts: Prompts | None
    recipe: Recipe
    weights_hash: str
    runtime: dict[str, Any]
    """Name, version, precision and instruction set of what runs the graphs here."""
    bundle: bytes = field(repr=False, default=b"")
    """The bundle's folder as a zip; empty for a model that a plugin's classes are."""
    id: str = field(default_factory=lambda: token_hex(8))
    """Of one run: workers keep kits of several runs at a time apart."""


def pack(job: Job, recipe: Recipe) -> Kit:
    """The kit of a job. Raises UsageError for what was not opened or loaded by name."""
    opened = job.image.opened
    if opened is None or not recipe.model:
        raise UsageError("--scheduler needs an image and a model that were given by name or path")
    opened = replace(opened, path=_absolute(opened.path), options=_absolute_files(opened))
    bundle = getattr(job.model, "bundle", None)
    return Kit(
        opened,
        job.intensity.describe(),
        job.prompts,
        recipe,
        job.model.weights_hash,
        _runtime(job.model.describe()),
        b"" if bundle is None else _zipped(bundle.folder),
    )


def _absolute(path: str) -> str:
    """A local path, or each of ``mosaic:A|B``, as a worker with another working folder needs it."""
    lead, colon, rest = path.partition(":")
    members = [Path(p) for p in rest.split("|")]
    if colon and rest and all(p.exists() for p in members):
        return f"{lead}:{'|'.join(str(p.resolve()) for p in members)}"
    return str(Path(path).resolve()) if Path(path).exists() else path


def _absolute_files(opened: Opened) -> dict[str, Any]:
    """A reader's options; those that name files, by their absolute names."""
    spec = registry().find("format", opened.reader)
    files = {o.key for o in spec.options if o.metavar == "FILE"}
    return {
        key: _absolute(value) if key in files and isinstance(value, str) else value
        for key, value in opened.options.items()
    }


def unpack(kit: Kit, threads: int | None = 1) -> Job:
    """The job that a kit is about, on this machine.

    Raises:
        BundleError: the bundle was changed on its way.
        WorkerDiffers: the weights or what runs them are not those of the kit.
    """
    recipe = kit.recipe
    image = open_image(kit.opened.path, reader=kit.opened.reader, **kit.opened.options)
    name: str | Path = recipe.model
    if kit.bundle:
        name = _unzipped(kit.bundle)
    loading = {**recipe.loading, "threads": recipe.loading.get("threads") or threads}
    if kit.runtime["name"] in {s.name for s in registry().specs("runtime")}:
        # the choice was made where the run began
        loading |= {"runtime": kit.runtime["name"], "precision": kit.runtime["precision"]}
    accepted = (*recipe.accepted, recipe.model)
    model = load_model(name, accept_license=accepted, **loading)
    if model.weights_hash != kit.weights_hash:
        raise WorkerDiffers(
            f"has other weights of {recipe.model}: install the same version everywhere"
        )
    here = _runtime(model.describe())
    if here != kit.runtime:
        raise WorkerDiffers(
            f"runs {_said(here)}, the run was begun with {_said(kit.runtime)}: use machines that "
            "are alike"
        )
    generator = None
    if recipe.auto is not None:
        spec = registry().find("prompt-generator", recipe.auto)
        generator = registry().load(spec, **recipe.auto_options)
    return Job(image, model, Intensity.from_record(kit.intensity), kit.prompts, generator)


# On the worker.

_kits: dict[str, Kit] = {}
_jobs: dict[str, Job | SamovarError] = {}
"""By kit: what was made of it, or why nothing could be."""
_opening = threading.Lock()
_own = threading.local()


def look_remotely(kit: str, step: Step) -> Look:
    """Look at one tile on a worker; its errors travel as ours."""
    with _opening:
        if kit not in _jobs:
            _jobs[kit] = _begun(_kits[kit])
    job = _jobs[kit]
    if isinstance(job, SamovarError):
        raise job
    if getattr(_own, "kit", None) != kit:
        # a generator may keep notes between its two calls
        _own.kit, _own.generator = kit, copy.copy(job.generator)
    look = look_at(replace(job, generator=_own.generator), step)
    if look.error is not None and not isinstance(look.error, SamovarError):
        return replace(look, error=PluginError(f"tile {look.key}: {one_line(look.error)}"))
    return look


def _begun(kit: Kit) -> Job | SamovarError:
    """What this worker makes of a kit, once: an error is the same for the next tile."""
    try:
        return unpack(kit)
    except (WorkerDiffers, BundleError) as error:
        here = import_module("distributed").get_worker().address
        differs = WorkerDiffers(f"worker {here} {error}")
        differs.worker = here
        return differs


def receive(kit: Kit) -> None:
    """Keep a kit on this worker."""
    _kits[kit.id] = kit


def forget(kit: str) -> None:
    """The run is over: let go of the kit, the image, the model and its files."""
    _kits.pop(kit, None)
    job = _jobs.pop(kit, None)
    bundle = None if job is None else getattr(getattr(job, "model", None), "bundle", None)
    if bundle is not None and bundle.folder.name.startswith(UNPACKED):
        shutil.rmtree(bundle.folder, ignore_errors=True)


def _runtime(model: Any) -> dict[str, Any]:
    runtime = dict(model.get("runtime", {}))
    return {k: runtime.get(k) for k in ("name", "version", "precision", "instruction_set")}


def _said(runtime: dict[str, Any]) -> str:
    return " ".join(str(v) for v in runtime.values() if v)


def _zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            info = zipfile.ZipInfo(file.relative_to(folder).as_posix())
            archive.writestr(info, file.read_bytes())
    return buffer.getvalue()


def _unzipped(data: bytes) -> Path:
    """A folder with a shipped bundle, removed when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix=UNPACKED))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(folder)
    return folder
