"""What one slice and one object on it cost, by model and runtime, in a process of its own.

``python -m samovar.benchmark.volume_case VOLUME BOXES ROUNDS RESULT``. The slice is the one that
most boxes touch; works take turns on the same picture and the same prompts, one thread.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samovar.benchmark.generated import generated_architecture, generated_bundle
from samovar.benchmark.process import answer
from samovar.benchmark.runtime_case import Work, compared
from samovar.bundle import Bundle
from samovar.chains import box_slices, slice_view
from samovar.decoding import SamDecoder
from samovar.encoding import BundleEncoder, ModelEncoder
from samovar.errors import SamovarError
from samovar.faces import TwoFaces
from samovar.formats import open_image
from samovar.image import Image
from samovar.intensity import choose_intensity
from samovar.models import load_model
from samovar.plugins import registry
from samovar.prompts import Prompt, Prompts
from samovar.protocols import Architecture, RuntimeInfo
from samovar.specs import EncoderSpec

YARDSTICK = "lite-medsam"


class TorchGraph:
    """The Graph protocol over one role of a torch architecture."""

    def __init__(self, architecture: Architecture, role: str, bundle: Bundle) -> None:
        self._torch: Any = import_module("torch")
        self._module = architecture.role(role)
        names = architecture.names(role)
        self.inputs: Mapping[str, tuple[int | str | None, ...]] = dict.fromkeys(names[0], ())
        self.outputs: Mapping[str, tuple[int | str | None, ...]] = dict.fromkeys(names[1], ())
        self.info = RuntimeInfo("torch", self._torch.__version__, "cpu", "fp32", 1, "")

    def run(
        self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        with self._torch.inference_mode():
            given = [self._torch.from_numpy(np.array(feeds[n])) for n in self.inputs]
            answer = self._module(*given)
        answers = answer if isinstance(answer, tuple | list) else (answer,)
        found = {n: a.numpy() for n, a in zip(self.outputs, answers, strict=True)}
        return found if outputs is None else {n: found[n] for n in outputs}


class TorchModel:
    """A bundle's model with torch behind it: same preparation, same prompts, same masks."""

    def __init__(self, spec: EncoderSpec, bundle: Bundle) -> None:
        made = generated_architecture(spec)
        import_module("torch").set_num_threads(1)
        graph = {role: TorchGraph(made, role, bundle) for role in bundle.roles}
        encoder = BundleEncoder(bundle, graph["encoder"])
        self._encoder = ModelEncoder(encoder, bundle.preparation, bundle.name)
        faces = TwoFaces(graph["prompt_encoder"], graph["mask_decoder"], bundle.taps)
        self.decoder = SamDecoder(bundle, faces)
        self.encode = self._encoder.encode


def main(argv: list[str]) -> int:
    """Measures, and writes the result as JSON."""
    volume, boxes, rounds, result = argv

    def case() -> dict[str, Any]:
        with open_image(volume) as image:
            return _measured(image, json.loads(Path(boxes).read_text()), int(rounds))

    return answer(case, result)


def _measured(image: Image, boxes: list[list[float]], rounds: int) -> dict[str, Any]:
    axis = image.grid.slice_axis()
    spans = [box_slices(tuple(b), axis, image.grid.shape[axis]) for b in boxes]
    touched = [sum(a <= z <= b for a, b in spans) for z in range(image.grid.shape[axis])]
    view = slice_view(image.grid, axis, int(np.argmax(touched)))
    place = view.region.start[axis]
    prompts = Prompts(
        tuple(
            Prompt(i, box=view.box_to_picture(tuple(box)))
            for i, (box, (a, b)) in enumerate(zip(boxes, spans, strict=True), start=1)
            if a <= place <= b
        )
    )
    intensity = choose_intensity(image, "ct")

    def picture() -> NDArray[np.float32]:
        return intensity.apply(view.squeeze(image.read(view.region)))

    works: dict[str, Work] = {}
    parts: dict[str, int] = {}
    info: dict[str, Any] = {"objects": len(prompts), "slice": place}
    for name, model in _models(info).items():
        [embedding] = model.encode([picture()])
        asked = Prompts(prompts.objects[:1]) if name == "torch" else prompts
        works[f"{name} encode"] = partial(_encode, model, picture)
        works[f"{name} decode"] = partial(model.decoder.decode, embedding, asked)
        parts[f"{name} encode"], parts[f"{name} decode"] = 1, len(asked)
    taken = compared(works, rounds, "torch encode")
    info["cpu_ms"] = {n: [v / parts[n] for v in t["all_ms"]] for n, t in taken.items()}
    return info


def _encode(model: Any, picture: Callable[[], NDArray[np.float32]]) -> object:
    return model.encode([picture()])


def _models(info: dict[str, Any]) -> dict[str, Any]:
    """Every way of working, by name; what this machine or bundle lacks is left out."""
    spec: EncoderSpec = registry().find("encoder", YARDSTICK)
    bundle = generated_bundle(spec)
    models: dict[str, Any] = {"torch": TorchModel(spec, bundle)}

    def load(name: str, what: Any, **options: Any) -> None:
        try:
            models[name] = load_model(what, runtime="openvino", threads=1, **options)
        except SamovarError:
            info.setdefault("missing", []).append(name)

    load("same", bundle.folder, region_decode="off")
    load("same, region", bundle.folder, region_decode="on")
    load("tiny", "tiny", region_decode="off", precision="fp32")
    load("tiny, region", "tiny", region_decode="on", precision="fp32")
    load("tiny, int8", "tiny", precision="int8")
    info["instruction_set"] = models["same"].runtime_info.instruction_set
    return models


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
