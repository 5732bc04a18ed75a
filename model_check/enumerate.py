"""The lint's second opinion: the same verdicts as :mod:`model_check.lint`, by truth tables instead of a solver.

A state's n facts have 2**n valuations. A set of valuations is an integer with one bit for each of them, so a guard is
evaluated for all valuations at once, and nothing needs deciding: a row fires in the cases that its guard holds less
the cases that the rows above have taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hacore.protocol.table import ALWAYS, And, Fact, Guard, Not, Or, Table

MOST_FACTS = 26
"""A truth table of 26 facts has 67 million cases: an integer of 8 MiB."""


@dataclass(frozen=True)
class Verdict:
    """What never fires, what its surroundings settle, and what is never reached."""

    shadowed: frozenset[str]
    settled: frozenset[tuple[str, str, bool]]
    """Row, fact and the constant that would do in its place."""
    unreachable: frozenset[str]


def columns(facts: Sequence[Fact]) -> dict[Fact, int]:
    """For each fact, the valuations in which it is true: fact number k is bit k of the valuation's number."""
    size = 1 << len(facts)
    of: dict[Fact, int] = {}
    for k, fact in enumerate(facts):
        half = 1 << k
        column, width = ((1 << half) - 1) << half, 2 * half  # zeros, then ones, again and again
        while width < size:
            column, width = column | column << width, 2 * width
        of[fact] = column
    return of


def cases(guard: Guard, columns: Mapping[Fact, int], every: int) -> int:
    """The valuations in which a guard holds."""
    match guard:
        case Fact():
            return columns[guard]
        case Not(inner=inner):
            return every & ~cases(inner, columns, every)
        case And(left=left, right=right):
            return cases(left, columns, every) & cases(right, columns, every)
        case Or(left=left, right=right):
            return cases(left, columns, every) | cases(right, columns, every)
    if guard is ALWAYS:
        return every
    raise TypeError(f"unknown guard {guard!r}")


def verdict(table: Table) -> Verdict:
    """Everything about a table's rows that a truth table shows. Raises ValueError if a state has too many facts."""
    shadowed: set[str] = set()
    settled: set[tuple[str, str, bool]] = set()
    for state, rows in table.by_state.items():
        assumed = _assumed(table, state)
        facts = tuple(dict.fromkeys((*table.facts_of(state), *(f for guard in assumed for f in guard.facts()))))
        if len(facts) > MOST_FACTS:
            raise ValueError(f"state {state} of table {table.name} depends on {len(facts)} facts, over {MOST_FACTS}")
        every, of = (1 << (1 << len(facts))) - 1, columns(facts)
        left = every
        for guard in assumed:
            left &= cases(guard, of, every)
        for row in rows:
            fires = left & cases(row.guard, of, every)
            if not fires:
                shadowed.add(row.id)
            for fact in row.guard.facts():
                for value in (True, False):
                    if left & cases(row.guard, {**of, fact: every if value else 0}, every) == fires:
                        settled.add((row.id, fact.name, value))
            left &= ~fires
    return Verdict(frozenset(shadowed), frozenset(settled), frozenset(_unreached(table, shadowed)))


def _assumed(table: Table, state: str) -> list[Guard]:
    """The table's assumptions that bear on the facts of a state, be it through facts of other states."""
    known = set(table.facts_of(state))
    waiting: list[Guard] = list(table.assuming)
    taken: list[Guard] = []
    while near := [guard for guard in waiting if known & set(guard.facts())]:
        taken += near
        known.update(fact for guard in near for fact in guard.facts())
        waiting = [guard for guard in waiting if guard not in near]
    return taken


def _unreached(table: Table, shadowed: set[str]) -> set[str]:
    """By rounds until nothing is added: not the way in which the lint searches."""
    reached, before = {table.initial}, set[str]()
    while reached != before:
        before = set(reached)
        reached |= {row.target for row in table.rows if row.state in reached and row.id not in shadowed}
    return set(table.by_state) - reached
