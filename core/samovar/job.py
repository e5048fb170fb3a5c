"""Job: all that one segmentation is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from samovar.cache import EmbeddingCache
from samovar.chains import Following
from samovar.embedding import Embedding
from samovar.executor import CancelToken, ProgressCallback
from samovar.image import Image
from samovar.intensity import Intensity
from samovar.prompts import Prompts
from samovar.protocols import Decoder, PromptGenerator
from samovar.segmenters import SegmenterModel


class PipelineModel(Protocol):
    """What the pipeline needs of a model (``samovar.models.Model`` has it)."""

    @property
    def decoder(self) -> Decoder: ...

    @property
    def weights_hash(self) -> str: ...

    def encode(self, pictures: Sequence[NDArray[np.float32]]) -> list[Embedding]: ...

    def describe(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, eq=False)
class Job:
    """All that one segmentation is about."""

    image: Image
    model: PipelineModel
    intensity: Intensity
    prompts: Prompts | None = None
    """In index coordinates, checked; None with a generator."""
    generator: PromptGenerator | None = None
    cache: EmbeddingCache | None = None
    cancel: CancelToken | None = None
    progress: ProgressCallback | None = None
    following: Following | None = None
    """How prompted objects of a volume are followed; None: as :class:`Following` has it."""


@dataclass(frozen=True, eq=False)
class WholeJob:
    """All that one segmentation by a segmenter, a whole model in one, is about."""

    image: Image
    model: SegmenterModel
    intensity: Intensity
    prompts: Prompts | None = None
    """In index coordinates, checked; None for a segmenter that takes none."""
    cancel: CancelToken | None = None
    progress: ProgressCallback | None = None


@dataclass(frozen=True)
class Recipe:
    """How to have a job's model and generator again, in another process."""

    model: str
    """Name or folder; empty for a model that was handed over loaded."""
    loading: Mapping[str, Any]
    """Runtime, precision, threads, device: keywords of :func:`samovar.models.load_model`."""
    accepted: tuple[str, ...] = ()
    auto: str | None = None
    auto_options: Mapping[str, Any] = field(default_factory=dict)
