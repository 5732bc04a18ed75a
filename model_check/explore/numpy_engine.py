"""The engine that needs no compiler: numpy over the whole frontier, a chunk at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from model_check.explore.keys import Known, States, joined, salted
from model_check.explore.result import Found, Progress, State, Task, Words
from model_check.explore.vector import ALL_ONES, CHUNK, Batch, Columns, Expander, columns
from model_check.expr import Expr
from model_check.ground import Ground

WATCH_S = 1.0
"""How often progress is told."""
Result = TypeVar("Result")


class NumpyEngine:
    """A ground model, ready to be explored."""

    name = "numpy"
    compile_s = 0.0

    def __init__(self, ground: Ground, sometimes: Sequence[Expr], canonical: Callable[[Columns], Columns]) -> None:
        begin = time.perf_counter()
        self.ground, self.sometimes = ground, tuple(sometimes)
        self.expander = Expander(ground)
        self.canonical = canonical
        self.generate_s = time.perf_counter() - begin

    def run(self, task: Task) -> Found:
        with ThreadPoolExecutor(max(task.threads, 1)) as pool:
            return salted(lambda salt: Search(self, task, salt, pool).run())

    def predecessor(self, states: Words, target: State) -> State | None:
        found: list[State | None] = []
        for begin in range(0, len(states), CHUNK):
            for _, batch, after in self.expander.steps(columns(states[begin : begin + CHUNK])):
                hits = np.ones(batch.size, np.bool_)
                for column, word in zip(self.canonical(after), target, strict=True):
                    hits &= column == np.uint64(word)
                rows = np.flatnonzero(hits)
                found.append(least(tuple(batch.column(word).take(rows) for word in range(len(target)))))
        return min(filter(None, found), default=None)


class Search:
    """One run."""

    def __init__(self, engine: NumpyEngine, task: Task, salt: int, pool: ThreadPoolExecutor) -> None:
        self.engine, self.task, self.salt, self.pool = engine, task, salt, pool
        self.known = Known()
        self.fired = np.zeros(len(engine.ground.instances), np.int64)
        self.seen = [False] * len(engine.sometimes)
        self.violated: tuple[int, State] | None = None
        self.deadlocked: State | None = None
        self.distinct = self.depth = 0
        self.begin = self.told = time.perf_counter()

    def run(self) -> Found:
        kept: list[Words] = []
        level = self._distinct(columns(self.task.starts))
        while len(level):
            self.known.add(level)
            self.distinct += len(level)
            self.depth += 1
            if self.task.keep:
                kept.append(np.stack(level.columns, axis=1))
            self._inspect(level)
            if self.violated or self.deadlocked or (self.task.limit is not None and self.distinct >= self.task.limit):
                break
            level = self._next(level)
        return Found(
            levels=tuple(kept),
            distinct=self.distinct,
            depth=self.depth,
            fired=tuple(self.fired.tolist()),
            violated=self.violated,
            deadlocked=self.deadlocked,
            seen=tuple(self.seen),
            complete=not (len(level) or self.violated or self.deadlocked),
            bytes=self.known.bytes + sum(states.nbytes for states in kept),
        )

    def _distinct(self, found: Columns) -> States:
        return States.of(self.engine.canonical(found), self.salt).distinct()

    # ------------------------------------------------------------------------------------------------------ a level

    def _next(self, level: States) -> States:
        reached = [level[:0]]
        expanded = 0
        for chunk, (fired, found, stuck) in self._each(self._expanded, level):
            reached.append(found)
            self.fired += fired
            self.deadlocked = min(filter(None, (self.deadlocked, stuck)), default=None)
            expanded += len(chunk)
            self._tell(queue=len(level) - expanded)
        fresh = [found for _, found in self._each(self.known.fresh, joined(reached).distinct())]
        return joined([level[:0], *fresh])

    def _each(self, work: Callable[[States], Result], states: States) -> Iterator[tuple[States, Result]]:
        """Work done on chunks by all threads, in the order of the states."""
        chunks = [states[begin : begin + CHUNK] for begin in range(0, len(states), CHUNK)]
        return zip(chunks, self.pool.map(work, chunks), strict=True)

    def _expanded(self, chunk: States) -> tuple[npt.NDArray[np.int64], States, State | None]:
        """How often each instance fired, what states follow, and the least state that none follows."""
        fired, moving = np.zeros_like(self.fired), np.zeros(len(chunk), np.bool_)
        found: list[Columns] = []
        for instance, batch, after in self.engine.expander.steps(chunk.columns):
            fired[instance.number] = batch.size
            found.append(after)
            if self.task.deadlock:
                moving[batch.rows] = True
        stuck = least(chunk.take(np.flatnonzero(~moving)).columns) if self.task.deadlock else None
        if not found:
            return fired, chunk[:0], stuck
        return fired, self._distinct(tuple(map(np.concatenate, zip(*found, strict=True)))), stuck

    def _inspect(self, level: States) -> None:
        for _, (violated, seen) in self._each(self._inspected, level):
            self.violated = min(filter(None, (self.violated, violated)), default=None)
            self.seen = [one or other for one, other in zip(self.seen, seen, strict=True)]

    def _inspected(self, chunk: States) -> tuple[tuple[int, State] | None, list[bool]]:
        """The first invariant that does not always hold, with the least state that violates it; and what is seen."""
        batch = Batch.of(self.engine.ground, chunk.columns)
        violated = None
        for number, invariant in enumerate(self.engine.ground.invariants.values()):
            if self.task.wanted[number]:
                state = least(chunk.take(np.flatnonzero(~batch.truth(invariant))).columns)
                if state is not None:
                    violated = number, state
                    break
        return violated, [
            known or bool(batch.truth(sometimes).any())
            for known, sometimes in zip(self.seen, self.engine.sometimes, strict=True)
        ]

    def _tell(self, queue: int) -> None:
        now = time.perf_counter()
        if self.task.progress is not None and now - self.told > WATCH_S:
            self.told = now
            self.task.progress(Progress(self.distinct, self.distinct / (now - self.begin), self.depth, queue))


def least(states: Columns) -> State | None:
    """The least of some states, word by word."""
    for word in range(len(states)):
        rows = np.flatnonzero(states[word] == states[word].min(initial=ALL_ONES))
        states = tuple(column[rows] for column in states)
    return tuple(int(column[0]) for column in states) if len(states[0]) else None
