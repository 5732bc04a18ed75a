"""What a mutant can no longer do: rows that never fire, states that are never reached, runs that end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model_check.explore import Exploration
from model_check.ground import Ground

OBSERVED = {
    "lrm": "the LRM never is",
    "crm": "the CRM never is",
    "state": "the service never is",
    "node_state": "the node never is",
    "disarm": "the disarm request never is",
    "mode": "the LRM never publishes",
    "worker": "the worker never is",
    "outcome": "the worker never reports",
    "lock": "the lock never is",
    "power": "the power-off never is",
    "runs": "whether the service runs never is",
}
"""What an operator could see: the rest is book-keeping."""


@dataclass(frozen=True)
class Seen:
    """What a run has been seen to do."""

    fired: frozenset[str]
    """The rows that fired, by id, and those that a master decided and wrote."""
    reached: frozenset[tuple[str, str]]
    """The values that each observed field has had anywhere."""
    stuck: bool
    """A state from which nothing can happen."""

    @classmethod
    def of(cls, ground: Ground, found: Exploration) -> Seen:
        return cls(frozenset(_fired(ground, found)), frozenset(_reached(ground, found)), found.deadlocked is not None)

    def lost(self, other: Seen, row: str) -> Iterator[str]:
        """What the other one has lost, in words, the most telling first. That the changed row itself does not fire is
        no loss."""
        if other.stuck:
            yield "a state from which nothing can happen"
        yield from (f"{OBSERVED[name]} {value}" for name, value in sorted(self.reached - other.reached))
        yield from (f"{it} never fires" for it in sorted(self.fired - other.fired - {row}))


def _fired(ground: Ground, found: Exploration) -> Iterator[str]:
    for instance in ground.instances:
        if found.fired[instance.number]:
            action = instance.action
            ids = (action.row, *action.tags, *(word for word in action.name.split() if "." in word))
            yield from (it for it in ids if it and not it.startswith("world."))


def _reached(ground: Ground, found: Exploration) -> Iterator[tuple[str, str]]:
    for slot in ground.varying:
        if slot.field.name in OBSERVED:
            seen = np.zeros(1 << slot.bits, np.bool_)
            for level in found.levels:
                codes = level[:, slot.word] >> np.uint64(slot.shift) & np.uint64((1 << slot.bits) - 1)
                seen[codes.astype(np.intp)] = True
            yield from ((slot.field.name, str(slot.shown(int(code)))) for code in np.flatnonzero(seen))
