"""Asking each fact once finds the row that the guards name, in every table and in tables drawn at random."""

from collections import Counter
from collections.abc import Callable, Mapping
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacore.protocol import chooser as module
from hacore.protocol.chooser import Chooser
from hacore.protocol.reference.tables import REFERENCE
from hacore.protocol.table import ALWAYS, Fact, Guard, Row, Table
from hacore.protocol.tables import TABLES
from tests.protocol.test_table import OFF, A, B, C, guards

ALL = [*TABLES.values(), *(table for name, table in REFERENCE.items() if table is not TABLES[name])]


def asked_once(table: Table, state: str, facts: Mapping[Fact, bool]) -> Row:
    """The row that a chooser finds, whose subject is the facts themselves."""
    asked: Counter[Fact] = Counter()

    def meaning(fact: Fact) -> Callable[[Mapping[Fact, bool]], bool]:
        def ask(facts: Mapping[Fact, bool]) -> bool:
            asked[fact] += 1
            return facts[fact]

        return ask

    row = Chooser(table, {fact: meaning(fact) for fact in facts}).row(state, facts)
    assert max(asked.values(), default=1) == 1, asked
    return row


def random_table(of: list[Guard]) -> Table:
    rows = [Row(f"t.off.{number}", "off", guard, "off") for number, guard in enumerate((*of, ALWAYS))]
    return Table("t", "A theory.", (OFF,), tuple(rows))


@given(st.lists(guards, max_size=6), st.tuples(*[st.booleans()] * 3))
def test_the_row_of_a_random_table_is_the_one_that_its_guards_name(of: list[Guard], values: tuple[bool, ...]) -> None:
    table, facts = random_table(of), dict(zip((A, B, C), values, strict=True))
    assert asked_once(table, "off", facts) == table.step("off", facts.__getitem__)


@given(st.data())
def test_the_row_of_a_real_table_is_the_one_that_its_guards_name(data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(ALL))
    state = data.draw(st.sampled_from([state.name for state in table.states if not state.final]))
    facts = {fact: data.draw(st.booleans(), fact.name) for fact in table.facts_of(state)}
    assert asked_once(table, state, facts) is table.step(state, facts.__getitem__)


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_there_are_not_many_questions(table: Table) -> None:
    """Each way through the questions is a part of the function that is made of them: there may not be thousands."""

    def ways(found: module.Choice) -> int:
        return ways(found.yes) + ways(found.no) if isinstance(found, module.Question) else 1

    assert all(ways(module.questions(rows)) < 200 for rows in table.by_state.values())


def test_a_wrong_simplification_would_be_noticed() -> None:
    known = module._known

    def swapped(guard: Guard | bool, fact: Fact | None = None, value: bool = False) -> Guard | bool:
        return known(guard, fact, value if fact != B else not value)

    table, facts = random_table([A & B]), {A: True, B: True, C: True}
    with patch.object(module, "_known", swapped):
        assert asked_once(table, "off", facts) != table.step("off", facts.__getitem__)
