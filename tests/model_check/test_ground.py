"""Grounding keeps the meaning: packed states, small codes, and nothing that can be reached is left out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings

from model_check.expr import FALSE
from model_check.ground import Ground, evaluate
from model_check.lang import (
    BOOL,
    Context,
    Count,
    Domain,
    Duration,
    Enum,
    Expr,
    Field,
    LangError,
    Model,
    Ref,
    Timer,
    ite,
    later,
)
from model_check.unroll import Unrolled
from tests.model_check.random_models import models

NODE = Domain("Node", 3)
PHASE = Enum("Phase", tuple("abcdefgh"))


def reached(ground: Ground) -> set[tuple[int, ...]]:
    """All states, by codes, the simple way."""
    known = ahead = {ground.initial}
    while ahead:
        ahead = {after for state in ahead for _, after in ground.successors(state)} - known
        known = known | ahead
    return known


def reached_raw(raw: Unrolled) -> set[tuple[int, ...]]:
    """All states, by the values as their types number them: no analysis, no codes."""

    def steps(state: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        for _, _, guard, updates in raw.instances:
            if evaluate(guard, state):
                new = list(state)
                for slot, expr in updates.items():
                    new[slot] = min(evaluate(expr, state), raw.places[slot][0].type.size - 1)
                yield tuple(new)

    known = ahead = {tuple(raw.initial)}
    while ahead:
        ahead = {after for state in ahead for after in steps(state)} - known
        known = known | ahead
    return known


@settings(max_examples=100, deadline=None)
@given(models())
def test_codes_leave_nothing_out(model: Model) -> None:
    ground = Ground(model)
    values = {
        tuple(slot.values[code] for slot, code in zip(ground.slots, state, strict=True)) for state in reached(ground)
    }
    assert values == reached_raw(Unrolled(model))


@settings(max_examples=30, deadline=None)
@given(models())
def test_packing_loses_nothing(model: Model) -> None:
    ground = Ground(model)
    for state in reached(ground):
        assert ground.unpack(ground.pack(state)) == state


def test_a_state_takes_as_many_words_as_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_check.coding.WORD", 8)
    model = Model("phases", [Field("phase", PHASE, (NODE,), "a", chosen=True), Field("up", BOOL, chosen=True)])
    ground = Ground(model)
    assert [(slot.word, slot.shift) for slot in ground.slots] == [(0, 0), (0, 3), (1, 0), (1, 3)]
    state = ground.start(phase="h", up=True)
    assert ground.pack(state) == (0b111111, 0b1111)
    assert ground.unpack(ground.pack(state)) == state


def walk(c: Context, n: Expr) -> None:
    c.when(c.phase[n] == "a")
    c.phase[n] = "c"


def test_codes_are_few() -> None:
    model = Model("walk", [Field("phase", PHASE, (NODE,), "a"), Field("never", PHASE, (), "h")])
    model.add("walk", walk, {"n": NODE})
    model.add("never", lambda c: c.when(c.never == "g"), {})
    ground = Ground(model)
    assert [slot.bits for slot in ground.slots] == [1, 1, 1, 0]
    assert [instance.name for instance in ground.instances] == ["walk(n=0)", "walk(n=1)", "walk(n=2)"]
    assert ground.shown(ground.initial) == {"phase[0]": "a", "phase[1]": "a", "phase[2]": "a"}
    assert ground.expression(model.state().never == "g") is FALSE


def test_a_run_is_given_what_is_chosen() -> None:
    model = Model("chosen", [Field("who", Ref(NODE, none=True), (), None, chosen=True), Field("up", BOOL)])
    ground = Ground(model)
    assert ground.shown(ground.start()) == {"who": None}
    assert ground.shown(ground.start(who=2)) == {"who": 2}
    with pytest.raises(LangError, match="3 is no value"):
        ground.start(who=3)


def test_past_its_end_a_counter_or_timer_stays_there() -> None:
    short = Duration("SHORT", 3)
    model = Model("ends", [Field("first", BOOL), Field("count", Count(2)), Field("timer", Timer(4))])

    def step(c: Context) -> None:
        c.timer = ite(c.first, later(c.timer, short), c.timer)
        c.first, c.count = True, c.count.next()

    model.add("step", step, {})
    ground = Ground(model)
    (last,) = [state for state in reached(ground) if all(after == state for _, after in ground.successors(state))]
    assert ground.shown(last) == {"first": True, "count": 2, "timer": 4}


def test_one_place_is_written_once() -> None:
    model = Model("twice", [Field("up", BOOL, (NODE,))])

    def twice(c: Context, n: Expr, m: Expr) -> None:
        c.up[n], c.up[m] = True, False

    model.add("twice", twice, {"n": NODE, "m": NODE})
    with pytest.raises(LangError, match=r"twice may write up\[0\] twice"):
        Ground(model)
