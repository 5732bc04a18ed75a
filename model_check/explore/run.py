"""Explore a ground model: every state, by levels, with the engine that is at hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from model_check.explore.c import CEngine, compiler
from model_check.explore.numpy_engine import NumpyEngine
from model_check.explore.result import Engine, Exploration, Progress, Seconds, State, Task, Words
from model_check.explore.symmetry import Symmetry
from model_check.expr import Domain, Expr
from model_check.ground import Ground


def explore(
    ground: Ground,
    *,
    start: Iterable[Sequence[int]] | None = None,
    engine: str = "auto",
    threads: int = 2,
    limit: int | None = None,
    deadlock: bool = False,
    sometimes: Mapping[str, Expr] | None = None,
    invariants: Iterable[str] | None = None,
    symmetry: Iterable[Domain] = (),
    progress: Callable[[Progress], None] | None = None,
    keep: bool = True,
    made: Engine | None = None,
) -> Exploration:
    """Visit every state that can be reached, and say what was found.

    ``start``: packed states, instead of the model's initial one. ``engine``: "c", "numpy", or "auto": C if there is a
    compiler. ``invariants``: names, all if None. It stops after the level in which one is violated, or with
    ``deadlock`` a state has no successor, or that brings the number of states to the ``limit``. ``sometimes``: ground
    truths that shall hold in some state. ``symmetry``: domains whose elements may be exchanged for one another.
    ``keep``: the levels, for stories. ``made``: what :func:`ready` made, for one of many runs of the same model.
    """
    starts = packed(ground, start)
    truths = dict(sometimes or {})
    wanted = tuple(ground.invariants if invariants is None else invariants)
    if unknown := set(wanted) - set(ground.invariants):
        raise KeyError(f"the model has no invariant {', '.join(sorted(unknown))}")
    begin = time.perf_counter()
    symmetries = Symmetry(ground, symmetry, starts)
    if made is None:
        made = _engine(ground, engine, [symmetries.somewhere(truth) for truth in truths.values()], symmetries)
        checked = time.perf_counter() - begin - made.generate_s - made.compile_s
        prepared = checked + made.generate_s, made.compile_s
    else:
        prepared = 0.0, 0.0
    task = Task(
        starts=starts,
        wanted=tuple(name in wanted for name in ground.invariants),
        limit=limit,
        deadlock=deadlock,
        threads=threads,
        keep=keep,
        progress=progress,
    )
    begin = time.perf_counter()
    found = made.run(task)
    seconds = Seconds(*prepared, time.perf_counter() - begin)
    names = list(ground.invariants)
    return Exploration(
        engine=made.name,
        distinct=found.distinct,
        generated=len(starts) + sum(found.fired),
        depth=found.depth,
        violated=found.violated and (names[found.violated[0]], ground.unpack(found.violated[1])),
        deadlocked=found.deadlocked and ground.unpack(found.deadlocked),
        fired=found.fired,
        seen=dict(zip(truths, found.seen, strict=True)),
        complete=found.complete,
        levels=found.levels,
        bytes=found.bytes,
        seconds=seconds,
        predecessor=made.predecessor,
        canonical=symmetries.canonical,
    )


def ready(ground: Ground, engine: str = "auto") -> Engine:
    """An engine for many runs of one model, without ``sometimes`` and ``symmetry``."""
    return _engine(ground, engine, (), Symmetry(ground, (), packed(ground, None)))


def packed(ground: Ground, start: Iterable[Sequence[int]] | None) -> Words:
    """Initial states as an engine wants them."""
    given: Iterable[Sequence[int]] = [ground.pack(ground.initial)] if start is None else start
    states: list[State] = [tuple(map(int, state)) for state in given]
    if not states or any(len(state) != ground.words for state in states):
        raise ValueError(f"start: packed states of {ground.words} words, at least one: see Ground.pack")
    return np.array(states, np.uint64)


def _engine(ground: Ground, engine: str, sometimes: Sequence[Expr], symmetry: Symmetry) -> Engine:
    match engine:
        case "c":
            return CEngine(ground, sometimes, symmetry.text())
        case "numpy":
            return NumpyEngine(ground, sometimes, symmetry.columns)
        case "auto":
            return _engine(ground, "c" if compiler() else "numpy", sometimes, symmetry)
    raise ValueError(f"engine {engine!r}: choose auto, c or numpy")
