"""Operators of ONNX in torch, differentiable: as many as promptable segmentation models need.

An operator takes its node's attributes and input tensors (None for one that is left out) and
returns a tensor or a tuple of them. Semantics are those of opset 20 (onnx.ai/onnx/operators).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Attributes = Mapping[str, Any]
Operator = Callable[..., Tensor | tuple[Tensor, ...]]
OPERATORS: dict[str, Operator] = {}
"""Kind of node → operator."""

DTYPES = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 6: torch.int32, 7: torch.int64,
    9: torch.bool, 10: torch.float16, 11: torch.float64,
}  # fmt: skip
"""TensorProto's numbers of data types."""


def operator(*kinds: str) -> Callable[[Operator], Operator]:
    def add(function: Operator) -> Operator:
        OPERATORS.update(dict.fromkeys(kinds, function))
        return function

    return add


def _plain(**functions: Callable[..., Tensor]) -> None:
    """Operators without attributes whose torch function takes the same inputs."""
    for kind, function in functions.items():
        OPERATORS[kind] = lambda _, *x, f=function: f(*x)


_plain(
    Add=torch.add, Sub=torch.sub, Mul=torch.mul, Div=lambda a, b: a / b, Pow=torch.pow,
    MatMul=torch.matmul, Equal=torch.eq, Greater=torch.gt, Less=torch.lt, And=torch.logical_and,
    Or=torch.logical_or, Not=torch.logical_not, Where=torch.where, Relu=F.relu,
    Sigmoid=torch.sigmoid, Tanh=torch.tanh, Exp=torch.exp, Log=torch.log, Sqrt=torch.sqrt,
    Neg=torch.neg, Abs=torch.abs, Sin=torch.sin, Cos=torch.cos, Erf=torch.erf, Floor=torch.floor,
    Round=torch.round, Reciprocal=torch.reciprocal, HardSwish=F.hardswish, Identity=lambda x: x,
    Reshape=lambda x, shape: _reshape(x, shape), Expand=lambda x, s: _expand(x, s),
    Squeeze=lambda x, axes=None: x.squeeze() if axes is None else x.squeeze(tuple(axes.tolist())),
    Tile=lambda x, n: x.repeat(*n.tolist()),
)  # fmt: skip


def _reshape(x: Tensor, shape: Tensor) -> Tensor:
    wanted = [int(n) if n else x.shape[i] for i, n in enumerate(shape.tolist())]
    return x.reshape(wanted)


def _expand(x: Tensor, shape: Tensor) -> Tensor:
    return x.expand(torch.broadcast_shapes(x.shape, tuple(shape.tolist())))


@operator("Min", "Max")
def extreme(a: Attributes, *x: Tensor) -> Tensor:
    choose = torch.minimum if a["kind"] == "Min" else torch.maximum
    out = x[0]
    for other in x[1:]:
        out = choose(out, other)
    return out


@operator("Conv")
def conv(a: Attributes, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    spatial = w.ndim - 2
    pads = list(a.get("pads", [0] * 2 * spatial))
    low, high = pads[:spatial], pads[spatial:]
    if low != high:  # one-sided padding, last axis first
        both = [n for i in reversed(range(spatial)) for n in (low[i], high[i])]
        x, low = F.pad(x, both), [0] * spatial
    stride, dilation = a.get("strides", [1] * spatial), a.get("dilations", [1] * spatial)
    run = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[spatial]
    return run(x, w, b, tuple(stride), tuple(low), tuple(dilation), a.get("group", 1))


@operator("ConvTranspose")
def conv_transpose(a: Attributes, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    pads = list(a.get("pads", [0, 0, 0, 0]))
    if pads[:2] != pads[2:]:
        raise ValueError("ConvTranspose with one-sided padding")
    stride, extra = a.get("strides", (1, 1)), a.get("output_padding", (0, 0))
    dilation = tuple(a.get("dilations", (1, 1)))
    return F.conv_transpose2d(
        x, w, b, tuple(stride), tuple(pads[:2]), tuple(extra), a.get("group", 1), dilation
    )


@operator("Gemm")
def gemm(a: Attributes, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    x = x.t() if a.get("transA", 0) else x
    w = w.t() if a.get("transB", 0) else w
    out = a.get("alpha", 1.0) * (x @ w)
    return out if b is None else out + a.get("beta", 1.0) * b


@operator("Gelu")
def gelu(a: Attributes, x: Tensor) -> Tensor:
    return F.gelu(x, approximate=a.get("approximate", "none"))


@operator("HardSigmoid")
def hard_sigmoid(a: Attributes, x: Tensor) -> Tensor:
    return (a.get("alpha", 0.2) * x + a.get("beta", 0.5)).clamp(0, 1)


@operator("LeakyRelu")
def leaky_relu(a: Attributes, x: Tensor) -> Tensor:
    return F.leaky_relu(x, a.get("alpha", 0.01))


@operator("Clip")
def clip(_: Attributes, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    x = x if low is None else torch.maximum(x, low)
    return x if high is None else torch.minimum(x, high)


@operator("Softmax")
def softmax(a: Attributes, x: Tensor) -> Tensor:
    return x.softmax(dim=a.get("axis", -1))


@operator("LayerNormalization")
def layer_norm(a: Attributes, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    axis = a.get("axis", -1) % x.ndim
    return F.layer_norm(x, x.shape[axis:], w, b, a.get("epsilon", 1e-5))


@operator("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "GlobalAveragePool")
def reduce(a: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    given = axes.tolist() if axes is not None else list(a.get("axes", []))
    keep = bool(a.get("keepdims", 1))
    if a["kind"] == "GlobalAveragePool":
        given, keep = list(range(2, x.ndim)), True
    dims = tuple(given or range(x.ndim))
    run = {"ReduceSum": torch.sum, "ReduceMax": torch.amax, "ReduceMin": torch.amin}
    return run.get(a["kind"], torch.mean)(x, dim=dims, keepdim=keep)


@operator("MaxPool", "AveragePool")
def pool(a: Attributes, x: Tensor) -> Tensor:
    kernel, pads = list(a["kernel_shape"]), list(a.get("pads", [0, 0, 0, 0]))
    stride = list(a.get("strides", [1, 1]))
    if pads[:2] != pads[2:]:
        raise ValueError(f"{a['kind']} with one-sided padding")
    if a["kind"] == "MaxPool":
        return F.max_pool2d(x, kernel, stride, pads[:2])
    return F.avg_pool2d(
        x, kernel, stride, pads[:2], count_include_pad=bool(a.get("count_include_pad", 0))
    )


@operator("Transpose")
def transpose(a: Attributes, x: Tensor) -> Tensor:
    return x.permute(*a.get("perm", tuple(reversed(range(x.ndim)))))


@operator("Flatten")
def flatten(a: Attributes, x: Tensor) -> Tensor:
    rows = 1
    for n in x.shape[: a.get("axis", 1)]:
        rows *= n
    return x.reshape(rows, -1)


@operator("Unsqueeze")
def unsqueeze(_: Attributes, x: Tensor, axes: Tensor) -> Tensor:
    rank = x.ndim + axes.numel()
    for axis in sorted(n % rank for n in axes.reshape(-1).tolist()):
        x = x.unsqueeze(axis)
    return x


@operator("Concat")
def concat(a: Attributes, *x: Tensor) -> Tensor:
    return torch.cat([t.reshape(1) if t.ndim == 0 else t for t in x], dim=a["axis"])


@operator("Split")
def split(a: Attributes, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    axis = a.get("axis", 0)
    if sizes is not None:
        return x.split(sizes.tolist(), dim=axis)
    return x.chunk(a["outputs"], dim=axis)


@operator("Slice")
def slice_(
    _: Attributes,
    x: Tensor,
    starts: Tensor,
    ends: Tensor,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    at = axes.tolist() if axes is not None else list(range(starts.numel()))
    by = steps.tolist() if steps is not None else [1] * len(at)
    cut = [slice(None)] * x.ndim
    for axis, low, high, step in zip(at, starts.tolist(), ends.tolist(), by, strict=True):
        if step < 0:
            raise ValueError("Slice backwards")
        cut[axis] = slice(low, high, step)
    return x[tuple(cut)]


@operator("Gather")
def gather(a: Attributes, x: Tensor, index: Tensor) -> Tensor:
    axis = a.get("axis", 0) % x.ndim
    index = torch.where(index < 0, index + x.shape[axis], index)
    picked = x.index_select(axis, index.reshape(-1))
    return picked.reshape([*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]])


@operator("Pad")
def pad(
    a: Attributes,
    x: Tensor,
    pads: Tensor,
    value: Tensor | None = None,
    axes: Tensor | None = None,
) -> Tensor:
    amounts = pads.tolist()
    at = [n % x.ndim for n in axes.tolist()] if axes is not None else list(range(x.ndim))
    low, high = [0] * x.ndim, [0] * x.ndim
    for place, axis in enumerate(at):
        low[axis], high[axis] = amounts[place], amounts[place + len(at)]
    flat = [n for axis in reversed(range(x.ndim)) for n in (low[axis], high[axis])]
    mode = {"edge": "replicate"}.get(a.get("mode", "constant"), a.get("mode", "constant"))
    return F.pad(x, flat, mode=mode, value=0.0 if value is None else float(value))


@operator("Resize")
def resize(
    a: Attributes,
    x: Tensor,
    _roi: Tensor | None = None,
    scales: Tensor | None = None,
    sizes: Tensor | None = None,
) -> Tensor:
    if sizes is not None:
        wanted = sizes.tolist()[2:]
    else:
        assert scales is not None
        wanted = [int(n * s) for n, s in zip(x.shape[2:], scales.tolist()[2:], strict=True)]
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(a.get("mode", "nearest"), "nearest")
    aligned = a.get("coordinate_transformation_mode") == "align_corners"
    if mode == "nearest":
        return F.interpolate(x, wanted, mode=mode)
    return F.interpolate(x, wanted, mode=mode, align_corners=aligned)


@operator("GridSample")
def grid_sample(a: Attributes, x: Tensor, grid: Tensor) -> Tensor:
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(a.get("mode", "linear"), a.get("mode"))
    return F.grid_sample(
        x, grid, mode=mode, padding_mode=a.get("padding_mode", "zeros"),
        align_corners=bool(a.get("align_corners", 0)),
    )  # fmt: skip


@operator("DepthToSpace")
def depth_to_space(a: Attributes, x: Tensor) -> Tensor:
    if a.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, a["blocksize"])
    n, c, h, w = x.shape
    k = a["blocksize"]
    x = x.reshape(n, k, k, c // (k * k), h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(n, c // (k * k), h * k, w * k)


@operator("Shape")
def shape(a: Attributes, x: Tensor) -> Tensor:
    return torch.tensor(x.shape[a.get("start", 0) : a.get("end")], dtype=torch.int64)


@operator("Cast")
def cast(a: Attributes, x: Tensor) -> Tensor:
    return x.to(DTYPES[a["to"]])


@operator("ConstantOfShape")
def constant_of_shape(a: Attributes, shape: Tensor) -> Tensor:
    value = a.get("value", torch.zeros(1))
    return value.reshape(()).expand(shape.tolist()).clone()


@operator("Range")
def range_(_: Attributes, start: Tensor, stop: Tensor, step: Tensor) -> Tensor:
    return torch.arange(start.item(), stop.item(), step.item(), dtype=start.dtype)


@operator("Constant")
def constant(a: Attributes) -> Tensor:
    return torch.as_tensor(a["value"])


@operator("Einsum")
def einsum(a: Attributes, *x: Tensor) -> Tensor:
    return torch.einsum(a["equation"], *x)
