"""The decoder over fake graphs: batches, selection, embeddings, errors."""

from __future__ import annotations

import numpy as np
import pytest

from graph_fakes import (
    CELLS,
    FakeClassicDecoder,
    FakeMaskDecoder,
    FakePromptEncoder,
    bundle,
    embedding,
)
from samovar.decoding import SamDecoder
from samovar.errors import BundleError, PluginError, PromptError
from samovar.faces import ClassicFace, TwoFaces
from samovar.prompts import Prompt, Prompts
from samovar.protocols import Decoder
from samovar.selection import Selection

BOX = (8.0, 8.0, 40.0, 48.0)


class Two:
    """A decoder with two fake faces, and the graphs to look into."""

    def __init__(self, prompt_encoder=None, mask_decoder=None, **changes):
        self.prompt_encoder = prompt_encoder or FakePromptEncoder()
        self.mask_decoder = mask_decoder or FakeMaskDecoder()
        self.bundle = bundle(**changes)
        face = TwoFaces(self.prompt_encoder, self.mask_decoder, self.bundle.taps)
        self.decoder = SamDecoder(self.bundle, face)

    def ask(self, *prompts, of=None):
        return self.decoder.decode(of or embedding(), Prompts(prompts))


def classic(graph=None, **changes):
    graph = graph or FakeClassicDecoder()
    record = bundle(roles={"encoder": "e.onnx", "decoder": "d.onnx"}, **changes)
    return SamDecoder(record, ClassicFace(graph, record.mask_size, {})), graph


def points(number, *labels):
    return Prompt(number, points=tuple((float(i), 5.0) for i in range(len(labels))), labels=labels)


def test_it_is_a_decoder():
    assert isinstance(Two().decoder, Decoder)
    kinds = Two().decoder.prompt_kinds
    assert kinds == {"box", "point", "negative-point", "mask", "sparse", "dense"}
    assert Two(prompt_kinds=("box",)).decoder.prompt_kinds == {"box", "sparse", "dense"}


def test_masks_come_in_the_order_of_the_prompts_with_their_numbers():
    two = Two()
    masks = two.ask(points(7, 1, 1), Prompt(3, box=BOX), points(5, 1), points(9, 1, 1))
    assert masks.ids == (7, 3, 5, 9)
    assert len(masks.masks) == len(masks.quality) == len(masks.stability) == 4
    assert masks.low_res.shape == (4, CELLS, CELLS)


def test_objects_of_equal_length_are_asked_together_and_never_padded_to_others():
    two = Two()
    two.ask(points(1, 1, 1), Prompt(2, box=BOX), points(3, 1), points(4, 1, 1))
    shapes = sorted(call["point_coords"].shape for call in two.prompt_encoder.calls)
    assert shapes == [(2, 2, 2), (2, 3, 2)]
    for call in two.prompt_encoder.calls:
        assert ((call["point_labels"] == -1).sum(axis=1) <= 1).all()


def test_large_batches_are_cut(monkeypatch):
    monkeypatch.setattr("samovar.decoding.MOST_AT_ONCE", 3)
    two = Two()
    masks = two.ask(*(Prompt(i, box=BOX) for i in range(1, 9)))
    assert [len(c["point_coords"]) for c in two.prompt_encoder.calls] == [3, 3, 2]
    assert masks.ids == tuple(range(1, 9))


def test_memory_bounds_the_batch(monkeypatch):
    monkeypatch.setattr("samovar.decoding.MEMORY", 16 * embedding().nbytes * 2)
    two = Two()
    two.ask(*(Prompt(i, box=BOX) for i in range(1, 5)))
    assert [len(c["point_coords"]) for c in two.prompt_encoder.calls] == [2, 2]


def test_the_first_mask_reaches_the_picture_unaltered():
    masks = Two().ask(Prompt(1, box=(30.0, 30.0, 34.0, 34.0)))
    region = masks.masks[0].region
    assert (region.start, region.stop) == ((0, 0), (8, 64)), (
        "2 cells of 4 px; the box clips nothing"
    )
    assert masks.masks[0].inside.all()


def test_selection_follows_the_situation():
    rule = Selection(box="first", point="best-quality")
    masks = Two(mask_selection=rule).ask(Prompt(1, box=BOX), points(2, 1), points(3, 1, 0))
    assert [m.region.stop[0] for m in masks.masks] == [8, 20, 8]
    assert masks.quality.tolist() == pytest.approx([0.4, 1.0, 0.4]), "1.2 is clipped to 1"


def test_stability_selects_the_steepest_mask():
    masks = Two(mask_selection=Selection("stability")).ask(Prompt(1, box=BOX))
    assert masks.masks[0].region.stop[0] == 16
    assert masks.stability[0] == 1.0


def test_the_threshold_is_the_bundle_s():
    low = Two(mask_threshold=-2.0).ask(Prompt(1, box=BOX))
    assert low.masks[0].region.stop[0] == 16, "the logit falls by 1 a cell of 4 px"


def test_a_mask_prompt_is_fed_with_its_flag():
    two = Two()
    prior = np.full((CELLS, CELLS), 3.0, dtype=np.float32)
    two.ask(Prompt(1, box=BOX, mask=prior), Prompt(2, box=BOX))
    [call] = two.prompt_encoder.calls
    assert call["has_mask_input"].tolist() == [[1.0], [0.0]]
    assert call["mask_input"][0].min() == 3
    assert call["mask_input"][1].max() == 0


def test_has_mask_input_follows_the_declared_rank():
    flat = FakePromptEncoder(inputs={**FakePromptEncoder.inputs, "has_mask_input": ("n",)})
    Two(flat).ask(Prompt(1, box=BOX))
    assert flat.calls[0]["has_mask_input"].shape == (1,)


def test_learned_sparse_embeddings_are_added():
    two = Two()
    learned = np.ones((2, 3), dtype=np.float32)
    two.ask(Prompt(1, box=BOX, sparse=learned), Prompt(2, box=BOX))
    shapes = sorted(c["sparse_embeddings"].shape for c in two.mask_decoder.calls)
    assert shapes == [(1, 2, 3), (1, 4, 3)]


def test_learned_sparse_embeddings_alone_come_without_a_padding_token():
    two = Two()
    learned = np.full((2, 3), 0.5, dtype=np.float32)
    two.ask(Prompt(1, sparse=learned))
    np.testing.assert_array_equal(two.mask_decoder.calls[0]["sparse_embeddings"][0], learned)


def test_a_learned_dense_embedding_replaces_that_of_the_mask():
    two = Two()
    learned = np.full((1, 2, 2), 7.0, dtype=np.float32)
    two.ask(Prompt(1, box=BOX, dense=learned), Prompt(2, box=BOX))
    dense = two.mask_decoder.calls[0]["dense_embeddings"]
    assert dense[0].min() == 7
    assert dense[1].max() == 0


def test_graphs_without_taps_or_masks_work():
    plain = FakePromptEncoder(
        inputs={k: v for k, v in FakePromptEncoder.inputs.items() if "mask" not in k}
    )
    plain.compute = lambda feeds: FakePromptEncoder.compute(
        plain, {**feeds, "mask_input": np.zeros((len(feeds["point_coords"]), 1, 1, 1))}
    )
    bare = FakeMaskDecoder(
        inputs={k: v for k, v in FakeMaskDecoder.inputs.items() if k != "features_s8"}
    )
    two = Two(plain, bare)
    assert len(two.ask(Prompt(1, box=BOX))) == 1
    assert "mask" not in two.decoder.prompt_kinds
    with pytest.raises(PromptError, match="mask"):
        two.ask(Prompt(1, mask=np.zeros((CELLS, CELLS), dtype=np.float32)))


def test_a_fixed_number_of_tokens_is_filled_up_and_not_exceeded():
    fixed = FakePromptEncoder(inputs={**FakePromptEncoder.inputs, "point_coords": ("n", 4, 2)})
    two = Two(fixed)
    two.ask(Prompt(1, box=BOX))
    assert fixed.calls[0]["point_labels"].tolist() == [[2, 3, -1, -1]]
    with pytest.raises(PromptError, match="at most 4 tokens"):
        two.ask(points(1, 1, 1, 1, 1))


def test_graphs_for_one_object_are_asked_one_by_one():
    single = FakePromptEncoder(inputs={**FakePromptEncoder.inputs, "point_coords": (1, "p", 2)})
    Two(single).ask(Prompt(1, box=BOX), Prompt(2, box=BOX))
    assert [len(c["point_coords"]) for c in single.calls] == [1, 1]


def test_no_prompts_give_no_masks():
    masks = Two().ask()
    assert len(masks) == 0
    assert masks.low_res.shape == (0, CELLS, CELLS)


@pytest.mark.parametrize(
    ("prompt", "changes", "named"),
    [
        (Prompt(4), {}, "object 4 says nothing"),
        (points(4, 1), {"prompt_kinds": ("box",)}, "does not take point"),
        (points(4, 1, 1, 0), {"max_points": 2}, "at most 2"),
        (Prompt(4, mask=np.zeros((3, 3), dtype=np.float32)), {}, "mask frame"),
    ],
)
def test_what_it_does_not_understand_is_said(prompt, changes, named):
    with pytest.raises(PromptError, match=named):
        Two(**changes).ask(prompt)


def test_nan_is_an_error_and_no_mask():
    two = Two(mask_decoder=FakeMaskDecoder(slope=(np.nan, 1, 1, 1)))
    with pytest.raises(PluginError, match="NaN"):
        two.ask(Prompt(1, box=BOX))


def test_a_graph_that_breaks_its_contract_is_named():
    odd = FakeMaskDecoder()
    odd.compute = lambda feeds: {
        "low_res_masks": np.zeros((5, 4, CELLS, CELLS)), "iou_predictions": np.zeros((5, 4))
    }  # fmt: skip
    with pytest.raises(PluginError, match="asked about 1 objects"):
        Two(mask_decoder=odd).ask(Prompt(1, box=BOX))


@pytest.mark.parametrize(
    ("graphs", "named"),
    [
        ({"mask_decoder": FakeMaskDecoder(inputs={"image_pe": (1,)})}, "image_pe"),
        ({"mask_decoder": FakeMaskDecoder(outputs={"masks": (1,)})}, "low_res_masks"),
        ({"prompt_encoder": FakePromptEncoder(inputs={"boxes": (1, 4)})}, "point_coords"),
        (
            {"prompt_encoder": FakePromptEncoder(
                inputs={**FakePromptEncoder.inputs, "point_coords": (3, "p", 2)})},
            "exactly 3 objects",
        ),
    ],
)  # fmt: skip
def test_graphs_that_do_not_fit_are_refused_when_loaded(graphs, named):
    with pytest.raises(BundleError, match=named):
        Two(**graphs)


def test_the_mask_of_a_view_becomes_a_prompt_in_the_frame():
    decoder = Two().decoder
    logits = decoder.mask_prompt(np.ones((64, 64), dtype=bool), embedding())
    assert logits.shape == (CELLS, CELLS)
    assert logits.min() == 6
    with pytest.raises(PromptError, match="same pixels"):
        decoder.mask_prompt(np.ones((3, 3), dtype=bool), embedding())


def test_the_classic_export_is_asked_one_prompt_at_a_time():
    decoder, graph = classic()
    masks = decoder.decode(embedding((100, 60), (64, 38)), Prompts((points(1, 1), points(2, 1, 0))))
    first, second = graph.calls
    assert first["point_coords"].shape == (1, 2, 2)
    assert second["point_labels"].tolist() == [[1, 0, -1]]
    assert first["mask_input"].shape == (1, 1, CELLS, CELLS)
    assert first["has_mask_input"].tolist() == [0.0]
    assert first["orig_im_size"].tolist() == [16.0, 9.0], "no larger than what is used of it"
    assert masks.quality.tolist() == pytest.approx([0.8, 0.8])


def test_the_classic_export_takes_no_learned_embeddings():
    decoder, _ = classic()
    assert decoder.prompt_kinds == {"box", "point", "negative-point", "mask"}
    with pytest.raises(PromptError, match="sparse"):
        decoder.decode(embedding(), Prompts((Prompt(1, sparse=np.ones((1, 3))),)))


def test_a_classic_export_with_nothing_but_full_masks_gives_the_same_object():
    prompt = Prompt(1, box=(4.0, 0.0, 20.0, 20.0))  # x0 → 8 of the 128 frame: 8 of 16 rows
    both, _ = classic()
    outputs = {k: v for k, v in FakeClassicDecoder.outputs.items() if k != "low_res_masks"}
    only, graph = classic(FakeClassicDecoder(outputs=outputs))
    wanted = both.decode(embedding(), Prompts((prompt,))).masks[0]
    got = only.decode(embedding(), Prompts((prompt,))).masks[0]
    assert wanted.region.stop == (32, 64)
    assert got.region == wanted.region
    assert graph.calls[0]["orig_im_size"].tolist() == [64.0, 64.0]
