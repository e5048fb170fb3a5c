"""Prompts of the command line: ``--box``, ``--point`` and ``--world`` into :class:`Prompts`.

Points of one NAME are one object, and so are boxes and points that share a NAME; several boxes of
one object are its key slices in a volume. Unnamed boxes and unnamed positive points are one object
each; unnamed negative points apply to every object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from samovar.errors import PromptError
from samovar.grid import Grid
from samovar.prompts import Prompt, Prompts, Space, describe

WORLDS = ("lps", "ras", "crs")
BOX_HINT = "write [NAME=]x0,y0,x1,y1 or [NAME=]x0,y0,z0,x1,y1,z1"
POINT_HINT = "write [NAME=]x,y or [NAME=]x,y,z, then :+ or :-"

Point = tuple[float, ...]


@dataclass(frozen=True)
class GivenPrompts:
    """What ``--box`` and ``--point`` said, in the order of the command line."""

    objects: tuple[Prompt, ...] = ()
    everywhere: tuple[Point, ...] = ()
    """Unnamed negative points: of every object, those of a prompt file too."""

    def __bool__(self) -> bool:
        return bool(self.objects or self.everywhere)


def parse_prompts(boxes: Sequence[str], points: Sequence[str]) -> GivenPrompts:
    """Boxes first, then points, numbered from 1; counts and ranges are checked with the image.

    Raises:
        PromptError: text that is no box or point, or two flat boxes of one name.
    """
    objects: dict[str, Prompt] = {}
    everywhere: list[Point] = []
    for text in boxes:
        name, numbers = _named_numbers("--box", text, text, BOX_HINT)
        if len(numbers) not in (4, 6):
            raise PromptError(f"--box {text}: has {len(numbers)} numbers, not 4 or 6: {BOX_HINT}")
        number = len(objects) + 1
        key = name or f"\0{number}"
        if key in objects:
            if len(numbers) == 4:
                raise PromptError(f"--box {text}: a second box of {name!r}: give it another name")
            known = objects[key]
            objects[key] = replace(known, key_boxes=(*known.key_boxes, numbers))
        else:
            objects[key] = Prompt(number, name, box=numbers)
    for text in points:
        body, sign = _sign(text)
        name, numbers = _named_numbers("--point", text, body, POINT_HINT)
        if len(numbers) not in (2, 3):
            many = len(numbers)
            raise PromptError(f"--point {text}: has {many} numbers, not 2 or 3: {POINT_HINT}")
        if not name and sign == 0:
            everywhere.append(numbers)
            continue
        number = len(objects) + 1
        key = name or f"\0{number}"
        objects[key] = _with_point(objects.get(key, Prompt(number, name)), numbers, sign)
    return GivenPrompts(tuple(objects.values()), tuple(everywhere))


def _sign(text: str) -> tuple[str, int]:
    if text.endswith((":+", ":-")):
        return text[:-2], int(text.endswith("+"))
    return text, 1


def _named_numbers(flag: str, text: str, body: str, hint: str) -> tuple[str, Point]:
    name, equals, rest = body.rpartition("=")
    name = name.strip()
    if equals and not name:
        raise PromptError(f"{flag} {text}: there is no name before '=': {hint}")
    try:
        return name, tuple(float(v) for v in rest.split(","))
    except ValueError:
        raise PromptError(f"{flag} {text}: {rest!r} is not a list of numbers: {hint}") from None


def _with_point(prompt: Prompt, point: Point, label: int) -> Prompt:
    return replace(prompt, points=(*prompt.points, point), labels=(*prompt.labels, label))


def space_of(world: str | None, grid: Grid) -> Space:
    """The space that ``--world`` (None, ``auto``, ``lps``, ``ras`` or ``crs``) means.

    Raises:
        PromptError: the image does not have that space.
    """
    if world is None:
        return "index"
    if world not in ("auto", *WORLDS):
        raise PromptError(f"--world {world} is unknown: write --world {'|'.join(WORLDS)}")
    kind = grid.frame.kind
    if kind == "index":
        raise PromptError(
            "--world needs an image with a CRS or in millimetres, and this one has neither: "
            "leave --world out, or assign a CRS to the file first"
        )
    if kind == "crs" and world in ("lps", "ras"):
        raise PromptError(f"--world {world} is for volumes: write --world crs for a raster")
    if kind == "lps" and world == "crs":
        raise PromptError("--world crs is for rasters: write --world lps or ras for a volume")
    return "ras" if world == "ras" else "world"


def join_prompts(
    grid: Grid, from_file: Prompts | None, given: GivenPrompts, space: Space
) -> Prompts | None:
    """Prompts of the file and of the command line in index coordinates, checked.

    An object of the command line joins the file's object of the same name; others get the numbers
    after the file's.

    Raises:
        PromptError: see :meth:`Prompts.check`.
    """
    if from_file is None and not given:
        return None
    joined = list(from_file.to_index(grid)) if from_file is not None else []
    for prompt in Prompts(given.objects, space).to_index(grid):
        places = [i for i, p in enumerate(joined) if prompt.name and p.name == prompt.name]
        if len(places) > 1:
            raise PromptError(f"the name {prompt.name!r} belongs to several objects of the file")
        if places:
            joined[places[0]] = _merged(joined[places[0]], prompt)
        else:
            highest = max((p.id for p in joined), default=0)
            joined.append(replace(prompt, id=highest + 1))
    if given.everywhere:
        labels = (0,) * len(given.everywhere)
        negatives = Prompt(1, "the negative points", None, given.everywhere, labels)
        (moved,) = Prompts((negatives,), space).to_index(grid)
        if not joined:
            raise PromptError("only negative points were given: add --box or a positive --point")
        joined = [
            replace(p, points=(*p.points, *moved.points), labels=(*p.labels, *moved.labels))
            for p in joined
        ]
    prompts = Prompts(tuple(joined))
    prompts.check(grid)
    return prompts


def _merged(first: Prompt, second: Prompt) -> Prompt:
    boxes = (*first.boxes, *second.boxes)
    if first.box is not None and second.box is not None and len(second.box) == 4:
        raise PromptError(f"{describe(first)} has a box in the file and another by --box")
    return replace(
        first,
        box=next(iter(boxes), None),
        key_boxes=boxes[1:],
        points=(*first.points, *second.points),
        labels=(*first.labels, *second.labels),
    )
