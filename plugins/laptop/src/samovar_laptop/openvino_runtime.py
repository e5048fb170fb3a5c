"""OpenVINO behind samovar's Runtime protocol."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from samovar.errors import BundleError, PluginError, UsageError
from samovar.processor import cores, instruction_set
from samovar.protocols import RuntimeInfo
from samovar_laptop.failure import in_one_line

HINTS = {"": "f32", "fp32": "f32", "int8": "f32", "bf16": "bf16"}
"""Precision of the bundle → ``INFERENCE_PRECISION_HINT``.

Left alone, OpenVINO computes in bf16 wherever the processor can. Graphs in int8 say themselves
which of their operations are; the rest stays in f32.
"""

NO_BF16 = "this processor does not compute in bf16: use --precision fp32"
ISA_CAP = "ONEDNN_MAX_CPU_ISA"
"""Environment variable that most of OpenVINO's kernels obey: those of oneDNN and most of its own,
not the matrix products that it takes from MLAS."""

_UNTIL_AVX2 = ("sse4_2", "avx", "avx2", "fma")
_ISA = {
    "SSE41": ("sse4_2",),
    "AVX": ("sse4_2", "avx"),
    "AVX2": _UNTIL_AVX2,
    "AVX2_VNNI": (*_UNTIL_AVX2, "avx_vnni"),
    "AVX512_CORE": (*_UNTIL_AVX2, "avx512f"),
    "AVX512_CORE_VNNI": (*_UNTIL_AVX2, "avx512f", "avx512_vnni"),
    "AVX512_CORE_BF16": (*_UNTIL_AVX2, "avx512f", "avx512_vnni", "avx512_bf16"),
}


@cache
def _core() -> ov.Core:
    """The one of this process, kept until it ends.

    The CPU plugin lays a signal stack of its own under the thread that loads it and frees it with
    the last Core; the next signal, a Ctrl-C, would then be delivered into freed memory.
    """
    return ov.Core()


class OpenvinoRuntime:
    """Loads ONNX graphs with OpenVINO, on the CPU or another of its devices."""

    def __init__(self) -> None:
        self._core = _core()

    def devices(self) -> tuple[str, ...]:
        """``cpu`` first, then what OpenVINO finds: ``gpu``, ``gpu:1``, ``npu``."""
        found = [name.lower().replace(".", ":") for name in self._core.available_devices]
        return ("cpu", *(name for name in found if name != "cpu"))

    def load(
        self, graph: Path, *, threads: int | None = None, device: str = "cpu", precision: str = ""
    ) -> OpenvinoGraph:
        """A graph that is ready to run.

        Args:
            graph: the ``.onnx`` file.
            threads: of one inference; None: the physical cores that this process may use.
            device: one of :meth:`devices`.
            precision: ``fp32`` and ``int8`` compute in f32 what the graph does not quantise;
                ``bf16`` converts on the way.

        Raises:
            UsageError: the device is not there, or does not compute in the precision.
            BundleError: the file is no graph that OpenVINO understands.
        """
        count = cores() if threads is None else threads
        target = self._target(device)
        hint = HINTS.get(precision)
        if hint is None:
            known = ", ".join(name for name in HINTS if name)
            raise UsageError(f"OpenVINO runs {known}, not {precision}: choose another --precision")
        try:
            model = self._core.read_model(str(graph))
            compiled = self._core.compile_model(model, target, _settings(target, hint, count))
        except Exception as error:
            if target != "CPU":
                raise UsageError(
                    f"device {device!r} cannot run {graph.name} ({in_one_line(error)}): "
                    "use --device cpu"
                ) from error
            if hint == "bf16":
                raise UsageError(NO_BF16) from error
            raise BundleError(
                f"{graph}: OpenVINO cannot load the graph ({in_one_line(error)}): "
                "export it again, or use --runtime onnxruntime"
            ) from error
        if hint == "bf16" and _computes_in(compiled) != "bf16":
            raise UsageError(NO_BF16)
        info = RuntimeInfo(
            "openvino",
            ov.__version__.partition("-")[0],
            device,
            precision or "fp32",
            count,
            capped(instruction_set(), os.environ.get(ISA_CAP, "")),
        )
        return OpenvinoGraph(compiled, graph, info)

    def _target(self, device: str) -> str:
        """``gpu:1`` → ``GPU.1``."""
        if device.lower() not in self.devices():
            raise UsageError(
                f"device {device!r} is not there; this OpenVINO has {', '.join(self.devices())}"
            )
        return device.upper().replace(":", ".")


class OpenvinoGraph:
    """A loaded graph. numpy in, numpy out; may be called from several threads."""

    def __init__(self, compiled: ov.CompiledModel, path: Path, info: RuntimeInfo) -> None:
        self._compiled, self._path = compiled, path
        self._requests = threading.local()
        self.info = info
        self.inputs = {_input_name(p): _shape(p) for p in compiled.inputs}
        self.outputs = {_output_name(p): _shape(p) for p in compiled.outputs}
        self._places = {name: place for place, name in enumerate(self.outputs)}
        self.dtypes = {_input_name(p): p.element_type.to_dtype() for p in compiled.inputs}

    def run(
        self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Feeds are cast to the types that the graph declares.

        Raises:
            PluginError: OpenVINO fails; the message names the graph.
        """
        names = list(self.outputs) if outputs is None else list(outputs)
        try:
            given = {
                name: np.ascontiguousarray(array, dtype=self.dtypes[name])
                for name, array in feeds.items()
            }
            answers = self._request().infer(given, share_inputs=True)
            return {name: np.array(answers[self._places[name]]) for name in names}
        except Exception as error:
            raise PluginError(f"{self._path}: OpenVINO failed: {in_one_line(error)}") from error

    def _request(self) -> ov.InferRequest:
        """This thread's own: a request holds the tensors of one inference."""
        request = getattr(self._requests, "own", None)
        if request is None:
            request = self._requests.own = self._compiled.create_infer_request()
        return request


def capped(instructions: str, cap: str) -> str:
    """The instruction sets below a cap (``AVX2``), and the cap's name, since not all obey it."""
    if not cap or cap.upper() in ("ALL", "DEFAULT"):
        return instructions
    allowed = _ISA.get(cap.upper())
    left = [n for n in instructions.split("+") if allowed is None or n in allowed]
    return f"{'+'.join(left)} ({ISA_CAP}={cap})".lstrip()


def _settings(target: str, hint: str, threads: int) -> dict[str, Any]:
    """One inference at a time, on all the threads; nothing pinned, since others run here too."""
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": hint}
    if target == "CPU":
        settings |= {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
    return settings


def _computes_in(compiled: ov.CompiledModel) -> str:
    kind = compiled.get_property("INFERENCE_PRECISION_HINT")
    return str(kind.get_type_name())


def _shape(port: Any) -> tuple[int | None, ...]:
    """Dynamic axes as None."""
    return tuple(d.get_length() if d.is_static else None for d in port.partial_shape)


def _input_name(port: Any) -> str:
    """As the graph has it: a tensor that is cast to its own type has several names."""
    return str(port.node.get_friendly_name())


def _output_name(port: Any) -> str:
    """The output's name in the ONNX file, where several tensors were found to be one."""
    stated = str(port.node.friendly_name).partition("/sink_port_")[0]
    return stated if stated in port.names else port.get_any_name()
