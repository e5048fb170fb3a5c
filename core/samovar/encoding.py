"""Encoding: pictures in, embeddings with their fits out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from samovar.bundle import Bundle
from samovar.embedding import Embedding, Fit
from samovar.errors import BundleError, PluginError
from samovar.faces import EMBEDDING
from samovar.protocols import Encoder, Graph
from samovar.resize import Preparation, prepare


class BundleEncoder:
    """The Encoder protocol over a bundle's ``encoder`` graph.

    Raises:
        BundleError: the graph has not one image input, or lacks the embedding or a tap.
    """

    def __init__(self, bundle: Bundle, graph: Graph) -> None:
        wanted = {EMBEDDING: bundle.embedding_name} | {tap: tap for tap in bundle.taps}
        where = bundle.folder / bundle.roles["encoder"]
        missing = [name for name in wanted.values() if name not in graph.outputs]
        if len(graph.inputs) != 1:
            raise BundleError(
                f"{where}: an encoder has one input, the image; this one has "
                f"{', '.join(graph.inputs)}"
            )
        if missing:
            raise BundleError(
                f"{where}: the encoder does not return {', '.join(missing)}; "
                f"it returns {', '.join(graph.outputs)}"
            )
        ((self._input, shape),) = graph.inputs.items()
        self._graph, self._wanted = graph, wanted
        self.batch = shape[0] if shape and isinstance(shape[0], int) else None

    def encode(self, pictures: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """``(B, 3, S, S)`` → ``image_embeddings`` and taps, each with leading B."""
        out = self._graph.run({self._input: pictures}, list(self._wanted.values()))
        return {
            name: out[theirs].astype(np.float32, copy=False)
            for name, theirs in self._wanted.items()
        }


class ModelEncoder:
    """Prepares pictures by a model's rules, encodes them and cuts the batch into embeddings.

    Args:
        encoder: what does the work.
        preparation: resize policy, normalisation, sizes.
        model: canonical name and weights hash, kept in every embedding.
        batch: pictures a call. One on a CPU: it costs nothing there, and the bytes of an embedding
            then do not depend on its neighbours.
    """

    def __init__(
        self, encoder: Encoder, preparation: Preparation, model: str, batch: int = 1
    ) -> None:
        self._encoder, self.preparation = encoder, preparation
        self._model, self._batch = model, batch

    def encode(self, pictures: Sequence[NDArray[np.float32]]) -> list[Embedding]:
        """Each picture ``(3, rows, columns)`` float32, 0…255 → its embedding, read-only.

        Raises:
            InputError: a picture without three channels.
            PluginError: the encoder fails or breaks its contract.
        """
        embeddings: list[Embedding] = []
        for start in range(0, len(pictures), self._batch):
            batch, fits = prepare(pictures[start : start + self._batch], self.preparation)
            arrays = self._encoder.encode(batch)
            self._check(arrays, len(batch))
            embeddings += [self._cut(arrays, row, fit) for row, fit in enumerate(fits)]
        return embeddings

    def _cut(self, arrays: Mapping[str, NDArray[np.float32]], row: int, fit: Fit) -> Embedding:
        own = {}
        for name, array in arrays.items():
            part = np.array(array[row : row + 1], dtype=np.float32)
            part.setflags(write=False)
            own[name] = part
        return Embedding(own, fit, self._model)

    def _check(self, arrays: Mapping[str, NDArray[np.float32]], count: int) -> None:
        name = self._model.partition("@")[0]
        if not isinstance(arrays, Mapping) or EMBEDDING not in arrays:
            raise PluginError(f"the encoder of {name} returned no {EMBEDDING!r}")
        for key, array in arrays.items():
            if array.ndim < 2 or len(array) != count:
                raise PluginError(
                    f"the encoder of {name} was given {count} pictures and returned {key!r} with "
                    f"shape {array.shape}: the first axis must be the pictures"
                )
        if not np.isfinite(arrays[EMBEDDING]).all():
            raise PluginError(
                f"the encoder of {name} answered NaN or infinity: look for NaN in the image, or "
                "try --precision fp32"
            )
