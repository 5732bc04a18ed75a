"""What an exploration is asked, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from model_check.coding import Instance

State: TypeAlias = tuple[int, ...]
"""A code for each slot: see :meth:`Ground.shown`."""
Words: TypeAlias = npt.NDArray[np.uint64]
"""Packed states, one a row."""


@dataclass(frozen=True)
class Progress:
    """How far a long run is. ``queue``: states found and not yet expanded."""

    states: int
    states_per_s: float
    depth: int
    queue: int


@dataclass(frozen=True)
class Seconds:
    """Where the time went: making source text, compiling it, exploring."""

    generate: float
    compile: float
    run: float

    @property
    def total(self) -> float:
        return self.generate + self.compile + self.run


@dataclass(frozen=True)
class Exploration:
    """What was found. All but the seconds and the bytes is the same whichever engine found it."""

    engine: str
    distinct: int
    generated: int
    """Initial states, and for each state each instance that may fire in it."""
    depth: int
    """How many levels there are, that of the initial states included."""
    violated: tuple[str, State] | None
    """An invariant and a state that violates it, of the shallowest level that has any."""
    deadlocked: State | None
    """A state in which nothing may fire, of the shallowest level that has any; found only if asked for."""
    fired: tuple[int, ...] = field(repr=False)
    """For each instance, in how many of the expanded states its guard held."""
    seen: Mapping[str, bool]
    """Which ``sometimes`` hold in some state."""
    complete: bool
    """Nothing was left out: neither a limit, nor a finding, nor an interruption stopped it."""
    levels: Sequence[Words] = field(repr=False)
    """The states by their distance from the initial ones; empty if they were not kept."""
    bytes: int
    """Memory for states and for telling which are known, at the end."""
    seconds: Seconds
    predecessor: Callable[[Words, State], State | None] = field(repr=False)
    """The least of some packed states from which one step leads to another."""
    canonical: Callable[[State], State] = field(repr=False)
    """The packed state that stands for a packed one: without symmetry itself."""


@dataclass(frozen=True)
class Step:
    """One step of a story: the instance that fired, and which slots it changed from what to what."""

    number: int
    instance: Instance
    before: State
    after: State
    changes: Mapping[str, tuple[object, object]]

    def __str__(self) -> str:
        changes = ", ".join(f"{name}: {old} -> {new}" for name, (old, new) in self.changes.items())
        return f"{self.number:3} {self.instance.name}  {changes}"


# ------------------------------------------------------------------------------------------ between engine and user


@dataclass(frozen=True)
class Task:
    """What an engine is asked."""

    starts: Words
    wanted: tuple[bool, ...]
    """For each invariant, whether it shall hold."""
    limit: int | None
    deadlock: bool
    threads: int
    keep: bool
    progress: Callable[[Progress], None] | None


@dataclass(frozen=True)
class Found:
    """What an engine answers. States are packed; invariants and what may be seen are in the order of the model."""

    levels: Sequence[Words]
    """All levels if they are to be kept, otherwise none."""
    distinct: int
    depth: int
    fired: tuple[int, ...]
    violated: tuple[int, State] | None
    deadlocked: State | None
    seen: tuple[bool, ...]
    complete: bool
    bytes: int


class Engine(Protocol):
    """One way to explore a ground model, made ready for it."""

    name: str
    generate_s: float
    compile_s: float

    def run(self, task: Task) -> Found: ...

    def predecessor(self, states: Words, target: State) -> State | None:
        """The least of the states from which one step leads to the target; all are packed."""
        ...
