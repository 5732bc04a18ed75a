"""The machine that daemons run takes the same row as the table, in every case that the table can tell apart."""

from collections.abc import Iterator
from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hacore.daemons.machine import QuickStepper, Stepper, made
from hacore.protocol.table import ALWAYS, Action, Checker, Fact, Row, Site, State, Table, TableError
from hacore.protocol.tables import TABLES
from model_check.enumerate import cases, columns

FEW = 10
"""Up to so many facts of a state, every valuation is tried."""

Valuation = dict[Fact, bool]
HOT = Fact("HOT", Checker.LOCAL, "It is hot.")
NOTE = Action("NOTE", Site.LOCAL, "Remember.")
OPEN = Action("OPEN", Site.DEVICE, "Open the window.")
SMALL = Table(
    "room",
    "A room.",
    (State("shut", "The window is shut."), State("open", "It is open.", final=True)),
    (
        Row("room.shut.open", "shut", HOT, "open", do=(NOTE, OPEN, NOTE)),
        Row("room.shut.stay", "shut", ALWAYS, "shut", ends_round=True),
    ),
)


@cache
def valuations(table: Table, state: str) -> tuple[Valuation, ...]:
    """Every valuation of a state's facts; of many facts those that tell any two rows apart, see :func:`_distinct`."""
    facts = table.facts_of(state)
    if len(facts) <= FEW:
        every = product((False, True), repeat=len(facts))
        return tuple(dict(zip(facts, values, strict=True)) for values in every)
    found = (each for each in _distinct(table.by_state[state], facts) if each)
    witnesses = dict.fromkeys((each & -each).bit_length() - 1 for each in found)
    return tuple({fact: bool(number >> k & 1) for k, fact in enumerate(facts)} for number in witnesses)


def _distinct(rows: tuple[Row, ...], facts: tuple[Fact, ...]) -> Iterator[int]:
    """Sets of valuations: in each one row is the first to hold, and another one below it does so too, or does not."""
    truth, left = columns(facts), (1 << (1 << len(facts))) - 1
    holding = [cases(row.guard, truth, left) for row in rows]
    for number, holds in enumerate(holding):
        first = left & holds
        left &= ~holds
        yield first
        for other in holding[number + 1 :]:
            yield from (first & other, first & ~other)


def differences(table: Table, stepper: Stepper) -> Iterator[tuple[str, Valuation]]:
    """Each case in which the machine does anything else than what the table's row says."""
    for state, rows in table.by_state.items():
        for facts in valuations(table, state) if rows else ():
            stepper.state = state
            row = stepper.step([fact for fact, holds in facts.items() if holds])
            expected = table.step(state, facts.__getitem__)
            if (row, stepper.state, tuple(stepper.todo)) != (expected, expected.target, expected.do):
                yield state, facts


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_the_machine_is_the_table(table: Table) -> None:
    assert list(differences(table, Stepper(table))) == []


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_row_is_among_the_cases(table: Table) -> None:
    """The comparison is not vacuous: each row is the expected one in some case."""
    fired = {
        table.step(state, facts.__getitem__).id
        for state, rows in table.by_state.items()
        for facts in (valuations(table, state) if rows else ())
    }
    assert fired == set(table.by_id)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_machine_with_its_rows_reversed_is_noticed(table: Table) -> None:
    machine = made(table)
    for transitions in machine.events["step"].transitions.values():
        transitions.reverse()
    assert next(differences(table, Stepper(table, machine=machine)), None)


@settings(deadline=None)  # to build a machine takes longer where others run too
@given(st.sampled_from(list(TABLES.values())), st.sampled_from([Stepper, QuickStepper]), st.data())
def test_the_machine_walks_as_the_table_does(table: Table, kind: type[Stepper], data: st.DataObject) -> None:
    stepper, state = kind(table), table.initial
    for _ in range(20):
        if table.state_named[state].final:
            break
        facts = table.facts_of(state)
        true = data.draw(st.sets(st.sampled_from(facts))) if facts else set[Fact]()
        row = table.step(state, true.__contains__)
        assert stepper.step(sorted(true, key=str)) is row
        assert tuple(stepper.todo) == row.do
        state = row.target
        assert stepper.state == state


def test_actions_are_named_in_order_and_only_those_of_the_last_row() -> None:
    stepper = Stepper(SMALL)
    assert (stepper.state, stepper.todo) == ("shut", [])
    assert stepper.step([HOT]).id == "room.shut.open"
    assert (stepper.state, stepper.todo) == ("open", [NOTE, OPEN, NOTE])


def test_a_final_state_has_no_step_and_is_kept() -> None:
    stepper = Stepper(SMALL, "open")
    with pytest.raises(TableError, match="state open is final"):
        stepper.step([HOT])
    assert (stepper.state, stepper.todo) == ("open", [])


def test_a_fact_that_cannot_be_told_leaves_the_machine_where_it_is() -> None:
    class Unknown(set[Fact]):
        def __contains__(self, fact: object) -> bool:
            raise LookupError(fact)

    stepper = Stepper(SMALL)
    with pytest.raises(LookupError, match="HOT"):
        stepper.step(Unknown())
    assert (stepper.state, stepper.todo) == ("shut", [])


def test_a_state_of_another_table_is_refused() -> None:
    with pytest.raises(TableError, match="room has no state active"):
        Stepper(SMALL, "active")


def test_two_machines_of_one_table_are_apart() -> None:
    one, other = Stepper(SMALL), Stepper(SMALL)
    one.step([HOT])
    assert (one.state, other.state, other.todo) == ("open", "shut", [])


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_the_machine_asks_only_for_the_facts_of_its_state(table: Table) -> None:
    asked: list[object] = []

    class Noting(set[Fact]):
        def __contains__(self, fact: object) -> bool:
            asked.append(fact)
            return False

    for state in (each for each, rows in table.by_state.items() if rows):
        asked.clear()
        Stepper(table, state).step(Noting())
        assert set(asked) <= set(table.facts_of(state))
