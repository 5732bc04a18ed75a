"""Many mutants in one model: what each has that the tables have not, and the other way round.

A model with a *chosen* field says in each run which mutant it is. What a mutant changes may happen only in its runs,
and what it does without happens in all but its runs. So a hundred mutants cost one compilation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

from hacore.protocol.table import ALWAYS, Table
from model_check.ground import Ground
from model_check.lang import Action, Enum, Field, Model, any_of
from model_check.mutants.changes import Mutant
from model_check.properties import Property, add_safety
from model_check.world import world
from model_check.world.fields import PLANNED, Dimensions
from model_check.world.slices import Slice

CHOSEN = "mutant"
ORIGINAL = "none"


class _Part(Model):
    """Has only the actions that are some row's, of which the ids are given."""

    def __init__(self, name: str, fields: Iterable[Field], rows: frozenset[str]) -> None:
        super().__init__(name, fields)
        self._rows = rows

    def add(self, name: str, *given: Any, **more: Any) -> None:
        if not self._rows.isdisjoint(name.split()):
            super().add(name, *given, **more)


def concerned(mutant: Mutant) -> frozenset[str]:
    """The rows of which actions may be others than those of the tables: where the changed row is tried, and whose
    targets lead on through there."""
    table, row = mutant.table, mutant.table.by_id[mutant.row]
    states = {row.state}
    while table.name not in PLANNED:
        before = {it.state for it in table.rows if it.target in states and table.by_state[it.state][0] is it}
        before = {state for state in before if table.by_state[state][0].guard is ALWAYS} - states
        if not before:
            break
        states |= before
    entering = () if table.name in PLANNED else (it.id for it in table.rows if it.target in states)
    return frozenset((*(it.id for it in table.by_state[row.state]), *entering))


def _only(table: Table, rows: Collection[str]) -> Table:
    """A view of a table: in states without any of the rows nothing happens, except what is taken along on the way."""
    view = copy(table)
    vars(view)["by_state"] = {
        state: its if its and (its[0].guard is ALWAYS or any(it.id in rows for it in its)) else ()
        for state, its in table.by_state.items()
    }
    return view


@dataclass(frozen=True)
class Difference:
    """What a mutant does that the tables do not do, and the actions of the tables that it has not."""

    new: tuple[Action, ...]
    gone: frozenset[tuple[object, ...]]

    def __bool__(self) -> bool:
        return bool(self.new or self.gone)


class Worlds:
    """One slice, over the tables and over their mutants."""

    def __init__(self, slice_: Slice, tables: Mapping[str, Table]) -> None:
        self.slice, self.tables = slice_, tables

    @cached_property
    def original(self) -> Model:
        return world(self.slice, self.tables)

    def difference(self, mutant: Mutant) -> Difference:
        rows = concerned(mutant)
        part = world(self.slice, self._near(mutant, rows), make=partial(_Part, rows=rows))
        known = {it.identity for it in self.original.actions if not rows.isdisjoint(it.name.split())}
        new = {it.identity: it for it in part.actions}
        return Difference(tuple(it for key, it in new.items() if key not in known), frozenset(known - set(new)))

    def _near(self, mutant: Mutant, rows: frozenset[str]) -> dict[str, Table]:
        """The tables without rows that do not matter to the ones given: much quicker to read."""
        changed = mutant.table.name
        kept = {"crm", changed} if changed in PLANNED else {changed, *(PLANNED if changed == "crm" else ())}
        near = {name: _only(table, ()) for name, table in self.tables.items() if name not in kept}
        return {**self.tables, **near, changed: _only(mutant.table, rows)}

    def together(self, differences: Sequence[Difference], conjuncts: Iterable[Property] = ()) -> Together:
        """One model for all. ``conjuncts`` become invariants, besides the safety properties."""
        number = Enum(CHOSEN, (ORIGINAL, *map(str, range(len(differences)))))
        original = self.original
        model = Model(original.name, [*original.fields.values(), Field(CHOSEN, number, (), ORIGINAL, chosen=True)])
        chosen = getattr(model.state(), CHOSEN)
        of: dict[int, list[str]] = {}
        for action in original.actions:
            without = [str(k) for k, it in enumerate(differences) if action.identity in it.gone]
            unless = [~any_of(chosen == name for name in without)] if without else []
            model.actions.append(replace(action, guards=(*unless, *action.guards)))
            of[id(model.actions[-1])] = without
        for action, having in _shared(differences):
            only = any_of(chosen == name for name in having)
            model.actions.append(replace(action, guards=(only, *action.guards)))
            of[id(model.actions[-1])] = having
        add_safety(model, Dimensions.of(self.slice))
        model.invariants |= {it.name: it.formula(model.state(), Dimensions.of(self.slice)) for it in conjuncts}
        ground = Ground(model)
        alive = {id(instance.action): instance.action for instance in ground.instances}
        changes = {str(k): frozenset(key for key in alive if str(k) in of[key]) for k in range(len(differences))}
        return Together(ground, changes)


class Together(NamedTuple):
    """The run with ``mutant`` chosen as ``str(k)`` is that of number k, and that of the tables with ORIGINAL."""

    ground: Ground
    changes: Mapping[str, frozenset[int]]
    """Which actions, of those that can fire at all, each mutant has more or fewer: equal ones run alike."""


def _shared(differences: Sequence[Difference]) -> Iterator[tuple[Action, list[str]]]:
    """Every new action, with the mutants that have it."""
    actions: dict[tuple[object, ...], Action] = {}
    having: dict[tuple[object, ...], list[str]] = {}
    for k, difference in enumerate(differences):
        for action in difference.new:
            actions[action.identity] = action
            having.setdefault(action.identity, []).append(str(k))
    yield from ((action, having[key]) for key, action in actions.items())
