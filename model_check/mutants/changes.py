"""Mutants: the tables with one thing changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from hacore.protocol.table import ALWAYS, And, Guard, Row, Table, TableError
from hacore.protocol.tables import TABLES
from model_check.world import READ

NEVER = ~ALWAYS


@dataclass(frozen=True)
class Mutant:
    """One change: ``kind`` says what was done to which ``part`` of a row."""

    kind: str
    row: str
    part: str
    table: Table

    @property
    def name(self) -> str:
        return f"{self.row}: {self.kind} {self.part}".strip()


def mutants(tables: Mapping[str, Table]) -> Iterator[Mutant]:
    """Every mutant that is a table: each conjunct of a guard dropped or reversed, each ``given`` and each action
    dropped, each row left out, each target exchanged for the next one of its state."""
    for name in READ:
        table = tables[name]
        for row in table.rows:
            for kind, part, new in _changes(table, row):
                try:
                    changed = replace(table, rows=tuple(new if old is row else old for old in table.rows))
                except TableError:
                    continue  # the table itself refuses it
                yield Mutant(kind, row.id, part, changed)


@cache
def own() -> dict[str, Mutant]:
    """The mutants of hacore's own tables, by name."""
    return {it.name: it for it in mutants(TABLES)}


def _changes(table: Table, row: Row) -> Iterator[tuple[str, str, Row]]:
    for fact in row.given:
        yield "given without", fact.name, replace(row, given=tuple(it for it in row.given if it != fact))
    for action in row.do:
        without = tuple(it for it in row.do if it != action)
        given = row.given if row.effect != action else ()
        yield "does not", action.name, replace(row, do=without, given=given)
    if row.guard is not ALWAYS:
        # A guard that never holds, so that whatever numbers rows has the same numbers.
        yield "left out", "", replace(row, guard=NEVER)
        parts = tuple(_parts(row.guard))
        for part in parts:
            others = [it for it in parts if it is not part]
            yield "without", str(part), replace(row, guard=_all(others) if others else ALWAYS)
            yield "with the opposite of", str(part), replace(row, guard=_all([~part, *others]))
    targets = (it.target for it in table.by_state[row.state] if it.target != row.target)
    for target in list(targets)[:1]:
        yield "leads to", target, replace(row, target=target)


def _parts(guard: Guard) -> Iterator[Guard]:
    if isinstance(guard, And):
        yield from _parts(guard.left)
        yield from _parts(guard.right)
    else:
        yield guard


def _all(parts: list[Guard]) -> Guard:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole & part
    return whole
