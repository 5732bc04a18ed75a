"""Every operator of the language has the meaning that it says; wrong uses raise, and say what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from model_check.expr import ADVICE, FALSE, TRUE
from model_check.ground import Ground, evaluate
from model_check.lang import (
    BOOL,
    OFF,
    Context,
    Count,
    Domain,
    Duration,
    Enum,
    Expr,
    Field,
    LangError,
    Model,
    Premise,
    Ref,
    Timer,
    after,
    ahead,
    all_of,
    any_of,
    every,
    implies,
    ite,
    later,
    no_later,
    outlasts,
    passed,
    some,
)

NODE = Domain("Node", 3)
PHASE = Enum("Phase", ("off", "on", "lost"))
SHORT, LONG = Duration("SHORT", 1), Duration("LONG", 3)

FIELDS = (
    Field("up", BOOL, (NODE,), chosen=True),
    Field("calm", BOOL, chosen=True),
    Field("phase", PHASE, (), "off", chosen=True),
    Field("other", PHASE, (), "off", chosen=True),
    Field("who", Ref(NODE, none=True), (), None, chosen=True),
    Field("at", Ref(NODE), chosen=True),
    Field("count", Count(3), chosen=True),
    Field("most", Count(3), chosen=True),
    Field("timer", Timer(4), chosen=True),
    Field("lease", Timer(4), chosen=True),
)
CHOSEN = Model("chosen", FIELDS)
GROUND = Ground(CHOSEN)


def state_of(ground: Ground, **values: Any) -> tuple[int, ...]:
    """A state; a field over a domain is given the elements for which it is true."""
    state = list(ground.start(**{name: value for name, value in values.items() if not isinstance(value, set)}))
    for slot in ground.slots:
        if isinstance(given := values.get(slot.field.name), set):
            state[slot.number] = int(slot.index[0] in given)
    return tuple(state)


TRUTHS: list[tuple[Callable[[Context], Expr], list[dict[str, Any]], list[dict[str, Any]]]] = [
    (lambda c: c.calm, [{"calm": True}], [{"calm": False}]),
    (lambda c: ~c.calm, [{"calm": False}], [{"calm": True}]),
    (lambda c: c.up[1], [{"up": {1}}], [{"up": {0, 2}}]),
    (lambda c: c.up[c.at], [{"up": {2}, "at": 2}], [{"up": {0, 1}, "at": 2}]),
    (lambda c: c.calm & c.up[0], [{"calm": True, "up": {0}}], [{"calm": True}, {"up": {0}}]),
    (lambda c: c.calm | c.up[0], [{"calm": True}, {"up": {0}}], [{}]),
    (lambda c: c.calm == c.up[0], [{}, {"calm": True, "up": {0}}], [{"calm": True}]),
    (lambda c: c.calm != True, [{}], [{"calm": True}]),  # noqa: E712
    (lambda c: c.phase == "on", [{"phase": "on"}], [{"phase": "off"}]),
    (lambda c: c.phase != "on", [{"phase": "lost"}], [{"phase": "on"}]),
    (lambda c: c.phase == c.other, [{"phase": "on", "other": "on"}], [{"phase": "on"}]),
    (lambda c: c.phase.isin("on", "lost"), [{"phase": "on"}, {"phase": "lost"}], [{"phase": "off"}]),
    (lambda c: c.who == None, [{"who": None}], [{"who": 0}]),  # noqa: E711
    (lambda c: c.who == 2, [{"who": 2}], [{"who": None}]),
    (lambda c: c.who == c.at, [{"who": 1, "at": 1}], [{"at": 1}, {"who": 2, "at": 1}]),
    (lambda c: some(NODE, lambda n: c.up[n]), [{"up": {2}}], [{}]),
    (lambda c: every(NODE, lambda n: c.up[n]), [{"up": {0, 1, 2}}], [{"up": {0, 2}}]),
    (lambda c: some(NODE, lambda n: every(NODE, lambda m: (m == n) | c.up[m])), [{"up": {0, 2}}], [{"up": {1}}]),
    (lambda c: implies(c.calm, c.up[0]), [{}, {"calm": True, "up": {0}}], [{"calm": True}]),
    (lambda c: all_of((c.calm, c.up[0], c.up[1])), [{"calm": True, "up": {0, 1}}], [{"up": {0, 1}}]),
    (lambda c: any_of((c.calm, c.up[0], c.up[1])), [{"up": {1}}], [{"up": {2}}]),
    (lambda c: ite(c.calm, c.up[0], c.up[1]), [{"calm": True, "up": {0}}, {"up": {1}}], [{"up": {0}}]),
    (lambda c: ite(c.calm, c.phase, "lost") == "lost", [{}, {"calm": True, "phase": "lost"}], [{"calm": True}]),
    (lambda c: ite(c.calm, c.who, c.at) == 1, [{"at": 1}, {"calm": True, "who": 1}], [{"calm": True, "at": 1}]),
    (lambda c: ite(c.calm, c.count, 2) == c.most, [{"most": 2}, {"calm": True}], [{}, {"calm": True, "most": 2}]),
    (lambda c: c.count < c.most, [{"count": 1, "most": 2}], [{"count": 2, "most": 2}]),
    (lambda c: c.count > c.most, [{"count": 2, "most": 1}], [{"count": 2, "most": 2}]),
    (lambda c: c.count < 2, [{"count": 1}], [{"count": 2}]),
    (lambda c: c.count == 3, [{"count": 3}], [{"count": 2}]),
    (lambda c: c.count.next() == c.most, [{"count": 1, "most": 2}], [{"count": 2, "most": 2}]),
    (lambda c: ahead(c.timer), [{"timer": 1}], [{"timer": 0}]),
    (lambda c: ahead(c.timer, LONG), [{"timer": 4}], [{"timer": 3}]),
    (lambda c: passed(c.timer), [{"timer": 0}], [{"timer": 1}]),
    (lambda c: outlasts(c.timer), [{"timer": 2}], [{"timer": 1}]),
    (lambda c: no_later(c.timer, c.lease), [{"timer": 2, "lease": 2}], [{"timer": 3, "lease": 2}]),
    (lambda c: no_later(later(c.timer, SHORT), c.lease), [{"timer": 2, "lease": 3}], [{"timer": 2, "lease": 2}]),
    (lambda c: no_later(after(LONG), c.lease), [{"lease": 3}], [{"lease": 2}]),
    (lambda c: c.timer == OFF, [{"timer": 0}], [{"timer": 2}]),
]


@pytest.mark.parametrize("number", range(len(TRUTHS)))
def test_what_an_operator_means(number: int) -> None:
    declared, where, where_not = TRUTHS[number]
    truth = GROUND.expression(declared(CHOSEN.state()))
    assert all(evaluate(truth, state_of(GROUND, **values)) for values in where)
    assert not any(evaluate(truth, state_of(GROUND, **values)) for values in where_not)


def test_constants_fold() -> None:
    c = CHOSEN.state()
    assert (c.calm & TRUE) is c.calm
    assert (c.calm & FALSE) is FALSE
    assert (c.calm | TRUE) is TRUE
    assert (c.calm | FALSE) is c.calm
    assert ~~c.calm is c.calm
    assert (c.calm == c.calm) is TRUE
    assert ite(TRUE, c.phase, "on") is c.phase
    assert (c.phase == "on") is (c.phase == "on")


# --------------------------------------------------------------------------------------------------------------- steps


def steps(body: Callable[..., None], *, ticks: bool = False, of: dict[str, Domain] | None = None, **begin: Any) -> Any:
    """What an action changes, for each of its instances that may fire in a state whose values are given."""
    model = Model("steps", [Field(it.name, it.type, it.domains, begin.get(it.name, it.initial)) for it in FIELDS])
    model.add("step", body, of or {}, ticks=ticks)
    ground = Ground(model)
    return [
        {
            slot.name: slot.shown(after[slot.number])
            for slot in ground.slots
            if after[slot.number] != ground.initial[slot.number]
        }
        for _, after in ground.successors(ground.initial)
    ]


def test_a_guard_says_when() -> None:
    def step(c: Context, n: Expr) -> None:
        c.when(c.calm, n != 1)
        c.when(c.phase == "off")
        c.up[n] = True

    assert steps(step, of={"n": NODE}, calm=True) == [{"up[0]": True}, {"up[2]": True}]
    assert steps(step, of={"n": NODE}, calm=False) == []
    assert steps(step, of={"n": NODE}, calm=True, phase="on") == []


def test_reads_see_the_state_before() -> None:
    def swap(c: Context) -> None:
        c.phase, c.other = c.other, c.phase
        c.calm = c.phase == "on"

    assert steps(swap, phase="on", other="lost") == [{"phase": "lost", "other": "on", "calm": True}]


def test_a_write_may_be_to_what_is_referred_to() -> None:
    def step(c: Context) -> None:
        c.up[c.at] = True
        c.at = 1
        c.who = c.at

    assert steps(step, at=2) == [{"up[2]": True, "at": 1, "who": 2}]


def test_a_write_to_none_writes_nothing() -> None:
    def step(c: Context) -> None:
        c.up[c.who] = True

    assert steps(step) == [{}]
    assert steps(step, who=1) == [{"up[1]": True}]


def test_a_slice_is_a_row() -> None:
    def step(c: Context) -> None:
        c.up[:] = lambda n: n != c.at

    assert steps(step, at=1) == [{"up[0]": True, "up[2]": True}]

    def all_at_once(c: Context) -> None:
        c.up[:] = True

    assert steps(all_at_once) == [{"up[0]": True, "up[1]": True, "up[2]": True}]


def test_a_value_may_be_one_of_two() -> None:
    def step(c: Context) -> None:
        c.phase = ite(c.calm, "on", c.other)
        c.who = ite(c.calm, None, c.at)

    assert steps(step, calm=True, who=2) == [{"phase": "on", "who": None}]
    assert steps(step, other="lost", at=1) == [{"phase": "lost", "who": 1}]


def test_counters_grow() -> None:
    def step(c: Context) -> None:
        c.count = c.count.next()
        c.most = c.count

    assert steps(step, count=1) == [{"count": 2, "most": 1}]
    assert steps(step, count=3) == [{"most": 3}]


def test_timers_are_set_and_run_down() -> None:
    def put(c: Context) -> None:
        c.timer, c.lease = after(LONG), ite(outlasts(c.timer), c.timer, later(c.timer, SHORT))

    assert steps(put, timer=1) == [{"timer": 3, "lease": 2}]
    assert steps(put, timer=2) == [{"timer": 3, "lease": 2}]

    def off(c: Context) -> None:
        c.timer, c.lease = OFF, c.timer

    assert steps(off, timer=2) == [{"timer": 0, "lease": 2}]

    def pass_time(c: Context) -> None:
        c.calm = outlasts(c.timer)

    assert steps(pass_time, ticks=True, timer=2, lease=1) == [{"timer": 1, "lease": 0, "calm": True}]
    assert steps(pass_time, ticks=True, timer=1) == [{"timer": 0}]
    assert steps(pass_time, ticks=True) == [{}]


def test_two_places_of_a_field_may_be_written() -> None:
    def step(c: Context, n: Expr, m: Expr) -> None:
        c.when(n != m)
        c.up[n], c.up[m] = True, False

    assert steps(step, of={"n": NODE, "m": NODE})[0] == {"up[0]": True}


def test_an_action_is_named_as_its_function() -> None:
    model = Model("named", FIELDS)

    @model.action(n=NODE)
    def rise(c: Context, n: Expr) -> None:
        c.up[n] = True

    @model.action()
    def never(c: Context) -> None:
        c.when(FALSE)

    assert [action.name for action in model.actions] == ["rise"]
    assert [instance.name for instance in Ground(model).instances] == ["rise(n=0)", "rise(n=1)", "rise(n=2)"]


def test_a_premise_is_about_ticks() -> None:
    assert Premise(longer=(LONG,), shorter=(SHORT, SHORT)).holds()
    assert not Premise(longer=(SHORT,), shorter=(LONG,)).holds()


# --------------------------------------------------------------------------------------------------------- wrong uses

C = CHOSEN.state()
NO_TRUTH = "a symbolic value has no truth value: write & | ~ ite()"


def both_places(c: Context) -> None:
    c.up[1], c.up[1] = True, False


def twice(c: Context) -> None:
    c.phase = "on"
    c.phase = "off"


def unknown_write(c: Context) -> None:
    c.colour = "red"


def wrong_value(c: Context) -> None:
    c.phase = "asleep"


def wrong_type(c: Context) -> None:
    c.phase = c.calm


def wrong_none(c: Context) -> None:
    c.at = None


def wrong_moment(c: Context) -> None:
    c.lease = after(Duration("FAR", 9))


def wrong_guard(c: Context) -> None:
    c.when(c.phase)


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "and": (lambda: C.calm and C.up[0], NO_TRUTH),
    "or": (lambda: C.calm or C.up[0], NO_TRUTH),
    "not": (lambda: not C.calm, NO_TRUTH),
    "if": (lambda: 1 if C.calm else 2, NO_TRUTH),
    "a chain": (lambda: C.count < C.most < 3, r"write \(a < b\) & \(b < c\) instead of a < b < c"),
    "in": (lambda: "on" in C.phase, "write x.isin"),
    "any": (lambda: any(C.up[n] for n in range(3)), NO_TRUTH),
    "no parentheses": (lambda: C.at == 0 & C.up[0], r"put comparisons in parentheses, \(a == b\) & c"),
    "no parentheses around a name": (lambda: C.phase == "on" & C.calm, "is no value of Bool"),
    "a truth that is none": (lambda: ~C.phase, r"& \| ~ need truth values"),
    "a condition that is none": (lambda: ite(C.phase, C.calm, C.calm), "need truth values"),
    "a field that is none": (lambda: C.colour, "the model has no field colour"),
    "a value that is none": (lambda: C.phase == "asleep", "'asleep' is no value of Enum"),
    "None where there is none": (lambda: GROUND.start(at=None), "None is no value of Ref"),
    "an element that is none": (lambda: C.up[3], "3 is no value of Ref"),
    "unlike things": (lambda: C.phase == C.count, "cannot be equal"),
    "two indices": (lambda: C.up[0, 1], r"up is indexed by 1 element\(s\), not 2"),
    "an order of names": (lambda: C.phase < "on", "only counters are compared with < and >"),
    "an order of timers": (lambda: C.timer < C.lease, "timers with ahead"),
    "the next name": (C.phase.next, "only a Count has a next value"),
    "a timer that is none": (lambda: ahead(C.count), "is no timer"),
    "a place written twice": (lambda: steps(both_places), "up is written twice at the same place in one action"),
    "a field written twice": (lambda: steps(twice), "phase is written twice"),
    "a field that cannot be written": (lambda: steps(unknown_write), "the model has no field colour"),
    "a value that cannot be written": (lambda: steps(wrong_value), "'asleep' is no value of Enum"),
    "a type that cannot be written": (lambda: steps(wrong_type), "is written to phase"),
    "None that cannot be written": (lambda: steps(wrong_none), "at is never None"),
    "a moment too far ahead": (lambda: steps(wrong_moment), "lease reaches 4 ticks ahead"),
    "a guard that is none": (lambda: steps(wrong_guard), "need truth values"),
}


@pytest.mark.parametrize("use", WRONG)
def test_a_wrong_use_is_told_what_to_write(use: str) -> None:
    wrong, advice = WRONG[use]
    with pytest.raises(LangError, match=advice):
        wrong()


def test_the_advice_covers_what_python_does_by_itself() -> None:
    for word in ("and", "or", "not", "if", "any", "all"):
        assert word in ADVICE
