"""Mutants: the tables with one thing changed, and what becomes of each.

A mutant is *caught* if an exploration finds a run that breaks a named property. It is *safe* if Z3 proves that the
inductive invariant still holds: then what was changed serves liveness, or is a second line of defence. Of the others,
nothing is known but that the argument needs what was changed: the proof fails and no slice shows a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from hacore.protocol.table import ALWAYS, And, Guard, Row, Table, TableError
from model_check.checks.explored import model_of, steps_to
from model_check.explore import explore
from model_check.ground import Ground
from model_check.lang import Action, Model
from model_check.outcome import Step
from model_check.prove import Prover, Verdict
from model_check.theorem import WORLD, prover
from model_check.world import world
from model_check.world.slices import Slice

READ_TABLES = ("lrm", "crm", "service", "node", "disarm", "worker")
"""Those that the closed model reads."""


class Fate(StrEnum):
    CAUGHT = "caught"
    SAFE = "safe"
    NEEDED = "needed by the proof"


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


@dataclass(frozen=True)
class Trial:
    """What became of a mutant: the property that a run breaks, or a conjunct that could not be proved."""

    mutant: Mutant
    fate: Fate
    property: str = ""
    slice: str = ""
    steps: tuple[Step, ...] = ()


def mutants(tables: Mapping[str, Table]) -> Iterator[Mutant]:
    """Every mutant that is a table: each conjunct of a guard dropped or reversed, each ``given`` and each action
    dropped, each row left out, each target exchanged for the next one of its state."""
    for name in READ_TABLES:
        table = tables[name]
        for row in table.rows:
            for kind, part, rows in _changes(table, row):
                try:
                    changed = replace(table, rows=tuple(new for old in table.rows for new in _put(old, row, rows)))
                except TableError:
                    continue  # the table itself refuses it
                yield Mutant(kind, row.id, part, changed)


def _put(old: Row, row: Row, rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return rows if old is row else (old,)


def _changes(table: Table, row: Row) -> Iterator[tuple[str, str, tuple[Row, ...]]]:
    for fact in row.given:
        yield "given without", fact.name, (replace(row, given=tuple(it for it in row.given if it != fact)),)
    for action in row.do:
        without = tuple(it for it in row.do if it != action)
        given = row.given if row.effect != action else ()
        yield "does not", action.name, (replace(row, do=without, given=given),)
    if row.guard is not ALWAYS:
        yield "left out", "", ()
        parts = tuple(_parts(row.guard))
        for part in parts:
            others = [it for it in parts if it is not part]
            if others:
                yield "without", str(part), (replace(row, guard=_all(others)),)
            yield "with the opposite of", str(part), (replace(row, guard=_all([~part, *others])),)
    targets = dict.fromkeys(it.target for it in table.by_state[row.state] if it.target != row.target)
    for target in list(targets)[:1]:
        yield "leads to", target, (replace(row, target=target),)


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


class Court:
    """Tries mutants, one after the other."""

    def __init__(self, tables: Mapping[str, Table], slices: tuple[Slice, ...], limit: int = 3_000_000) -> None:
        self.tables, self.slices, self.limit = tables, slices, limit
        self._known = {_key(action) for action in world(WORLD, tables).actions}

    def tried(self, mutant: Mutant) -> Trial:
        tables = {**self.tables, mutant.table.name: mutant.table}
        open_conjunct = self._unproved(tables)
        if not open_conjunct:
            return Trial(mutant, Fate.SAFE)
        for slice_ in self.slices:
            ground = Ground(model_of(slice_, tables))
            found = explore(ground, limit=self.limit)
            if found.violated is not None:
                name, state = found.violated
                return Trial(mutant, Fate.CAUGHT, name, slice_.name, steps_to(ground, found, state))
        return Trial(mutant, Fate.NEEDED, open_conjunct)

    def _unproved(self, tables: Mapping[str, Table]) -> str:
        """A conjunct that an action of the mutant, one that the tables do not have, is not proved to keep."""
        changed = {action.name for action in world(WORLD, tables).actions if _key(action) not in self._known}
        if not changed:
            return ""
        judge: Prover = prover(timeout_s=5, tables=lambda: tables)
        for obligation in judge.prove(actions=changed):
            if obligation.verdict is not Verdict.PROVED:
                return obligation.invariant
        return ""


def _key(action: Action) -> tuple[object, ...]:
    """What an action is, by the identity of its expressions."""
    writes = tuple((it.field.name, tuple(part.id for part in it.index), it.value.id) for it in action.updates)
    return action.name, tuple(guard.id for guard in action.guards), writes


__all__ = ["Court", "Fate", "Model", "Mutant", "Trial", "mutants"]
