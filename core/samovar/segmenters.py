"""Segmenters: whole models in one, loaded by name or from a folder, and asked as a whole.

The escape hatch of the road. A model whose encoding depends on the prompt, or that looks at 128³
voxels at once, is given the image and the prompts and answers objects; views, embeddings and
decoders have no part in it. What comes out goes the way of all objects: links apart, to the same
writers, tables, previews and manifests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from samovar.catalogue import Found, find_segmenter
from samovar.errors import PromptError, UsageError
from samovar.image import Image
from samovar.licences import require_accepted, restriction
from samovar.plugins import registry
from samovar.prompts import Prompts, describe
from samovar.protocols import RuntimeInfo, Segmenter
from samovar.runtimes import choose_runtime
from samovar.segmenter_bundle import SegmenterBundle
from samovar.specs import SegmenterSpec


@dataclass(frozen=True, eq=False)
class SegmenterModel:
    """A loaded segmenter."""

    name: str
    """Canonical name, or the bundle's own for a folder."""
    weights_hash: str
    segmenter: Segmenter
    spec: SegmenterSpec
    runtime_info: RuntimeInfo
    bundle: SegmenterBundle | None = None

    def describe(self) -> dict[str, Any]:
        """What a manifest records: names, hash, licences, runtime."""
        runtime = asdict(self.runtime_info)
        code, weights = _licences(self.spec, self.bundle)
        return {
            "name": self.name,
            "version": self.bundle.version if self.bundle else "",
            "segmenter": self.spec.canonical,
            "weights_sha256": self.weights_hash,
            "settings": dict(self.bundle.settings) if self.bundle else {},
            "licence": {"code": code or "unknown", "weights": weights or "unknown"},
            "prompt_kinds": sorted(self.spec.prompt_kinds),
            "runtime": {"name": runtime.pop("runtime"), **runtime},
        }

    def close(self) -> None:
        """Let everything go. Using the model afterwards is an error."""
        release = getattr(self.segmenter, "close", None)
        if release is not None:
            release()


def segmenter_spec(model: object) -> SegmenterSpec | None:
    """The spec of a segmenter, loaded or by name or folder; None for any other model."""
    if isinstance(model, SegmenterModel):
        return model.spec
    found = find_segmenter(model) if isinstance(model, str | Path) else None
    return None if found is None else found.spec  # type: ignore[return-value]


def load_segmenter(
    name_or_path: str | Path,
    *,
    runtime: str = "default",
    precision: str = "auto",
    threads: int | None = None,
    device: str = "cpu",
    accept_license: Sequence[str] = (),
    region_decode: str = "auto",
) -> SegmenterModel:
    """Load a segmenter by the name that a plugin gave it, or from its bundle's folder.

    Args:
        name_or_path: ``"distribution/name"``, a short name, or a folder with ``bundle.json``.
        runtime, precision, threads, device: of its graphs; see :func:`samovar.models.load_model`.
        accept_license: names of models or licences whose restricted weights are accepted.
        region_decode: there for the sake of one signature: ``on`` is refused.

    Raises:
        UsageError: an unknown name, one without weights, a licence not accepted, or an option that
            segmenters do not have.
        BundleError: the bundle is broken or was tampered with.
        DependencyError, PluginError: the runtime or the plugin's code cannot be loaded.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"--threads is {threads}: give 1 or more")
    found = find_segmenter(name_or_path)
    if found is None or not isinstance(found.spec, SegmenterSpec):
        raise UsageError(f"no segmenter {str(name_or_path)!r}: `samovar models list` shows them")
    spec = found.spec
    _refuse(spec, runtime, region_decode)
    if found.folder is None and not spec.runs:
        raise UsageError(
            f"{spec.canonical} comes without weights: `samovar models pull {spec.name}` fetches "
            "them where they can be fetched and says what to type then"
        )
    bundle = None if found.folder is None else SegmenterBundle.read(found.folder)
    _check_licence(found, bundle, accept_license, str(name_or_path))
    if bundle is None:
        given = {"threads": threads, "device": device, "precision": precision}
        mine = {o.key for o in spec.options}
        target = registry().load(spec, **{k: v for k, v in given.items() if k in mine})
        return SegmenterModel(
            spec.canonical, spec.sha256 or f"unknown-{spec.canonical}", target, spec, _unknown(spec)
        )
    return _from_bundle(SegmenterBundle.load(bundle.folder), found, runtime, precision, threads,
                        device)  # fmt: skip


def _from_bundle(
    bundle: SegmenterBundle,
    found: Found,
    runtime: str,
    precision: str,
    threads: int | None,
    device: str,
) -> SegmenterModel:
    spec = found.spec
    assert isinstance(spec, SegmenterSpec)
    if precision not in ("auto", bundle.precision):
        raise UsageError(
            f"{bundle.folder}: segmenter {bundle.name!r} has precision {bundle.precision}, not "
            f"{precision}: leave --precision at auto"
        )
    paths = {role: bundle.graph(role) for role in spec.graphs}
    suffixes = sorted({path.suffix.lower() for path in paths.values()})
    chosen = choose_runtime(runtime, bundle.precision, suffixes)
    opener = registry().load(chosen)
    graphs = {
        role: opener.load(path, threads=threads, device=device, precision=bundle.precision)
        for role, path in paths.items()
    }
    target = registry().load(spec, graphs=graphs, settings=bundle.settings)
    info = next(iter(graphs.values())).info if graphs else _unknown(spec)
    name = bundle.name if not spec.bundle else spec.canonical
    return SegmenterModel(name, bundle.weights_hash, target, spec, info, bundle)


def check_asked(spec: SegmenterSpec, image: Image, prompts: Prompts | None, model: str) -> None:
    """Refuse an image or prompts that a segmenter does not take.

    Raises:
        UsageError: an image of other dimensions, or nothing to look for.
        PromptError: prompts of a kind that it does not take.
    """
    if image.grid.ndim not in spec.dimensions:
        words = ("a picture", "volumes") if image.grid.ndim == 2 else ("a volume", "pictures")
        raise UsageError(
            f"{image.info.source}: is {words[0]}, and {model} segments {words[1]} only: choose "
            "another --model (`samovar models list` shows them)"
        )
    if not spec.needs_prompts:
        if prompts is not None:
            raise PromptError(
                f"{model} takes no prompts, it finds all that it knows: leave --box, --point and "
                "--prompts out"
            )
        return
    if prompts is None:
        raise UsageError("nothing to look for: give a box, a point or a prompt file")
    for prompt in prompts:
        kinds = prompt.kinds | ({"mask"} if prompt.painted else set())
        unknown = sorted(kinds - set(spec.prompt_kinds))
        if unknown:
            raise PromptError(
                f"{describe(prompt)}: {model} does not take {', '.join(unknown)} prompts; it "
                f"takes {', '.join(sorted(spec.prompt_kinds))}"
            )


def _refuse(spec: SegmenterSpec, runtime: str, region_decode: str) -> None:
    if region_decode == "on":
        raise UsageError(
            f"{spec.canonical} has no region-of-interest decoder: leave --region-decode at auto"
        )
    if runtime == "auto":
        raise UsageError(
            f"--runtime auto times models with an encoder; {spec.canonical} has none: leave it "
            "out, or name one (`samovar runtimes` lists them)"
        )


def _check_licence(
    found: Found, bundle: SegmenterBundle | None, accepted: Sequence[str], asked: str
) -> None:
    """A folder that somebody names is theirs; only a restriction that it states is asked about."""
    spec = found.spec
    assert isinstance(spec, SegmenterSpec)
    _, licence = _licences(spec, bundle)
    own = bundle is not None and not spec.bundle
    if own and restriction(licence) == restriction(""):
        return
    names = (spec.name, spec.canonical, asked, *([bundle.name] if bundle else []))
    require_accepted(bundle.name if bundle else spec.name, names, licence, accepted)


def _licences(spec: SegmenterSpec, bundle: SegmenterBundle | None) -> tuple[str, str]:
    """Of code and of weights; a folder's own count before the spec's."""
    if bundle is None:
        return spec.code_licence, spec.weights_licence
    return bundle.code_licence or spec.code_licence, bundle.weights_licence


def _unknown(spec: SegmenterSpec) -> RuntimeInfo:
    return RuntimeInfo(spec.distribution, "", "unknown", "unknown", 0, "unknown")
