"""How a state comes about: the shortest run that leads to it, found by walking back over the levels."""

from __future__ import annotations

import numpy as np

from model_check.coding import Instance
from model_check.explore.result import Exploration, State, Step
from model_check.ground import Ground


def story(ground: Ground, exploration: Exploration, state: State) -> list[Step]:
    """The steps of a shortest run from an initial state to ``state``; with symmetry, to one that it stands for.

    Raises :class:`LookupError` if the exploration has not kept the state.
    """
    path = _path(exploration, exploration.canonical(ground.pack(state)))
    before, steps = ground.unpack(path[0]), []
    for number, goal in enumerate(path[1:], 1):
        instance, after = next(
            (instance, after)
            for instance, after in ground.successors(before)
            if exploration.canonical(ground.pack(after)) == goal
        )
        steps.append(step(ground, number, instance, before, after))
        before = after
    return steps


def step(ground: Ground, number: int, instance: Instance, before: State, after: State) -> Step:
    changes = {
        slot.name: (slot.shown(before[slot.number]), slot.shown(after[slot.number]))
        for slot in ground.varying
        if before[slot.number] != after[slot.number]
    }
    return Step(number, instance, before, after, changes)


def _path(exploration: Exploration, state: State) -> list[State]:
    """Packed states from an initial one to this one, one of each level."""
    words = np.array(state, np.uint64)
    depth = next((at for at, level in enumerate(exploration.levels) if (level == words).all(axis=1).any()), None)
    if depth is None:
        kept = "does not know the state" if exploration.levels else "has kept no states"
        raise LookupError(f"the exploration {kept}")
    path = [state]
    for level in reversed(exploration.levels[:depth]):
        before = exploration.predecessor(level, path[-1])
        assert before is not None
        path.append(before)
    return path[::-1]
