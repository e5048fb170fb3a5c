"""Small graphs with what matters to quantisation: BatchNorm, residuals, upscaling, attention."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 20


class Builder:
    """Nodes and constants of a graph in the making; every call returns a tensor's name."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, *inputs: str, name: str, **attributes) -> str:
        self.nodes.append(
            helper.make_node(kind, list(inputs), [name], name=f"n/{name}", **attributes)
        )
        return name

    def conv(
        self, x: str, name: str, cin: int, cout: int, k: int = 3, stride: int = 1, **more
    ) -> str:
        w = self.rng.normal(0, (cin * k * k) ** -0.5, (cout, cin, k, k)).astype(np.float32)
        weight = self.constant(f"{name}.weight", more.pop("weight", w))
        bias = self.constant(f"{name}.bias", self.rng.normal(0, 0.1, cout).astype(np.float32))
        pads = [k // 2] * 4
        return self.node(
            "Conv", x, weight, bias, name=name,
            kernel_shape=[k, k], pads=pads, strides=[stride, stride], **more,
        )  # fmt: skip

    def batch_norm(self, x: str, name: str, c: int) -> str:
        values = {
            "scale": self.rng.uniform(0.5, 1.5, c), "shift": self.rng.normal(0, 0.2, c),
            "mean": self.rng.normal(0, 0.2, c), "var": self.rng.uniform(0.5, 2, c),
        }  # fmt: skip
        names = [self.constant(f"{name}.{k}", v.astype(np.float32)) for k, v in values.items()]
        return self.node("BatchNormalization", x, *names, name=name)

    def linear(self, x: str, name: str, cin: int, cout: int, offset: float = 0.0) -> str:
        w = self.rng.normal(0, cin**-0.5, (cin, cout)).astype(np.float32)
        b = (self.rng.normal(0, 0.3, cout) + offset).astype(np.float32)
        product = self.node("MatMul", x, self.constant(f"{name}.weight", w), name=f"{name}.product")
        return self.node("Add", product, self.constant(f"{name}.bias", b), name=name)

    def save(self, path: Path, inputs: dict[str, list], outputs: dict[str, list]) -> Path:
        def info(given: dict[str, list]):
            return [
                helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in given.items()
            ]

        graph = helper.make_graph(
            self.nodes, "graph", info(inputs), info(outputs), initializer=self.constants
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=9)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(path))
        return path


def convolutional(path: Path) -> Path:
    """``image (1, 3, 32, 32)`` → ``wide (1, 4, 32, 32)`` and ``deep (1, 8, 16, 16)``.

    A strided stem with BatchNorm, a residual block, GELU, and SAM's upscaling.
    """
    b = Builder()
    x = b.node("Relu", b.batch_norm(b.conv("image", "stem", 3, 16, 3, 2), "bn", 16), name="x")
    y = b.node("Relu", b.conv(x, "first", 16, 16), name="y")
    y = b.node("Add", x, b.conv(y, "second", 16, 16), name="sum")
    y = b.node("Relu", y, name="after")
    b.conv(y, "deep", 16, 8, 1)
    z = b.node("Gelu", b.conv(y, "before_gelu", 16, 16), name="curve")
    weight = b.constant("up.weight", b.rng.normal(0, 0.3, (16, 4, 2, 2)).astype(np.float32))
    bias = b.constant("up.bias", b.rng.normal(0, 0.1, 4).astype(np.float32))
    b.node("ConvTranspose", z, weight, bias, name="wide", kernel_shape=[2, 2], strides=[2, 2])
    return b.save(path, {"image": [1, 3, 32, 32]}, {"wide": [1, 4, 32, 32], "deep": [1, 8, 16, 16]})


def attentive(path: Path, tokens: int = 64, width: int = 32, heads: int = 4) -> Path:
    """``tokens (1, 64, 32)`` → ``mixed (1, 64, 32)``: attention whose keys have two humps."""
    b = Builder(1)
    each = width // heads
    split = b.constant("split", np.array([1, tokens, heads, each], np.int64))
    joined = b.constant("joined", np.array([1, tokens, width], np.int64))
    made = {}
    for name, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        x = b.linear("tokens", name, width, width)
        if name == "k":  # half of the channels are mostly negative, half mostly positive
            bias = next(c for c in b.constants if c.name == "k.bias")
            humps = np.where(np.arange(width) % 2, 4.0, -4.0).astype(np.float32)
            bias.CopyFrom(numpy_helper.from_array(humps, "k.bias"))
        x = b.node("Reshape", x, split, name=f"{name}.split")
        made[name] = b.node("Transpose", x, name=f"{name}.heads", perm=order)
    scores = b.node("MatMul", made["q"], made["k"], name="scores")
    scale = b.constant("scale", np.array(each**-0.5, np.float32))
    share = b.node("Softmax", b.node("Mul", scores, scale, name="scaled"), name="share", axis=-1)
    mixed = b.node("MatMul", share, made["v"], name="attended")
    mixed = b.node("Transpose", mixed, name="back", perm=[0, 2, 1, 3])
    b.linear(b.node("Reshape", mixed, joined, name="flat"), "mixed", width, width)
    return b.save(path, {"tokens": [1, tokens, width]}, {"mixed": [1, tokens, width]})


def run(model, feeds: dict) -> dict[str, np.ndarray]:
    """What ONNX Runtime answers for a model in memory or a file."""
    import onnxruntime as ort

    given = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = ort.InferenceSession(given, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def error(before: np.ndarray, after: np.ndarray) -> float:
    """Relative, in the 2-norm."""
    return float(np.linalg.norm(before - after) / np.linalg.norm(before))


def brightness(path: Path) -> Path:
    """An encoder with weights for the decoders of ``laptop_graphs``: how bright a place is.

    ``image (batch, 3, 64, 64)`` → ``image_embeddings (batch, 3, 8, 8)`` and ``features_s4``.
    """
    b = Builder(2)
    signs = np.repeat([1.0, -1.0], 4)[:, None, None, None]
    mean = (signs * b.rng.uniform(0.8, 1.2, (8, 3, 4, 4)) / 48).astype(np.float32)
    own = (np.eye(8)[:, :, None, None] * np.pad([[0.2]], 1)).astype(np.float32)
    gather = np.repeat(signs.reshape(1, 8, 1, 1) / 4, 3, axis=0).astype(np.float32)

    def conv(x: str, name: str, weight, stride: int, pad: int = 0) -> str:
        bias = b.constant(f"{name}.bias", np.zeros(len(weight), np.float32))
        return b.node(
            "Conv", x, b.constant(f"{name}.weight", weight.astype(np.float32)), bias, name=name,
            kernel_shape=list(weight.shape[2:]), strides=[stride] * 2, pads=[pad] * 4,
        )  # fmt: skip

    x = b.node("Relu", conv("image", "stem", mean, 4), name="stem.relu")
    x = b.node("Add", x, conv(x, "own", own, 1, 1), name="own.sum")
    x = b.node("Relu", x, name="own.relu")
    conv(x, "features_s4", gather, 1)
    conv(x, "image_embeddings", np.tile(gather / 4, (1, 1, 2, 2)), 2)
    shapes = {"image_embeddings": ["batch", 3, 8, 8], "features_s4": ["batch", 3, 16, 16]}
    return b.save(path, {"image": ["batch", 3, 64, 64]}, shapes)


def write_set(folder: Path, count: int = 8) -> Path:
    """A set of pictures with a bright rectangle each, and its labels."""
    import json

    from PIL import Image

    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    rng = np.random.default_rng(5)
    for number in range(count):
        truth = np.zeros((80, 96), np.uint8)
        top, left = rng.integers(4, 30), rng.integers(4, 40)
        truth[top : top + 30, left : left + 36] = 1
        plane = np.where(truth > 0, 210, 50) + rng.normal(0, 4, truth.shape)
        picture = np.clip(plane, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / "images" / f"p{number}.png")
        Image.fromarray(truth).save(folder / "masks" / f"p{number}.png")
    (folder / "classes.json").write_text(json.dumps({"1": "rectangle"}))
    return folder
