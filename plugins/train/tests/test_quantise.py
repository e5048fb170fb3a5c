"""Quantisation-aware training: ONNX in torch, rounding, and the three stages."""

from __future__ import annotations

import random
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from onnx.parser import parse_model

from samovar_train.quantise import stages
from samovar_train.quantise.interpreter import GraphModule, Rounding, UnknownOperatorError
from samovar_train.quantise.lesson import Lesson, Question
from samovar_train.quantise.rounding import RoundActivation, RoundWeight
from samovar_train.quantise.stages import rate_at, tune, turned

HEADER = '<ir_version: 9, opset_import: ["" : 20]>\n'
TINY = Path(str(files("samovar_laptop"))) / "bundles" / "tiny"


def graph(text: str, **constants) -> onnx.ModelProto:
    model = parse_model(HEADER + text)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()
    )
    onnx.checker.check_model(model)
    return model


def both(model: onnx.ModelProto, **feeds) -> tuple[dict, dict]:
    """What ONNX Runtime and torch answer."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    wanted = dict(zip(names, session.run(names, feeds), strict=True))
    with torch.no_grad():
        made = GraphModule(model)({k: torch.from_numpy(v) for k, v in feeds.items()})
    return wanted, {k: v.numpy() for k, v in made.items()}


def assert_same(model: onnx.ModelProto, **feeds) -> None:
    wanted, made = both(model, **feeds)
    assert set(wanted) == set(made)
    for name, value in wanted.items():
        assert made[name].shape == value.shape
        np.testing.assert_allclose(made[name], value, atol=1e-5, rtol=1e-4)


X = np.random.default_rng(0).normal(size=(2, 4, 6, 5)).astype(np.float32)

NODES = [
    "y = Resize<mode=\"nearest\", coordinate_transformation_mode=\"asymmetric\", "
    "nearest_mode=\"floor\">(x, , scales)",
    "y = Resize<mode=\"linear\">(x, , scales)",
    "y = DepthToSpace<blocksize=2, mode=\"CRD\">(x)",
    "y = DepthToSpace<blocksize=2, mode=\"DCR\">(x)",
    "y = Gelu(x)",
    "y = HardSwish(x)",
    "y = HardSigmoid<alpha=0.2>(x)",
    "y = Softmax<axis=1>(x)",
    "y = Transpose<perm=[0,2,3,1]>(x)",
    "y = ReduceMean<keepdims=1>(x, last)",
    "y = ReduceMax<keepdims=0>(x, last)",
    "y = GlobalAveragePool(x)",
    "y = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x)",
    "y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(x)",
    "y = Slice(x, one, five, last)",
    "y = Gather<axis=2>(x, pick)",
    "y = Reshape(x, shape)",
    "y = Flatten<axis=2>(x)",
    "a = Squeeze(first, zero) y = Mul(x, a)",
    "a, b = Split<axis=1, num_outputs=2>(x) y = Concat<axis=3>(b, a)",
    "y = Pad(x, pads)",
    "y = Clip(x, low, )",
    "y = Min(x, low)",
    "s = Shape(x) y = Reshape(x, s)",
    "z = Relu(x) e = Exp(x) y = Pow(e, low)",
    "y = Expand(low, shape)",
    "p = Greater(x, low) q = Not(p) y = Cast<to=1>(q)",
    "y = Where(flags, x, low)",
    "y = ConvTranspose<strides=[2,2], kernel_shape=[2,2]>(x, up)",
    "y = Conv<strides=[2,1], pads=[1,0,0,1], kernel_shape=[3,3], group=2>(x, grouped)",
    "y = LayerNormalization<axis=-1>(x, gain, shift)",
]  # fmt: skip


@pytest.mark.parametrize("nodes", NODES)
def test_a_node_in_torch_is_the_node(nodes):
    rng = np.random.default_rng(1)
    constants = {
        "scales": np.array([1, 1, 2, 2], np.float32), "last": np.array([3]),
        "one": np.array([1]), "five": np.array([5]), "pick": np.array([[0, -1], [2, 1]]),
        "shape": np.array([2, 4, 6, 5]), "zero": np.array([0]),
        "first": np.array([2.0], np.float32), "pads": np.array([0, 0, 1, 2, 0, 0, 0, 1]),
        "low": np.float32(0.3), "flags": X[:1] > 0,
        "up": rng.normal(size=(4, 3, 2, 2)).astype(np.float32),
        "grouped": rng.normal(size=(6, 2, 3, 3)).astype(np.float32),
        "gain": rng.normal(size=5).astype(np.float32),
        "shift": rng.normal(size=5).astype(np.float32),
    }  # fmt: skip
    read = nodes.replace("(", " ").replace(")", " ").replace(",", " ").split()
    used = {k: v for k, v in constants.items() if k in read}
    x = X[:, :, :, :4].copy() if "Pool<kernel_shape=[2,2]" in nodes else X
    dims = ",".join(map(str, x.shape))
    text = f"g (float[{dims}] x) => (float[a,b,c,d] y) {{ {nodes} }}"
    rank = {"ReduceMax": "a,b,c", "Gather<": "a,b,c,d,e", "Flatten": "a,b"}
    for kind, axes in rank.items():
        text = text.replace("[a,b,c,d]", f"[{axes}]") if kind in nodes else text
    assert_same(graph(text, **used), x=x)


def test_what_is_not_known_is_named():
    with pytest.raises(UnknownOperatorError, match="Hardmax"):
        GraphModule(graph("g (float[2] x) => (float[2] y) { y = Hardmax<axis=0>(x) }"))


@pytest.mark.parametrize("role", ["encoder", "prompt_encoder", "mask_decoder"])
def test_the_bundled_model_in_torch_is_the_bundled_model(role):
    model = prepared_tiny(role)
    rng = np.random.default_rng(2)
    sizes = {"batch": 1, "prompts": 2, "points": 3, "tokens": 3}
    feeds = {}
    for value in model.graph.input:
        shape = [d.dim_value or sizes[d.dim_param] for d in value.type.tensor_type.shape.dim]
        feeds[value.name] = rng.normal(size=shape).astype(np.float32)
    if "point_labels" in feeds:
        feeds["point_labels"] = np.array([[2, 3, -1], [1, 0, -1]], np.float32)
    assert_same(model, **feeds)


def prepared_tiny(role: str) -> onnx.ModelProto:
    """As a graph has to be: constants as initialisers."""
    from samovar_laptop.quantise.prepare import prepared

    return prepared(TINY / f"{role}.onnx").proto()


def test_activations_are_rounded_and_gradients_stop_where_they_are_cut():
    x = torch.tensor([-1.0, 0.1, 0.26, 3.0], requires_grad=True)
    y = RoundActivation(0.1, 0)(x)
    torch.testing.assert_close(y, torch.tensor([0.0, 0.1, 0.3, 3.0]))
    y = RoundActivation(0.01, 0)(x)
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(("bits", "levels"), [(8, 127), (7, 63)])
def test_weights_are_rounded_by_channel(bits, levels):
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    weight[1] *= 50
    rounded = RoundWeight(0, bits)(weight)
    steps = weight.abs().amax(1) / levels
    assert ((rounded - weight).abs().amax(1) <= steps / 2 * 1.001).all()
    whole = rounded / steps[:, None]
    torch.testing.assert_close(whole, whole.round(), atol=1e-3, rtol=0)


def test_rounding_is_what_the_int8_graph_does():
    """The bundled encoder, rounded in torch, answers as the int8 graph in ONNX Runtime does."""
    from samovar_laptop.quantise.calibrate import Calibration
    from samovar_laptop.quantise.ptq import Recipe, models
    from samovar_laptop.quantise.qat import _rounding

    recipe = Recipe()
    picture = np.random.default_rng(3).normal(size=(1, 3, 512, 512)).astype(np.float32)
    calibration = Calibration(TINY / "encoder.onnx", threads=1)
    calibration.see({"image": picture})
    rounded = GraphModule(calibration.graph.copy().model, _rounding(calibration, recipe))
    with torch.no_grad():
        made = rounded({"image": torch.from_numpy(picture)})
    int8 = models({"encoder": calibration}, recipe)["encoder"]
    session = ort.InferenceSession(int8.SerializeToString(), providers=["CPUExecutionProvider"])
    names = list(made)
    plain = GraphModule(calibration.graph.copy().model)
    with torch.no_grad():
        wanted = plain({"image": torch.from_numpy(picture)})
    for name, value in zip(names, session.run(names, {"image": picture}), strict=True):
        apart = np.linalg.norm(made[name].numpy() - value)
        lost = np.linalg.norm(made[name].numpy() - wanted[name].numpy())
        assert apart < 0.75 * lost, name  # ties are rounded either way


def toy(seed: int = 0) -> dict[str, onnx.ModelProto]:
    """Graphs of a model with 8 × 8 pictures, 4 × 4 embeddings, and masks of 4 × 4."""
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return rng.normal(0, shape[1] ** -0.5, shape).astype(np.float32)

    encoder = graph(
        "g (float[n,3,8,8] image) => (float[n,4,4,4] image_embeddings) {"
        " a = Conv<kernel_shape=[2,2], strides=[2,2]>(image, w1) b = Relu(a)"
        " image_embeddings = Conv<kernel_shape=[1,1]>(b, w2) }",
        w1=weights(8, 3, 2, 2), w2=weights(4, 8, 1, 1),
    )  # fmt: skip
    prompt = graph(
        "g (float[n,p,2] point_coords) => (float[n,p,2] sparse_embeddings,"
        " float[n,4,1,1] dense_embeddings) { sparse_embeddings = Relu(point_coords)"
        " m = ReduceMean<keepdims=0>(point_coords, one) e = MatMul(m, w) d = Unsqueeze(e, two)"
        " dense_embeddings = Unsqueeze(d, three) }",
        w=weights(2, 4), one=np.array([1]), two=np.array([2]), three=np.array([3]),
    )  # fmt: skip
    decoder = graph(
        "g (float[1,4,4,4] image_embeddings, float[n,p,2] sparse_embeddings,"
        " float[n,4,1,1] dense_embeddings) => (float[n,2,4,4] low_res_masks,"
        " float[n,2] iou_predictions) { f = Add(image_embeddings, dense_embeddings)"
        " low_res_masks = Conv<kernel_shape=[1,1]>(f, w)"
        " q = ReduceMean<keepdims=0>(low_res_masks, axes) iou_predictions = Sigmoid(q) }",
        w=weights(2, 4, 1, 1), axes=np.array([2, 3]),
    )  # fmt: skip
    return {"encoder": encoder, "prompt_encoder": prompt, "mask_decoder": decoder}


def lessons(count: int = 10) -> list[Lesson]:
    rng = np.random.default_rng(7)
    made = []
    for _ in range(count):
        picture = rng.normal(size=(1, 3, 8, 8)).astype(np.float16)
        prompts = {"point_coords": rng.normal(size=(2, 1, 2)).astype(np.float32)}
        truth = (rng.random((2, 4, 4)) > 0.5).astype(np.float32)
        made.append(Lesson(picture, (Question(prompts, truth),)))
    return made


COARSE = {
    "encoder": Rounding({"image": (0.05, 128), "b": (0.08, 0)}, {"w1": 0, "w2": 0}, bits=4),
}


def test_each_stage_makes_its_own_loss_smaller_or_is_thrown_away(monkeypatch):
    monkeypatch.setattr(stages, "RATE", 3e-4)
    said: list[str] = []
    constants, reports = tune(
        toy(),
        COARSE,
        "image_embeddings",
        lessons(),
        minutes=1,
        steps=300,
        threads=1,
        say=said.append,
    )
    names = [r.stage for r in reports]
    assert names == ["encoder", "encoder and decoder", "end to end"]
    assert reports[0].roles == ("encoder",)
    assert reports[0].after < 0.9 * reports[0].before
    assert reports[0].kept
    assert all(r.steps > 0 for r in reports)
    assert set(constants) == {"encoder", "prompt_encoder", "mask_decoder"}
    before = numpy_helper.to_array(toy()["encoder"].graph.initializer[0])
    assert not np.array_equal(constants["encoder"]["w1"], before)
    assert said


def test_what_got_worse_is_thrown_away(monkeypatch):
    monkeypatch.setattr(stages, "RATE", 10.0)  # nothing survives this
    constants, reports = tune(
        toy(), COARSE, "image_embeddings", lessons(4), minutes=1, steps=6, threads=1
    )
    assert not any(r.kept for r in reports)
    for role, model in toy().items():
        for tensor in model.graph.initializer:
            if tensor.name in constants[role]:
                wanted = numpy_helper.to_array(tensor)
                np.testing.assert_array_equal(constants[role][tensor.name], wanted)


def test_without_rounding_there_is_nothing_to_learn_from_the_teacher():
    from samovar_train.quantise.student import Student

    same = Student(toy(), {}, "image_embeddings")
    losses = stages._Losses(same, Student(toy(), {}, "image_embeddings"))
    lesson = lessons(1)[0]
    with torch.no_grad():
        assert float(losses.embeddings(lesson, None)) == 0
        assert float(losses.masks(lesson, None)) == pytest.approx(0, abs=1e-6)
        assert float(losses.truth(lesson, None)) > 0


def test_steps_and_seed_decide_everything():
    def run() -> dict:
        found, _ = tune(
            toy(), COARSE, "image_embeddings", lessons(4), minutes=1, steps=8, threads=1, seed=3
        )
        return found["encoder"]

    first, second = run(), run()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_only_the_roles_of_a_stage_are_trained():
    from samovar_train.quantise.student import Student

    student, teacher = (Student(toy(), r, "image_embeddings") for r in (COARSE, {}))
    roles = [s.roles for s in stages.stages(student, teacher)]
    assert roles == [
        ("encoder",), ("encoder", "mask_decoder"), ("encoder", "prompt_encoder", "mask_decoder"),
    ]  # fmt: skip
    assert sum(s.share for s in stages.stages(student, teacher)) == pytest.approx(1)


def test_the_rate_rises_and_falls():
    rates = [rate_at(d / 20) for d in range(21)]
    assert rates[0] < 0.2 * max(rates)
    assert max(rates) <= stages.RATE
    assert rates[-1] < 0.05 * stages.RATE


def test_pictures_are_turned_by_chance_and_left_alone_when_judged():
    picture = torch.arange(12.0).reshape(1, 3, 2, 2)
    assert turned(picture, None) is picture
    seen = {tuple(turned(picture, random.Random(i)).flatten().tolist()) for i in range(40)}
    assert len(seen) == 8
