"""What Z3 says of a mutant: that it changes nothing, or that the invariant still holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property

import z3

from hacore.protocol.table import Table
from model_check.invariants import CONJUNCTS
from model_check.lang import Action, Model
from model_check.lint import assumptions, formula
from model_check.mutants.changes import Mutant
from model_check.mutants.schema import Difference, Worlds
from model_check.properties import SAFETY
from model_check.prove import Prover
from model_check.prove import Verdict as Proof
from model_check.theorem import POLICIES, WORLD
from model_check.theorem import model as theorem
from model_check.world.fields import Dimensions

PATIENCE_S = 20.0


def same_rows(table: Table, mutant: Mutant) -> bool:
    """Whether in each case that the table allows the same row fires as before, and does the same."""
    before, after = table.by_id[mutant.row], mutant.table.by_id[mutant.row]
    if replace(after, guard=before.guard) != before:
        return False
    solver = z3.Solver()
    solver.add(*map(formula, assumptions(table)))
    pairs = zip(table.by_state[before.state], mutant.table.by_state[before.state], strict=True)
    for old, new in pairs:
        differs, others = formula(old.guard) != formula(new.guard), z3.Or(formula(old.guard), formula(new.guard))
        if solver.check(differs) == z3.sat:
            return False
        solver.add(z3.Not(others))
    return True


def _deed(action: Action) -> tuple[object, ...]:
    """What an action does, wherever it may. The proof knows actions that only some policy has by a longer name."""
    name, params, _, writes = action.identity
    return str(name).partition(" (policy")[0], params, writes


class Proofs:
    """The argument, for any number of nodes and services and under all shutdown policies."""

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self.tables = tables
        self._worlds = [Worlds(replace(WORLD, policy=policy), tables) for policy in POLICIES]

    def difference(self, mutant: Mutant) -> Difference:
        """Of all that may happen under any policy."""
        under = self._worlds if mutant.table.name == "lrm" else self._worlds[:1]  # no other daemon knows the policy
        several = [worlds.difference(mutant) for worlds in under]
        new = {it.identity: it for each in several for it in each.new}
        return Difference(tuple(new.values()), frozenset().union(*(each.gone for each in several)))

    def broken(self, differences: Iterable[Difference], patient: bool = False, most: int = 3) -> list[tuple[str, ...]]:
        """For each: the invariants that new actions are not proved to keep, up to so many. None, and it is safe."""
        differences = list(differences)
        actions = {it.identity: it for each in differences for it in each.new}
        prover = self._prover(list(actions.values()))
        number = {key: at for at, key in enumerate(actions, 1)}
        known: dict[tuple[object, ...], tuple[str, ...]] = {}

        def breaks(action: Action) -> tuple[str, ...]:
            if action.identity not in known:
                at, found = number[action.identity], list[str]()
                rarer = any(prover.only_where(at, it.guard) for it in self._doing_the_same(action))
                for name in prover.obliged(at) if not rarer else ():
                    if not prover.proves(at, name, prover.invariants, patient):
                        found.append(name)
                        if len(found) == most:
                            break
                known[action.identity] = tuple(found)
            return known[action.identity]

        def first(difference: Difference) -> tuple[str, ...]:
            found: list[str] = []
            for action in difference.new:
                found += (name for name in breaks(action) if name not in found)
                if len(found) >= most:
                    break
            return tuple(found[:most])

        return [first(difference) for difference in differences]

    def _doing_the_same(self, action: Action) -> Iterator[Action]:
        """Actions of the tables that do the same, perhaps elsewhere. That they keep the invariant is proved."""
        yield from self._by_deed.get(_deed(action), ())

    @cached_property
    def _by_deed(self) -> dict[tuple[object, ...], list[Action]]:
        found: dict[tuple[object, ...], list[Action]] = {}
        for action in self.model.actions:
            found.setdefault(_deed(action), []).append(action)
        return found

    def safe_with_less(self, difference: Difference) -> tuple[str, ...]:
        """The invariants that remain if those are given up that the mutant may break, and those that rest on them: they
        are inductive again. Empty if the safety properties are not all among them."""
        actions = [it for it in self.model.actions if it.identity not in difference.gone]
        prover = self._prover([*actions, *difference.new])
        kept = set(prover.invariants)
        due = {(at, name) for at in range(len(actions) + 1, len(prover.steps)) for name in prover.obliged(at)}
        while due:
            given_up = set[str]()
            for at, name in sorted(due):
                if name in kept and not prover.proves(at, name, kept):
                    if name not in self._auxiliary:
                        return ()
                    kept.discard(name)
                    given_up.add(name)
            due = {
                (at, name)
                for at, action in enumerate(prover.steps)
                for name in prover.obliged(at)
                if given_up and (name in kept or name not in prover.invariants)
                if action is None
                or self._rests(action, name) is None
                or given_up & (self._rests(action, name) or set())
            }
        return tuple(name for name in prover.invariants if name in kept)

    _auxiliary = frozenset(it.name for it in CONJUNCTS)

    @cached_property
    def model(self) -> Model:
        return theorem(self.tables)

    @cached_property
    def _used(self) -> dict[tuple[tuple[object, ...], str], frozenset[str]]:
        """By action and invariant, what its proof rests on: of all obligations of the tables."""
        proofs = self._prover(self.model.actions).prove()
        steps = (None, *self.model.actions)
        return {
            (action.identity, it.invariant): frozenset(it.used)
            for it in proofs
            if (action := steps[it.step]) is not None and it.verdict is Proof.PROVED
        }

    def _rests(self, action: Action, name: str) -> frozenset[str] | None:
        return self._used.get((action.identity, name))

    def _prover(self, actions: list[Action]) -> Prover:
        original = self._worlds[0].original
        model, dims = Model(original.name, original.fields.values()), Dimensions.of(WORLD)
        model.actions, model.premises = actions, original.premises
        invariants = {it.name: it.formula(model.state(), dims) for it in (*SAFETY, *CONJUNCTS)}
        return Prover(model, invariants, PATIENCE_S)
