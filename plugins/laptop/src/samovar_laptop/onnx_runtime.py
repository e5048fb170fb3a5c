"""ONNX Runtime behind samovar's Runtime protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from samovar.errors import BundleError, PluginError, UsageError
from samovar.processor import cores, instruction_set
from samovar.protocols import RuntimeInfo
from samovar_laptop.failure import in_one_line

CPU = "CPUExecutionProvider"
PROVIDERS = {
    "cpu": CPU,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
    "qnn": "QNNExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
}
"""Device name → execution provider."""
NUMBERED = frozenset({"cuda", "tensorrt", "rocm", "migraphx", "directml"})
"""Devices of which a machine may have several: ``cuda:0``."""

DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


class OnnxRuntime:
    """Loads ONNX graphs on the CPU, or on another execution provider that is installed."""

    def devices(self) -> tuple[str, ...]:
        """``cpu`` first, then what this build of ONNX Runtime can drive: ``cuda:0`` …"""
        available = set(ort.get_available_providers())
        others = [
            f"{device}:0" if device in NUMBERED else device
            for device, provider in PROVIDERS.items()
            if provider in available and device != "cpu"
        ]
        return ("cpu", *others)

    def load(
        self, graph: Path, *, threads: int | None = None, device: str = "cpu", precision: str = ""
    ) -> OnnxGraph:
        """A graph that is ready to run.

        Args:
            graph: the ``.onnx`` file.
            threads: of one operator; None: the physical cores that this process may use.
            device: one of :meth:`devices`; ``cuda:1``, ``openvino:GPU`` choose among several.
            precision: what the bundle says of the graph; it is reported, not converted.

        Raises:
            UsageError: the device is not there.
            BundleError: the file is no graph that ONNX Runtime understands.
        """
        count = cores() if threads is None else threads
        provider, options = self._provider(device)
        try:
            session = ort.InferenceSession(
                str(graph), _options(count), providers=[(provider, options)]
            )
        except Exception as error:
            if provider != CPU:
                raise UsageError(
                    f"device {device!r} cannot run {graph.name} ({in_one_line(error)}): "
                    "use --device cpu"
                ) from error
            raise BundleError(
                f"{graph}: ONNX Runtime cannot load the graph ({in_one_line(error)}): "
                "export it again, or upgrade onnxruntime"
            ) from error
        if session.get_providers()[0] != provider:
            raise UsageError(
                f"device {device!r} did not start (its driver or libraries are missing): "
                "use --device cpu"
            )
        info = RuntimeInfo(
            "onnxruntime", ort.__version__, device, precision or "fp32", count, instruction_set()
        )
        return OnnxGraph(session, graph, info)

    def _provider(self, device: str) -> tuple[str, dict[str, Any]]:
        kind, _, which = device.lower().partition(":")
        provider = PROVIDERS.get(kind)
        if provider is None or provider not in ort.get_available_providers():
            raise UsageError(
                f"device {device!r} is not there; this ONNX Runtime has {', '.join(self.devices())}"
            )
        if kind in NUMBERED:
            if which and not which.isdecimal():
                raise UsageError(f"device {device!r}: write {kind}:0, a number after the colon")
            return provider, {"device_id": int(which or 0)}
        if kind == "openvino" and which:
            return provider, {"device_type": which.upper()}
        return provider, {}


class OnnxGraph:
    """A loaded graph. numpy in, numpy out; may be called from several threads."""

    def __init__(self, session: ort.InferenceSession, path: Path, info: RuntimeInfo) -> None:
        self._session, self._path = session, path
        self.info = info
        self.inputs = {i.name: tuple(i.shape) for i in session.get_inputs()}
        self.outputs = {o.name: tuple(o.shape) for o in session.get_outputs()}
        self.dtypes = {i.name: DTYPES.get(i.type) for i in session.get_inputs()}

    def run(
        self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Feeds are cast to the types that the graph declares.

        Raises:
            PluginError: ONNX Runtime fails; the message names the graph.
        """
        names = list(self.outputs) if outputs is None else list(outputs)
        given = {
            name: np.ascontiguousarray(array, dtype=self.dtypes.get(name))
            for name, array in feeds.items()
        }
        try:
            answers = self._session.run(names, given)
        except Exception as error:
            raise PluginError(f"{self._path}: ONNX Runtime failed: {in_one_line(error)}") from error
        return dict(zip(names, answers, strict=True))


def _options(threads: int) -> ort.SessionOptions:
    """Sequential, deterministic, fully optimised, quiet."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    # Reading, encoding and decoding overlap: a pool that spins takes the cores from the others
    # (measured on tiny with 2 threads: half the CPU time, no longer in wall time).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
