"""Asked: what is asked of one image, the fields of ``samovar.segment`` and its kin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from samovar.cache import EmbeddingCache
from samovar.chains import Following
from samovar.errors import PromptError
from samovar.executor import CancelToken, ProgressCallback
from samovar.formats import read_prompts
from samovar.image import Image
from samovar.job import PipelineModel
from samovar.prompts import Prompt, Prompts, Space
from samovar.segmenters import SegmenterModel
from samovar.tile_options import TileOptions

Boxes = Sequence[Sequence[float]] | Mapping[str, Sequence[float]]
Points = Sequence[Sequence[float]] | Mapping[str, Sequence[Sequence[float]]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """What is asked of one image. Every field may be given to ``samovar.segment`` by its name."""

    model: PipelineModel | SegmenterModel | str | Path = "tiny"
    """Loaded, a name, or the folder of a bundle; a segmenter's too."""
    boxes: Boxes | None = None
    """As :func:`make_prompts` takes them; so ``points`` and ``space``."""
    points: Points | None = None
    prompts: Prompts | str | Path | None = None
    """Ready ones, or a prompt file; joined with ``boxes`` and ``points``."""
    auto: str | None = None
    """Name of a prompt generator, instead of prompts."""
    auto_options: Mapping[str, Any] | None = None
    """Of the generator."""
    space: Space = "index"
    modality: str = "auto"
    """See :func:`samovar.intensity.choose_intensity`; so ``window``."""
    window: Sequence[str] = ()
    threads: int | None = None
    """For a model given by name, see :func:`samovar.models.load_model`; so the next five."""
    runtime: str = "default"
    precision: str = "auto"
    device: str = "cpu"
    accept_license: Sequence[str] = ()
    region_decode: str = "auto"
    """Decode boxes over a window around each: ``auto``, ``on`` or ``off``."""
    following: Following | None = None
    """How prompted objects of a volume are followed: axis, extent, anchor, consensus."""
    tiles: TileOptions = field(default_factory=TileOptions)
    """How a raster or picture is worked through: workers, other machines, object size, classes."""
    cache: EmbeddingCache | None = None
    """Keeps embeddings for the next call on the same image."""
    progress: ProgressCallback | None = None
    cancel: CancelToken | None = None

    @property
    def loading(self) -> dict[str, Any]:
        """Keywords of :func:`samovar.models.load_model`, licences apart."""
        return {
            "threads": self.threads, "runtime": self.runtime, "precision": self.precision,
            "device": self.device, "region_decode": self.region_decode,
        }  # fmt: skip

    def prompts_in(self, image: Image) -> Prompts | None:
        """All prompts in index coordinates, numbered anew where two sources are joined.

        Raises:
            PromptError: there is none among them, or one does not fit the image.
            InputError: the prompt file cannot be read.
        """
        sources = []
        if self.boxes is not None or self.points is not None:
            sources.append(make_prompts(self.boxes, self.points, self.space))
        if isinstance(self.prompts, str | Path):
            sources.append(read_prompts(str(self.prompts), image))
        elif self.prompts is not None:
            sources.append(self.prompts)
        if not sources:
            return None
        return _joined(sources, image)


def make_prompts(
    boxes: Boxes | None = None, points: Points | None = None, space: Space = "index"
) -> Prompts:
    """Prompts from plain numbers.

    Args:
        boxes: ``x0, y0[, z0], x1, y1[, z1]`` each, max exclusive; by name or in a list.
        points: by name: all points of one object, each ``x, y[, z]``; in a list: one object each.
            A leading minus marks the negative points of a name:
            ``{"kidney": [(x, y, z)], "-kidney": [(x, y, z)]}``.
        space: ``"index"``, ``"world"`` (LPS mm or the raster's CRS) or ``"ras"``.
    """
    found: dict[str, dict[str, Any]] = {}
    for i, (name, box) in enumerate(_named(boxes)):
        found[name or f"\0box{i}"] = {"name": name, "box": tuple(float(v) for v in box)}
    for i, (name, given) in enumerate(_named(points)):
        sign = 0 if name.startswith("-") else 1
        name = name.removeprefix("-")
        entry = found.setdefault(name or f"\0point{i}", {"name": name})
        many = given if name else [given]
        entry["points"] = (*entry.get("points", ()), *(tuple(float(v) for v in p) for p in many))
        entry["labels"] = (*entry.get("labels", ()), *(sign for _ in many))
    return Prompts(tuple(Prompt(i + 1, **e) for i, e in enumerate(found.values())), space)


def _named(given: Sequence[Any] | Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    if given is None:
        return []
    if isinstance(given, Mapping):
        return list(given.items())
    return [("", value) for value in given]


def _joined(sources: Sequence[Prompts], image: Image) -> Prompts:
    if len(sources) == 1:
        joined = sources[0].to_index(image.grid)
    else:
        every = [p for s in sources for p in s.to_index(image.grid)]
        joined = Prompts(tuple(replace(p, id=i + 1) for i, p in enumerate(every)))
    if not joined.objects:
        raise PromptError("no prompt was given: add --box, --point, --prompts or --auto")
    joined.check(image.grid)
    return joined
