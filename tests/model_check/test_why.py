"""Scripts replay as the explorer does, conditions are exact, and every hole is one."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import pytest
import z3
from hypothesis import given, settings
from hypothesis import strategies as st

from hacore.protocol import crm, lrm
from hacore.protocol.reference.weak import without_given
from hacore.protocol.table import Fact
from model_check import lang, script
from model_check.explore import explore
from model_check.ground import Ground
from model_check.holes import CLOSED, HOLES, Hole, substituted
from model_check.lang import BOOL, Context, Domain, Duration, Expr, Field, LangError, Model, Premise, Timer
from model_check.replay import Replay
from model_check.why import LIKED, as_json, condition, example, explain, render

BY_NAME = {hole.name: hole for hole in (*HOLES, *CLOSED)}
NODE = Domain("Node", 2)
SHORT, LONG = Duration("watchdog_s", 1), Duration("lock_ttl_s", 2)


# ------------------------------------------------------------------------------------------------------------ replay


def race(bars: bool) -> Model:
    """Whoever has begun wins after a long time, and before a short one is over twice."""
    fields = [Field("short", Timer(2), (NODE,)), Field("long", Timer(2), (NODE,)), Field("won", BOOL, (NODE,))]
    model = Model("race", fields)

    @model.action(n=NODE)
    def begin(c: Context, n: Expr) -> None:
        c.when(lang.every(NODE, lambda k: ~c.won[k]))
        c.short[n], c.long[n] = lang.later(lang.after(SHORT), SHORT), lang.after(LONG)

    @model.action(n=NODE)
    def win(c: Context, n: Expr) -> None:
        c.when(lang.passed(c.long[n]), lang.ahead(c.long[n]) | lang.ahead(c.short[n], SHORT if bars else None))
        c.won[:] = lambda k: c.won[k] | (k == n)

    @model.action(n=NODE)
    def note(c: Context, n: Expr) -> None:
        c.won[n] = lang.passed(c.long[n])

    model.add("tick", lambda c: c.when(lang.every(NODE, lambda k: ~c.won[k])), {}, ticks=True)
    return model


def test_time_passes_between_steps_and_durations_decide() -> None:
    run = Replay(race(bars=False), ["begin n=0", "win n=0"])
    assert condition(run) == "lock_ttl_s < 2 * watchdog_s"
    assert condition(run, [Premise((LONG,), (SHORT,))]) == "lock_ttl_s < 2 * watchdog_s"
    assert condition(run, [Premise((LONG,), (SHORT, SHORT))]) == "impossible"
    assert condition(run, [Premise((SHORT,), (LONG,))]) == "always"
    assert condition(Replay(race(bars=True), ["begin n=0", "win n=0"])) == "lock_ttl_s < watchdog_s"
    assert [it.at_s for it in example(run).moments] == [0, LIKED["lock_ttl_s"] + Fraction(1, 100)]


def test_no_time_passes_where_it_may_not() -> None:
    both = ["begin n=0", "begin n=1", "win n=0", "win n=1"]
    assert condition(Replay(race(bars=False), both)) == "lock_ttl_s < 2 * watchdog_s"
    assert {it.at_s for it in example(Replay(race(bars=False), both)).moments[2:]} == {Fraction("9.12")}
    still = race(bars=False)
    still.actions = [action for action in still.actions if not action.ticks]
    assert condition(Replay(still, both)) == "impossible"


def test_what_cannot_be_replayed() -> None:
    for line in ("win", "win m=0", "lose n=0"):
        with pytest.raises(LookupError, match=f"no action '{line}'"):
            Replay(race(bars=False), [line])
    late = Replay(race(bars=False), ["begin n=0", "win n=0", "begin n=0", "win n=1"])
    assert (late.refused, len(late.steps)) == ("step 3, begin n=0", 2)
    assert not Replay(race(bars=False), ["note n=0"]).refused
    with pytest.raises(LangError, match="depends on time"):
        Replay(race(bars=False), ["begin n=0", "note n=0"])


def test_lines_of_scripts() -> None:
    assert script.parsed("lrm.active.exit (late) n=0") == ("lrm.active.exit (late)", {"n": 0})
    assert script.parsed("crm.master.change a.b m=0 s=1 d=10") == ("crm.master.change a.b", {"m": 0, "s": 1, "d": 10})
    assert script.parsed("world.time_passes") == ("world.time_passes", {})


@pytest.mark.parametrize("name", ["b", "d", "f"])
def test_a_replay_is_a_run_of_the_explorer(name: str) -> None:
    hole = BY_NAME[name]
    model, lines = hole.model(), hole.script
    ground, run = Ground(model), Replay(model, lines)
    state = ground.shown(ground.unpack(script.after(ground, lines)))
    places = {f"{it}[{','.join(map(str, index))}]" if index else it: (it, index) for it, index in run.values}
    discrete = {it: at for it, at in places.items() if it in state and not isinstance(model.fields[at[0]].type, Timer)}
    assert {it: run.shown(at[0], run.values[at]) for it, at in discrete.items()} == {it: state[it] for it in discrete}
    with pytest.raises(LookupError, match="cannot happen there"):
        script.after(ground, [*lines, lines[0]])


# -------------------------------------------------------------------------------------------------------- conditions


@pytest.mark.parametrize("hole", BY_NAME.values(), ids=BY_NAME)
def test_a_hole_is_open_exactly_when_it_is_said_to_be(hole: Hole) -> None:
    found = explain(hole, exemplify=False)
    assert found.condition == hole.possible
    assert found.if_safe == ("impossible" if hole.name == "short" else hole.possible)
    assert found.own == "impossible" or "cannot happen" in found.own or "no action" in found.own


def fulfilled(text: str, lengths: Mapping[str, Fraction]) -> bool:
    """A condition, read with numbers."""

    def total(side: str) -> Fraction:
        terms = re.findall(r"(?:(\d+) \* )?(\w+_s)", side)
        return sum((Fraction(factor or 1) * lengths[name] for factor, name in terms), Fraction())

    compare = operator.lt if " < " in text else operator.le
    left, right = re.split(" <=? ", text)
    return bool(compare(total(left), total(right)))


@pytest.mark.parametrize("name", ["a.pause", "f.watchdog", "moment", "short"])
def test_conditions_are_exact(name: str) -> None:
    """With numbers for durations there is nothing to eliminate: a solver says the same of them, and at the edge."""
    hole = BY_NAME[name]
    run = Replay(hole.timed().model(), hole.script)
    solver, longer = z3.Solver(), hole.possible.split(" < ")[0]
    solver.add(*run.asked)

    @settings(max_examples=15, deadline=None)
    @given(st.lists(st.integers(1, 30), min_size=6, max_size=6), st.sampled_from([-3, -1, 0, 1]))
    def check(numbers: list[int], more: int) -> None:
        lengths = {it.name: Fraction(number) for it, number in zip(run.durations, numbers, strict=False)} | {
            longer: Fraction(1)
        }
        while fulfilled(hole.possible, lengths):
            lengths[longer] += 1
        lengths[longer] = max(lengths[longer] + more, Fraction(1))
        found = solver.check(*(length == str(lengths[it.name]) for it, length in run.durations.items()))
        assert (found == z3.sat) == fulfilled(hole.possible, lengths)

    check()


# ------------------------------------------------------------------------------------------------------------ example


def test_an_example_has_the_durations_that_hacore_has_and_wastes_no_time() -> None:
    found = explain(BY_NAME["moment"])
    assert found.example is not None
    assert found.example.durations == {name: LIKED[name] for name in ("watchdog_s", "reset_s", "lock_ttl_s")}
    moments = [it.at_s for it in found.example.moments]
    assert moments == sorted(moments)
    assert moments[-1] == LIKED["lock_ttl_s"] + Fraction(1, 100)
    told = as_json(found)
    assert told["script"] == list(found.hole.script) == [step["action"] for step in told["steps"]]  # type: ignore[attr-defined]
    assert "lock_ttl_s = 9.11:" in render(found)


def test_an_impossible_run_has_no_example() -> None:
    found = explain(BY_NAME["token"])
    assert found.example is None
    assert found.own == "step 40, crm.master.write service.recovery.start m=0 cannot happen"
    assert "for example" not in render(found)
    assert as_json(found)["steps"] == []


def test_a_script_must_show_what_it_is_for() -> None:
    with pytest.raises(LookupError, match="does not break SingleOwner"):
        explain(replace(BY_NAME["short"], script=BY_NAME["short"].script[:-1]))


# -------------------------------------------------------------------------------------------------------------- holes


def test_names_are_unique_and_sentences_are_sentences() -> None:
    assert len(BY_NAME) == len(HOLES) + len(CLOSED)
    assert [it.name for it in BY_NAME.values() if not it.sentence.endswith(".") or it.ours.endswith(".")] == []


def test_substitutions_know_their_rows() -> None:
    with pytest.raises(ValueError, match="there is no row lrm"):
        substituted(lrm.LRM, {"lrm.nothing": ()})


def violated(hole: Hole, properties: list[str]) -> str | None:
    ground = Ground(hole.model())
    begin = script.after(ground, hole.script[: hole.begin])
    found = explore(ground, start=[begin], invariants=properties, limit=60_000_000)
    assert found.violated or found.complete
    return found.violated[0] if found.violated else None


QUICK = ("d", "f.watchdog", "power.word")


@pytest.mark.parametrize("name", QUICK)
def test_the_explorer_finds_a_hole(name: str) -> None:
    assert violated(BY_NAME[name], [BY_NAME[name].breaks]) == BY_NAME[name].breaks


@pytest.mark.slow
@pytest.mark.parametrize("hole", [hole for hole in HOLES if hole.name not in QUICK], ids=lambda hole: hole.name)
def test_the_explorer_finds_every_hole(hole: Hole) -> None:
    assert violated(hole, [hole.breaks]) == hole.breaks


@pytest.mark.slow
@pytest.mark.parametrize(
    "kept",
    [(lrm.LOCK_AVAILABLE,), (lrm.NO_FENCE_MARK,), (crm.BASIS_CURRENT,), ()],
    ids=["lock", "mark", "basis", "none"],
)
def test_each_of_three_things_closes_the_hole_of_evidence(kept: tuple[Fact, ...]) -> None:
    """What hole d takes out one by one: an LRM may take a lock held for fencing, sees no mark, and the store does not
    look at that lock when recovery is written."""
    takes = tuple(fact for fact in (lrm.LOCK_AVAILABLE, lrm.NO_FENCE_MARK) if fact not in kept)
    writes = tuple(fact for fact in (crm.BASIS_CURRENT,) if fact not in kept)
    tables = {
        "lrm": without_given(lrm.LRM, {"lrm.wait.ask": takes, "lrm.lost.ask": takes}),
        "crm": without_given(crm.CRM, {"crm.master.write": writes}),
    }
    hole = replace(BY_NAME["d"], tables=tables, change=None, begin=0)
    assert (violated(hole, ["SingleOwner", "FenceBeforeRecover"]) is None) == bool(kept)
