"""Scripts: runs of a model, written down. A line is an action and its parameters: ``lrm.wait.arm n=0``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

from model_check.ground import Ground

Script: TypeAlias = tuple[str, ...]


def parsed(line: str) -> tuple[str, dict[str, int]]:
    """An action's name, which may have spaces in it, and its parameters."""
    given = re.findall(r" (\w+)=(\d+)", line)
    name = re.sub(r"( \w+=\d+)*$", "", line)
    return name, {parameter: int(number) for parameter, number in given}


def after(ground: Ground, script: Iterable[str]) -> tuple[int, ...]:
    """The packed state to which a script leads, no time passing. Raises LookupError for a step that cannot happen."""
    state = ground.initial
    for line in script:
        name, given = parsed(line)
        steps = (
            later
            for instance, later in ground.successors(state)
            if instance.action.name == name and dict(instance.binding) == given
        )
        found = next(steps, None)
        if found is None:
            raise LookupError(f"'{line}' cannot happen there")
        state = found
    return ground.pack(state)
