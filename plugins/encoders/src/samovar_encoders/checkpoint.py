"""Official checkpoints: read without running them, unwrapped, matched to a model's keys."""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .errors import CheckpointError
from .model_record import ModelRecord
from .registry import RECORDS

WRAPPERS = ("model", "state_dict", "model_state_dict", "module", "net", "params")
"""Keys under which training scripts keep a state dict."""
PREFIXES = ("module.", "_orig_mod.", "model.", "sam.", "net.")
"""What wrappers put in front of every key."""
IGNORED = re.compile(r"(num_batches_tracked|attention_bias_idxs|pixel_mean|pixel_std)$")
"""Keys that carry nothing that is learned: may be missing, may be there."""
SHOWN = 4

State = dict[str, Tensor]


@dataclass(frozen=True)
class Source:
    """A file that weights came from."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True, eq=False)
class Imported:
    """A model with a checkpoint's weights."""

    record: ModelRecord
    module: nn.Module
    sources: tuple[Source, ...]
    ignored: tuple[str, ...] = ()
    """Keys of the checkpoint that the model does not use."""


def read_state(path: str | Path, record: ModelRecord) -> State:
    """Tensors of one file by key, unwrapped, prefixes cut off, half precision made single.

    Raises:
        CheckpointError: not there, cut off, not a checkpoint, a pickled object, or not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file: download the checkpoint first")
    state = _unwrapped(_load(path), record, path)
    state = _without_prefixes(state, (*record.prefixes, *PREFIXES))
    state = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    broken = [k for k, v in state.items() if v.is_floating_point() and not v.isfinite().all()]
    if broken:
        raise CheckpointError(
            f"{path}: {len(broken)} tensors hold NaN or infinity ({_some(broken)}): "
            "the file is damaged or the training diverged; download it again or use another"
        )
    return state


def _load(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{path}: cut off or not a safetensors file ({_line(error)}): download it again"
            ) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named:
            raise CheckpointError(
                f"{path}: holds a pickled object ({named[1]}), not plain tensors, and loading it "
                "would run its code: refused; use this model's state dict or safetensors file"
            ) from error
        raise _unreadable(path, error) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{path}: cut off or not a checkpoint ({_line(error)}): download it again"
    )


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:80]


def _some(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more


def _unwrapped(loaded: Any, record: ModelRecord, path: Path) -> State:
    """The mapping of tensors inside training checkpoints, three levels deep at most."""
    for _ in range(3):
        if not isinstance(loaded, Mapping):
            break
        tensors = {str(k): v for k, v in loaded.items() if isinstance(v, Tensor)}
        inside = next(
            (
                loaded[k]
                for k in (*record.wrappers, *WRAPPERS)
                if isinstance(loaded.get(k), Mapping)
            ),
            None,
        )
        if inside is None:
            if tensors:
                return tensors
            break
        loaded = inside
    raise CheckpointError(
        f"{path}: no state dict inside: expected tensors by name, or a dict with one of "
        f"{', '.join(WRAPPERS)}"
    )


def _without_prefixes(state: State, prefixes: Sequence[str]) -> State:
    for _ in range(3):
        common = next((p for p in prefixes if state and all(k.startswith(p) for k in state)), None)
        if common is None:
            return state
        state = {key.removeprefix(common): value for key, value in state.items()}
    return state


def merge(states: Sequence[State], wanted: Mapping[str, Tensor]) -> State:
    """Several files' tensors in one; an encoder's own file may lack the ``image_encoder.`` prefix.

    Of a key in two files the first counts; keys under a part (``image_encoder``) that earlier files
    filled are dropped.
    """
    merged: State = {}
    for state in states:
        prefixed = {f"image_encoder.{key}": value for key, value in state.items()}
        state = max((state, prefixed), key=lambda s: len(s.keys() & wanted.keys()))
        open_parts = {
            key.split(".")[0] for key in wanted if key not in merged and not IGNORED.search(key)
        }
        started = {key.split(".")[0] for key in merged}
        for key, value in state.items():
            part = key.split(".")[0]
            if part in open_parts or part not in started:
                merged.setdefault(key, value)
    return merged


def mismatch(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], optional: tuple[str, ...] = ()
) -> tuple[list[str], list[str], list[str]]:
    """Missing keys, unexpected keys, and misshapen ones with both shapes."""
    missing = [k for k in wanted if k not in state and not IGNORED.search(k)]
    unexpected = [
        k
        for k in state
        if k not in wanted and not IGNORED.search(k) and not (optional and k.startswith(optional))
    ]
    misshapen = [
        f"{k} is {tuple(state[k].shape)} instead of {tuple(v.shape)}"
        for k, v in wanted.items()
        if k in state and state[k].shape != v.shape
    ]
    return missing, unexpected, misshapen


def identify(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the models whose keys and shapes a state dict has."""
    fitting = []
    for record in RECORDS.values():
        with torch.device("meta"):
            wanted = record.build().state_dict()
        if not any(mismatch(state, wanted, record.optional_keys)):
            fitting.append(record.name)
    return fitting


def load_weights(record: ModelRecord, paths: Sequence[str | Path]) -> Imported:
    """Build the model and fill it from one file, or from several together.

    Raises:
        CheckpointError: as :func:`fill_from_files` does.
    """
    module = record.build()
    sources, ignored = fill_from_files(module, record, paths)
    return Imported(record, module.eval(), sources, ignored)


def fill_from_files(
    module: nn.Module, record: ModelRecord, paths: Sequence[str | Path]
) -> tuple[tuple[Source, ...], tuple[str, ...]]:
    """Fill a model from one file, or from several together.

    Returns:
        The files, and the keys that the model does not use.

    Raises:
        CheckpointError: a file that cannot be read, or is not this model; missing, unexpected and
            misshapen keys are listed, and the models that it does fit are named.
    """
    states = [record.renamed(read_state(path, record)) for path in paths]
    wanted = module.state_dict()
    state = merge(states, wanted) if len(states) > 1 else dict(states[0])
    missing, unexpected, misshapen = mismatch(state, wanted, record.optional_keys)
    if missing or unexpected or misshapen:
        raise _not_this_model(record, paths, state, missing, unexpected, misshapen)
    _fill(module, state)
    return tuple(source(path) for path in paths), tuple(key for key in state if key not in wanted)


def fill_from_graphs(
    module: nn.Module, record: ModelRecord, graphs: Sequence[Path]
) -> tuple[Source, ...]:
    """Fill a model with the initialisers of its own exported graphs, which keep its keys.

    Raises:
        CheckpointError: graphs of another model, or whose weights were quantised.
    """
    import onnx
    from onnx import numpy_helper

    state: State = {}
    for path in graphs:
        for tensor in onnx.load(str(path)).graph.initializer:
            state[tensor.name] = torch.from_numpy(numpy_helper.to_array(tensor).copy())
    wanted = module.state_dict()
    parts = {key.rpartition(".")[0] for key in state}
    missing, unexpected, misshapen = mismatch(state, wanted)
    # what a model keeps but never uses, a classifier's head say, is in no graph
    missing = [key for key in missing if key.rpartition(".")[0] in parts]
    if missing or unexpected or misshapen:
        raise _not_this_model(record, graphs, state, missing, unexpected, misshapen)
    _fill(module, state)
    return tuple(source(path) for path in graphs)


def _fill(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    keys = module.state_dict().keys()
    module.load_state_dict({k: v for k, v in state.items() if k in keys}, strict=False)
    module.train(False)  # TinyViT takes its bias tables from the weights here


def _not_this_model(
    record: ModelRecord,
    paths: Sequence[str | Path],
    state: State,
    missing: list[str],
    unexpected: list[str],
    misshapen: list[str],
) -> CheckpointError:
    parts = [
        f"{len(keys)} {what} ({_some(keys)})"
        for what, keys in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("misshapen", misshapen),
        )
        if keys
    ]
    fitting = identify(state)
    advice = f"its keys fit {', '.join(fitting)}" if fitting else "it fits no model known here"
    names = " + ".join(str(path) for path in paths)
    return CheckpointError(f"{names}: not {record.name}: {'; '.join(parts)}; {advice}")


def source(path: str | Path) -> Source:
    """Name, hash and size of a file."""
    path, digest = Path(path), hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return Source(path.name, digest.hexdigest(), path.stat().st_size)
