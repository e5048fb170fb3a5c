"""Every system of the registry as the host's ``Architecture``: roles, weights in, bundle out.

``samovar_encoders.architectures:mobile_sam`` builds ``mobile-sam``; there is one such function for
every name of the registry, and the specs of this distribution name them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samovar.bundle import Bundle
from samovar.bundle_files import FILE_NAME
from samovar.resize import Preparation
from samovar.segmenter_bundle import SegmenterBundle

from .model_record import ModelRecord
from .registry import RECORDS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .checkpoint import Source


class SamArchitecture:
    """The :class:`samovar.protocols.Architecture` of one record."""

    def __init__(self, record: ModelRecord) -> None:
        self.record, self.name = record, record.name
        self.module = record.build().eval()
        self.lora_targets = record.lora_targets
        self._sources: tuple[Source, ...] = ()

    @property
    def preparation(self) -> Preparation:
        """The host's rules for its pictures."""
        from .importing import preparation

        return preparation(self.record)

    @property
    def roles(self) -> tuple[str, ...]:
        """The graphs of its bundle; a model that can be none has its encoder alone."""
        from .roles import roles_of

        return roles_of(self.record)

    def role(self, role: str) -> nn.Module:
        """The module of one graph; it shares its weights with ``module``."""
        from .roles import role_module

        return role_module(self.module, self.record, role)

    def names(self, role: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of a graph's inputs and outputs."""
        from .roles import names_of

        inputs, outputs = names_of(self.module, self.record, role)
        return tuple(inputs), tuple(outputs)

    def samples(self, role: str, prompts: int, points: int, seed: int = 0) -> tuple[Tensor, ...]:
        """Random inputs of a role."""
        from .roles import sample_inputs

        return sample_inputs(self.module, self.record, role, prompts, points, seed)

    def load(self, paths: Sequence[str | Path]) -> None:
        """Weights of official checkpoints, or those in the graphs of a bundle's folder.

        Raises:
            CheckpointError: a file that cannot be read, or is another model's.
            BundleError: the folder holds no bundle that is whole.
        """
        from .checkpoint import fill_from_files, fill_from_graphs

        if len(paths) == 1 and (Path(paths[0]) / FILE_NAME).is_file():
            kind = SegmenterBundle if self.record.segmenter else Bundle
            bundle = kind.load(paths[0])
            graphs = [bundle.graph(role) for role in self.roles]
            self._sources = fill_from_graphs(self.module, self.record, graphs)
        else:
            self._sources, _ = fill_from_files(self.module, self.record, paths)

    def export(self, folder: str | Path) -> Bundle | SegmenterBundle:
        """The graphs, compared with torch, as a bundle. Raises ExportError, OutputError."""
        from .checkpoint import Imported
        from .importing import refuse_what_cannot_be_a_bundle, write_bundle

        refuse_what_cannot_be_a_bundle(self.record)
        return write_bundle(Imported(self.record, self.module, self._sources), folder)


def function_name(record: ModelRecord) -> str:
    """``sam2.1-b+`` → ``sam2_1_b_plus``: what builds it here."""
    return record.name.replace("+", "_plus").replace("-", "_").replace(".", "_")


def __getattr__(name: str) -> Callable[[], Any]:
    for record in RECORDS.values():
        if function_name(record) == name:
            return partial(SamArchitecture, record)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
