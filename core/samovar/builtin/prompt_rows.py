"""From numbers in a file to numbered prompts: what the readers of prompt files share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

from samovar.errors import PromptError
from samovar.prompts import Prompt, Prompts, Space


def read_space(path: str, value: Any) -> Space:
    """``index``, ``world`` or ``ras``.

    Raises:
        PromptError: anything else.
    """
    for space in get_args(Space):
        if value == space:
            return space  # type: ignore[no-any-return]
    raise PromptError(f"{path}: space is {value!r}: write index, world or ras")


def numbers(where: str, values: Any) -> tuple[float, ...]:
    """A list of numbers as floats.

    Raises:
        PromptError: it is no list, or something in it is no number.
    """
    try:
        return tuple(float(v) for v in values)
    except (TypeError, ValueError) as error:
        raise PromptError(f"{where} is not a list of numbers: {values!r}") from error


def as_int(where: str, value: Any) -> int:
    """A whole number not below 0; an empty text is 0.

    Raises:
        PromptError: anything else.
    """
    try:
        number = float(value or 0)
    except (TypeError, ValueError):
        number = -1.0
    if number < 0 or not number.is_integer():
        raise PromptError(f"{where} is {value!r}, not a whole number from 0")
    return int(number)


def make_prompts(path: str, objects: Sequence[Prompt], space: Space) -> Prompts:
    """Number those without a number (id 0) with what is free, from 1.

    Raises:
        PromptError: there are none, one says nothing, or a number comes twice.
    """
    if not objects:
        raise PromptError(f"{path}: holds no prompts: add at least one box or point")
    taken = [p.id for p in objects if p.id]
    if len(set(taken)) < len(taken):
        twice = next(i for i in taken if taken.count(i) > 1)
        raise PromptError(f"{path}: the id {twice} is given to more than one object")
    used, free = set(taken), 1
    numbered: list[Prompt] = []
    for prompt in objects:
        if prompt.empty:
            who = prompt.name or f"number {len(numbered) + 1}"
            raise PromptError(f"{path}: object {who} has neither a box nor points")
        if not prompt.id:
            while free in used:
                free += 1
            used.add(free)
            prompt = replace(prompt, id=free)
        numbered.append(prompt)
    return Prompts(tuple(numbered), space)
