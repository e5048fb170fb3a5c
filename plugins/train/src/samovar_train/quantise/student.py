"""Student: the graphs of a bundle as one trainable model, rounded where int8 will round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from samovar_train.quantise.interpreter import GraphModule, Rounding

EMBEDDING = "image_embeddings"


class Student(nn.Module):
    """Encoder and decoder graphs; those without a rounding are in float.

    Args:
        graphs: role → ``onnx.ModelProto``: ``encoder`` and ``decoder``, or ``encoder``,
            ``prompt_encoder`` and ``mask_decoder``.
        roundings: by role.
        embedding: the encoder's name for the embedding.
    """

    def __init__(
        self, graphs: Mapping[str, Any], roundings: Mapping[str, Rounding], embedding: str
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.roles = nn.ModuleDict(
            {role: GraphModule(graph, roundings.get(role)) for role, graph in graphs.items()}
        )

    def encode(self, picture: Tensor) -> dict[str, Tensor]:
        """``(1, 3, rows, columns)`` → the embedding under the decoder's name, and the taps."""
        [name] = self.graph("encoder").inputs
        made = dict(self.graph("encoder")({name: picture}))
        made[EMBEDDING] = made.pop(self.embedding)
        return made

    def answer(
        self, embeddings: Mapping[str, Tensor], prompts: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Logits ``(N, M, h, w)`` and predicted quality ``(N, M)`` of N prompts."""
        offered = {**embeddings, **prompts}
        if "decoder" in self.roles:
            made = self.run("decoder", offered)
        else:
            made = self.run("mask_decoder", {**offered, **self.run("prompt_encoder", offered)})
        return made["low_res_masks"], made["iou_predictions"]

    def run(self, role: str, offered: Mapping[str, Tensor]) -> dict[str, Tensor]:
        graph = self.graph(role)
        return graph({name: offered[name] for name in graph.inputs})

    def graph(self, role: str) -> GraphModule:
        module = self.roles[role]
        assert isinstance(module, GraphModule)
        return module
