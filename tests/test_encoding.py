"""Pictures to embeddings: batches, contract, bytes."""

from __future__ import annotations

import numpy as np
import pytest

from graph_fakes import FakeGraph, bundle
from samovar.encoding import BundleEncoder, ModelEncoder
from samovar.errors import BundleError, InputError, PluginError
from samovar.protocols import Encoder
from samovar.resize import Normalisation, Preparation

PLAIN = Preparation((8, 8), (8, 8), normalisation=Normalisation("none"))


class FakeEncoderGraph(FakeGraph):
    """The embedding is the mean of each picture."""

    def __init__(self, **changes):
        super().__init__(
            inputs={"image": ("batch", 3, 64, 64)},
            outputs={"out": ("batch", 1, 1), "features_s8": ("batch", 1), "spare": ("batch", 1)},
        )
        vars(self).update(changes)

    def compute(self, feeds):
        mean = feeds["image"].mean(axis=(1, 2, 3))
        return {"out": mean[:, None, None], "features_s8": mean[:, None], "spare": mean[:, None]}


class MeanEncoder:
    """Counts its calls."""

    def __init__(self, answer=None):
        self.shapes, self.answer = [], answer

    def encode(self, pictures):
        self.shapes.append(pictures.shape)
        if self.answer is not None:
            return self.answer
        return {"image_embeddings": pictures.mean(axis=(2, 3), keepdims=True)}


def grey(value, rows=8, columns=8):
    return np.full((3, rows, columns), value, dtype=np.float32)


def test_a_bundle_s_encoder_names_its_outputs_as_the_bundle_says():
    graph = FakeEncoderGraph()
    encoder = BundleEncoder(bundle(embedding_name="out"), graph)
    assert isinstance(encoder, Encoder)
    made = encoder.encode(np.ones((2, 3, 64, 64), dtype=np.float32))
    assert {name: array.shape for name, array in made.items()} == {
        "image_embeddings": (2, 1, 1),
        "features_s8": (2, 1),
    }


@pytest.mark.parametrize(
    ("graph", "named"),
    [
        (FakeEncoderGraph(inputs={"image": (1,), "size": (1,)}), "one input"),
        (FakeEncoderGraph(outputs={"out": (1,)}), "features_s8"),
    ],
)
def test_an_encoder_that_does_not_fit_its_record_is_refused(graph, named):
    with pytest.raises(BundleError, match=named):
        BundleEncoder(bundle(embedding_name="out"), graph)


def test_every_picture_gets_its_own_embedding_and_fit():
    encoder = ModelEncoder(MeanEncoder(), PLAIN, "m@1")
    first, second = encoder.encode([grey(10), grey(20, 4, 8)])
    assert first.arrays["image_embeddings"].shape == (1, 3, 1, 1)
    assert first.arrays["image_embeddings"].max() == 10
    assert second.arrays["image_embeddings"].max() == 10, "half of it is padding"
    assert (first.fit.content, second.fit.content) == ((8, 8), (4, 8))
    assert first.model == "m@1"


def test_batches_are_as_large_as_allowed():
    one, many = MeanEncoder(), MeanEncoder()
    pictures = [grey(i) for i in range(5)]
    alone = ModelEncoder(one, PLAIN, "m@1").encode(pictures)
    together = ModelEncoder(many, PLAIN, "m@1", batch=2).encode(pictures)
    assert [s[0] for s in one.shapes] == [1] * 5
    assert [s[0] for s in many.shapes] == [2, 2, 1]
    assert [e.arrays["image_embeddings"].max() for e in alone] == [0, 1, 2, 3, 4]
    assert [e.arrays["image_embeddings"].max() for e in together] == [0, 1, 2, 3, 4]


def test_embeddings_cannot_be_written_to():
    [embedding] = ModelEncoder(MeanEncoder(), PLAIN, "m@1").encode([grey(1)])
    with pytest.raises(ValueError, match="read-only"):
        embedding.arrays["image_embeddings"][...] = 0


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ({"features": np.ones((1, 1))}, "image_embeddings"),
        (np.ones((1, 1)), "image_embeddings"),
        ({"image_embeddings": np.ones((2, 1))}, "first axis"),
        ({"image_embeddings": np.full((1, 1), np.nan)}, "NaN"),
    ],
)
def test_a_broken_contract_names_the_model(answer, named):
    with pytest.raises(PluginError, match=f"acme/big.*{named}"):
        ModelEncoder(MeanEncoder(answer), PLAIN, "acme/big@1").encode([grey(1)])


def test_what_is_no_picture_is_an_input_error():
    with pytest.raises(InputError):
        ModelEncoder(MeanEncoder(), PLAIN, "m@1").encode([np.zeros((4, 4), dtype=np.float32)])
