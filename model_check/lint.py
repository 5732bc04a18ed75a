"""What is wrong with a table, found by a solver.

:class:`hacore.protocol.table.Table` checks what can be seen by looking at one row. This looks at rows together:

- *shadowed*: the rows above take every case in which the row's guard holds, so it never fires;
- *idle fact*: a fact in a guard that changes nothing, whether it is true or false;
- *unreachable*, *never entered*, *never left*: the states, seen through the rows that can fire;
- *unused*: a fact or action that is declared and that no table mentions;
- *two meanings*: one name, two sentences, checkers or sites. Facts of one name are equal, so readers would mix them up;
- *contradiction*: the table's assumptions exclude each other, so nothing could be said about its rows.

Facts may be related: a lock that is mine is not free. A table says so in ``assuming``, guards that always hold.
Each question about a row is one satisfiability check over the facts of one state. :mod:`model_check.enumerate`
answers the same questions without a solver, and a test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import z3

from hacore.protocol.table import ALWAYS, Action, And, Fact, Guard, Not, Or, Row, Table

Name: TypeAlias = Fact | Action


class Kind(StrEnum):
    SHADOWED = "shadowed"
    IDLE_FACT = "idle fact"
    UNREACHABLE = "unreachable"
    NEVER_ENTERED = "never entered"
    NEVER_LEFT = "never left"
    UNUSED = "unused"
    TWO_MEANINGS = "two meanings"
    CONTRADICTION = "contradiction"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to correct. ``where`` is the id of a row, or the name of a state, a fact or an action."""

    table: str
    where: str
    kind: Kind
    sentence: str

    def __str__(self) -> str:
        return f"{self.table or 'tables'}: {self.where}: {self.kind}: {self.sentence}"


def lint(tables: Iterable[Table], declared: Iterable[Name] = ()) -> list[Finding]:
    """All findings: table by table in the order of the rows, then those about the facts and actions ``declared``."""
    tables, declared = tuple(tables), tuple(declared)
    findings = [finding for table in tables for finding in _table(table)]
    used = [name for table in tables for row in table.rows for name in _mentioned(row)]
    return [*findings, *_unused(used, declared), *_two_meanings((*used, *declared))]


# ------------------------------------------------------------------------------------------------------ the rows


def shadowed(table: Table) -> Iterator[tuple[Row, tuple[str, ...]]]:
    """Rows that never fire, each with the ids of rows above that suffice to take all its cases."""
    for state in table.by_state:
        solver = _solver(table)
        for row in table.by_state[state]:
            solver.push()
            solver.add(formula(row.guard))
            if solver.check() == z3.unsat:
                yield row, tuple(sorted((str(each) for each in solver.unsat_core()), key=list(table.by_id).index))
            solver.pop()
            solver.assert_and_track(z3.Not(formula(row.guard)), row.id)


def settled_facts(table: Table) -> Iterator[tuple[Row, Fact, bool]]:
    """Facts in guards that may as well be the constant given: the row would fire in exactly the same cases.

    One constant that would do is no fault: a guard with a name reads better whole than stripped of what the rows above
    have settled. But a mutant that puts that constant there cannot be told from the row. If both would do, the fact
    is idle.
    """
    for state in table.by_state:
        solver = _solver(table)
        for row in table.by_state[state]:
            guard = formula(row.guard)
            for fact in dict.fromkeys(row.guard.facts()):
                for value in (True, False):
                    replaced = z3.substitute(guard, (formula(fact), z3.BoolVal(value)))
                    if solver.check(guard != replaced) == z3.unsat:
                        yield row, fact, value
            solver.add(z3.Not(guard))


def reachable(table: Table, dead: Iterable[Row]) -> set[str]:
    """The states to which rows lead from the initial state, ``dead`` rows left out."""
    dead_ids = {row.id for row in dead}
    seen, ahead = {table.initial}, [table.initial]
    while ahead:
        for row in table.by_state[ahead.pop()]:
            if row.id not in dead_ids and row.target not in seen:
                seen.add(row.target)
                ahead.append(row.target)
    return seen


def formula(guard: Guard) -> z3.BoolRef:
    """The guard as a Z3 term; a fact is the Boolean constant of its name."""
    match guard:
        case Fact(name=name):
            return z3.Bool(name)
        case Not(inner=inner):
            return z3.Not(formula(inner))
        case And(left=left, right=right):
            return z3.And(formula(left), formula(right))
        case Or(left=left, right=right):
            return z3.Or(formula(left), formula(right))
    if guard is ALWAYS:
        return z3.BoolVal(True)
    raise TypeError(f"unknown guard {guard!r}")


def assumptions(table: Table) -> tuple[Guard, ...]:
    """What the table assumes of its facts, if it assumes anything."""
    return table.assuming


def _solver(table: Table) -> z3.Solver:
    solver = z3.Solver()
    solver.set("core.minimize", True)
    solver.add(*(formula(guard) for guard in assumptions(table)))
    return solver


# -------------------------------------------------------------------------------------------------- the sentences


def _table(table: Table) -> Iterator[Finding]:
    if _solver(table).check() == z3.unsat:
        sentence = f"these cannot hold together: {', '.join(map(str, assumptions(table)))}"
        yield Finding(table.name, table.name, Kind.CONTRADICTION, sentence)
        return
    dead = list(shadowed(table))
    for row, above in dead:
        yield Finding(table.name, row.id, Kind.SHADOWED, _why_shadowed(row, above))
    dead_rows = [row for row, _ in dead]
    settled = [(row, fact) for row, fact, _ in settled_facts(table) if row not in dead_rows]
    for row, fact in dict.fromkeys(settled):
        if settled.count((row, fact)) > 1:
            sentence = f"'{row.guard}' holds or not whatever {fact} is, in the cases that the rows above leave"
            yield Finding(table.name, row.id, Kind.IDLE_FACT, sentence)
    yield from _states(table, reachable(table, dead_rows))


def _why_shadowed(row: Row, above: tuple[str, ...]) -> str:
    if not above:
        return f"its guard '{row.guard}' can never hold"
    return f"whenever '{row.guard}' holds, a row above fires: {', '.join(above)}"


def _states(table: Table, reached: set[str]) -> Iterator[Finding]:
    for state in table.states:
        entered = any(row.target == state.name != row.state for row in table.rows)
        rows = table.by_state[state.name]
        if state.name not in reached:
            lost = f", so these never fire: {', '.join(row.id for row in rows)}" if rows else ""
            if entered:
                sentence = f"no rows that can fire lead here from {table.initial}{lost}"
                yield Finding(table.name, state.name, Kind.UNREACHABLE, sentence)
            else:
                yield Finding(table.name, state.name, Kind.NEVER_ENTERED, f"no row of another state leads here{lost}")
        if not state.final and all(row.target == state.name for row in rows):
            sentence = "no row leads out: declare it final, or say how it ends"
            yield Finding(table.name, state.name, Kind.NEVER_LEFT, sentence)


def _mentioned(row: Row) -> Iterator[Name]:
    yield from row.guard.facts()
    yield from row.given
    yield from row.do


def _unused(used: Iterable[Name], declared: Iterable[Name]) -> Iterator[Finding]:
    known = set(used)
    for name in dict.fromkeys(declared):
        if name not in known:
            what = "fact" if isinstance(name, Fact) else "action"
            yield Finding("", name.name, Kind.UNUSED, f"no row of any table mentions this {what}")


def _two_meanings(names: Iterable[Name]) -> Iterator[Finding]:
    meanings: dict[Name, dict[str, None]] = {}
    for name in names:
        vouched = name.checker if isinstance(name, Fact) else name.site
        meanings.setdefault(name, {})[f"{name.sentence} ({vouched})"] = None
    for name, several in meanings.items():
        if len(several) > 1:
            yield Finding("", name.name, Kind.TWO_MEANINGS, " / ".join(several))
