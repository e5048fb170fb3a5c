"""One measured run of tiles: with a model that costs nothing, or with a real one.

``run IMAGE OUT FACTS [MODEL PROMPTS AUTO]`` segments IMAGE into OUT and writes to FACTS where the
CPU time went. Without a model the objects are the connected bright pixels, read off the picture:
what is left is the engine. PROMPTS is empty where the generator AUTO finds them.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samovar.embedding import Embedding, Fit
from samovar.formats import open_image, read_prompts, writer_for
from samovar.grid import Region
from samovar.image import Image
from samovar.intensity import choose_intensity
from samovar.job import Job, PipelineModel
from samovar.joining import Joiner
from samovar.ledger import Ledger
from samovar.masks import Masks, PixelMask
from samovar.objects import SegmentedObject
from samovar.parts import RestingPart
from samovar.plans import Step
from samovar.plugins import registry
from samovar.prompts import Prompt, Prompts
from samovar.protocols import Context
from samovar.staging import all_or_nothing
from samovar.streams import Streams, head_of
from samovar.tiles import TileRun, run_tiles
from samovar.view import View

GROUND = 100
"""Values up to this are not of an object."""


class Oracle:
    """A PipelineModel and a prompt generator in one: connected bright pixels are objects."""

    weights_hash = "oracle"
    prompt_kinds = frozenset({"point", "box"})

    def __init__(self) -> None:
        # shared by the copies that the engine makes of a generator
        self._seen: dict[str, Any] = {}

    @property
    def decoder(self) -> Any:
        return self

    def describe(self) -> Mapping[str, Any]:
        return {"name": "oracle", "version": "", "weights_sha256": "oracle"}

    def encode(self, pictures: Sequence[NDArray[np.float32]]) -> list[Embedding]:
        shapes = [p.shape[1:] for p in pictures]
        return [Embedding({}, Fit(s, s, s, s), "oracle") for s in shapes]

    def propose(
        self, view: View, embedding: Embedding, prior: Masks | None, context: Context
    ) -> Prompts | None:
        """One prompt an object, once."""
        if context.round:
            return None
        parts, count = ndimage.label(context.picture[0] > GROUND)
        self._seen |= {"parts": parts, "blocks": ndimage.find_objects(parts)}
        prompts = [Prompt(i + 1, points=((0.0, 0.0),), labels=(1,)) for i in range(count)]
        return Prompts(tuple(prompts)) if count else None

    def decode(self, embedding: Embedding, prompts: Prompts) -> Masks:
        masks = []
        for prompt in prompts:
            block = self._seen["blocks"][prompt.id - 1]
            region = Region(tuple(s.start for s in block), tuple(s.stop for s in block))
            masks.append(PixelMask(region, self._seen["parts"][block] == prompt.id))
        sure = np.ones(len(masks), dtype=np.float32)
        low = np.zeros((len(masks), 1, 1), dtype=np.float32)
        return Masks(tuple(p.id for p in prompts), tuple(masks), sure, low, sure)

    def select(self, masks: Masks) -> Sequence[int]:
        return range(len(masks))

    def mask_prompt(self, mask: Any, embedding: Embedding) -> NDArray[np.float32]:
        raise NotImplementedError


class Clock:
    """CPU seconds by stage, each in the thread that did the work, stages inside it left out."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._thread = threading.local()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts what is done inside, but for the stages that begin and end there."""
        outer, self._thread.inside = getattr(self._thread, "inside", 0.0), 0.0
        begun = time.thread_time()
        try:
            yield
        finally:
            spent = time.thread_time() - begun
            self.seconds[name] += spent - self._thread.inside
            self._thread.inside = outer + spent

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **keywords: Any) -> Any:
            with self.stage(name):
                return work(*arguments, **keywords)

        return timed


def run(
    image: str, out: str, facts: str, model: str = "", prompts: str = "", auto: str = ""
) -> None:
    """Segment ``image`` into ``out``; stages and counts go to ``facts`` as JSON."""
    clock = Clock()
    with open_image(image) as opened:
        _time_image(opened, clock)
        asked = None
        if prompts:
            asked = read_prompts(prompts, opened).to_index(opened.grid)
        if model:
            from samovar.models import load_model

            loaded: Any = load_model(model, threads=1, runtime="default")
            generator: Any = None
            if auto:
                generator = registry().load(registry().find("prompt-generator", auto))
        else:
            loaded = generator = Oracle()
        modality = "gray" if opened.channels == 1 else "rgb"
        intensity = choose_intensity(opened, modality)
        job = Job(opened, _TimedModel(loaded, clock), intensity, asked, generator)
        _segment(job, Path(out), Path(facts), clock)


class _TimedModel:
    """A model whose encoder and decoder are counted."""

    def __init__(self, model: PipelineModel, clock: Clock) -> None:
        self.weights_hash, self.describe = model.weights_hash, model.describe
        self.encode = clock.timed("encode", model.encode)
        self.decoder: Any = _TimedDecoder(model.decoder, clock)


class _TimedDecoder:
    def __init__(self, decoder: Any, clock: Clock) -> None:
        self.prompt_kinds, self.mask_prompt = decoder.prompt_kinds, decoder.mask_prompt
        self.decode = clock.timed("decode", decoder.decode)


def _time_image(image: Image, clock: Clock) -> None:
    image.read = clock.timed("read", image.read)  # type: ignore[method-assign]
    image.valid = clock.timed("read", image.valid)  # type: ignore[method-assign]
    image.measure = clock.timed("measure", image.measure)  # type: ignore[method-assign]


@contextmanager
def _timed_joining(clock: Clock, tiles: list[int]) -> Iterator[None]:
    """Linking is counted, and so are the tiles that are linked."""

    class Timed(Joiner):
        def add(self, step: Step, parts: Sequence[RestingPart]) -> None:
            tiles[0] += 1
            with clock.stage("link"):
                super().add(step, parts)

        def finish(self) -> None:
            with clock.stage("link"):
                super().finish()

    engine: Any = import_module("samovar.tiles")
    engine.Joiner, plain = Timed, engine.Joiner
    try:
        yield
    finally:
        engine.Joiner = plain


def _segment(job: Job, out: Path, facts: Path, clock: Clock) -> None:
    begun, wall = time.process_time(), time.perf_counter()
    record: dict[str, Any] = {"model": dict(job.model.describe())}
    counted, tiles = 0, [0]
    with Ledger(out.with_name(out.name + ".ledger")) as ledger:
        streams = Streams(
            [(out, writer_for(out, job.image))],
            head_of(job.image, record, job.prompts, semantic=False),
            job.image,
            {},
        )
        write, advance = clock.timed("write", streams.add), clock.timed("write", streams.advance)

        class Taker:
            def add(self, item: SegmentedObject) -> None:
                nonlocal counted
                counted += 1
                write(item)

            def advance(self, row: int) -> None:
                advance(row)

        with _timed_joining(clock, tiles):
            run_tiles(job, TileRun(ledger=ledger), Taker())
        with clock.stage("write"), all_or_nothing() as staged:
            done, _ = streams.finish(job.prompts)
            staged.extend(done)
        ledger.finish(keep=False)
    spent = time.process_time() - begun
    stages = {k: round(v, 3) for k, v in clock.seconds.items()}
    rows, columns = job.image.grid.shape
    found = {
        "megapixels": rows * columns / 1e6,
        "objects": counted,
        "tiles": tiles[0],
        "cpu_s": round(spent, 3),
        "wall_s": round(time.perf_counter() - wall, 3),
        "stages": {**stages, "rest": round(spent - sum(clock.seconds.values()), 3)},
    }
    facts.write_text(json.dumps(found), encoding="utf-8")
