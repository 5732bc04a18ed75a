"""What traces have seen of the tables: which rows fired, which values facts had, and which row followed which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from hacore.protocol.table import Fact, Row, Table
from hacore.protocol.tables import TABLES
from hacore.trace.reading import Life, Traces


@dataclass(slots=True)
class Coverage:
    """How often what was seen. A row that changes no document is not told by a master, so it counts as not seen."""

    rows: Counter[str] = field(default_factory=Counter)
    values: Counter[tuple[str, str, bool]] = field(default_factory=Counter)
    """Table, fact, and whether it held."""
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    """A row, and the next one of the same machine: a process, a worker, a record, a node, the disarm request."""

    def add(self, traces: Traces) -> None:
        last: dict[tuple[str, ...], str] = {}
        for life in traces.lives:
            for machine, row, facts in _fired(life):
                self._count(row, facts)
                if TABLES[machine[0]].initial != row.state or machine in last:
                    self._pair(last.get(machine), row)
                last[machine] = row.id
            for machine in [it for it in last if it[0] in {"crm", "lrm", "watchdog", "worker"}]:
                del last[machine]

    def _pair(self, before: str | None, row: Row) -> None:
        if before and TABLES[row.id.partition(".")[0]].by_id[before].target == row.state:
            self.pairs[before, row.id] += 1

    def _count(self, row: Row, facts: frozenset[str]) -> None:
        table = TABLES[row.id.partition(".")[0]]
        self.rows[row.id] += 1
        for fact in _asked(table, row, facts):
            self.values[table.name, fact.name, fact.name in facts] += 1


def _asked(table: Table, row: Row, facts: frozenset[str]) -> set[Fact]:
    """The facts whose values decided it."""
    asked = set()

    def ask(fact: Fact) -> bool:
        asked.add(fact)
        return fact.name in facts

    table.step(row.state, ask)
    return asked


def _fired(life: Life) -> Iterator[tuple[tuple[str, ...], Row, frozenset[str]]]:
    for line in life.lines:
        name = line.row.partition(".")[0]
        if name in TABLES and line.row in TABLES[name].by_id:
            yield (name, *(line.worker or ())), TABLES[name].by_id[line.row], frozenset(line.said["facts"])
        for it in line.said.get("decided", ()):
            table = TABLES[it["row"].partition(".")[0]]
            yield (table.name, it["of"]), table.by_id[it["row"]], frozenset(it["facts"])


def possible_pairs(table: Table) -> int:
    """How many pairs the states allow."""
    return sum(len(table.by_state[row.target]) for row in table.rows)


def possible_values(table: Table) -> list[tuple[str, str, bool]]:
    """Every fact that a guard asks for, both ways."""
    facts = dict.fromkeys(fact.name for row in table.rows for fact in row.guard.facts())
    return [(table.name, fact, held) for fact in facts for held in (True, False)]
